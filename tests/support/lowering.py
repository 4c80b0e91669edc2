"""Networks pruned by every pattern, and what the Programs that they are lowered to hold, for the tests of lowering."""

import math
from typing import Any

import numpy as np
import pytest

from accel.errors import EspalierError
from accel.layers import Weighted
from accel.network import Network
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer
from accel.prune import Space, select_by_magnitude
from accel.prune.space import can_have
from accel.pruned import PrunedNetwork
from accel.signal import Requantize
from accel.sparsity import LayerMask, parse_pattern
from sim import golden
from support.masks import PATTERNS
from support.networks import Array

every_pattern = pytest.mark.parametrize("pattern", PATTERNS)


def pruned_by(network: Network, pattern: str) -> PrunedNetwork:
    """Return the network with a mask of `pattern` on every layer that can have it: half of it goes, or less."""
    if pattern == "dense":
        return PrunedNetwork(network)
    kind = parse_pattern(pattern)
    masks: dict[str, LayerMask] = {}
    for layer in network.weighted:
        for ratio in (0.5, 0.25, 0.0):  # a small layer may have one unit
            if not can_have(network, layer, kind) or layer.name in masks:
                break
            try:
                masks |= select_by_magnitude(Space(network, {layer.name: kind}), ratio)
            except EspalierError:
                continue
    return PrunedNetwork(network, masks, pattern=pattern, data="none")


def decoded(program: Program, images: Array) -> dict[str, Array]:
    """Return the real values that the golden model gives for every tensor."""
    tensors = golden.run(program, program.input_signal.encode(images))
    return {name: program.signals[name].decode(codes) for name, codes in tensors.items()}


def quantised(weight: float, step: float, bits: int) -> int:
    """Return Q(w) / step = sgn(w) * min(floor(|w| / step + 0.5), (M - 1) / 2) with M = 2**bits - 1 levels (Q15)."""
    levels = 2**bits - 1
    return (weight > 0 or -1) * min(math.floor(abs(weight) / step + 0.5), (levels - 1) // 2)


def codes_of(layer: MacLayer, weights: Array) -> list[list[int]]:
    """Return the codes (M, K) of float weights, one by one, at the steps of `layer`."""
    steps = np.broadcast_to(layer.weight_steps, len(weights)).tolist()
    rows = weights.reshape(len(weights), -1).tolist()
    return [[quantised(w, step, layer.weight_bits) for w in row] for row, step in zip(rows, steps, strict=True)]


def weights_of(pruned: PrunedNetwork, name: str) -> tuple[Array, Array]:
    """Return the weights that a layer keeps (zeros elsewhere) and its bias, batch norm folded, in float64."""
    layer = pruned.network.folded()[name]
    assert isinstance(layer, Weighted)
    kept = pruned.layer_mask(name).kept.reshape(layer.weight.shape)
    return np.where(kept, layer.weight, 0).astype(np.float64), layer.bias.astype(np.float64)


def requantized_layers(program: Program) -> list[tuple[Any, Array, Requantize]]:
    """Return every layer that requantises, with the real ratios of its accumulator's steps to its output's."""
    found: list[tuple[Any, Array, Requantize]] = []
    for layer in program.layers:
        sources = [program.signals[source].step for source in layer.inputs]
        if isinstance(layer, MacLayer) and layer.requantize:
            found.append((layer, layer.weight_steps * sources[0] / layer.output.step, layer.requantize))
        if isinstance(layer, AvgPoolLayer):
            found.append((layer, np.array([sources[0] / layer.window.taps / layer.output.step]), layer.requantize))
        if isinstance(layer, AddLayer):
            found.append((layer, np.array([max(sources) / max(layer.weights) / layer.output.step]), layer.requantize))
    return found


def is_power_of_two(value: float) -> bool:
    """Return whether `value` is 2**k."""
    return math.frexp(value)[0] == 0.5
