"""Figures of a study of pruning, drawn from saved results; no pyplot, no state."""

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.shared.drawing import COLORS, look, one_legend, panels_of, rendered
from reports.shared.words import on_data
from reports.studies.pruning.definition import MAGNITUDE, TOLERANCES
from reports.studies.pruning.results import DENSE, Group, Results, unpacked

LEGEND_COLUMNS = 3  # of what stands below a figure
KEPT = "Greys"  # black is kept


def sweep(results: Results) -> Figure:
    """Return the error rate before retraining against the ratio: a panel for each granularity, a line a selector."""
    granularities = _named(results.sweep)
    figure, panels = panels_of(len(granularities))
    selectors = list(dict.fromkeys(group.task.selector for group in results.sweep))
    for axes, granularity in zip(panels, granularities, strict=False):
        for index, selector in enumerate(selectors):
            groups = [g for g in results.sweep if (g.task.granularity, g.task.selector) == (granularity, selector)]
            if groups:
                _line(axes, groups, [g.ratio for g in groups], selector, index)
        axes.axhline(100 * results.dense["test"], color="black", linestyle="--", linewidth=1, label="dense")
        axes.set_title(granularity, fontsize=9)
    one_legend(figure, panels, "outside upper center", columns=4)
    figure.supxlabel("ratio of every layer that is pruned", fontsize=9)
    figure.supylabel(f"error rate in %, not retrained\n{results.images['test']:,} test images", fontsize=9)
    return figure


def retrained(results: Results) -> Figure:
    """Return the error rate after retraining against what is gone in all: a line for each granularity."""
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, groups) in enumerate(_lines(results)):
        _bars(axes, groups, name, index, lambda group: 100 * group.sparsity())
    floor = 100 * results.floor()
    axes.axhline(floor, color="black", linestyle="--", linewidth=1, label=f"dense ({floor:.2f} %)")
    for rise in TOLERANCES:
        axes.axhline(floor + 100 * rise, color="#7F7F7F", linestyle=":", linewidth=0.9)
        axes.annotate(f"+{100 * rise:g} %", (1, floor + 100 * rise), xycoords=("axes fraction", "data"), fontsize=7)
    axes.set_xlabel("weights gone, in % of all")
    axes.set_ylabel("error rate in % after retraining")
    axes.set_title(f"{on_data(results.network, results.data)}: mean of {results.seeds} seeds, lowest to highest")
    figure.legend(loc="outside right upper", fontsize=7)
    return figure


