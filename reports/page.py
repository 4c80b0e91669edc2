"""The HTML page: one file that needs no network."""

import math

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from reports.results import Point, Results
from reports.tables import kib, recommendation


def page(results: Results, figures: dict[str, bytes]) -> bytes:
    """Return report.html.

    Parameters
    ----------
    results : Results
    figures : dict of file name to content
        ``NAME.svg`` for each figure of `reports.figures`.
    """
    environment = Environment(
        loader=PackageLoader("reports", "."), autoescape=select_autoescape(), undefined=StrictUndefined
    )
    inline = {name.removesuffix(".svg"): _inline(svg) for name, svg in figures.items() if name.endswith(".svg")}
    text = environment.get_template("page.html").render(
        r=results,
        figures=inline,
        recommendation=recommendation(results),
        best=results.recommended,
        detailed=_detailed(results),
        kib=kib,
        lanes=math.prod(map(int, results.array.split("x"))),
    )
    return text.encode()


def _detailed(results: Results) -> list[Point]:
    """Return one point a pattern for the per-layer tables: at the recommended width, the recommended pattern first."""
    best = results.recommended
    width = best.weight_bits if best else results.widths[-1]
    points = [point for pattern in results.patterns for point in results.of(pattern) if point.weight_bits == width]
    return sorted(points, key=lambda point: point != best)


def _inline(svg: bytes) -> str:
    """Return an SVG without its XML prologue, to stand inside HTML."""
    text = svg.decode()
    return text[text.index("<svg") :]
