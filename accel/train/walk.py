"""A Program's layers in PyTorch on real values, code * step; what weights are, and how sums become codes, is open."""

from collections import Counter
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from accel.errors import EspalierError
from accel.fixedpoint import SATURATING
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
    ProgramLayer,
    ReluLayer,
)
from accel.train.module import filled, padded

Accumulating = MacLayer | AvgPoolLayer | AddLayer  # the layers that have an accumulator


class Arithmetic(Protocol):
    """What a walk over a Program leaves open."""

    def arrays(self, layer: MacLayer) -> tuple[Tensor, Tensor]:
        """Return the weights, (M, C, height, width) or (M, C) as the layer has a window or not, and the biases (M,).

        Of a grouped convolution C may be the maps of one group.
        """

    def summed(self, layer: MacLayer, sums: Tensor) -> Tensor:
        """Return the sums of a layer's products as the layers after it take them."""

    def finished(self, layer: Accumulating, sums: Tensor) -> Tensor:
        """Return the output of a layer whose accumulators are worth `sums`, its ReLU not yet applied."""

    def bound(self, layer: ClipLayer) -> Tensor:
        """Return the real value above which a layer clips."""


def activations(program: Program, arithmetic: Arithmetic, images: Tensor) -> dict[str, Tensor]:
    """Return the real values of every tensor for images (batch, maps, height, width), by layer name."""
    values = {INPUT: images}
    for layer in program.layers:
        made = _made(program, layer, arithmetic, *(values[source] for source in layer.inputs))
        values[layer.name] = arithmetic.finished(layer, made) if isinstance(layer, Accumulating) else made
    return values


def scores(program: Program, arithmetic: Arithmetic, images: Tensor) -> Tensor:
    """Return the last of `activations`, with fewer values quantised: sums go through a max pool before that.

    Quantisers that saturate are monotone, so that the same codes come out. A gradient goes to the largest sum of a
    window, where sums of one code would all claim it.
    """
    pooled = _pooled_first(program)
    values = {INPUT: images}
    for layer in program.layers:
        made = _made(program, layer, arithmetic, *(values[source] for source in layer.inputs))
        late = pooled.get(layer.name, layer)
        ready = isinstance(late, Accumulating) and layer not in pooled.values()
        values[layer.name] = arithmetic.finished(late, made) if ready else made  # type: ignore[arg-type]
    return values[program.output]


def check_accumulators(program: Program) -> None:
    """Raise EspalierError if an accumulator of `program` is too narrow for its sums: here every sum is whole."""
    for layer in program.mac_layers:
        if layer.accumulator_overflow is not None:
            narrow = f"an accumulator of {layer.accumulator_bits} bits that overflows"
            raise EspalierError(f"{layer.name}: has {narrow}, which PyTorch has no arithmetic for")


def origins(program: Program) -> dict[str, str]:
    """Return for every tensor which layer, or ``"input"``, made its codes: pools and others only move them.

    Of a concatenation it is the one that made the first of its codes; those of the other mean the same.
    """
    found = {INPUT: INPUT}
    for layer in program.layers:
        found[layer.name] = layer.name if isinstance(layer, Accumulating) else found[layer.inputs[0]]
    return found


def accumulator_steps(program: Program, layer: Accumulating) -> NDArray[np.float64]:
    """Return what code 1 of a layer's accumulators is worth, (1,) or (M,).

    A sum's is that at which its larger step is matched exactly; the smaller one is only nearly matched.
    """
    steps = [program.signals[source].step for source in layer.inputs]
    match layer:
        case MacLayer():
            return layer.weight_steps * steps[0]
        case AvgPoolLayer():
            return np.array([steps[0] / layer.window.taps])
        case AddLayer():
            return np.array([max(steps) / max(layer.weights)])


def _pooled_first(program: Program) -> dict[str, Accumulating]:
    """Return for max pools the layer before them, where nothing else reads it and its codes saturate."""
    read = Counter(source for layer in program.layers for source in layer.inputs)
    made = {layer.name: layer for layer in program.layers if isinstance(layer, Accumulating)}
    pools = [(pool.name, made.get(pool.inputs[0])) for pool in program.layers if isinstance(pool, MaxPoolLayer)]
    return {
        pool: layer
        for pool, layer in pools
        if layer and read[layer.name] == 1 and layer.requantize and layer.output.format.overflow in SATURATING
    }


def _made(program: Program, layer: ProgramLayer, arithmetic: Arithmetic, *inputs: Tensor) -> Tensor:
    """Return what a layer makes of its inputs, its sums if it has some."""
    x = inputs[0]
    match layer:
        case MacLayer():
            return arithmetic.summed(layer, _multiplied(layer, x, *arithmetic.arrays(layer)))
        case AvgPoolLayer():
            return F.avg_pool2d(filled(x, layer.window, 0.0), layer.window.kernel, layer.window.stride)
        case AddLayer():
            left, right = _matching(program, layer)
            return x * left + inputs[1] * right
        case MaxPoolLayer():
            return F.max_pool2d(filled(x, layer.window, -float("inf")), layer.window.kernel, layer.window.stride)
        case ReluLayer():
            return F.relu(x)
        case ClipLayer():
            lowest = layer.lowest * program.signals[layer.name].step
            return bounded(x.clamp(min=lowest) if layer.lowest else F.relu(x), arithmetic.bound(layer))
        case ConcatLayer():
            return torch.cat(inputs, dim=1)
        case FlattenLayer():
            return x.reshape(len(x), *layer.shape) if layer.shape else x.flatten(1)
    raise EspalierError(f"{layer.name}: a {type(layer).__name__} cannot be trained")


def _multiplied(layer: MacLayer, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if layer.window is None:
        return F.linear(x, weight, bias)
    maps, padding = padded(x, layer.window)
    return F.conv2d(maps, weight, bias, layer.window.stride, padding, groups=layer.shape[1] // weight.shape[1])


def bounded(values: Tensor, highest: Tensor) -> Tensor:
    """Return values, those above `highest` replaced by it; only they get no gradient."""
    limit = highest.to(values)
    return torch.where(values > limit, limit, values)


def _matching(program: Program, layer: AddLayer) -> list[float]:
    """Return the factors, 1 or nearly, by which the Program's integers make two steps one."""
    step = float(accumulator_steps(program, layer)[0])
    pairs = zip(layer.weights, layer.inputs, strict=True)
    return [weight * step / program.signals[source].step for weight, source in pairs]
