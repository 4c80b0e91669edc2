"""What an exploration of several networks found: plain numbers, versioned JSON, tables.

Format history: 1, the first; 2, a limit of energy.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from accel.errors import EspalierError
from accel.records import record_of
from reports.explore.choosing import Means, goal_of
from reports.explore.points import Point
from reports.shared.frames import frame, html
from reports.shared.schema import Kind
from reports.shared.spreadsheet import csv_text
from reports.together.designs import Design, Member, limits_together
from reports.workflow.limits import Budget, Guard, Limit
from reports.workflow.recommend import Goal

if TYPE_CHECKING:
    from pandas import DataFrame

KIND = Kind("espalier-shared-array", 2, "the results of an exploration of several networks")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One of the networks, and what was found of it alone.

    Parameters
    ----------
    name : str
        What it is called here, and its folder.
    network, data : str
        Of its exploration: the network's name, its images.
    command : str
        That explores it alone.
    share : float
        Of the images that the array runs, 0..1.
    images : int
        Validation images that judge it.
    float_rate, most : float
        How often the reference errs; how often a design may.
    confidence : float
        How sure to be of that; 0 for the rates themselves.
    fitting, designs : int
        Designs that meet all limits alone, and all.
    alone : Point or None
        What is recommended of it alone.
    missed : tuple of str
        What it would take, if nothing of it fits even alone.
    building : mapping of version to str
        The commands that build it, as `reports.workflow.building` has them.
    test_rate, reference_rate : float or None
        Of the design that was chosen and of the reference, on test images.
    """

    name: str
    network: str
    data: str
    command: str
    share: float
    images: int
    float_rate: float
    most: float
    confidence: float
    fitting: int
    designs: int
    alone: Point | None
    missed: tuple[str, ...]
    building: dict[str, str]
    test_rate: float | None = None
    reference_rate: float | None = None

    @property
    def guard(self) -> Guard:
        """How much is left between a rate and its limit."""
        return Guard(self.images, self.confidence)


@dataclass(frozen=True, kw_only=True)
class OnLanes:
    """The best design on arrays of so many lanes in all; None where nothing meets the limits."""

    lanes: int
    design: Design | None


@dataclass(frozen=True, kw_only=True)
class Miss:
    """What would be if one limit were another.

    Parameters
    ----------
    limit : str
        Its name.
    factor : float
        How many times the limit that is; of a limit that binds, how many times better by the goal.
    design : Design
        The best with twice as much of it, or what comes nearest to it.
    """

    limit: str
    factor: float
    design: Design


@dataclass(frozen=True, kw_only=True)
class Shared:
    """One array for several networks, and what it was chosen from.

    Parameters
    ----------
    command : str
        That makes it.
    max_error, goal : str
        As they were asked for.
    budget : Budget
        What was asked for beside the errors, which are each network's own.
    means : Means
    networks : tuple of Row
    chosen : Design or None
        None if nothing fits.
    by_lanes : tuple of OnLanes
    binding : tuple of Miss
        Limits of which twice as much would give a better design.
    relaxed : tuple of Miss
        If nothing fits: what one limit would have to be, where all others can be met.
    nearest : Design or None
        If nothing fits together, though every network fits alone in its errors: what comes nearest.
    combinations : int
        Of designs that may err so often, on all arrays.

    Raises
    ------
    EspalierError
        There are fewer than two networks, or a design of another number of them.
    """

    command: str
    max_error: str
    goal: str
    budget: Budget
    means: Means
    networks: tuple[Row, ...]
    chosen: Design | None
    by_lanes: tuple[OnLanes, ...]
    binding: tuple[Miss, ...] = ()
    relaxed: tuple[Miss, ...] = ()
    nearest: Design | None = None
    combinations: int = 0

    def __post_init__(self) -> None:
        if len(self.networks) < 2:
            raise EspalierError(f"an array is shared by two networks or more, got {len(self.networks)}")
        for design in (self.chosen, self.nearest, *(x.design for x in self.by_lanes)):
            if design is not None and len(design.members) != len(self.networks):
                raise EspalierError(f"a design of {len(design.members)} networks, not of {len(self.networks)}")

    @property
    def names(self) -> tuple[str, ...]:
        """What the networks are called."""
        return tuple(row.name for row in self.networks)

    @cached_property
    def wanted(self) -> Goal:
        """What decides between the designs that meet the limits; cycles and errors are means by the shares."""
        return goal_of(self.goal, self.means)

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """What a design has to meet."""
        rows = self.networks
        most, guards = [row.most for row in rows], [row.guard for row in rows]
        return limits_together(self.names, most, guards, self.budget, self.means.clock_hz)

    def images_per_s(self, member: Member | Point) -> float:
        """Return how many images of a network there are a second, one after another."""
        return self.budget.clock_hz / member.interval_cycles

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each network on the best array of each number of lanes."""
        for found in self.by_lanes:
            if found.design is not None:
                array = {x.name: getattr(found.design, x.name) for x in fields(Design) if x.name not in APART}
                for name, member in zip(self.names, found.design.members, strict=True):
                    bits = {f"array_{x}": array[x] for x in ("weight_bits", "signal_bits")}
                    yield {
                        "network": name,
                        **{x: number for x, number in array.items() if x not in ("weight_bits", "signal_bits")},
                        **bits,
                        **asdict(member),
                        "recommended": found.design == self.chosen,
                    }

    def to_dataframe(self) -> "DataFrame":
        """Return the rows of `to_csv`; needs pandas."""
        return frame(self.rows())

    def to_csv(self) -> str:
        """Return a line for each network on the best array of each number of lanes."""
        rows = list(self.rows())
        return csv_text(list(rows[0]) if rows else ["network"], (row.values() for row in rows))

    def answer(self) -> dict[str, Any]:
        """Return what was found out, as plain numbers."""
        return {
            "recommended": asdict(self.chosen) if self.chosen else None,
            "mean_cycles": self.chosen.cycles if self.chosen else None,
            "worst_cycles": self.chosen.worst_cycles if self.chosen else None,
            "networks": {row.name: asdict(row) for row in self.networks},
            "by_lanes": [asdict(x) for x in self.by_lanes],
            "binding": [asdict(x) for x in self.binding],
            "relaxed": [asdict(x) for x in self.relaxed],
            "nearest": asdict(self.nearest) if self.nearest else None,
            "combinations": self.combinations,
        }

    def to_json(self) -> str:
        """Return the results as versioned JSON."""
        return KIND.written(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Shared":
        """Return the results that `to_json` wrote; raises EspalierError if they are something else."""
        return KIND.read(text, lambda record: record_of(Shared, record))

    def __repr__(self) -> str:
        lanes = "{}x{} lanes".format(*self.chosen.lanes) if self.chosen else "nothing fits"
        return f"<Shared array for {', '.join(self.names)}: {lanes}>"

    def _repr_html_(self) -> str:
        from reports.together import answer

        lines = [repr(self)[1:-1], *answer.words(self)[:1]]
        return html(", ".join(self.names), lines, *(table for table in answer.tables(self) if len(table) > 1))


APART = ("members",)
