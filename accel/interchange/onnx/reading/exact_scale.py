"""When a quotient of steps, which may be any number, is an integer multiplier and a shift.

A Program requantises by ``accumulator * multiplier / 2**shift`` with at most 16 bits of multiplier; a file says
``accumulator * ratio`` with a ratio of two floats. The two are the same layer if they give the same code for every
accumulator that the layer can have, which are finitely many: each code has a lowest accumulator, its threshold, and a
multiplier is right if no threshold moves. That is an interval of ratios, found exactly in integers here; for powers of
two the ratio itself is a multiplier and a shift.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.signal import MULTIPLIER_BITS, Requantize

MOST_SHIFT = 60
MOST_MULTIPLIER = (1 << MULTIPLIER_BITS) - 1
MOST_FACTS = 1 << 22  # of a layer
_TRUNCATING = Rounding.TRN, Rounding.TRN_ZERO


@dataclass(frozen=True)
class Sums:
    """Accumulators of one output: their ratio to the code, and their range."""

    ratio: Fraction
    low: int
    high: int


@dataclass(frozen=True)
class Ratios:
    """Ratios that give the codes of one: all between `low` and `high`, and perhaps these two; `wanted` is one."""

    wanted: Fraction
    low: Fraction
    high: Fraction | None
    facts: "tuple[Fact, ...]"

    def multiplier(self, shift: int, rounding: Rounding) -> int | None:
        """Return the integer nearest to `wanted` that gives the codes with `shift`, or None."""
        scale = 1 << shift
        least = max(1, math.ceil(self.low * scale))
        most = MOST_MULTIPLIER if self.high is None else min(MOST_MULTIPLIER, math.floor(self.high * scale))
        nearest = math.floor(self.wanted * scale + Fraction(1, 2))
        for offset in (0, -1, 1):  # the ends may be no part of the interval, what lies between them is
            found = min(max(nearest, least), most) + offset
            if least <= found <= most and self._holds(Fraction(found, scale), rounding):
                return found
        return None

    def _holds(self, ratio: Fraction, rounding: Rounding) -> bool:
        at_an_end = ratio in (self.low, self.high) and ratio != self.wanted
        return not at_an_end or all(reaches(x * ratio, code, rounding) == yes for x, code, yes in self.facts)


Fact = tuple[int, int, bool]
"""An accumulator, a code, and whether the accumulator becomes this code or a higher one."""


def exact_requantize(sums: Sequence[Sums], form: FixedFormat) -> Requantize | None:
    """Return what gives the codes of each output's ratio for each of its accumulators, or None if nothing does.

    Parameters
    ----------
    sums : sequence of Sums
        One, or one for each output.
    form : FixedFormat
        Of the codes; it saturates.
    """
    intervals: list[Ratios] = []
    if not all(_is_exact(part.ratio) for part in sums):
        left = MOST_FACTS
        for part in sums:
            found = _interval(part, form, left)
            if found is None:
                return None
            intervals.append(found)
            left -= len(found.facts)
    else:
        intervals = [Ratios(part.ratio, part.ratio, part.ratio, ()) for part in sums]
    for shift in range(MOST_SHIFT + 1):
        multipliers: list[int] = []
        for interval in intervals:
            multiplier = interval.multiplier(shift, form.rounding)
            if multiplier is None:
                break
            multipliers.append(multiplier)
        else:
            return Requantize(multipliers, shift)  # type: ignore[arg-type]  # made an array there
    return None


def threshold(code: int, ratio: Fraction, rounding: Rounding) -> int:
    """Return the least integer x for which ``x * ratio`` is rounded to `code` or more."""
    edge, included = _edge(code, rounding)
    quotient = edge / ratio
    return math.ceil(quotient) if included else math.floor(quotient) + 1


def reaches(value: Fraction, code: int, rounding: Rounding) -> bool:
    """Return whether an exact number is rounded to `code` or more."""
    edge, included = _edge(code, rounding)
    return value > edge or (included and value == edge)


def rounded(value: Fraction, rounding: Rounding) -> int:
    """Return an exact number rounded to an integer.

    >>> [rounded(Fraction(x, 2), Rounding.RND_CONV) for x in (-3, -1, 1, 3)]
    [-2, 0, 0, 2]
    """
    above = math.floor(value) + 1
    return above if reaches(value, above, rounding) else above - 1


def _edge(code: int, rounding: Rounding) -> tuple[Fraction, bool]:
    """Return where numbers begin that are rounded to `code` or more, and whether the first of them is one."""
    if rounding in _TRUNCATING:
        downward = rounding == Rounding.TRN or code > 0
        return Fraction(code if downward else code - 1), downward
    included = {
        Rounding.RND: True,
        Rounding.RND_ZERO: code <= 0,
        Rounding.RND_MIN_INF: False,
        Rounding.RND_INF: code > 0,
        Rounding.RND_CONV: code % 2 == 0,
    }
    return Fraction(2 * code - 1, 2), included[rounding]


def _is_exact(ratio: Fraction) -> bool:
    """Return whether a ratio is a multiplier and a shift itself."""
    shift = ratio.denominator.bit_length() - 1
    return ratio.denominator == 1 << shift and shift <= MOST_SHIFT and ratio.numerator <= MOST_MULTIPLIER


def _interval(sums: Sums, form: FixedFormat, most: int) -> Ratios | None:
    """Return the ratios for which the facts about `sums` hold; None if there are none, or too many facts."""
    low, high = Fraction(0), None
    facts = []
    for x, code, yes in _facts(sums, form):
        facts.append((x, code, yes))
        if x:  # no ratio moves zero
            bound = _edge(code, form.rounding)[0] / x
            if (x > 0) == yes:
                low = max(low, bound)
            else:
                high = bound if high is None else min(high, bound)
        if len(facts) > most or (len(facts) % 64 == 2 and not _any_multiplier(low, high)):
            return None
    return Ratios(sums.ratio, low, high, tuple(facts))


def _facts(sums: Sums, form: FixedFormat) -> Iterator[Fact]:
    """Yield what must stay as it is: where each code begins, those far from zero first, for they bind the most."""
    lowest = form.min_code | 1 if form.signed and form.overflow == Overflow.SAT_SYM else form.min_code
    first, last = (
        min(max(rounded(x * sums.ratio, form.rounding), lowest), form.max_code) for x in (sums.low, sums.high)
    )
    if first > lowest:
        yield sums.low, first, True
    if last < form.max_code:
        yield sums.high, last + 1, False
    up, down = last, first + 1
    while down <= up:
        code = up if abs(up) >= abs(down) else down
        at = threshold(code, sums.ratio, form.rounding)
        yield at, code, True
        yield at - 1, code, False
        up, down = (up - 1, down) if code == up else (up, down + 1)


def _any_multiplier(low: Fraction, high: Fraction | None) -> bool:
    """Return whether a 16-bit multiplier and a shift lie between two ratios."""
    if high is None:
        return True
    if high < low:
        return False
    scales = (1 << shift for shift in range(MOST_SHIFT + 1))
    return any(max(1, math.ceil(low * scale)) <= min(MOST_MULTIPLIER, math.floor(high * scale)) for scale in scales)
