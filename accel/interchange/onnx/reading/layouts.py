"""What the ONNX operators become that move values or join tensors, and compute nothing."""

import math
from dataclasses import replace

import numpy as np

from accel.interchange.onnx.reading.builder import Builder, Value
from accel.interchange.onnx.reading.file import Node
from accel.interchange.onnx.reading.shapes import joined_sizes, squeezed_size, wanted_shape
from accel.layers import Concat, Flatten


def flatten(builder: Builder, node: Node) -> None:
    """Flatten of all axes but the batch."""
    value = builder.value(node, codes=True)
    rank = len(builder.shape(value)) + 1
    if node.get("axis", 1) not in (1, 1 - rank):
        raise node.refused(f"attribute axis is {node.get('axis', 1)}, expected 1")
    _flatten(builder, node, value)


def reshape(builder: Builder, node: Node) -> None:
    """Reshape to (batch, features), or to the shape that there is."""
    value = builder.value(node, codes=True)
    before, (asked, counted) = builder.graph_shape(value), wanted_shape(builder, node)
    if not asked:
        raise node.refused("has no constant shape; expected (batch, features)")
    batch = _batch(builder)
    keeps = asked[0] in (0, -1, 1, batch) and not (asked[0] == 0 and not counted and node.get("allowzero", 0))
    free = asked.count(-1) <= 1
    features = math.prod(before)
    same = [size if size else before[i] if i < len(before) else -2 for i, size in enumerate(asked[1:])]
    alike = len(same) == len(before) and all(a in (b, -1) for a, b in zip(same, before, strict=True))
    if keeps and free and alike:
        builder.alias(node, value)
    elif keeps and free and len(asked) == 2 and asked[1] in (-1, features):
        _flatten(builder, node, value)
    else:
        raise node.refused(f"gives the shape {asked} from {before}, expected (batch, {features}): a flatten")


def squeeze(builder: Builder, node: Node) -> None:
    """Squeeze of maps of one pixel, or of one size."""
    if squeezed_size(builder, node):
        return
    value = builder.value(node, codes=True)
    axes, expected = builder.integers(node, 1, "axes"), (1, 2) if value.last else (2, 3)
    pixel = len(builder.shape(value)) == 3 and builder.shape(value)[1:] == (1, 1)
    if not pixel or (axes is not None and tuple(sorted(axis % 4 for axis in axes)) != expected):
        raise node.refused(f"takes the axes {axes} from {builder.graph_shape(value)}, expected height and width of 1")
    _flatten(builder, node, value)


def transpose(builder: Builder, node: Node) -> None:
    """Transpose between channels-first and channels-last, which moves nothing here."""
    value, order = builder.value(node, pad=True, codes=True), node.get("perm")
    rank = len(builder.shape(value)) + 1
    if order == tuple(range(rank)):
        builder.alias(node, value)
    elif rank == 4 and order == ((0, 3, 1, 2) if value.last else (0, 2, 3, 1)):
        builder.alias(node, replace(value, last=not value.last))
    else:
        raise node.refused(f"attribute perm is {order}, expected one between channels-first and channels-last")


def concat(builder: Builder, node: Node) -> None:
    """Concat on the maps: of more than two inputs a chain. Or of sizes."""
    if joined_sizes(builder, node):
        return
    values = [builder.value(node, index, codes=True) for index in range(max(1, len(node.inputs)))]
    rank = len(builder.shape(values[0])) + 1
    axis = rank - 1 if values[0].last else 1
    if node.get("axis", 0) not in (axis, axis - rank):
        raise node.refused(f"attribute axis is {node.get('axis', 0)}, expected {axis}: the maps")
    if any(
        value.last != values[0].last or value.columns is not None or value.units != values[0].units for value in values
    ):
        raise node.refused("joins tensors of different layouts, or of different steps")
    joined = values[0].source
    for index, value in enumerate(values[1:], start=1):
        last = index == len(values) - 1
        layer = Concat(builder.new_name(node, "" if last else f".{index}"), (joined, value.source))
        builder.append(node, layer)
        joined = layer.name
    builder.alias(node, replace(values[0], source=joined))


def _flatten(builder: Builder, node: Node, value: Value) -> None:
    shape = builder.shape(value)
    if len(shape) == 1:
        builder.alias(node, value)
        return
    columns = None
    if value.last and shape[0] > 1 and shape[1] * shape[2] > 1:
        columns = np.arange(math.prod(shape)).reshape(shape).transpose(1, 2, 0).ravel()
    flat = Value("", columns=columns, units=value.units)
    builder.put(node, Flatten(builder.new_name(node), (value.source,)), flat)


def _batch(builder: Builder) -> int | None:
    return builder.graph.inputs[0][1][0]
