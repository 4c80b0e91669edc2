"""The answer as tables, for terminal and pages alike: asked, got, slack, what binds; the next best; how sure it is."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reports.shared.words import kib, percent
from reports.workflow.limits import (
    AREA,
    CLOCK,
    CONFIDENCE,
    ENERGY,
    ERROR,
    LANES,
    MEMORY,
    MULTIPLIERS,
    POWER,
    ROOM,
    SPEED,
    Limit,
    images_needed,
    power_mw,
    sureness,
)
from reports.workflow.recommend import Aside, Decision
from reports.workflow.sensitivity import Flip

HEADS = ("", "asked", "got", "slack", "binds")
NEXT_HEADS = ("next best", "design", "errors", "KiB", "cycles", "breaks")
FLIP_HEADS = ("would change with", "now", "beyond", "times", "to")
BAND_HEADS = ("within the band", "goal", "errors", "KiB", "cycles", "multipliers", "nJ", "mm²")
BAND_SHOWN = 12  # rows of a table; all are in the saved results
NO_LIMIT = "-"


@dataclass(frozen=True)
class Measure:
    """What a limit is about.

    Parameters
    ----------
    label : str
    got : function
        From a decision and a point to the number.
    written : function
        From a number to text.
    at_least : bool
        Whether more is better.
    """

    label: str
    got: Callable[[Decision[Any], Any], float]
    written: Callable[[float], str]
    at_least: bool = False


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _images_per_s(decision: Decision[Any], point: Any) -> float:
    return decision.budget.clock_hz / point.interval_cycles if decision.timed else 0.0


def _power_mw(decision: Decision[Any], point: Any) -> float:
    return power_mw(point, decision.budget.clock_hz) if decision.timed else 0.0


MEASURES = {
    ERROR: Measure("errors", lambda d, p: d.guard.upper(p.error_rate), percent),
    MEMORY: Measure("memory KiB", lambda d, p: p.memory_bits, lambda bits: kib(int(bits))),
    MULTIPLIERS: Measure("multipliers", lambda d, p: p.multipliers, _count),
    LANES: Measure("lanes", lambda d, p: p.output_lanes * p.pixel_lanes, _count),
    SPEED: Measure("images/s", _images_per_s, _count, at_least=True),
    AREA: Measure("area mm² (est.)", lambda d, p: p.area_um2, lambda area: f"{area / 1e6:.3f}"),
    POWER: Measure("power mW (est.)", _power_mw, lambda power: f"{power:,.2f}"),
    ENERGY: Measure("energy nJ (est.)", lambda d, p: p.energy_pj, lambda energy: f"{energy / 1e3:,.1f}"),
    CLOCK: Measure("clock MHz", lambda d, p: d.budget.clock_hz, lambda hz: f"{hz / 1e6:g}"),
}


def answer_rows(decision: Decision[Any]) -> list[tuple[str, ...]]:
    """Return a row, as `HEADS` are, for each limit and measure: of what is chosen, or else comes nearest."""
    point = decision.chosen or decision.nearest
    limits = {limit.name: limit for limit in decision.limits}
    binding = {instead.limit for instead in decision.binding}
    rows = []
    sure_of = f", {decision.guard.confidence:.0%} sure" if decision.guard.confidence else ""
    for name, measure in MEASURES.items():
        limit = limits.get(name)
        label = measure.label + (sure_of if name == ERROR else "")
        got = _got(decision, measure, point)
        if limit is not None:
            rows.append((label, *_against(decision, measure, limit, got), "yes" if name in binding else ""))
        elif got:
            rows.append((label, NO_LIMIT, measure.written(got), "", ""))
    room = limits[ROOM]
    told = ("enough", "too little")[not room.meets(point)]
    return [*rows, ("technology", "all it takes", told, "", "yes" if ROOM in binding else "")]


def _got(decision: Decision[Any], measure: Measure, point: Any) -> float:
    """Return a number, 0 where nothing is known of it."""
    try:
        return measure.got(decision, point)
    except AttributeError:  # a report's points have one array for all
        return 0.0


def _against(decision: Decision[Any], measure: Measure, limit: Limit, got: float) -> tuple[str, str, str]:
    most = _most(decision, measure, limit)
    bound = "at least" if measure.at_least else "at most"
    return f"{bound} {measure.written(most)}", measure.written(got), signed(measure, _slack(measure, got, most))


def _slack(measure: Measure, got: float, most: float) -> float:
    return got - most if measure.at_least else most - got


def _most(decision: Decision[Any], measure: Measure, limit: Limit) -> float:
    return decision.budget.images_per_s if measure.at_least and decision.budget.images_per_s else limit.most


def signed(measure: Measure, slack: float) -> str:
    """Return a slack in the words of its measure, with a minus where the limit is not met."""
    return ("-" if slack < 0 else "") + measure.written(abs(slack))


def slack_of(decision: Decision[Any], name: str) -> float | None:
    """Return how much of a limit the chosen design leaves; None where nothing is chosen, or no such limit is."""
    limit = next((limit for limit in decision.limits if limit.name == name), None)
    if decision.chosen is None or limit is None:
        return None
    measure = MEASURES[name]
    return _slack(measure, _got(decision, measure, decision.chosen), _most(decision, measure, limit))


def called(limit: str) -> str:
    """Return a limit in a word.

    >>> called("speed"), called("room")
    ('images/s', 'technology')
    """
    return MEASURES[limit].label.split(" ")[0] if limit in MEASURES else "technology"


def next_rows(decision: Decision[Any], design: Callable[[Any], str]) -> list[tuple[str, ...]]:
    """Return a row for the next best design in each direction, as `NEXT_HEADS` are: what it has more or less.

    Parameters
    ----------
    decision : Decision
    design : function
        From a point to what it is called in short.
    """
    chosen = decision.chosen or decision.nearest
    rows: list[tuple[str, ...]] = []
    for aside in decision.asides:
        other = aside.point
        changes = (
            f"{100 * (other.error_rate - chosen.error_rate):+.2f} %",
            f"{(other.memory_bits - chosen.memory_bits) / 8192:+.2f}",
            f"{other.cycles - chosen.cycles:+,}",
        )
        breaks = ", ".join(map(called, aside.breaks))
        rows.append((aside.direction + _told(aside), design(other), *changes, breaks))
    return rows


def band_rows(
    decision: Decision[Any], band: Sequence[Any], design: Callable[[Any], str], most: int | None = None
) -> list[tuple[str, ...]]:
    """Return a row, as `BAND_HEADS` are, for each design of a band, at `most` so many."""
    if decision.chosen is None:
        return []
    best = decision.goal.value(decision.chosen)
    return [
        (
            design(x),
            "chosen" if x is decision.chosen else f"{100 * (decision.goal.value(x) / best - 1):+.1f} %" if best else "",
            percent(x.error_rate),
            kib(x.memory_bits),
            f"{x.cycles:,}",
            f"{x.multipliers:,}",
            f"{x.energy_pj / 1e3:,.1f}" if x.energy_pj else "",
            f"{x.area_um2 / 1e6:.3f}" if x.area_um2 else "",
        )
        for x in band[:most]
    ]


def flip_rows(flips: Sequence[Flip[Any]], design: Callable[[Any], str]) -> list[tuple[str, ...]]:
    """Return a row, as `FLIP_HEADS` are, for each figure of the technology that would change what is recommended."""
    return [(x.about, f"{x.value:,.4g}", f"{x.at:,.4g}", f"{x.factor:,.3g}", design(x.point)) for x in flips]


def _told(aside: Aside[Any]) -> str:
    """Return what has no column of its own."""
    if aside.direction == "fewer multipliers":
        return f", {aside.point.multipliers:,}"
    return f", {aside.point.energy_pj / 1e3:,.1f} nJ" if aside.direction == "less energy" else ""


def sure(decision: Decision[Any]) -> str:
    """Return in words how sure it is that the recommended design errs no more than it may."""
    chosen, guard, most = decision.chosen, decision.guard, decision.budget.error_rate
    if chosen is None:
        return (
            f"How sure: {_asked(decision)}; {decision.images:,} validation images say so." if guard.confidence else ""
        )
    rate = chosen.error_rate
    certain = sureness(rate, most, decision.images)
    told = f"How sure: {percent(rate)} error on {decision.images:,} validation images"
    if guard.confidence:
        bound = f"at most {percent(guard.upper(rate))} with {guard.confidence:.0%} confidence"
        return f"{told}, which is {bound}; {share(certain)} sure that it is within the {percent(most)} allowed."
    if decision.confidence == 0:
        return f"{told}, with no guard band, as asked: {share(certain)} sure that it is at most {percent(most)}."
    needed = images_needed(rate, most, CONFIDENCE)
    enough = f"; about {needed:,.0f} images would make it {CONFIDENCE:.0%}" if math.isfinite(needed) else ""
    return (
        f"{told}: {share(certain)} sure that it is at most {percent(most)}. The images are too few for the usual "
        f"{CONFIDENCE:.0%}, even of a design that errs no more than the network that it is compared with{enough}."
    )


def share(certain: float) -> str:
    """Return how sure something is, as one says it."""
    return f"{certain:.0%}" if certain < 0.995 else "over 99%"


def _asked(decision: Decision[Any]) -> str:
    bound = decision.guard.upper(decision.reference_rate)
    return (
        f"errors are judged by what is not exceeded with {decision.guard.confidence:.0%} confidence, which for a "
        f"design that errs no more than the network that it is compared with is {percent(bound)}"
    )
