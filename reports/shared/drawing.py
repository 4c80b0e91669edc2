"""How every figure looks and becomes a file; no pyplot, no state."""

import io
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, TypeVar

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Drawn = TypeVar("Drawn")
Place = Literal["outside upper center", "outside right upper"]  # of a legend
# Okabe and Ito's colours, which stay apart for colour-blind readers; markers tell lines apart on black-and-white paper
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#8C510A", "#F0E442")
MARKERS = "os^Dv<>Ph*"
SMALL = 8.5  # points of the smallest letters: 11 pixels on a page
PANEL_COLUMNS = 3  # panels side by side
_METADATA: Mapping[str, Any] = {"svg": {"Date": None}, "png": {"Software": None}}  # the same results, the same bytes
STYLE: Any = {
    "text.parse_math": False,  # names may hold $
    "svg.fonttype": "none",  # text stays text: it can be searched, and prints in the page's font
    "svg.hashsalt": "espalier",  # the same results give the same bytes
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def rendered(
    figures: Mapping[str, Callable[[Drawn], Figure]], results: Drawn, kinds: Collection[str] = ("png",), dpi: int = 110
) -> dict[str, bytes]:
    """Return every figure of `results` as ``NAME.KIND``; kinds are ``png`` and ``svg``."""
    files = {}
    with style.context(STYLE, after_reset=True):  # whatever a matplotlibrc says
        for name, draw in figures.items():
            figure = draw(results)
            for kind in kinds:
                buffer = io.BytesIO()
                figure.savefig(buffer, format=kind, dpi=dpi, metadata=_METADATA[kind])
                files[f"{name}.{kind}"] = buffer.getvalue()
                figure.set_layout_engine("none")  # what was laid out once stays: finding it takes as long as drawing
    return files


def panels_of(count: int, margin: float = 0.6) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels that share axes, at most `PANEL_COLUMNS` in a row; `margin` in inches."""
    columns = min(PANEL_COLUMNS, max(1, count))
    rows = -(-max(1, count) // columns)
    figure = Figure(figsize=(margin + 2.5 * columns, 0.9 + 2.2 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels


def one_legend(figure: Figure, panels: Collection[Axes], place: Place, columns: int = 1) -> None:
    """Put one legend beside panels whose lines have the same names."""
    labels = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(labels.values(), labels.keys(), loc=place, ncols=columns, fontsize=SMALL)


def look(index: int) -> dict[str, Any]:
    """Return how line `index` is drawn: as no other of a hundred."""
    again, color = divmod(index, len(COLORS))
    return {"color": COLORS[color], "marker": MARKERS[(color + again) % len(MARKERS)], "markersize": 4}


def minor_labels(value: float, _: int) -> str:
    """Return the label of a tick between powers of ten: only 2 and 5 have one."""
    return f"{value:g}" if round(value / 10 ** math.floor(math.log10(value))) in (2, 5) else ""
