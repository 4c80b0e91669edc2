"""The figure of zeros, drawn from saved results: what becomes of each layer's MACs, and how dense its maps are."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.shared.drawing import SMALL, rendered
from reports.shared.words import on_data
from reports.workflow.zeros import ZeroRow, Zeros

PARTS = (
    ("effective", "#009E73", lambda x: x.effective_macs),
    ("a zero signal or weight", "#E69F00", lambda x: x.macs - x.effective_macs),
    ("pruned", "#CBCBCB", lambda x: x.dense_macs - x.macs),
)


def zeros_figure(zeros: Zeros) -> Figure:
    """Return each layer's MACs as shares of those before pruning, and beside them the density of each input map."""
    figure = Figure(figsize=(8.4, 1.3 + 0.24 * len(zeros.layers)), layout="constrained")
    shares, maps = figure.subplots(1, 2, sharey=True)
    _shares(shares, zeros)
    for place, layer in enumerate(zeros.layers):
        _maps(maps, place, layer)
    shares.set_yticks(range(len(zeros.layers)), [x.name for x in zeros.layers])
    shares.set_ylim(len(zeros.layers) - 0.5, -0.5)
    shares.set_xlabel("% of the MACs before pruning")
    maps.set_xlabel("signals that are not zero in %, of each input map (|: all)")
    for axes in (shares, maps):
        axes.grid(visible=False, axis="y")
    figure.suptitle(f"{on_data(zeros.network, zeros.data)}, {zeros.pattern}: {zeros.images:,} images", fontsize=9)
    figure.legend(loc="outside lower center", ncols=len(PARTS), fontsize=SMALL)
    return figure


def render(zeros: Zeros) -> dict[str, bytes]:
    """Return the figure as ``zeros.svg`` and ``zeros.png``."""
    return rendered({"zeros": zeros_figure}, zeros, kinds=("svg", "png"), dpi=160)


def _shares(axes: Axes, zeros: Zeros) -> None:
    places, left = np.arange(len(zeros.layers)), np.zeros(len(zeros.layers))
    for label, color, part in PARTS:
        sizes = np.array([100 * part(x) / x.dense_macs for x in zeros.layers])
        axes.barh(places, sizes, left=left, color=color, height=0.7, label=label)
        left += sizes


def _maps(axes: Axes, place: int, layer: ZeroRow) -> None:
    densities = 100 * np.array(layer.map_densities)
    axes.plot(densities, np.full(densities.size, place), ".", color="#0072B2", alpha=0.35, markersize=4)
    axes.plot([100 * layer.signal_density], [place], "|", color="black", markersize=11, markeredgewidth=1.6)
