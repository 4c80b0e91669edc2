"""The answer in words and tables, from saved results alone."""

from reports.explore.points import Point
from reports.shared.words import clock_line, kib, percent
from reports.together.designs import FORMATS, Design, Member, error_of
from reports.together.results import Miss, Shared
from reports.workflow.answer_table import HEADS, MEASURES, NO_LIMIT, Measure, called, share, signed
from reports.workflow.limits import AREA, CLOCK, ENERGY, LANES, MEMORY, MULTIPLIERS, POWER, ROOM, SPEED, sureness

Table = list[tuple[str, ...]]
NETWORK_HEADS = ("network", "version", "bits", "errors", "cycles", "share", "images/s")
LANES_HEADS = ("lanes", "next best", "array", "KiB", "multipliers", "mean cycles", "worst")
ALONE_HEADS = ("network", "alone on", "KiB", "multipliers", "cycles", "shared", "change")
MOST_MISSES = 3
UNITS = {
    MEMORY: "KiB of memory blocks",
    MULTIPLIERS: "multipliers",
    LANES: "lanes",
    SPEED: "images/s of the slowest network",
    AREA: "square millimeters",
    POWER: "mW",
    ENERGY: "nJ of an image, the mean by the shares",
    CLOCK: "MHz",
}


def words(shared: Shared) -> list[str]:
    """Return the answer, a sentence or a few a line."""
    chosen, clock = shared.chosen, clock_line(shared.budget.clock_hz, shared.means.clock_hz)
    clocks = [f"{clock[0].upper()}{clock[1:]}."] if clock else []
    if chosen is None:
        return [*refused(shared), *clocks]
    return [_built(shared, chosen), *_tested(shared), _sure(shared, chosen), _binds(shared), *clocks, _asked(shared)]


def tables(shared: Shared) -> list[Table]:
    """Return the tables, heads first: asked and got, the networks, what sharing costs, the best of each size."""
    return [
        [HEADS, *asked_rows(shared)],
        [NETWORK_HEADS, *network_rows(shared)],
        [ALONE_HEADS, *alone_rows(shared)],
        [LANES_HEADS, *lanes_rows(shared)],
    ]


def short(member: Member | Point) -> str:
    """Return a design of a network in short: version, bits of weights/signals."""
    return f"{member.version} {member.weight_bits}/{member.signal_bits}"


def lanes_of(design: Design | Point) -> str:
    """Return lanes as commands have them."""
    return f"{design.output_lanes}x{design.pixel_lanes}"


def got(shared: Shared, name: str, design: Design) -> float:
    """Return what a design has of what a limit is about."""
    clock_hz = shared.budget.clock_hz
    return {
        MEMORY: design.memory_bits,
        MULTIPLIERS: design.multipliers,
        LANES: design.output_lanes * design.pixel_lanes,
        SPEED: clock_hz / design.interval_cycles,
        AREA: design.area_um2,
        POWER: design.power_mw(clock_hz),
        ENERGY: design.energy_pj,
        CLOCK: clock_hz,
    }[name]


def asked_rows(shared: Shared) -> Table:
    """Return a row, as `HEADS` are, for each limit and measure: of what is chosen, or else comes nearest."""
    design = shared.chosen or shared.nearest
    if design is None:
        return []
    limits, binding = {limit.name: limit for limit in shared.limits}, {miss.limit for miss in shared.binding}
    rows: Table = []
    for row, rate in zip(shared.networks, design.error_rates, strict=True):
        bound, name = row.guard.upper(rate), error_of(row.name)
        label = f"{name}, {row.confidence:.0%} sure" if row.confidence else name
        slack = signed(ERRORS, row.most - bound)
        rows.append((label, f"at most {percent(row.most)}", percent(bound), slack, _yes(name, binding)))
    for name in (MEMORY, MULTIPLIERS, LANES, SPEED, AREA, POWER, CLOCK):
        measure, number, limit = MEASURES[name], got(shared, name, design), limits.get(name)
        label = f"{measure.label}, slowest" if name == SPEED else measure.label
        if limit is None:
            if number:
                rows.append((label, NO_LIMIT, measure.written(number), "", ""))
            continue
        most = (shared.budget.images_per_s or 0.0) if measure.at_least else limit.most
        slack = signed(measure, number - most if measure.at_least else most - number)
        bound_words = "at least" if measure.at_least else "at most"
        told = f"{bound_words} {measure.written(most)}", measure.written(number)
        rows.append((label, *told, slack, _yes(name, binding)))
    if not limits[FORMATS].meets(design):
        most = round(limits[FORMATS].most)
        rows.append((FORMATS, f"at most {most}", f"{design.formats}", f"-{design.formats - most}", ""))
    enough = "enough" if limits[ROOM].meets(design) else "too little"
    return [*rows, ("technology", "all it takes", enough, "", _yes(ROOM, binding))]


