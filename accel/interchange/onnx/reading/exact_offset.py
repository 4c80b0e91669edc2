"""When sums times a quotient, plus a number that is no whole step of theirs, have a multiplier, an offset and a shift.

A batch norm, or a bias of floats, adds a fraction of a step to the sums before a quantiser. What must stay are the
facts of `exact_scale`: an accumulator reaches a code, or does not. With a multiplier and a shift each fact is a bound
of the offset, and any integer between all bounds is right. Multipliers that leave room for real numbers between the
bounds lie side by side around the quotient; there are few of them, and each is tried with every shift.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from accel.fixedpoint import FixedFormat, Rounding
from accel.interchange.onnx.reading.exact_scale import MOST_SHIFT, Fact, Scale, Sums, edge_of, facts_of
from accel.signal import Requantize

MOST_FACTS = 1 << 20  # of a layer
MOST_NEIGHBORS = 64  # of a multiplier, on each side


@dataclass(frozen=True, eq=False)
class Bounds:
    """The facts of one output as bounds of twice the offset: ``edge * 2**shift - 2 * accumulator * multiplier + more``.

    `least` and `most` are those below and above, each (3, facts): accumulators, edges, and what is added where the edge
    itself is on the wrong side. Products of a layer have at most 61 bits, so that int64 holds all of this.
    """

    of: Sums
    least: NDArray[np.int64]
    most: NDArray[np.int64]

    def numbers(self, shift: int, largest: int) -> tuple[int, int, int] | None:
        """Return a multiplier up to `largest`, an offset less than it, and whole steps beside it, or None."""
        nearest = math.floor(self.of.ratio * (1 << shift))
        sides = {-1: nearest, 1: nearest + 1}
        for _ in range(MOST_NEIGHBORS):
            for way, multiplier in [*sides.items()]:
                low, high = self._twice(multiplier, shift) if 1 <= multiplier <= largest else (1, -1)
                if -(-low // 2) <= high // 2:
                    offset = self._chosen(multiplier, -(-low // 2), high // 2)
                    return multiplier, offset % multiplier, offset // multiplier
                if low <= high:
                    sides[way] += way
                else:  # no real number either, nor further away
                    del sides[way]
            if not sides:
                return None
        return None

    def _twice(self, multiplier: int, shift: int) -> tuple[int, int]:
        """Return the least and the most that twice the offset may be; a whole step more or less at most."""
        below, above = (
            (edges << shift) - 2 * multiplier * sums + more for sums, edges, more in (self.least, self.most)
        )
        return int(below.max(initial=-2 * multiplier)), int(above.min(initial=2 * (2 * multiplier - 1)))

    def _chosen(self, multiplier: int, low: int, high: int) -> int:
        """Return an offset in a range: none, or a whole step, if it lies there; else what is nearest to the number."""
        for whole in (0, multiplier):
            if low <= whole <= high:
                return whole
        return min(max(math.floor(self.of.offset * multiplier), low), high)


def exact_with_offsets(sums: Sequence[Sums], form: FixedFormat, largest: int) -> Scale | None:
    """Return what gives the codes of each output's sums and offset, by the least shift for all; None if nothing does.

    A bias becomes at most one step more or less.

    Parameters
    ----------
    sums : sequence of Sums
        One for each output.
    form : FixedFormat
        Of the codes; it saturates.
    largest : int
        Of the multipliers.
    """
    bounds, left = list[Bounds](), MOST_FACTS
    for part in sums:
        facts = [*islice(facts_of(part, form), left + 1)]
        left -= len(facts)
        if left < 0:
            return None
        bounds.append(_bounds(part, facts, form.rounding))
    for shift in range(MOST_SHIFT + 1):
        found: list[tuple[int, int, int]] = []
        for of in bounds:
            numbers = of.numbers(shift, largest)
            if numbers is None:
                break
            found.append(numbers)
        else:
            multipliers, offsets, steps = np.array(found, np.int64).T
            one = [x[:1] if (x == x[0]).all() else x for x in (multipliers, offsets)]
            return Scale(Requantize(one[0], shift, one[1]), tuple(steps.tolist()))
    return None


def _bounds(of: Sums, facts: Iterable[Fact], rounding: Rounding) -> Bounds:
    rows: dict[bool, list[tuple[int, int, int]]] = {True: [], False: []}
    for x, code, yes in facts:
        edge, included = edge_of(code, rounding)
        rows[yes].append((x, edge, int(not included) if yes else -int(included)))
    least, most = (np.array(rows[yes], np.int64).reshape(-1, 3).T for yes in (True, False))
    return Bounds(of, least, most)
