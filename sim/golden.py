"""The golden model: what a Program means, one obvious numpy function for each kind of layer.

Slow and exact: int64 throughout, no index is used, pruned weights are zeros in a dense matrix.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.network import INPUT
from accel.program import (
    AddLayer,
    AvgPoolLayer,
    FlattenLayer,
    MacLayer,
    MaxPoolLayer,
    Program,
    ProgramLayer,
    ReluLayer,
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
        tensors[layer.name] = _FUNCTIONS[type(layer)](layer, *(tensors[source] for source in layer.inputs))
    return tensors


def mac(layer: MacLayer, x: Codes) -> Codes:
    """Convolve (images, C, H, W), or multiply (images, C) by a matrix."""
    if layer.window is None:
        accumulators = x @ layer.matrix.T + layer.bias
        return requantized(layer, accumulators)
    outputs, maps, _ = layer.shape
    weights = layer.matrix.reshape(outputs, maps, *layer.window.kernel)
    patches = layer.window.patches(layer.window.pad(x))
    accumulators = np.einsum("nchwij,mcij->nmhw", patches, weights) + layer.bias[:, None, None]
    return requantized(layer, accumulators)


def requantized(layer: MacLayer | AvgPoolLayer | AddLayer, accumulators: Codes) -> Codes:
    """Apply the layer's ReLU and requantisation, if it has them."""
    if layer.relu:
        accumulators = np.maximum(accumulators, 0)
    if layer.requantize is None:
        return accumulators
    return layer.requantize.apply(accumulators, layer.output.format)


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


def relu(layer: ReluLayer, x: Codes) -> Codes:
    """Replace negative codes by zero."""
    return np.maximum(x, 0)


def flatten(layer: FlattenLayer, x: Codes) -> Codes:
    """Read the maps as one vector."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


_FUNCTIONS: dict[type[ProgramLayer], Callable[..., Codes]] = {
    MacLayer: mac,
    MaxPoolLayer: max_pool,
    AvgPoolLayer: avg_pool,
    AddLayer: add,
    ReluLayer: relu,
    FlattenLayer: flatten,
}
