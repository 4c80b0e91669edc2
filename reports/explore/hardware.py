"""`espalier explore --hardware-only`: arrays, memories and word lengths for a network, without data and error rates.

Nothing is measured and no weight is read: masks and shapes say everything, words are as wide as any weights may need
(`accel.quantize.lower_shapes`). As nobody knows here how often narrower words err, every version at every pair of word
lengths has a best design of its own. What of an array does not depend on word lengths is found once
(`accel.cost.array_facts`), by workers where that is much; then each pair of word lengths is costed on all arrays at
once, and of its designs only those are kept that are told.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from accel.cost import Limits, Technology
from accel.cost.array_facts import ArrayFacts
from accel.cost.over_arrays import Arrays
from accel.pruned import PrunedNetwork
from reports.explore.choosing import Means, goal_of, means_of
from reports.explore.space import Lanes, Question, Space
from reports.shared.schema import Kind
from reports.shared.spreadsheet import csv_text
from reports.shared.words import kib
from reports.shared.workers import Run
from reports.workflow.limits import ERROR, Budget, Limit, limits_of
from reports.workflow.load import sizeable
from reports.workflow.recommend import Goal
from reports.workflow.recommend_vectors import band_places, best_place, front_places, within_places
from reports.workflow.shapes import Designs, Shapes, in_vectors

KIND = Kind("espalier-hardware", 2, "the results of espalier explore --hardware-only")
FEW, AT_ONCE = 256, 16  # arrays that this process looks at alone; those of a call of a worker
Again = tuple[str, str | None]  # network and pattern
HEADS = ("version", "bits", "lanes", "KiB", "multipliers", "cycles", "images/s", "mm²", "nJ an image", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """One version of a network at one pair of word lengths on one array.

    Parameters
    ----------
    version : str
    weight_bits, signal_bits, output_lanes, pixel_lanes : int
    streamed : bool
        Whether weights come from DRAM, group of output lanes by group; else all are on the chip.
    memory_bits, multipliers, cycles, interval_cycles, area_um2, energy_pj
        As `reports.explore.points.Point` has them.
    short : bool
        Whether the technology has too few blocks or multipliers.
    """

    version: str
    weight_bits: int
    signal_bits: int
    output_lanes: int
    pixel_lanes: int
    streamed: bool
    memory_bits: int
    multipliers: int
    cycles: int
    interval_cycles: int
    area_um2: int
    energy_pj: int
    short: bool

    error_rate: ClassVar[float] = 0.0  # nobody knows it, and none is compared with another of other words

    @property
    def setting(self) -> tuple[str, int, int]:
        """What its errors would depend on."""
        return self.version, self.weight_bits, self.signal_bits


@dataclass(frozen=True)
class Setting:
    """A version at a pair of word lengths."""

    version: str
    weight_bits: int
    signal_bits: int


@dataclass(frozen=True)
class Hardware:
    """What there is to build of a network.

    Parameters
    ----------
    network : str
    command : str
        That asks for it.
    technology, goal, compared : str
        What it is made of, what is best, and in what no other design may beat that at once.
    limits : mapping of str to float
        By what `reports.workflow.limits` call them, the most of each.
    designs, fitting : int
        How many were costed, and how many of them meet all limits.
    settings : tuple of Setting
        That were costed.
    best : tuple of Design
        Of each setting the best by the goal, of its front; none where nothing fits.
    band : tuple of Design
        Those as good as the best of their setting, within what was asked (`reports.workflow.recommend.band`).
    front : tuple of Design
        Of each setting those that meet all limits and that no other beats in what is compared.
    """

    network: str
    command: str
    technology: str
    goal: str
    compared: str
    limits: Mapping[str, float]
    designs: int
    fitting: int
    settings: tuple[Setting, ...]
    best: tuple[Design, ...]
    band: tuple[Design, ...]
    front: tuple[Design, ...]

    def to_json(self) -> str:
        """Return it as a file of `KIND`."""
        lists = ("settings", "best", "band", "front")
        record = {x.name: getattr(self, x.name) for x in fields(self) if x.name not in lists}
        return KIND.written(record | {"limits": dict(self.limits)}, **{x: map(asdict, getattr(self, x)) for x in lists})

    def to_csv(self) -> str:
        """Return one line a design that is kept, and whether it is the best of its setting, and in its band."""
        kept, names = dict.fromkeys((*self.front, *self.band)), [x.name for x in fields(Design)]
        best, band = set(self.best), set(self.band)
        rows = ([*(getattr(x, name) for name in names), x in best, x in band] for x in kept)
        return csv_text([*names, "best", "in_band"], rows)

    def lines(self, clock_hz: float) -> Iterator[tuple[str, ...]]:
        """Yield the best designs as texts, in the order of `HEADS`; a setting of which nothing fits too."""
        best = {x.setting: x for x in self.best}
        for x in self.settings:
            setting = x.version, x.weight_bits, x.signal_bits
            found = best.get(setting)
            yield _line(found, clock_hz) if found else (*_words(setting), "nothing fits", *[""] * (len(HEADS) - 3))

    def near(self, clock_hz: float) -> Iterator[tuple[str, ...]]:
        """Yield the designs of the band as texts, in the order of `HEADS`."""
        yield from (_line(x, clock_hz) for x in self.band)


class _Kept:
    """What is kept of one setting after the other."""

    def __init__(self, goal: Goal, limits: Sequence[Limit], share: float | None) -> None:
        self.goal, self.limits, self.share = goal, limits, share
        self.count = self.fitting = 0
        self.settings: list[Setting] = []
        self.best: list[Design] = []
        self.band: list[Design] = []
        self.front: list[Design] = []

    def add(self, setting: Setting, found: Designs) -> None:
        """Keep of the designs of a setting what is told of them."""
        places = within_places(found, found.count, self.limits)
        front = front_places(found, places, self.goal.figures)
        best = best_place(found, front, self.goal)
        self.settings.append(setting)
        self.count, self.fitting = self.count + found.count, self.fitting + places.size
        self.front += [_design(setting, found, place) for place in np.sort(front)]
        if best is not None:
            self.best.append(_design(setting, found, best))
            if self.share is not None:
                near = band_places(found, places, self.goal, best, self.share)
                self.band += [_design(setting, found, place) for place in near]


def explored(
    versions: Mapping[str, PrunedNetwork],
    again: Mapping[str, Again],
    space: Space,
    question: Question,
    technology: Technology,
    limits: Limits,
    run: Run,
) -> Hardware:
    """Return what there is to build.

    Parameters
    ----------
    versions : mapping
        By their names.
    again : mapping
        For each, the network and the pattern by which `sizeable` finds it again.
    space, question, technology, limits
    run : Run
        That has calls done by workers.
    """
    means = means_of(technology)
    asked = hardware_limits(question.budget(reference=0.0), means)
    kept = _Kept(goal_of(question.goal, means), asked, question.band)
    for name, pruned in versions.items():
        for widths, designs in every_design(pruned, again[name], space, technology, limits, run):
            kept.add(Setting(name, *widths), designs)
    return Hardware(
        network=next(iter(versions.values())).network.name,
        command=question.command,
        technology=technology.name,
        goal=kept.goal.about,
        compared=kept.goal.compared.removeprefix("errors, "),
        limits={x.name: float(x.most) for x in asked},
        designs=kept.count,
        fitting=kept.fitting,
        settings=tuple(kept.settings),
        best=tuple(kept.best),
        band=tuple(kept.band),
        front=tuple(kept.front),
    )


def every_design(
    pruned: PrunedNetwork, again: Again, space: Space, technology: Technology, limits: Limits, run: Run
) -> Iterator[tuple[tuple[int, int], Designs]]:
    """Yield each pair of word lengths with the designs of a version at it, array by array.

    Where there is a DRAM those follow that have their weights from it; they are costed one by one.
    """
    shapes = Shapes(pruned, next(space.widths()), space.input_bits)
    arrays = dict[object, Arrays]()
    for widths in space.widths():
        kind = shapes.kind(widths)
        if kind not in arrays:
            arrays[kind] = shapes.arrays(_facts(shapes, widths, again, space, limits, run))
        costs = arrays[kind].costs(shapes.invariants(widths), shapes.words(widths), technology, limits)
        streamed = shapes.streamed(widths, space.arrays, technology, limits) if limits.dram_bytes_per_s else ()
        yield widths, in_vectors(costs, [*streamed])


def _facts(
    shapes: Shapes, widths: tuple[int, int], again: Again, space: Space, limits: Limits, run: Run
) -> list[ArrayFacts]:
    """Return the facts of all arrays, at word lengths like these: of few this process finds them, of many workers."""
    if len(space.arrays) < FEW:
        return [shapes.facts(widths, lanes, limits) for lanes in space.arrays]
    parts = [space.arrays[i : i + AT_ONCE] for i in range(0, len(space.arrays), AT_ONCE)]
    found = dict(run(_facts_again, [(again, widths, space.input_bits, part, limits) for part in parts]))
    return [facts for number in range(len(parts)) for facts in found[number]]


def _facts_again(
    again: Again, widths: tuple[int, int], input_bits: int, arrays: Sequence[Lanes], limits: Limits
) -> list[ArrayFacts]:
    """Return the facts of some arrays: the work of a process, which loads the network once and says nothing of it."""
    shapes = _shapes_again(again, widths, input_bits)
    return [shapes.facts(widths, lanes, limits) for lanes in arrays]


@lru_cache(maxsize=1)
def _shapes_again(again: Again, widths: tuple[int, int], input_bits: int) -> Shapes:
    with contextlib.redirect_stderr(io.StringIO()):
        made = sizeable(*again)
    assert isinstance(made, PrunedNetwork)  # as it was the first time
    return Shapes(made, widths, input_bits, remembered=1)  # arrays come by their output lanes, which order maps


def hardware_limits(budget: Budget, means: Means) -> list[Limit]:
    """Return the limits of a budget but that of errors."""
    return [x for x in limits_of(budget, reaches_hz=means.clock_hz) if x.name != ERROR]


def _design(setting: Setting, found: Designs, place: int) -> Design:
    numbers: dict[str, Any] = {x.name: getattr(found, x.name)[place].item() for x in fields(found)}
    return Design(**asdict(setting), **numbers)


def title(found: Hardware, clock_hz: float) -> str:
    """Return in a sentence what was asked and what the table says."""
    return (
        f"{found.network} in {found.technology} at {clock_hz / 1e6:g} MHz: {found.designs:,} designs, nothing "
        f"measured. Of each of {len(found.settings)} settings (bits of weights/signals) the one with the {found.goal}, "
        f"of those that meet the limits ({found.fitting:,} in all) and that no other beats in {found.compared} at once:"
    )


def _words(setting: tuple[str, int, int]) -> tuple[str, str]:
    return setting[0], f"{setting[1]}/{setting[2]}"


def _line(x: Design, clock_hz: float) -> tuple[str, ...]:
    return (
        *_words(x.setting),
        f"{x.output_lanes}x{x.pixel_lanes}",
        kib(x.memory_bits),
        f"{x.multipliers:,}",
        f"{x.cycles:,}",
        f"{clock_hz / x.interval_cycles:,.1f}",
        f"{x.area_um2 / 1e6:,.3f}" if x.area_um2 else "",
        f"{x.energy_pj / 1e3:,.0f}" if x.energy_pj else "",
        "weights streamed" if x.streamed else "",
    )
