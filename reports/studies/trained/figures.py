"""The figures of the study of trained networks, drawn from saved results; no pyplot, no state."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.shared.drawing import look, one_legend, rendered
from reports.studies.trained.page import bits_of
from reports.studies.trained.results import Group, Results


def cycles(results: Results) -> Figure:
    """Return the error rate against the cycles of one image: a panel for each network, a mark for each version."""
    figure = Figure(figsize=(1 + 3.6 * len(results.networks), 3.8), layout="constrained")
    panels = list(figure.subplots(1, len(results.networks), squeeze=False).flat)
    groups = {network: results.groups(network, calibrated=False) for network in results.networks}
    order = list(dict.fromkeys(group.task.pattern for found in groups.values() for group in found))
    for axes, (network, found) in zip(panels, groups.items(), strict=True):
        for group in found:
            _mark(axes, group, order.index(group.task.pattern))
        axes.set_title(network)
        axes.set_xlabel(f"thousands of cycles on {results.array} lanes")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(lambda cycles, _: f"{cycles / 1000:g}")
    panels[0].set_ylabel("error rate in %, test images")
    one_legend(figure, panels, "outside right upper")
    return figure


def equal_cycles(results: Results) -> Figure:
    """Return what patterns cost at equal cycles: a panel for each network that has such versions, a bar for each."""
    compared = {network: results.compared(network) for network in results.networks}
    networks = [network for network, groups in compared.items() if groups]
    figure = Figure(figsize=(1 + 3.6 * max(len(networks), 1), 3.8), layout="constrained")
    panels = list(figure.subplots(1, max(len(networks), 1), squeeze=False).flat)
    for axes, network in zip(panels, networks, strict=False):
        groups = compared[network]
        bars = axes.bar([group.task.pattern for group in groups], [100 * group.rise() for group in groups])
        axes.bar_label(bars, [f"{group.gone:.0%}" for group in groups], fontsize="small", padding=2)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.margins(y=0.15)
        axes.tick_params(axis="x", rotation=30)
        axes.set_title(f"{network}, {groups[0].task.cycles} % of the cycles")
    panels[0].set_ylabel("error rate over the dense network's in %")
    return figure


def render(results: Results) -> dict[str, bytes]:
    """Return the figures as ``NAME.png``."""
    return rendered({"cycles": cycles, "equal_cycles": equal_cycles}, results)


def _mark(axes: Axes, group: Group, index: int) -> None:
    """Draw the mean of a group with a bar from the lowest to the highest seed: floats hollow, others with bits."""
    cycles, mean, (low, high) = group.versions[0].cycles, 100 * group.mean(), (100 * rate for rate in group.span())
    drawn = look(index)
    if not group.task.bits:
        drawn |= {"markerfacecolor": "white", "label": group.task.pattern}
    axes.errorbar([cycles], [mean], yerr=[[mean - low], [high - mean]], capsize=2, **drawn)
    if group.task.bits:
        axes.annotate(bits_of(group.task), (cycles, mean), (4, 3), textcoords="offset points", fontsize="x-small")
