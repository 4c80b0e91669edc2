"""The multiply-accumulators: one weight a row meets one signal a column, and a shadow that lets the next tile begin.

    cycle 1   operands in registers; two narrow weights side by side in one operand
    cycle 2   each group of rows has them in registers of its own, from where a wire to a multiplier is short
    cycle 3   product     = weight * signal
    cycle 4   accumulator = product at a tile's first step, else accumulator + product (or the larger of the two)
    cycle 5   after a tile's last step the shadow takes all accumulators; from then on it moves up a row each cycle

Signals beyond a map's edge, and all signals while no step is there, are zero when they are multiplied, which a sum does
not notice; a maximum must, so that each lane also says whether its signal counts. A pool works on row 0 alone.

Two weights in one multiplier: with k bits for a product, (w1 * 2**k + w0) * x = w1 * x * 2**k + w0 * x. The lower k
bits are the product of w0, in two's complement; where it is negative it has borrowed one from the product of w1.
"""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.array import MULTIPLIER_WIDTH, MacArray
from rtl.buffer import moving
from rtl.layout import Layout
from rtl.memory import delayed

LANE_CYCLES = 5  # from a tile's last operands to its first row in the shadow


class Operands(wiring.Component):
    """The first registers: what is no step is zero, and narrow weights share a word.

    Ports
    -----
    step, first, last, weights, signals, counts : in, as `Lanes` has them
    begins, ends : out, `first` and `last` of a step that is there
    words : out, the multipliers' operands, one for each group of rows
    values, counted : out, `signals` and `counts`, zero where no step is there
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        array, signals = layout.array, data.ArrayLayout(layout.operand, layout.array.pixel_lanes)
        super().__init__(
            {
                "step": In(1),
                "first": In(1),
                "last": In(1),
                "weights": In(layout.weights),
                "signals": In(signals),
                "counts": In(array.pixel_lanes),
                "begins": Out(1),
                "ends": Out(1),
                "words": Out(data.ArrayLayout(_word(array), len(_groups(array)))),
                "values": Out(signals),
                "counted": Out(array.pixel_lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the registers."""
        m = Module()
        there = self.counts & self.step.replicate(len(self.counts))
        m.d.sync += [
            self.begins.eq(self.step & self.first),
            self.ends.eq(self.step & self.last),
            self.counted.eq(there),
        ]
        for lane in range(len(self.counts)):
            m.d.sync += self.values[lane].eq(Mux(there[lane], self.signals[lane], 0))
        for index, rows in enumerate(_groups(self.layout.array)):
            m.d.sync += self.words[index].eq(self._packed([self.weights[row] for row in rows]))
        return m

    def _packed(self, weights: list[Value]) -> Value:
        """Return one weight, or two with the bits of a product between them and the borrow taken from the upper one."""
        if len(weights) == 1:
            return weights[0]
        width = _product_bits(self.layout.array)
        below, above = weights
        negative = below[-1]
        high = (above - negative)[: MULTIPLIER_WIDTH - width]  # the assembler knows what 18 bits cannot hold
        return Cat(below, negative.replicate(width - len(below)), high).as_signed()


