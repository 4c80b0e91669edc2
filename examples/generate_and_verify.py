"""Generate the hardware of a small Program, simulate it, and compare every output code and the cycles.

    python examples/generate_and_verify.py [FOLDER]

Amaranth's own simulator runs it; where a FOLDER is given, Verilog and a self-checking testbench are written there too,
which needs Yosys (`pip install "espalier-hw[verilog]"`).
"""

import sys
from pathlib import Path

import numpy as np

import espalier as esp
from accel.cost import total_cycles, total_interval
from accel.demand import array_for
from accel.layers import Conv2d, Flatten, Linear, MaxPool, ReLU
from accel.window import Window
from rtl.emit import Job, emit
from rtl.simulate import simulate
from sim import golden


def tiny_network(rng: np.random.Generator) -> esp.Network:
    """Return a network for images of 6 x 6 that nobody trained: a convolution, a pool and a fully connected layer."""

    def drawn(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    layers = (
        Conv2d("conv", ("input",), weight=drawn(4, 1, 3, 3), bias=drawn(4), window=Window.square(3, padding=1)),
        ReLU("relu", ("conv",)),
        MaxPool("pool", ("relu",), Window.square(2, stride=2)),
        Flatten("flatten", ("pool",)),
        Linear("fc", ("flatten",), weight=drawn(3, 36), bias=drawn(3)),
    )
    return esp.Network("tiny", (1, 6, 6), layers)


def main(folder: Path | None = None) -> None:
    """Prune, quantise, simulate two images on 2 x 2 lanes and compare; write the build if there is a place for it."""
    rng = np.random.default_rng(1)
    dense = esp.PrunedNetwork(tiny_network(rng))
    pruned = esp.prune(dense, "kernel", {"kernel": 0.5}, spare=["fc"])  # half of its four kernels
    images = rng.random((16, 1, 6, 6)).astype(np.float32)
    program = esp.lower(pruned, esp.Widths(weight_bits=4, signal_bits=4), images)
    array = array_for(program, 2, 2)
    codes = program.input_signal.encode(images[:2])
    expected = golden.run(program, codes)[program.output]
    predicted = total_cycles(program, array)
    for image, run in enumerate(simulate(program, array, codes)):
        same = np.array_equal(run.codes, expected[image])
        print(f"image {image}: codes {run.codes.tolist()}, {run.cycles} cycles; predicted {predicted}")
        if not same or run.cycles != predicted:
            raise SystemExit(f"image {image}: golden model {expected[image].tolist()}, the hardware differs")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        job = Job(program, codes, expected, predicted, total_interval(program, array))
        for name, content in emit([job], array).items():
            (folder / name).write_bytes(content)
        print(f"{folder}: espalier.v, testbench.v and what they read")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
