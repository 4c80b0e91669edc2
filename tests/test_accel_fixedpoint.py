"""`FixedFormat` against literal values, and against the independent definition in `reference_fixedpoint`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import cycle, product
from math import ldexp

import numpy as np
import pytest
import reference_fixedpoint as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from accel.errors import EspalierError
from accel.fixedpoint import EXPONENT_LIMIT, FixedFormat, Overflow, Rounding

repeatable = settings(max_examples=250, deadline=None, derandomize=True)  # the same examples in every run
WRAPS = (Overflow.WRAP, Overflow.WRAP_SM)
NEAREST = (Rounding.RND, Rounding.RND_ZERO, Rounding.RND_MIN_INF, Rounding.RND_INF, Rounding.RND_CONV)


def expected_code(value: Fraction | float | int, target: FixedFormat) -> int:
    """Return the code that the definition gives for the real `value`, taken exactly."""
    modes = target.rounding.name, target.overflow.name, target.saturation_bits
    return reference.assign(Fraction(value), target.width, target.fraction_bits, target.signed, *modes)


def exact_value(code: int, source: FixedFormat) -> Fraction:
    """Return what `code` is worth."""
    return Fraction(int(code)) / Fraction(2) ** source.fraction_bits


# Literal values: one test for each mode

QUARTERS = [-2.5, -1.75, -1.5, -1.25, -0.5, -0.25, 0.25, 0.5, 1.25, 1.5, 1.75, 2.5, 3.0]


def assert_rounds_quarters(rounding: Rounding, *expected: int) -> None:
    """Compare both ways into an integer format, from floats and from codes with two fraction bits."""
    source, target = FixedFormat(8, 6), FixedFormat(8, 8, rounding=rounding)
    assert target.encode(QUARTERS).tolist() == list(expected)
    assert target.convert(source.encode(QUARTERS), source).tolist() == list(expected)


def test_rnd() -> None:
    """RND goes to the nearest, halfway towards plus infinity."""
    assert_rounds_quarters(Rounding.RND, -2, -2, -1, -1, 0, 0, 0, 1, 1, 2, 2, 3, 3)


def test_rnd_zero() -> None:
    """RND_ZERO goes to the nearest, halfway towards zero."""
    assert_rounds_quarters(Rounding.RND_ZERO, -2, -2, -1, -1, 0, 0, 0, 0, 1, 1, 2, 2, 3)


def test_rnd_min_inf() -> None:
    """RND_MIN_INF goes to the nearest, halfway towards minus infinity."""
    assert_rounds_quarters(Rounding.RND_MIN_INF, -3, -2, -2, -1, -1, 0, 0, 0, 1, 1, 2, 2, 3)


def test_rnd_inf() -> None:
    """RND_INF goes to the nearest, halfway away from zero."""
    assert_rounds_quarters(Rounding.RND_INF, -3, -2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3, 3)


def test_rnd_conv() -> None:
    """RND_CONV goes to the nearest, halfway to the even neighbor."""
    assert_rounds_quarters(Rounding.RND_CONV, -2, -2, -2, -1, 0, 0, 0, 0, 1, 2, 2, 2, 3)


def test_trn() -> None:
    """TRN goes towards minus infinity."""
    assert_rounds_quarters(Rounding.TRN, -3, -2, -2, -2, -1, -1, 0, 0, 1, 1, 1, 2, 3)


def test_trn_zero() -> None:
    """TRN_ZERO goes towards zero."""
    assert_rounds_quarters(Rounding.TRN_ZERO, -2, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 2, 3)


def overflow_4_bits(mode: Overflow, values: list[int], signed: bool = True, saturation_bits: int = 0) -> list[int]:
    """Return what integers become in 4 bits."""
    return FixedFormat(4, 4, signed, overflow=mode, saturation_bits=saturation_bits).encode(values).tolist()


def test_sat() -> None:
    """SAT gives the nearest end of the range."""
    assert overflow_4_bits(Overflow.SAT, [-19, -9, -8, -7, 7, 8, 19]) == [-8, -8, -8, -7, 7, 7, 7]
    assert overflow_4_bits(Overflow.SAT, [-1, 0, 15, 16, 100], signed=False) == [0, 0, 15, 15, 15]


def test_sat_zero() -> None:
    """SAT_ZERO gives 0 for everything outside the range."""
    assert overflow_4_bits(Overflow.SAT_ZERO, [-19, -9, -8, -7, 7, 8, 19]) == [0, 0, -8, -7, 7, 0, 0]
    assert overflow_4_bits(Overflow.SAT_ZERO, [-1, 0, 15, 16, 100], signed=False) == [0, 0, 15, 0, 0]


def test_sat_sym() -> None:
    """SAT_SYM saturates to -max..max, and moves -8, which 4 bits could hold; one bit keeps its only negative code."""
    assert overflow_4_bits(Overflow.SAT_SYM, [-19, -9, -8, -7, 7, 8, 19]) == [-7, -7, -7, -7, 7, 7, 7]
    assert overflow_4_bits(Overflow.SAT_SYM, [-1, 0, 15, 16, 100], signed=False) == [0, 0, 15, 15, 15]
    assert FixedFormat(1, 1, overflow=Overflow.SAT_SYM).encode([-5, -1, 0, 1]).tolist() == [-1, -1, 0, 0]


def test_wrap() -> None:
    """WRAP keeps the low bits: the value modulo 16."""
    assert overflow_4_bits(Overflow.WRAP, [-19, -9, -8, 7, 8, 9, 16, 19]) == [-3, 7, -8, 7, -8, -7, 0, 3]
    assert overflow_4_bits(Overflow.WRAP, [-3, -1, 15, 16, 19], signed=False) == [13, 15, 15, 0, 3]


@pytest.mark.parametrize(
    ("saturation_bits", "expected"),
    [
        (1, [-3, -1, -8, 7, 0, 1, 0, 3]),  # the sign stays, three bits wrap
        (2, [-7, -5, -8, 7, 4, 5, 4, 7]),  # -19 = ..01101 keeps its low 01 below sign 1 and its inverse 0: 1001
        (3, [-7, -7, -8, 7, 6, 7, 6, 7]),  # only the lowest bit still wraps
        (4, [-8, -8, -8, 7, 7, 7, 7, 7]),  # nothing wraps: SAT
    ],
)
def test_wrap_with_saturated_bits(saturation_bits: int, expected: list[int]) -> None:
    """WRAP with N > 0, outside the range only: the sign, N-1 bits of its inverse, then the low bits of the value."""
    values = [-19, -9, -8, 7, 8, 9, 16, 19]
    assert overflow_4_bits(Overflow.WRAP, values, saturation_bits=saturation_bits) == expected


def test_wrap_with_saturated_bits_unsigned() -> None:
    """WRAP with N > 0 of an unsigned format sets the top N bits to 1, below the range too."""
    values = [-3, -1, 0, 15, 16, 18, 19]  # ..01 and ..11, in range, in range, ..00, ..10 and ..11
    assert overflow_4_bits(Overflow.WRAP, values, False, 2) == [13, 15, 0, 15, 12, 14, 15]
    assert overflow_4_bits(Overflow.WRAP, values, False, 4) == [15, 15, 0, 15, 15, 15, 15]


@pytest.mark.parametrize(
    ("saturation_bits", "expected"),
    [
        (0, [2, -8, -8, 7, 6, -1, -4]),  # the vector of the design
        (1, [-3, -8, -8, 7, 6, 0, 3]),  # all bits are inverted where the wrapped sign is not the value's: -9, 8, 9
        (2, [-6, -8, -8, 7, 6, 7, 4]),  # -19 = ..1101: bit 2 equals the sign, so 0010, then 1 0 10
        (4, [-8, -8, -8, 7, 7, 7, 7]),  # nothing wraps: SAT
    ],
)
def test_wrap_sm(saturation_bits: int, expected: list[int]) -> None:
    """WRAP_SM inverts the wrapped bits where their sign is wrong, so that the values run back instead of jumping."""
    values = [-19, -9, -8, 8, 9, 16, 19]
    assert overflow_4_bits(Overflow.WRAP_SM, values, saturation_bits=saturation_bits) == expected


def test_overflow_sees_the_carry_of_the_rounding() -> None:
    """7.5 rounds to 8, which 4 bits cannot hold; TRN leaves 7, which they can."""
    assert FixedFormat(4, 4, rounding=Rounding.RND).encode(7.5) == -8
    assert FixedFormat(4, 4, rounding=Rounding.RND, overflow=Overflow.SAT_ZERO).encode(7.5) == 0
    assert FixedFormat(4, 4, rounding=Rounding.TRN, overflow=Overflow.SAT_ZERO).encode(7.5) == 7
    # 15.5 rounds to 16, whose lowest deleted bit is 1: IEEE 1666 (ap_fixed.h looks at 15.5 and gives 0)
    assert FixedFormat(4, 4, rounding=Rounding.RND, overflow=Overflow.WRAP_SM).encode(15.5) == -1


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
        rounded = [round_to_integer(code * scale, rounding.name) for code in codes.tolist()]
        for target_width, target_signed, saturation_bits in small_targets(overflow):
            integer_bits = target_width - source.fraction_bits + shift
            target = FixedFormat(target_width, integer_bits, target_signed, rounding, overflow, saturation_bits)
            expected = [
                resolve(value, target_width, target_signed, overflow.name, saturation_bits) for value in rounded
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
            Rounding.TRN, Overflow[overflow], resolve=lambda v, w, s, _, n: resolve_overflow(v, w, s, other, n)
        )


@pytest.mark.parametrize("overflow", Overflow, ids=lambda mode: mode.name)
def test_the_comparison_fails_on_one_corrupt_code(overflow: Overflow) -> None:
    """Negative control: one wrong code, of one value in one width, makes the comparison fail."""

    def corrupt(value: int, width: int, *format_: object) -> int:
        return resolve_overflow(value, width, *format_) + (value == 11 and width == 4)

    with pytest.raises(AssertionError, match="ap_fixed<4,"):
        compare_with_reference(Rounding.TRN, overflow, resolve=corrupt)


# Wide formats

FULL_WIDTHS = st.integers(1, 64)
FULL_INTEGER_BITS = st.integers(-70, 130)


@st.composite
def formats(
    draw: st.DrawFn,
    widths: st.SearchStrategy[int] = FULL_WIDTHS,
    integer_bits: st.SearchStrategy[int] = FULL_INTEGER_BITS,
) -> FixedFormat:
    """Draw a format, every mode included."""
    width, signed = draw(widths), draw(st.booleans())
    overflow = draw(st.sampled_from([mode for mode in Overflow if signed or mode != Overflow.WRAP_SM]))
    saturation_bits = draw(st.integers(0, width)) if overflow in WRAPS else 0
    rounding = draw(st.sampled_from(Rounding))
    return FixedFormat(width, draw(integer_bits), signed, rounding, overflow, saturation_bits)


def codes_of(format_: FixedFormat) -> st.SearchStrategy[list[int]]:
    """Draw codes of a format."""
    return st.lists(st.integers(format_.min_code, format_.max_code), max_size=8)


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
        rounded = [reference.round_to_integer(code / Fraction(2) ** shift, rounding.name) for code in codes]
        to_signed = signed or overflow == Overflow.WRAP_SM
        for to_width in (3, 62, 63, 64):
            target = FixedFormat(to_width, to_width + shift, to_signed, rounding, overflow, modes[1])
            expected = [reference.resolve_overflow(value, to_width, to_signed, *modes) for value in rounded]
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


# Text

DEFAULTS = [
    (FixedFormat(8, 3), "ap_fixed<8,3>"),
    (FixedFormat(8, -3, signed=False), "ap_ufixed<8,-3>"),
    (FixedFormat(8, 3, rounding=Rounding.RND_CONV), "ap_fixed<8,3,AP_RND_CONV>"),
    (FixedFormat(8, 3, overflow=Overflow.SAT), "ap_fixed<8,3,AP_TRN,AP_SAT>"),
    (FixedFormat(8, 3, saturation_bits=2), "ap_fixed<8,3,AP_TRN,AP_WRAP,2>"),
    (FixedFormat(8, 10, True, Rounding.RND, Overflow.WRAP_SM, 1), "ap_fixed<8,10,AP_RND,AP_WRAP_SM,1>"),
]


@pytest.mark.parametrize(("format_", "text"), DEFAULTS, ids=[text for _, text in DEFAULTS])
def test_text_omits_defaults(format_: FixedFormat, text: str) -> None:
    """The text is HLS's own, and ends at the last parameter that is not the default."""
    assert str(format_) == text
    assert FixedFormat.parse(text) == format_


