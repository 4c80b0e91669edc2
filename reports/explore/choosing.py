"""What is wanted of a design beyond its limits, and what one costs; `reports.workflow.recommend` chooses."""

from dataclasses import dataclass

from reports.explore.points import Point
from reports.workflow.recommend import SMALL, Goal


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
    clock_hz : float or None
        The highest at which the array is known to run; None: nobody has measured it.
    """

    name: str
    about: str
    memory_bits: int | None
    multipliers: int | None
    area: bool
    clock_hz: float | None = None

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


GOALS = ("efficient", "cheap", "fast", "small", "accurate")


def goal_of(name: str, means: Means) -> Goal:
    """Return the goal of that name, one of `GOALS`."""
    cost = means.cost
    goals = {
        "efficient": Goal(name, f"least {means.cost_name} x cycles", lambda p: cost(p) * p.cycles),
        "cheap": Goal(name, f"least {means.cost_name}", cost),
        "fast": Goal(name, "fewest cycles", lambda p: p.cycles),
        "small": SMALL,
        "accurate": Goal(name, "fewest errors", lambda p: p.error_rate),
    }
    return goals[name]
