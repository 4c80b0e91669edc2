"""The HTML page: one file that needs no network."""

from importlib import resources

from reports.report.designs import Design
from reports.report.layer_tables import point_table, summary_of, table_data, tables_of, title_of
from reports.report.points import Point
from reports.report.results import Results
from reports.report.terminal_tables import design, left_out, recommendation
from reports.shared.template import filled
from reports.shared.words import clock_line, kib
from reports.workflow.answer_table import HEADS, NEXT_HEADS, answer_rows, next_rows, sure
from reports.workflow.delivery import next_on_page


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
        r=results,
        recommendation=recommendation(results),
        clock=clock_line(results.clock_hz, results.highest_clock_hz),
        left_out=left_out(results),
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
