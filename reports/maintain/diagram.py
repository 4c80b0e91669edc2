"""Draw the block diagram of the accelerator: ``python -m reports.maintain.diagram`` writes rtl/architecture.svg."""

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from accel.files import write_whole
from reports.shared.drawing import STYLE

TARGET = Path(__file__).parents[2] / "rtl" / "architecture.svg"
BLOCKS = {  # name: (x, y, width, height, text, colour)
    "load": (0, 5.2, 2.2, 1, "load stream, to all\nmemories while idle", "#f0f0f0"),
    "layers": (0, 6.8, 2.2, 0.9, "layer words", "#fff4cc"),
    "entries": (0, 8.35, 2.2, 0.9, "index entries", "#fff4cc"),
    "decoder": (3, 8.35, 3, 0.9, "index decoder\nlists, or a counter", "#d6e6f5"),
    "sequencer": (3, 6.7, 3, 1, "sequencer\nlayers, taps: a step a cycle", "#d6e6f5"),
    "tiles": (3, 5.1, 3, 1, "tile walk\ngroups, rows, pixels", "#d6e6f5"),
    "taps": (7, 6.9, 2.6, 0.9, "tap table", "#fff4cc"),
    "address": (7, 5.3, 2.6, 1.1, "address, edges\n(adders only)", "#d6e6f5"),
    "banks": (10.6, 5.3, 3.2, 1.1, "activation banks\n2 x pixel lanes, 1R 1W", "#fff4cc"),
    "rotate": (10.6, 3.7, 3.2, 1, "rotation, zeros\noutside the map", "#d6e6f5"),
    "weights": (3, 2.6, 3, 1, "weight words\n1 x output lanes", "#fff4cc"),
    "lanes": (7, 2.2, 2.6, 1.8, "lanes\noutput x pixel\nmultiply-accumulate", "#cfeadb"),
    "shadow": (7, 0.5, 2.6, 1, "shadow\na row a cycle", "#cfeadb"),
    "drain": (10.6, 0.5, 3.2, 1.8, "drain\nbias, ReLU, multiply,\nround, overflow", "#d6e6f5"),
    "constants": (14.6, 0.5, 2.4, 0.8, "biases,\nmultipliers", "#fff4cc"),
    "out": (14.6, 1.7, 2.4, 0.8, "out stream", "#f0f0f0"),
}
NEXT = {"arrowstyle": "-|>", "color": "#333"}
ARROWS = (  # from, to, text
    ("entries", "decoder", ""),
    ("layers", "sequencer", ""),
    ("decoder", "sequencer", "entry"),
    ("sequencer", "tiles", "last step"),
    ("sequencer", "taps", "tap"),
    ("taps", "address", ""),
    ("tiles", "address", "origin"),
    ("address", "banks", ""),
    ("banks", "rotate", ""),
    ("weights", "lanes", ""),
    ("rotate", "lanes", ""),
    ("lanes", "shadow", "last step"),
    ("shadow", "drain", ""),
    ("constants", "drain", ""),
    ("drain", "out", ""),
)


def draw() -> Figure:
    """Return the diagram."""
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(-0.2, 17.3)
    axes.set_ylim(0.2, 9.5)
    for x, y, width, height, text, color in BLOCKS.values():
        axes.add_patch(
            FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.08", facecolor=color, edgecolor="#333")
        )
        axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8)
    for start, end, text in ARROWS:
        _arrow(axes, start, end, text)
    back = {"arrowstyle": "-|>", "color": "#D55E00", "connectionstyle": "arc3,rad=0.35"}
    axes.annotate("", (13.9, 5.85), (13.9, 1.9), arrowprops=back)
    axes.annotate("", (3.4, 3.7), (2.9, 6.85), arrowprops=NEXT | {"connectionstyle": "arc3,rad=0.22"})
    axes.text(2.5, 4.3, "next", fontsize=7, ha="center")
    axes.text(16.0, 4.0, "codes of the\nnext layer's input", fontsize=8, color="#D55E00", ha="center")
    return figure


def _arrow(axes: Axes, start: str, end: str, text: str) -> None:
    x0, y0, w0, h0 = BLOCKS[start][:4]
    x1, y1, w1, h1 = BLOCKS[end][:4]
    beside = False
    if x0 + w0 <= x1:
        points = (x0 + w0 + 0.1, y0 + h0 / 2), (x1 - 0.1, y1 + h1 / 2)
    elif x1 + w1 <= x0:
        points = (x0 - 0.1, y0 + h0 / 2), (x1 + w1 + 0.1, y1 + h1 / 2)
    else:
        points, beside = ((x0 + w0 / 2, y0 - 0.1), (x1 + w1 / 2, y1 + h1 + 0.1)), True
    axes.annotate("", points[1], points[0], arrowprops=NEXT)
    x, y = ((first + second) / 2 for first, second in zip(*points, strict=True))
    if beside:
        axes.text(x + 0.15, y, text, fontsize=7, ha="left", va="center")
    else:
        axes.text(x, y + 0.14, text, fontsize=7, ha="center")


def main() -> None:
    """Write the diagram."""
    with mpl.rc_context(STYLE):
        buffer = io.BytesIO()
        draw().savefig(buffer, format="svg", metadata={"Date": None})
    write_whole(TARGET, buffer.getvalue())


if __name__ == "__main__":
    main()
