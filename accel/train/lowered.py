"""Whether a Program is what a network was lowered to: checked before the one is trained as the other computes."""

import numpy as np

from accel.errors import EspalierError
from accel.grouped_convolution import spread_weights
from accel.layers import (
    Activation,
    Add,
    AvgPool,
    Clip,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool,
    Mul,
    ReLU,
    Upsample,
    Weighted,
)
from accel.network import Network
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
    TableLayer,
)
from accel.pruned import PrunedNetwork
from accel.signal import nearest_steps
from accel.train.walk import check_accumulators, origins
from accel.window import Window

_LOWERED: dict[type[Layer], type[ProgramLayer]] = {
    Conv2d: MacLayer,
    Linear: MacLayer,
    MaxPool: MaxPoolLayer,
    AvgPool: AvgPoolLayer,
    GlobalAvgPool: AvgPoolLayer,
    Add: AddLayer,
    ReLU: ReluLayer,
    Flatten: FlattenLayer,
    Clip: ClipLayer,
    Activation: TableLayer,
    Concat: ConcatLayer,
}


def check_lowered(pruned: PrunedNetwork, program: Program) -> None:
    """Raise EspalierError unless `program` has the layers, windows and masks of `pruned`, which has no batch norm.

    ReLUs and clips may be part of the requantisation before them, and a concatenation may have layers of the Program's
    own before it, which bring two steps to one. Weights, biases, steps and widths are the Program's own.
    """
    network, where = pruned.network, f"the Program of {program.name}"
    if program.input_shape != network.input_shape:
        raise EspalierError(f"{network.name}: takes images {network.input_shape}, {where} {program.input_shape}")
    check_accumulators(program)
    for layer in network.layers:
        if isinstance(layer, Mul | Upsample):
            raise EspalierError(f"{layer.name}: a {type(layer).__name__} is trained on floats alone, not as quantised")
    lowered = {layer.name: layer for layer in program.layers}
    made_by, moved, absorbing = origins(program), dict[str, str](), set[str]()
    for layer in network.layers:
        sources = tuple(moved.get(source, source) for source in layer.inputs)
        if isinstance(layer, ReLU | Clip) and layer.name not in lowered:
            moved[layer.name] = sources[0]
            absorbing.add(made_by[sources[0]])
            continue
        if isinstance(layer, Clip) and _reads_a_relu(layer, network, program, sources[0]):
            absorbing.add(made_by[sources[0]])
        if isinstance(layer, Concat):
            sources = tuple(_rescaled(lowered, layer, *pair) for pair in zip("ab", sources, strict=True))
        other = lowered.pop(layer.name, None)
        if other is None or _shape_of(other) != _shape_of_lowered(layer, sources, pruned):
            raise EspalierError(f"{layer.name}: {where} has {'another' if other else 'no'} layer of this name")
        if isinstance(other, MacLayer):
            _check_weights(other, pruned, where)
        if isinstance(other, ClipLayer) and isinstance(layer, Clip):
            _check_bound(other, layer, program)
    if lowered:
        raise EspalierError(f"{network.name}: has no layer {next(iter(lowered))!r}, {where} does")
    if absorbing != {layer.name for layer in program.layers if getattr(layer, "relu", False)}:
        raise EspalierError(f"{network.name}: its ReLUs are not where {where} has them")


def _shape_of(layer: ProgramLayer) -> tuple[object, ...]:
    return type(layer), layer.inputs, getattr(layer, "window", None), getattr(layer, "shape", None) or None


def _shape_of_lowered(layer: Layer, sources: tuple[str, ...], pruned: PrunedNetwork) -> tuple[object, ...]:
    window = getattr(layer, "window", None)
    if isinstance(layer, GlobalAvgPool):
        window = Window(pruned.network.shapes[layer.inputs[0]][1:])  # type: ignore[arg-type]  # two sizes
    shape = layer.lowered_shape if isinstance(layer, Weighted) else None
    if isinstance(layer, Conv2d):
        shape = layer.lowered_shape[0], layer.input_maps, layer.lowered_shape[2]
    return _LOWERED.get(type(layer)), sources, window, shape


def _reads_a_relu(layer: Clip, network: Network, program: Program, source: str) -> bool:
    """Return whether a clip is not part of the requantisation before it, but its lower bound is."""
    alone = len(network.consumers(layer.inputs[0])) == 1
    made_by = origins(program)[source]
    return alone and any(getattr(other, "relu", False) for other in program.layers if other.name == made_by)


def _rescaled(lowered: dict[str, ProgramLayer], layer: Concat, part: str, source: str) -> str:
    """Return what a concatenation reads in the Program of `source`: a layer that gives it another step, or itself."""
    name = f"{layer.name}.{part}"
    other = lowered.get(name)
    if not isinstance(other, AvgPoolLayer | AddLayer) or other.relu or {*other.inputs} != {source}:
        return source
    if isinstance(other, AvgPoolLayer) and other.window != Window((1, 1)):
        return source
    del lowered[name]
    return name


def _check_bound(layer: ClipLayer, wanted: Clip, program: Program) -> None:
    if layer.lowest or layer.highest != nearest_steps(wanted.highest, program.signals[layer.name].step):
        raise EspalierError(f"{layer.name}: the Program of {program.name} clips at another bound")


def _check_weights(layer: MacLayer, pruned: PrunedNetwork, where: str) -> None:
    kept = spread_weights(pruned.layer_mask(layer.name).kept.astype(np.int64), layer.shape)
    if (layer.kept.reshape(kept.shape) != kept).any():
        raise EspalierError(f"{layer.name}: {where} keeps other weights than the network's mask does")
    if layer.weight_bits < 2:
        raise EspalierError(f"{layer.name}: weights need at least 2 bits, {where} has {layer.weight_bits}")
