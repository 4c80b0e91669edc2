"""The engine: a Program prepared once, then run over whole data sets, bit for bit what `sim.golden` gives.

`compile_program` turns each layer into a recipe (index lists, padded shapes, accumulator types whose range the Program
proves). `Engine.run` takes the images in chunks of `LANES`, side by side in memory, and threads share the chunks, so
that the result is the same for any number of threads.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.errors import EspalierError
from accel.network import INPUT, Shape, Window
from accel.program import AddLayer, AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, Program, ProgramLayer, ReluLayer
from accel.signal import Signal
from sim.kernels import layers as kernels
from sim.kernels import narrow

LANES = 64  # images that run side by side: a chunk of LeNet-5 stays in the second-level cache

Codes = NDArray[Any]
Recipe = Callable[..., tuple[Codes, int]]
"""From the input tensors (maps, height, width, lanes) to the output tensor and the MACs executed for one image."""


@dataclass(frozen=True)
class Result:
    """What a run gives.

    Parameters
    ----------
    codes : int64 array (images, ...)
        The output of the last layer: the class scores.
    macs : dict of str to int
        Multiply-accumulates executed for one image, counted as they ran, by layer.
    tensors : dict of str to int64 array (images, ...)
        Every tensor, if they were asked for.
    """

    codes: NDArray[np.int64]
    macs: dict[str, int]
    tensors: dict[str, NDArray[np.int64]]

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The class with the highest score for each image; the first of those that tie."""
        return self.codes.argmax(axis=1)


class Engine:
    """A compiled Program. Make one with `compile_program`."""

    def __init__(self, program: Program, recipes: dict[str, Recipe]) -> None:
        self.program = program
        self._recipes = recipes

    def run(self, codes: ArrayLike, threads: int | None = None, keep_tensors: bool = False) -> Result:
        """Run the Program on a batch.

        Parameters
        ----------
        codes : int array (images, maps, height, width)
            Codes of the input signal.
        threads : int, optional
            All processors by default.
        keep_tensors : bool
            Keep every layer's output, not only the last.

        Raises
        ------
        EspalierError
            The codes do not fit the Program's input, or `threads` is less than one.
        """
        images = self.program.check_codes(codes)
        threads = (os.cpu_count() or 1) if threads is None else threads
        if threads < 1:
            raise EspalierError(f"threads must be at least 1, got {threads}")
        kept = [*self.program.shapes] if keep_tensors else [self.program.output]
        results = {name: np.empty((len(images), *self.program.shapes[name]), np.int64) for name in kept}
        chunks = [slice(i, i + LANES) for i in range(0, len(images), LANES)]
        with ThreadPoolExecutor(threads) as pool:
            counts = list(pool.map(lambda chunk: self._run_chunk(images[chunk], chunk, results), chunks))
        macs = counts[0] if counts else {layer.name: 0 for layer in self.program.mac_layers}
        return Result(results[self.program.output], macs, results if keep_tensors else {})

    def error_rate(self, codes: ArrayLike, labels: ArrayLike, threads: int | None = None) -> float:
        """Return the share of images whose prediction is not their label (0..1)."""
        expected = np.asarray(labels)
        predictions = self.run(codes, threads).predictions
        if expected.shape != predictions.shape or not len(expected):
            raise EspalierError(f"expected one label for each of {len(predictions)} images, got {expected.shape}")
        return float(np.count_nonzero(predictions != expected) / len(expected))

    def _run_chunk(self, images: Codes, chunk: slice, results: dict[str, Codes]) -> dict[str, int]:
        """Run some images, write what is asked for into `results`, return the MACs for one image."""
        dtype = _storage(self.program.input_signal)
        tensors = {INPUT: np.ascontiguousarray(np.moveaxis(images, 0, -1), dtype)}
        macs = {}
        for layer in self.program.layers:
            inputs = [tensors[source] for source in layer.inputs]
            tensors[layer.name], executed = self._recipes[layer.name](*inputs)
            if isinstance(layer, MacLayer):
                macs[layer.name] = executed
        for name, result in results.items():
            result[chunk] = np.moveaxis(tensors[name], -1, 0)
        return macs


def compile_program(program: Program) -> Engine:
    """Prepare `program` for running; its kernels are compiled at their first use and cached on disk."""
    recipes = {}
    for layer in program.layers:
        shapes = [program.shapes[source] for source in layer.inputs]
        recipes[layer.name] = _RECIPES[type(layer)](layer, program.shapes[layer.name], *shapes, program=program)
    return Engine(program, recipes)


