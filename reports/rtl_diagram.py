"""Draw the block diagram of the accelerator: ``python -m reports.rtl_diagram`` writes rtl/architecture.svg."""

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from accel.files import write_whole
from reports.figures import STYLE

TARGET = Path(__file__).parent.parent / "rtl" / "architecture.svg"
BLOCKS = {  # name: (x, y, width, height, text, colour)
    "load": (0, 6.2, 2.2, 1, "load stream\n{target, address, word}", "#f0f0f0"),
    "sequencer": (3, 5.6, 3, 2.2, "sequencer\nlayers, groups, tiles,\nentries, taps", "#d6e6f5"),
    "entries": (3, 8.2, 3, 0.9, "layer words, index entries", "#fff4cc"),
    "taps": (7, 6.9, 2.6, 0.9, "tap table", "#fff4cc"),
    "address": (7, 5.3, 2.6, 1.1, "address, edges\n(adders only)", "#d6e6f5"),
    "banks": (10.6, 5.3, 3.2, 1.1, "activation banks\n2 x pixel lanes, 1R 1W", "#fff4cc"),
    "rotate": (10.6, 3.7, 3.2, 1, "rotation, zeros\noutside the map", "#d6e6f5"),
    "weights": (3, 3.5, 3, 1, "weight words\n1 x output lanes", "#fff4cc"),
    "lanes": (7, 2.2, 2.6, 1.8, "lanes\noutput x pixel\nmultiply-accumulate", "#cfeadb"),
    "shadow": (7, 0.5, 2.6, 1, "shadow\na row a cycle", "#cfeadb"),
    "drain": (10.6, 0.5, 3.2, 1.8, "drain\nbias, ReLU, multiply,\nround, overflow", "#d6e6f5"),
    "constants": (14.6, 0.5, 2.4, 0.8, "biases,\nmultipliers", "#fff4cc"),
    "out": (14.6, 1.7, 2.4, 0.8, "out stream", "#f0f0f0"),
}
ARROWS = (  # from, to, text
    ("load", "sequencer", "while idle"),
    ("entries", "sequencer", ""),
    ("sequencer", "taps", "tap"),
    ("taps", "address", ""),
    ("sequencer", "address", "first word"),
    ("address", "banks", ""),
    ("banks", "rotate", ""),
    ("sequencer", "weights", "next"),
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
    axes.set_ylim(0, 9.4)
    for x, y, width, height, text, color in BLOCKS.values():
        axes.add_patch(
            FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.08", facecolor=color, edgecolor="#333")
        )
        axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8)
    for start, end, text in ARROWS:
        _arrow(axes, start, end, text)
    back = {"arrowstyle": "-|>", "color": "#D55E00", "connectionstyle": "arc3,rad=0.35"}
    axes.annotate("", (13.9, 5.85), (13.9, 1.9), arrowprops=back)
    axes.text(16.0, 4.0, "codes of the\nnext layer's input", fontsize=8, color="#D55E00", ha="center")
    return figure


def _arrow(axes: Axes, start: str, end: str, text: str) -> None:
    x0, y0, w0, h0 = BLOCKS[start][:4]
    x1, y1, w1, h1 = BLOCKS[end][:4]
    if x0 + w0 <= x1:
        points = (x0 + w0 + 0.1, y0 + h0 / 2), (x1 - 0.1, y1 + h1 / 2)
    elif x1 + w1 <= x0:
        points = (x0 - 0.1, y0 + h0 / 2), (x1 + w1 + 0.1, y1 + h1 / 2)
    else:
        points = (x0 + w0 / 2, y0 - 0.1), (x1 + w1 / 2, y1 + h1 + 0.1)
    axes.annotate("", points[1], points[0], arrowprops={"arrowstyle": "-|>", "color": "#333"})
    axes.text(
        (points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2 + 0.14, text, fontsize=7, ha="center"
    )


def main() -> None:
    """Write the diagram."""
    with mpl.rc_context(STYLE):
        buffer = io.BytesIO()
        draw().savefig(buffer, format="svg", metadata={"Date": None})
    write_whole(TARGET, buffer.getvalue())


if __name__ == "__main__":
    main()
