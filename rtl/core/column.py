"""From an accumulator to a code: bias, ReLU and requantisation of one pixel lane.

    cycle 1-2    the row waits for its constants; meanwhile the parts of a split sum are added up, in lane 0
    cycle 3      row + bias
    cycle 4      ReLU                 accumulators of a raw final layer are there
    cycle 5-8    times multiplier: the lower 18 bits in a hardware multiplier, the few above them in logic; plus offset
    cycle 9-11   shifted by multiples of 16, of 4, of 1; what falls off is remembered in two bits
    cycle 12     rounded
    cycle 13     overflow, bounds     the word is written, or leaves for the output stream

The formats of a Program's signals, with their rounding and overflow, are known when the hardware is made; a layer names
one of them by number. A max pool's codes pass unchanged. Of an array with bounds, what is above a layer's highest code,
or below its lowest, becomes that. Of one with offsets, a sum that its ReLU makes zero has none; as an offset is less
than its multiplier, no product takes a bit more for it. What the layer says is kept in registers of the column: it
changes only while no row is there.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.array import MULTIPLIER_WIDTH
from accel.fixedpoint import FixedFormat, Rounding, round_shift
from rtl.core.memory import delayed
from rtl.core.requantize import overflow, reads_floor
from rtl.layout import Layout

RECTIFIED, CODES = 4, 13  # cycles after which a row has these
LOW_BITS = MULTIPLIER_WIDTH  # of an accumulator that meet the multiplier in hardware
SUM_CYCLES = 3  # to add up the products of the bits above
SHIFT_STEPS = (4, 2, 0)  # the shift's bits from here up to the step before are done in one cycle


class Column(wiring.Component):
    """One pixel lane of the drain.

    Ports
    -----
    value : in, an accumulator
    others : in, those of the other lanes, parts of the same sum if the layer is split; of lane 0 alone
    constant : in, bias and multiplier of its row, two cycles later; its offset too, of an array that has any
    layer : in, the layer's words
    code : out, `CODES` cycles after the accumulator
    written : in, the code that is written, by this lane or by what follows it
    out : out, `written` a cycle later; or the accumulator, if the layer is raw, a cycle after it is rectified
    """

    def __init__(self, layout: Layout, formats: Sequence[FixedFormat], others: int = 0) -> None:
        self.layout, self.formats = layout, list(formats)
        super().__init__(
            {
                "value": In(layout.accumulator),
                "others": In(data.ArrayLayout(layout.accumulator, others)),
                "constant": In(layout.constant),
                "layer": In(layout.layer),
                "code": Out(layout.operand),
                "written": In(layout.operand),
                "out": Out(layout.accumulator),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the stages."""
        m = Module()
        names = "relu", "highest", "lowest", "maximum", "raw", "shift", "form", "split"
        layer = {name: delayed(m, self.layer[name], 1) for name in names}
        total = Signal(self.layout.accumulator, reset_less=True)
        m.d.sync += total.eq(self._gathered(m, layer["split"]) + self.constant.bias)
        positive = ~(layer["relu"] & total[-1]).replicate(len(total))  # a mask: a reset keeps out of a multiplier
        rectified = delayed(m, (total.as_unsigned() & positive).as_signed(), 1)
        offset = None
        if self.layout.array.offset_bits:
            there = delayed(m, self.constant.offset, 1)
            offset = delayed(m, there & positive[0].replicate(len(there)), 1)
        product = self._product(m, rectified, delayed(m, self.constant.multiplier, RECTIFIED - 2), offset)
        rounded, floor = self._rounded(m, product, layer["shift"])
        m.d.comb += self.code.eq(self._kept(m, rounded, floor, layer))
        m.d.comb += self.out.eq(delayed(m, Mux(layer["raw"], rectified, self.written), 1))
        return m

    def _gathered(self, m: Module, split: Signal) -> Value:
        """Return the accumulator two cycles later, with those of the other lanes if they are parts of its sum."""
        parts = [(other & split.replicate(len(other))).as_signed() for other in self.others]
        return self._sum(m, [self.value, *parts], 2)[: len(self.value)].as_signed()

    def _product(self, m: Module, value: Signal, factor: Value, offset: Value | None) -> Value:
        """Multiply in 1 + `SUM_CYCLES` cycles; what is above `LOW_BITS` bit by bit, the sign's bit with a minus."""
        bits = len(value) + len(factor)
        if len(value) <= MULTIPLIER_WIDTH:
            return self._added(m, value * factor, offset, 1 + SUM_CYCLES)[:bits].as_signed()
        low_product = self._added(m, value[:LOW_BITS] * factor, offset, SUM_CYCLES)
        terms: list[Value] = [
            Cat(Const(0, place), factor & bit.replicate(len(factor))) for place, bit in enumerate(value[LOW_BITS:-1])
        ]
        place = len(value) - LOW_BITS - 1
        terms.append(-Cat(Const(0, place), factor & value[-1].replicate(len(factor))))
        product = low_product + Cat(Const(0, LOW_BITS), self._sum(m, terms, SUM_CYCLES)).as_signed()
        return delayed(m, product[:bits].as_signed(), 1)

    def _added(self, m: Module, product: Value, offset: Value | None, cycles: int) -> Value:
        """Return a product `cycles` later; an offset, if there is any, is added in the last of them."""
        if offset is None:
            return delayed(m, product, cycles)
        return delayed(m, delayed(m, product, cycles - 1) + delayed(m, offset, cycles - 1), 1)

    def _sum(self, m: Module, terms: list[Value], cycles: int) -> Value:
        """Add up in `cycles`, as few terms at a time as that takes."""
        width = next(count for count in range(2, 99) if count**cycles >= len(terms))
        for _ in range(cycles):
            terms = [delayed(m, reduce(add, terms[first : first + width]), 1) for first in range(0, len(terms), width)]
        return terms[0]

    def _rounded(self, m: Module, product: Value, places: Value) -> tuple[dict[Rounding, Signal], Value]:
        """Shift right by `places` and round, by each rounding that a format has; beside it the floor, if one reads it.

        Above what a format can ask for no bits are kept, only whether all of them are the sign: a value is outside all
        formats, on its side, with the same bits below, if the bit above them is not the sign.
        """
        value = Cat(Const(0, 1), product).as_signed()  # one more bit below, so that a shift of 0 drops one too
        rest, far = Const(0, 1), Const(0, 1)
        for low in SHIFT_STEPS:
            value, rest, far = self._shifted(m, value, rest, far, places, low)
            places = places[:low]
        modes = dict.fromkeys(form.rounding for form in self.formats) or {Rounding.TRN: None}
        sign = value[-1]
        shifted = Cat(rest, value[:-1], sign ^ far, sign).as_signed()  # two bits below the point are all that it takes
        rounded = {
            mode: Signal(signed(len(shifted) - 1), name=f"rounded_{mode.name}", reset_less=True) for mode in modes
        }
        m.d.sync += [rounded[mode].eq(round_shift(shifted, 2, mode)) for mode in modes]
        floor = delayed(m, shifted >> 2, 1) if any(map(reads_floor, self.formats)) else Const(0)
        return rounded, floor

    def _shifted(
        self, m: Module, value: Value, rest: Value, far: Value, places: Value, low: int
    ) -> tuple[Value, Value, Value]:
        """Shift right by `places` from bit `low` on, in one cycle, and keep what later shifts and a format can ask for.

        `rest` says whether anything but zeros fell off below, `far` whether anything but signs did above.
        """
        widths = [form.width for form in self.formats]
        kept = max([Shape.cast(self.layout.operand).width, *widths]) + 1 + (1 << low)
        places, sign = places[low:], value[-1]
        shifts = [step << low for step in range(1 << len(places))]
        below = Array(value[:shift].any() for shift in shifts)
        tails = [value[shift + kept :] for shift in shifts]
        above = Array((tail ^ sign.replicate(len(tail))).any() for tail in tails)
        shifted = Cat((value >> Cat(Const(0, low), places))[:kept], sign).as_signed()
        return (
            delayed(m, shifted, 1),
            delayed(m, rest | below[places], 1),
            delayed(m, far | above[places], 1),
        )

    def _kept(self, m: Module, rounded: dict[Rounding, Signal], floor: Value, layer: dict[str, Signal]) -> Signal:
        """Return the code of the layer's format; a maximum is a code already, and was not shifted."""
        choices = []
        for index, form in enumerate(self.formats):
            choice = Signal(self.layout.operand, name=f"code_{index}")
            m.d.comb += choice.eq(overflow(rounded[form.rounding], floor, form))
            choices.append(choice)
        code, kept = Signal(self.layout.operand, reset_less=True), next(iter(rounded.values()))
        chosen = Signal(self.layout.operand)
        m.d.comb += chosen.eq(Mux(layer["maximum"], kept, Array(choices)[layer["form"]]) if choices else kept)
        m.d.sync += code.eq(chosen)
        for name, there in (("highest", self.layout.array.ceiling), ("lowest", self.layout.array.floor)):
            if there:
                with m.If(chosen > layer[name] if name == "highest" else chosen < layer[name]):
                    m.d.sync += code.eq(layer[name])
        return code