@repeatable
@given(formats(integer_bits=st.integers(-EXPONENT_LIMIT, EXPONENT_LIMIT)))
def test_text_round_trip(format_: FixedFormat) -> None:
    """Every format reads back from its own text, and from the text with every parameter spelled out."""
    assert FixedFormat.parse(str(format_)) == format_
    modes = f"{format_.rounding.name},{format_.overflow.name},{format_.saturation_bits}"
    letter = "" if format_.signed else "u"
    assert FixedFormat.parse(f"ap_{letter}fixed<{format_.width},{format_.integer_bits},{modes}>") == format_


@pytest.mark.parametrize("text", [" ap_fixed < 16 , -3 ,\tAP_RND,\n AP_SAT > ", "ap_fixed<16,-3,RND,SAT,0>"])
def test_parse_takes_white_space_and_short_names(text: str) -> None:
    """White space around the parts is nothing, AP_ before a mode may be left out, defaults may be written."""
    assert FixedFormat.parse(text) == FixedFormat(16, -3, True, Rounding.RND, Overflow.SAT)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not a format: expected ap_fixed<W,I,Q,O,N>"),
        ("float32", "'float32' is not a format: expected ap_fixed<W,I,Q,O,N> or ap_ufixed<W,I,Q,O,N>"),
        ("ap_fixed", "'ap_fixed' is not a format"),
        ("ap_fixed<8>", "'ap_fixed<8>' is not a format"),
        ("ap_fixed<8,3", "'ap_fixed<8,3' is not a format"),
        ("ap_fixed<8,3>>", "'ap_fixed<8,3>>' is not a format"),
        ("ap_fixed<8,3,>", "'ap_fixed<8,3,>' is not a format"),
        ("ap_fixed<8.0,3>", "'ap_fixed<8.0,3>' is not a format"),
        ("ap_fixed<1 6,3>", "'ap_fixed<1 6,3>' is not a format"),
        ("ap_fixed<8,3,AP_RND,AP_SAT,x>", "is not a format"),
        ("AP_FIXED<8,3>", "is not a format"),
        ("ap_fixed<8,3,AP_NEAREST>", "AP_NEAREST in 'ap_fixed<8,3,AP_NEAREST>' is not one of AP_RND, AP_RND_ZERO, "),
        ("ap_fixed<8,3,AP_SAT>", "AP_SAT in 'ap_fixed<8,3,AP_SAT>' is not one of AP_RND, "),
        ("ap_fixed<8,3,RND,CLIP>", "AP_CLIP in 'ap_fixed<8,3,RND,CLIP>' is not one of AP_SAT, AP_SAT_ZERO, "),
        ("ap_fixed<0,0>", "width must be 1..64, got 0"),
        ("ap_fixed<8,3,AP_TRN,AP_WRAP,9>", "saturation_bits must be 0..8 (the width), got 9"),
        ("ap_ufixed<8,3,AP_TRN,AP_WRAP_SM>", "WRAP_SM needs a signed format"),
    ],
)
def test_parse_refuses_other_text(text: str, problem: str) -> None:
    """Text that is not a format is refused, and the message says what is wrong with it."""
    with pytest.raises(EspalierError, match=re.escape(problem)):
        FixedFormat.parse(text)


