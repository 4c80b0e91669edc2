"""The float arithmetic of every kind of layer with the images innermost: (maps, height, width, images).

What `accel.network` defines, in the layout in which a candidate mask is judged fastest: lowering and pooling copy and
compare runs of consecutive numbers, and a layer of multiply-accumulates is one matrix product for a whole batch.
"""

from functools import reduce

import numpy as np

from accel.errors import EspalierError
from accel.layers import (
    Activation,
    Add,
    Array,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Mul,
    ReLU,
    Upsample,
    Weighted,
)
from accel.sparsity import Mask
from accel.window import Window


def lower(layer: Weighted, maps: Array) -> Array:
    """Return the matrix (input maps * taps, output pixels * images) that the weights of `layer` multiply."""
    if not isinstance(layer, Conv2d):
        return maps
    window = layer.window
    padded = _pad(window, maps, 0)
    channels, height, width, _ = padded.shape
    if window.kernel in ((height, width), (1, 1)) and window.stride == (1, 1):  # one position, or one tap
        return padded.reshape(channels * window.taps, -1)
    views = _shifts(window, padded)
    taps = np.empty((channels, window.taps, *views[0].shape[1:]), np.float32)
    for index, view in enumerate(views):
        taps[:, index] = view
    return taps.reshape(channels * window.taps, -1)


def multiply(layer: Weighted, weight: Array, bias: Array, lowered: Array, shape: tuple[int, ...]) -> Array:
    """Return weight (M, K) times the lowered maps (K, pixels * images), with the bias, as (M, height, width, images).

    `shape` is what the network says the output of `layer` has, for its height and width.
    """
    if isinstance(layer, Conv2d) and layer.groups > 1:
        groups = len(weight) if layer.depthwise else layer.groups  # of a depthwise layer the maps that are there
        runs = weight.reshape(groups, len(weight) // groups, -1)
        product = (runs @ lowered.reshape(groups, runs.shape[2], -1)).reshape(len(weight), -1)
    else:
        product = weight @ lowered
    product += bias[:, None]
    return product.reshape(len(weight), *shape[1:], -1)


def apply(layer: Layer, inputs: list[Array], kept: Mask | slice, in_place: bool) -> Array:
    """Return the output of a layer without weights; `kept` says which of its maps are there.

    With `in_place` the first input may be overwritten.
    """
    source = inputs[0]
    out = source if in_place else None
    match layer:
        case ReLU():
            return np.maximum(source, 0, out=out)
        case Clip():
            return np.clip(source, np.float32(0), np.float32(layer.highest), out=out)
        case Activation():
            return layer.forward(source)
        case BatchNorm():
            gain, offset = (x[kept].reshape(-1, *(1,) * (source.ndim - 1)) for x in layer.affine())
            scaled = np.multiply(source, gain, out=out)
            scaled += offset
            return scaled
        case MaxPool():
            return _folded(np.maximum, _shifts(layer.window, _pad(layer.window, source, -np.inf)))
        case AvgPool():
            total = _folded(np.add, _shifts(layer.window, _pad(layer.window, source, 0)))
            return np.divide(total, np.float32(layer.window.taps), out=total)
        case GlobalAvgPool():
            return source.mean(axis=(1, 2), keepdims=True)
        case Flatten():
            return source.reshape(-1, source.shape[-1])
        case Add():
            return np.add(source, inputs[1], out=out)
        case Mul():
            return np.multiply(source, inputs[1].reshape(len(source), *(1,) * (source.ndim - 2), -1), out=out)
        case Upsample():
            return np.moveaxis(layer.forward(np.moveaxis(source, -1, 0)), 0, -1)
        case Concat():
            return np.concatenate(inputs)
    raise EspalierError(f"{layer.name}: no fast evaluation of a {type(layer).__name__}")


def _pad(window: Window, maps: Array, value: float) -> Array:
    top, left, _, _ = window.padding
    if not any(window.padding):
        return np.ascontiguousarray(maps)
    channels, height, width, images = maps.shape
    padded = np.full((channels, *window.padded_size(height, width), images), value, np.float32)
    padded[:, top : top + height, left : left + width] = maps
    return padded


def _shifts(window: Window, padded: Array) -> list[Array]:
    """Return, for each tap row-major, the view (maps, output height, output width, images) that it meets."""
    (down, right), (high, wide) = window.stride, window.kernel
    rows, columns = (
        (size - k) // s + 1 for size, k, s in zip(padded.shape[1:3], window.kernel, window.stride, strict=True)
    )
    return [
        padded[:, row : row + down * rows : down, column : column + right * columns : right]
        for row in range(high)
        for column in range(wide)
    ]


def _folded(operation: np.ufunc, views: list[Array]) -> Array:
    if len(views) == 1:
        return views[0].copy()
    first: Array = operation(views[0], views[1])
    return reduce(lambda total, view: operation(total, view, out=total), views[2:], first)
