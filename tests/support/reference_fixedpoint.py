"""What assignment to an ``ap_fixed`` type means, written from the definition and from nothing in `accel`.

A value is a `Fraction`; rounding compares its distances to the integers on both sides; the wraps edit lists of bits,
the most significant first, in the order in which ``overflow_adjust`` of the HLS header ``ap_fixed_base.h`` does. Slow
and plain on purpose: `accel.fixedpoint` does the same with shifts and masks, and the tests compare the two.
"""

from fractions import Fraction
from math import ceil, floor

TIES = {  # which of the two neighbors (below, above) a value halfway between them goes to
    "RND": max,
    "RND_MIN_INF": min,
    "RND_ZERO": lambda below, above: min(below, above, key=abs),
    "RND_INF": lambda below, above: max(below, above, key=abs),
    "RND_CONV": lambda below, above: below if below % 2 == 0 else above,
}


def round_to_integer(value: Fraction, rounding: str) -> int:
    """Return the integer that `value` becomes."""
    below, above = floor(value), ceil(value)
    if rounding == "TRN":
        return below
    if rounding == "TRN_ZERO":
        return below if value > 0 else above
    to_below, to_above = value - below, above - value
    if to_below != to_above:
        return below if to_below < to_above else above
    return TIES[rounding](below, above)


def resolve_overflow(value: int, dropped: int, width: int, signed: bool, overflow: str, saturated: int) -> int:
    """Return the code of `width` bits that the rounded integer `value` becomes.

    `dropped` is what the exact value is when its fraction is dropped and nothing is added: before the carry.
    """
    lowest = -(2 ** (width - 1)) if signed else 0
    highest = lowest + 2**width - 1
    if overflow == "SAT_SYM" and signed and width > 1:
        lowest = -highest
    if lowest <= value <= highest:
        return value
    if overflow == "SAT_ZERO":
        return 0
    if overflow in ("SAT", "SAT_SYM"):
        return lowest if value < lowest else highest

    bits = [value // 2**position % 2 for position in range(width - 1, -1, -1)]
    if overflow == "WRAP_SM":
        bits = sign_magnitude_wrap(bits, dropped // 2**width % 2, int(value < 0), saturated)
    elif signed:
        bits[:saturated] = saturated_bits(int(value < 0), saturated)
    else:
        bits[:saturated] = [1] * saturated
    return number(bits, signed)


def sign_magnitude_wrap(bits: list[int], deleted: int, sign: int, saturated: int) -> list[int]:
    """Return `bits` as ``WRAP_SM`` leaves them; `sign` is the value's own.

    `deleted` is the bit above them, of the source: the header reads its ``lD`` there, where no carry has been added.
    """
    inverse = [1 - bit for bit in bits]
    if saturated == 0:
        return inverse if bits[0] != deleted else bits
    if saturated == 1:
        kept = inverse if bits[0] != sign else bits
    else:
        kept = inverse if bits[saturated - 1] == sign else bits
    return saturated_bits(sign, saturated) + kept[saturated:]


def saturated_bits(sign: int, count: int) -> list[int]:
    """Return the top `count` bits of a signed code at the end of the range: the sign, then its inverse."""
    return ([sign] + [1 - sign] * (count - 1))[:count]


def number(bits: list[int], signed: bool) -> int:
    """Return the integer that `bits` stand for in two's complement (or plainly, where not `signed`)."""
    plain = int("".join(map(str, bits)), 2)
    return plain - 2 ** len(bits) if signed and bits[0] else plain


def assign(
    value: Fraction, width: int, fraction_bits: int, signed: bool, rounding: str, overflow: str, saturated: int
) -> int:
    """Return the code that the real `value` becomes: rounding first, overflow second."""
    exact = value * Fraction(2) ** fraction_bits
    return resolve_overflow(round_to_integer(exact, rounding), floor(exact), width, signed, overflow, saturated)
