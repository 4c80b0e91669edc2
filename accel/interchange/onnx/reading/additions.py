"""The whole weights of an addition of two signals: exact where there are some, or the nearest."""

from collections.abc import Sequence
from fractions import Fraction

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.interchange.exactness import code_range
from accel.interchange.onnx.reading.allowed import Allowed
from accel.interchange.onnx.reading.exact import word_of
from accel.interchange.onnx.reading.exact_addition import WEIGHT_BITS, exact_addition
from accel.interchange.onnx.reading.exact_scale import Sums, exact_requantize
from accel.interchange.onnx.reading.following import Following
from accel.scales import matched_weights
from accel.signal import Requantize, sum_bits

MOST_WEIGHT = 1 << WEIGHT_BITS
Found = tuple[tuple[int, int], Fraction, Requantize | None]


def addition_of(
    name: str,
    steps: tuple[Fraction, Fraction],
    forms: Sequence[FixedFormat],
    following: Following,
    allowed: Allowed,
) -> Found:
    """Return the weights of the addition `name`, the step of its sums, and what requantises them if that is known.

    Parameters
    ----------
    steps : (Fraction, Fraction)
        Of the two signals.
    forms : (FixedFormat, FixedFormat)
        Of their codes.
    following : Following
        What comes after it.
    allowed : Allowed

    Raises
    ------
    EspalierError
        No weights give every code, and the nearest are not allowed.
    """
    quotient = steps[0] / steps[1]
    weights = quotient.numerator, quotient.denominator
    whole = max(weights) <= MOST_WEIGHT
    quantized = following.quantized
    if quantized is not None and quantized.low is not None and not following.affine:
        read, form = Fraction(quantized.read_step), word_of(quantized)
        found = _whole(weights, steps[0] / read, forms, form, following, allowed) if whole else None
        if found is not None:
            return weights, steps[0] / weights[0], found
        bits = allowed.bits(max(source.width for source in forms) + WEIGHT_BITS + 1)
        ratios = steps[0] / read, steps[1] / read
        if (addition := exact_addition(ratios, forms, form, following.relu, (1 << bits) - 1)) is not None:
            return addition.weights, steps[0] / addition.weights[0], addition.requantize
    if whole:
        return weights, steps[0] / weights[0], None
    if not allowed.change(name, "addition"):
        raise EspalierError(
            f"adds steps {float(steps[0]):g} and {float(steps[1]):g}, expected a quotient of small integers: "
            "one scale for both, or powers of two; --nearest takes the nearest weights"
        )
    weights, step = matched_weights(*map(float, steps))
    return weights, Fraction(step), None


def _whole(
    weights: tuple[int, int],
    ratio: Fraction,
    forms: Sequence[FixedFormat],
    form: FixedFormat,
    following: Following,
    allowed: Allowed,
) -> Requantize | None:
    """Return what requantises every sum by weights whose quotient is that of the steps, or None."""
    ends = [code_range(source) for source in forms]
    low, high = (sum(weight * end[side] for weight, end in zip(weights, ends, strict=True)) for side in (0, 1))
    sums = Sums(ratio / weights[0], max(low, 0) if following.relu else low, high)
    return exact_requantize([sums], form, (1 << allowed.bits(sum_bits(weights, forms))) - 1)
