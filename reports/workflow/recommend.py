"""Which design to build: the one engine behind what `espalier report` and `espalier explore` recommend.

Of the designs that meet all limits those stay that no other beats in errors, memory and cycles at once (`front`), which
are counted; of these a goal chooses one. A goal of energy, an estimate, compares that there too, or designs that save
energy alone would be gone before it chooses. So a recommended design is never dominated: whichever is as good in all
three is better in nothing else that is told of it, or worse in what the goal counts. Errors are those on validation
images; test images decide nothing. Because images are few, what has to be within the limit is the rate that is not
exceeded with a confidence (`reports.workflow.limits.Guard`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from reports.workflow.limits import CONFIDENCE, Budget, Guard, Limit, Use, limits_of

LOOSER = 2.0  # times a limit, to see whether it binds: without any limit on errors a network may as well guess


class Candidate(Protocol):
    """What decides about a design."""

    @property
    def error_rate(self) -> float:
        """The error rate on validation images, 0..1."""

    @property
    def memory_bits(self) -> int:
        """Bits of all memory blocks."""

    @property
    def cycles(self) -> int:
        """Cycles of one image, its load apart."""

    @property
    def interval_cycles(self) -> int:
        """Cycles from the start of one image to that of the next."""

    @property
    def energy_pj(self) -> int:
        """Energy of one image, an estimate; 0 where the technology says nothing of it."""

    @property
    def area_um2(self) -> int:
        """Area of lanes and memories, an estimate; 0 where nothing is known of it."""

    @property
    def multipliers(self) -> int:
        """Hardware multipliers."""

    @property
    def short(self) -> bool:
        """Whether the array or the technology has too little of something."""


Choice = TypeVar("Choice", bound=Candidate)
COUNTED: tuple[Use, ...] = (lambda p: p.error_rate, lambda p: p.memory_bits, lambda p: p.cycles)
TIES: tuple[Use, ...] = (  # what decides between designs that are equal in these: no figure that is told is left out
    lambda p: p.energy_pj,
    lambda p: p.multipliers,
    lambda p: p.area_um2,
    lambda p: p.interval_cycles,
)


@dataclass(frozen=True)
class Goal:
    """What is wanted of the designs that meet all limits.

    Parameters
    ----------
    name, about : str
    value : function
        The least is best.
    figures : tuple of function
        In which at once no other design may beat the one that is chosen; the least is best.
    """

    name: str
    about: str
    value: Use
    figures: tuple[Use, ...] = COUNTED

    @property
    def compared(self) -> str:
        """In what no other design beats the one that is chosen.

        >>> SMALL.compared
        'errors, memory and cycles'
        """
        return "errors, memory and cycles" if self.figures == COUNTED else "errors, memory, cycles and energy"

    def best(self, points: Iterable[Choice]) -> Choice | None:
        """Return the best of the points that no other dominates, None if there are none.

        Ties go to less error, memory, multipliers, time.
        """
        return min(front(points, self.figures), key=self.order, default=None)

    def order(self, p: Candidate) -> tuple[float, ...]:
        """Return what points that no other dominates are sorted by, the best first."""
        return self.value(p), p.error_rate, p.memory_bits, p.multipliers, p.cycles


SMALL = Goal("small", "least memory", lambda p: p.memory_bits)


@dataclass(frozen=True)
class Instead(Generic[Choice]):
    """What would be if one limit were another.

    Parameters
    ----------
    limit : str
        Its name.
    point : Point
        The best with twice as much of it, or what comes nearest to it.
    factor : float
        How many times the limit that is; of a limit that binds, how many times better by the goal.
    """

    limit: str
    point: Choice
    factor: float


def within(points: Iterable[Choice], limits: Sequence[Limit], but: str = "") -> list[Choice]:
    """Return the points that meet all limits, or all `but` one."""
    others = [limit for limit in limits if limit.name != but]
    return [point for point in points if all(limit.meets(point) for limit in others)]


def binding(points: Sequence[Choice], limits: Sequence[Limit], goal: Goal, chosen: Choice) -> list[Instead[Choice]]:
    """Return the limits of which twice as much would give a better design, that which binds most first."""
    found = []
    for limit in limits:
        looser = [replace(x, most=LOOSER * x.most) if x is limit else x for x in limits]
        best = goal.best(within(points, looser))
        if best is not None and goal.value(best) < goal.value(chosen):
            gain = goal.value(chosen) / goal.value(best) if goal.value(best) else float("inf")
            found.append(Instead(limit.name, best, gain))
    return sorted(found, key=lambda x: -x.factor)


def relaxed(points: Sequence[Choice], limits: Sequence[Limit]) -> list[Instead[Choice]]:
    """Return what one limit would have to be if all others stay, for each with which something fits."""
    found = []
    for limit in limits:
        others = within(points, limits, but=limit.name)
        if others:
            point = min(others, key=lambda p: (limit.share(p), p.error_rate, p.memory_bits, p.cycles))
            found.append(Instead(limit.name, point, limit.share(point)))
    return sorted(found, key=lambda x: x.factor)


def nearest(points: Sequence[Choice], limits: Sequence[Limit]) -> Choice:
    """Return the point whose worst overshoot of a limit is the least."""
    return min(points, key=lambda p: (max(x.share(p) for x in limits), sum(x.share(p) for x in limits)))


def front(points: Iterable[Choice], figures: tuple[Use, ...] = COUNTED) -> list[Choice]:
    """Return the points that no other one beats or equals in all figures at once, least error first.

    Of points that are equal in all of them the one that is the least by `TIES` stays.
    """
    found = list(points)
    uses = *figures, *TIES
    numbers = np.array([[use(p) for use in uses] for p in found], float).reshape(len(found), len(uses))
    return [found[place] for place in undominated(numbers, len(figures))]


def undominated(numbers: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the rows that no other beats or equals in the first `count` columns, in the order of all columns.

    Parameters
    ----------
    numbers : float array (rows, columns)
        The less the better. Of rows that are equal in the first columns the least by the others stays.
    count : int
    """
    order = np.lexsort(numbers.T[::-1])
    left, found = numbers[order, :count], []
    while order.size:  # the least of all that are left is beaten by none of them, nor by those before
        found.append(order[0])
        stay = np.any(left < left[0], axis=1)
        order, left = order[stay], left[stay]
    return np.array(found, np.intp)


