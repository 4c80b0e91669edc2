"""The figures of the study of memories, drawn from saved results; no pyplot, no state."""

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from reports.shared.drawing import SMALL, look, one_legend, rendered
from reports.studies.memory.definition import BITS, PATTERNS, RATIO
from reports.studies.memory.networks import NETWORKS
from reports.studies.memory.results import Point, Results, Row

TICKS = (64, 256, 1024, 4096, 16384)  # KiB
CAPTIONS = {
    "traffic": "DRAM traffic of an image against memory: the plan (solid), without groups of layers that run at once "
    "(dashed), and each layer by itself (dotted). The ring is the recommended memory, that of least energy times area; "
    "the dash at the bottom what moves at least: image and scores.",
    "energy": "Energy of an image against memory (estimated): in all (solid), and of DRAM (dotted). The ring is "
    "the recommended memory.",
}


def traffic(results: Results) -> Figure:
    """Return megabytes from and to DRAM against memory."""

    def draw(axes: Axes, row: Row, index: int) -> None:
        color, rooms = look(index)["color"], [point.room_bits / 8192 for point in row.points]
        ways: tuple[tuple[str, Callable[[Point], int]], ...] = (
            ("-", lambda point: point.dram_bits),
            ("--", lambda point: point.ungrouped_dram_bits),
            (":", lambda point: point.apart_dram_bits),
        )
        for style, bits in ways:
            label = f"{row.bits} bits" if style == "-" else None
            moved = [bits(point) / 8e6 for point in row.points]
            axes.plot(rooms, moved, style, color=color, linewidth=1.2, label=label)
        axes.plot(row.best.room_bits / 8192, row.best.dram_bits / 8e6, "o", color=color, markersize=9, fillstyle="none")
        axes.plot(rooms[:1], [row.borders_bits / 8e6], "_", color=color, markersize=9)

    return _panels(results, "MB an image", draw)


def energy(results: Results) -> Figure:
    """Return the energy of an image against memory."""

    def draw(axes: Axes, row: Row, index: int) -> None:
        color, rooms = look(index)["color"], [point.room_bits / 8192 for point in row.points]
        joules = [1e3 * point.joules for point in row.points]
        axes.plot(rooms, joules, color=color, linewidth=1.2, label=f"{row.bits} bits")
        axes.plot(rooms, [1e3 * point.dram_joules for point in row.points], ":", color=color, linewidth=1.2)
        axes.plot(row.best.room_bits / 8192, 1e3 * row.best.joules, "o", color=color, markersize=9, fillstyle="none")

    return _panels(results, "mJ an image", draw)


def render(results: Results) -> dict[str, bytes]:
    """Return the figures as ``NAME.png``; none before everything is measured."""
    return rendered({"traffic": traffic, "energy": energy}, results) if not results.missing else {}


def _panels(results: Results, label: str, draw: Callable[[Axes, Row, int], None]) -> Figure:
    """Return a panel for each network and pattern, with a line for each word length."""
    figure = Figure(figsize=(8.4, 6.2), layout="constrained")
    panels = figure.subplots(len(NETWORKS), len(PATTERNS), sharex=True)
    for network, columns in zip(NETWORKS, panels, strict=True):
        for pattern, axes in zip(PATTERNS, columns, strict=True):
            for index, bits in enumerate(BITS, start=1):
                draw(axes, results.row(network, pattern, bits), index)
            share = "" if pattern == PATTERNS[0] else f", {RATIO:.0%} of kernels gone"
            axes.set_title(f"{network}, {pattern}{share}", fontsize=SMALL + 1)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(TICKS)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.set_ylabel(label)
    for axes in panels[-1]:
        axes.set_xlabel("memory in KiB")
    one_legend(figure, [*panels.flat], "outside upper center", columns=2)
    return figure
