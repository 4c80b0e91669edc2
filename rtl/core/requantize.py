"""Overflow in hardware: `accel.fixedpoint.overflow_code` as comparisons and multiplexers.

Rounding needs nothing of its own: `accel.fixedpoint.round_shift` takes Amaranth values as it is.
"""

from amaranth.hdl import Cat, Const, Mux, Signal, Value, signed

from accel.fixedpoint import FixedFormat, Overflow


def overflow(value: Value, floor: Value, form: FixedFormat) -> Value:
    """Return the code of `form` that stands for the integer `value`, as multiplexers.

    `floor` is what `value` was before it was rounded; it counts where `reads_floor` of the format.
    """
    width, mode = form.width, form.overflow
    low = form.min_code + (1 if mode == Overflow.SAT_SYM and form.signed and width > 1 else 0)
    over, under = value > form.max_code, value < low
    match mode:
        case Overflow.SAT | Overflow.SAT_SYM:
            return Mux(over, form.max_code, Mux(under, low, value))
        case Overflow.SAT_ZERO:
            return Mux(over | under, 0, value)
    bits = _wrapped(_extended(value, width), _extended(floor, width), value < 0, form)
    code = bits.as_signed() if form.signed else bits
    return Mux(over | under, code, value)


def reads_floor(form: FixedFormat) -> bool:
    """Return whether the overflow of `form` depends on what a value was before it was rounded."""
    return form.overflow == Overflow.WRAP_SM and form.saturation_bits == 0


def _wrapped(value: Value, floor: Value, negative: Value, form: FixedFormat) -> Value:
    """Return the bits of a value outside the range under the two wrapping modes."""
    width, saturated = form.width, form.saturation_bits
    free = width - saturated
    inverted: Value = Const(0)
    if reads_floor(form):
        inverted = floor[width] ^ value[width - 1]
    elif form.overflow == Overflow.WRAP_SM:
        if saturated == 1:
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
