"""The figure of the study of trained networks, drawn from saved results; no pyplot, no state."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.shared.drawing import look, one_legend, rendered
from reports.studies.trained.page import bits_of, pattern_of
from reports.studies.trained.results import Group, Results


def cycles(results: Results) -> Figure:
    """Return the error rate against the cycles of one image: a panel for each network, a mark for each version."""
    figure = Figure(figsize=(1 + 3.6 * len(results.networks), 3.8), layout="constrained")
    panels = list(figure.subplots(1, len(results.networks), squeeze=False).flat)
    names = [name for network in results.networks for name in map(_name, results.groups(network))]
    order = list(dict.fromkeys(names))
    for axes, network in zip(panels, results.networks, strict=True):
        for group in results.groups(network):
            _mark(axes, group, order.index(_name(group)))
        axes.set_title(network)
        axes.set_xlabel(f"cycles of one image on {results.array} lanes")
    panels[0].set_ylabel("error rate in %, test images")
    one_legend(figure, panels, "outside right upper")
    return figure


def render(results: Results) -> dict[str, bytes]:
    """Return the figure as ``NAME.png``."""
    return rendered({"cycles": cycles}, results)


def _name(group: Group) -> str:
    return f"{pattern_of(group.task)}, {bits_of(group.task)}"


def _mark(axes: Axes, group: Group, index: int) -> None:
    """Draw the mean of a group with a bar from the lowest to the highest seed."""
    mean, (low, high) = 100 * group.mean(), (100 * rate for rate in group.span())
    spread = [[mean - low], [high - mean]]
    axes.errorbar([group.versions[0].cycles], [mean], yerr=spread, label=_name(group), capsize=2, **look(index))