class Rows(wiring.Component):
    """The rows that share their multipliers: one, or two of narrow weights.

    Ports
    -----
    begins, ends, word, values, counted : in, from `Operands`
    maximum : in, the first row keeps the largest
    behind : in, the row below in the shadow
    row : out, the first row in the shadow
    taken : out, the shadow has just taken a tile
    """

    def __init__(self, layout: Layout, rows: int, pools: bool) -> None:
        self.layout, self.rows, self.pools = layout, rows, pools
        lanes = layout.array.pixel_lanes
        self.lanes = range(lanes)
        row = data.ArrayLayout(layout.accumulator, lanes)
        super().__init__(
            {
                "begins": In(1),
                "ends": In(1),
                "word": In(_word(layout.array)),
                "values": In(data.ArrayLayout(layout.operand, lanes)),
                "counted": In(lanes),
                "maximum": In(1),
                "behind": In(row),
                "row": Out(row),
                "taken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the multipliers, the accumulators and the shadow."""
        m = Module()
        first, end = delayed(m, self.begins, 2), delayed(m, self.ends, 3)
        counted, maximum = delayed(m, self.counted, 2), delayed(m, self.maximum, 1)
        products = self._products(m)
        accumulators, shadow = self._registers("accumulator"), self._registers("shadow")
        below = [*shadow[1:], [self.behind[lane] for lane in self.lanes]]
        for row in range(self.rows):
            for lane, accumulator in enumerate(accumulators[row]):
                product = products[row][lane]
                following = Mux(first, 0, accumulator) + product
                if self.pools and row == 0:
                    larger = self._larger(first, counted[lane], accumulator, product)
                    following = Mux(maximum, larger, following)
                m.d.sync += accumulator.eq(following)
                m.d.sync += shadow[row][lane].eq(Mux(end, accumulator, below[row][lane]))
        m.d.comb += [self.row[lane].eq(shadow[0][lane]) for lane in self.lanes]
        m.d.sync += self.taken.eq(end)
        return m

    def _registers(self, name: str) -> list[list[Signal]]:
        """Return a signal of the accumulator's shape for each row and lane."""
        shape = self.layout.accumulator
        return [[Signal(shape, name=f"{name}{row}_{lane}") for lane in self.lanes] for row in range(self.rows)]

    def _products(self, m: Module) -> list[list[Signal]]:
        """Return the products of each row's weight with all signals."""
        width = _product_bits(self.layout.array)
        found = [
            [Signal(signed(width), name=f"product{row}_{lane}") for lane in self.lanes] for row in range(self.rows)
        ]
        word = delayed(m, self.word, 1)
        for lane in self.lanes:
            both = word * delayed(m, self.values[lane], 1)
            m.d.sync += found[0][lane].eq(both[:width].as_signed())
            if self.rows == 2:
                m.d.sync += found[1][lane].eq(both[width:].as_signed() + both[width - 1])
        return found

    def _larger(self, first: Value, counts: Value, accumulator: Value, product: Value) -> Value:
        """Return the larger of two values, of those that count; the lowest there is if none does."""
        lowest = -(1 << (self.layout.array.accumulator_bits - 1))
        wins = first | (product > accumulator)  # a comparison behind a multiplexer was the slowest path of the array
        return Mux(counts & wins, product, Mux(first, lowest, accumulator))


class Lanes(wiring.Component):
    """`output_lanes` x `pixel_lanes` multiply-accumulators.

    Ports
    -----
    valid, ready : in, of the flow that the parts move by
    step : in, operands are there
    first, last : in, this step begins or ends a tile
    maximum : in, row 0 keeps the largest
    weights, signals, counts : in
    row : out, the accumulators of row 0, and those of the next row in each cycle that follows
    taken : out, `row` is row 0 of a tile
    """

    def __init__(self, layout: Layout) -> None:
        self.operands = Operands(layout)
        self.groups = [Rows(layout, len(rows), pools=0 in rows) for rows in _groups(layout.array)]
        lanes = layout.array.pixel_lanes
        super().__init__(
            {
                "valid": In(1),
                "ready": In(1),
                "step": In(1),
                "first": In(1),
                "last": In(1),
                "maximum": In(1),
                "weights": In(layout.weights),
                "signals": In(data.ArrayLayout(layout.operand, lanes)),
                "counts": In(lanes),
                "row": Out(data.ArrayLayout(layout.accumulator, lanes)),
                "taken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the groups of rows, each of which moves by a flow of its own."""
        m = Module()
        moving(m, "operands", self.operands, self.valid, self.ready)
        for name in ("step", "first", "last", "weights", "signals", "counts"):
            m.d.comb += getattr(self.operands, name).eq(getattr(self, name))
        for index, group in enumerate(self.groups):
            moving(m, f"rows{index}", group, self.valid, self.ready)
            m.d.comb += [group.word.eq(self.operands.words[index]), group.maximum.eq(self.maximum)]
            for name in ("begins", "ends", "values", "counted"):
                m.d.comb += getattr(group, name).eq(getattr(self.operands, name))
        for group, below in zip(self.groups, self.groups[1:], strict=False):
            m.d.comb += group.behind.eq(below.row)
        m.d.comb += [self.row.eq(self.groups[0].row), self.taken.eq(self.groups[0].taken)]
        return m


def _groups(array: MacArray) -> list[range]:
    """Return the rows that share their multipliers."""
    rows, together = range(array.output_lanes), array.weights_per_multiplier
    return [rows[first : first + together] for first in rows[::together]]


def _product_bits(array: MacArray) -> int:
    return array.weight_bits + array.signal_bits


def _word(array: MacArray) -> Shape:
    """Return the shape of a multiplier's operand of weights."""
    return signed(array.weight_bits if array.weights_per_multiplier == 1 else MULTIPLIER_WIDTH)
