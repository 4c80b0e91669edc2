"""`espalier explore --hardware-only`: arrays, memories and word lengths for a network, without data and error rates.

Nothing is measured and no weight is read: masks and shapes say everything, words are as wide as any weights may need
(`accel.quantize.lower_shapes`). As nobody knows here how often narrower words err, every version at every pair of word
lengths has a best design of its own.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from typing import ClassVar

from accel.cost import Estimate, Invariants, Limits, Technology, estimate_of
from accel.cost.shortage import Resource
from accel.demand import streaming
from accel.map_orders import Orders
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, in_order, lane_orders, lower_shapes
from accel.words import Words
from reports.explore.choosing import Means, goal_of, means_of
from reports.explore.space import Question, Space
from reports.shared.schema import Kind
from reports.shared.spreadsheet import csv_text
from reports.shared.words import kib
from reports.shared.workers import Run
from reports.workflow.limits import ERROR, Budget, Limit, limits_of
from reports.workflow.load import sizeable
from reports.workflow.recommend import band, within

KIND = Kind("espalier-hardware", 2, "the results of espalier explore --hardware-only")
FEW, AT_ONCE = 5_000, 8  # designs that this process makes alone; arrays of a call of a worker
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
    designs : tuple of Design
    best : tuple of Design
        Of each version at each pair of word lengths the best by the goal, of those that meet all limits and that no
        other beats in memory and cycles at once; none where nothing fits.
    band : tuple of Design
        Those as good as the best of their words, within what was asked (`reports.workflow.recommend.band`).
    """

    network: str
    command: str
    technology: str
    goal: str
    compared: str
    limits: Mapping[str, float]
    designs: tuple[Design, ...]
    best: tuple[Design, ...]
    band: tuple[Design, ...] = ()

    def to_json(self) -> str:
        """Return it as a file of `KIND`."""
        head = {name: getattr(self, name) for name in ("network", "command", "technology", "goal", "compared")}
        rows = {name: map(asdict, getattr(self, name)) for name in ("best", "band", "designs")}
        return KIND.written(head | {"limits": dict(self.limits)}, **rows)

    def to_csv(self) -> str:
        """Return one line a design, and for each whether it is the best of its words."""
        best, names = set(map(id, self.best)), [x.name for x in fields(Design)]
        rows = ([*(getattr(x, name) for name in names), id(x) in best] for x in self.designs)
        return csv_text([*names, "best"], rows)

    def lines(self, clock_hz: float) -> Iterator[tuple[str, ...]]:
        """Yield the best designs as texts, in the order of `HEADS`; a setting of which nothing fits too."""
        best = {x.setting: x for x in self.best}
        for setting in dict.fromkeys(x.setting for x in self.designs):
            found = best.get(setting)
            yield _line(found, clock_hz) if found else (*_words(setting), "nothing fits", *[""] * (len(HEADS) - 3))

    def near(self, clock_hz: float) -> Iterator[tuple[str, ...]]:
        """Yield the designs of the band as texts, in the order of `HEADS`."""
        yield from (_line(x, clock_hz) for x in self.band)


def found_of(name: str, designs: Sequence[Design], question: Question, technology: Technology) -> Hardware:
    """Return the designs of a network and the best of each version at each pair of word lengths."""
    means = means_of(technology)
    asked = hardware_limits(question.budget(reference=0.0), means)
    goal, groups = goal_of(question.goal, means), dict[tuple[str, int, int], list[Design]]()
    for design in within(designs, asked):
        groups.setdefault(design.setting, []).append(design)
    best = tuple(filter(None, map(goal.best, groups.values())))
    most = {x.name: float(x.most) for x in asked}
    near: list[Design] = []
    if question.band is not None:
        near = [x for chosen in best for x in band(groups[chosen.setting], goal, chosen, question.band)]
    about = goal.about, goal.compared.removeprefix("errors, ")
    return Hardware(name, question.command, technology.name, *about, most, tuple(designs), best, tuple(near))


