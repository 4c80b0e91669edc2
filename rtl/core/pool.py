"""A max pool of 2 x 2 pixels on codes that leave the array: the larger of neighbours, and of the row above.

A layer whose pool it is has its tiles in pairs (`rtl.core.tiles`), so that the rows of one tile meet those of the next
one map by map. What the first tile leaves is kept until the second comes; it has half as many words as pixels.

    cycle 1   the larger of each two neighbours, beside what is kept of the same map
    cycle 2   the larger of the two, which counts in the second tile; the first is kept

Where a tile has half its pixels on each of two rows, its second half is in the place of what is kept.
"""

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.core.memory import delayed
from rtl.layout import Layout

POOL_CYCLES = 2


class Pool(wiring.Component):
    """Keeps half a row for each output lane.

    Ports
    -----
    begin : in, `codes` are those of a tile's first row; the others follow, one a cycle
    codes : in, a row of pixels
    both : in, of which one half lies above the other
    pooled : out, the largest of these and the tile's before, `POOL_CYCLES` later
    """

    def __init__(self, layout: Layout) -> None:
        self.rows, lanes = layout.array.output_lanes, layout.array.pixel_lanes
        self.half = data.ArrayLayout(layout.operand, lanes // 2)
        super().__init__(
            {
                "begin": In(1),
                "both": In(1),
                "codes": In(data.ArrayLayout(layout.operand, lanes)),
                "pooled": Out(self.half),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the comparisons and what is kept."""
        m = Module()
        kept = [Signal(self.half, name=f"kept{row}", reset_less=True) for row in range(self.rows)]
        row, following, rests = Signal(range(self.rows)), Signal(range(self.rows)), Signal(init=1)
        m.d.comb += row.eq(Mux(self.begin, 0, following))
        m.d.sync += [following.eq(row + 1), rests.eq((rests & ~self.begin) | (row == self.rows - 1))]
        across, above = Signal(self.half, reset_less=True), Signal(self.half, reset_less=True)
        pairs, pooled = Signal(self.half), Signal(self.half, reset_less=True)
        m.d.sync += [across.eq(pairs), above.eq(Array(kept)[row])]
        for place in range(len(across)):
            m.d.comb += pairs[place].eq(_larger(self.codes[2 * place], self.codes[2 * place + 1]))
            m.d.sync += pooled[place].eq(_larger(across[place], above[place]))
        with m.If(self.both):
            m.d.sync += [above[place].eq(pairs[len(across) // 2 + place]) for place in range(len(across) // 2)]
        written, writes = delayed(m, row, 1), delayed(m, ~rests | self.begin, 1, resets=True)
        for index, place in enumerate(kept):
            with m.If(writes & (written == index)):
                m.d.sync += place.eq(across)
        m.d.comb += self.pooled.eq(pooled)
        return m


def _larger(one: Value, other: Value) -> Value:
    return Mux(one > other, one, other)
