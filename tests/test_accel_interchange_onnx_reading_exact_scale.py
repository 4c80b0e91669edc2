"""A float ratio of steps is a multiplier and a shift where both give the same code for every accumulator."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.fixedpoint import FixedFormat, Overflow, Rounding, round_shift
from accel.interchange.onnx.reading.exact_scale import Sums, exact_requantize, rounded, threshold
from accel.signal import integer_format

MODES = list(Rounding)


def codes_by_ratio(sums: Sums, form: FixedFormat) -> list[int]:
    """Return the code of every accumulator, one exact product after another."""
    lowest = form.min_code | 1 if form.overflow == Overflow.SAT_SYM else form.min_code
    accumulators = range(sums.low, sums.high + 1)
    return [min(max(rounded(x * sums.ratio, form.rounding), lowest), form.max_code) for x in accumulators]


class TestRounded:
    @pytest.mark.parametrize("mode", MODES)
    def test_as_fixed_point_rounds(self, mode: Rounding) -> None:
        """An exact number is rounded as `fixedpoint.round_shift` rounds it, all eighths from -4 to 4."""
        for value in range(-32, 33):
            assert rounded(Fraction(value, 8), mode) == round_shift(value, 3, mode)

    @pytest.mark.parametrize("mode", MODES)
    def test_threshold(self, mode: Rounding) -> None:
        """A threshold is the first accumulator that gives the code; the one before gives less."""
        for ratio in (Fraction(1, 8), Fraction(3, 10), Fraction(1, 3), Fraction(7, 4)):
            for code in range(-5, 6):
                at = threshold(code, ratio, mode)
                assert rounded(at * ratio, mode) >= code > rounded((at - 1) * ratio, mode)


class TestExactRequantize:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("shift", [0, 1, 7, 20])
    def test_powers_of_two_are_shifts(self, mode: Rounding, shift: int) -> None:
        """A ratio that is a power of two is the multiplier 1, whatever the range."""
        found = exact_requantize([Sums(Fraction(1, 1 << shift), -(1 << 40), 1 << 40)], integer_format(8, True, mode))
        assert found is not None
        assert (found.multipliers.tolist(), found.shift) == ([1], shift)

    def test_outputs_share_a_shift(self) -> None:
        """Ratios 1/2, 3/8 and 2 are 4, 3 and 16 eighths."""
        ratios = [Fraction(1, 2), Fraction(3, 8), Fraction(2)]
        found = exact_requantize([Sums(ratio, -100, 100) for ratio in ratios], integer_format(8, True))
        assert found is not None
        assert (found.multipliers.tolist(), found.shift) == ([4, 3, 16], 3)

    @settings(max_examples=100, deadline=None)
    @given(
        ratio=st.fractions(Fraction(1, 4000), 4, max_denominator=10**9),
        low=st.integers(-1000, 1000),
        size=st.integers(0, 1000),
        bits=st.integers(1, 8),
        mode=st.sampled_from(MODES),
        overflow=st.sampled_from([Overflow.SAT, Overflow.SAT_SYM]),
        signed=st.booleans(),
    )
    def test_every_code_is_that_of_the_ratio(
        self, ratio: Fraction, low: int, size: int, bits: int, mode: Rounding, overflow: Overflow, signed: bool
    ) -> None:
        """Where a multiplier is found, it gives the ratio's code for every accumulator; else none of 16 bits does."""
        form = integer_format(bits, signed, mode, overflow if signed else Overflow.SAT)
        sums = Sums(ratio, low, low + size)
        expected = codes_by_ratio(sums, form)
        accumulators = np.arange(sums.low, sums.high + 1).reshape(-1, 1)
        found = exact_requantize([sums], form)
        if found is not None:
            assert found.apply(accumulators, form).ravel().tolist() == expected
            return
        for shift in range(10, 31):  # the nearest multipliers that there are
            near = math.floor(ratio * (1 << shift))
            for multiplier in {near, near + 1} & {*range(1, 1 << 16)}:
                other = codes_by_ratio(Sums(Fraction(multiplier, 1 << shift), low, low + size), form)
                assert other != expected

    def test_what_no_multiplier_gives(self) -> None:
        """With 12 bits of codes and 20 of sums, 1/301 needs more than 16 bits of multiplier."""
        form = integer_format(12, True, Rounding.RND_CONV)
        assert exact_requantize([Sums(Fraction(1, 301), -(1 << 20), 1 << 20)], form) is None
        assert exact_requantize([Sums(Fraction(1, 301), -(1 << 10), 1 << 10)], form) is not None

    def test_wider_multipliers(self) -> None:
        """With 32 bits there is one for what has none of 16; it gives the code of every accumulator."""
        sums, form = Sums(Fraction(100, 3013), -3000, 3000), integer_format(8, True, Rounding.RND_CONV)
        assert exact_requantize([sums], form) is None
        found = exact_requantize([sums], form, (1 << 32) - 1)
        assert found is not None
        assert found.multiplier_bits > 16
        codes = found.apply(np.arange(sums.low, sums.high + 1).reshape(-1, 1), form)
        assert codes.ravel().tolist() == codes_by_ratio(sums, form)

    def test_wide_codes_end(self) -> None:
        """More thresholds than can be looked at are refused, not waited for."""
        form = integer_format(40, True, Rounding.RND_CONV)
        assert exact_requantize([Sums(Fraction(1, 3), 0, 1 << 50)], form) is None
