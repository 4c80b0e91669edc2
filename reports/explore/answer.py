"""The answer in words, from saved results alone: what to build, what binds, what it would take if nothing fits."""

from reports.explore.points import Point
from reports.explore.results import Results, Verified, VersionRow
from reports.shared.words import clock_line, kib, on_data, percent
from reports.workflow.answer_table import sure
from reports.workflow.limits import (
    AREA,
    CLOCK,
    ENERGY,
    ERROR,
    LANES,
    MEMORY,
    MULTIPLIERS,
    POWER,
    ROOM,
    SPEED,
    power_mw,
)
from reports.workflow.recommend import Instead
from reports.workflow.sensitivity import FAR

MOST = 3  # limits that are told


def answer(results: Results) -> list[str]:
    """Return the answer, a sentence or a few a line."""
    chosen = results.recommended
    clock = clock_line(results.budget.clock_hz, results.means.clock_hz)
    clocks = [f"{clock[0].upper()}{clock[1:]}."] if clock else []
    certain = [*filter(None, [sure(results.decision)])]
    if chosen is None:
        return [*refused(results), *clocks, *certain, _asked(results)]
    more = (
        _binds(results, chosen),
        *_band(results),
        *_sensitive(results),
        *_control(results, chosen),
        *_index(results, chosen),
        _asked(results),
    )
    return [*_built(results, chosen), *certain, *clocks, *more]


def design(point: Point) -> str:
    """Return a design in short: version, bits of weights and signals, lanes.

    >>> setting = {"version": "kernel", "weight_bits": 4, "signal_bits": 5, "output_lanes": 8, "pixel_lanes": 8}
    >>> design(Point(**setting, error_rate=0.01, memory_bits=80_000, multipliers=40, cycles=9_000))
    'kernel, 4-bit weights, 5-bit signals, 8x8 lanes'
    """
    lanes = f"{point.output_lanes}x{point.pixel_lanes}"
    return (
        f"{point.version}, {point.weight_bits}-bit weights, {point.signal_bits}-bit signals{_own(point)}, {lanes} lanes"
    )


def _own(point: Point) -> str:
    """Return which bits layers have that have their own, of which those of the point are the most."""
    return f" at most ({point.layers})" if point.layers else ""


def short(point: Point) -> str:
    """Return a design in fewer words still: version, bits of weights/signals, lanes.

    >>> setting = {"version": "kernel", "weight_bits": 4, "signal_bits": 5, "output_lanes": 8, "pixel_lanes": 8}
    >>> short(Point(**setting, error_rate=0.01, memory_bits=80_000, multipliers=40, cycles=9_000))
    'kernel 4/5 8x8'
    """
    mixed = " mixed" if point.layers else ""
    return f"{point.version} {point.weight_bits}/{point.signal_bits}{mixed} {point.output_lanes}x{point.pixel_lanes}"


def limits_in_words(results: Results) -> dict[str, str]:
    """Return each limit of the budget by its name; the technology's own is none that was asked for."""
    b, means = results.budget, results.means
    told = {ERROR: f"at most {percent(b.error_rate)} errors on validation images"}
    if b.memory_bits is not None:
        told[MEMORY] = f"at most {kib(b.memory_bits)} KiB of memory blocks"
    if b.multipliers is not None:
        told[MULTIPLIERS] = f"at most {b.multipliers:,} multipliers"
    if b.lanes is not None:
        told[LANES] = f"at most {b.lanes:,} lanes"
    if b.images_per_s is not None:
        told[SPEED] = f"at least {b.images_per_s:,g} images/s at {b.clock_hz / 1e6:g} MHz"
    if b.area_um2 is not None:
        told[AREA] = f"at most {b.area_um2 / 1e6:g} square millimeters (estimated)"
    if b.power_mw is not None:
        told[POWER] = f"at most {b.power_mw:g} mW (estimated)"
    if b.energy_pj is not None:
        told[ENERGY] = f"at most {b.energy_pj / 1e3:,g} nJ an image (estimated)"
    if means.clock_hz is not None and b.clock_hz > means.clock_hz:
        told[CLOCK] = f"a clock of {b.clock_hz / 1e6:g} MHz of at most {means.clock_hz / 1e6:g} MHz"
    room = "as many blocks as one likes"
    if means.memory_bits or means.multipliers:
        blocks = f"{kib(means.memory_bits)} KiB of blocks" if means.memory_bits else ""
        units = f"{means.multipliers:,} multipliers" if means.multipliers else ""
        room = " and ".join(filter(None, (blocks, units)))
    told[ROOM] = f"{means.about} ({room})"
    return told


