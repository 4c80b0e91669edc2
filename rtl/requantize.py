"""Requantisation in hardware: an accumulator becomes the code of the next signal, one a cycle.

    stage 1   product = max(accumulator, 0 if relu) * multiplier
    stage 2   code    = overflow(round(product / 2**shift))

Rounding is the rule of `accel.fixedpoint.round_shift` itself, applied to Amaranth values; overflow is built from
comparisons and multiplexers and tested against `accel.fixedpoint.overflow_code`. Shift and modes are fixed when the
hardware is made; the multiplier comes with each accumulator, so that output maps may differ. `code` follows its
accumulator by `LATENCY` cycles; there is no back-pressure here, a stream around it holds `enable` low to stall.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.fixedpoint import FixedFormat, Overflow, round_shift

LATENCY = 2


class Requantizer(wiring.Component):
    """One lane of requantisation.

    Parameters
    ----------
    accumulator_bits : int
        Signed.
    multiplier_bits : int
        Unsigned.
    shift : int
        At least 0.
    output : FixedFormat
        The integer codes that come out.
    relu : bool

    Ports
    -----
    enable, accumulator, multiplier : in
    code : out, signed or unsigned as `output` is
    """

    def __init__(
        self, accumulator_bits: int, multiplier_bits: int, shift: int, output: FixedFormat, relu: bool
    ) -> None:
        self.shift, self.output, self.relu = shift, output, relu
        self.product_bits = accumulator_bits + multiplier_bits
        super().__init__(
            {
                "enable": In(1),
                "accumulator": In(signed(accumulator_bits)),
                "multiplier": In(unsigned(multiplier_bits)),
                "code": Out(signed(output.width) if output.signed else unsigned(output.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the two stages."""
        m = Module()
        product = Signal(signed(self.product_bits))
        rounded = Signal(signed(self.product_bits + 1))  # one bit more: rounding carries
        rectified = Mux(self.accumulator < 0, 0, self.accumulator) if self.relu else self.accumulator
        m.d.comb += rounded.eq(round_shift(product, self.shift, self.output.rounding))
        with m.If(self.enable):
            m.d.sync += [
                product.eq(rectified * self.multiplier),
                self.code.eq(overflow(rounded, self.output)),
            ]
        return m


def overflow(value: Value, form: FixedFormat) -> Value:
    """Return the code of `form` that stands for the integer `value`, as multiplexers."""
    width, mode = form.width, form.overflow
    low = form.min_code + (1 if mode == Overflow.SAT_SYM and form.signed and width > 1 else 0)
    over, under = value > form.max_code, value < low
    match mode:
        case Overflow.SAT | Overflow.SAT_SYM:
            return Mux(over, form.max_code, Mux(under, low, value))
        case Overflow.SAT_ZERO:
            return Mux(over | under, 0, value)
    bits = _wrapped(_extended(value, width), value < 0, form)
    code = bits.as_signed() if form.signed else bits
    return Mux(over | under, code, value)


def _wrapped(value: Value, negative: Value, form: FixedFormat) -> Value:
    """Return the bits of a value outside the range under the two wrapping modes."""
    width, saturated = form.width, form.saturation_bits
    free = width - saturated
    inverted: Value = Const(0)
    if form.overflow == Overflow.WRAP_SM:
        if saturated == 0:
            inverted = value[width] ^ value[width - 1]
        elif saturated == 1:
            inverted = negative ^ value[width - 1]
        else:
            inverted = ~(negative ^ value[free])
    if saturated == 0 or (form.overflow == Overflow.WRAP_SM and saturated == 1):
        return value[:width] ^ inverted.replicate(width)
    kept = (value[:free] ^ inverted.replicate(free)) if free else Const(0, 0)
    if not form.signed:
        return Cat(kept, Const(-1, saturated))
    return Cat(kept, (~negative).replicate(saturated - 1), negative)


def _extended(value: Value, width: int) -> Value:
    """Return `value` with at least one bit above a code of `width` bits."""
    wide = Signal(signed(max(len(value), width + 1)))
    return (value + Const(0, wide.shape()))[: len(wide)].as_signed()
