"""Figures of a benchmark, drawn from saved results; no pyplot, no state."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.bench.results import DENSE, ENGINE, RIVAL, NetworkResult, Results
from reports.shared.drawing import COLORS, one_legend

PARTS = ("lowering", "dots", "finishing", "call")
NAMES = {
    "lowering": "lowering",
    "dots": "dot products",
    "finishing": "pool, requantise, store",
    "call": "Python, calls",
    "other": "layers and conversions without parts",
}


def ratios(results: Results) -> Figure:
    """Return the engine's images a second over onnxruntime's on the dense network: a panel for each network."""
    figure = Figure(figsize=(3.2 * max(1, len(results.networks)) + 0.6, 3.8), layout="constrained")
    panels = list(figure.subplots(1, max(1, len(results.networks)), squeeze=False).flat)
    for axes, network in zip(panels, results.networks, strict=False):
        _ratio_bars(axes, network)
    one_legend(figure, panels, "outside upper center", columns=4)
    figure.supylabel(f"images/s over {RIVAL}'s on the dense network", fontsize=9)
    return figure


def _ratio_bars(axes: Axes, network: NetworkResult) -> None:
    entries = [entry for entry in network.entries if entry.runtime == ENGINE]
    patterns = list(dict.fromkeys(entry.pattern for entry in entries))
    threads = network.threads
    width = 0.8 / max(1, len(threads))
    for index, count in enumerate(threads):
        for place, pattern in enumerate(patterns):
            entry = network.find(ENGINE, pattern, count)
            ratio = network.ratio(entry) if entry else None
            if entry is None or ratio is None:
                continue
            x = place + (index - (len(threads) - 1) / 2) * width
            label = f"{count} thread{'s' if count > 1 else ''}" if not place else None
            axes.bar(x, ratio, width, color=COLORS[1 + index], label=label)
            if target := network.target(entry):
                mark = "target" if not place and not index else None
                axes.plot([x - width / 2, x + width / 2], [target] * 2, color="black", linewidth=1.5, label=mark)
    axes.axhline(1, color=COLORS[7], linestyle="--", linewidth=0.8)
    axes.set_xticks(range(len(patterns)), patterns, rotation=60, ha="right", fontsize=8)
    axes.set_title(network.network, fontsize=9)


def layers(results: Results) -> Figure:
    """Return each layer's multiply-accumulates a second of the dense networks, against the roof."""
    figure = Figure(figsize=(3.2 * max(1, len(results.networks)) + 0.6, 3.4), layout="constrained")
    panels = list(figure.subplots(1, max(1, len(results.networks)), squeeze=False, sharey=True).flat)
    for axes, network in zip(panels, results.networks, strict=False):
        found = [layer for layer in network.profiles[DENSE]["layers"] if layer["macs"]]
        axes.bar(range(len(found)), [x["macs"] / x["total"] / 1e3 for x in found], color=COLORS[1])
        axes.axhline(results.roof, color="black", linestyle="--", linewidth=1, label=f"roof of {results.kernel}")
        axes.set_xticks(range(len(found)), [x["name"] for x in found], rotation=60, ha="right", fontsize=8)
        axes.set_title(f"{network.network}, dense", fontsize=9)
    one_legend(figure, panels, "outside upper center")
    figure.supylabel("GMAC/s on one thread", fontsize=9)
    return figure


def times(results: Results) -> Figure:
    """Return where the time of an image goes, of each dense network: a bar of shares for each."""
    figure = Figure(figsize=(7.6, 1.2 + 0.5 * len(results.networks)), layout="constrained")
    axes = figure.add_subplot()
    names = [*("packing", *NAMES), "around the layers"]
    shares = np.array([_shares(network.profiles[DENSE]) for network in results.networks]).reshape(-1, len(names))
    left = np.zeros(len(shares))
    for index, name in enumerate(names):
        axes.barh(range(len(shares)), shares[:, index], left=left, color=COLORS[index], label=NAMES.get(name, name))
        left += shares[:, index]
    labels = [f"{x.network}\n{x.profiles[DENSE]['total']:.1f} µs" for x in results.networks]
    axes.set_yticks(range(len(shares)), labels)
    axes.set_xlabel("share of the time of an image on one thread, in %")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    return figure


def _shares(profile: dict[str, Any]) -> list[float]:
    """Return percentages of a profile's total: packing, the parts of layers, what has no parts, and the rest."""
    parts = [sum(layer[part] for layer in profile["layers"]) for part in PARTS]
    other = sum(layer["total"] for layer in profile["layers"]) - sum(parts)
    found = [profile["packing"], *parts, other]
    return [100 * x / profile["total"] for x in [*found, max(0.0, profile["total"] - sum(found))]]


FIGURES = {"ratios": ratios, "layers": layers, "times": times}
