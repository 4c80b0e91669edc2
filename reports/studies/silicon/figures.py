"""The figure of the study of silicon, drawn from saved results; no pyplot, no state."""

from matplotlib.figure import Figure

from reports.shared.drawing import COLORS, SMALL, one_legend, rendered
from reports.studies.silicon.definition import BITS, NETWORKS, PATTERNS, SHAPE, Task
from reports.studies.silicon.estimated import GROUPS, calibrated, compared_with
from reports.studies.silicon.results import Results

CAPTIONS = {
    "energy": f"Energy of an image on {SHAPE} lanes with lists, by pattern and word length: measured on the netlist "
    "(left bars), and by the calibrated estimate (right, pale)."
}
WIDTH = 0.38


def energy(results: Results) -> Figure:
    """Return a panel for each network and word length that was run, two stacked bars for each pattern."""
    table = calibrated(results)
    found = {
        (network, bits): [
            (place, compared_with(table, run, results))
            for place, pattern in enumerate(PATTERNS)
            if (run := results.run(Task(network=network, pattern=pattern, bits=bits)))
        ]
        for network in NETWORKS
        for bits in BITS
    }
    shown = {key: bars for key, bars in found.items() if bars}
    figure = Figure(figsize=(9.6, 0.9 + 2.2 * -(-len(shown) // 2)), layout="constrained")
    panels = [*figure.subplots(-(-len(shown) // 2), 2, squeeze=False, sharex=True).flat]
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    for axes, ((network, bits), bars) in zip(panels, shown.items(), strict=False):
        for place, one in bars:
            for side, joules, alpha in ((-1, one.measured, 1.0), (1, one.estimated, 0.5)):
                bottom = 0.0
                for color, group in enumerate(GROUPS, start=1):
                    label = group if side < 0 and place == bars[0][0] else None
                    at, height = place + side * WIDTH / 2, 1e6 * joules[group]
                    axes.bar(at, height, WIDTH, bottom=bottom, color=COLORS[color], alpha=alpha, label=label)
                    bottom += height
        axes.set_title(f"{network}, {bits} bits", fontsize=SMALL + 1)
        axes.set_ylabel("µJ an image")
        axes.set_xticks(range(len(PATTERNS)), PATTERNS, rotation=30, ha="right", fontsize=SMALL)
    one_legend(
        figure, [axes for axes in figure.axes if axes.get_visible()], "outside upper center", columns=len(GROUPS)
    )
    return figure


def render(results: Results) -> dict[str, bytes]:
    """Return the figure as a file; none before anything is run."""
    return rendered({"energy": energy}, results) if results.runs else {}
