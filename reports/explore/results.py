"""What an exploration found: plain numbers, versioned JSON, and what follows from them by the rules of `choosing`.

Format history: 1, the first; 2, energies, cycles of an image's load, the clock that the technology reaches; a digest;
3, how sure to be of the errors, limits on lanes, area and power, dense versions that were retrained as others were;
4, cycles in which an array waits for the load, of each design; 5, what the area of each is made of, and which figure
would change the answer; 6, a limit of energy, a band around the goal, bits of single layers.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from accel.errors import EspalierError
from accel.records import record_of
from reports.explore.choosing import Means, figures_of, goal_of
from reports.explore.points import Point
from reports.explore.settings import LISTED, RARE, Setting
from reports.explore.space import Lanes, Space
from reports.shared.frames import frame, html
from reports.shared.schema import Kind
from reports.shared.spreadsheet import csv_text
from reports.shared.words import on_data
from reports.workflow import recommend
from reports.workflow.answer_table import HEADS, answer_rows, sure
from reports.workflow.limits import MEMORY, MULTIPLIERS, ROOM, Budget, Limit
from reports.workflow.recommend import Decision, Goal, Instead
from reports.workflow.sensitivity import Flip, flips

if TYPE_CHECKING:
    from pandas import DataFrame

KIND = Kind("espalier-exploration", 6, "the results of an exploration")


@dataclass(frozen=True)
class VersionRow:
    """One version of the network.

    Parameters
    ----------
    name, pattern : str
    made : str
        How: "zoo", "file", "pruned", "pruned and retrained"; or why it could not be made.
    sparsity : float
        Of all weights, 0..1.
    weights, macs : int
        That are kept; of one image.
    index_bits : int
        Beside the weights, in the cheapest encoding.
    float_rate : float
        Before quantisation, on validation images.
    left_out : bool
        Whether it could not be made.
    control : str
        The dense version that was retrained for as many epochs; empty for versions that were not retrained here.
    ratio : float or None
        Share that was pruned of each layer; None: the usual one, or nothing was pruned here.
    rounds : int
        How many times the dense network was retrained where nothing was pruned.
    """

    name: str
    pattern: str
    made: str
    sparsity: float = 0.0
    weights: int = 0
    macs: int = 0
    index_bits: int = 0
    float_rate: float = 0.0
    left_out: bool = False
    control: str = ""
    ratio: float | None = None
    rounds: int = 0


@dataclass(frozen=True)
class Verified:
    """The recommended design again, looked at closely.

    Parameters
    ----------
    test_rate, reference_rate : float
        Of it and of the float network that it is compared with, on test images, which decided nothing.
    estimate : dict
        `accel.cost.Estimate.record`.
    """

    test_rate: float
    reference_rate: float
    estimate: dict[str, Any]


@dataclass(frozen=True)
class Results:
    """Everything that figures, page and terminal show.

    Parameters
    ----------
    network, data : str
    command : str
        That makes it.
    images : dict of split to int
    max_error : str
        As it was asked for.
    budget : Budget
    goal : str
        One of `reports.explore.choosing.GOALS`.
    dram_bytes_per_s : float or None
    means : Means
    space : Space
    versions : tuple of VersionRow
        The one that the others are compared with first.
    points : tuple of Point
        By version, word lengths and array.
    confidence : float or None
        How sure to be of the errors, as `Decision` has it.
    verified : Verified or None
        None if nothing fits.
    band : float or None
        Share of the goal within which designs are told beside the recommended one; None: none are.

    Raises
    ------
    EspalierError
        There is no version, design or validation image, or a design of no version.
    """

    network: str
    data: str
    command: str
    images: dict[str, int]
    max_error: str
    budget: Budget
    goal: str
    dram_bytes_per_s: float | None
    means: Means
    space: Space
    versions: tuple[VersionRow, ...]
    points: tuple[Point, ...]
    confidence: float | None = None
    verified: Verified | None = None
    band: float | None = None

    def __post_init__(self) -> None:
        if not self.points or not self.versions or self.images.get("validation", 0) < 1:
            raise EspalierError("an exploration has versions, designs and validation images; some are missing")
        if unknown := {point.version for point in self.points} - {row.name for row in self.versions}:
            raise EspalierError(f"points: designs of {min(unknown)}, which is no version")

    @property
    def reference(self) -> VersionRow:
        """The version whose float error rate the others are compared with."""
        return self.versions[0]

    @cached_property
    def decision(self) -> Decision[Point]:
        """What is recommended of the points, and what follows."""
        return Decision(
            self.points,
            self.budget,
            self.wanted,
            self.reference.float_rate,
            self.images["validation"],
            self.confidence,
            timed=True,
            reaches_hz=self.means.clock_hz,
        )

    @cached_property
    def wanted(self) -> Goal:
        """What decides between the designs that meet the limits."""
        return goal_of(self.goal, self.means)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What a design has to meet."""
        return self.decision.limits

    @property
    def fitting(self) -> list[Point]:
        """The points that meet all limits."""
        return self.decision.fitting

    @property
    def recommended(self) -> Point | None:
        """The best point by the goal, of those within the limits that no other dominates."""
        return self.decision.chosen

    @property
    def binding(self) -> list[Instead[Point]]:
        """Which limits keep the recommended point from being better; none if there is no such point."""
        return self.decision.binding

    @cached_property
    def flips(self) -> list[Flip[Point]]:
        """Which figures of the technology would change what is recommended, the nearest first."""
        return flips(self.decision, figures_of(self.means))

    @cached_property
    def within_band(self) -> list[Point]:
        """The designs as good as the recommended one within the band, the best first; none where none was asked for."""
        return [] if self.band is None else self.decision.band(self.band)

    @property
    def relaxed(self) -> list[Instead[Point]]:
        """What one limit would have to be, if nothing fits."""
        return self.decision.relaxed

    @cached_property
    def buildable(self) -> list[Point]:
        """The points with no more multipliers than there may be, and no more of anything than there is."""
        limits = [x for x in self.limits if x.name in (MULTIPLIERS, ROOM)]
        return recommend.within(self.points, limits)

    @cached_property
    def front(self) -> list[Point]:
        """The buildable points that no other beats in error, memory and cycles."""
        return recommend.front(self.buildable)

    def version(self, point: Point) -> VersionRow:
        """Return the version of a point."""
        return next(row for row in self.versions if row.name == point.version)

    def images_per_s(self, point: Point) -> float:
        """Return how many images a design takes a second, one after another, its load where that binds."""
        return self.budget.clock_hz / point.interval_cycles

    def best_by_version(self) -> dict[str, Point | None]:
        """Return for each version that there is the best point that meets all limits, the best version first."""
        by_name: dict[str, list[Point]] = {row.name: [] for row in self.versions if not row.left_out}
        for point in self.fitting:
            by_name[point.version].append(point)
        best = {name: self.wanted.best(points) for name, points in by_name.items()}
        chosen = self.recommended
        if chosen:
            best[chosen.version] = chosen  # what another version's best dominates is not told beside it
        order = sorted(best, key=lambda name: (best[name] is not chosen, self._merit(best[name])))
        return {name: best[name] for name in order}

    def short_of(self, version: str) -> list[Instead[Point]]:
        """Return what a version of which nothing fits would take: of one limit, if all others can be met."""
        points = [p for p in self.points if p.version == version]
        found = recommend.relaxed(points, self.limits)[:1]
        near = found[0].point if found else recommend.nearest(points, self.limits)
        return [Instead(x.name, near, x.share(near)) for x in self.limits if not x.meets(near)]

    def best_by_lanes(self) -> dict[int, Point | None]:
        """Return for each number of lanes the best point that meets all limits but that on multipliers."""
        groups: dict[int, list[Point]] = {lanes: [] for lanes in sorted({a * b for a, b in self.space.arrays})}
        for point in recommend.within(self.points, self.limits, but=MULTIPLIERS):
            groups[point.output_lanes * point.pixel_lanes].append(point)
        return {lanes: self.wanted.best(points) for lanes, points in groups.items()}

    def by_memory(self) -> list[Point]:
        """Return what each step of memory buys: more memory, fewer cycles, all other limits met."""
        able = recommend.within(self.points, self.limits, but=MEMORY)
        steps: list[Point] = []
        for point in sorted(able, key=lambda p: (p.memory_bits, p.cycles, p.error_rate, p.multipliers)):
            if not steps or point.cycles < steps[-1].cycles:
                steps.append(point)
        return steps

    def by_widths(self, version: str, lanes: Lanes) -> dict[tuple[int, int], Point]:
        """Return the points of one version on one array by their word lengths, those of all layers."""
        found = (p for p in self.points if p.version == version and p.lanes == lanes and not p.layers)
        return {(p.weight_bits, p.signal_bits): p for p in found}

    def by_array(self, setting: tuple[str, int, int, str]) -> list[Point]:
        """Return the points of one version at its word lengths on every array."""
        return [p for p in self.points if p.setting == setting]

    def _merit(self, point: Point | None) -> float:
        return float("inf") if point is None else self.wanted.value(point)

    def to_json(self) -> str:
        """Return the results as versioned JSON: a setting a line, and what follows from all of them before."""
        record = {x.name: getattr(self, x.name) for x in fields(self) if x.name != "points"}
        for name in ("budget", "means", "space", "verified"):
            record[name] = asdict(record[name]) if record[name] is not None else None
        record["versions"] = [asdict(row) for row in self.versions]
        return KIND.written(record | {"answer": self.answer()}, settings=self._settings())

    def __repr__(self) -> str:
        found = self.recommended
        told = f"{found.version}, {found.weight_bits} and {found.signal_bits} bits" if found else "nothing fits"
        return f"<Results of an exploration of {self.network}, {self.data}: {len(self.points)} designs; {told}>"

    def _repr_html_(self) -> str:
        certain = [*filter(None, [sure(self.decision)])]
        answer = [HEADS, *answer_rows(self.decision)]
        return html(on_data(self.network, self.data), [repr(self)[1:-1], *certain], answer)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each design as plain numbers, with whether it meets all limits."""
        fitting = {id(point) for point in self.fitting}
        for point in self.points:
            yield {x.name: getattr(point, x.name) for x in fields(Point)} | {"fits": id(point) in fitting}

    def to_dataframe(self) -> "DataFrame":
        """Return one row a design, the columns of `to_csv`; needs pandas."""
        return frame(self.rows())

    def to_csv(self) -> str:
        """Return one line a design, and for each whether it meets all limits."""
        return csv_text([*(x.name for x in fields(Point)), "fits"], (row.values() for row in self.rows()))

    def answer(self) -> dict[str, Any]:
        """Return what was found out, as plain numbers."""
        return {
            "recommended": asdict(self.recommended) if self.recommended else None,
            "binding": [_plain(x) for x in self.binding],
            "relaxed": [_plain(x) for x in self.relaxed],
            "next_best": [asdict(x) for x in self.decision.asides],
            "sensitivity": [asdict(x) for x in self.flips],
            "band": [asdict(x) for x in self.within_band],
            "confidence": self.decision.guard.confidence,
            "fitting": len(self.fitting),
            "designs": len(self.points),
            "front": [asdict(point) for point in self.front],
        }

    def _settings(self) -> Iterator[dict[str, Any]]:
        groups: dict[tuple[str, int, int, str], list[Point]] = defaultdict(list)
        for point in self.points:
            groups[point.setting].append(point)
        for (version, weight_bits, signal_bits, layers), points in groups.items():
            lists = {name: [int(getattr(p, name)) for p in points] for name in LISTED + RARE}
            yield {
                "version": version,
                "weight_bits": weight_bits,
                "signal_bits": signal_bits,
                **({"layers": layers} if layers else {}),
                "error_rate": points[0].error_rate,
                **{name: numbers for name, numbers in lists.items() if name in LISTED or any(numbers)},
            }

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return the results that `to_json` wrote; raises EspalierError if they are something else."""
        return KIND.read(text, _results)


def _plain(instead: Instead[Point]) -> dict[str, Any]:
    """Return plain numbers; None for a factor that no number is, as JSON has no infinity."""
    return asdict(instead) | {"factor": instead.factor if math.isfinite(instead.factor) else None}


def _results(record: dict[str, Any]) -> Results:
    del record["answer"]
    space = record_of(Space, record["space"], "space")
    points: list[Point] = []
    for index, setting in enumerate(record_of(tuple[Setting, ...], record.pop("settings"), "settings")):
        points += setting.points(space.arrays, f"settings[{index}]")
    return record_of(Results, record | {"space": space, "points": points})
