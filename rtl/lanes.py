"""The multiply-accumulators: one weight a row meets one signal a column, and a shadow that lets the next tile begin.

    cycle 1   product     = weight * signal
    cycle 2   accumulator = product at a tile's first step, else accumulator + product (or the larger of the two)
    cycle 3   after a tile's last step the shadow takes all accumulators; from then on it moves up a row each cycle

A pool works on row 0 alone, with 1 for a weight. Signals beyond a map's edge are zero when they come here, which a sum
does not notice; a maximum must, so that each lane also says whether its signal counts.
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.layout import Kind, Layout


class Lanes(wiring.Component):
    """`output_lanes` x `pixel_lanes` multiply-accumulators.

    Ports
    -----
    step : in, operands are there
    first, last : in, this step begins or ends a tile
    kind : in
    weights, signals, counts : in
    row : out, the accumulators of row 0, and those of the next row in each cycle that follows
    taken : out, `row` is row 0 of a tile
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        lanes = layout.array.pixel_lanes
        super().__init__(
            {
                "step": In(1),
                "first": In(1),
                "last": In(1),
                "kind": In(Kind),
                "weights": In(layout.weights),
                "signals": In(data.ArrayLayout(layout.operand, lanes)),
                "counts": In(lanes),
                "row": Out(data.ArrayLayout(layout.accumulator, lanes)),
                "taken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the lanes and the shadow."""
        m = Module()
        step, first, last, end = Signal(), Signal(), Signal(), Signal()
        maximum, counts = Signal(), Signal(self.layout.array.pixel_lanes)
        m.d.sync += [step.eq(self.step), first.eq(self.first), last.eq(self.step & self.last), end.eq(last)]
        m.d.sync += [maximum.eq(self.kind == Kind.MAX), counts.eq(self.counts), self.taken.eq(end)]
        accumulators, shadow = self._registers("accumulator"), self._registers("shadow")
        for row, values in enumerate(accumulators):
            for lane, accumulator in enumerate(values):
                product = self._product(m, row, lane)
                following = Mux(first, product, accumulator + product)
                if row == 0:
                    following = Mux(maximum, self._larger(first, counts[lane], accumulator, product), following)
                with m.If(step):
                    m.d.sync += accumulator.eq(following)
                behind = shadow[row + 1][lane] if row + 1 < len(shadow) else shadow[row][lane]
                m.d.sync += shadow[row][lane].eq(Mux(end, accumulator, behind))
        m.d.comb += [self.row[lane].eq(value) for lane, value in enumerate(shadow[0])]
        return m

    def _registers(self, name: str) -> list[list[Signal]]:
        """Return a signal of the accumulator's shape for each row and lane."""
        rows, lanes = self.layout.array.output_lanes, self.layout.array.pixel_lanes
        shape = self.layout.accumulator
        return [[Signal(shape, name=f"{name}{row}_{lane}") for lane in range(lanes)] for row in range(rows)]

    def _product(self, m: Module, row: int, lane: int) -> Signal:
        """Add a multiplier; row 0 multiplies by 1 for a pool."""
        array = self.layout.array
        weight: Value = self.weights[row]
        if row == 0:
            weight = Mux(self.kind == Kind.MAC, weight, 1)
        product = Signal(signed(array.weight_bits + array.signal_bits + 1), name=f"product{row}_{lane}")
        m.d.sync += product.eq(weight * self.signals[lane])
        return product

    def _larger(self, first: Value, counts: Value, accumulator: Value, product: Value) -> Value:
        """Return the larger of two values, of those that count; the lowest there is if none does."""
        lowest = -(1 << (self.layout.array.accumulator_bits - 1))
        before = Mux(first, lowest, accumulator)
        return Mux(counts & (product > before), product, before)
