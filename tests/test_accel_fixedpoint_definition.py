"""`FixedFormat` against the independent definition in `reference_fixedpoint`, and the laws that assignment obeys."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import cycle, product
from math import floor, ldexp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from support import reference_fixedpoint as reference
from support.formats import FULL_INTEGER_BITS, WRAPS, codes_of, formats, repeatable

from accel.fixedpoint import EXPONENT_LIMIT, FixedFormat, Overflow, Rounding

NEAREST = (Rounding.RND, Rounding.RND_ZERO, Rounding.RND_MIN_INF, Rounding.RND_INF, Rounding.RND_CONV)


def expected_code(value: Fraction | float | int, target: FixedFormat) -> int:
    """Return the code that the definition gives for the real `value`, taken exactly."""
    modes = target.rounding.name, target.overflow.name, target.saturation_bits
    return reference.assign(Fraction(value), target.width, target.fraction_bits, target.signed, *modes)


def exact_value(code: int, source: FixedFormat) -> Fraction:
    """Return what `code` is worth."""
    return Fraction(int(code)) / Fraction(2) ** source.fraction_bits


# Every mode on every code of small formats

SHIFTS = (-3, -2, -1, 0, 1, 2, 3, 9)  # fraction bits that the target has fewer than the source; 9: no bit is left
resolve_overflow = lru_cache(maxsize=None)(reference.resolve_overflow)


def small_targets(overflow: Overflow) -> Iterator[tuple[int, bool, int]]:
    """Yield width, signedness and saturated bits of the formats of 1 to 5 bits that `overflow` allows."""
    for width, signed in product(range(1, 6), (True, False)):
        if signed or overflow != Overflow.WRAP_SM:
            for saturation_bits in range(width + 1 if overflow in WRAPS else 1):
                yield width, signed, saturation_bits


def compare_with_reference(
    rounding: Rounding,
    overflow: Overflow,
    round_to_integer: Callable[..., int] = reference.round_to_integer,
    resolve: Callable[..., int] = resolve_overflow,
) -> None:
    """Assert `convert` == the definition for all codes of sources of 1 to 7 bits."""
    fraction_bits = cycle((-3, 9, 0, 2, -12))  # integer_bits exceed the width, are negative, and lie between
    for width, signed, shift in product((1, 2, 4, 7), (True, False), SHIFTS):
        source = FixedFormat(width, width - next(fraction_bits), signed)
        codes = np.arange(source.min_code, source.max_code + 1)
        scale = Fraction(2) ** -shift
        exact = [code * scale for code in codes.tolist()]
        rounded = [(round_to_integer(value, rounding.name), floor(value)) for value in exact]
        for target_width, target_signed, saturation_bits in small_targets(overflow):
            integer_bits = target_width - source.fraction_bits + shift
            target = FixedFormat(target_width, integer_bits, target_signed, rounding, overflow, saturation_bits)
            expected = [
                resolve(*values, target_width, target_signed, overflow.name, saturation_bits) for values in rounded
            ]
            assert target.convert(codes, source).tolist() == expected, f"{source} to {target}"


@pytest.mark.parametrize("overflow", Overflow, ids=lambda mode: mode.name)
@pytest.mark.parametrize("rounding", Rounding, ids=lambda mode: mode.name)
def test_convert_is_the_definition_on_every_small_code(rounding: Rounding, overflow: Overflow) -> None:
    """Every rounding x overflow x saturated bits x signedness agrees with the definition on all codes."""
    compare_with_reference(rounding, overflow)


@pytest.mark.parametrize(
    ("rounding", "other"),
    [("RND", "RND_INF"), ("RND_ZERO", "RND_MIN_INF"), ("RND_MIN_INF", "RND_CONV"), ("RND_INF", "RND"),
     ("RND_CONV", "RND_ZERO"), ("TRN", "TRN_ZERO"), ("TRN_ZERO", "TRN")],
)  # fmt: skip
def test_the_comparison_fails_on_another_rounding(rounding: str, other: str) -> None:
    """Negative control: against a definition with another tie rule or direction the comparison fails."""
    with pytest.raises(AssertionError, match="ap_"):
        compare_with_reference(
            Rounding[rounding], Overflow.SAT, lambda value, _: reference.round_to_integer(value, other)
        )


@pytest.mark.parametrize(
    ("overflow", "other"), [("SAT", "SAT_SYM"), ("SAT_SYM", "SAT"), ("SAT_ZERO", "WRAP"), ("WRAP_SM", "WRAP")]
)
def test_the_comparison_fails_on_another_overflow(overflow: str, other: str) -> None:
    """Negative control: against a definition with another overflow mode the comparison fails."""
    with pytest.raises(AssertionError, match="ap_"):
        compare_with_reference(
            Rounding.TRN, Overflow[overflow], resolve=lambda v, d, w, s, _, n: resolve_overflow(v, d, w, s, other, n)
        )


@pytest.mark.parametrize("rounding", Rounding, ids=lambda mode: mode.name)
def test_the_comparison_fails_on_a_deleted_bit_that_has_seen_the_carry(rounding: Rounding) -> None:
    """Negative control: the standard reads it after the rounding; every mode that can carry tells the two apart."""

    def standard(value: int, _: int, *format_: object) -> int:
        return resolve_overflow(value, value, *format_)

    if rounding == Rounding.TRN:
        compare_with_reference(rounding, Overflow.WRAP_SM, resolve=standard)
        return
    with pytest.raises(AssertionError, match=rf"AP_{rounding.name},AP_WRAP_SM>"):
        compare_with_reference(rounding, Overflow.WRAP_SM, resolve=standard)


@pytest.mark.parametrize("overflow", Overflow, ids=lambda mode: mode.name)
def test_the_comparison_fails_on_one_corrupt_code(overflow: Overflow) -> None:
    """Negative control: one wrong code, of one value in one width, makes the comparison fail."""

    def corrupt(value: int, dropped: int, width: int, *format_: object) -> int:
        return resolve_overflow(value, dropped, width, *format_) + (value == 11 and width == 4)

    with pytest.raises(AssertionError, match="ap_fixed<4,"):
        compare_with_reference(Rounding.TRN, overflow, resolve=corrupt)


# Wide formats

Reals = list[tuple[float, str | None, int]]
REALS = st.lists(
    st.one_of(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.none(), st.just(0)),
        st.tuples(st.floats(-4, 4), st.just("integer_bits"), st.integers(-2, 2)),  # around the ends of the range
        st.tuples(st.integers(-999, 999), st.just("fraction_bits"), st.integers(-3, 0)),  # a few bits below the lowest
    ),
    max_size=8,
)


def floats_near(format_: FixedFormat, reals: Reals) -> list[float]:
    """Return what `REALS` drew, as floats in the places of `format_` that they ask for."""
    exponents = {None: 0, "integer_bits": format_.integer_bits, "fraction_bits": -format_.fraction_bits}
    return [ldexp(real, exponents[place] + offset) for real, place, offset in reals]


@repeatable
@given(st.data())
def test_convert_is_the_definition_in_wide_formats(data: st.DataObject) -> None:
    """Up to 64 bits on both sides, the points anywhere, `convert` agrees with the definition."""
    source = data.draw(formats())
    near = st.integers(source.integer_bits - 66, source.integer_bits + 66)
    target = data.draw(formats(integer_bits=st.one_of(FULL_INTEGER_BITS, near)))
    codes = data.draw(codes_of(source))
    converted = target.convert(np.array(codes, dtype=source.dtype), source)
    assert converted.tolist() == [expected_code(exact_value(code, source), target) for code in codes]
    assert converted.dtype == target.dtype


@repeatable
@given(formats(), REALS)
def test_encode_is_the_definition_on_floats(target: FixedFormat, reals: Reals) -> None:
    """Floats are encoded as the exact fractions that they are."""
    values = floats_near(target, reals)
    encoded = target.encode(np.array(values, dtype=np.float64))
    assert encoded.tolist() == [expected_code(value, target) for value in values]
    assert encoded.dtype == target.dtype


@pytest.mark.parametrize("rounding", Rounding, ids=lambda mode: mode.name)
@pytest.mark.parametrize(("width", "integer_bits"), [(1, 1), (8, 3), (62, 1), (63, -70), (64, 130), (64, -1000)])
def test_encode_is_the_definition_at_the_ends_of_float64(width: int, integer_bits: int, rounding: Rounding) -> None:
    """Subnormals round as the tiny values that they are; the largest floats overflow as the integers that they are."""
    values = [5e-324, 2.0**-1030, 2.2250738585072014e-308, 1e-300, 1e308, 1.7976931348623157e308, 0.0]
    values += [-value for value in values]
    for signed, overflow in ((True, Overflow.SAT), (True, Overflow.WRAP_SM), (False, Overflow.WRAP)):
        target = FixedFormat(width, integer_bits, signed, rounding, overflow)
        assert target.encode(values).tolist() == [expected_code(value, target) for value in values], target
        for value in values:  # alone too: the others may have asked for wider integers
            assert target.encode(value).tolist() == expected_code(value, target), target


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_encode_takes_short_floats_exactly(dtype: type[np.floating]) -> None:
    """A float16 or float32 is taken as what it is: 0.1 is 1638/2**14 in float16 and 13421773/2**27 in float32."""
    expected = {np.float16: 1638 << 16, np.float32: 13421773 << 3}[dtype]  # in units of 2**-30
    assert FixedFormat(40, 10).encode(np.array([0.1], dtype)).tolist() == [expected]


@repeatable
@given(formats(), st.lists(st.one_of(st.integers(), st.integers(-(2**200), 2**200)), max_size=8))
def test_encode_is_the_definition_on_integers(target: FixedFormat, values: list[int]) -> None:
    """Integers of any size are taken exactly, as Python integers and in numpy's own types."""
    objects = np.array(values, dtype=object)
    assert target.encode(objects).tolist() == [expected_code(value, target) for value in values]
    for dtype in (np.int8, np.uint8, np.int32, np.int64, np.uint64):
        ends = np.iinfo(dtype)
        array = np.array([*(min(max(value, ends.min), ends.max) for value in values), ends.min, ends.max], dtype)
        assert target.encode(array).tolist() == [expected_code(value, target) for value in array.tolist()]


