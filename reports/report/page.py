"""The HTML page: one file that needs no network."""

from importlib import resources
from typing import Any

from accel.interchange import zoo
from accel.interchange.data.datasets import ERROR, NAMES
from reports.report.designs import Design
from reports.report.layer_tables import point_table, summary_of, table_data, tables_of, title_of
from reports.report.points import Point
from reports.report.results import Choice, Results
from reports.report.terminal_tables import design, left_out, recommendation
from reports.shared.browsing import Browsing, Heading
from reports.shared.template import filled
from reports.shared.words import clock_line, kib, on_data
from reports.workflow.answer_table import HEADS, NEXT_HEADS, answer_rows, next_rows, sure
from reports.workflow.building import building
from reports.workflow.delivery import next_on_page
from reports.workflow.evaluate import METRICS


def page(results: Results, figures: dict[str, bytes]) -> bytes:
    """Return report.html.

    Parameters
    ----------
    results : Results
    figures : dict of file name to content
        ``NAME.svg`` for each figure of `reports.report.figures`.
    """
    shown = _shown(results)
    view = {"title": title_of(shown), "summary": summary_of(results, shown)} if shown else {}
    return filled(
        "reports.report",
        figures,
        _browsing(results),
        r=results,
        title=on_data(results.network, results.data),
        recommendation=recommendation(results),
        clock=clock_line(results.clock_hz, results.highest_clock_hz),
        left_out=left_out(results),
        judged=METRICS[results.metric] if results.metric != ERROR else "",
        best=results.recommended,
        asked=[HEADS, *answer_rows(results.decision)],
        next=[NEXT_HEADS, *next_rows(results.decision, design)],
        sure=sure(results.decision),
        proof=next_on_page(_lanes(results), results.data) if results.recommended and results.designs else "",
        detailed=[(point, point_table(point)) for point in _detailed(results)],
        kib=kib,
        shown=shown,
        view={**view, "tables": tables_of(results, shown)} if shown else {},
        data=table_data(results) if shown else {},
        script=(resources.files("reports.report") / "page.js").read_text(encoding="utf-8"),
    )


def _browsing(results: Results) -> Browsing:
    """Return every point that was measured, with what decides."""
    columns = [
        Heading("pattern", "pattern", None, "what pruning removed"),
        Heading("weight_bits", "bits", 0, "of weights and of signals"),
        Heading("sparsity", "weights gone %", 1, "of those before pruning"),
        Heading("validation", "error, validation %", 2, "on the images that decide"),
        Heading("test", "error, test %", 2, "on images that nothing was chosen by"),
        Heading("memory", "memory KiB", 2, "memory blocks" if results.designs else "parameters and live signals"),
        Heading("macs", "MACs", 0, "multiply-accumulates of one image"),
    ]
    if results.designs:
        columns += [Heading("cycles", "cycles", 0, "of one image"), Heading("nj", "nJ (est.)", 1, "of one image")]
    rows = [_row(choice)[: len(columns)] for choice in results.choices]
    places = {id(choice): place for place, choice in enumerate(results.choices)}
    outputs, pixels = _lanes(results)
    data = None if results.data in NAMES else results.data
    network = results.network if results.network in zoo.names() else "NETWORK"  # some file
    return Browsing(
        columns,
        rows,
        first=[places[id(choice)] for choice in results.front],
        best=places[id(results.chosen)] if results.chosen else None,
        across="memory",
        up="validation",
        color="pattern",
        commands={
            pattern: building(network, pattern, data).replace("{signal_bits}", "{weight_bits}")
            for pattern in results.patterns
        },
        file=f"{results.network}.csv",
        fixed={"output_lanes": str(outputs), "pixel_lanes": str(pixels)},
    )


def _row(choice: Choice) -> list[Any]:
    point = choice.point
    counts = 100 * point.counts.sparsity, 100 * choice.error_rate, 100 * point.error_rate
    numbers = *counts, choice.memory_bits / 8192, point.counts.macs, choice.cycles, choice.energy_pj / 1e3
    return [point.pattern, point.weight_bits, *(round(number, 4) for number in numbers)]


def _lanes(results: Results) -> tuple[int, int]:
    outputs, pixels = results.array.split("x")
    return int(outputs), int(pixels)


def _detailed(results: Results) -> list[Point]:
    """Return one point a pattern for the per-layer tables: at the recommended width, the recommended pattern first."""
    best = results.recommended
    width = results.shown_width
    points = [point for pattern in results.patterns for point in results.of(pattern) if point.weight_bits == width]
    return sorted(points, key=lambda point: point != best)


def _shown(results: Results) -> Design | None:
    """Return the design that the page shows first: the recommended one, or that of the first pattern."""
    best = results.recommended
    return results.design(best.pattern if best else results.patterns[0], results.shown_width, results.shown_width)
