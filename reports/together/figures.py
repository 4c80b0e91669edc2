"""Figures of one array for several networks, drawn from saved results; no pyplot, no state."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from reports.explore.figures import LIMIT, STAR, logarithmic
from reports.shared.drawing import SMALL, look, rendered
from reports.together.answer import lanes_of
from reports.together.results import Shared


def sizes(shared: Shared) -> Figure:
    """Return mean and worst cycles against memory: the best array of each number of lanes, the choice."""
    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    found = sorted((x.design for x in shared.by_lanes if x.design), key=lambda p: p.memory_bits)
    places = [p.memory_bits / 8192 for p in found]
    axes.plot(places, [p.cycles for p in found], linestyle="", label="mean by shares", **look(0))
    axes.plot(places, [p.worst_cycles for p in found], linestyle="", label="slowest network", **look(1))
    for place, p in zip(places, found, strict=True):
        axes.annotate(lanes_of(p), (place, p.cycles), (4, -8), textcoords="offset points", fontsize=SMALL)
    if shared.chosen:
        axes.plot(shared.chosen.memory_bits / 8192, shared.chosen.cycles, **STAR, linestyle="")
    if shared.budget.memory_bits:
        axes.axvline(shared.budget.memory_bits / 8192, **LIMIT)
    if found:
        logarithmic(axes)
        axes.legend(fontsize=SMALL)
    else:
        axes.set_title("nothing meets all limits", fontsize=9)
    axes.set_xlabel("memory blocks in KiB (beside the points: output x pixel lanes)")
    axes.set_ylabel("cycles of one image")
    return figure


def sharing(shared: Shared) -> Figure:
    """Return the cycles of each network on its own best array and on the shared one."""
    figure = Figure(figsize=(7.6, 1.6 + 0.45 * len(shared.networks)), layout="constrained")
    axes = figure.add_subplot()
    rows = np.arange(len(shared.networks))
    alone = [row.alone.cycles if row.alone else 0 for row in shared.networks]
    axes.barh(rows - 0.2, alone, height=0.36, color="#999999", label="on its own best array")
    if shared.chosen:
        together = [member.cycles for member in shared.chosen.members]
        axes.barh(rows + 0.2, together, height=0.36, color="#0072B2", label="on the shared array")
    axes.set_yticks(rows, list(shared.names))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("cycles of one image")
    figure.legend(loc="outside lower center", ncols=2, fontsize=SMALL)
    return figure


FIGURES: dict[str, Callable[[Shared], Figure]] = {"sizes": sizes, "sharing": sharing}


def render(shared: Shared) -> dict[str, bytes]:
    """Return every figure as ``NAME.svg`` and ``NAME.png``."""
    return rendered(FIGURES, shared, kinds=("svg", "png"), dpi=130)
