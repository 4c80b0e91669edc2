"""The golden model: what a Program means, one obvious numpy function for each kind of layer.

Slow and exact: int64 throughout, no index is used, pruned weights are zeros in a dense matrix. Only where a study makes
an accumulator too narrow for its sums does the order of the additions matter, which is that of the loop nest.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.fixedpoint import Overflow, overflow_code
from accel.layers import product
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    ConcatLayer,
    FlattenLayer,
    MacLayer,
    MaxPoolLayer,
    MulLayer,
    ProgramLayer,
    ReluLayer,
    TableLayer,
)

Codes = NDArray[np.int64]


def run(program: Program, codes: ArrayLike) -> dict[str, Codes]:
    """Return the codes of every tensor, by layer name, ``"input"`` included.

    Parameters
    ----------
    program : Program
    codes : int array (images, maps, height, width)
        Codes of the input signal.

    Raises
    ------
    EspalierError
        The codes do not fit the program's input.
    """
    tensors = {INPUT: program.check_codes(codes)}
    for layer in program.layers:
        tensors[layer.name] = codes_of(layer, *(tensors[source] for source in layer.inputs))
    return tensors


def codes_of(layer: ProgramLayer, *inputs: Codes) -> Codes:
    """Return the codes that a layer makes of those of its inputs, which are not checked."""
    return _FUNCTIONS[type(layer)](layer, *inputs)


def mac(layer: MacLayer, x: Codes) -> Codes:
    """Convolve (images, C, H, W), or multiply (images, C) by a matrix."""
    if layer.accumulator_overflow is not None:
        return requantized(layer, narrow_accumulators(layer, x, layer.accumulator_overflow))
    if layer.window is None:
        accumulators = x @ layer.matrix.T + layer.bias
        return requantized(layer, accumulators)
    outputs, maps, _ = layer.shape
    weights = layer.matrix.reshape(outputs, maps, *layer.window.kernel)
    patches = layer.window.patches(layer.window.pad(x))
    accumulators = np.einsum("nchwij,mcij->nmhw", patches, weights) + layer.bias[:, None, None]
    return requantized(layer, accumulators)


def narrow_accumulators(layer: MacLayer, x: Codes, overflow: Overflow) -> Codes:
    """Add product after product in issue order, side by side for all outputs; the bias and every sum overflow."""
    rule = layer.accumulator_bits, True, overflow, 0  # signed, no saturated bits
    outputs, maps, taps = layer.shape
    signals = x
    if layer.window is not None:
        patches = layer.window.patches(layer.window.pad(x)).transpose(0, 1, 4, 5, 2, 3)
        signals = patches.reshape(len(x), maps * taps, *patches.shape[4:])
    pixels = signals.shape[2:]
    weights = layer.matrix.reshape(outputs, maps * taps, *(1 for _ in pixels))
    biases = layer.bias.reshape(outputs, *(1 for _ in pixels))
    accumulators = np.tile(overflow_code(biases, biases, *rule), (len(x), 1, *pixels))
    lists = layer.nest.row_columns
    for step in range(max(map(len, lists))):
        rows = [row for row in range(outputs) if step < len(lists[row])]
        columns = [lists[row][step] for row in rows]
        sums = accumulators[:, rows] + weights[rows, columns] * signals[:, columns]
        accumulators[:, rows] = overflow_code(sums, sums, *rule)
    return accumulators


def requantized(layer: MacLayer | AvgPoolLayer | AddLayer | MulLayer, accumulators: Codes) -> Codes:
    """Apply the layer's ReLU and requantisation, if it has them."""
    if layer.requantize is None:
        return accumulators  # which no ReLU follows
    return layer.requantize.apply(accumulators, layer.output.format, layer.relu)


def max_pool(layer: MaxPoolLayer, x: Codes) -> Codes:
    """Take the largest code of each window."""
    lowest = np.iinfo(np.int64).min
    return layer.window.patches(layer.window.pad(x, lowest)).max(axis=(-2, -1))


def avg_pool(layer: AvgPoolLayer, x: Codes) -> Codes:
    """Sum each window and requantise."""
    return requantized(layer, layer.window.patches(layer.window.pad(x)).sum(axis=(-2, -1)))


def add(layer: AddLayer, left: Codes, right: Codes) -> Codes:
    """Add two weighted signals and requantise."""
    return requantized(layer, left * layer.weights[0] + right * layer.weights[1])


def multiply(layer: MulLayer, left: Codes, right: Codes) -> Codes:
    """Multiply two signals, or every map by a code, and requantise."""
    return requantized(layer, product(left, right))


def relu(layer: ReluLayer, x: Codes) -> Codes:
    """Replace negative codes by zero."""
    return np.maximum(x, 0)


def clip(layer: ClipLayer, x: Codes) -> Codes:
    """Replace codes outside of the bounds by them."""
    return np.minimum(np.maximum(x, layer.lowest), layer.highest)


def table(layer: TableLayer, x: Codes) -> Codes:
    """Look every code up."""
    return layer.table[x - layer.lowest]


def concat(layer: ConcatLayer, left: Codes, right: Codes) -> Codes:
    """Put the maps of two tensors one after the other."""
    return np.concatenate([left, right], axis=1)


def flatten(layer: FlattenLayer, x: Codes) -> Codes:
    """Read the maps as one vector, or as maps of another shape."""
    return x.reshape(len(x), *(layer.shape or [math.prod(x.shape[1:])]))


_FUNCTIONS: dict[type[ProgramLayer], Callable[..., Codes]] = {
    MacLayer: mac,
    MaxPoolLayer: max_pool,
    AvgPoolLayer: avg_pool,
    AddLayer: add,
    MulLayer: multiply,
    ReluLayer: relu,
    ClipLayer: clip,
    TableLayer: table,
    ConcatLayer: concat,
    FlattenLayer: flatten,
}
