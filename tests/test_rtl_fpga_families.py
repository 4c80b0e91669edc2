"""Counts of Yosys for families that nobody places: cells count as their makers say, and none is left out."""

from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from accel.errors import EspalierError
from rtl.fpga.families import FAMILIES, Counts, count_cells, counted

ICE40 = FAMILIES["ice40"]


def test_cells_count_as_their_makers_say() -> None:
    """A memory of 32 words of 6 bits takes 4 tables of Xilinx, RAMB36 is two halves, an adder of Gowin's is a table."""
    for family, kinds, expected in (
        ("xilinx-7", ["LUT6", "RAM32M", "SRL16E", "FDRE", "MUXF7"], Counts(lut=6, ff=1)),
        ("xilinx-7", ["RAMB36E1", "RAMB18E1", "DSP48E1", "CARRY4"], Counts(block_ram=3, dsp=1, carry_bits=4)),
        ("ultrascale+", ["RAMB36E2", "DSP48E2", "CARRY8", "RAM32M16"], Counts(block_ram=2, dsp=1, carry_bits=8, lut=8)),
        ("gowin", ["ALU", "LUT4", "RAM16SDP4", "DFFRE", "GND"], Counts(lut=6, ff=1, carry_bits=1)),
        ("gowin", ["SDPX9B", "DPB", "MULT9X9"], Counts(block_ram=2, dsp=1)),
        (
            "ice40",
            ["SB_LUT4", "SB_DFFESR", "SB_CARRY", "SB_MAC16", "SB_RAM40_4K"],
            Counts(lut=1, ff=1, dsp=1, block_ram=1, carry_bits=1),
        ),
    ):
        cells = {f"cell{place}": {"type": kind} for place, kind in enumerate(kinds)}
        assert counted({"cells": cells}, FAMILIES[family]) == expected


def test_a_cell_that_nobody_knows() -> None:
    """What is no cell of the family is refused, not left out; an instance of a module that is counted itself is not."""
    module = {"cells": {"a": {"type": "SB_LUT4"}, "b": {"type": "lanes"}}}
    assert counted(module, ICE40, ["lanes"]) == Counts(lut=1)
    with pytest.raises(EspalierError, match="nobody knows what Yosys's lanes counts as"):
        counted(module, ICE40)


def test_what_does_not_fit() -> None:
    """Each shortage of an iCE40 UP5K is named with what it has; a build of just its size fits, and any other family."""
    room = Counts(lut=5280, ff=5280, dsp=8, block_ram=30)
    assert ICE40.shortage(room) is None
    more = room + Counts(lut=1, block_ram=2, carry_bits=99)
    assert ICE40.shortage(more) == (
        "does not fit an iCE40 UP5K: takes 5,281 of 5,280 look-up tables, 32 of 30 memories"
    )
    assert FAMILIES["gowin"].shortage(more) is None


class Multiplier(wiring.Component):
    """The product of a word of a memory and itself, registered: 16 flip-flops, one multiplier, 8 kbit."""

    def __init__(self) -> None:
        super().__init__({"address": In(10), "data": In(8), "write": In(1), "product": Out(16), "sum": Out(16)})

    def elaborate(self, platform: object) -> Module:
        """Read, multiply in a module of its own, and add in the top."""
        m, inner = Module(), Module()
        m.submodules.memory = memory = Memory(shape=8, depth=1024, init=[])
        write, read = memory.write_port(), memory.read_port()
        # as in the array, not where it is read: of one address Yosys makes tables of UltraScale+ that it can't map
        m.d.comb += [write.addr.eq(~self.address), write.data.eq(self.data), write.en.eq(self.write)]
        m.d.comb += read.addr.eq(self.address)
        product = Signal(16, reset_less=True)
        inner.d.sync += product.eq(read.data * read.data)
        m.submodules.lanes = inner
        m.d.comb += [self.product.eq(product), self.sum.eq(product + self.address)]
        return m


@pytest.mark.parametrize(
    ("family", "block_rams"),
    [("gowin", 1), ("ice40", 2), *(pytest.param(x, 1, marks=pytest.mark.slow) for x in ("xilinx-7", "ultrascale+"))],
)
def test_yosys_counts(family: str, block_rams: int, tmp_path: Path) -> None:
    """A square of a word of 8 kbit: one multiplier in `lanes`, memory and adder in the shell."""
    found = count_cells(Multiplier(), FAMILIES[family], tmp_path)
    assert set(found) == {"lanes", "shell"}
    assert found["shell"].block_ram == sum(found.values(), Counts()).block_ram == block_rams
    assert found["lanes"].dsp == sum(found.values(), Counts()).dsp == 1
    assert 10 <= found["shell"].carry_bits <= 16
    assert found["shell"].ff == 0
