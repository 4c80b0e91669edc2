"""Layers whose codes or weights are wider than a byte, or whose accumulators are too narrow for their sums.

Tensors are planes (maps, height, width, lanes), a lane being an image. Slower than packed layers, and without limits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.layers import Shape
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
from accel.window import Window
from sim.kernels import layers as kernels
from sim.packed.tensors import lane_type

Codes = NDArray[Any]
Recipe = Callable[..., tuple[Codes, int]]
"""From the input tensors (maps, height, width, lanes) to the output tensor and the MACs executed for one image."""


def _mac(layer: MacLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    ends, columns, weights = _kept_by_output(layer)
    exact = layer.accumulator_overflow is None
    dtype = np.int32 if exact and layer.accumulator_bits <= 32 else np.int64
    window = layer.window or Window((1, 1))
    height, width = window.padded_size(*input_shape[1:]) if layer.window else (1, 1)
    maps, taps = np.divmod(columns, window.taps)
    rows, cells = np.divmod(taps, window.kernel[1])
    positions = (maps * height * width + rows * width + cells).astype(np.uint64)
    geometry = (*(output_shape[1:] or (1, 1)), window.stride[0] * width, window.stride[1])
    weights = weights.astype(dtype)
    narrow = _narrow(layer)
    scales, rules = finishing(layer, layer.shape[0])
    storage = lane_type(layer.output)

    def run(x: Codes) -> tuple[Codes, int]:
        lanes = x.shape[-1]
        flat = (_padded(x, window) if layer.window else x).reshape(-1, lanes)
        out = np.empty((*output_shape, lanes), storage)
        work = np.empty(lanes, dtype)
        room = out.reshape(-1, lanes)
        lists = ends, positions, weights, layer.bias
        macs = kernels.mac(flat, *lists, geometry, narrow, scales, rules, work, room)
        return out, macs

    return run


def _kept_by_output(layer: MacLayer) -> tuple[Codes, Codes, Codes]:
    """Return where each output's list ends, and the lowered columns and weights of all of them, in issue order."""
    lists = layer.nest.row_columns
    counts = [columns.size for columns in lists]
    columns = np.concatenate(lists)
    return np.cumsum(counts), columns, layer.matrix[np.repeat(np.arange(len(lists)), counts), columns]


def _narrow(layer: MacLayer) -> Codes:
    """Return bits and overflow of a narrow accumulator, for `sim.kernels.narrow_accumulators`; nothing of an exact one.

    The Program proves that accumulators have at most 61 bits, products too, so that int64 holds the sum of the two.
    """
    exact = layer.accumulator_overflow is None
    return np.array([] if exact else [layer.accumulator_bits, layer.accumulator_overflow], np.int64)


def _max_pool(layer: MaxPoolLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    window = layer.window

    def run(x: Codes) -> tuple[Codes, int]:
        out = np.empty((*output_shape, x.shape[-1]), x.dtype)
        kernels.max_pool(_padded(x, window, np.iinfo(x.dtype).min), window.kernel, window.stride, out)
        return out, 0

    return run


def _avg_pool(layer: AvgPoolLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    window, (scales, rules) = layer.window, finishing(layer, 1)
    storage = lane_type(layer.output)

    def run(x: Codes) -> tuple[Codes, int]:
        out = np.empty((*output_shape, x.shape[-1]), storage)
        kernels.avg_pool(_padded(x, window), window.kernel, window.stride, scales, rules, out)
        return out, 0

    return run


def _add(layer: AddLayer, output_shape: Shape, *input_shapes: Shape, program: Program) -> Recipe:
    scales, rules = finishing(layer, 1)
    weights = np.array(layer.weights, np.int64)
    storage = lane_type(layer.output)

    def run(left: Codes, right: Codes) -> tuple[Codes, int]:
        lanes = left.shape[-1]
        out = np.empty((*output_shape, lanes), storage)
        pair = left.reshape(-1, lanes), right.reshape(-1, lanes)
        kernels.add(*pair, weights, scales, rules, out.reshape(-1, lanes))
        return out, 0

    return run


def _mul(layer: MulLayer, output_shape: Shape, *input_shapes: Shape, program: Program) -> Recipe:
    scales, rules = finishing(layer, 1)
    storage = lane_type(layer.output)

    def run(left: Codes, right: Codes) -> tuple[Codes, int]:
        lanes = left.shape[-1]
        out = np.empty((*output_shape, lanes), storage)
        kernels.multiply(left.reshape(-1, lanes), right.reshape(-1, lanes), scales, rules, out.reshape(-1, lanes))
        return out, 0

    return run


def _relu(layer: ReluLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    return lambda x: (np.maximum(x, 0), 0)


def _clip(layer: ClipLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    form = program.signals[layer.name].format
    ends = max(layer.lowest, form.min_code), min(layer.highest, form.max_code)
    return lambda x: (np.clip(x, *ends), 0)


def _table(layer: TableLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    table = layer.table.astype(lane_type(layer.output))
    return lambda x: (table[x.astype(np.intp) - layer.lowest], 0)


def _concat(layer: ConcatLayer, output_shape: Shape, *input_shapes: Shape, program: Program) -> Recipe:
    return lambda left, right: (np.concatenate([left, right]), 0)


def _flatten(layer: FlattenLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    return lambda x: (x.reshape(*output_shape, x.shape[-1]), 0)


def finishing(layer: MacLayer | AvgPoolLayer | AddLayer | MulLayer, outputs: int) -> tuple[Codes, Codes]:
    """Return each output's multiplier and offset, and the rules of `sim.kernels.requantize`: none for accumulators."""
    if layer.requantize is None:
        return np.tile(np.array([1, 0]), (outputs, 1)), np.zeros(0, np.int64)
    form = layer.output.format
    rules = (layer.relu, layer.requantize.shift, form.rounding, form.width, form.signed, form.overflow)
    return layer.requantize.of_outputs(outputs), np.array([*rules, form.saturation_bits], np.int64)


def _padded(x: Codes, window: Window, fill: int = 0) -> Codes:
    """Return (maps, height, width, lanes) with the window's padding filled with `fill`."""
    if not any(window.padding):
        return x
    top, left, _, _ = window.padding
    maps, height, width, lanes = x.shape
    padded = np.full((maps, *window.padded_size(height, width), lanes), fill, x.dtype)
    padded[:, top : top + height, left : left + width] = x
    return padded


RECIPES: dict[type[ProgramLayer], Callable[..., Recipe]] = {
    MacLayer: _mac,
    MaxPoolLayer: _max_pool,
    AvgPoolLayer: _avg_pool,
    AddLayer: _add,
    MulLayer: _mul,
    ReluLayer: _relu,
    ClipLayer: _clip,
    TableLayer: _table,
    ConcatLayer: _concat,
    FlattenLayer: _flatten,
}
