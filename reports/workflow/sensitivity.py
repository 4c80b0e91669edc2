"""Which figure of a technology would change what is recommended, and at what value: exact, for costs are linear.

A figure, say the square micrometers of a bit of SRAM, enters the cost of a design so many times. With x times the
figure, what a goal and a limit say of a design is a line in x; where the lines of two designs cross, or one meets its
limit, the answer may change. Everything else stays as it was costed: the blocks of a memory too.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

from reports.workflow.limits import Limit, Use
from reports.workflow.recommend import Choice, Decision, dominates, front, within

FAR = 10.0  # times a figure, or one in so many: no estimate is that far off
JUST = 1e-6  # beyond where the answer changes, relative; what is so short is none


@dataclass(frozen=True)
class Figure(Generic[Choice]):
    """A figure of a technology that costs follow.

    Parameters
    ----------
    name, about : str
        Its key in the technology's table; what it is, with its unit.
    value : float
    limits : tuple of str
        The limits whose use follows it, beside the goal.
    priced : function
        From a design and a factor to the design as it would cost with so many times the figure; its costs are linear.
    """

    name: str
    about: str
    value: float
    limits: tuple[str, ...]
    priced: Callable[[Choice, float], Choice]


@dataclass(frozen=True)
class Flip(Generic[Choice]):
    """Where another design would be recommended.

    Parameters
    ----------
    figure, about : str
    value, at : float
        What the figure is, and beyond what it would change the answer.
    above : bool
        Whether it would have to be more, or less.
    point : Choice
        What would be recommended then.
    """

    figure: str
    about: str
    value: float
    at: float
    above: bool
    point: Choice

    @property
    def factor(self) -> float:
        """So many times the figure."""
        return self.at / self.value


@dataclass(frozen=True)
class _Priced(Generic[Choice]):
    """A design, the line of what the goal says of it, and the highest factor at which it meets all limits."""

    place: int  # among the designs
    point: Choice
    start: float
    slope: float
    reach: float
    tie: tuple[float, ...]  # what decides where the goal does not
    figures: tuple[Use, ...]  # in which another may beat it

    def at(self, factor: float) -> tuple[float, tuple[float, ...]]:
        return self.start + self.slope * factor, self.tie

    def beats(self, other: "_Priced[Choice]") -> bool:
        return dominates(self.point, other.point, self.figures, first=self.place < other.place)


def flips(decision: Decision[Choice], figures: Iterable[Figure[Choice]], most: float = FAR) -> list[Flip[Choice]]:
    """Return for each figure the nearest value below and above its own that changes the answer; the nearest first.

    What is more than `most` times a figure, or less than one in so many, is left out.
    """
    found = [flip for figure in figures for flip in _of(decision, figure) if 1 / most <= flip.factor <= most]
    return sorted(found, key=lambda flip: abs(math.log(flip.factor)))


def _of(decision: Decision[Choice], figure: Figure[Choice]) -> Iterator[Flip[Choice]]:
    chosen = decision.chosen
    if chosen is None or not figure.value:
        return
    moving = [limit for limit in decision.limits if limit.name in figure.limits]
    still = [limit for limit in decision.limits if limit.name not in figure.limits]
    figures = decision.goal.figures
    pool = within(decision.points, still) if moving else front(decision.fitting, figures)
    priced = [_priced(decision, figure, point, place, moving) for place, point in enumerate(pool)]
    (mine,) = (x for x in priced if x.point is chosen)
    others = [x for x in priced if x.point is not chosen and x.reach > 0]
    for above, factor in ((False, _below(mine, others)), (True, _above(mine, others))):
        beyond = factor * (1 + (JUST if above else -JUST))
        there = [x.point for x in priced if x.reach >= beyond]
        if 0 < factor < math.inf and there:
            point = min(front(there, figures), key=lambda p: decision.goal.order(figure.priced(p, beyond)))
            yield Flip(figure.name, figure.about, figure.value, factor * figure.value, above, point)


def _priced(
    decision: Decision[Choice], figure: Figure[Choice], point: Choice, place: int, limits: Sequence[Limit]
) -> _Priced[Choice]:
    free, goal, reach = figure.priced(point, 0.0), decision.goal, math.inf
    for limit in limits:
        left, more = limit.most - limit.use(free), limit.use(point) - limit.use(free)
        most = left / more if more else math.copysign(math.inf, left)
        reach = min(reach, max(most, 1.0) if limit.meets(point) else most)  # where it just meets it, too
    start = goal.value(free)
    return _Priced(place, point, start, goal.value(point) - start, reach, goal.order(point)[1:], goal.figures)


def _above(mine: _Priced[Choice], others: Sequence[_Priced[Choice]]) -> float:
    """Return the least factor above 1 beyond which another design is the answer; infinite if there is none."""
    best = mine.reach
    for x in others:
        worse, slope = x.at(1.0)[0] - mine.at(1.0)[0], x.slope - mine.slope
        first, last = 1.0, math.inf
        if x.at(1.0) >= mine.at(1.0):
            first = 1 - worse / slope if slope < 0 else math.inf
        elif slope > 0:  # better, and not the answer: something beats it
            last = 1 - worse / slope
        if first < min(last, x.reach, best):
            first = max(first, _blocked(x, [*others, mine]))
            best = first if first * (1 + JUST) < min(last, x.reach) and first < best else best
    return best


def _below(mine: _Priced[Choice], others: Sequence[_Priced[Choice]]) -> float:
    """Return the greatest factor below 1 beyond which another design is the answer; 0 if there is none."""
    best = 0.0
    for x in others:
        worse, slope, last = x.at(1.0)[0] - mine.at(1.0)[0], x.slope - mine.slope, min(x.reach, 1.0)
        if x.beats(mine):
            best = max(best, last)
            continue
        if x.at(1.0) >= mine.at(1.0):
            last = min(last, 1 - worse / slope if slope > 0 else 0.0)
        better = x.at(last * (1 - JUST)) < mine.at(last * (1 - JUST))
        if last > best and better and last * (1 - JUST) > _blocked(x, [*others, mine]):
            best = last
    return best


def _blocked(x: _Priced[Choice], others: Sequence[_Priced[Choice]]) -> float:
    """Return the factor up to which a design that meets all limits beats this one in what the goal compares."""
    return max((y.reach for y in others if y is not x and y.beats(x)), default=-math.inf)
