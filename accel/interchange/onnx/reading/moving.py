"""What the ONNX operators become that pad, cut and pick maps: zeros of the next window, or a convolution with ones.

Such a convolution has one weight of 1 in each kernel, so that it moves values and computes nothing: a padding is one
with 1x1 kernels, a run of rows one with a longer kernel, every other row one with a stride, some maps one that reads
these alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from accel.interchange.onnx.reading.builder import NO_PAD, Builder, Value
from accel.interchange.onnx.reading.file import Constant, Node
from accel.interchange.onnx.reading.shapes import sliced_sizes
from accel.interchange.onnx.reading.windows import summed
from accel.layers import Conv2d
from accel.limits import MOST_SIDE
from accel.window import Window

Run = tuple[int, int, int]  # the first index of an axis, one past the last, and a step


def pad(builder: Builder, node: Node) -> None:
    """Pad with zeros: rows and columns are taken in by the next convolution or pool, or stand as a layer."""
    value = builder.ordered(node, pad=True)
    widths, fill = builder.integers(node, 1, "pads"), scalar(node, builder.constant(node, 2))
    axes = builder.integers(node, 3, "")
    mode, rank = node.get("mode", "constant"), len(value.view) + 1
    if mode != "constant" or fill not in (None, 0.0):
        shown = f"with {fill}" if mode == "constant" else f"by mode {mode!r}"
        raise node.refused(f"pads {shown}, expected zeros")
    if widths is not None and axes and len(widths) == 2 * len(axes) and -rank <= min(axes) and max(axes) < rank:
        sides = np.zeros((2, rank), np.int64)
        sides[:, list(axes)] = np.reshape(widths, (2, -1))
        widths = tuple(sides.ravel().tolist())
    if len(builder.shape(value)) != 3 or widths is None or len(widths) != 2 * rank:
        raise node.refused(f"attribute pads is {widths}, expected {2 * rank} numbers for maps")
    if max(map(abs, widths)) > MOST_SIDE:
        raise node.refused(f"attribute pads is {widths}, expected at most {MOST_SIDE} each")
    before, after = dict(enumerate(widths[:rank])), dict(enumerate(widths[rank:]))
    if before.pop(0) or after.pop(0):
        raise node.refused(f"attribute pads is {widths}: adds images")
    maps, rows, columns = axes_of(builder, node, value)
    top, bottom, left, right = (side.get(axis, 0) for axis in (rows, columns) for side in (before, after))
    if min(top, bottom, left, right) >= 0 and not (before[maps] or after[maps]):
        builder.alias(node, replace(value, pad=summed(value.pad, (top, left, bottom, right))))
        return
    count, height, width = builder.shape(value)
    ends = [(-top, height + bottom), (-left, width + right)]
    first, last = before[maps], after[maps]
    chosen = [-1] * first + [*range(max(0, -first), count + min(0, last))] + [-1] * last
    _select(builder, node, builder.value(node), chosen, [(start, end, 1) for start, end in ends])


def slice_(builder: Builder, node: Node) -> None:
    """Slice of maps, rows and columns; or of sizes."""
    if sliced_sizes(builder, node):
        return
    value = builder.ordered(node)
    starts, ends, axes, steps = (builder.integers(node, index, "") for index in (1, 2, 3, 4))
    count, rank = len(starts or ()), len(value.view) + 1
    axes = tuple(range(count)) if axes is None else axes
    steps = (1,) * count if steps is None else steps
    if starts is None or ends is None or not len(starts) == len(ends) == len(axes) == len(steps):
        raise node.refused(f"cuts {starts} to {ends} of the axes {axes} by {steps}, expected as many of each")
    if len(value.view) != len(builder.shape(value)) or min(steps, default=1) < 1:
        raise node.refused(f"cuts {starts} to {ends} of {value.graph_shape} by {steps}, expected maps, and no way back")
    runs = {axis % rank: slice(*run) for axis, *run in zip(axes, starts, ends, steps, strict=True)}
    _cut(builder, node, value, runs)


def split(builder: Builder, node: Node) -> None:
    """Split of the maps, rows or columns."""
    value = builder.ordered(node)
    rank = len(value.view) + 1
    axis = node.get("axis", 0) % rank
    if not axis:
        raise node.refused("splits the images of a batch, expected another axis")
    size, parts = value.graph_shape[axis - 1], len(node.outputs)
    sizes = builder.integers(node, 1, "split")
    if sizes is None:
        each = -(-size // parts)
        sizes = tuple(max(0, min(each, size - index * each)) for index in range(parts))
    if len(sizes) != parts or sum(sizes) != size or min(sizes) < 1:
        raise node.refused(f"splits {size} into {sizes}, expected {parts} parts that add up to it")
    ends = np.cumsum(sizes).tolist()
    for index, (name, end) in enumerate(zip(node.outputs, ends, strict=True)):
        if name:
            part = replace(node, name=f"{node.name or node.outputs[0]}.{index}", outputs=(name,))
            _cut(builder, part, value, {axis: slice(end - sizes[index], end, 1)})


def axes_of(builder: Builder, node: Node, value: Value) -> tuple[int, int, int]:
    """Return which axes of the graph's tensor, the batch counted, are maps, rows and columns."""
    if builder.is_last(value):
        return 3, 1, 2
    builder.check_maps(node, value)
    return 1, 2, 3


