"""From one step to another in integers, as near as can be: multipliers of a requantisation, weights of a sum."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.signal import MULTIPLIER_BITS, WIDEST_MULTIPLIER_BITS, Requantize

ADD_BITS = 8  # of the weights by which a residual addition matches two steps


def check_multiplier_bits(bits: int) -> None:
    """Raise EspalierError unless multipliers of a Program may have so many bits."""
    if not MULTIPLIER_BITS <= bits <= WIDEST_MULTIPLIER_BITS:
        raise EspalierError(f"multiplier_bits must be {MULTIPLIER_BITS}..{WIDEST_MULTIPLIER_BITS}, got {bits}")


def requantization(ratios: NDArray[np.float64], name: str, bits: int = MULTIPLIER_BITS) -> Requantize:
    """Return the integer multipliers and the shift whose quotient is nearest to `ratios`; exact for powers of two.

    Raises
    ------
    EspalierError
        A ratio is too large or too small for a multiplier of `bits` and a shift of 0..60.
    """
    shift = min(bits - math.frexp(float(ratios.max()))[1], 60)
    if shift >= 0:
        multipliers = np.floor(ratios * 2.0**shift + 0.5).astype(np.int64)
        if multipliers.max() == 1 << bits:  # the largest rounded up to one bit more
            shift, multipliers = shift - 1, np.floor(ratios * 2.0 ** (shift - 1) + 0.5).astype(np.int64)
    if shift < 0 or multipliers.min() < 1:
        raise EspalierError(f"{name}: no {bits}-bit multiplier and shift give the ratio {ratios.max():g} of steps")
    while shift and not (multipliers & 1).any():
        multipliers, shift = multipliers >> 1, shift - 1
    return Requantize(multipliers, shift)


def matched_weights(left: float, right: float) -> tuple[tuple[int, int], float]:
    """Return integer weights (a, b) and a step with a * step ~ `left`, b * step ~ `right`; exact for powers of two.

    Others are the best fraction that words of `ADD_BITS` hold, so that an array adds in one step for each signal.

    >>> matched_weights(0.5, 0.125)
    ((4, 1), 0.125)
    >>> matched_weights(0.1, 0.3)[0]
    (1, 3)
    """
    largest = max(left, right)
    ratio = Fraction(min(left, right) / largest)
    most = (1 << (ADD_BITS - 1)) - 1
    if ratio.numerator != 1:
        ratio = max(ratio.limit_denominator(most), Fraction(1, most))
    weights = (ratio.denominator, ratio.numerator) if left == largest else (ratio.numerator, ratio.denominator)
    return weights, largest / ratio.denominator