ERRORS = Measure("errors", lambda d, p: 0.0, percent)


def _yes(name: str, binding: set[str]) -> str:
    return "yes" if name in binding else ""


def network_rows(shared: Shared) -> Table:
    """Return a row for each network on the array that is chosen, or comes nearest; the mean and the worst last."""
    design = shared.chosen or shared.nearest
    if design is None:
        return []
    rows = [
        (
            row.name,
            member.version,
            f"{member.weight_bits}/{member.signal_bits}",
            percent(member.error_rate),
            f"{member.cycles:,}",
            f"{row.share:.0%}",
            f"{shared.images_per_s(member):,.0f}",
        )
        for row, member in zip(shared.networks, design.members, strict=True)
    ]
    mean = ("mean by shares", "", "", percent(design.error_rate), f"{design.cycles:,.0f}", "", "")
    slowest = f"{shared.budget.clock_hz / design.interval_cycles:,.0f}"
    return [*rows, mean, ("worst", "", "", percent(max(design.error_rates)), f"{design.worst_cycles:,}", "", slowest)]


def alone_rows(shared: Shared) -> Table:
    """Return what sharing costs: each network's own best array, and what it takes on the shared one."""
    design = shared.chosen
    if design is None:
        return []
    rows: Table = []
    for row, member in zip(shared.networks, design.members, strict=True):
        if row.alone is None:
            rows.append((row.name, "nothing fits", "", "", "", f"{member.cycles:,}", ""))
            continue
        change = f"{member.cycles / row.alone.cycles - 1:+.0%}"
        numbers = kib(row.alone.memory_bits), f"{row.alone.multipliers:,}", f"{row.alone.cycles:,}"
        rows.append((row.name, f"{lanes_of(row.alone)} {short(row.alone)}", *numbers, f"{member.cycles:,}", change))
    found = [row.alone for row in shared.networks if row.alone]
    sums = kib(sum(p.memory_bits for p in found)), f"{sum(p.multipliers for p in found):,}"
    return [
        *rows,
        ("an array each", "", *sums, "", "", ""),
        ("one for all", lanes_of(design), kib(design.memory_bits), f"{design.multipliers:,}", "", "", ""),
    ]


def lanes_rows(shared: Shared) -> Table:
    """Return the best of each number of lanes, the next best in size among them."""
    rows: Table = []
    for found in shared.by_lanes:
        p = found.design
        if p is None:
            rows.append((f"{found.lanes:,}", "nothing fits", "", "", "", "", ""))
            continue
        numbers = kib(p.memory_bits), f"{p.multipliers:,}", f"{p.cycles:,.0f}", f"{p.worst_cycles:,}"
        mark = " *" if p == shared.chosen else ""
        rows.append((f"{found.lanes:,}{mark}", ", ".join(map(short, p.members)), lanes_of(p), *numbers))
    return rows


