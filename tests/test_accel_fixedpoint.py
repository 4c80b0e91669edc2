"""`FixedFormat`: a literal table for each mode, its text, what it refuses, and shapes."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from support.formats import formats, repeatable

from accel.errors import EspalierError
from accel.fixedpoint import EXPONENT_LIMIT, FixedFormat, Overflow, Rounding

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


def test_a_deleted_bit_is_read_before_the_carry() -> None:
    """WRAP_SM with N = 0 looks at 15.5 = 01111.1, whose lowest deleted bit is 0, though 16 = 10000 is what it wraps.

    So does ap_fixed_base.h; IEEE 1666 looks at 16 and gives -1. Likewise 31.5 = 011111.1 has a 1 there, 32 has none.
    """
    form = FixedFormat(4, 4, rounding=Rounding.RND, overflow=Overflow.WRAP_SM)
    assert form.encode([15.5, 16, 31.5, 32, -16.5, -17]).tolist() == [0, -1, -1, 0, 0, 0]
    assert form.convert([31, 32, 63, 64, -33, -34], FixedFormat(8, 7)).tolist() == [0, -1, -1, 0, 0, 0]


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
