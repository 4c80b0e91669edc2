"""Netlists: of six cells and two macros, whose builds need no tools, and one of two registers for the tools."""

from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from accel.array import MacArray
from reports.workflow import silicon
from reports.workflow.silicon import Silicon, in_cells
from rtl.asic import liberty
from rtl.asic.macros import Shape
from rtl.asic.mapping import Netlist, Placed
from rtl.asic.sram import SramLibrary, SramMacro
from rtl.asic.timing import SlowPath, Timing
from support import tiny_cells

TINY = liberty.parse(tiny_cells.liberty())
CONDITIONS = "operating_conditions (all) { process : 1; voltage : 2; temperature : 25; }"
TWO_VOLTS = tiny_cells.liberty().replace(
    "library (tiny) {", f"library (tiny) {{ {CONDITIONS} default_operating_conditions : all;"
)
KINDS = {"shell": ["INV"], "lanes": ["DFF", "DFF", "NAND2"], "drain": ["DFF", "NOR2"]}
NETLIST = Netlist(
    yosys="Yosys 1",
    placed=[
        *(
            Placed(name=f"{module}.g{place}", module=module, kind=TINY.cells[kind])
            for module, kinds in KINDS.items()
            for place, kind in enumerate(kinds)
        ),
        Placed(name="drain.constants", module="drain", kind=Shape(1024, 40)),
        Placed(name="shell.words", module="shell", kind=Shape(16, 64)),
    ],
    called={},
    shapes=[Shape(16, 64), Shape(1024, 40)],
)
SLOW, FAST = (SlowPath(start="a[0]", end=end, nanoseconds=time) for end, time in (("b", 4.0), ("c", 2.5)))
TIMING = Timing(tool="OpenSTA 1", slowest=SLOW, modules={"drain": SLOW, "lanes": FAST})
ARRAY = MacArray(1, 1, signal_words=64, weight_words=16, list_entries=8, taps=8, constants=8, layers=2)
SRAM_TOML = """
source = "made up"

[[macro]]
name = "small"
depth = 16
width = 8
area_um2 = 100
read_pj = 1
write_pj = 2
leakage_uw = 0.1
access_ns = 1.5

[[macro]]
name = "wide"
depth = 64
width = 16
area_um2 = 500
read_pj = 4
write_pj = 5
leakage_uw = 0.5
access_ns = 2.5
setup_ns = 0.25
"""
SRAM = SramLibrary(
    source="made up",
    macro=(
        SramMacro(
            name="small",
            depth=16,
            width=8,
            area_um2=100,
            read_pj=1,
            write_pj=2,
            leakage_uw=0.1,
            access_ns=1.5,
        ),
        SramMacro(
            name="wide",
            depth=64,
            width=16,
            area_um2=500,
            read_pj=4,
            write_pj=5,
            leakage_uw=0.5,
            access_ns=2.5,
            setup_ns=0.25,
        ),
    ),
)


class Stages(wiring.Component):
    """A register before an inverter before a register, and a memory read by the second."""

    def __init__(self) -> None:
        super().__init__({"write": In(1), "data": In(2), "out": Out(2)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(shape=2, depth=2, init=[])
        port, read = words.write_port(), words.read_port()
        first = Signal(reset_less=True)
        second = Signal(reset_less=True)
        m.d.sync += [first.eq(self.data[0]), second.eq(~first)]
        m.d.comb += [port.addr.eq(second), port.data.eq(self.data), port.en.eq(self.write), read.addr.eq(second)]
        m.d.comb += self.out.eq(read.data)
        return m


def made(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
    timing: Timing | None = TIMING,
    sram: SramLibrary | None = None,
) -> Silicon:
    """Return the numbers of two builds, whose tools are not run; the dense one lacks the drain."""
    dense = [one for one in NETLIST.placed if one.module != "drain"]
    netlists = iter([NETLIST, replace(NETLIST, placed=dense)])
    monkeypatch.setattr(silicon, "map_to_cells", lambda *arguments: next(netlists))
    monkeypatch.setattr(silicon, "time_netlist", lambda *arguments: timing)
    arrays = {"sparse": ARRAY, "dense": replace(ARRAY, list_entries=0)}
    return in_cells(arrays, TINY, tmp_path, 200e6, sram=sram)  # type: ignore[arg-type]
