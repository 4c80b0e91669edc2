"""Programs of one layer whose sums are wider than their accumulators, and what the accumulators of these hold."""

from typing import Any

import numpy as np
import pytest
from test_equivalence import assert_equivalent

from accel.encoding import encodings
from accel.fixedpoint import Overflow
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer
from accel.sparsity import Mask, parse_pattern
from accel.window import Window
from sim import golden
from support.programs import PIXEL, Codes, mac_layer, program
from support.reference_fixedpoint import resolve_overflow

WRAP, SAT = MODES = Overflow.WRAP, Overflow.SAT
ZOO = ("dense", "feature-map", "kernel", "ikss", "kernel+ikss", "block-4", "2:4", "irregular")
FLAT = FlattenLayer("flat", (INPUT,))
each_mode = pytest.mark.parametrize("overflow", MODES, ids=lambda mode: mode.name)
each_pattern = pytest.mark.parametrize("pattern", ZOO)
each_kind = pytest.mark.parametrize("convolution", [True, False], ids=["convolution", "fully connected"])


def legal_mask(pattern: str, shape: tuple[int, int, int], rng: np.random.Generator) -> Mask:
    """Return a mask that keeps about two thirds of what `pattern` may prune."""
    outputs, maps, taps = shape
    kept = np.ones(shape, bool)
    if pattern == "feature-map":
        kept[1::3] = False
    if pattern.startswith("kernel"):
        kept &= rng.random((outputs, maps, 1)) < 0.7
    if pattern.endswith("ikss"):
        kept &= (np.arange(taps) % 2 == 0) | (rng.random((1, maps, 1)) < 0.5)
    if pattern == "irregular":
        kept = rng.random(shape) < 0.6
    if pattern == "block-4":
        flags = rng.random((-(-outputs // 4), -(-maps * taps // 4))) < 0.7
        kept = flags.repeat(4, 0).repeat(4, 1)[:outputs, : maps * taps].reshape(shape)
    if pattern == "2:4":
        runs = rng.random((outputs, -(-maps * taps // 4), 4)).argsort(axis=2) < 2
        kept = runs.reshape(outputs, -1)[:, : maps * taps]
        kept[:, maps * taps // 4 * 4 :] = True  # a last run of two columns keeps both
        kept = kept.reshape(shape)
    return kept


def one_layer(pattern: str, convolution: bool, **more: Any) -> Program:
    """Return a Program of one layer of random weights, 6 maps of 5 x 4 or 54 inputs, which hands out its accumulators.

    The weights of a row alternate in sign by chance, so that its sums leave the range on both sides and come back.
    """
    rng = np.random.default_rng([ZOO.index(pattern), convolution])
    shape = (6, 6, 9) if convolution else (7, 54, 1)  # no block of 4 divides the outputs, nor the columns
    kept = legal_mask(pattern, shape, rng)
    store = {"kept": kept, "pattern": pattern, "encoding": encodings(parse_pattern(pattern))[0].name}
    words = {"weight_bits": 5, "bias": rng.integers(-2000, 2000, shape[0]), **store, **more}
    weights = rng.integers(-15, 15, shape, endpoint=True)
    if convolution:
        window = Window((3, 3), (1, 2), (1, 0, 1, 1))
        return program([mac_layer("mac", INPUT, weights, PIXEL, window=window, **words)], (6, 5, 4))
    return program([FLAT, mac_layer("mac", "flat", weights, PIXEL, **words)], (6, 3, 3))


def pixels(of: Program, images: int = 3) -> Codes:
    """Return random input codes."""
    form = of.input_signal.format
    return np.random.default_rng(5).integers(form.min_code, form.max_code, (images, *of.input_shape), endpoint=True)


def accumulators(of: Program, image: Codes) -> dict[tuple[int, ...], int]:
    """Return the accumulators of a Program of `one_layer`: the loops of the design, in Python's integers."""
    (layer,) = of.mac_layers
    bits, mode = layer.accumulator_bits, layer.accumulator_overflow
    nest, sums, height, width = layer.nest, {}, 1, 1
    columns = image.reshape(-1, 1, 1)  # (lowered columns, output height, output width)
    if layer.window:
        top, left, bottom, right = layer.window.padding
        padded = np.pad(image, ((0, 0), (top, bottom), (left, right)))
        (down, across), (_, height, width) = layer.window.stride, of.shapes["mac"]
        taps = [(dy, dx) for dy in range(3) for dx in range(3)]
        columns = np.array(
            [
                padded[c, dy : dy + down * height : down, dx : dx + across * width : across][:height, :width]
                for c in range(len(image))
                for dy, dx in taps
            ]
        )

    def narrow(value: int) -> int:
        return value if mode is None else resolve_overflow(value, value, bits, True, mode.name, 0)

    for y, x in np.ndindex(height, width):
        for group, outer in enumerate(nest.outer):
            rows = range(group * nest.group_rows, min((group + 1) * nest.group_rows, layer.shape[0]))
            for row in rows:
                sums[row, y, x] = narrow(int(layer.bias[row]))
            for c in outer:
                for t in nest.inner[c]:
                    column = int(c * nest.unit_columns + t)
                    if column < layer.matrix.shape[1]:
                        for row in rows:
                            product = int(layer.matrix[row, column]) * int(columns[column, y, x])
                            sums[row, y, x] = narrow(sums[row, y, x] + product)
    return sums


def fully_connected(weights: list[list[int]], **more: Any) -> Program:
    """Return a Program whose scores are sums of its input codes, times `weights`."""
    inputs = len(weights[0])
    return program([FLAT, mac_layer("fc", "flat", weights, PIXEL, **more)], (inputs, 1, 1))


def scores(of: Program, *codes: int) -> list[int]:
    """Return the scores of one image, from both readers."""
    batch = np.array(codes).reshape(1, -1, 1, 1)
    assert_equivalent(of, batch)
    return golden.run(of, batch)[of.output][0].tolist()