# Refusals


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"width": 0}, "width must be 1..64, got 0"),
        ({"width": -8}, "width must be 1..64, got -8"),
        ({"width": 65}, "width must be 1..64, got 65"),
        ({"width": 99}, "width must be 1..64, got 99"),
        ({"integer_bits": 1001}, "integer_bits must be -1000..1000, got 1001"),
        ({"integer_bits": -1001}, "integer_bits must be -1000..1000, got -1001"),
        ({"saturation_bits": 9}, "saturation_bits must be 0..8 (the width), got 9"),
        ({"saturation_bits": -1}, "saturation_bits must be 0..8 (the width), got -1"),
        ({"saturation_bits": 1, "overflow": Overflow.SAT}, "saturation_bits go with WRAP and WRAP_SM only, got SAT"),
        ({"signed": False, "overflow": Overflow.WRAP_SM}, "WRAP_SM needs a signed format"),
    ],
)
def test_impossible_formats_are_refused(parameters: dict[str, int], problem: str) -> None:
    """A parameter out of its range is refused, and the message says the range and the value."""
    with pytest.raises(EspalierError, match=f"^{re.escape(problem)}"):
        FixedFormat(**{"width": 8, "integer_bits": 3} | parameters)


def test_parameters_may_be_numpy_integers() -> None:
    """A width that comes out of an array is the same width, and does not wrap at 64 bits."""
    format_ = FixedFormat(np.int64(64), np.int32(64), np.bool_(False), saturation_bits=np.uint8(0))
    assert format_ == FixedFormat(64, 64, signed=False)
    assert (format_.min_code, format_.max_code, format_.fraction_bits) == (0, 2**64 - 1, 0)
    assert FixedFormat(np.int64(64), np.int32(64), np.bool_(True)).min_code == -(2**63)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("width", [8, 64])
