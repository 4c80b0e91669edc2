"""When a quotient of steps, which may be any number, is an integer multiplier and a shift.

A Program requantises by ``accumulator * multiplier / 2**shift`` with a multiplier of so many bits; a file says
``accumulator * ratio`` with a ratio of two floats. The two are the same layer if they give the same code for every
accumulator that the layer can have, which are finitely many: each code has a lowest accumulator, its threshold, and a
multiplier is right if no threshold moves. That is an interval of ratios, found exactly in integers here; for powers of
two the ratio itself is a multiplier and a shift.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.signal import MULTIPLIER_BITS, UNCHANGED, Requantize

MOST_SHIFT = 60
MOST_MULTIPLIER = (1 << MULTIPLIER_BITS) - 1  # unless a Program asks for more
MOST_FACTS = 1 << 22  # of a layer


@dataclass(frozen=True)
class Sums:
    """Accumulators of one output: their ratio to the code, their range, and a fraction of a step that is added."""

    ratio: Fraction
    low: int
    high: int
    offset: Fraction = Fraction(0)

    @property
    def ends(self) -> tuple[Fraction, Fraction]:
        """The lowest and the highest number that is rounded."""
        return (self.low + self.offset) * self.ratio, (self.high + self.offset) * self.ratio


class Scale(NamedTuple):
    """What requantises the sums of a layer, and the whole steps that each output's bias takes besides: none if none."""

    requantize: Requantize
    steps: tuple[int, ...] = ()


UNSCALED = Scale(UNCHANGED)


@dataclass(frozen=True)
class Ratios:
    """Ratios that give the codes of one: all between `low` and `high`, and perhaps these two; `wanted` is one.

    A multiplier is at most `largest`. Of `looked` facts the `binding` ones decide about the two ends.
    """

    wanted: Fraction
    low: Fraction
    high: Fraction | None
    binding: "tuple[Fact, ...]"
    largest: int
    looked: int = 0

    def multiplier(self, shift: int, rounding: Rounding) -> int | None:
        """Return the integer nearest to `wanted` that gives the codes with `shift`, or None."""
        scale = 1 << shift
        least = max(1, math.ceil(self.low * scale))
        most = self.largest if self.high is None else min(self.largest, math.floor(self.high * scale))
        nearest = math.floor(self.wanted * scale + Fraction(1, 2))
        for offset in (0, -1, 1):  # the ends may be no part of the interval, what lies between them is
            found = min(max(nearest, least), most) + offset
            if least <= found <= most and self._holds(Fraction(found, scale), rounding):
                return found
        return None

    def _holds(self, ratio: Fraction, rounding: Rounding) -> bool:
        return ratio not in (self.low, self.high) or all(
            reaches(x * ratio, code, rounding) == yes for x, code, yes in self.binding
        )


Fact = tuple[int, int, bool]
"""An accumulator, a code, and whether the accumulator becomes this code or a higher one."""


def exact_requantize(sums: Sequence[Sums], form: FixedFormat, largest: int = MOST_MULTIPLIER) -> Requantize | None:
    """Return what gives the codes of each output's ratio for each of its accumulators, or None if nothing does.

    Parameters
    ----------
    sums : sequence of Sums
        One, or one for each output.
    form : FixedFormat
        Of the codes; it saturates.
    largest : int
        Of the multipliers.
    """
    intervals: list[Ratios] = []
    if not all(_is_exact(part.ratio, largest) for part in sums):
        left = MOST_FACTS
        for part in sums:
            found = ratios_of(part.ratio, facts_of(part, form), form.rounding, largest, left)
            if found is None:
                return None
            intervals.append(found)
            left -= found.looked
    else:
        intervals = [Ratios(part.ratio, part.ratio, part.ratio, (), largest) for part in sums]
    return multipliers_of(intervals, form.rounding)


def multipliers_of(intervals: Sequence[Ratios], rounding: Rounding) -> Requantize | None:
    """Return a multiplier of each interval of ratios and the least shift for all of them, or None."""
    for shift in range(MOST_SHIFT + 1):
        multipliers: list[int] = []
        for interval in intervals:
            multiplier = interval.multiplier(shift, rounding)
            if multiplier is None:
                break
            multipliers.append(multiplier)
        else:
            return Requantize(multipliers, shift)  # type: ignore[arg-type]  # made an array there
    return None


def threshold(code: int, ratio: Fraction, rounding: Rounding, offset: Fraction = Fraction(0)) -> int:
    """Return the least integer x for which ``(x + offset) * ratio`` is rounded to `code` or more."""
    twice, included = edge_of(code, rounding)
    edge = twice * ratio.denominator * offset.denominator - 2 * ratio.numerator * offset.numerator
    whole, rest = divmod(edge, 2 * ratio.numerator * offset.denominator)
    return whole + (rest > 0 or not included)


