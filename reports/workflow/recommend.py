"""Which design to build: the one engine behind what `espalier report` and `espalier explore` recommend.

Of the designs that meet all limits those stay that no other beats in errors, memory and cycles at once (`front`); of
these a goal chooses one. So a recommended design is never dominated: whichever is as good in all three has as much
energy or more. Errors are those on validation images; test images decide nothing.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from accel.errors import EspalierError

ERROR, MEMORY, MULTIPLIERS, SPEED, ROOM = "error", "memory", "multipliers", "speed", "room"
LOOSER = 2.0  # times a limit, to see whether it binds: without any limit on errors a network may as well guess
Use = Callable[[Any], float]


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
    def energy_pj(self) -> int:
        """Energy of one image, an estimate; 0 where the technology says nothing of it."""

    @property
    def multipliers(self) -> int:
        """Hardware multipliers."""

    @property
    def short(self) -> bool:
        """Whether the array or the technology has too little of something."""


Choice = TypeVar("Choice", bound=Candidate)


@dataclass(frozen=True)
class Budget:
    """The limits that a design has to meet; None is no limit.

    Parameters
    ----------
    error_rate : float
        The most on validation images, 0..1.
    memory_bits : int or None
        The most bits of memory blocks.
    multipliers : int or None
    images_per_s : float or None
        The fewest.
    clock_hz : float

    Raises
    ------
    EspalierError
        A limit is not positive, or a rate none.
    """

    error_rate: float
    memory_bits: int | None
    multipliers: int | None
    images_per_s: float | None
    clock_hz: float

    def __post_init__(self) -> None:
        if not 0 <= self.error_rate <= 1:
            raise EspalierError(f"the most errors must be 0..100 % of the images, got {self.error_rate:.2%}")
        options = {"memory_bits": "--sram", "multipliers": "--dsp", "images_per_s": "--min-fps", "clock_hz": "--clock"}
        for name, option in options.items():
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise EspalierError(f"{option}: {name} must be above 0, got {value}")


@dataclass(frozen=True)
class Limit:
    """One limit of a budget.

    Parameters
    ----------
    name : str
    most : float
        Of what `use` says of a point.
    use : function
        From a point to a number; so many times `most` is how far a point is off.
    """

    name: str
    most: float
    use: Use

    def meets(self, point: Candidate) -> bool:
        """Return whether a point is within the limit."""
        return self.use(point) <= self.most * (1 + 1e-12)

    def share(self, point: Candidate) -> float:
        """Return what a point uses, 1 being all that there is."""
        return self.use(point) / self.most if self.most else float("inf")


def limits_of(budget: Budget, load_cycles: int = 0) -> tuple[Limit, ...]:
    """Return the limits of a budget; that the technology has blocks and multipliers enough is always one.

    `load_cycles` are those of an image, which are time too.
    """
    found = [Limit(ERROR, budget.error_rate, lambda p: p.error_rate)]
    if budget.memory_bits is not None:
        found.append(Limit(MEMORY, budget.memory_bits, lambda p: p.memory_bits))
    if budget.multipliers is not None:
        found.append(Limit(MULTIPLIERS, budget.multipliers, lambda p: p.multipliers))
    if budget.images_per_s is not None:
        found.append(Limit(SPEED, budget.clock_hz / budget.images_per_s, lambda p: load_cycles + p.cycles))
    return (*found, Limit(ROOM, 1, lambda p: 2.0 if p.short else 1.0))


@dataclass(frozen=True)
class Goal:
    """What is wanted of the designs that meet all limits.

    Parameters
    ----------
    name, about : str
    value : function
        The least is best.
    """

    name: str
    about: str
    value: Use

    def best(self, points: Iterable[Choice]) -> Choice | None:
        """Return the best of the points that no other dominates, None if there are none.

        Ties go to less error, memory, multipliers, time.
        """
        return min(front(points), key=self._order, default=None)

    def _order(self, p: Candidate) -> tuple[float, ...]:
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


def front(points: Iterable[Choice]) -> list[Choice]:
    """Return the points that no other one beats or equals in error, memory and cycles at once, least error first.

    Of points that are equal in all three the one with the least energy stays, then that with the fewest multipliers.
    """
    memories: list[int] = []  # a stair of what is there already: memory rises, cycles fall
    cycles: list[int] = []
    found = []
    for point in sorted(points, key=_beating):
        at = bisect_right(memories, point.memory_bits)
        if at and cycles[at - 1] <= point.cycles:
            continue
        found.append(point)
        at = bisect_left(memories, point.memory_bits)
        end = at
        while end < len(cycles) and cycles[end] >= point.cycles:
            end += 1
        memories[at:end], cycles[at:end] = [point.memory_bits], [point.cycles]
    return found


def _beating(p: Candidate) -> tuple[float, ...]:
    return p.error_rate, p.memory_bits, p.cycles, p.energy_pj, p.multipliers
