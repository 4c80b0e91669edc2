"""The multiply-accumulators: one weight a row meets one signal a column, and a shadow that lets the next tile begin.

    cycle 1   operands in registers, of weights one for each column where sums can be split; two narrow weights side by
              side in one operand
    cycle 2   each multiplier has them
    cycle 3   product = weight * signal
    cycle 4   it lies beside its accumulator; two narrow ones are apart
    cycle 5   accumulator = accumulator + product, or the larger of the two; at a tile's last step the shadow takes that
              in its place, and the accumulator is 0 again. From then on the shadow moves up a row each cycle

The registers of cycles 2 and 3 are those that an FPGA's multiplier has inside (`rtl.fpga.pack_registers`); its place is
fixed, so that wires to it and from it are long. The accumulator begins at 0 by its register's reset, which is there
anyway: a multiplexer in front of the adder would be a look-up table for each of its bits. Where a layer begins it is
cleared too: what was on its way when the accelerator was reset has come in by then.

Signals beyond a map's edge, and all signals while no step is there, are zero when they are multiplied, which a sum does
not notice; a maximum must, so that each lane also says whether its signal counts. A pool works on row 0 alone, whose
accumulators hold how far the largest code lies above the lowest there is: they too begin at 0, and the row's bias takes
it off again (`MacArray.lowest_code`). Of split sums each column has a part, which the drain adds up.

Two weights in one multiplier: with k bits for a product, (w1 * 2**k + w0) * x = w1 * x * 2**k + w0 * x. The lower k
bits are the product of w0, in two's complement; where it is negative it has borrowed one from the product of w1.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.array import MULTIPLIER_WIDTH, MacArray
from rtl.core.buffer import moving
from rtl.core.memory import delayed
from rtl.layout import Layout

LANE_CYCLES = 5  # from a tile's last operands to its first row in the shadow


class Operands(wiring.Component):
    """The first registers: what is no step is zero, and narrow weights share a word.

    Ports
    -----
    fresh, step, last, weights, takes, signals, pair, others, counts : in, as `Lanes` has them
    clears : out, `fresh`
    ends : out, `last` of a step that is there
    words : out, the multipliers' operands, one for each group of rows and each word of weights
    values, counted : out, `signals` and `counts`, zero where no step is there
    upper : out, the same of `others`; of an array that combines no maps `values`, unless there is a `pair`
    taking : out, `takes`, or the upper half where there is a `pair`
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        array, signals = layout.array, data.ArrayLayout(layout.operand, layout.array.pixel_lanes)
        super().__init__(
            {
                "fresh": In(1),
                "step": In(1),
                "last": In(1),
                "weights": In(layout.lanes_row),
                "takes": In(array.select_bits),
                "signals": In(signals),
                "pair": In(layout.layer["pair"].shape),
                "others": In(signals),
                "counts": In(array.pixel_lanes),
                "clears": Out(1),
                "ends": Out(1),
                "words": Out(data.ArrayLayout(_words(array), len(_groups(array)))),
                "values": Out(signals),
                "upper": Out(signals),
                "taking": Out(array.select_bits),
                "counted": Out(array.pixel_lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the registers."""
        m = Module()
        array, there = self.layout.array, self.counts & self.step.replicate(len(self.counts))
        m.d.sync += [self.ends.eq(self.step & self.last), self.clears.eq(self.fresh)]
        m.d.comb += self.counted.eq(delayed(m, there, 1))
        if array.combines:
            upper_half = sum((rows.start >= array.half_lanes) << index for index, rows in enumerate(_groups(array)))
            takes = self.takes | Mux(self.pair, upper_half, 0) if array.half_lanes else self.takes
            m.d.comb += self.taking.eq(delayed(m, takes, 1))
        for lane, signal in enumerate(self.signals):
            m.d.comb += self.values[lane].eq(delayed(m, Mux(there[lane], signal, 0), 1))
            upper = self.others[lane] if array.combines else Mux(self.pair, self.others[lane], signal)
            m.d.comb += self.upper[lane].eq(delayed(m, Mux(there[lane], upper, 0), 1))
        for index, rows in enumerate(_groups(array)):
            for place, weights in enumerate(self.weights):
                operand = self._packed([weights[row] for row in rows])
                m.d.comb += self.words[index][place].eq(delayed(m, operand, 1))
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
    clears, ends, words, values, counted : in, from `Operands`
    maximum : in, the first row keeps the largest
    held : in, the accumulators
    behind : in, the row below in the shadow
    sums : out, what the accumulators become
    clear : out, ... or 0 instead: a tile ends here, or a layer begins
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
                "clears": In(1),
                "ends": In(1),
                "words": In(_words(layout.array)),
                "values": In(data.ArrayLayout(layout.operand, lanes)),
                "counted": In(lanes),
                "maximum": In(1),
                "held": In(data.ArrayLayout(row, rows)),
                "behind": In(row),
                "sums": Out(data.ArrayLayout(row, rows)),
                "clear": Out(1),
                "row": Out(row),
                "taken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the multipliers, the adders and the shadow."""
        m = Module()
        counted, maximum = delayed(m, self.counted, 3), delayed(m, self.maximum, 1)
        closes = delayed(m, self.ends, 3, resets=True)
        m.d.comb += self.clear.eq(closes | delayed(m, self.clears, 1))
        products = self._products(m)
        below: Any = self.behind
        for row in reversed(range(self.rows)):
            shadow = Signal(below.shape(), name=f"shadow{row}", reset_less=True)
            for lane in self.lanes:
                held, product = self.held[row][lane], products[row][lane]
                following = held + product
                if self.pools and row == 0:
                    following = Mux(maximum, self._larger(counted[lane], held, product), following)
                m.d.comb += self.sums[row][lane].eq(following)
                m.d.sync += shadow[lane].eq(Mux(closes, self.sums[row][lane], below[lane]))
            below = shadow
        m.d.comb += self.row.eq(below)
        m.d.sync += self.taken.eq(closes)
        return m

    def _products(self, m: Module) -> list[list[Signal]]:
        """Return the products of each row's weight with all signals."""
        width = _product_bits(self.layout.array)
        found: list[list[Signal]] = [[] for _ in range(self.rows)]
        words = [delayed(m, word, 1) for word in self.words]
        for lane in self.lanes:
            word = words[lane if len(words) > 1 else 0]
            both = delayed(m, word * delayed(m, self.values[lane], 1), 1)
            found[0].append(delayed(m, both[:width].as_signed(), 1))
            if self.rows == 2:
                found[1].append(delayed(m, both[width:].as_signed() + both[width - 1], 1))
        return found

    def _larger(self, counts: Value, held: Value, product: Value) -> Value:
        """Return the larger of what is held and a code that counts; both say how far they lie above the lowest code.

        The weight is 1, so that the product is a code, and fewer bits than an accumulator has need a comparison. Its
        sign turned round is what it lies above the lowest.
        """
        bits = Shape.cast(self.layout.operand).width
        above, largest = Cat(product[: bits - 1], ~product[bits - 1]), held[:bits]
        return Mux(counts & (above > largest), above, largest)


class Accumulators(wiring.Component):
    """The accumulators of the rows that share their multipliers.

    They move by the flow of their rows, and say so themselves: a reset that waits for nothing is free in a register.

    Ports
    -----
    moves : in, of the rows' flow
    clear : in, they are 0 next
    sums : in, else they are this
    held : out
    """

    def __init__(self, layout: Layout, rows: int) -> None:
        shape = data.ArrayLayout(data.ArrayLayout(layout.accumulator, layout.array.pixel_lanes), rows)
        super().__init__({"moves": In(1), "clear": In(1), "sums": In(shape), "held": Out(shape)})

    def elaborate(self, platform: object) -> Module:
        """Build the registers."""
        m = Module()
        with m.If(self.moves & self.clear):
            m.d.sync += self.held.eq(0)
        with m.Elif(self.moves):
            m.d.sync += self.held.eq(self.sums)
        return m


class Lanes(wiring.Component):
    """`output_lanes` x `pixel_lanes` multiply-accumulators.

    Ports
    -----
    valid, ready : in, of the flow that the parts move by
    fresh : in, a layer begins; its operands are several cycles away
    step : in, operands are there
    last : in, this step ends a tile
    maximum : in, row 0 keeps the largest, above the lowest code
    weights : in, a word for each column, or one for all of an array that splits no sum
    signals, others, counts : in, of one map and of a second one, which count alike
    takes : in, the rows of multipliers that have the second one, of an array that combines maps
    pair : in, the rows of the upper half have it
    row : out, the accumulators of row 0, and those of the next row in each cycle that follows
    taken : out, `row` is row 0 of a tile
    """

    def __init__(self, layout: Layout) -> None:
        self.layout, self.operands = layout, Operands(layout)
        self.groups = [Rows(layout, len(rows), pools=0 in rows) for rows in _groups(layout.array)]
        self.accumulators = [Accumulators(layout, group.rows) for group in self.groups]
        lanes = layout.array.pixel_lanes
        super().__init__(
            {
                "valid": In(1),
                "ready": In(1),
                "hold": In(1),
                "fresh": In(1),
                "step": In(1),
                "last": In(1),
                "maximum": In(1),
                "weights": In(layout.lanes_row),
                "takes": In(layout.array.select_bits),
                "signals": In(data.ArrayLayout(layout.operand, lanes)),
                "pair": In(layout.layer["pair"].shape),
                "others": In(data.ArrayLayout(layout.operand, lanes)),
                "counts": In(lanes),
                "row": Out(data.ArrayLayout(layout.accumulator, lanes)),
                "taken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the groups of rows, each of which moves by a flow of its own."""
        m = Module()
        moving(m, "operands", self.operands, self.valid, self.ready, self.hold)
        names = ("fresh", "step", "last", "weights", "takes", "signals", "pair", "others", "counts")
        m.d.comb += [getattr(self.operands, name).eq(getattr(self, name)) for name in names]
        for index, (group, accumulators) in enumerate(zip(self.groups, self.accumulators, strict=True)):
            moves = moving(m, f"rows{index}", group, self.valid, self.ready, self.hold)
            m.submodules[f"accumulators{index}"] = accumulators
            m.d.comb += [
                accumulators.moves.eq(moves),
                accumulators.clear.eq(group.clear),
                accumulators.sums.eq(group.sums),
                group.held.eq(accumulators.held),
            ]
            m.d.comb += [group.words.eq(self.operands.words[index]), group.maximum.eq(self.maximum)]
            for name in ("clears", "ends", "counted"):
                m.d.comb += getattr(group, name).eq(getattr(self.operands, name))
            m.d.comb += group.values.eq(self._values(index))
        for group, below in zip(self.groups, self.groups[1:], strict=False):
            m.d.comb += group.behind.eq(below.row)
        m.d.comb += [self.row.eq(self.groups[0].row), self.taken.eq(self.groups[0].taken)]
        return m

    def _values(self, index: int) -> Value:
        """Return the signals of a row of multipliers."""
        array, operands = self.layout.array, self.operands
        if array.combines:
            return Mux(operands.taking[index], operands.upper.as_value(), operands.values.as_value())
        upper = array.half_lanes and _groups(array)[index].start >= array.half_lanes
        return (operands.upper if upper else operands.values).as_value()


def _groups(array: MacArray) -> list[range]:
    """Return the rows that share their multipliers."""
    rows, together = range(array.output_lanes), array.weights_per_multiplier
    return [rows[first : first + together] for first in rows[::together]]


def _product_bits(array: MacArray) -> int:
    return array.weight_bits + array.signal_bits


def _word(array: MacArray) -> Shape:
    """Return the shape of a multiplier's operand of weights."""
    return signed(array.weight_bits if array.weights_per_multiplier == 1 else MULTIPLIER_WIDTH)


def _words(array: MacArray) -> data.ArrayLayout:
    """Return the shape of the operands of the columns of some rows: one each, or one that all share."""
    return data.ArrayLayout(_word(array), array.weight_banks)