def every_design(
    versions: Mapping[str, PrunedNetwork],
    again: Mapping[str, Again],
    space: Space,
    technology: Technology,
    limits: Limits,
    run: Run,
) -> list[Design]:
    """Return the designs of all versions: of few this process makes them, of many workers, some arrays at a time.

    Parameters
    ----------
    versions : mapping
        By their names.
    again : mapping
        For each, the network and the pattern by which `sizeable` finds it again.
    space, technology, limits
        As `designs_of` has them.
    run : Run
        That has calls done by workers.
    """
    if len(space.arrays) * len([*space.widths()]) * len(versions) < FEW:
        return [x for name, made in versions.items() for x in designs_of(name, made, space, technology, limits)]
    parts = [replace(space, arrays=space.arrays[i : i + AT_ONCE]) for i in range(0, len(space.arrays), AT_ONCE)]
    calls = [(name, again[name], part, technology, limits) for name in versions for part in parts]
    found = dict(run(_found_again, calls))
    return [design for number in range(len(calls)) for design in found[number]]


def _found_again(name: str, again: Again, space: Space, technology: Technology, limits: Limits) -> list[Design]:
    """Return the designs of a version that is loaded again: the work of a process, which says nothing of it twice."""
    with contextlib.redirect_stderr(io.StringIO()):
        made = sizeable(*again)
    assert isinstance(made, PrunedNetwork)  # as it was the first time
    return [*designs_of(name, made, space, technology, limits)]


def hardware_limits(budget: Budget, means: Means) -> list[Limit]:
    """Return the limits of a budget but that of errors."""
    return [x for x in limits_of(budget, reaches_hz=means.clock_hz) if x.name != ERROR]


def designs_of(
    name: str, pruned: PrunedNetwork, space: Space, technology: Technology, limits: Limits
) -> Iterator[Design]:
    """Yield every design of a version; where there is a DRAM also with weights that come from it.

    Output maps are in the order that suits the array, which changes nothing but its cycles and memories. A table has as
    many words as its signal has codes, so that of a network with some every width has masks of its own.
    """
    programs = {widths: lower_shapes(pruned, Widths(*widths, space.input_bits)) for widths in space.widths()}
    first = next(iter(programs.values()))
    tables = Invariants(first).looks_up
    words = {widths: Words.of(program) for widths, program in programs.items()}
    orders, ordered = dict[tuple[int, bool], Orders](), dict[object, Invariants]()
    for lanes, widths in product(space.arrays, programs):
        suits = lanes[0], lanes[1] > 1
        if suits not in orders:
            orders[suits] = lane_orders(first, *suits)
        key = suits, widths if tables else None
        if key not in ordered:
            ordered[key] = Invariants(in_order(programs[widths] if tables else first, orders[suits]))
        invariants = ordered[key]
        array = invariants.array(words[widths], *lanes)
        for streamed in (False, True)[: 1 + (limits.dram_bytes_per_s is not None)]:
            made = streaming(array, invariants.demand(array)) if streamed else array
            asked = replace(limits, stream=streamed)
            yield _design(name, widths, streamed, estimate_of(invariants, words[widths], made, technology, asked))


def _design(version: str, widths: tuple[int, int], streamed: bool, estimate: Estimate) -> Design:
    energy = estimate.energy
    return Design(
        version=version,
        weight_bits=widths[0],
        signal_bits=widths[1],
        output_lanes=estimate.array.output_lanes,
        pixel_lanes=estimate.array.pixel_lanes,
        streamed=streamed,
        memory_bits=estimate.memory_bits,
        multipliers=estimate.multipliers,
        cycles=estimate.cycles,
        interval_cycles=estimate.interval_cycles,
        area_um2=round(1e6 * (estimate.area_mm2 or 0)),
        energy_pj=round(1e12 * energy.total_joules) if energy else 0,
        short=bool({shortage.resource for shortage in estimate.shortages} - {Resource.MEMORY}),  # a limit of its own
    )


def title(found: Hardware, clock_hz: float) -> str:
    """Return in a sentence what was asked and what the table says."""
    settings = len(dict.fromkeys(x.setting for x in found.designs))
    return (
        f"{found.network} in {found.technology} at {clock_hz / 1e6:g} MHz: {len(found.designs):,} designs, nothing "
        f"measured. Of each of {settings} settings (bits of weights/signals) the one with the {found.goal}, of those "
        f"that meet the limits and that no other beats in {found.compared} at once:"
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
