"""Figures of a report that concern hardware: memory and cycles layer by layer, break-even, roofs, the front."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from reports.report.designs import Design, LayerDesign
from reports.report.results import Choice, Results
from reports.shared.columns import COLUMNS, SLOTS, WAITS
from reports.shared.drawing import COLORS, PANEL_COLUMNS, SMALL, look, minor_labels, one_legend, panels_of
from reports.shared.words import on_data


def _in_cycles(name: str, x: LayerDesign, _: int) -> float:
    """Return slots of a layer in cycles of all lanes, or what it waits."""
    return getattr(x.slots, name) / x.lanes if name in SLOTS else float(getattr(x.spent, name))


Part = tuple[str, str, Callable[[LayerDesign, int], float]]
# of a layer, and the bits of one of its weights
MEMORY: tuple[Part, ...] = (
    ("weights", "#0072B2", lambda x, bits: bits * x.counts.weights),
    ("entries, taps, layers", "#D55E00", lambda x, _: x.control_bits),
    ("biases, requantisation", "#7F7F7F", lambda x, _: x.counts.constant_memory_bits),
    ("signals held while it runs", "#E8C547", lambda x, _: x.held_bits),
    ("waste", "#CBCBCB", lambda x, _: x.filling_bits),
)
SHADES = ("#009E73", "#D55E00", "#E69F00", "#F0E442", "#0072B2", "#56B4E9", "#7F7F7F", "#CC79A7")  # useful first
CYCLES: tuple[Part, ...] = tuple(
    (COLUMNS[name].label, shade, partial(_in_cycles, name)) for name, shade in zip(SLOTS + WAITS, SHADES, strict=True)
)
LOOSE = "ends of blocks"  # the bar of what blocks waste beyond the layers
STREAMED = "stall if weights were streamed"
KEPT = "density of the layer"
_HOLLOW: Any = {"facecolor": "none", "edgecolor": "#D55E00", "linewidth": 0.8, "label": STREAMED}
NOTHING = "no design: the array does not run this network"


def layer_memory(results: Results) -> Figure:
    """Return what each layer takes in the array's memories, stacked, one panel a pattern; waste to the last bit."""
    designs = results.shown_designs()
    figure = _layer_figure(designs, MEMORY, 8192, f"KiB, {results.shown_width} bits", LOOSE)
    for axes, design in zip(figure.axes, designs, strict=False):
        place = len(design.layers)
        axes.barh(place, design.loose_bits / 8192, color=MEMORY[-1][1], height=0.7)
    _legend(figure, len(designs))
    return figure


def layer_cycles(results: Results) -> Figure:
    """Return what becomes of each layer's multiply slots, in cycles of all lanes, useful first, one panel a pattern.

    Hollow: the cycles that streaming would add.
    """
    designs = results.shown_designs()
    axis = f"thousand cycles of one image, {results.shown_width} bits"
    figure = _layer_figure(designs, CYCLES, 1e3, axis)
    for axes, design in zip(figure.axes, designs, strict=False):
        streamed = results.design(*design.key, "streamed")
        if streamed and streamed is not design:
            waits = [layer.spent.stall_cycles / 1e3 for layer in streamed.layers]
            places = [place for place, wait in enumerate(waits) if wait]
            left = [design.layers[place].spent.cycles / 1e3 for place in places]
            axes.barh(places, [waits[place] for place in places], left=left, height=0.7, **_HOLLOW)
    _legend(figure, len(designs))
    return figure


def break_even(results: Results) -> Figure:
    """Return below which density each encoding pays, against bits of a weight; one panel a pattern of layers."""
    names = list(dict.fromkeys(name for x in results.break_even for name in x.densities))
    figure, panels = panels_of(len(results.break_even), margin=1.2)
    for axes, found in zip(panels, results.break_even, strict=False):
        for name, densities in found.densities.items():
            style = "--" if names.index(name) >= len(COLORS) else "-"
            axes.plot(found.bits, densities, style, label=name, linewidth=1.2, **look(names.index(name)))
        axes.axhline(found.density, color="black", linestyle=":", linewidth=1.2, label=KEPT)
        axes.set_title(f"{found.pattern}: {found.layer}", fontsize=9)
        axes.set_ylim(0, 1.03)
    figure.supxlabel("bits of a weight", fontsize=9)
    figure.supylabel("density below which it pays", fontsize=9)
    one_legend(figure, panels[: len(results.break_even)], "outside right upper")
    return figure


