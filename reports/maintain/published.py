"""The cost model against numbers that others published: ``reports/studies/published``.

    python -m reports.maintain.published

SCALE-Sim's cycles, AlexNet's weights and multiply-accumulates, and Eyeriss's times of AlexNet's convolutions beside
what our array of as many lanes takes.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import numpy as np

from accel.array import MacArray
from accel.cost import cycles_of
from accel.cost.shapes import LayerShape
from accel.cost.systolic import Gemm, SystolicArray
from accel.files import write_whole
from accel.layers import Conv2d
from accel.network import Network
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.window import Window
from reports.maintain.published_numbers import (
    ALEXNET,
    ALEXNET_CONVOLUTIONS,
    EYERISS_BATCH,
    EYERISS_CLOCK_HZ,
    EYERISS_ELEMENTS,
    EYERISS_MILLISECONDS,
    SCALE_SIM_CONV1,
    SCALE_SIM_GEMM,
)
from reports.shared import markdown, output

STUDY = Path(__file__).parents[1] / "studies" / "published"
ARRAY = MacArray(21, 8, weight_bits=16, signal_bits=16, accumulator_bits=48)  # 168 lanes
ROWS, COLUMNS = 12, 14  # of Eyeriss's elements, for the systolic array
HEAD = """# Against numbers that others published

`python -m reports.maintain.published` made these tables; `tests/test_accel_cost_published.py` holds the exact ones.

## SCALE-Sim: cycles of a dense systolic array of 32 x 32

The product M, N, K = 256, 128, 256, and AlexNet's conv1. The convention of the tool's reports: the last cycle is not
counted (`accel/cost/systolic.py` has the closed form and its source).
"""
COUNTS = """
## AlexNet: weights and multiply-accumulates

Krizhevsky's network in two groups, images of 227 x 227. Published: 2.3 M weights and 666 M MACs in the convolutions,
61 M and 724 M in all (Sze et al., Proc. IEEE 2017, table II).
"""
EYERISS = """
## Eyeriss: AlexNet's convolutions

Published: the time of a batch of {batch}, {elements} elements at {clock:g} MHz (Chen et al., JSSC 2017, table V).
Ideal: every element does a useful multiply-accumulate in every cycle. Ours: `accel.cost.cycles` on {lanes} lanes,
dense, weights on the chip, at the same clock; beside it an output stationary systolic array of {rows} x {columns}.
Shares are of the ideal.
"""
WHY = """
What differs, and why:

- **Where the work lies.** Eyeriss keeps a row of a kernel and of a map in each element (row stationary): a layer fills
  as many elements as its kernel rows and output rows cut the array into. Ours gives each lane an output map and a
  pixel, and loses where {outputs} does not divide the maps and {pixels} not the pixels of one. In conv3 that
  is all that it loses: {conv3:.0%} (13 x 13 = 22 x 8 - 7, 384 = 19 x 21 - 15).
- **Groups.** Lanes of one word share a signal. Where the {outputs} maps of a word fall into both groups of conv2,
  conv4 or conv5, the array runs the input maps of both, half of them for nothing: one word of 13, of 19 and of 13.
- **Memory.** Eyeriss works from a buffer of 108 KiB, pass after pass, and what it waits for is in its time. Ours has
  one pipeline a layer, weights resident and signals on the chip: AlexNet's would need megabytes, so that our time is a
  bound and no promise; with DRAM, `espalier size --dram-bandwidth` adds the stalls.
- **Zeros.** Eyeriss gates the multiplier at a zero signal, which saves energy and no time; no column skips any.
- **A stride of 4.** Words four apart may lie in one bank of the signal memory, so that conv1 runs a pixel at a time:
  {conv1:.0%} of what it could do is lost.
- **The systolic array** keeps an output in each element and streams both operands past: every fold waits for its far
  corner. It computes groups in full, as SCALE-Sim does, which doubles conv2, conv4 and conv5.