def _asked(results: Results) -> str:
    told = limits_in_words(results)
    room = told.pop(ROOM)
    reference, plus = results.reference, results.max_error if results.max_error.startswith("+") else ""
    allowed = f" ({percent(reference.float_rate)} of the {reference.pattern} float network {plus})" if plus else ""
    limits = "; ".join(f"{text}{allowed if name == ERROR else ''}" for name, text in told.items())
    there = [row for row in results.versions if not row.left_out]
    return (
        f"What was asked: {on_data(results.network, results.data)}, in {room}: {limits}. {len(results.fitting):,} of "
        f"{len(results.points):,} designs meet that ({len(there)} versions, weights of "
        f"{span(results.space.weight_bits)} and signals of {span(results.space.signal_bits)} bits, "
        f"{len(results.space.arrays)} arrays); of those that no other beats in {results.wanted.compared} at once "
        f"the one with the {results.wanted.about} is recommended."
    )


def span(bits: tuple[int, ...]) -> str:
    """Return word lengths as one says them: a range, or a list."""
    whole = bits == tuple(range(bits[0], bits[-1] + 1)) and len(bits) > 1
    return f"{bits[0]} to {bits[-1]}" if whole else ", ".join(map(str, bits))


def _joules(chosen: Point) -> str:
    return f"{chosen.energy_pj / 1e3:,.1f}"


def _built(results: Results, chosen: Point) -> list[str]:
    row, lanes = results.version(chosen), chosen.output_lanes * chosen.pixel_lanes
    pattern = f"pruned by {row.name} ({row.made}), {row.sparsity:.0%} of its weights gone"
    lines = [
        f"What to build: {results.network} {pattern if row.sparsity else row.name}, {chosen.weight_bits}-bit weights "
        f"and {chosen.signal_bits}-bit signals{_own(chosen)}, "
        f"on an array of {chosen.output_lanes}x{chosen.pixel_lanes} lanes "
        f"(output maps x pixels): {kib(chosen.memory_bits)} KiB of memory blocks, {chosen.multipliers:,} multipliers "
        f"for {lanes:,} lanes, {chosen.cycles:,} cycles an image, {_load(chosen)}, "
        f"which is {results.images_per_s(chosen):,.0f} images/s at {results.budget.clock_hz / 1e6:g} MHz."
        + (f" Estimated area {chosen.area_um2 / 1e6:.3f} square millimeters." if results.means.area else "")
        + (f" Estimated energy {_joules(chosen)} nJ an image ({results.means.about})." if chosen.energy_pj else "")
    ]
    return [*lines, *([_errs(results, chosen, results.verified)] if results.verified else [])]


def _load(point: Point) -> str:
    """Return what the load of an image adds to its cycles."""
    return (
        f"and {point.load_wait_cycles:,} more to load the next"
        if point.load_wait_cycles
        else "the next loaded meanwhile"
    )


def _errs(results: Results, chosen: Point, tested: Verified) -> str:
    images, reference = results.images, results.reference
    rise = tested.test_rate - tested.reference_rate
    text = (
        f"Its error: {percent(chosen.error_rate)} on {images['validation']:,} validation images, by which it was "
        f"chosen, and {percent(tested.test_rate)} on {images['test']:,} test images, looked at once in the end: "
        f"{100 * rise:+.2f} % over the {reference.pattern} float network's {percent(tested.reference_rate)}."
    )
    allowed = results.budget.error_rate - (reference.float_rate if results.max_error.startswith("+") else 0.0)
    off = (rise if results.max_error.startswith("+") else tested.test_rate) - allowed
    if off <= 0:
        return text
    return f"{text} That is {percent(off)} more than was asked for."


def _binds(results: Results, chosen: Point) -> str:
    told = [_bind(results, chosen, x) for x in results.binding[:MOST]]
    cycles = f" In time, {results.verified.estimate['binding']}." if results.verified else ""
    if not told:
        return f"What binds: no limit; with twice as much of any the same design would be recommended.{cycles}"
    return f"What binds: {'; '.join(told)}.{cycles}"


def _bind(results: Results, chosen: Point, instead: Instead[Point]) -> str:
    names = {
        ERROR: "the errors",
        MEMORY: "the memory",
        MULTIPLIERS: "the multipliers",
        LANES: "the lanes",
        SPEED: "the images per second",
        AREA: "the area",
        POWER: "the power",
        ENERGY: "the energy",
        CLOCK: "the clock",
        ROOM: "what the technology has",
    }
    gain, point = 1 - 1 / instead.factor, instead.point
    looser = "half as many asked for" if instead.limit == SPEED else "twice as much allowed"
    return (
        f"{names[instead.limit]} (with {looser}, {design(point)} would take {gain:.0%} less {_goal(results)}, with "
        f"{needs(results, instead)} instead of {_has(results, instead.limit, chosen)})"
    )


def _goal(results: Results) -> str:
    return results.wanted.about.removeprefix("least ").removeprefix("fewest ")


