"""Area in standard cells, drawn from results: stacked by module, cells and memories beside each other."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from reports.shared.drawing import COLORS, SMALL, rendered
from reports.workflow.silicon import Silicon


def area(silicon: Silicon) -> Figure:
    """Return the area of each build, stacked by module: a bar of cells, and one of memories if theirs is known."""
    builds = [whole.build for whole in silicon.whole()]
    modules = list(dict.fromkeys(row.module for row in silicon.modules if row.module != "all"))
    known = any(row.macro_um2 is not None for row in silicon.modules)
    bars = [(build, what) for build in builds for what in (("cells", "memories") if known else ("cells",))]
    figure = Figure(figsize=(7.2, 1.2 + 0.45 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    left = [0.0] * len(bars)
    for index, module in enumerate(modules):
        sizes = [_mm2(silicon, module, *bar) for bar in bars]
        again, color = divmod(index, len(COLORS))
        look: Any = {"color": COLORS[color], "hatch": "//" * again, "label": module}
        axes.barh(range(len(bars)), sizes, left=left, height=0.7, **look)
        left = [before + size for before, size in zip(left, sizes, strict=True)]
    axes.set_yticks(range(len(bars)), [f"{build}, {what}" for build, what in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("square millimetres")
    axes.set_title(f"{silicon.array.output_lanes}x{silicon.array.pixel_lanes} in cells of {silicon.library}")
    figure.legend(loc="outside right upper", fontsize=SMALL)
    return figure


def _mm2(silicon: Silicon, module: str, build: str, what: str) -> float:
    """Return the square millimetres of a module of a build; 0 if it has none."""
    rows = (row for row in silicon.modules if (row.build, row.module) == (build, module))
    return sum((row.area if what == "cells" else row.macro_um2 or 0) * 1e-6 for row in rows)


FIGURES: dict[str, Callable[[Silicon], Figure]] = {"area": area}


def drawn(silicon: Silicon, kind: str) -> bytes:
    """Return the figure as a file of a kind: png or svg."""
    return rendered(FIGURES, silicon, kinds=(kind,), dpi=160)[f"area.{kind}"]
