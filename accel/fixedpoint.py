"""Fixed-point formats: what ``ap_fixed<W,I,Q,O,N>`` means, on integer codes.

A real value is ``code * 2**-fraction_bits``. Assignment to a format rounds first and resolves overflow second, so that
overflow sees the carry of the rounding, but for one case below. `round_shift` and `overflow_code` are the only
statement of both rules: they are written with integer operators alone and without branches on data, so that the same
lines serve numpy arrays, Python integers of any size, numba scalars and (`round_shift`) Amaranth values.

Source: the quantisation and overflow modes of IEEE 1666 (SystemC ``sc_fixed``) as the HLS header ``ap_fixed_base.h``
implements them, saturated bits included. The two differ in one place, where we follow the header, because it defines
``ap_fixed``: ``AP_WRAP_SM`` with N = 0 reads the lowest deleted bit before the rounding may carry into it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from numbers import Integral
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.errors import EspalierError

FAST_BITS = 62  # int64 holds any intermediate of this many bits with room for a carry
EXPONENT_LIMIT = 1000  # within it every code's value lies in float64's range, down to the lowest of 64 bits
_TEXT = re.compile(r"ap_(u?)fixed<(-?\d+),(-?\d+)(?:,(?:AP_)?(\w+))?(?:,(?:AP_)?(\w+))?(?:,(-?\d+))?>")


class Rounding(IntEnum):
    """What happens to the bits below the lowest one kept (ap_fixed's quantisation modes)."""

    RND = 0  # to nearest, ties towards plus infinity
    RND_ZERO = 1  # to nearest, ties towards zero
    RND_MIN_INF = 2  # to nearest, ties towards minus infinity
    RND_INF = 3  # to nearest, ties away from zero
    RND_CONV = 4  # to nearest, ties to even
    TRN = 5  # floor
    TRN_ZERO = 6  # towards zero


class Overflow(IntEnum):
    """What happens to a value outside the range (ap_fixed's overflow modes)."""

    SAT = 0  # the nearest end of the range
    SAT_ZERO = 1  # zero
    SAT_SYM = 2  # the nearest end of the symmetric range; an in-range most negative code moves too
    WRAP = 3  # the low bits
    WRAP_SM = 4  # sign-magnitude wrap (signed formats only)


SATURATING = (Overflow.SAT, Overflow.SAT_SYM)  # outside the range is an end of it: the order of values is kept


def round_shift(value: Any, shift: Any, mode: int) -> Any:
    """Return `value` / 2**`shift` rounded to an integer.

    Parameters
    ----------
    value : integer, integer array or Amaranth value
        With int64, at most 62 bits.
    shift : integer or integer array, at least 0
        Bits to drop; with int64, at most 61.
    mode : Rounding

    Examples
    --------
    >>> [round_shift(code, 1, Rounding.RND_CONV) for code in (-3, -1, 1, 3)]
    [-2, 0, 0, 2]
    """
    value = value << 1  # one more bit below, so that a shift of 0 has a first dropped bit too
    floor = value >> (shift + 1)
    half = (value >> shift) & 1
    rest = ((value & ((1 << shift) - 1)) != 0) * 1
    negative = (value < 0) * 1
    if mode == Rounding.RND:
        return floor + half
    if mode == Rounding.RND_ZERO:
        return floor + (half & (negative | rest))
    if mode == Rounding.RND_MIN_INF:
        return floor + (half & rest)
    if mode == Rounding.RND_INF:
        return floor + (half & ((1 ^ negative) | rest))
    if mode == Rounding.RND_CONV:
        return floor + (half & ((floor & 1) | rest))
    if mode == Rounding.TRN_ZERO:
        return floor + (negative & (half | rest))
    return floor


def overflow_code(value: Any, floor: Any, width: int, signed: bool, mode: int, saturation_bits: int) -> Any:
    """Return the code of `width` bits that stands for the integer `value`.

    Parameters
    ----------
    value : integer or integer array
        Rounded; with int64, at most 62 bits.
    floor : integer or integer array
        What `value` was when its lowest bits were dropped and nothing was added yet; `value` itself where none were.
        ``WRAP_SM`` without saturated bits reads the lowest deleted bit there.
    width : int
        Bits of the code; with int64, at most 62.
    signed : bool
    mode : Overflow
    saturation_bits : int
        N of ``ap_fixed``: high bits that the wraps saturate, 0..`width`.

    Examples
    --------
    >>> [overflow_code(value, value, 4, True, Overflow.WRAP_SM, 0) for value in (-19, -9, -8, 8, 9, 16, 19)]
    [2, -8, -8, 7, 6, -1, -4]
    >>> overflow_code(16, 15, 4, True, Overflow.WRAP_SM, 0)  # 15.5, rounded up: the bit above the code was 0
    0
    """
    sign_bit = (1 << (width - 1)) * (1 if signed else 0)
    high = (1 << (width - (1 if signed else 0))) - 1
    low = -sign_bit
    if mode == Overflow.SAT_SYM:
        low = low | (1 if signed else 0)
    over = (value > high) * 1
    under = (value < low) * 1
    if mode == Overflow.SAT or mode == Overflow.SAT_SYM:
        return value + over * (high - value) + under * (low - value)
    if mode == Overflow.SAT_ZERO:
        return value * (1 - (over | under))

    negative = (value < 0) * 1
    inside = 1 - (over | under)
    wrapped = ((value & ((1 << width) - 1)) ^ sign_bit) - sign_bit
    free = width - saturation_bits  # low bits that still wrap
    inverted = 0 * value
    if mode == Overflow.WRAP_SM:
        if saturation_bits == 0:
            inverted = ((floor >> width) ^ (value >> (width - 1))) & 1
        elif saturation_bits == 1:
            inverted = negative ^ ((value >> (width - 1)) & 1)
        else:
            inverted = 1 ^ negative ^ ((value >> free) & 1)
    if saturation_bits == 0 or (mode == Overflow.WRAP_SM and saturation_bits == 1):
        return inside * value + (1 - inside) * (wrapped ^ -inverted)
    # saturated bits: of a signed code 0 1..1 above the range and 1 0..0 below it, of an unsigned code always 1..1
    ones = ((1 << (saturation_bits - (1 if signed else 0))) - 1) << free
    top = ones + negative * (-sign_bit - ones) * (1 if signed else 0)
    return inside * value + (1 - inside) * (top + ((value ^ -inverted) & ((1 << free) - 1)))


@dataclass(frozen=True)
class FixedFormat:
    """A fixed-point format of `width` bits, `integer_bits` of them above the binary point.

    Parameters
    ----------
    width : int
        Bits in all, 1..64.
    integer_bits : int
        Bits above the binary point, the sign included; may be negative or exceed `width`.
    signed : bool
    rounding : Rounding
    overflow : Overflow
    saturation_bits : int
        N of ``ap_fixed``: how many high bits the wrapping modes saturate.

    Raises
    ------
    EspalierError
        A parameter is out of its range.

    Examples
    --------
    >>> signal = FixedFormat.parse("ap_fixed<8,3,AP_RND_CONV,AP_SAT>")
    >>> signal.encode([0.99, -100.0])
    array([  32, -128])
    >>> signal.decode(signal.encode(0.99))
    np.float64(1.0)
    >>> str(signal)
    'ap_fixed<8,3,AP_RND_CONV,AP_SAT>'
    """

    width: int
    integer_bits: int
    signed: bool = True
    rounding: Rounding = Rounding.TRN
    overflow: Overflow = Overflow.WRAP
    saturation_bits: int = 0

    def __post_init__(self) -> None:
        plain = {"width": index, "integer_bits": index, "signed": bool, "saturation_bits": index}
        for name, kind in plain.items():  # 1 << width wraps where width is one of numpy's integers
            object.__setattr__(self, name, kind(getattr(self, name)))
        if not 1 <= self.width <= 64:
            raise EspalierError(f"width must be 1..64, got {self.width}")
        if abs(self.integer_bits) > EXPONENT_LIMIT:
            raise EspalierError(f"integer_bits must be -{EXPONENT_LIMIT}..{EXPONENT_LIMIT}, got {self.integer_bits}")
        if not 0 <= self.saturation_bits <= self.width:
            raise EspalierError(f"saturation_bits must be 0..{self.width} (the width), got {self.saturation_bits}")
        if self.saturation_bits and self.overflow not in (Overflow.WRAP, Overflow.WRAP_SM):
            raise EspalierError(f"saturation_bits go with WRAP and WRAP_SM only, got {self.overflow.name}")
        if self.overflow == Overflow.WRAP_SM and not self.signed:
            raise EspalierError("WRAP_SM needs a signed format: an unsigned code has no sign to keep")

    @classmethod
    def parse(cls, text: str) -> "FixedFormat":
        """Return the format that HLS writes as `text`, such as ``ap_ufixed<8,0,AP_RND,AP_SAT>``.

        Raises
        ------
        EspalierError
            `text` is not an ``ap_fixed`` or ``ap_ufixed`` type.
        """
        match = _TEXT.fullmatch(re.sub(r"\s*([<,>])\s*", r"\1", text.strip()))
        if match is None:
            raise EspalierError(f"{text!r} is not a format: expected ap_fixed<W,I,Q,O,N> or ap_ufixed<W,I,Q,O,N>")
        unsigned, width, integer_bits, rounding, overflow, saturation_bits = match.groups()
        return cls(
            int(width),
            int(integer_bits),
            not unsigned,
            _mode(Rounding, rounding or "TRN", text),
            _mode(Overflow, overflow or "WRAP", text),
            int(saturation_bits or 0),
        )

    def __str__(self) -> str:
        parts = [str(self.width), str(self.integer_bits)]
        modes = [f"AP_{self.rounding.name}", f"AP_{self.overflow.name}", str(self.saturation_bits)]
        while modes and modes[-1] in ("0", "AP_WRAP", "AP_TRN"):
            modes.pop()
        return f"ap_{'' if self.signed else 'u'}fixed<{','.join(parts + modes)}>"

    @property
    def fraction_bits(self) -> int:
        """Bits below the binary point; a code of 1 is worth 2**-fraction_bits."""
        return self.width - self.integer_bits

    @property
    def min_code(self) -> int:
        """The lowest code of the format's bits (`SAT_SYM` never yields it)."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max_code(self) -> int:
        """The highest code."""
        return (1 << (self.width - self.signed)) - 1

    @property
    def dtype(self) -> type[np.generic]:
        """What arrays of codes are made of: int64, or uint64 where int64 is too short."""
        return np.uint64 if self.width == 64 and not self.signed else np.int64

    def encode(self, values: ArrayLike) -> NDArray[Any]:
        """Return the codes that the real `values` become when they are assigned to this format.

        Parameters
        ----------
        values : array_like of float or integer, any shape
            Floats are taken exactly; integers too, however large.

        Returns
        -------
        ndarray of int64 (uint64 for 64 unsigned bits), the shape of `values`

        Raises
        ------
        EspalierError
            A value is not a finite number, or of a type that float64 cannot hold.
        """
        array = np.asarray(values)
        if array.dtype.kind in "iub":
            source = FixedFormat(64, 64, signed=array.dtype.kind != "u")
            return self.convert(array.astype(source.dtype), source)
        if array.dtype == object:
            left, right = max(self.fraction_bits, 0), max(-self.fraction_bits, 0)
            return self._wide(lambda value: (value << left, right), _integers(array))
        if not np.can_cast(array.dtype, np.float64):  # text, complex, long double
            raise EspalierError(f"expected integers or floats of at most 64 bits, got an array of {array.dtype}")
        array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise EspalierError(f"cannot encode a value that is not finite as {self}")
        fraction, exponent = np.frexp(array)
        mantissa = np.ldexp(fraction, 53).astype(np.int64)
        shift = 53 - exponent.astype(np.int64) - self.fraction_bits  # the value in lsb is mantissa / 2**shift
        shift = np.where(mantissa == 0, 0, shift)
        if self.width <= FAST_BITS and shift.min(initial=0) >= 54 - FAST_BITS:
            # 60 bits down nothing but the sign and a sticky bit is left of 54: farther away is the same
            dropped = np.clip(shift, 0, 60)
            return self._assigned(mantissa << np.maximum(-shift, 0), dropped)
        numerator = mantissa.astype(object)
        return self._wide(lambda m, s: (m << max(-s, 0), max(s, 0)), numerator, shift)

    def decode(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Return the values of `codes` as float64 (exact for codes of up to 53 significant bits).

        Raises
        ------
        EspalierError
            A code is outside the format.
        """
        return np.ldexp(self.check(codes).astype(np.float64), -self.fraction_bits)

    def convert(self, codes: ArrayLike, source: "FixedFormat") -> NDArray[Any]:
        """Return what `codes` of the format `source` become when they are assigned to this format.

        Parameters
        ----------
        codes : array_like of integers, any shape
        source : FixedFormat

        Raises
        ------
        EspalierError
            A code is outside `source`, or not an integer.
        """
        array = source.check(codes)
        shift = source.fraction_bits - self.fraction_bits
        left, right = max(-shift, 0), max(shift, 0)
        if source.width + left < FAST_BITS and right < FAST_BITS and self.width <= FAST_BITS:
            return self._assigned(array << left, right)
        return self._wide(lambda code: (code << left, right), array.astype(object))

    def check(self, codes: ArrayLike) -> NDArray[Any]:
        """Return `codes` as an array of this format's dtype, or say which code is outside it.

        Raises
        ------
        EspalierError
            A code is not an integer, or outside `min_code` .. `max_code`.
        """
        array = _integers(np.asarray(codes))
        if array.size:
            for code in (int(array.min()), int(array.max())):
                if not self.min_code <= code <= self.max_code:
                    raise EspalierError(f"code {code} is outside {self}: {self.min_code}..{self.max_code}")
        return array.astype(self.dtype)

    def _assigned(self, value: Any, shift: Any) -> Any:
        """Return the code of `value` / 2**`shift`, in units of the lowest bit."""
        rounded = round_shift(value, shift, self.rounding)
        return overflow_code(rounded, value >> shift, self.width, self.signed, self.overflow, self.saturation_bits)

    def _wide(self, scaled: Callable[..., tuple[int, int]], *arrays: NDArray[Any]) -> NDArray[Any]:
        """Apply the same rules to Python integers, one element at a time, where int64 is too short.

        `scaled` gives the `value` and `shift` of an element.
        """
        wide = np.frompyfunc(lambda *items: self._assigned(*scaled(*map(int, items))), len(arrays), 1)
        return np.asarray(wide(*arrays)).astype(self.dtype)


def _integers(array: NDArray[Any]) -> NDArray[Any]:
    """Return `array` if it holds integers, of a numpy type or of any size."""
    if array.dtype == object:
        for item in array.flat:
            if not isinstance(item, Integral):
                raise EspalierError(f"expected integers, got {item!r}")
    elif array.size and array.dtype.kind not in "iub":  # numpy makes floats of an empty list
        raise EspalierError(f"expected integers, got an array of {array.dtype}")
    return array


def _mode(modes: Any, name: str, text: str) -> Any:
    if name not in modes.__members__:
        known = ", ".join(f"AP_{mode}" for mode in modes.__members__)
        raise EspalierError(f"AP_{name} in {text!r} is not one of {known}")
    return modes[name]