def dominates(one: Candidate, other: Candidate, figures: tuple[Use, ...] = COUNTED, first: bool = False) -> bool:
    """Return whether a point keeps another from the `front`: as good in all figures, and better in one.

    Of points that are equal in these `TIES` decide, and then which is `first` in the list.
    """
    mine, its = ([use(p) for use in (*figures, *TIES)] for p in (one, other))
    as_good = all(x <= y for x, y in zip(mine[: len(figures)], its, strict=False))
    return as_good and (mine < its or (first and mine == its))


def band(points: Iterable[Choice], goal: Goal, chosen: Choice, share: float) -> list[Choice]:
    """Return every point that is as good as the chosen one within a share of the goal, the best first.

    Of those that no other one equals or beats in everything that is told of a design: energy, multipliers, area and
    images a second beside errors, memory and cycles. So a point may be a little better by the goal than the chosen one,
    where that one is better in what is counted.
    """
    most = (1 + share) * goal.value(chosen)
    near = [point for point in points if goal.value(point) <= most * (1 + 1e-12)]
    return sorted(front(near, (*COUNTED, *TIES)), key=goal.order)


DIRECTIONS: dict[str, Use] = {  # in which another design may be better
    "fewer errors": lambda p: p.error_rate,
    "less memory": lambda p: p.memory_bits,
    "fewer cycles": lambda p: p.cycles,
    "fewer multipliers": lambda p: p.multipliers,
    "less energy": lambda p: p.energy_pj,
}


