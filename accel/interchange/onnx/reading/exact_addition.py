"""When a sum of two signals whose steps have any quotient is a sum of integers, code for code.

A Program adds ``a * left + b * right`` with integers a and b. Two signals of 8 bits have 65,536 pairs of codes; all of
them are looked at: whole weights are the same addition if they leave the pairs that become one code apart from those
that become the next, and some multiplier then gives these codes. Smaller weights take fewer steps of an array.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray

from accel.fixedpoint import FixedFormat
from accel.interchange.exactness import code_range
from accel.interchange.onnx.reading.exact_scale import Fact, multipliers_of, ratios_of, threshold
from accel.signal import Requantize

MOST_PAIRS = 1 << 20  # of codes that are looked at
MOST_BITS = 62  # of their exact sums
WEIGHT_BITS = 16  # of the weights that are tried
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Addition:
    """The weights of two signals, and what their sum is requantised by."""

    weights: tuple[int, int]
    requantize: Requantize


@dataclass(frozen=True)
class Pairs:
    """All pairs of two signals' codes in the order of their exact sums, and what becomes of them.

    `left` and `right` are (pairs,); those from ``starts[i]`` to the next start become the code ``codes[i]``. Whether
    the first and the last of these codes are the ends of the output's range is what `saturates` says.
    """

    left: Integers
    right: Integers
    starts: Integers
    codes: Integers
    saturates: tuple[bool, bool]

    def facts(self, weights: tuple[int, int], relu: bool) -> list[Fact] | None:
        """Return which sums by whole weights must stay where they are; None if those of two codes are mixed."""
        sums = self.left * weights[0] + self.right * weights[1]
        sums = np.maximum(sums, 0) if relu else sums
        least, most = (extreme.reduceat(sums, self.starts) for extreme in (np.minimum, np.maximum))
        if (np.maximum.accumulate(most)[:-1] >= least[1:]).any():
            return None
        codes = self.codes.tolist()
        reaching: list[Fact] = [(x, code, True) for x, code in zip(least.tolist(), codes, strict=True)]
        below: list[Fact] = [(x, code + 1, False) for x, code in zip(most.tolist(), codes, strict=True)]
        return reaching[self.saturates[0] :] + below[: len(below) - self.saturates[1]]


def exact_addition(
    ratios: Sequence[Fraction], sources: Sequence[FixedFormat], form: FixedFormat, relu: bool, largest: int
) -> Addition | None:
    """Return the smallest weights that were found to give every code, or None.

    Parameters
    ----------
    ratios : (Fraction, Fraction)
        The steps of the two signals in steps of the output.
    sources : (FixedFormat, FixedFormat)
        Of the two signals' codes, which saturate.
    form : FixedFormat
        Of the output's, which saturates.
    relu : bool
        Whether a ReLU stands between.
    largest : int
        Of the multiplier.
    """
    pairs = _pairs(ratios, sources, form, relu)
    if pairs is None:
        return None
    for weights in _weights(ratios[0] / ratios[1]):
        facts = pairs.facts(weights, relu)
        if facts is None:
            continue
        wanted = (ratios[0] / weights[0] + ratios[1] / weights[1]) / 2
        found = ratios_of(wanted, facts, form.rounding, largest)
        scale = None if found is None else multipliers_of([found], form.rounding)
        if scale is not None:
            return Addition(weights, scale)
    return None


def _weights(quotient: Fraction) -> Iterator[tuple[int, int]]:
    """Yield weights whose quotient is nearly this, the smallest first."""
    before = None
    for bits in range(2, 2 * WEIGHT_BITS + 1):
        most = int(2 ** (bits / 2)) - 1
        small = min(quotient, 1 / quotient).limit_denominator(most)
        weights = (small.denominator, small.numerator) if quotient > 1 else (small.numerator, small.denominator)
        if small.numerator and weights != before:
            before = weights
            yield weights


def _pairs(ratios: Sequence[Fraction], sources: Sequence[FixedFormat], form: FixedFormat, relu: bool) -> Pairs | None:
    """Return all pairs and their codes; None if there are too many, or numbers too large, to look at each."""
    unit = lcm(*(ratio.denominator for ratio in ratios))
    whole = [int(ratio * unit) for ratio in ratios]
    ends = [code_range(source) for source in sources]
    if (ends[0][1] - ends[0][0] + 1) * (ends[1][1] - ends[1][0] + 1) > MOST_PAIRS:
        return None
    if any(x.bit_length() + max(map(abs, end)).bit_length() >= MOST_BITS for x, end in zip(whole, ends, strict=True)):
        return None
    lowest, highest = code_range(form)
    if highest - lowest >= MOST_PAIRS:
        return None
    left, right = (np.arange(low, high + 1) for low, high in ends)
    sums = (whole[0] * left[:, None] + whole[1] * right).ravel()
    order = np.argsort(sums, kind="stable")
    edges = [threshold(code, Fraction(1, unit), form.rounding) for code in range(lowest + 1, highest + 1)]
    inside = [min(max(edge, -(1 << 62)), (1 << 62) - 1) for edge in edges]
    codes = lowest + np.searchsorted(np.array(inside, np.int64), sums[order], side="right")
    codes = np.maximum(codes, 0) if relu else codes
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    saturates = int(codes[0]) == lowest, int(codes[-1]) == highest
    return Pairs(left[order // right.size], right[order % right.size], starts, codes[starts], saturates)
