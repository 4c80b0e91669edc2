"""Formats and their codes, drawn at random."""

from hypothesis import settings
from hypothesis import strategies as st

from accel.fixedpoint import FixedFormat, Overflow, Rounding

repeatable = settings(max_examples=250, deadline=None, derandomize=True)  # the same examples in every run
WRAPS = (Overflow.WRAP, Overflow.WRAP_SM)

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