def test_encode_takes_integers_that_floats_cannot_hold() -> None:
    """The largest uint64 and Python integers beyond it keep every bit; booleans are 0 and 1."""
    wide = FixedFormat(64, 64, signed=False)
    assert wide.encode(2**64 - 1).tolist() == 2**64 - 1
    assert wide.encode(np.array([2**64 - 1, 2**63 + 1], np.uint64)).tolist() == [2**64 - 1, 2**63 + 1]
    assert wide.encode([2**200 + 3, -(2**200) - 1]).tolist() == [3, 2**64 - 1]
    assert FixedFormat(64, 64, overflow=Overflow.SAT).encode([2**64, -(2**64)]).tolist() == [2**63 - 1, -(2**63)]
    assert FixedFormat(4, 2).encode([True, False]).tolist() == [4, 0]


def edge_codes(format_: FixedFormat) -> list[int]:
    """Return the codes around 0, the ends, and the powers of two next to them."""
    powers = [1 << bit for bit in (0, format_.width - 3, format_.width - 2, format_.width - 1)]
    near = {sign * power + step for sign in (-1, 1) for power in powers for step in (-1, 0, 1)}
    near |= {format_.min_code, format_.max_code}
    return sorted(code for code in near if format_.min_code <= code <= format_.max_code)


