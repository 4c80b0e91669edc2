"""The constants of `sim.kernels.requantize_lines`, for layers whose rounding adds a constant and that saturate."""

from bisect import bisect_left
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.fixedpoint import SATURATING, Overflow, Rounding, round_shift
from accel.program_layers import MacLayer
from sim.kernels.requantize_lines import CONSTANTS

ADDED = (Rounding.RND, Rounding.RND_MIN_INF, Rounding.TRN)
MOST_SHIFT = 52  # so that a stored code (0..255) and its rounding are at most 61 bits in front of the shift
LEAST, MOST = -(1 << 31), (1 << 31) - 1  # accumulators and multipliers


def constants_of(layer: MacLayer, zero: int, floor: int) -> NDArray[np.int64] | None:
    """Return the constants (outputs, 4), or None where the layer's modes are others.

    Parameters
    ----------
    zero : int
        What is added to a code to store it.
    floor : int
        The lowest code that what follows lets through: 0 for a ReLU.
    """
    if layer.requantize is None or not _usual(layer):
        return None
    form, shift = layer.output.format, layer.requantize.shift
    symmetric = form.overflow == Overflow.SAT_SYM and form.signed
    lowest = form.min_code | symmetric
    lowest = max(lowest, floor, 0 if layer.relu else lowest)
    added = _added(form.rounding, shift)
    found = np.empty((layer.shape[0], CONSTANTS), np.int64)
    for row, (multiplier, offset) in zip(found, layer.requantize.of_outputs(layer.shape[0]).tolist(), strict=True):
        addend = added + offset
        low = -((addend - (lowest << shift)) // multiplier)  # the smallest sum whose code is not below `lowest`
        high = (((form.max_code + 1) << shift) - addend - 1) // multiplier  # the largest whose code is not above
        row[:] = max(low, LEAST), min(high, MOST), multiplier, addend + (zero << shift)
    return found


def _usual(layer: Any) -> bool:
    """Return whether the form of `sim.kernels.requantize_lines` gives this layer's codes."""
    form, requantize = layer.output.format, layer.requantize
    small = form.width <= 8 and requantize.shift <= MOST_SHIFT
    no_code_is_skipped = int(requantize.multipliers.max()) <= min(MOST, 1 << requantize.shift)
    return small and no_code_is_skipped and form.overflow in SATURATING and form.rounding in ADDED


def _added(rounding: Rounding, shift: int) -> int:
    """Return what is added before the shift, so that the floor is the rounded number: from the least that gives 1."""
    one = 1 << shift
    return one - bisect_left(range(one + 1), 1, key=lambda value: round_shift(value, shift, rounding))
