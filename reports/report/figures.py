"""Figures of a report, drawn from saved results; no pyplot, no state."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from reports.report import hardware_figures
from reports.report.results import Results
from reports.shared.drawing import COLORS, MARKERS, SMALL, minor_labels, rendered
from reports.shared.words import on_data

PARTS = (
    ("weights", "#0072B2", lambda p: p.counts.weight_memory_bits),
    ("indices", "#D55E00", lambda p: p.counts.index_memory_bits),
    ("biases, requantisation", "#7F7F7F", lambda p: p.counts.constant_memory_bits),
    ("signals", "#E8C547", lambda p: p.signal_memory_bits),
)


def accuracy(results: Results) -> Figure:
    """Return the error rate against word length, one line a pattern, the dense float network dashed."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    smallest = 100 / results.test_images
    for index, pattern in enumerate(results.patterns):
        points = results.of(pattern)
        rates = [max(100 * p.error_rate, smallest / 2) for p in points]
        sparsity = points[0].counts.sparsity
        label = f"{pattern} ({sparsity:.0%} gone)" if sparsity else pattern
        look: Any = {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)], "markersize": 4}
        axes.plot([p.weight_bits for p in points], rates, label=label, linewidth=1.4, **look)
    floor = 100 * results.float_dense_error_rate
    name = f"{results.reference} ({floor:.2f} %)"
    axes.axhline(max(floor, smallest / 2), color="black", linestyle="--", linewidth=1, label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(minor_labels))
    axes.set_xticks(results.widths)
    axes.set_xlabel("bits of weights and signals")
    axes.set_ylabel("error rate in % (log scale)")
    axes.set_title(f"{on_data(results.network, results.data)}: accuracy against word length")
    figure.legend(loc="outside right upper", fontsize=SMALL)
    return figure


def memory(results: Results) -> Figure:
    """Return on-chip memory stacked into weights, indices and signals, one panel a word length."""
    widths, patterns = results.widths, results.patterns
    columns = min(3, len(widths))
    rows = -(-len(widths) // columns)
    size = (7.6, 0.9 + rows * (0.5 + 0.2 * len(patterns)))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, width in zip(grid.flat, widths, strict=False):
        _memory_panel(axes, results, width)
    for axes in grid.flat[len(widths) :]:
        axes.set_visible(False)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(PARTS), fontsize=SMALL)
    figure.supxlabel("on-chip memory in KiB", fontsize=9)
    return figure


def macs(results: Results) -> Figure:
    """Return the multiply-accumulates of one image for each pattern."""
    first = [results.of(pattern)[0] for pattern in results.patterns]
    figure = Figure(figsize=(7.2, 0.9 + 0.26 * len(first)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(first))
    axes.barh(places, [p.counts.macs / 1e3 for p in first], color="#009E73", height=0.65)
    for place, point in zip(places, first, strict=True):
        share = f" {point.counts.macs / point.counts.dense_macs:.0%} of dense"
        axes.text(point.counts.macs / 1e3, place, share, va="center", fontsize=SMALL)
    axes.set_yticks(places, [p.pattern for p in first])
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("thousand multiply-accumulates for one image")
    return figure


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "accuracy": accuracy,
    "memory": memory,
    "macs": macs,
    **hardware_figures.FIGURES,
}


def render(results: Results) -> dict[str, bytes]:
    """Return every figure as ``NAME.svg`` and ``NAME.png``."""
    return rendered(FIGURES, results, kinds=("svg", "png"), dpi=160)


def _memory_panel(axes: Axes, results: Results, width: int) -> None:
    points = [next((p for p in results.of(pattern) if p.weight_bits == width), None) for pattern in results.patterns]
    places = np.arange(len(points))
    left = np.zeros(len(points))
    for label, color, part in PARTS:
        sizes = np.array([part(p) / 8192 if p else 0 for p in points])
        axes.barh(places, sizes, left=left, color=color, height=0.7, label=label)
        left += sizes
    axes.set_yticks(places, results.patterns)
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_title(f"{width} bits", fontsize=9)