def densities(results: Results) -> Figure:
    """Return what is kept of each layer by each granularity, of the versions of which the masks are shown."""
    rows = [*results.pictured.items()]
    layers = list(next(iter(results.points)).layers) if results.points else []
    figure = Figure(figsize=(2 + 0.9 * len(layers), 1 + 0.3 * max(1, len(rows))), layout="constrained")
    axes = figure.add_subplot()
    kept = [[point.layers[name][0] / point.layers[name][1] for name in layers] for _, point in rows]
    if kept:
        axes.imshow(np.array(kept), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, shares in enumerate(kept):
        for column, share in enumerate(shares):
            color = "white" if share > 0.6 else "black"
            axes.text(column, row, f"{100 * share:.3g}", ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(range(len(layers)), layers)
    axes.set_yticks(range(len(rows)), [f"{label} ({point.sparsity():.0%} gone)" for label, point in rows])
    axes.grid(visible=False)
    axes.set_title("weights kept, in % of each layer", fontsize=9)
    return figure


def masks(results: Results) -> Figure:
    """Return pictures of what was kept: a row for each granularity, a column for each layer, lowered (M, C * T)."""
    rows = [*results.pictures]
    layers = list(results.pictures[rows[0]]) if rows else []
    figure = Figure(figsize=(2.1 * max(1, len(layers)), 0.4 + 1.0 * max(1, len(rows))), layout="constrained")
    grid = figure.subplots(max(1, len(rows)), max(1, len(layers)), squeeze=False)
    for label, line in zip(rows, grid, strict=False):
        for name, axes in zip(layers, line, strict=True):
            kept = unpacked(results.pictures[label][name])
            axes.imshow(kept.reshape(len(kept), -1), cmap=KEPT, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(f"{name}, {kept.mean():.0%} kept", fontsize=7, pad=2)
            for spine in axes.spines.values():
                spine.set(visible=True, linewidth=0.4)
        line[0].set_ylabel(label, fontsize=7)
    return figure


def cycles(results: Results) -> Figure:
    """Return the error rate after retraining against cycles on the array: a line for each granularity."""
    lines = [(name, [g for g in groups if g.setting in results.costs]) for name, groups in _lines(results)]
    lines = [(name, groups) for name, groups in lines if groups]
    figure = Figure(figsize=(5.2, 3.9 + 0.18 * (len(lines) // LEGEND_COLUMNS)), layout="constrained")  # a telephone's
    axes = figure.add_subplot()
    dense, floor = results.costs[DENSE].cycles / 1000, 100 * results.floor()

    def place(group: Group) -> float:
        return dense if group is results.control else results.costs[group.setting].cycles / 1000

    for index, (name, groups) in enumerate(lines, start=1):  # black is the dense network's
        _bars(axes, groups, name, index, place)
        _seeds(axes, groups, index, place)
        if results.compared:  # what is trained alike begins at the dense network
            first = max(groups, key=place)
            ends = [place(first), dense], [100 * first.mean(), floor]
            axes.plot(*ends, linestyle=":", linewidth=1.2, color=look(index)["color"])
    if results.control:
        _bars(axes, [results.control], f"dense, trained on ({floor:.2f} %)", 0, place)
    else:
        axes.plot(dense, floor, label=f"dense ({floor:.2f} %)", **look(0))
    axes.axhline(floor, color="black", linestyle="--", linewidth=1)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"thousand cycles for an image, {results.array} lanes")
    axes.set_ylabel("error rate in % after retraining")
    axes.set_title(f"{on_data(results.network, results.data)}: mean and range of {results.seeds} seeds", fontsize=10)
    figure.legend(loc="outside lower center", fontsize=8, ncols=LEGEND_COLUMNS)
    return figure


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "sweep": sweep,
    "retrained": retrained,
    "densities": densities,
    "masks": masks,
}


def render(results: Results) -> dict[str, bytes]:
    """Return every figure as ``NAME.png``: of cycles where they are known, of a sweep where there was one."""
    shown = dict(FIGURES)
    if results.compared:
        del shown["sweep"]
    if results.costs:
        shown["cycles"] = cycles
    return rendered(shown, results)


def _named(groups: Sequence[Group]) -> list[str]:
    return list(dict.fromkeys(group.task.granularity for group in groups))


def _line(axes: Axes, groups: Sequence[Group], places: Sequence[float], label: str, index: int) -> None:
    """Draw the means with a band from the lowest to the highest seed."""
    axes.plot(places, [100 * group.mean() for group in groups], label=label, linewidth=1.3, **look(index))
    low, high = zip(*(group.span() for group in groups), strict=True)
    color = COLORS[index % len(COLORS)]
    axes.fill_between(places, 100 * np.array(low), 100 * np.array(high), color=color, alpha=0.15, linewidth=0)


def _bars(axes: Axes, groups: Sequence[Group], label: str, index: int, place: Callable[[Group], float]) -> None:
    """Draw the means with error bars from the lowest to the highest seed, in the order of their places."""
    groups = sorted(groups, key=place)
    means = np.array([100 * group.mean() for group in groups])
    spans = 100 * np.array([group.span() for group in groups]).T
    places = [place(group) for group in groups]
    drawn = {**look(index), "linestyle": "-" if index < len(COLORS) else "--"}
    axes.errorbar(places, means, yerr=np.abs(spans - means), label=label, linewidth=1.2, capsize=2, **drawn)


def _seeds(axes: Axes, groups: Sequence[Group], index: int, place: Callable[[Group], float]) -> None:
    """Draw each seed as a faint point."""
    places = [place(group) for group in groups for _ in group.points]
    rates = [100 * point.rates["test"] for group in groups for point in group.points]
    axes.scatter(places, rates, s=9, color=look(index)["color"], alpha=0.35, linewidths=0)


def _lines(results: Results) -> list[tuple[str, list[Group]]]:
    """Return the retrained settings as lines: one for each granularity and selector, with a group lasso and without."""

    def name(group: Group) -> str:
        task = group.task
        lasso = ", group lasso" if task.sparsify else ""
        return task.granularity + ("" if task.selector == MAGNITUDE else f", {task.selector}") + lasso

    groups = sorted(results.retrained, key=lambda group: (name(group), group.sparsity()))
    return [(key, list(members)) for key, members in groupby(groups, key=name)]
