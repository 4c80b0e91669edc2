"""Which design to build: limits, what is wanted beyond them, and what follows from both by stated rules."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from reports.explore.points import Point
from reports.explore.space import Budget

ERROR, MEMORY, MULTIPLIERS, SPEED, ROOM = "error", "memory", "multipliers", "speed", "room"
LOOSER = 2.0  # times a limit, to see whether it binds: without any limit on errors a network may as well guess
Use = Callable[[Point], float]


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

    def meets(self, point: Point) -> bool:
        """Return whether a point is within the limit."""
        return self.use(point) <= self.most * (1 + 1e-12)

    def share(self, point: Point) -> float:
        """Return what a point uses, 1 being all that there is."""
        return self.use(point) / self.most if self.most else float("inf")


def limits_of(budget: Budget) -> tuple[Limit, ...]:
    """Return the limits of a budget; that the technology has blocks and multipliers enough is always one."""
    found = [Limit(ERROR, budget.error_rate, lambda p: p.error_rate)]
    if budget.memory_bits is not None:
        found.append(Limit(MEMORY, budget.memory_bits, lambda p: p.memory_bits))
    if budget.multipliers is not None:
        found.append(Limit(MULTIPLIERS, budget.multipliers, lambda p: p.multipliers))
    if budget.images_per_s is not None:
        found.append(Limit(SPEED, budget.clock_hz / budget.images_per_s, lambda p: p.cycles))
    return (*found, Limit(ROOM, 1, lambda p: 2.0 if p.short else 1.0))


@dataclass(frozen=True)
class Means:
    """What a technology has of everything, and what is known of it: what the cost of a design is told in.

    Parameters
    ----------
    name, about : str
    memory_bits, multipliers : int or None
        In all; None: as many as one likes.
    area : bool
        Whether areas are known.
    """

    name: str
    about: str
    memory_bits: int | None
    multipliers: int | None
    area: bool

    @property
    def cost_name(self) -> str:
        """What `cost` is, in words."""
        if self.area:
            return "area"
        return "share of the device" if self.memory_bits and self.multipliers else "memory"

    def cost(self, point: Point) -> float:
        """Return what a design takes: its area, or the mean share of memory and multipliers, or its memory."""
        if self.area:
            return float(point.area_um2)
        if self.memory_bits and self.multipliers:
            return (point.memory_bits / self.memory_bits + point.multipliers / self.multipliers) / 2
        return float(point.memory_bits)


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

    def best(self, points: Iterable[Point]) -> Point | None:
        """Return the best of the points, None if there are none; ties go to less error, memory, multipliers, time."""
        return min(points, key=self._order, default=None)

    def _order(self, p: Point) -> tuple[float, ...]:
        return self.value(p), p.error_rate, p.memory_bits, p.multipliers, p.cycles


GOALS = ("efficient", "cheap", "fast", "small", "accurate")


def goal_of(name: str, means: Means) -> Goal:
    """Return the goal of that name, one of `GOALS`."""
    cost = means.cost
    goals = {
        "efficient": Goal(name, f"least {means.cost_name} x cycles", lambda p: cost(p) * p.cycles),
        "cheap": Goal(name, f"least {means.cost_name}", cost),
        "fast": Goal(name, "fewest cycles", lambda p: p.cycles),
        "small": Goal(name, "least memory", lambda p: p.memory_bits),
        "accurate": Goal(name, "fewest errors", lambda p: p.error_rate),
    }
    return goals[name]


@dataclass(frozen=True)
class Instead:
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
    point: Point
    factor: float


def within(points: Iterable[Point], limits: Sequence[Limit], but: str = "") -> list[Point]:
    """Return the points that meet all limits, or all `but` one."""
    others = [limit for limit in limits if limit.name != but]
    return [point for point in points if all(limit.meets(point) for limit in others)]


def binding(points: Sequence[Point], limits: Sequence[Limit], goal: Goal, chosen: Point) -> list[Instead]:
    """Return the limits of which twice as much would give a better design, that which binds most first."""
    found = []
    for limit in limits:
        looser = [replace(x, most=LOOSER * x.most) if x is limit else x for x in limits]
        best = goal.best(within(points, looser))
        if best is not None and goal.value(best) < goal.value(chosen):
            gain = goal.value(chosen) / goal.value(best) if goal.value(best) else float("inf")
            found.append(Instead(limit.name, best, gain))
    return sorted(found, key=lambda x: -x.factor)


def relaxed(points: Sequence[Point], limits: Sequence[Limit]) -> list[Instead]:
    """Return what one limit would have to be if all others stay, for each with which something fits."""
    found = []
    for limit in limits:
        others = within(points, limits, but=limit.name)
        if others:
            point = min(others, key=lambda p: (limit.share(p), p.error_rate, p.memory_bits, p.cycles))
            found.append(Instead(limit.name, point, limit.share(point)))
    return sorted(found, key=lambda x: x.factor)


def nearest(points: Sequence[Point], limits: Sequence[Limit]) -> Point:
    """Return the point whose worst overshoot of a limit is the least."""
    return min(points, key=lambda p: (max(x.share(p) for x in limits), sum(x.share(p) for x in limits)))


def front(points: Iterable[Point]) -> list[Point]:
    """Return the points that no other one beats or equals in error, memory and cycles at once, least error first.

    Of points that are equal in all three the one with the fewest multipliers stays.
    """
    memories: list[int] = []  # a stair of what is there already: memory rises, cycles fall
    cycles: list[int] = []
    found = []
    for point in sorted(points, key=lambda p: (p.error_rate, p.memory_bits, p.cycles, p.multipliers)):
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
