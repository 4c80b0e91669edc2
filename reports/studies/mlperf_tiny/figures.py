"""The figure of the study of MLPerf Tiny's networks, drawn from saved results; no pyplot, no state."""

from matplotlib.figure import Figure

from reports.shared.drawing import look, one_legend, rendered
from reports.studies.mlperf_tiny.definition import LANES, NETWORKS, PATTERNS, TECHNOLOGY
from reports.studies.mlperf_tiny.results import Results


def energy(results: Results) -> Figure:
    """Return energy against memory: a panel for each network, a line for each pattern, a mark for each word length."""
    figure = Figure(figsize=(8.4, 5.6), layout="constrained")
    panels = list(figure.subplots(2, 2).flat)
    for axes, network in zip(panels, NETWORKS, strict=True):
        for row in results.of(network):
            memory, joules = zip(*((x.memory_bits / 8192, x.joules * 1e6) for x in row.points), strict=True)
            axes.plot(memory, joules, label=row.pattern, linewidth=1, **look(PATTERNS.index(row.pattern)))
        axes.set_title(network)
        axes.set_xlabel("memory in KiB")
        axes.set_ylabel("µJ an image")
    one_legend(figure, panels, "outside right upper")
    return figure


def cycles(results: Results) -> Figure:
    """Return the cycles of each version over those of the dense network: a group of bars for each network."""
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    axes = figure.subplots()
    shown = PATTERNS[1:]
    for index, pattern in enumerate(shown, start=1):
        shares = [_share(results, network, pattern) for network in NETWORKS]
        places = [place + (index - 4) * 0.11 for place in range(len(NETWORKS))]
        axes.bar(places, shares, 0.1, label=pattern, color=look(index)["color"])
    axes.axhline(1, color="#7F7F7F", linewidth=0.8)
    axes.set_xticks(range(len(NETWORKS)), NETWORKS)
    axes.set_ylabel("cycles / dense cycles")
    one_legend(figure, [axes], "outside right upper")
    return figure


CAPTIONS = {
    "energy": f"Energy ({TECHNOLOGY}) against memory, 3 to 8 bits from left to right.",
    "cycles": f"Cycles of an image on {'x'.join(map(str, LANES))} lanes at 8 bits, over the dense network's; no bar "
    "where a network cannot have the pattern.",
}


def render(results: Results) -> dict[str, bytes]:
    """Return the figures as ``NAME.png``; none before anything is measured."""
    return rendered({"cycles": cycles, "energy": energy}, results) if not results.missing else {}


def _share(results: Results, network: str, pattern: str) -> float:
    rows = {row.pattern: row for row in results.of(network)}
    return rows[pattern].at(8).cycles / rows["dense"].at(8).cycles if pattern in rows else 0.0