"""


def programmed(shape: LayerShape) -> Program:
    """Return a layer as a Program of its own: random weights, its groups as they are."""
    groups = shape.outputs * shape.maps // shape.pairs
    padding = {"conv2": 2, "conv3": 1, "conv4": 1, "conv5": 1}.get(shape.name, 0)
    rows, columns = (
        (n - 1) * s + k - 2 * padding for n, s, k in zip(shape.size, shape.stride, shape.kernel, strict=True)
    )
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(shape.outputs, shape.maps // groups, *shape.kernel)).astype(np.float32)
    window = Window(shape.kernel, shape.stride, (padding,) * 4)
    bias = np.zeros(shape.outputs, np.float32)
    layer = Conv2d(shape.name, ("input",), weight=weight, bias=bias, window=window, groups=groups)
    network = Network("alexnet", (shape.maps, rows, columns), (layer,))
    return lower(PrunedNetwork(network), Widths(4, 4), rng.random((1, *network.input_shape), np.float32))


def our_cycles(shape: LayerShape, array: MacArray = ARRAY) -> int:
    """Return the cycles of one image."""
    return sum(layer.cycles for layer in cycles_of(programmed(shape), array))


def make(out: Path) -> None:
    """Write the tables."""
    times = {shape.name: _times(shape) for shape in ALEXNET_CONVOLUTIONS}
    times["**all**"] = tuple(map(sum, zip(*times.values(), strict=True)))
    lost = {name: 1 - ideal / ours for name, (ideal, _, ours, _) in times.items()}
    words = {"batch": EYERISS_BATCH, "elements": EYERISS_ELEMENTS, "clock": EYERISS_CLOCK_HZ / 1e6}
    lanes = f"{ARRAY.output_lanes} x {ARRAY.pixel_lanes}"
    sizes = {"outputs": ARRAY.output_lanes, "pixels": ARRAY.pixel_lanes}
    heads = "layer | MACs, millions | ideal, ms | Eyeriss, ms | share | ours, ms | share | systolic, ms | share"
    parts = [
        HEAD,
        markdown.table("layer | stationary | published | here", "llrr", _scale_sim()),
        COUNTS,
        markdown.table("layer | weights | MACs", "lrr", _alexnet()),
        EYERISS.format(**words, lanes=lanes, rows=ROWS, columns=COLUMNS),
        markdown.table(heads, "lrrrrrrrr", _eyeriss(times)),
        WHY.format(**sizes, conv1=lost["conv1"], conv3=lost["conv3"]),
    ]
    with output.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "README.md", "\n".join(parts).encode())


def _scale_sim() -> Iterator[Sequence[str]]:
    gemm, conv1 = Gemm(256, 128, 256), Gemm.of(ALEXNET[0])
    for flow, published in SCALE_SIM_GEMM.items():
        yield "256 x 128 x 256", flow, f"{published:,}", f"{_systolic(flow, gemm):,}"
    for flow, published in SCALE_SIM_CONV1.items():
        yield "AlexNet conv1", flow, f"{published:,}", f"{_systolic(flow, conv1):,}"


def _alexnet() -> Iterator[Sequence[str]]:
    for x in ALEXNET:
        yield x.name, f"{x.weights:,}", f"{x.macs:,}"
    for name, shapes in (("convolutions", ALEXNET_CONVOLUTIONS), ("all", ALEXNET)):
        yield f"**{name}**", f"{sum(x.weights for x in shapes):,}", f"{sum(x.macs for x in shapes):,}"


def _eyeriss(times: Mapping[str, Sequence[float]]) -> Iterator[Sequence[str]]:
    macs = {x.name: x.macs for x in ALEXNET_CONVOLUTIONS} | {"**all**": sum(x.macs for x in ALEXNET_CONVOLUTIONS)}
    for name, (ideal, *others) in times.items():
        cells = [cell for time in others for cell in (f"{time:.1f}", f"{ideal / time:.0%}")]
        yield name, f"{EYERISS_BATCH * macs[name] / 1e6:,.1f}", f"{ideal:.1f}", *cells


def _systolic(flow: str, gemm: Gemm) -> int:
    return SystolicArray(32, 32, flow).cycles(gemm)  # type: ignore[arg-type]


def _times(shape: LayerShape) -> tuple[float, ...]:
    """Return milliseconds of a batch: ideal, Eyeriss's, ours, the systolic array's."""
    systolic = SystolicArray(ROWS, COLUMNS, "output").cycles(Gemm.of(shape))
    cycles = shape.macs / EYERISS_ELEMENTS, our_cycles(shape), systolic
    ideal, ours, theirs = (EYERISS_BATCH * x / EYERISS_CLOCK_HZ * 1e3 for x in cycles)
    return ideal, EYERISS_MILLISECONDS[shape.name], ours, theirs


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=STUDY, help="Where the study lies.")
def main(out: Path) -> None:
    """Write the tables."""
    make(out)


if __name__ == "__main__":
    main()
