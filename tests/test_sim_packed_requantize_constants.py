"""Constants of `sim.packed.requantize_constants`: the formula in registers against both rules of `accel.fixedpoint`."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, mac_layer

from accel.fixedpoint import SATURATING, FixedFormat, Overflow, Rounding
from accel.program_layers import MacLayer
from accel.signal import Requantize, Signal
from sim.kernels.requantize_lines import ADDEND, HIGH, LOW, MULTIPLIER
from sim.packed.requantize_constants import ADDED, constants_of

NO_FLOOR = -(1 << 31)
SUMS = np.arange(-3000, 3001)


def layer(
    multipliers: Any, shift: int, width: int = 4, signed: bool = True, relu: bool = False, **modes: Any
) -> MacLayer:
    """Return a layer that requantises like this."""
    form = FixedFormat(width, width, signed, **{"rounding": Rounding.RND, "overflow": Overflow.SAT} | modes)
    finish = {"requantize": Requantize(multipliers, shift), "output": Signal(form, 1.0), "relu": relu}
    return mac_layer("fc", "flat", np.ones((len(multipliers), 3)), PIXEL, **finish)


def codes_by_formula(constants: Any, shift: int, zero: int) -> Any:
    """Return what `sim.kernels.requantize_lines` gives for each sum: its formula less what is added to store a code."""
    low, high, multiplier, addend = (column[:, None] for column in constants.T)
    return ((np.clip(SUMS, low, high) * multiplier + addend) >> shift) - zero


def codes_by_rules(of: MacLayer, floor: int) -> Any:
    """Return the codes as golden makes them, with a ReLU after it all."""
    sums = np.maximum(SUMS, 0) if of.relu else SUMS
    found = of.requantize.apply(np.tile(sums, (1, of.shape[0], 1)), of.output.format)  # type: ignore[union-attr]
    return np.maximum(found[0], floor)


class TestConstants:
    @pytest.mark.parametrize("overflow", SATURATING)
    @pytest.mark.parametrize("rounding", ADDED)
    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("width", [1, 2, 5, 8])
    def test_give_the_codes_of_the_rules(
        self, width: int, signed: bool, rounding: Rounding, overflow: Overflow
    ) -> None:
        """Every sum has its code, for any ReLU before or after and both ways to store, ties and both ends included."""
        for shift, multipliers in ((0, [1]), (1, [1, 2]), (4, [1, 3, 5, 16]), (9, [7, 100, 333])):
            for relu, floor, zero in ((False, NO_FLOOR, 128 * signed), (True, NO_FLOOR, 0), (False, 0, 0)):
                of = layer(multipliers, shift, width, signed, relu, rounding=rounding, overflow=overflow)
                constants = constants_of(of, zero, floor)
                assert constants is not None
                assert np.array_equal(codes_by_formula(constants, shift, zero), codes_by_rules(of, floor))

    @pytest.mark.parametrize(("place", "multiplier"), [(LOW, 16), (HIGH, 16), (MULTIPLIER, 5), (ADDEND, 5)])
    def test_one_too_high_a_constant_is_seen(self, place: int, multiplier: int) -> None:
        """The comparison can fail: each constant, one higher, gives some sum another code."""
        of = layer([multiplier], 4)
        found = constants_of(of, 0, NO_FLOOR)
        assert found is not None
        expected = codes_by_rules(of, NO_FLOOR)
        assert np.array_equal(codes_by_formula(found, 4, 0), expected)
        found[0, place] += 1
        assert not np.array_equal(codes_by_formula(found, 4, 0), expected)

    def test_no_sum_is_negative_before_the_shift(self) -> None:
        """What a code is stored with keeps the numbers in front of the shift from 0 on: a shift of zeros is enough."""
        for zero, relu, floor in ((128, False, NO_FLOOR), (0, True, NO_FLOOR), (0, False, 0)):
            constants = constants_of(layer([3, 11], 6, 8, True, relu), zero, floor)
            assert constants is not None
            low, _, multiplier, addend = constants.T
            assert (low * multiplier + addend >= 0).all()


class TestOtherModes:
    @pytest.mark.parametrize("rounding", [x for x in Rounding if x not in ADDED])
    def test_roundings_that_add_no_constant(self, rounding: Rounding) -> None:
        """Where ties go depends on the number: there are no constants."""
        assert constants_of(layer([1], 4, rounding=rounding), 0, NO_FLOOR) is None

    @pytest.mark.parametrize("overflow", [x for x in Overflow if x not in SATURATING])
    def test_overflows_that_do_not_saturate(self, overflow: Overflow) -> None:
        """What wraps, or goes to zero, is not the nearest end."""
        assert constants_of(layer([1], 4, overflow=overflow), 0, NO_FLOOR) is None

    def test_multipliers_that_skip_codes(self) -> None:
        """A sum times more than one may jump over the last code: no sum stands for it."""
        assert constants_of(layer([17], 4), 0, NO_FLOOR) is None
        assert constants_of(layer([16], 4), 0, NO_FLOOR) is not None

    @pytest.mark.parametrize(("width", "shift"), [(9, 4), (8, 53)])
    def test_what_does_not_fit(self, width: int, shift: int) -> None:
        """Codes are bytes, and a code in front of a long shift does not fit 64 bits with room."""
        assert constants_of(layer([1], shift, width), 0, NO_FLOOR) is None
        assert constants_of(layer([1], min(shift, 52), min(width, 8)), 0, NO_FLOOR) is not None

    def test_accumulators_handed_out(self) -> None:
        """A layer without requantisation has no constants."""
        of = mac_layer("fc", "flat", np.ones((1, 3)), PIXEL)
        assert constants_of(of, 0, NO_FLOOR) is None
        assert replace(of, relu=False).requantize is None
