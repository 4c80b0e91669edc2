"""The way out of the array: bias, ReLU, requantisation, and back to the activation memory or out of the chip.

One row (the pixels of one output map) a cycle, while the array works on the next tile:

    cycle 1-2    the row waits for its constants
    cycle 3      row + bias
    cycle 4      ReLU                 accumulators of a raw final layer leave for the output stream here
    cycle 5-8    times multiplier: the lower 17 bits in a hardware multiplier, the few above them in logic
    cycle 9-11   shifted by multiples of 16, of 4, of 1; what falls off is remembered in two bits
    cycle 12     rounded
    cycle 13     overflow             the word is written, or leaves for the output stream

The formats of a Program's signals, with their rounding and overflow, are known when the hardware is made; a layer names
one of them by number. A max pool's codes pass unchanged.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.fixedpoint import FixedFormat, Rounding, round_shift
from rtl.layout import Layout, Target
from rtl.memory import delayed, loadable
from rtl.requantize import overflow
from rtl.tiles import tile_layout

RECTIFIED, CODES = 4, 13  # cycles after which a row has these
LOW_BITS = 17  # of an accumulator that meet the multiplier in hardware of 18 x 18 bits
SUM_CYCLES = 3  # to add up the products of the bits above
SHIFT_STEPS = (4, 2, 0)  # the shift's bits from here up to the step before are done in one cycle


class Drain(wiring.Component):
    """Bias, ReLU and requantisation of one row a cycle.

    Ports
    -----
    begin, tile : in, row 0 of a tile is in the shadow, and what it is
    row : in, the row in the shadow
    layer : in, the layer's words
    load, loaded : in, a word for the constants
    write_address, write, write_lanes : out, to the activation memory
    out, out_lanes, out_last : out, accumulators or codes of the final layer
    done : out, the layer's last row has left
    """

    def __init__(self, layout: Layout, formats: Sequence[FixedFormat]) -> None:
        self.layout, self.formats = layout, list(formats)
        self.pixel_lanes = range(layout.array.pixel_lanes)
        self.rows = data.ArrayLayout(layout.accumulator, layout.array.pixel_lanes)
        super().__init__(
            {
                "begin": In(1),
                "tile": In(tile_layout(layout)),
                "row": In(self.rows),
                "layer": In(layout.layer),
                "load": In(1),
                "loaded": In(layout.load),
                "write_address": Out(layout.address),
                "write": Out(layout.pixels),
                "write_lanes": Out(layout.lane_count),
                "out": Out(self.rows),
                "out_lanes": Out(layout.lane_count),
                "out_valid": Out(1),
                "out_last": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the row counter, the stages and the two ways out."""
        m = Module()
        lanes, address, last = self._build_rows(m)
        rectified, multiplier = self._build_bias(m)
        products = [self._product(m, rectified[lane], multiplier) for lane in self.pixel_lanes]
        codes = [self._code(m, product) for product in products]
        final, raw = self.layer.final, self.layer.final & self.layer.raw
        raw_lanes, raw_last = delayed(m, lanes, RECTIFIED), delayed(m, last, RECTIFIED)
        # rows that have left as accumulators end there: the next image may run when their codes would come
        code_lanes, code_last = delayed(m, Mux(raw, 0, lanes), CODES), delayed(m, last & ~raw, CODES)
        for lane, code in enumerate(codes):
            m.d.comb += self.write[lane].eq(code)
            m.d.sync += self.out[lane].eq(Mux(raw, rectified[lane], code))
        m.d.comb += [
            self.write_address.eq(delayed(m, address, CODES)),
            self.write_lanes.eq(Mux(final, 0, code_lanes)),
        ]
        out_lanes = Mux(raw, raw_lanes, Mux(final, code_lanes, 0))
        m.d.sync += [
            self.out_lanes.eq(out_lanes),
            self.out_valid.eq(out_lanes != 0),
            self.out_last.eq(Mux(raw, raw_last, code_last)),
            self.done.eq(Mux(raw, raw_last, code_last)),
        ]
        return m

    def _build_rows(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Count the rows of a tile; return lanes, address and end of the row in the shadow."""
        layout = self.layout
        left, pixels = Signal(layout.row_count), Signal(layout.lane_count)
        following, end = Signal(layout.address), Signal()
        lanes, address, last = Signal(layout.lane_count), Signal(layout.address), Signal()
        m.d.comb += [
            lanes.eq(Mux(self.begin, self.tile.pixels, Mux(left != 0, pixels, 0))),
            address.eq(Mux(self.begin, self.tile.address, following)),
            last.eq(Mux(self.begin, self.tile.end & (self.tile.rows == 1), end & (left == 1))),
        ]
        m.d.sync += following.eq(address + self.layer.output_map)
        with m.If(self.begin):
            m.d.sync += [left.eq(self.tile.rows - 1), pixels.eq(self.tile.pixels), end.eq(self.tile.end)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return lanes, address, last

    def _build_bias(self, m: Module) -> tuple[list[Signal], Value]:
        """Fetch each row's constants; return the row with its bias, rectified, and its multiplier at that time."""
        layout = self.layout
        read = loadable(m, layout.constant, layout.array.constants, Target.CONSTANTS, self.load, self.loaded)
        following, constant = Signal(layout.constant_index), Signal(layout.constant)
        m.d.comb += read.addr.eq(Mux(self.begin, self.tile.constant, following))
        m.d.sync += [following.eq(read.addr + 1), constant.eq(read.data)]
        row = delayed(m, self.row, 2)
        rectified = []
        for lane in self.pixel_lanes:
            total, positive = (Signal(layout.accumulator, name=f"{name}{lane}") for name in ("total", "rectified"))
            m.d.sync += total.eq(row[lane] + constant.bias)
            m.d.sync += positive.eq(Mux(self.layer.relu & total[-1], 0, total))
            rectified.append(positive)
        return rectified, delayed(m, constant.multiplier, RECTIFIED - 2)

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

    def _code(self, m: Module, product: Signal) -> Signal:
        """Shift, round and resolve overflow by the layer's format."""
        value = Cat(Const(0, 1), product).as_signed()  # one more bit below, so that a shift of 0 drops one too
        rest: Value = Const(0, 1)
        bits = self.layer.shift
        for low in SHIFT_STEPS:
            value, rest = self._shifted(m, value, rest, bits[low:], low)
            bits = bits[:low]
        modes = dict.fromkeys(form.rounding for form in self.formats) or {Rounding.TRN: None}
        shifted = Cat(rest, value).as_signed()  # two bits below the point tell all that rounding asks
        rounded = {mode: Signal(signed(len(product) + 1), name=f"rounded_{mode.name}") for mode in modes}
        m.d.sync += [rounded[mode].eq(round_shift(shifted, 2, mode)) for mode in modes]
        return self._kept(m, rounded)

    def _shifted(self, m: Module, value: Value, rest: Value, places: Value, low: int) -> tuple[Value, Value]:
        """Shift right by `places` * 2**low in one cycle; `rest` says whether anything but zeros fell off so far."""
        dropped = [Const(0, 1), *(value[: i << low].any() for i in range(1, 1 << len(places)))]
        shifted, any_rest = Signal(value.shape()), Signal()
        m.d.sync += [shifted.eq(value >> Cat(Const(0, low), places)), any_rest.eq(rest | Array(dropped)[places])]
        return shifted, any_rest

    def _kept(self, m: Module, rounded: dict) -> Signal:
        """Return the code of the layer's format; a maximum is a code already, and was not shifted."""
        choices = []
        for index, form in enumerate(self.formats):
            choice = Signal(self.layout.operand, name=f"code_{index}")
            m.d.comb += choice.eq(overflow(rounded[form.rounding], form))
            choices.append(choice)
        code, kept = Signal(self.layout.operand), next(iter(rounded.values()))
        m.d.sync += code.eq(Mux(self.layer.maximum, kept, Array(choices)[self.layer.form]) if choices else kept)
        return code
