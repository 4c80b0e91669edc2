"""What the ONNX operators become that add and multiply: a bias or a batch norm for each map, an addition of signals."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from accel.interchange.onnx.reading.builder import Builder, Value, in_order, vector
from accel.interchange.onnx.reading.file import Constant, Node
from accel.layers import Add, BatchNorm, Mul, Weighted

Function = Callable[[Builder, Node], None]
BYTES_OF_AFFINE = 16  # for each map: four floats of a batch norm


def batch_normalization(builder: Builder, node: Node) -> None:
    """BatchNormalization with its running statistics; it is folded when the network is quantised."""
    if node.get("training_mode", 0):
        raise node.refused("attribute training_mode is 1, expected 0: statistics are constants here")
    builder.check_outputs_used(node)
    value = builder.value(node)
    found = builder.map_axis(value)
    if found is None or found[0] != 0:
        where = "channels-last maps" if builder.is_last(value) else f"the shape {value.graph_shape}"
        raise node.refused(f"expects maps (batch, maps, height, width), gets {where}")
    numbers = [builder.floats(node, index, 1) for index in (1, 2, 3, 4)]
    maps = builder.shape(value)[0]
    if any(len(array) != maps for array in numbers):
        raise node.refused(f"normalises {[len(array) for array in numbers]} maps, gets {maps}")
    scale, shift, mean, variance = (in_order(array, found[1]) for array in numbers)
    epsilon = node.get("epsilon", 1e-5)
    layer = BatchNorm(builder.new_name(node), (value.source,), scale, shift, mean, variance, epsilon)
    builder.put(node, layer, value)


def add(builder: Builder, node: Node) -> None:
    """Add of two signals, or of a constant for each map, which becomes a bias where it can."""
    if (constant := constant_side(builder, node)) is not None:
        _affine(builder, node, 1 - constant, shift=builder.needed(node, constant))
        return
    left, right = builder.value(node, 0), builder.value(node, 1)
    if left.view != right.view:
        raise node.refused(f"adds tensors of different layouts, {left.graph_shape} and {right.graph_shape}")
    builder.put(node, Add(builder.new_name(node), (left.source, right.source)), left)


def total(builder: Builder, node: Node) -> None:
    """Sum: a chain of additions."""
    (*first, last) = node.inputs if len(node.inputs) > 1 else (*node.inputs, "")
    if not last:
        builder.alias(node, builder.value(node))
        return
    joined = first[0]
    for index, name in enumerate(first[1:], start=1):
        joined = part(builder, node, "Add", (joined, name), index, add)
    add(builder, replace(node, inputs=(joined, last)))


def subtract(builder: Builder, node: Node) -> None:
    """Sub of a constant for each map, or of two signals: the second is turned around and added."""
    if len(node.inputs) != 2:
        raise node.refused(f"has {len(node.inputs)} inputs, expected 2")
    if node.inputs[1] in builder.constants:
        _affine(builder, node, 0, shift=-builder.needed(node, 1).astype(np.float64))
        return
    if builder.quantized:
        raise node.refused("subtracts a signal; in a quantised graph expected a constant")
    minus = f"{node.outputs[0]}/minus"
    builder.constants[minus] = np.array([-1], np.float32)
    turned = part(builder, node, "Mul", (node.inputs[1], minus), 1, multiply)
    add(builder, replace(node, inputs=(node.inputs[0], turned)))


def multiply(builder: Builder, node: Node) -> None:
    """Mul by a constant for each map; of two signals, or of maps by a signal with one number for each."""
    constant = constant_side(builder, node)
    if constant is None:
        _product(builder, node)
        return
    _affine(builder, node, 1 - constant, scale=builder.needed(node, constant))


def _product(builder: Builder, node: Node) -> None:
    if builder.quantized:
        raise node.refused("multiplies two signals; in a quantised graph expected a signal and a constant")
    values = builder.value(node, 0), builder.value(node, 1)
    maps, factors = sorted(values, key=lambda value: -math.prod(value.graph_shape))
    same = maps.view == factors.view and builder.shape(maps) == builder.shape(factors)
    if not same and not _is_for_each_map(builder, maps, factors):
        raise node.refused(
            f"multiplies {maps.graph_shape} and {factors.graph_shape}, expected two signals of one shape, or maps "
            "and a number for each; cut the network before with --outputs"
        )
    builder.put(node, Mul(builder.new_name(node), (maps.source, factors.source)), maps)


def _is_for_each_map(builder: Builder, maps: Value, factors: Value) -> bool:
    """Return whether the axis of `factors` that lies on that of the maps counts them alike, and there is no other."""
    count = builder.shape(maps)[0]
    found = builder.map_axis(maps)
    if found is None or math.prod(factors.graph_shape) != count or builder.shape(factors)[0] != count:
        return False
    from_end = found[0] - len(maps.view)
    if len(factors.view) > len(maps.view) or len(factors.view) < -from_end:
        return False
    return count == 1 or factors.view[from_end] == found[1]


def divide(builder: Builder, node: Node) -> None:
    """Div by a constant for each map."""
    if len(node.inputs) > 1 and node.inputs[1] not in builder.constants:
        raise node.refused("divides by a signal, expected a constant")
    with np.errstate(divide="ignore", invalid="ignore"):
        _affine(builder, node, 0, scale=1 / builder.needed(node, 1).astype(np.float64))


def part(builder: Builder, node: Node, op: str, inputs: tuple[str, ...], number: int, function: Function) -> str:
    """Read a part of `node` as a node of its own; return its output."""
    output = f"{node.outputs[0]}/{op}{number}"
    builder.note_readers([output])
    function(builder, Node(op, "", f"{node.name or node.outputs[0]}.{number}", inputs, (output,)))
    return output


def _affine(
    builder: Builder, node: Node, index: int, scale: Constant | None = None, shift: Constant | None = None
) -> None:
    """Multiply input `index` by `scale` and add `shift`, each one number or one for each map."""
    value = builder.value(node, index)
    given = scale if shift is None else shift
    assert given is not None  # callers give one of them
    found = builder.map_axis(value)
    if found is None:
        raise node.refused(f"reads maps that no axis of {value.graph_shape} counts")
    axis, counted = found
    builder.reserve(BYTES_OF_AFFINE * builder.shape(value)[0])
    numbers = in_order(vector(node, given, (1, *value.graph_shape), axis + 1).astype(np.float32), counted)
    before = next((layer for layer in builder.layers if layer.name == value.source), None)
    if shift is not None and isinstance(before, Weighted) and builder.only_reader(node, index, value):
        builder.replaced(replace(before, bias=before.bias + numbers))
        builder.biases[before.name].append((-1 if node.op == "Sub" else 1, node.inputs[1 - index]))
        builder.alias(node, value)
        return
    ones, zeros = np.ones_like(numbers), np.zeros_like(numbers)
    gain, offset = (numbers, zeros) if shift is None else (ones, numbers)
    layer = BatchNorm(builder.new_name(node), (value.source,), gain, offset, zeros, ones, epsilon=0.0)
    builder.put(node, layer, value)


def constant_side(builder: Builder, node: Node) -> int | None:
    """Return which of two inputs is a constant, or None."""
    if len(node.inputs) != 2:
        raise node.refused(f"has {len(node.inputs)} inputs, expected 2")
    return next((index for index in (1, 0) if node.inputs[index] in builder.constants), None)
