"""What the ONNX operators become that move values or join tensors, and compute nothing."""

import math
from dataclasses import replace

from accel.interchange.onnx.reading.builder import Builder, Value
from accel.interchange.onnx.reading.file import Node
from accel.interchange.onnx.reading.shapes import joined_sizes, squeezed_size, unsqueezed_size, wanted_shape
from accel.interchange.onnx.reading.views import (
    View,
    channels_last,
    permuted,
    plain,
    reshaped,
    resized,
    squeezed,
    unsqueezed,
)
from accel.layers import Concat, Flatten
from accel.limits import MOST_DIMENSIONS


def flatten(builder: Builder, node: Node) -> None:
    """Flatten of all axes but the batch."""
    value = builder.value(node, codes=True)
    if node.get("axis", 1) not in (1, -len(value.view)):
        raise node.refused(f"attribute axis is {node.get('axis', 1)}, expected 1")
    (axis,) = reshaped(value.view, (math.prod(value.graph_shape),)) or ((),)
    _show(builder, node, value, (axis,))


def reshape(builder: Builder, node: Node) -> None:
    """Reshape that deals the axes of each image out again and moves nothing, such as a flatten."""
    value = builder.value(node, codes=True)
    before, (asked, counted) = value.graph_shape, wanted_shape(builder, node)
    if not asked:
        raise node.refused("has no constant shape; expected (batch, features)")
    keeps = asked[0] in (0, -1, 1, _batch(builder)) and not (asked[0] == 0 and not counted and node.get("allowzero", 0))
    view = resized(value.view, asked[1:]) if keeps and asked.count(-1) < 2 else None
    if view is None:
        raise node.refused(
            f"gives the shape {asked} from {before}, expected (batch, {math.prod(before)}), a flatten, or the axes "
            "of each image by other names"
        )
    _show(builder, node, value, view)


def squeeze(builder: Builder, node: Node) -> None:
    """Squeeze of axes of one element, or of one size."""
    if squeezed_size(builder, node):
        return
    value = builder.value(node, codes=True)
    given = builder.integers(node, 1, "axes")
    ones = [index for index, size in enumerate(value.graph_shape, start=1) if size == 1]
    view = squeezed(value.view, ones if given is None else given)
    if view is None or (given is None and _batch(builder) == 1):
        raise node.refused(f"takes the axes {given} from {value.graph_shape}, expected some of one element")
    _show(builder, node, value, view)


def unsqueeze(builder: Builder, node: Node) -> None:
    """Unsqueeze: axes of one element more; or one size to a list of one."""
    if unsqueezed_size(builder, node):
        return
    value, given = builder.value(node, codes=True), builder.integers(node, 1, "axes") or ()
    view = unsqueezed(value.view, given)
    if view is None or len(view) >= MOST_DIMENSIONS:
        raise node.refused(f"adds the axes {given} to {value.graph_shape}, expected others than the batch's")
    _show(builder, node, value, view)


def transpose(builder: Builder, node: Node) -> None:
    """Transpose of all axes but the batch, which moves nothing here."""
    value = builder.value(node, pad=True, codes=True)
    rank = len(value.view) + 1
    order = node.get("perm", tuple(range(rank))[::-1])
    view = permuted(value.view, order)
    if view is None:
        raise node.refused(f"attribute perm is {order}, expected an order of {rank} axes, the batch first")
    if any(value.pad) and view not in (plain(builder.shape(value)), channels_last(builder.shape(value))):
        raise node.refused("a Pad stands before it; expected channels-first or channels-last after it")
    builder.alias(node, replace(value, view=view))


def concat(builder: Builder, node: Node) -> None:
    """Concat on the maps: of more than two inputs a chain. Or of sizes."""
    if joined_sizes(builder, node):
        return
    values = [builder.ordered(node, index, codes=True) for index in range(max(1, len(node.inputs)))]
    rank, found = len(values[0].view) + 1, builder.map_axis(values[0])
    axis = rank - 1 if builder.is_last(values[0]) else 1
    if found is not None and found[0] + 1 != axis:
        axis = found[0] + 1
    if node.get("axis", 0) not in (axis, axis - rank):
        raise node.refused(f"attribute axis is {node.get('axis', 0)}, expected {axis}: the maps")
    alike = {(_beside(builder, value, axis - 1), value.units) for value in values}
    if len(alike) != 1 or None in {beside for beside, _ in alike}:
        raise node.refused("joins tensors of different layouts, or of different steps")
    joined = values[0].source
    for index, value in enumerate(values[1:], start=1):
        last = index == len(values) - 1
        layer = Concat(builder.new_name(node, "" if last else f".{index}"), (joined, value.source))
        builder.append(node, layer)
        joined = layer.name
    maps, *pixels = builder.shapes[joined]
    area, view = math.prod(pixels), values[0].view
    joint = (*view[: axis - 1], ((maps, area),), *view[axis:])
    builder.alias(node, replace(values[0], source=joined, view=joint))


def _beside(builder: Builder, value: Value, axis: int) -> View | None:
    """Return the axes beside that of the maps; None if that one does not count them in our order."""
    maps, *pixels = builder.shape(value)
    counted = ((maps, math.prod(pixels)),) if maps > 1 else ()
    if axis >= len(value.view) or value.view[axis] != counted:
        return None
    return value.view[:axis] + value.view[axis + 1 :]


def _show(builder: Builder, node: Node, value: Value, view: View) -> None:
    """Let the output of `node` be `value` under other axes; with one axis left maps become features."""
    if len(view) == 1 and len(builder.shape(value)) > 1:
        layer = Flatten(builder.new_name(node), (value.source,))
        builder.append(node, layer)
        value = replace(value, source=layer.name)
    builder.alias(node, replace(value, view=view))


def _batch(builder: Builder) -> int | None:
    return builder.graph.inputs[0][1][0]