def _mac(layer: MacLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    ends, columns, weights = _kept_by_output(layer)
    exact = layer.accumulator_overflow is None
    dtype = np.int32 if exact and layer.accumulator_bits <= 32 else np.int64
    kernel, rule = (kernels.mac, ()) if exact else (narrow.mac, (_narrow_rule(layer),))
    window = layer.window or Window((1, 1))
    height, width = window.padded_size(*input_shape[1:]) if layer.window else (1, 1)
    maps, taps = np.divmod(columns, window.taps)
    rows, cells = np.divmod(taps, window.kernel[1])
    positions = (maps * height * width + rows * width + cells).astype(np.uint64)
    geometry = (*(output_shape[1:] or (1, 1)), window.stride[0] * width, window.stride[1])
    weights = weights.astype(dtype)
    multipliers, rules = _finishing(layer, layer.shape[0])
    storage = _storage(layer.output)

    def run(x: Codes) -> tuple[Codes, int]:
        lanes = x.shape[-1]
        flat = (_padded(x, window) if layer.window else x).reshape(-1, lanes)
        out = np.empty((*output_shape, lanes), storage)
        work = np.empty(lanes, dtype)
        room = out.reshape(-1, lanes)
        macs = kernel(flat, ends, positions, weights, layer.bias, geometry, *rule, multipliers, rules, work, room)
        return out, macs

    return run


def _kept_by_output(layer: MacLayer) -> tuple[Codes, Codes, Codes]:
    """Return where each output's list ends, and the lowered columns and weights of all of them, in issue order."""
    lists = layer.nest.row_columns
    counts = [columns.size for columns in lists]
    columns = np.concatenate(lists)
    return np.cumsum(counts), columns, layer.matrix[np.repeat(np.arange(len(lists)), counts), columns]


def _narrow_rule(layer: MacLayer) -> Codes:
    """Return bits and overflow of a narrow accumulator, for `sim.kernels.narrow`.

    The Program proves that accumulators have at most 61 bits, products too, so that int64 holds the sum of the two.
    """
    return np.array([layer.accumulator_bits, layer.accumulator_overflow], np.int64)


def _max_pool(layer: MaxPoolLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    window = layer.window

    def run(x: Codes) -> tuple[Codes, int]:
        out = np.empty((*output_shape, x.shape[-1]), x.dtype)
        kernels.max_pool(_padded(x, window, np.iinfo(x.dtype).min), window.kernel, window.stride, out)
        return out, 0

    return run


def _avg_pool(layer: AvgPoolLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    window, (multipliers, rules) = layer.window, _finishing(layer, 1)
    storage = _storage(layer.output)

    def run(x: Codes) -> tuple[Codes, int]:
        out = np.empty((*output_shape, x.shape[-1]), storage)
        kernels.avg_pool(_padded(x, window), window.kernel, window.stride, multipliers, rules, out)
        return out, 0

    return run


def _add(layer: AddLayer, output_shape: Shape, *input_shapes: Shape, program: Program) -> Recipe:
    multipliers, rules = _finishing(layer, 1)
    weights = np.array(layer.weights, np.int64)
    storage = _storage(layer.output)

    def run(left: Codes, right: Codes) -> tuple[Codes, int]:
        lanes = left.shape[-1]
        out = np.empty((*output_shape, lanes), storage)
        pair = left.reshape(-1, lanes), right.reshape(-1, lanes)
        kernels.add(*pair, weights, multipliers, rules, out.reshape(-1, lanes))
        return out, 0

    return run


def _relu(layer: ReluLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    return lambda x: (np.maximum(x, 0), 0)


def _flatten(layer: FlattenLayer, output_shape: Shape, input_shape: Shape, program: Program) -> Recipe:
    return lambda x: (x.reshape(-1, x.shape[-1]), 0)


def _finishing(layer: MacLayer | AvgPoolLayer | AddLayer, outputs: int) -> tuple[Codes, Codes]:
    """Return a multiplier for each output, and the rules of `sim.kernels.requantize`."""
    if layer.requantize is None:
        return np.ones(outputs, np.int64), np.zeros(0, np.int64)
    form = layer.output.format
    rules = (layer.relu, layer.requantize.shift, form.rounding, form.width, form.signed, form.overflow)
    multipliers = np.broadcast_to(layer.requantize.multipliers.astype(np.int64), outputs).copy()
    return multipliers, np.array([*rules, form.saturation_bits], np.int64)


def _padded(x: Codes, window: Window, fill: int = 0) -> Codes:
    """Return (maps, height, width, lanes) with the window's padding filled with `fill`."""
    if not any(window.padding):
        return x
    top, left, _, _ = window.padding
    maps, height, width, lanes = x.shape
    padded = np.full((maps, *window.padded_size(height, width), lanes), fill, x.dtype)
    padded[:, top : top + height, left : left + width] = x
    return padded


def _storage(signal: Signal) -> type[np.signedinteger]:
    """Return the integer type that tensors of `signal` are kept in."""
    needed = signal.bits + (not signal.format.signed)
    return np.int16 if needed <= 16 else np.int64


_RECIPES: dict[type[ProgramLayer], Callable[..., Recipe]] = {
    MacLayer: _mac,
    MaxPoolLayer: _max_pool,
    AvgPoolLayer: _avg_pool,
    AddLayer: _add,
    ReluLayer: _relu,
    FlattenLayer: _flatten,
}