def test_values_that_are_not_finite_are_refused(value: float, width: int) -> None:
    """No code stands for NaN or infinity, and one such value among others is enough to refuse them."""
    with pytest.raises(EspalierError, match=f"cannot encode a value that is not finite as ap_fixed<{width},3>"):
        FixedFormat(width, 3).encode([0.5, value])


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["1.5"], "expected integers or floats of at most 64 bits, got an array of <U3"),
        ([1 + 2j], "expected integers or floats of at most 64 bits, got an array of complex128"),
        ([2**70, 1.5], "expected integers, got 1.5"),
        ([None], "expected integers, got None"),
    ],
)
def test_values_that_are_not_real_numbers_are_refused(values: list[object], problem: str) -> None:
    """Text, complex numbers and objects that are not integers have no code."""
    with pytest.raises(EspalierError, match=re.escape(problem)):
        FixedFormat(8, 3).encode(values)


@pytest.mark.parametrize(
    ("text", "code", "ends"),
    [
        ("ap_fixed<4,2>", -9, "-8..7"),
        ("ap_fixed<4,2>", 8, "-8..7"),
        ("ap_ufixed<4,2>", -1, "0..15"),
        ("ap_ufixed<4,2>", 16, "0..15"),
        ("ap_fixed<64,2>", 2**63, f"{-(2**63)}..{2**63 - 1}"),
        ("ap_ufixed<64,2>", 2**64, f"0..{2**64 - 1}"),
        ("ap_ufixed<64,2>", -1, f"0..{2**64 - 1}"),
    ],
)
def test_codes_outside_the_format_are_refused(text: str, code: int, ends: str) -> None:
    """A code that the format's bits cannot hold is refused, wherever it stands, with the range in the message."""
    format_ = FixedFormat.parse(text)
    problem = re.escape(f"code {code} is outside {text}: {ends}")
    codes = np.array([0, code, 1], dtype=object)
    for use in (format_.check, format_.decode, lambda codes: FixedFormat(8, 3).convert(codes, format_)):
        with pytest.raises(EspalierError, match=problem):
            use(codes)


