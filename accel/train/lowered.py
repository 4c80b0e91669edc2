"""Whether a Program is what a network was lowered to: checked before the one is trained as the other computes."""

from accel.errors import EspalierError
from accel.network import Add, AvgPool, Conv2d, Flatten, GlobalAvgPool, Layer, Linear, MaxPool, ReLU, Weighted, Window
from accel.program import AddLayer, AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, Program, ProgramLayer, ReluLayer
from accel.pruned import PrunedNetwork
from accel.train.walk import check_accumulators, origins

_LOWERED: dict[type[Layer], type[ProgramLayer]] = {
    Conv2d: MacLayer,
    Linear: MacLayer,
    MaxPool: MaxPoolLayer,
    AvgPool: AvgPoolLayer,
    GlobalAvgPool: AvgPoolLayer,
    Add: AddLayer,
    ReLU: ReluLayer,
    Flatten: FlattenLayer,
}


def check_lowered(pruned: PrunedNetwork, program: Program) -> None:
    """Raise EspalierError unless `program` has the layers, windows and masks of `pruned`, which has no batch norm.

    ReLUs may be part of the requantisation before them. Weights, biases, steps and widths are the Program's own.
    """
    network, where = pruned.network, f"the Program of {program.name}"
    if program.input_shape != network.input_shape:
        raise EspalierError(f"{network.name}: takes images {network.input_shape}, {where} {program.input_shape}")
    check_accumulators(program)
    lowered = {layer.name: layer for layer in program.layers}
    made_by, moved, absorbing = origins(program), dict[str, str](), set[str]()
    for layer in network.layers:
        sources = tuple(moved.get(source, source) for source in layer.inputs)
        if isinstance(layer, ReLU) and layer.name not in lowered:
            moved[layer.name] = sources[0]
            absorbing.add(made_by[sources[0]])
            continue
        other = lowered.pop(layer.name, None)
        if other is None or _shape_of(other) != _shape_of_lowered(layer, sources, pruned):
            raise EspalierError(f"{layer.name}: {where} has {'another' if other else 'no'} layer of this name")
        if isinstance(other, MacLayer):
            _check_weights(other, pruned, where)
    if lowered:
        raise EspalierError(f"{network.name}: has no layer {next(iter(lowered))!r}, {where} does")
    if absorbing != {layer.name for layer in program.layers if getattr(layer, "relu", False)}:
        raise EspalierError(f"{network.name}: its ReLUs are not where {where} has them")


def _shape_of(layer: ProgramLayer) -> tuple[object, ...]:
    return type(layer), layer.inputs, getattr(layer, "window", None), getattr(layer, "shape", None)


def _shape_of_lowered(layer: Layer, sources: tuple[str, ...], pruned: PrunedNetwork) -> tuple[object, ...]:
    window = getattr(layer, "window", None)
    if isinstance(layer, GlobalAvgPool):
        window = Window(pruned.network.shapes[layer.inputs[0]][1:])  # type: ignore[arg-type]  # two sizes
    return _LOWERED.get(type(layer)), sources, window, layer.lowered_shape if isinstance(layer, Weighted) else None


def _check_weights(layer: MacLayer, pruned: PrunedNetwork, where: str) -> None:
    if (layer.kept != pruned.layer_mask(layer.name).kept).any():
        raise EspalierError(f"{layer.name}: {where} keeps other weights than the network's mask does")
    if layer.weight_bits < 2:
        raise EspalierError(f"{layer.name}: weights need at least 2 bits, {where} has {layer.weight_bits}")