@dataclass(frozen=True)
class Aside(Generic[Choice]):
    """The next best design in one direction.

    Parameters
    ----------
    direction : str
        One of `DIRECTIONS`.
    point : Point
    breaks : tuple of str
        The limits that it does not meet; where a design meets all, none.
    """

    direction: str
    point: Choice
    breaks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Decision(Generic[Choice]):
    """What is recommended of some designs, and everything that follows.

    Parameters
    ----------
    points : sequence of Point
    budget : Budget
    goal : Goal
    reference_rate : float
        How often the network errs that the others are compared with, on the same images.
    images : int
        The validation images by which errors are known.
    confidence : float or None
        How sure to be of the errors; None: `CONFIDENCE`, or the rates themselves where nothing is that sure and the
        images are too few to say it even of a design that errs no more than the reference.
    timed : bool
        Whether points say how long it is from one image to the next: where nobody asks for it they need not.
    reaches_hz : float or None
        The highest clock that is known of the technology.
    """

    points: Sequence[Choice]
    budget: Budget
    goal: Goal
    reference_rate: float
    images: int
    confidence: float | None = None
    timed: bool = False
    reaches_hz: float | None = None

    @cached_property
    def guard(self) -> Guard:
        """How much is left between a rate and its limit."""
        wanted = Guard(self.images, CONFIDENCE if self.confidence is None else self.confidence)
        if self.confidence is not None or within(self.points, self._limits(wanted)):
            return wanted
        too_few = wanted.upper(self.reference_rate) > self.budget.error_rate
        return Guard(self.images, 0.0) if too_few else wanted

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """What a design has to meet."""
        return self._limits(self.guard)

    def _limits(self, guard: Guard) -> tuple[Limit, ...]:
        return limits_of(self.budget, guard, self.reaches_hz)

    @cached_property
    def fitting(self) -> list[Choice]:
        """The points that meet all limits."""
        return within(self.points, self.limits)

    @cached_property
    def chosen(self) -> Choice | None:
        """The best point by the goal, of those within the limits that no other dominates; None if nothing fits."""
        return self.goal.best(self.fitting)

    @cached_property
    def binding(self) -> list[Instead[Choice]]:
        """Which limits keep the chosen point from being better; none if there is no such point."""
        return [] if self.chosen is None else binding(self.points, self.limits, self.goal, self.chosen)

    @cached_property
    def relaxed(self) -> list[Instead[Choice]]:
        """What one limit would have to be, if nothing fits."""
        return [] if self.fitting else relaxed(self.points, self.limits)

    @cached_property
    def nearest(self) -> Choice:
        """What comes nearest to the limits."""
        return nearest(self.points, self.limits)

    @cached_property
    def asides(self) -> list[Aside[Choice]]:
        """The next best design in each direction in which there is a better one, within the limits if there is one.

        Where there is none, what breaks them least.
        """
        if self.chosen is None:
            return []
        found = (self._aside(direction, self.chosen) for direction in DIRECTIONS)
        return [aside for aside in found if aside is not None]

    def band(self, share: float) -> list[Choice]:
        """Return the designs within a share of the goal, as `band` has them; none where nothing fits."""
        return [] if self.chosen is None else band(self.fitting, self.goal, self.chosen, share)

    def _aside(self, direction: str, chosen: Choice) -> Aside[Choice] | None:
        use = DIRECTIONS[direction]
        best = self.goal.best(point for point in self.fitting if use(point) < use(chosen))
        if best is not None:
            return Aside(direction, best, ())
        better = [point for point in self.points if use(point) < use(chosen)]
        if not better:
            return None
        near = min(
            front(better, self.goal.figures), key=lambda p: (max(x.share(p) for x in self.limits), self.goal.value(p))
        )
        return Aside(direction, near, tuple(x.name for x in self.limits if not x.meets(near)))
