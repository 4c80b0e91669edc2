"""Figures of a comparison: the fronts of all explorations, one color and marker each."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.compare.comparison import Comparison
from reports.explore.figures import STAR, floor, logarithmic
from reports.explore.points import Point
from reports.shared.drawing import look, one_legend, rendered

PANELS: tuple[tuple[str, Callable[[Point], float]], ...] = (
    ("memory blocks in KiB", lambda p: p.memory_bits / 8192),
    ("cycles of one image", lambda p: p.cycles),
)


def fronts(comparison: Comparison) -> Figure:
    """Return error against memory and error against cycles: each front, along its edge a line, recommended a star."""
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (title, across) in zip(panels, PANELS, strict=True):
        for place, name in enumerate(comparison.names):
            _front(axes, comparison, place, name, across)
        logarithmic(axes)
        axes.set_xlabel(title)
    panels[0].set_ylabel("error rate in %, validation images")
    one_legend(figure, panels, "outside upper center", columns=3)
    return figure


def _front(axes: Axes, comparison: Comparison, place: int, name: str, across: Callable[[Point], float]) -> None:
    results, style = comparison.results[place], look(place)
    least = floor(results)

    def places(points: Sequence[Point]) -> tuple[list[float], list[float]]:
        return [across(p) for p in points], [100 * max(p.error_rate, least) for p in points]

    front = comparison.front(place)
    axes.plot(*places(front), linestyle="", label=name, **style | {"markersize": 3.5, "alpha": 0.7})
    axes.plot(*places(edge(front, across)), drawstyle="steps-post", color=style["color"], linewidth=1)
    if results.recommended:
        star: dict[str, Any] = STAR | {"markeredgecolor": style["color"], "markeredgewidth": 1.4}
        axes.plot(*places([results.recommended]), linestyle="", **star)


def edge(points: Sequence[Point], across: Callable[[Point], float]) -> list[Point]:
    """Return the points than which none errs less and has less of another number, that number rising."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (across(p), p.error_rate)):
        if not found or point.error_rate < found[-1].error_rate:
            found.append(point)
    return found


FIGURES: dict[str, Callable[[Comparison], Figure]] = {"fronts": fronts}


def render(comparison: Comparison) -> dict[str, bytes]:
    """Return every figure as ``NAME.svg`` and ``NAME.png``."""
    return rendered(FIGURES, comparison, kinds=("svg", "png"), dpi=130)