def scalar(node: Node, array: Constant | None) -> float | None:
    """Return the one number that a constant holds; None if there is none."""
    if array is None or array.size == 0:
        return None
    if array.size != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise node.refused(f"expected one number, got {array.dtype} {array.shape}")
    return float(array.ravel()[0])


def _cut(builder: Builder, node: Node, value: Value, runs: dict[int, slice]) -> None:
    maps, rows, columns = axes_of(builder, node, value)
    sizes = dict(zip((maps, rows, columns), builder.shape(value), strict=True))
    if not runs.keys() <= sizes.keys() and runs.pop(0, slice(None)).indices(1) != (0, 1, 1):
        raise node.refused("cuts the images of a batch, expected another axis")
    found = {axis: runs.get(axis, slice(None)).indices(size) for axis, size in sizes.items()}
    if any(len(range(*run)) < 1 for run in found.values()):
        raise node.refused(f"leaves nothing of {value.graph_shape}")
    if all(run == (0, sizes[axis], 1) for axis, run in found.items()):
        builder.alias(node, value)
        return
    _select(builder, node, value, list(range(*found[maps])), [found[rows], found[columns]])


def _select(builder: Builder, node: Node, value: Value, chosen: Sequence[int], runs: Sequence[Run]) -> None:
    """Add the convolution that picks maps, of which -1 is one of zeros, and runs of rows and columns.

    A run may begin before the first row and end past the last, where zeros are.
    """
    if builder.quantized:
        raise node.refused("pads, cuts or picks codes; in a quantised graph expected a convolution or pool after it")
    maps, *sizes = builder.shape(value)
    if not chosen:
        raise node.refused(f"leaves nothing of {maps} maps")
    padding, kernel, tap = [], [], []
    for (start, end, step), size in zip(runs, sizes, strict=True):
        count = len(range(start, end, step))
        if not count:
            raise node.refused(f"leaves nothing of {value.graph_shape}")
        before, after = max(0, -start), max(0, start + (count - 1) * step + 1 - size)
        padding.append((before, after))
        tap.append(start + before)
        kernel.append(max(tap[-1], size + before + after - count * step) + 1)
    (top, bottom), (left, right) = padding
    window = Window((kernel[0], kernel[1]), (runs[0][2], runs[1][2]), (top, left, bottom, right))
    all_maps = [*chosen] == [*range(maps)]
    builder.reserve(4 * len(chosen) * (1 if all_maps else maps) * window.taps)
    weight = np.zeros((len(chosen), 1 if all_maps else maps, *kernel), np.float32)
    for output, source in enumerate(chosen):
        if source >= 0:
            weight[output, 0 if all_maps else source, tap[0], tap[1]] = 1
    bias = np.zeros(len(chosen), np.float32)
    groups = maps if all_maps else 1
    name = builder.new_name(node)
    layer = Conv2d(name, (value.source,), weight=weight, bias=bias, window=window, groups=groups)
    builder.put(node, layer, replace(value, pad=NO_PAD))
