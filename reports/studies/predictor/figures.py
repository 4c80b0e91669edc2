"""The figure of the study of the predictor: how far off it is of each array, drawn from saved results; no state."""

from collections.abc import Mapping

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import PercentFormatter

from reports.shared.drawing import SMALL, look, rendered
from reports.studies.predictor.fit import Figure

CAPTIONS = {
    "errors": "What is predicted over what was built, less one, of each array by a fit that it had no part in, against "
    "its multiply-accumulators. Grey is the band of 5 %."
}
NAMES = {
    "lut": "look-up tables",
    "ff": "flip-flops",
    "cell_um2": "cell area",
    "fpga_ns": "period, ECP5",
    "cell_ns": "period, cells",
    "cell_ff": "flip-flops, cells",
}


def errors(fitted: Mapping[str, Figure]) -> Drawing:
    """Return a panel for each figure."""
    drawing = Drawing(figsize=(11.4, 2.8), layout="constrained")
    panels = drawing.subplots(1, len(NAMES), sharex=True, sharey=True)
    for index, (name, axes) in enumerate(zip(NAMES, panels, strict=True)):
        lanes = [found["lanes"] for found, _ in fitted[name].samples.values()]
        axes.axhspan(-0.05, 0.05, color="0.9")
        axes.plot(lanes, [one.error for one in fitted[name].held_out], ".", color=look(index)["color"])
        axes.set_title(NAMES[name], fontsize=SMALL + 1)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panels[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panels[len(NAMES) // 2].set_xlabel("multiply-accumulators")
    return drawing


def render(fitted: Mapping[str, Figure]) -> dict[str, bytes]:
    """Return the figure as a file."""
    return rendered({"errors": errors}, fitted)
