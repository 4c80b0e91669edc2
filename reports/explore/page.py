"""The page of an exploration: one file that needs no network, made from saved results alone."""

import shlex
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from reports.explore import answer
from reports.explore.points import Point
from reports.explore.request import EPOCHS
from reports.explore.results import Results, VersionRow
from reports.shared.browsing import Browsing, Heading
from reports.shared.columns import COLUMNS, SPENT
from reports.shared.template import filled
from reports.shared.words import kib, memory_size, on_data
from reports.workflow import limits
from reports.workflow.answer_table import (
    BAND_HEADS,
    FLIP_HEADS,
    HEADS,
    NEXT_HEADS,
    answer_rows,
    band_rows,
    flip_rows,
    next_rows,
)
from reports.workflow.building import building
from reports.workflow.delivery import next_on_page

SHIPPED = ("zoo", "file")  # how versions are made that nothing is pruned for
STEPS = 12  # rows of the table of memory
WORDS = ("name", "pattern", "encoding")  # columns of the table of layers
NUMBERS = ("weights", "weight_memory_bits", "index_memory_bits", "accumulator_bits")
TIMES = ("macs", *SPENT, "cycles", "utilization")  # those that an image has too
COLUMNS_OF_DESIGNS = (
    Heading("version", "version", None, "of the network"),
    Heading("weight_bits", "weight bits"),
    Heading("signal_bits", "signal bits"),
    Heading("output_lanes", "output lanes"),
    Heading("pixel_lanes", "pixel lanes"),
    Heading("error", "error %", 2, "on validation images"),
    Heading("memory", "memory KiB", 2, "memory blocks"),
    Heading("cycles", "cycles", 0, "of one image"),
    Heading("rate", "images/s", 0, "loads counted where they bind"),
    Heading("multipliers", "multipliers"),
    Heading("energy", "nJ (est.)", 1, "of one image"),
    Heading("area", "mm² (est.)", 3, "of lanes and memories"),
    Heading("layers", "bits of layers", None, "of weights/signals, where layers have their own"),
)


def page(results: Results, figures: dict[str, bytes], delivered: bool = True) -> bytes:
    """Return explore.html.

    Parameters
    ----------
    results : Results
    figures : dict of file name to content
        ``NAME.svg`` for each figure of `reports.explore.figures`.
    delivered : bool
        Whether what is recommended lies beside the page.
    """
    told = contents(results) | ({} if delivered else {"proof": ""})
    return filled("reports.explore", figures, browsing(results), r=results, **told)


def contents(results: Results) -> dict[str, Any]:
    """Return what the template shows beside the figures."""
    chosen = results.recommended
    return {
        "title": on_data(results.network, results.data),
        "answer": answer.answer(results),
        "asked": [HEADS, *answer_rows(results.decision)],
        "next": [NEXT_HEADS, *next_rows(results.decision, answer.short)],
        "band": [BAND_HEADS, *band_rows(results.decision, results.within_band, answer.short)],
        "compared": results.wanted.compared,
        "flips": [FLIP_HEADS, *flip_rows(results.flips, answer.short)],
        "limits": [text for name, text in answer.limits_in_words(results).items()],
        "best": chosen,
        "proof": next_on_page(chosen.lanes, results.data) if chosen else "",
        "patterns": [_pattern(results, name, point) for name, point in results.best_by_version().items()],
        "lanes": list(results.best_by_lanes().items()),
        "memory": thinned(results.by_memory(), STEPS),
        "energies": any(p.energy_pj for p in results.points),
        "allowed": {x.name: x for x in results.limits},
        "controls": {
            row.name: row.float_rate for row in results.versions if row.name in {x.control for x in results.versions}
        },
        "left_out": [row for row in results.versions if row.left_out],
        "estimate": results.verified.estimate if results.verified else None,
        "columns": COLUMNS,
        "words": WORDS,
        "stored": NUMBERS,
        "timed": TIMES,
        "memory_size": memory_size,
        "kib": kib,
        "percent": answer.percent,
        "design": answer.design,
        "names": limits,
    }


def browsing(results: Results) -> Browsing:
    """Return every design, with its numbers and the commands that build it."""
    told = results.points
    there = [True] * 10 + [any(p.energy_pj for p in told), results.means.area, any(p.layers for p in told)]
    places = {id(point): place for place, point in enumerate(results.points)}
    return Browsing(
        [column for column, kept in zip(COLUMNS_OF_DESIGNS, there, strict=True) if kept],
        [[value for value, kept in zip(row_of(results, p), there, strict=True) if kept] for p in results.points],
        first=[places[id(point)] for point in results.front],
        best=places[id(results.recommended)] if results.recommended else None,
        across="memory",
        up="error",
        color="version",
        commands={"\n".join(of): words for of, words in commands_of(results, there[-1]).items()},
        file=f"{results.network}.csv",
        fixed={},
        by=("version", "layers") if there[-1] else (),
    )


def row_of(results: Results, p: Point) -> list[Any]:
    """Return a design's numbers, as `COLUMNS_OF_DESIGNS` are."""
    numbers = round(100 * p.error_rate, 4), round(p.memory_bits / 8192, 4), p.cycles, round(results.images_per_s(p), 1)
    estimates = round(p.energy_pj / 1e3, 3), round(p.area_um2 / 1e6, 5)
    return [p.version, p.weight_bits, p.signal_bits, *p.lanes, *numbers, p.multipliers, *estimates, p.layers]


def commands_of(results: Results, mixed: bool) -> dict[tuple[str, ...], str]:
    """Return the commands that build each design by its version and, where some are `mixed`, its bits of layers."""
    rows = {row.name: row for row in results.versions}
    there = dict.fromkeys((p.version, p.layers) for p in results.points)
    return {of if mixed else of[:1]: building_of(results, rows[of[0]], of[1]) for of in there}


def building_of(results: Results, row: VersionRow, layers: str = "") -> str:
    """Return the commands that build a version, as the words of the exploration's own command have it."""
    words = shlex.split(results.command)
    given = dict(pairwise(words))
    network, data = words[2], given.get("--data")
    if row.made in SHIPPED:
        return building(network, row.pattern, data, layers=layers)
    epochs = given.get("--retrain", EPOCHS) if row.made != "pruned" else None
    how = {"ratio": row.ratio, "rounds": row.rounds or None, "retrain": epochs}
    return building(network, row.pattern, data, layers=layers, made=True, **how)


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most `most` of the points, the first and the last among them, evenly spread."""
    if len(points) <= most:
        return list(points)
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]


def _pattern(results: Results, name: str, best: Point | None) -> dict[str, Any]:
    """Return a row of the table of versions: its best design, or what it would take."""
    row = next(row for row in results.versions if row.name == name)
    short = [] if best else results.short_of(name)
    near = best or short[0].point
    return {
        "row": row,
        "point": best,
        "instead": ", ".join(answer.needs(results, x) for x in short),
        "near": answer.design(near),
        "overhead": answer.overhead(row, near.weight_bits),
    }
