"""Figures of an exploration, drawn from saved results; no pyplot, no state."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from reports.explore.points import Point
from reports.explore.results import Results
from reports.shared.drawing import SMALL, look, rendered
from reports.shared.words import percent
from reports.workflow import recommend

STAR: Any = {"marker": "*", "markersize": 15, "color": "#E8C547", "markeredgecolor": "black", "zorder": 5}
LIMIT: Any = {"color": "#D55E00", "linestyle": "--", "linewidth": 1}
CLOUD: Any = {"color": "#d0d0d0", "marker": ".", "markersize": 2, "linestyle": "", "rasterized": True, "zorder": 1}
PATTERNS_SHOWN = 16


def pareto(results: Results) -> Figure:
    """Return error against memory and cycles against memory: all designs in grey, the front by pattern, the choice."""
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    patterns = [row.pattern for row in results.versions if not row.left_out]
    patterns = list(dict.fromkeys(patterns))
    pattern_of = {row.name: row.pattern for row in results.versions}
    least = floor(results)
    fast = [p for p in results.front if p.error_rate <= results.budget.error_rate + 1e-12]
    able = recommend.within(results.buildable, results.limits[:1]) or results.buildable
    for axes, cloud, front, height in (
        (left, results.buildable, results.front, lambda p: 100 * max(p.error_rate, least)),
        (right, able, fast, lambda p: p.cycles),
    ):
        axes.plot([p.memory_bits / 8192 for p in cloud], [height(p) for p in cloud], **CLOUD)
        for index, pattern in enumerate(patterns):
            of = [p for p in front if pattern_of[p.version] == pattern]
            if of:
                places = [p.memory_bits / 8192 for p in of]
                style = {**look(index), "markersize": 3.5}
                axes.plot(places, [height(p) for p in of], linestyle="", label=pattern, **style)
        if results.recommended:
            axes.plot(results.recommended.memory_bits / 8192, height(results.recommended), **STAR, linestyle="")
        if results.budget.memory_bits:
            axes.axvline(results.budget.memory_bits / 8192, **LIMIT)
        logarithmic(axes)
        axes.set_xlabel("memory blocks in KiB")
    left.axhline(100 * results.budget.error_rate, **LIMIT)
    left.set_ylabel("error rate in %, validation images")
    left.set_title("all that can be built", fontsize=9)
    if results.budget.images_per_s:
        right.axhline(results.budget.clock_hz / results.budget.images_per_s, **LIMIT)
    right.set_ylabel("cycles of one image")
    right.set_title("those that err little enough" if fast else "all: none errs little enough", fontsize=9)
    handles = {label: h for axes in (left, right) for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=5, fontsize=SMALL, markerscale=1.5
    )
    return figure


def patterns(results: Results) -> Figure:
    """Return memory and cycles of the best design of each version that meets the limits, the best version on top."""
    best = [(name, p) for name, p in results.best_by_version().items() if p is not None][:PATTERNS_SHOWN]
    figure = Figure(figsize=(9.0, 1.2 + 0.3 * max(1, len(best))), layout="constrained")
    for axes, (title, value) in zip(figure.subplots(1, 2, sharey=True), _BARS, strict=True):
        numbers = [value(point) for _, point in best]
        axes.barh(range(len(best)), numbers, color="#0072B2", height=0.65)
        for place, (number, (_, point)) in enumerate(zip(numbers, best, strict=True)):
            words = f" {point.weight_bits}/{point.signal_bits} bits, {point.output_lanes}x{point.pixel_lanes}"
            axes.text(number, place, words, va="center", fontsize=SMALL)
        axes.set_yticks(range(len(best)), [name for name, _ in best])
        if best:
            axes.margins(x=0.32)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(title)
    if best:
        figure.axes[0].invert_yaxis()
    else:
        figure.suptitle("nothing meets all limits", fontsize=9)
    return figure


_BARS: tuple[tuple[str, Callable[[Point], float]], ...] = (
    ("memory blocks in KiB", lambda p: p.memory_bits / 8192),
    ("thousand cycles of one image", lambda p: p.cycles / 1e3),
)


def widths(results: Results) -> Figure:
    """Return the error rate of the shown version at every pair of word lengths, with the memory on the shown array."""
    shown = _shown(results)
    weight_bits, signal_bits = results.space.weight_bits, results.space.signal_bits
    size = (1.8 + 0.95 * len(signal_bits), 1.4 + 0.52 * len(weight_bits))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    found = results.by_widths(shown.version, shown.lanes)
    rates = np.full((len(weight_bits), len(signal_bits)), np.nan)
    for (w, s), point in found.items():
        at = weight_bits.index(w), signal_bits.index(s)
        rates[at] = np.log10(100 * max(point.error_rate, floor(results)))
    image = axes.imshow(rates, cmap="viridis_r", aspect="auto")
    middle = (np.nanmin(rates) + np.nanmax(rates)) / 2
    for (w, s), point in found.items():
        y, x = weight_bits.index(w), signal_bits.index(s)
        good = point.error_rate <= results.budget.error_rate + 1e-12
        mark = f"{percent(point.error_rate)}{'' if good else ' ✗'}\n{point.memory_bits / 8192:.1f} KiB"
        color = "white" if rates[y, x] > middle else "black"
        axes.text(x, y, mark, ha="center", va="center", fontsize=SMALL, color=color)
    if results.recommended:
        corner = signal_bits.index(shown.signal_bits) - 0.5, weight_bits.index(shown.weight_bits) - 0.5
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="#E8C547", linewidth=3))
    axes.set_xticks(range(len(signal_bits)), [str(bits) for bits in signal_bits])
    axes.set_yticks(range(len(weight_bits)), [str(bits) for bits in weight_bits])
    axes.grid(visible=False)
    axes.set_xlabel("bits of signals")
    axes.set_ylabel("bits of weights")
    axes.set_title(f"{shown.version}, {shown.output_lanes}x{shown.pixel_lanes} lanes", fontsize=9)
    bar = figure.colorbar(image, ax=axes, label="error rate in %, log scale")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{10**value:.2g}"))
    return figure


def arrays(results: Results) -> Figure:
    """Return images a second against multipliers: the shown version and word lengths on every array."""
    shown = _shown(results)
    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    points = results.by_array(shown.setting)
    for index, pixel_lanes in enumerate(sorted({p.pixel_lanes for p in points})):
        of = sorted((p for p in points if p.pixel_lanes == pixel_lanes), key=lambda p: p.multipliers)
        rates = [results.images_per_s(p) for p in of]
        label = f"{pixel_lanes} pixel lane{'s' if pixel_lanes > 1 else ''}"
        axes.plot([p.multipliers for p in of], rates, label=label, linewidth=1.1, **look(index))
        for point, rate in zip(of, rates, strict=True):
            words = f"{point.output_lanes}x{pixel_lanes}: {point.memory_bits / 8192:.0f}"
            axes.annotate(words, (point.multipliers, rate), (3, -7), textcoords="offset points", fontsize=SMALL)
    if results.recommended:
        axes.plot(shown.multipliers, results.images_per_s(shown), **STAR, linestyle="")
    if results.budget.multipliers:
        axes.axvline(results.budget.multipliers, **LIMIT)
    if results.budget.images_per_s:
        axes.axhline(results.budget.images_per_s, **LIMIT)
    logarithmic(axes)
    axes.set_xlabel("multipliers (beside the points: output x pixel lanes, KiB of memory blocks)")
    axes.set_ylabel(f"images/s at {results.budget.clock_hz / 1e6:g} MHz")
    axes.set_title(f"{shown.version}, {shown.weight_bits}-bit weights, {shown.signal_bits}-bit signals", fontsize=9)
    figure.legend(loc="outside right upper", fontsize=SMALL)
    return figure


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "pareto": pareto,
    "patterns": patterns,
    "widths": widths,
    "arrays": arrays,
}


def render(results: Results) -> dict[str, bytes]:
    """Return every figure as ``NAME.svg`` and ``NAME.png``."""
    return rendered(FIGURES, results, kinds=("svg", "png"), dpi=130)


def _shown(results: Results) -> Point:
    """Return the design that the figures are about: the recommended one, or that which comes nearest."""
    return results.recommended or recommend.nearest(results.points, results.limits)


def floor(results: Results) -> float:
    """Return half an error, which stands for none where the scale has no 0."""
    return 0.5 / results.images["validation"]


def logarithmic(axes: Axes) -> None:
    """Give both axes a log scale with numbers in full."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axis.set_minor_formatter(FuncFormatter(_some_minor_labels))
    axes.tick_params(which="minor", labelsize=SMALL)


def _some_minor_labels(value: float, _: int) -> str:
    lead = round(value / 10 ** np.floor(np.log10(value)))
    return f"{value:,.6g}" if lead in (2, 5) else ""