@pytest.mark.parametrize("overflow", Overflow, ids=lambda mode: mode.name)
@pytest.mark.parametrize("rounding", Rounding, ids=lambda mode: mode.name)
def test_int64_and_wider_integers_agree(rounding: Rounding, overflow: Overflow) -> None:
    """Where int64 gives way to Python integers, at 60 to 64 bits or as many dropped ones, the codes do not change."""
    modes = overflow.name, 2 if overflow in WRAPS else 0
    for width, signed, shift in product((8, *range(60, 65)), (True, False), (-1, 0, 1, *range(59, 64))):
        source = FixedFormat(width, width, signed)
        codes = edge_codes(source)
        exact = [code / Fraction(2) ** shift for code in codes]
        rounded = [(reference.round_to_integer(value, rounding.name), floor(value)) for value in exact]
        to_signed = signed or overflow == Overflow.WRAP_SM
        for to_width in (3, 62, 63, 64):
            target = FixedFormat(to_width, to_width + shift, to_signed, rounding, overflow, modes[1])
            expected = [reference.resolve_overflow(*values, to_width, to_signed, *modes) for values in rounded]
            assert target.convert(np.array(codes, source.dtype), source).tolist() == expected, f"{source} to {target}"


@repeatable
@given(formats(widths=st.integers(50, 64)), REALS)
def test_encode_takes_each_value_alone(target: FixedFormat, reals: Reals) -> None:
    """A value's code does not depend on the values beside it, however wide the integers that those need."""
    values = floats_near(target, reals)
    assert target.encode(values).tolist() == [target.encode(value).tolist() for value in values]


