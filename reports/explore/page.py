"""The page of an exploration: one file that needs no network, made from saved results alone."""

from collections.abc import Sequence
from typing import Any

from reports.explore import answer
from reports.explore.points import Point
from reports.explore.results import Results
from reports.shared.columns import COLUMNS, SPENT
from reports.shared.template import filled
from reports.shared.words import kib, memory_size
from reports.workflow import limits
from reports.workflow.answer_table import HEADS, NEXT_HEADS, answer_rows, next_rows
from reports.workflow.delivery import next_on_page

STEPS = 12  # rows of the table of memory
WORDS = ("name", "pattern", "encoding")  # columns of the table of layers
NUMBERS = ("weights", "weight_memory_bits", "index_memory_bits", "accumulator_bits")
TIMES = ("macs", *SPENT, "cycles", "utilization")  # those that an image has too


def page(results: Results, figures: dict[str, bytes]) -> bytes:
    """Return explore.html.

    Parameters
    ----------
    results : Results
    figures : dict of file name to content
        ``NAME.svg`` for each figure of `reports.explore.figures`.
    """
    return filled("reports.explore", figures, r=results, **contents(results))


def contents(results: Results) -> dict[str, Any]:
    """Return what the template shows beside the figures."""
    chosen = results.recommended
    return {
        "answer": answer.answer(results),
        "asked": [HEADS, *answer_rows(results.decision)],
        "next": [NEXT_HEADS, *next_rows(results.decision, answer.short)],
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
