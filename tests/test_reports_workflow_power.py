"""What an image costs: windows tile its cycles, energies are watts times seconds, memories cost their accesses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.power import HERTZ, TABLE, job, made
from support.silicon import SRAM, TINY

from accel.cost import total_interval
from accel.cost.accesses import IMAGE, accesses_of
from accel.cost.stalls import schedule_of
from accel.cost.technology import load_technology
from accel.demand import array_for
from accel.errors import EspalierError
from reports.workflow import power
from reports.workflow.hardware import job_of
from reports.workflow.power import (
    CLOCK,
    KIND,
    LEAKAGE,
    MEASURED,
    MEMORIES,
    SHELL,
    SRAM_LEAKAGE,
    Window,
    begins_of,
    check_equal,
    energies_of,
    measured,
    origins,
    windows_of,
)
from rtl import simulators
from rtl.asic import activity, liberty
from rtl.asic.macros import Shape
from rtl.asic.power import Watts
from rtl.asic.sram import built_of
from rtl.emit import emit
from rtl.simulators import Outcome

OSU = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
WATTS = Watts(
    tool="OpenSTA 2.0",
    switched=[{"lanes": 1.0, "fetch": 2.0, "weights": 3.0, "drain": 4.0, "buffer": 5.0, "counters": 6.0}] * 2,
    clock=7.0,
    leakage=[8.0, 9.0],
)


def test_windows() -> None:
    """Loading takes a beat a cycle; the layers' windows are all cycles of an image, its start in the first."""
    array, one = job()
    windows = windows_of(one, array)
    assert [row.window for row in windows] == [IMAGE, "conv", "pool", "last"]
    assert sum(row.cycles for row in windows[1:]) == one.cycles
    assert begins_of(windows)[0] == 0
    assert begins_of(windows)[-1] == one.cycles - windows[-1].cycles


def test_windows_of_streamed_weights() -> None:
    """They are all cycles from one start to the next, of images that come one after another; without the waits not."""
    program = job()[1].program
    array = array_for(program, 2, 1, stream=True)
    streamed, whole = (windows_of(job()[1], one) for one in (array, replace(array, stream_words=0)))
    assert sum(row.cycles for row in streamed) == total_interval(program, replace(array, overlap=False))
    assert sum(row.cycles for row in streamed) > sum(row.cycles for row in whole)
    assert streamed[0] == whole[0]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
def test_windows_of_streamed_weights_in_hardware(tmp_path: Path) -> None:
    """Each layer's last row comes as many cycles before its window's end as where nothing is streamed.

    The negative control: in the first image, which waits longer, it does not.
    """
    program, behind = job()[1].program, []
    for stream, image in ((False, 1), (True, 1), (True, 0)):
        array = array_for(program, 2, 1, stream=stream)
        one = job_of(program, array, job()[1].codes)
        for name, content in emit([one], array, apart=True).items():
            (tmp_path / name).write_bytes(content)
        simulators.build(tmp_path, "iverilog", watched=True)
        rows = simulators.watch(tmp_path, "iverilog", array, image)
        last = np.cumsum([layer.rows for layer in schedule_of(program, array)])
        assert last[-1] == len(rows)
        ends = np.cumsum([row.cycles for row in windows_of(one, array)[1:]])
        behind.append([int(end - rows[place - 1].cycle) for end, place in zip(ends, last, strict=True)])
    assert behind[0] == behind[1] != behind[2]


def test_energies() -> None:
    """Modules are summed to parts, what is in no module of a part is the shell's; watts times seconds of a window."""
    windows = [Window(window=IMAGE, cycles=100), Window(window="conv", cycles=300)]
    rows = {(row.window, row.part): row for row in energies_of(windows, WATTS, HERTZ)}
    parts = {"lanes": 1, "lists, fetch": 5, "drain": 9, SHELL: 6, CLOCK: 7}
    for window, seconds, leaks in ((IMAGE, 1e-6, 8), ("conv", 3e-6, 9)):
        found = {part: row.joules for (of, part), row in rows.items() if of == window}
        assert found == pytest.approx({part: watts * seconds for part, watts in (parts | {LEAKAGE: leaks}).items()})
    assert {row.origin for row in rows.values()} == {MEASURED}


