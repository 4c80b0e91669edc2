"""From an accumulator to a code: bias, ReLU and requantisation of one pixel lane.

    cycle 1-2    the row waits for its constants
    cycle 3      row + bias
    cycle 4      ReLU                 accumulators of a raw final layer are there
    cycle 5-8    times multiplier: the lower 17 bits in a hardware multiplier, the few above them in logic
    cycle 9-11   shifted by multiples of 16, of 4, of 1; what falls off is remembered in two bits
    cycle 12     rounded
    cycle 13     overflow             the word is written, or leaves for the output stream

The formats of a Program's signals, with their rounding and overflow, are known when the hardware is made; a layer names
one of them by number. A max pool's codes pass unchanged. What the layer says is kept in registers of the column: it
changes only while no row is there.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.fixedpoint import FixedFormat, Rounding, round_shift
from rtl.layout import Layout
from rtl.memory import delayed
from rtl.requantize import overflow

RECTIFIED, CODES = 4, 13  # cycles after which a row has these
LOW_BITS = 17  # of an accumulator that meet the multiplier in hardware of 18 x 18 bits
SUM_CYCLES = 3  # to add up the products of the bits above
SHIFT_STEPS = (4, 2, 0)  # the shift's bits from here up to the step before are done in one cycle


class Column(wiring.Component):
    """One pixel lane of the drain.

    Ports
    -----
    value : in, an accumulator
    constant : in, bias and multiplier of its row, two cycles later
    layer : in, the layer's words
    code : out, `CODES` cycles after the accumulator
    out : out, a cycle after `code`; or the accumulator, if the layer is raw, a cycle after it is rectified
    """

    def __init__(self, layout: Layout, formats: Sequence[FixedFormat]) -> None:
        self.layout, self.formats = layout, list(formats)
        super().__init__(
            {
                "value": In(layout.accumulator),
                "constant": In(layout.constant),
                "layer": In(layout.layer),
                "code": Out(layout.operand),
                "out": Out(layout.accumulator),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the stages."""
        m = Module()
        layer = {name: delayed(m, self.layer[name], 1) for name in ("relu", "maximum", "raw", "shift", "form")}
        total, rectified = Signal(self.layout.accumulator), Signal(self.layout.accumulator)
        m.d.sync += total.eq(delayed(m, self.value, 2) + self.constant.bias)
        m.d.sync += rectified.eq(Mux(layer["relu"] & total[-1], 0, total))
        product = self._product(m, rectified, delayed(m, self.constant.multiplier, RECTIFIED - 2))
        rounded = self._rounded(m, product, layer["shift"])
        m.d.comb += self.code.eq(self._kept(m, rounded, layer))
        m.d.sync += self.out.eq(Mux(layer["raw"], rectified, self.code))
        return m

    def _product(self, m: Module, value: Signal, factor: Value) -> Signal:
        """Multiply in 1 + `SUM_CYCLES` cycles; what is above `LOW_BITS` bit by bit, the sign's bit with a minus."""
        product = Signal(signed(len(value) + len(factor)))
        low, low_product = value[:LOW_BITS], Signal(LOW_BITS + len(factor))
        if len(value) <= LOW_BITS + 1:
            whole = Signal(product.shape())
            m.d.sync += [whole.eq(value * factor), product.eq(delayed(m, whole, SUM_CYCLES - 1))]
            return product
        m.d.sync += low_product.eq(low * factor)
        terms: list[Value] = [
            Cat(Const(0, place), factor & bit.replicate(len(factor))) for place, bit in enumerate(value[LOW_BITS:-1])
        ]
        place = len(value) - LOW_BITS - 1
        terms.append(-Cat(Const(0, place), factor & value[-1].replicate(len(factor))))
        high = self._sum(m, terms)
        m.d.sync += product.eq(delayed(m, low_product, SUM_CYCLES - 1) + Cat(Const(0, LOW_BITS), high).as_signed())
        return product

    def _sum(self, m: Module, terms: list[Value]) -> Value:
        """Add up in `SUM_CYCLES` cycles, as few terms at a time as that takes."""
        width = next(count for count in range(2, 99) if count**SUM_CYCLES >= len(terms))
        for _ in range(SUM_CYCLES):
            sums = []
            for first in range(0, len(terms), width):
                value = reduce(add, terms[first : first + width])
                sums.append(Signal(value.shape()))
                m.d.sync += sums[-1].eq(value)
            terms = sums
        return terms[0]

    def _rounded(self, m: Module, product: Signal, places: Value) -> dict[Rounding, Signal]:
        """Shift right by `places` and round, by each rounding that a format has."""
        value = Cat(Const(0, 1), product).as_signed()  # one more bit below, so that a shift of 0 drops one too
        rest: Value = Const(0, 1)
        for low in SHIFT_STEPS:
            value, rest = self._shifted(m, value, rest, places[low:], low)
            places = places[:low]
        modes = dict.fromkeys(form.rounding for form in self.formats) or {Rounding.TRN: None}
        shifted = Cat(rest, value).as_signed()  # two bits below the point tell all that rounding asks
        rounded = {mode: Signal(signed(len(product) + 1), name=f"rounded_{mode.name}") for mode in modes}
        m.d.sync += [rounded[mode].eq(round_shift(shifted, 2, mode)) for mode in modes]
        return rounded

    def _shifted(self, m: Module, value: Value, rest: Value, places: Value, low: int) -> tuple[Value, Value]:
        """Shift right by `places` * 2**low in one cycle; `rest` says whether anything but zeros fell off so far."""
        dropped = [Const(0, 1), *(value[: i << low].any() for i in range(1, 1 << len(places)))]
        shifted, any_rest = Signal(value.shape()), Signal()
        m.d.sync += [shifted.eq(value >> Cat(Const(0, low), places)), any_rest.eq(rest | Array(dropped)[places])]
        return shifted, any_rest

    def _kept(self, m: Module, rounded: dict[Rounding, Signal], layer: dict[str, Signal]) -> Signal:
        """Return the code of the layer's format; a maximum is a code already, and was not shifted."""
        choices = []
        for index, form in enumerate(self.formats):
            choice = Signal(self.layout.operand, name=f"code_{index}")
            m.d.comb += choice.eq(overflow(rounded[form.rounding], form))
            choices.append(choice)
        code, kept = Signal(self.layout.operand), next(iter(rounded.values()))
        m.d.sync += code.eq(Mux(layer["maximum"], kept, Array(choices)[layer["form"]]) if choices else kept)
        return code