def refused(shared: Shared) -> list[str]:
    """Return that nothing fits, which network or which limit it is, and what comes nearest."""
    lines = ["Nothing fits."]
    for row in shared.networks:
        if row.missed:
            lines.append(f"{row.name} does not fit even alone: {' '.join(row.missed)}")
    for miss in shared.relaxed[:MOST_MISSES]:
        lines.append(
            f"With all other limits met, {needs(shared, miss)} would do, {miss.factor:.2f} times what is asked for: "
            f"{lanes_of(miss.design)} lanes, {_members(shared, miss.design)}."
        )
    if shared.nearest is not None and not shared.relaxed:
        off = [limit for limit in shared.limits if not limit.meets(shared.nearest)]
        worst = max(off, key=lambda limit: limit.share(shared.nearest), default=None)
        lines.append(
            f"No single limit is the reason. The nearest, {lanes_of(shared.nearest)} lanes, misses "
            f"{', '.join(_limit(limit.name) for limit in off)}"
            + (f": at worst {worst.share(shared.nearest):.2f} times what is asked for." if worst else ".")
        )
    return lines


def needs(shared: Shared, miss: Miss) -> str:
    """Return how much of what a limit is about a design would take."""
    if miss.limit in UNITS:
        return f"{MEASURES[miss.limit].written(got(shared, miss.limit, miss.design))} {UNITS[miss.limit]}"
    if miss.limit == FORMATS:
        return f"{miss.design.formats} {FORMATS}"
    for row, rate in zip(shared.networks, miss.design.error_rates, strict=True):
        if miss.limit == error_of(row.name):
            return f"{percent(row.guard.upper(rate))} errors of {row.name}"
    return "a larger technology"


def _members(shared: Shared, design: Design) -> str:
    pairs = zip(shared.names, design.members, strict=True)
    return "; ".join(f"{name} {short(member)}" for name, member in pairs)


def _built(shared: Shared, design: Design) -> str:
    array = f"{design.weight_bits}-bit weights and {design.signal_bits}-bit signals"
    area = f", estimated {design.area_um2 / 1e6:.3f} square millimeters" if shared.means.area else ""
    return (
        f"What to build: one array of {lanes_of(design)} lanes (output maps x pixels) with words for {array}, which "
        f"runs {len(shared.names)} networks one at a time: {_members(shared, design)}. It has "
        f"{kib(design.memory_bits)} KiB of memory blocks and {design.multipliers:,} multipliers{area}; an image takes "
        f"{design.cycles:,.0f} cycles in the mean by shares, {design.worst_cycles:,} at worst."
        " A network's weights are loaded when its turn comes."
    )


def _tested(shared: Shared) -> list[str]:
    told = [
        f"{row.name} {percent(row.test_rate)} ({100 * (row.test_rate - row.reference_rate):+.2f} % over float)"
        for row in shared.networks
        if row.test_rate is not None and row.reference_rate is not None
    ]
    return [f"Errors on test images, looked at once in the end: {', '.join(told)}."] if told else []


def _sure(shared: Shared, design: Design) -> str:
    told = [
        f"{row.name} {share(sureness(rate, row.most, row.images))}{'' if row.confidence else ' (no guard band)'}"
        for row, rate in zip(shared.networks, design.error_rates, strict=True)
    ]
    return f"How sure it is that a network errs no more than it may, by its own validation images: {', '.join(told)}."


def _binds(shared: Shared) -> str:
    if not shared.binding:
        return "What binds: no limit; with twice as much of any the same design would be recommended."
    told = [
        f"{_limit(miss.limit)} (with {'half as much asked for' if miss.limit == SPEED else 'twice as much allowed'}, "
        f"{lanes_of(miss.design)} lanes would be {1 - 1 / miss.factor:.0%} better by the goal)"
        for miss in shared.binding[:MOST_MISSES]
    ]
    return f"What binds: {'; '.join(told)}."


def _limit(name: str) -> str:
    """Return a limit in a word or a few."""
    return called(name) if name in (*MEASURES, ROOM) else name


def _asked(shared: Shared) -> str:
    shares = ", ".join(f"{row.name} {row.share:.0%}" for row in shared.networks)
    return (
        f"What was asked: images of {shares}, errors of at most {shared.max_error}, in {shared.means.about}. Of "
        f"{shared.combinations:,} combinations of designs that is recommended which has the {shared.wanted.about}, "
        "cycles being the mean by shares; no other within the limits is as good in errors, memory, cycles and energy "
        "and better in one of them."
    )