# Properties

EXACT_WIDTHS = st.integers(1, 53)  # float64 holds these codes exactly


@repeatable
@given(st.data())
def test_decode_is_exact_and_encode_undoes_it(data: st.DataObject) -> None:
    """A code of up to 53 bits decodes to exactly code / 2**fraction_bits, which encodes to the same code."""
    format_ = data.draw(formats(widths=EXACT_WIDTHS, integer_bits=st.integers(-EXPONENT_LIMIT, EXPONENT_LIMIT)))
    codes = data.draw(codes_of(format_))
    values = format_.decode(np.array(codes, dtype=np.int64))
    assert values.dtype == np.float64
    assert [Fraction(value) for value in values.tolist()] == [exact_value(code, format_) for code in codes]
    lowest = -format_.max_code if format_.overflow == Overflow.SAT_SYM and format_.width > 1 else format_.min_code
    assert format_.encode(values).tolist() == [max(code, lowest) for code in codes]


@pytest.mark.parametrize("integer_bits", [-EXPONENT_LIMIT, EXPONENT_LIMIT])
@pytest.mark.parametrize(("width", "signed"), [*product((1, 53, 64), (True, False))])
def test_float64_reaches_every_format(width: int, signed: bool, integer_bits: int) -> None:
    """At both limits of integer_bits the ends of the range stay finite, and the lowest bit stays above zero."""
    format_ = FixedFormat(width, integer_bits, signed)
    ends = format_.decode(np.array([format_.min_code, format_.max_code], format_.dtype))
    assert np.isfinite(ends).all()
    assert Fraction(float(format_.decode(-1 if signed else 1))) == exact_value(-1 if signed else 1, format_)


@repeatable
@given(formats(), REALS)
def test_assignment_is_idempotent(target: FixedFormat, reals: Reals) -> None:
    """What a format holds stays as it is when it is assigned to the same format again, whatever the modes."""
    codes = target.encode(floats_near(target, reals))
    assert_array_equal(target.convert(codes, target), codes)


@repeatable
@given(formats(), REALS, st.sampled_from((Overflow.SAT, Overflow.SAT_SYM)))
def test_saturation_keeps_order(format_: FixedFormat, reals: Reals, overflow: Overflow) -> None:
    """With SAT and SAT_SYM a larger value never gets a smaller code, and every code is in the range."""
    target = replace(format_, overflow=overflow, saturation_bits=0)
    codes = target.encode(sorted(floats_near(target, reals))).tolist()
    assert codes == sorted(codes)
    assert all(target.min_code <= code <= target.max_code for code in codes)


@repeatable
@given(st.data())
def test_rounding_error_is_bounded(data: st.DataObject) -> None:
    """Inside the range the nearest modes err by at most half a lowest bit, the truncations by less than one."""
    target = data.draw(formats(widths=st.integers(8, 40)))
    eighths = data.draw(st.integers(0, 8 * (target.max_code - 1)))
    value = ldexp(eighths, -3 - target.fraction_bits)
    error = (
        abs(Fraction(float(target.decode(target.encode(value)))) - Fraction(value))
        * Fraction(2) ** target.fraction_bits
    )
    assert error <= Fraction(1, 2) if target.rounding in NEAREST else error < 1