def roofline(results: Results) -> Figure:
    """Return multiply-accumulates a second against those for each byte of DRAM, under the roofs.

    Layers of the recommended point, or of the first, with their weights streamed; and the whole image both ways.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    best = results.recommended
    pattern = best.pattern if best else results.patterns[0]
    key = pattern, results.shown_width, results.shown_width
    whole = results.of(pattern)[0].counts.macs
    peak, spots = results.lanes * results.clock_hz / 1e9, []
    for weights, marker in (("resident", "*"), ("streamed", "P")):
        design = results.design(*key, weights)
        if design:
            spots.append(_spot(whole, design.dram_bits, design.cycles, results.clock_hz))
            axes.plot(*spots[-1], marker, color=COLORS[2], markersize=11, label=f"whole image, weights {weights}")
    streamed = results.design(*key, "streamed")
    for layer in streamed.layers if streamed else ():
        if layer.counts.macs and layer.dram_bits:
            spots.append(_spot(layer.counts.macs, layer.dram_bits, layer.spent.cycles, results.clock_hz))
            label = None if axes.texts else "a layer, weights streamed"
            axes.plot(*spots[-1], "o", color=COLORS[1], markersize=5, label=label)
            axes.annotate(layer.name, spots[-1], xytext=(5, -3), textcoords="offset points", fontsize=SMALL)
    _roofs(axes, results, peak, [x for x, _ in spots] or [1.0])
    axes.set_xlabel("multiply-accumulates for each byte from or to DRAM")
    axes.set_ylabel("billion multiply-accumulates a second")
    title = f"{pattern}, {results.shown_width} bits: {results.array} lanes at {results.clock_hz / 1e6:g} MHz"
    axes.set_title(title if results.designs else NOTHING)
    axes.legend(loc="lower right", fontsize=SMALL)
    return figure


def pareto(results: Results) -> Figure:
    """Return error against memory of every point, as they decide: the front as a line, the recommended point ringed."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    smallest = 50 / results.validation_images  # half an image: none at all has no place on a log scale

    def spot(choice: Choice) -> tuple[float, float]:
        return choice.memory_bits / 8192, max(100 * choice.error_rate, smallest)

    stair = [spot(choice) for choice in stairs(results.choices)]
    axes.step(*zip(*stair, strict=True), where="post", color="black", linewidth=1, label="nothing is better in both")
    for index, pattern in enumerate(results.patterns):
        spots = [spot(choice) for choice in results.choices if choice.point.pattern == pattern]
        axes.plot(*zip(*spots, strict=True), linestyle="", label=pattern, **look(index))
    best = results.chosen
    if best:
        label = f"recommended: {best.point.pattern}, {best.point.weight_bits} bits"
        ring: Any = {"markersize": 13, "markerfacecolor": "none", "markeredgecolor": "#D55E00", "label": label}
        axes.plot(*spot(best), "o", **ring)
    text = f"float error + {results.max_error[1:]}" if results.max_error.startswith("+") else results.max_error
    axes.axhline(100 * results.most_errors, color="black", linestyle="--", linewidth=1, label=text)
    _log_scales(axes)
    axes.set_xlabel(f"{'memory blocks' if results.designs else 'parameters and live signals'} in KiB (log scale)")
    axes.set_ylabel("error rate in %, validation images (log scale)")
    axes.set_title(f"{on_data(results.network, results.data)}: error against memory")
    figure.legend(loc="outside right upper", fontsize=SMALL)
    return figure


def stairs(choices: Sequence[Choice]) -> list[Choice]:
    """Return the choices of which no other has less memory and as few errors; least memory first."""
    found: list[Choice] = []
    for choice in sorted(choices, key=lambda x: (x.memory_bits, x.error_rate)):
        if not found or choice.error_rate < found[-1].error_rate:
            found.append(choice)
    return found


def _layer_figure(designs: Sequence[Design], parts: Sequence[Part], unit: float, axis: str, last: str = "") -> Figure:
    every = [[layer.name for layer in design.layers] + ([last] if last else []) for design in designs]
    same = all(names == every[0] for names in every)
    figure, panels = _layer_panels(len(designs), max(map(len, every), default=1), same)
    for axes, design in zip(panels, designs, strict=False):
        places, left = np.arange(len(design.layers)), np.zeros(len(design.layers))
        for label, color, part in parts:
            sizes = np.array([part(x, design.weight_bits) / unit for x in design.layers])
            axes.barh(places, sizes, left=left, color=color, height=0.7, label=label)
            left += sizes
        names = every[designs.index(design)]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_title(design.pattern, fontsize=9)
    figure.supxlabel(axis if designs else NOTHING, fontsize=9)
    return figure


def _legend(figure: Figure, count: int) -> None:
    one_legend(figure, figure.axes[:count], "outside upper center", 4)


def _layer_panels(count: int, layers: int, same: bool) -> tuple[Figure, list[Axes]]:
    """Return panels that share a scale, and the names of the layers if those are the `same`."""
    columns = min(PANEL_COLUMNS, max(1, count))
    rows = -(-max(1, count) // columns)
    figure = Figure(figsize=(0.6 + 2.7 * columns, 0.9 + rows * (0.5 + 0.19 * layers)), layout="constrained")
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=same, squeeze=False).flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels


def _spot(macs: int, dram_bits: int, cycles: int, clock_hz: float) -> tuple[float, float]:
    """Return intensity, and billion multiply-accumulates a second."""
    return macs / (dram_bits / 8), macs * clock_hz / cycles / 1e9


def _roofs(axes: Axes, results: Results, peak: float, intensities: list[float]) -> None:
    low, high = min(intensities) / 3, max(intensities) * 3
    bandwidth = results.dram_bytes_per_s
    ends: Any = [low, high]
    if bandwidth:
        knee = peak * 1e9 / bandwidth
        low, high = min(low, knee / 10), max(high, knee * 3)
        ends = [low, knee, high]
        label = f"roofs: {peak:g} by lanes, {bandwidth / 1e9:g} GB/s of DRAM"
        axes.plot(ends, [min(peak, x * bandwidth / 1e9) for x in ends], color="black", linewidth=1.4, label=label)
    else:
        axes.plot(ends, [peak, peak], color="black", linewidth=1.4, label=f"roof: {peak:g} by lanes")
    _log_scales(axes)


def _log_scales(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(FuncFormatter(minor_labels))


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "pareto": pareto,
    "layer_memory": layer_memory,
    "layer_cycles": layer_cycles,
    "roofline": roofline,
    "break_even": break_even,
}
