"""The multiply-accumulators: one weight a row meets one signal a column, and a shadow that lets the next tile begin.

    cycle 1   operands in registers; two narrow weights side by side in one operand
    cycle 2   product     = weight * signal
    cycle 3   accumulator = product at a tile's first step, else accumulator + product (or the larger of the two)
    cycle 4   after a tile's last step the shadow takes all accumulators; from then on it moves up a row each cycle

Signals beyond a map's edge, and all signals while no step is there, are zero when they are multiplied, which a sum does
not notice; a maximum must, so that each lane also says whether its signal counts. A pool works on row 0 alone.

Two weights in one multiplier: with k bits for a product, (w1 * 2**k + w0) * x = w1 * x * 2**k + w0 * x. The lower k
bits are the product of w0, in two's complement; where it is negative it has borrowed one from the product of w1.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.array import MULTIPLIER_WIDTH
from rtl.layout import Layout
from rtl.memory import delayed


class Lanes(wiring.Component):
    """`output_lanes` x `pixel_lanes` multiply-accumulators.

    Ports
    -----
    step : in, operands are there
    first, last : in, this step begins or ends a tile
    maximum : in, row 0 keeps the largest
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
                "maximum": In(1),
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
        lanes = range(self.layout.array.pixel_lanes)
        first, end = delayed(m, self._with_step(m, self.first), 2), delayed(m, self._with_step(m, self.last), 3)
        there = self.counts & self.step.replicate(len(self.counts))
        counts = delayed(m, there, 2)
        signals = [self._registered(m, Mux(there[lane], self.signals[lane], 0), f"signal{lane}") for lane in lanes]
        products = self._build_products(m, signals)
        accumulators, shadow = self._registers("accumulator"), self._registers("shadow")
        for row, values in enumerate(accumulators):
            for lane, accumulator in enumerate(values):
                product = products[row][lane]
                following = Mux(first, 0, accumulator) + product
                if row == 0:
                    larger = self._larger(first, counts[lane], accumulator, product)
                    following = Mux(self.maximum, larger, following)
                behind = shadow[row + 1][lane] if row + 1 < len(shadow) else shadow[row][lane]
                m.d.sync += [accumulator.eq(following), shadow[row][lane].eq(Mux(end, accumulator, behind))]
        m.d.comb += [self.row[lane].eq(shadow[0][lane]) for lane in lanes]
        m.d.sync += self.taken.eq(end)
        return m

    def _with_step(self, m: Module, flag: Value) -> Signal:
        held = Signal()
        m.d.comb += held.eq(self.step & flag)
        return held

    def _registered(self, m: Module, value: Value, name: str) -> Signal:
        register = Signal(value.shape(), name=name)
        m.d.sync += register.eq(value)
        return register

    def _registers(self, name: str) -> list[list[Signal]]:
        """Return a signal of the accumulator's shape for each row and lane."""
        rows, lanes = self.layout.array.output_lanes, self.layout.array.pixel_lanes
        shape = self.layout.accumulator
        return [[Signal(shape, name=f"{name}{row}_{lane}") for lane in range(lanes)] for row in range(rows)]

    def _build_products(self, m: Module, signals: list[Signal]) -> list[list[Signal]]:
        """Return the products of each row's weight with all signals."""
        array = self.layout.array
        width = array.weight_bits + array.signal_bits
        step = array.weights_per_multiplier
        products: list[list[Signal]] = []
        for first in range(0, array.output_lanes, step):
            rows = range(first, min(first + step, array.output_lanes))
            operand = self._registered(m, self._packed([self.weights[row] for row in rows], width), f"weight{first}")
            found = [
                [Signal(signed(width), name=f"product{row}_{lane}") for lane in range(len(signals))] for row in rows
            ]
            for lane, value in enumerate(signals):
                both = operand * value
                m.d.sync += found[0][lane].eq(both[:width].as_signed())
                if len(rows) == 2:
                    m.d.sync += found[1][lane].eq(both[width:].as_signed() + both[width - 1])
            products += found
        return products

    def _packed(self, weights: list[Value], width: int) -> Value:
        """Return one weight, or two `width` bits apart with the borrow taken from the upper one."""
        if len(weights) == 1:
            return weights[0]
        below, above = weights
        negative = below[-1]
        high = (above - negative)[: MULTIPLIER_WIDTH - width]  # the assembler knows what 18 bits cannot hold
        return Cat(below, negative.replicate(width - len(below)), high).as_signed()

    def _larger(self, first: Value, counts: Value, accumulator: Value, product: Value) -> Value:
        """Return the larger of two values, of those that count; the lowest there is if none does."""
        lowest = -(1 << (self.layout.array.accumulator_bits - 1))
        before = Mux(first, lowest, accumulator)
        return Mux(counts & (product > before), product, before)