def reaches(value: Fraction, code: int, rounding: Rounding) -> bool:
    """Return whether an exact number is rounded to `code` or more."""
    twice, included = edge_of(code, rounding)
    return 2 * value > twice or (included and 2 * value == twice)


def rounded(value: Fraction, rounding: Rounding) -> int:
    """Return an exact number rounded to an integer.

    >>> [rounded(Fraction(x, 2), Rounding.RND_CONV) for x in (-3, -1, 1, 3)]
    [-2, 0, 0, 2]
    """
    above = math.floor(value) + 1
    return above if reaches(value, above, rounding) else above - 1


def edge_of(code: int, rounding: Rounding) -> tuple[int, bool]:
    """Return twice where numbers begin that are rounded to `code` or more, and whether the first of them is one."""
    match rounding:
        case Rounding.TRN | Rounding.TRN_ZERO:
            downward = rounding == Rounding.TRN or code > 0
            return 2 * code if downward else 2 * code - 2, downward
        case Rounding.RND_ZERO:
            return 2 * code - 1, code <= 0
        case Rounding.RND_INF:
            return 2 * code - 1, code > 0
        case Rounding.RND_CONV:
            return 2 * code - 1, code % 2 == 0
    return 2 * code - 1, rounding == Rounding.RND


def _is_exact(ratio: Fraction, largest: int) -> bool:
    """Return whether a ratio is a multiplier and a shift itself."""
    shift = ratio.denominator.bit_length() - 1
    return ratio.denominator == 1 << shift and shift <= MOST_SHIFT and ratio.numerator <= largest


def ratios_of(
    wanted: Fraction, given: Iterable[Fact], rounding: Rounding, largest: int, most: int = MOST_FACTS
) -> Ratios | None:
    """Return the ratios for which facts hold; None if there are none, or more than `most` facts."""
    low, high = (0, 1), (1, 0)  # numerators and denominators: Fractions take ten times as long
    least: list[Fact] = []
    highest: list[Fact] = []
    looked = 0
    for looked, (x, code, yes) in enumerate(given, start=1):
        if not x and reaches(Fraction(0), code, rounding) != yes:  # no ratio moves zero
            return None
        edge = edge_of(code, rounding)[0]
        bound = (edge, 2 * x) if x > 0 else (-edge, -2 * x)
        if x and (x > 0) == yes and (beyond := bound[0] * low[1] - low[0] * bound[1]) >= 0:
            low, least = bound, [(x, code, yes)] if beyond else [*least, (x, code, yes)]
        elif x and (x > 0) != yes and (beyond := high[0] * bound[1] - bound[0] * high[1]) >= 0:
            high, highest = bound, [(x, code, yes)] if beyond else [*highest, (x, code, yes)]
        if looked > most or (looked & (looked - 1) == 0 and not _any_multiplier(low, high, largest)):
            return None
    end = Fraction(*high) if high[1] else None
    return Ratios(wanted, Fraction(*low), end, (*least, *highest), largest, looked)


def facts_of(sums: Sums, form: FixedFormat) -> Iterator[Fact]:
    """Yield what must stay as it is: where each code begins, those far from zero first, for they bind the most."""
    lowest = form.min_code | 1 if form.signed and form.overflow == Overflow.SAT_SYM else form.min_code
    first, last = (min(max(rounded(end, form.rounding), lowest), form.max_code) for end in sums.ends)
    if first > lowest:
        yield sums.low, first, True
    if last < form.max_code:
        yield sums.high, last + 1, False
    up, down = last, first + 1
    while down <= up:
        code = up if abs(up) >= abs(down) else down
        at = threshold(code, sums.ratio, form.rounding, sums.offset)
        yield at, code, True
        yield at - 1, code, False
        up, down = (up - 1, down) if code == up else (up, down + 1)


def _any_multiplier(low: tuple[int, int], high: tuple[int, int], largest: int) -> bool:
    """Return whether a multiplier up to `largest` and a shift lie between two ratios, the second perhaps infinite."""
    if not high[1]:
        return True
    if high[0] * low[1] < low[0] * high[1]:
        return False
    least, most = ([(end[0] << shift, end[1]) for shift in range(MOST_SHIFT + 1)] for end in (low, high))
    return any(max(1, -(-a // b)) <= min(largest, c // d) for (a, b), (c, d) in zip(least, most, strict=True))