def test_memories_of_macros(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A read and a write cost what the macros say of the memory's shape, times the accesses of each layer."""
    array, one = job()
    found = made(monkeypatch, tmp_path)
    built = {memory.name: built_of(Shape(memory.words, memory.width_bits), SRAM) for memory in array.memories}
    for window, accesses in accesses_of(one.program, array).items():
        costs = (
            accesses[name].reads * memory.read_pj + accesses[name].writes * memory.write_pj
            for name, memory in built.items()
            if name in accesses
        )
        assert found.joules(window, MEMORIES) == pytest.approx(1e-12 * sum(costs))
    leaks = sum(built[memory.name].leakage_uw * memory.banks for memory in array.memories)
    assert found.joules(None, SRAM_LEAKAGE) == pytest.approx(1e-6 * leaks * found.seconds())
    assert {row.origin for row in found.energies if row.part == MEMORIES} == {"table: made up"}


def test_memories_of_a_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without macros the technology's table says what an access costs, and is the origin."""
    found = made(monkeypatch, tmp_path, sram=False)
    assert found.joules(None, MEMORIES) > 0
    assert list(origins(found)) == [
        f"{MEASURED}: lanes, lists, fetch, drain, shell, clock, leakage",
        f"table: {TABLE.name}: {MEMORIES}, {SRAM_LEAKAGE}",
    ]


def test_sums(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All is the sum of windows and the sum of parts; power is energy over time."""
    found = made(monkeypatch, tmp_path)
    assert found.joules() == pytest.approx(sum(found.joules(row.window) for row in found.windows))
    assert found.joules() == pytest.approx(sum(found.joules(None, part) for part in found.parts))
    assert found.watts() * found.seconds() == pytest.approx(found.joules())
    assert found.watts(None, CLOCK) == pytest.approx(1.0)


def test_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file has its kind, and a row for every part in every window, each with its origin."""
    found = made(monkeypatch, tmp_path)
    record = json.loads(found.to_json())
    assert (record["format"], record["version"]) == (KIND.name, KIND.version)
    assert len(record["energies"]) == len(found.windows) * len(found.parts)
    assert all(row["origin"] == MEASURED or row["origin"].startswith("table: ") for row in record["energies"])


def test_mapped_and_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With room for others, what lies compiled in the folder runs the next job: memories' contents alone are written.

    Without room everything is made again.
    """
    array, one = job()
    first = made(monkeypatch, tmp_path)
    for name in ("espalier.v", "jobs.hex"):
        (tmp_path / name).write_text("of before")
    monkeypatch.setattr(power.simulators, "is_built", lambda *arguments: True)
    monkeypatch.setattr(power, "mapped_in", power.map_to_cells)
    monkeypatch.setattr(power, "nets_in", lambda folder: [])
    arguments = (one, array, TINY, tmp_path, HERTZ, "iverilog", SRAM, TABLE)
    assert measured(*arguments, room={}) == first
    kept = [(tmp_path / name).read_text() == "of before" for name in ("espalier.v", "jobs.hex")]
    assert kept == [True, False]
    measured(*arguments)
    assert (tmp_path / "espalier.v").read_text() != "of before"


def test_gates_that_compute_something_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wrong output is an error with the first complaint; nothing is measured then."""
    check_equal(Outcome(1, 1, 0, 1, 0, ()))
    wrong = Outcome(1, 1, 1, 1, 0, ("FAIL job 0 image 0 row 3: got 1, expected 2",))
    with pytest.raises(EspalierError, match="the gates do not compute what the Program says: FAIL job 0 image 0 row 3"):
        check_equal(wrong)


def test_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One image of streamed weights, and a technology without energies and no macros, before anything is mapped."""
    array, one = job()
    monkeypatch.setattr(power, "map_to_cells", lambda *arguments: pytest.fail("mapped"))
    monkeypatch.setattr(power, "check_known", lambda library: None)
    single, stream = replace(one, codes=one.codes[:1]), replace(array, stream_words=8)
    with pytest.raises(EspalierError, match="power: the first image waits longest for streamed weights and is not"):
        measured(single, stream, TINY, tmp_path, HERTZ, "iverilog", SRAM, TABLE)
    with pytest.raises(EspalierError, match="technology ecp5-45f knows no energies"):
        measured(one, array, TINY, tmp_path, HERTZ, "iverilog", None, load_technology("ecp5-45f"))


@pytest.mark.slow
@pytest.mark.skipif(not OSU.exists(), reason="needs Debian's package qflow-tech-osu018")
@pytest.mark.skipif(shutil.which("sta") is None, reason="needs Debian's package opensta")
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
@pytest.mark.parametrize("stream", [False, True])
def test_an_image_in_gates(stream: bool, tmp_path: Path) -> None:
    """In 0.18 um the gates give golden's outputs, and each part takes energy; a wrong bit is noticed.

    Lanes work in layers alone, and less than in a layer while an image is loaded.
    """
    array, one = job()
    if stream:
        array = array_for(one.program, 2, 1, stream=True)
        one = job_of(one.program, array, one.codes)
    library = liberty.read(OSU)
    found = measured(one, array, library, tmp_path, HERTZ, "iverilog", SRAM, TABLE)
    assert (found.images, found.rows) == (len(one.codes), len(one.codes) * 3)
    assert all(found.joules(None, part) > 0 for part in found.parts)
    first = found.windows[1].window
    assert found.watts(IMAGE, "lanes") < found.watts(first, "lanes") / 10
    rows = (tmp_path / "expected.hex").read_text().split()
    rows[0] = f"{int(rows[0], 16) ^ 1:0{len(rows[0])}x}"
    (tmp_path / "expected.hex").write_text("\n".join(rows) + "\n")
    outcome, _ = activity.simulate(tmp_path, "iverilog", [], 1)
    with pytest.raises(EspalierError, match="the gates do not compute what the Program says: FAIL job 0 image 0 row 0"):
        check_equal(outcome)
