"""Figures of a study of word lengths, drawn from saved results; no pyplot, no state."""

from collections.abc import Callable
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from reports.shared.drawing import look, minor_labels, one_legend, panels_of, rendered
from reports.shared.words import on_data
from reports.studies.bitwidth.definition import BY_MAPS, METHODS, RETRAINED, WIDTHS
from reports.studies.bitwidth.results import Point, Results


def widths(results: Results) -> Figure:
    """Return the error rate against uniform widths: a panel for each version, a line for each method."""
    patterns = list(results.float_rates)
    figure, panels = panels_of(len(patterns), margin=2.4)
    for axes, pattern in zip(panels, patterns, strict=False):
        for index, method in enumerate(METHODS):
            same = {w: points for (w, s), points in results.uniform(pattern, method).items() if w == s}
            if same:
                rates = [100 * fmean(p.error_rate for p in same[bits]) for bits in sorted(same)]
                axes.plot(sorted(same), rates, label=method, linewidth=1.3, **look(index))
        axes.axhline(
            100 * results.float_rates[pattern]["test"], color="black", linestyle="--", linewidth=1, label="float"
        )
        _bits_and_rates(axes)
        axes.set_title(f"{pattern}, {results.sparsities[pattern]:.0%} gone", fontsize=9)
    one_legend(figure, panels, "outside right upper")
    figure.supxlabel("bits of weights and signals", fontsize=9)
    figure.supylabel(f"error rate in %, {results.images['test']:,} test images", fontsize=9)
    return figure


def sensitivity(results: Results) -> Figure:
    """Return the error rate with one group at a few bits and the rest in high precision: a line for each group."""
    patterns = [pattern for pattern in results.float_rates if results.sensitivities(pattern)]
    figure, panels = panels_of(len(patterns), margin=2.4)
    if len(patterns) == 1:
        figure.set_size_inches(7.2, 4.2)
    smallest = 50 / results.definition["images"]  # half an image: none at all has no place on a log scale
    for axes, pattern in zip(panels, patterns, strict=False):
        for index, (group, rates) in enumerate(results.sensitivities(pattern).items()):
            bits = sorted(rates)
            dash = "-" if group.startswith("weights") else ":"
            axes.plot(
                bits, [max(100 * rates[b], smallest) for b in bits], dash, label=group, linewidth=1.2, **look(index)
            )
        _bits_and_rates(axes)
        axes.set_title(f"{pattern}, all else in high precision", fontsize=9)
    one_legend(figure, panels, "outside right upper")
    figure.supxlabel("bits of the group", fontsize=9)
    figure.supylabel(f"error rate in %, {results.definition['images']:,} validation images", fontsize=9)
    return figure


def pareto(results: Results) -> Figure:
    """Return the error rate against the on-chip memory of everything that was measured, with the front."""
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for index, pattern in enumerate(results.float_rates):
        points = [p for p in results.points if p.task.pattern == pattern and "memory_bits" in p.values]
        for trained, face, name in ((False, "none", pattern), (True, None, f"{pattern}, retrained")):
            some = [p for p in points if (p.task.method in (RETRAINED, BY_MAPS)) == trained]
            places, rates = [_kib(p) for p in some], [100 * p.error_rate for p in some]
            axes.plot(places, rates, linestyle="", label=name, markerfacecolor=face, **look(index))
    front = results.front()
    places, rates = [_kib(p) for p in front], [100 * p.error_rate for p in front]
    axes.plot(places, rates, color="black", linewidth=1, drawstyle="steps-post", label="front")
    axes.axhline(100 * results.dense_rate, color="black", linestyle="--", linewidth=1, label="dense, float")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain(axes.xaxis)
    _plain(axes.yaxis)
    axes.set_xlabel("on-chip memory in KiB: parameters, indices, live signals (log scale)")
    axes.set_ylabel(f"error rate in %, {results.images['test']:,} test images (log scale)")
    axes.set_title(on_data(results.network, results.data))
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def _bits_and_rates(axes: Axes) -> None:
    axes.set_xticks(WIDTHS)
    axes.set_yscale("log")
    _plain(axes.yaxis)


def _plain(axis: Axis) -> None:
    """Write powers of ten as numbers, and some numbers between them; all of these on less than a decade."""
    low, high = axis.get_view_interval()
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axis.set_major_formatter(plain)
    axis.set_minor_formatter(plain if high < 10 * low else FuncFormatter(minor_labels))


def _kib(point: Point) -> float:
    return float(point.values["memory_bits"]) / 8192


FIGURES: dict[str, Callable[[Results], Figure]] = {"widths": widths, "sensitivity": sensitivity, "pareto": pareto}


def render(results: Results) -> dict[str, bytes]:
    """Return every figure as ``NAME.png``."""
    return rendered(FIGURES, results)