@pytest.mark.parametrize("codes", [[1.0], 0.5, np.array([1], np.float32), np.array([1, 0.5], object), ["1"]])
def test_codes_that_are_not_integers_are_refused(codes: object) -> None:
    """A float is a value, not a code, even where it is whole."""
    format_ = FixedFormat(4, 2)
    for use in (format_.check, format_.decode, lambda codes: FixedFormat(8, 3).convert(codes, format_)):
        with pytest.raises(EspalierError, match="expected integers, got"):
            use(codes)


# Shapes


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3), (2, 0, 3), (1, 2, 3, 4)], ids=str)
@pytest.mark.parametrize(("width", "signed"), [(8, True), (64, True), (64, False)])
def test_shapes_are_kept(shape: tuple[int, ...], width: int, signed: bool) -> None:
    """Codes have the shape of the values and values that of the codes, without dimensions and without elements too."""
    format_, other = FixedFormat(width, 3, signed), FixedFormat(6, 2)
    for values in (np.full(shape, 0.5), np.full(shape, 1), np.full(shape, 1, dtype=object)):
        codes = format_.encode(values)
        assert codes.shape == shape
        assert codes.dtype == format_.dtype
        assert format_.decode(codes).shape == shape
        assert format_.decode(codes).dtype == np.float64
        assert other.convert(codes, format_).shape == shape
        assert other.convert(codes, format_).dtype == np.int64


@pytest.mark.parametrize("width", [8, 64])
def test_empty_lists_are_empty_arrays(width: int) -> None:
    """A list without elements is not an array of floats: it has no codes, and no values."""
    format_ = FixedFormat(width, 3)
    for empty in (format_.encode([]), format_.convert([], FixedFormat(4, 2)), format_.decode([]), format_.check([])):
        assert empty.shape == (0,)


def test_the_argument_is_left_alone() -> None:
    """Codes and values that are passed in are not written to."""
    values, codes = np.array([0.3, -0.7]), np.array([3, -7])
    format_ = FixedFormat(4, 1, rounding=Rounding.RND, overflow=Overflow.SAT_SYM)
    format_.encode(values)
    FixedFormat(2, 1, overflow=Overflow.SAT_SYM).convert(codes, format_)
    assert_array_equal(values, [0.3, -0.7])
    assert_array_equal(codes, [3, -7])