def _has(results: Results, limit: str, point: Point) -> str:
    """Return how much of what a limit is about a design has."""
    return {
        ERROR: _errors(results, point),
        MEMORY: f"{kib(point.memory_bits)} KiB",
        MULTIPLIERS: f"{point.multipliers:,} multipliers",
        LANES: f"{point.output_lanes * point.pixel_lanes:,} lanes",
        SPEED: f"{results.images_per_s(point):,.0f} images/s",
        AREA: f"{point.area_um2 / 1e6:.3f} square millimeters",
        POWER: f"{power_mw(point, results.budget.clock_hz):,.2f} mW",
        CLOCK: f"{results.budget.clock_hz / 1e6:g} MHz",
        ENERGY: f"{point.energy_pj / 1e3:,.1f} nJ an image",
        ROOM: f"{kib(point.memory_bits)} KiB of blocks and {point.multipliers:,} multipliers",
    }[limit]


def _errors(results: Results, point: Point) -> str:
    """Return how often a design errs; with a guard band also what has to be within the limit."""
    bound = results.decision.guard.upper(point.error_rate)
    band = f" (at most {percent(bound)} for sure)" if bound > point.error_rate else ""
    return f"{percent(point.error_rate)} errors{band}"


def needs(results: Results, instead: Instead[Point]) -> str:
    """Return how much of what a limit is about a design would need, in words."""
    text = _has(results, instead.limit, instead.point)
    if instead.limit == SPEED and results.budget.images_per_s:
        clock_hz = results.budget.images_per_s * instead.point.interval_cycles
        text += f" (or a clock of {clock_hz / 1e6:,.4g} MHz)"
    return text


def refused(results: Results) -> list[str]:
    """Return that nothing fits, and what it would take."""
    lines = ["Nothing fits."]
    told = limits_in_words(results)
    for instead in results.relaxed[:MOST]:
        lines.append(
            f"It would take {needs(results, instead)} where {told[instead.limit]} is asked for, all else as asked: "
            f"{design(instead.point)}."
        )
    if not results.relaxed:
        near = results.decision.nearest
        off = [x for x in results.limits if not x.meets(near)]
        needed = ", ".join(needs(results, Instead(x.name, near, x.share(near))) for x in off)
        lines.append(
            f"No single limit is to blame. What comes nearest, {design(near)}, would take {needed}: at worst "
            f"{max(x.share(near) for x in off):.2f} times what is asked for."
        )
    return lines


def overhead(row: VersionRow, weight_bits: int) -> float:
    """Return what a version's index takes on top of its weights, 0.1 being a tenth of their bits."""
    return row.index_bits / (row.weights * weight_bits)


def _band(results: Results) -> list[str]:
    """Return how many designs are as good as the recommended one within the band that was asked for."""
    if results.band is None:
        return []
    return [
        f"Within {100 * results.band:g} % of the {results.wanted.about}: {len(results.within_band):,} designs that no "
        "other equals or beats in everything, this one among them."
    ]


def _sensitive(results: Results) -> list[str]:
    """Return which estimated figure would change the answer with the least change of its own; none without areas."""
    if not results.means.figures:
        return []
    if not results.flips:
        return [f"What figures decide: none; with any of them {FAR:g} times as large or as small the answer stays."]
    near = results.flips[0]
    return [
        f"What figures decide: {'above' if near.above else 'below'} {near.at:,.4g} instead of "
        f"{near.value:,.4g} {near.about} ({near.factor:,.3g} times), {design(near.point)} would be recommended; no "
        "figure changes the answer sooner."
    ]


def _control(results: Results, chosen: Point) -> list[str]:
    """Return what pruning alone did to the errors of the chosen version, if there is a dense one to say it."""
    row = results.version(chosen)
    control = next((x for x in results.versions if x.name == row.control), None)
    if control is None:
        return []
    rise = 100 * (row.float_rate - control.float_rate)
    return [
        f"Pruning alone: {rise:+.2f} % errors in float on validation images, against the dense network retrained for "
        f"as many epochs ({percent(row.float_rate)} against {percent(control.float_rate)}; as it was given: "
        f"{percent(results.reference.float_rate)})."
    ]


def _index(results: Results, chosen: Point) -> list[str]:
    """Return where the index overhead stands, of the chosen version and where it is worst."""
    rows = [row for row in results.versions if not row.left_out]
    mine, worst = results.version(chosen), max(rows, key=lambda row: overhead(row, chosen.weight_bits))
    if not worst.index_bits:
        return []
    text = f"Indices: {_indexed(mine, chosen.weight_bits)}"
    if worst != mine:
        text += f"; the most on top of {chosen.weight_bits}-bit weights has {_indexed(worst, chosen.weight_bits)}"
    best = results.best_by_version().get(results.reference.name)
    if best and results.reference != mine:
        text += f"; the best {results.reference.name} design takes {kib(best.memory_bits)} KiB of blocks"
    return [f"{text}."]


def _indexed(row: VersionRow, weight_bits: int) -> str:
    if not row.index_bits:
        return f"{row.name} needs none"
    sizes = f"{kib(row.index_bits)} KiB beside {kib(row.weights * weight_bits)} KiB of weights"
    return f"{row.name} {sizes}, {overhead(row, weight_bits):.0%} more"
