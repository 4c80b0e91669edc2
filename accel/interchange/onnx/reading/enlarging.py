"""What the ONNX operators become that make maps larger: pixels that repeat, or zeros between them and a convolution.

A transposed convolution is a convolution, its kernels turned around, of maps with zeros between their pixels: output y
takes input x through tap ``y + pad - x * stride``. Pixels that a DepthToSpace takes from several maps are one too,
whose kernels have a single 1 each.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from accel.interchange.onnx.reading.builder import Builder, Value
from accel.interchange.onnx.reading.file import Constant, Node
from accel.interchange.onnx.reading.windows import Pads, dilated_size, in_two_directions, pads_of, pair, spread_taps
from accel.layers import Conv2d, Upsample
from accel.limits import MOST_SIDE
from accel.window import Window


def conv_transpose(builder: Builder, node: Node) -> None:
    """ConvTranspose: any kernel, strides, pads, dilations and groups, in one direction or two."""
    value = builder.maps(node)
    node = in_two_directions(node, len(value.view))
    weight = builder.floats(node, 1, len(value.view) + 1)
    weight = weight.reshape(*weight.shape[:2], *(*weight.shape[2:], 1)[:2])
    groups, maps = node.get("group", 1), builder.shape(value)[0]
    if groups < 1 or len(weight) % groups or len(weight) != maps:
        raise node.refused(f"its kernels read {len(weight)} maps in {groups} groups, gets {maps}")
    outputs = weight.shape[1] * groups
    bias = np.zeros(outputs, np.float32) if builder.constant(node, 2) is None else builder.floats(node, 2, 1)
    stride, kernel = pair(node, "strides"), dilated_size(node, weight.shape[2:])
    builder.reserve(4 * weight.shape[0] * weight.shape[1] * math.prod(kernel))
    runs = spread_taps(weight, kernel).reshape(groups, -1, weight.shape[1], *kernel)
    turned = runs.transpose(0, 2, 1, 3, 4)[..., ::-1, ::-1].reshape(outputs, -1, *kernel)
    _transposed(builder, node, value, turned, bias, stride, _cut(builder, node, value, kernel, stride), groups)


def _cut(builder: Builder, node: Node, value: Value, kernel: Sequence[int], stride: Sequence[int]) -> Pads:
    """Return the rows and columns that a transposed convolution leaves out; less than none are zeros more."""
    beyond = pair(node, "output_padding", (0, 0))
    asked = node.get("output_shape")
    automatic = node.get("auto_pad", "NOTSET")
    if asked is None and automatic in ("NOTSET", "VALID", ""):
        top, left, bottom, right = pads_of(node) if automatic != "VALID" else (0, 0, 0, 0)
        return top, left, bottom - beyond[0], right - beyond[1]
    if asked is None:  # SAME: as many times larger as the stride says
        asked = tuple(size * step for size, step in zip(builder.shape(value)[1:], stride, strict=True))
    if automatic not in ("NOTSET", "SAME_UPPER", "SAME_LOWER", "") or len(asked) < 2:
        raise node.refused(f"output_shape is {asked} with auto_pad {automatic!r}, expected a height and width")
    before, after = [], []
    sizes = builder.shape(value)[1:]
    for size, step, taps, more, wanted in zip(sizes, stride, kernel, beyond, asked[-2:], strict=True):
        total = step * (size - 1) + more + taps - wanted
        less = total // 2
        before.append(less if automatic == "SAME_UPPER" else total - less)
        after.append(total - before[-1] - more)
    return before[0], before[1], after[0], after[1]


def _transposed(
    builder: Builder,
    node: Node,
    value: Value,
    weight: Constant,
    bias: Constant,
    stride: tuple[int, int],
    cut: Pads,
    groups: int = 1,
) -> None:
    """Add zeros between pixels and the convolution behind them; `weight` is turned around already.

    Of what reaches past the last pixel's cell, and past `cut`, taps of zeros take the rest away.
    """
    source = value.source
    if stride != (1, 1):
        if min(stride) < 1 or max(stride) > MOST_SIDE:
            raise node.refused(f"attribute strides is {stride}, expected 1..{MOST_SIDE} each")
        layer = Upsample(builder.new_name(node, ".zeros"), (source,), stride, False)
        builder.append(node, layer)
        source = layer.name
    kernel = weight.shape[2:]
    sides = [(kernel[axis] - 1 - cut[axis], kernel[axis] - 1 - cut[axis + 2] - (stride[axis] - 1)) for axis in (0, 1)]
    more = [(max(0, -before), max(0, -after)) for before, after in sides]
    if max(map(max, more)) > MOST_SIDE:
        raise node.refused(f"leaves out {cut} rows and columns, expected at most {MOST_SIDE} each")
    builder.reserve(4 * weight.shape[0] * weight.shape[1] * (kernel[0] + sum(more[0])) * (kernel[1] + sum(more[1])))
    weight = np.pad(weight, ((0, 0), (0, 0), *more))
    (top, bottom), (left, right) = ((max(0, before), max(0, after)) for before, after in sides)
    window = Window(weight.shape[2:], (1, 1), (top, left, bottom, right))
    conv = Conv2d(builder.new_name(node), (source,), weight=weight, bias=bias, window=window, groups=groups)
    builder.put(node, conv, value)


def resize(builder: Builder, node: Node) -> None:
    """Resize and Upsample to the nearest, by whole factors."""
    value = builder.maps(node, codes=True)
    mode = node.get("mode", "nearest")
    if mode != "nearest":
        raise node.refused(
            f"attribute mode is {mode!r}, expected nearest: train with that, or cut the network before with --outputs"
        )
    size = builder.shape(value)[1:]
    factor = _factors(builder, node, (1, *value.graph_shape))
    for pixels, times in zip(size, factor, strict=True):
        if _nearest(node, pixels, times) != [pixel // times for pixel in range(pixels * times)]:
            raise node.refused(
                f"its pixels do not repeat {times} times each, as those of a nearest resize by half_pixel"
            )
    if factor == (1, 1):
        builder.alias(node, value)
        return
    builder.put(node, Upsample(builder.new_name(node), (value.source,), factor, True), value)


def _factors(builder: Builder, node: Node, shape: Sequence[int]) -> tuple[int, int]:
    """Return how many times larger rows and columns become; `shape` has the batch too."""
    scales, sizes = builder.constant(node, 2), builder.integers(node, 3, "")
    axes = [axis % len(shape) for axis in node.get("axes") or range(len(shape))]
    if scales is not None and scales.size:
        asked = scales.ravel().tolist()
    else:
        asked = [a / shape[axis] if axis else 1.0 for a, axis in zip(sizes or (), axes, strict=False)]
    found = dict.fromkeys(range(max(len(shape), 4)), 1.0) | dict(zip(axes, asked, strict=False))
    images, maps, *times = found.values()
    if len(asked) != len(axes) or (images, maps) != (1, 1) or any(x not in range(1, MOST_SIDE + 1) for x in times):
        raise node.refused(f"makes maps {tuple(times)} times as large, expected known sizes, whole times larger")
    return int(times[0]), int(times[1])


def _nearest(node: Node, size: int, factor: int) -> list[int]:
    """Return which pixel each pixel of a row becomes (https://onnx.ai/onnx/operators/onnx__Resize.html)."""
    place = np.arange(size * factor, dtype=np.float64)
    how = node.get("coordinate_transformation_mode", "half_pixel")
    if how == "half_pixel" or (how == "pytorch_half_pixel" and size * factor > 1):
        place = (place + 0.5) / factor - 0.5
    elif how == "asymmetric":
        place = place / factor
    elif how == "align_corners":
        place = place * (size - 1) / max(1, size * factor - 1)
    else:
        raise node.refused(f"attribute coordinate_transformation_mode is {how!r}, which is not read")
    ways: dict[str, Callable[[Any], Any]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if (mode := node.get("nearest_mode", "round_prefer_floor")) not in ways:
        raise node.refused(f"attribute nearest_mode is {mode!r}, which is not read")
    return [int(x) for x in np.clip(ways[mode](place), 0, size - 1)]


def depth_to_space(builder: Builder, node: Node) -> None:
    """DepthToSpace, as PyTorch's PixelShuffle: each cell of pixels has one of each of several maps."""
    value, block, maps = _block(builder, node)
    mode = node.get("mode", "DCR")
    if mode not in ("DCR", "CRD") or maps % block**2:
        raise node.refused(f"deals {maps} maps out to cells of {block}x{block} by mode {mode!r}, expected DCR or CRD")
    outputs = maps // block**2
    order = np.arange(maps).reshape((block, block, outputs) if mode == "DCR" else (outputs, block, block))
    order = order.transpose(2, 0, 1) if mode == "DCR" else order
    builder.reserve(4 * outputs * maps * block**2)
    weight = np.zeros((outputs, maps, block, block), np.float32)
    for output, down, across in np.ndindex(order.shape):
        weight[output, order[output, down, across], block - 1 - down, block - 1 - across] = 1
    bias = np.zeros(outputs, np.float32)
    _transposed(builder, node, value, weight, bias, (block, block), (0, 0, 0, 0))


def space_to_depth(builder: Builder, node: Node) -> None:
    """SpaceToDepth: the pixels of each cell become maps."""
    value, block, maps = _block(builder, node)
    builder.reserve(4 * maps**2 * block**4)
    weight = np.zeros((block, block, maps, maps, block, block), np.float32)
    for down, across, output in np.ndindex(block, block, maps):
        weight[down, across, output, output, down, across] = 1
    window = Window.square(block, block)
    kernels, bias = weight.reshape(-1, maps, block, block), np.zeros(maps * block**2, np.float32)
    builder.put(node, Conv2d(builder.new_name(node), (value.source,), weight=kernels, bias=bias, window=window), value)


def _block(builder: Builder, node: Node) -> tuple[Value, int, int]:
    value, block = builder.maps(node), node.get("blocksize", 0)
    if len(value.view) != 3 or not 1 <= block <= MOST_SIDE:
        raise node.refused(f"attribute blocksize is {block}, expected 1..{MOST_SIDE}, for maps of rows and columns")
    return value, block, builder.shape(value)[0]
