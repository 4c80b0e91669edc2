"""Kernels, strides and padding as ONNX's attributes state them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from accel.interchange.onnx.reading.file import Constant, Node
from accel.window import Window

Pads = tuple[int, int, int, int]
MOST = 1 << 20  # of a kernel, stride or padding


def conv_window(node: Node, kernel: Sequence[int], size: Sequence[int], pad: Pads) -> Window:
    """Return the window of a convolution with kernels of `kernel` on maps of `size`; `pad` is there already.

    That of a dilated kernel has the taps between too.
    """
    return _window(node, dilated_size(node, kernel), size, pad)


def dilated_size(node: Node, kernel: Sequence[int]) -> tuple[int, int]:
    """Return the height and width of kernels with the taps between those of `kernel` that a dilation leaves out."""
    stated, dilations = pair(node, "kernel_shape", tuple(kernel)), pair(node, "dilations")
    if stated != tuple(kernel):
        raise node.refused(f"attribute kernel_shape is {stated}, its kernels are {tuple(kernel)}")
    if min(dilations) < 1:
        raise node.refused(f"attribute dilations is {list(dilations)}, expected at least 1 each")
    height, width = ((taps - 1) * dilation + 1 for taps, dilation in zip(stated, dilations, strict=True))
    if max(height, width) > MOST:
        raise node.refused(f"its kernels reach over {height}x{width} pixels, expected at most {MOST}")
    return height, width


def spread_taps(weight: Constant, kernel: tuple[int, int]) -> Constant:
    """Return kernels with zeros between their taps, so that they are as large as `kernel`."""
    if weight.shape[2:] == kernel:
        return weight
    wide = np.zeros((*weight.shape[:2], *kernel), weight.dtype)
    down, across = (max(1, size - 1) // max(1, taps - 1) for size, taps in zip(kernel, weight.shape[2:], strict=True))
    wide[:, :, ::down, ::across] = weight
    return wide


def pool_window(node: Node, size: Sequence[int], pad: Pads, extends: bool) -> Window:
    """Return the window of a pool on maps of `size`; with `extends`, a ceil_mode may ask for more padding."""
    if node.get("kernel_shape") is None:
        raise node.refused("has no attribute kernel_shape")
    dilations = pair(node, "dilations")
    if dilations != (1, 1):
        raise node.refused(f"attribute dilations is {list(dilations)}, expected [1, 1]")
    window = _window(node, pair(node, "kernel_shape"), size, pad)
    if not node.get("ceil_mode", 0):
        return window
    extra = [_beyond(window, axis, size[axis]) for axis in (0, 1)]
    if any(extra) and not extends:
        raise node.refused("attribute ceil_mode is 1 and a last window reaches past the padding; expected 0")
    top, left, bottom, right = window.padding
    return Window(window.kernel, window.stride, (top, left, bottom + extra[0], right + extra[1]))


def in_two_directions(node: Node, rank: int) -> Node:
    """Return a node on maps of one direction, whose rank is 2 then, as one on maps that are 1 wide."""
    if rank != 2:
        return node
    wide = dict(node.attributes)
    for name, beside in (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("pads", 0), ("output_padding", 0)):
        if (numbers := node.get(name)) is None:
            continue
        if len(numbers) != (2 if name == "pads" else 1):
            raise node.refused(f"attribute {name} is {numbers}, expected numbers for one direction")
        wide[name] = tuple(x for number in numbers for x in (number, beside))
    return replace(node, attributes=wide)


def _window(node: Node, kernel: tuple[int, int], size: Sequence[int], pad: Pads) -> Window:
    stride = pair(node, "strides")
    automatic = node.get("auto_pad", "NOTSET")
    if automatic in ("", "NOTSET"):
        given = pads_of(node)
    elif automatic == "VALID":
        given = (0, 0, 0, 0)
    elif automatic in ("SAME_UPPER", "SAME_LOWER"):
        padded = size[0] + pad[0] + pad[2], size[1] + pad[1] + pad[3]
        rows, columns = (_same(*x, automatic) for x in zip(padded, kernel, stride, strict=True))
        given = (rows[0], columns[0], rows[1], columns[1])
    else:
        raise node.refused(f"attribute auto_pad is {automatic!r}, expected NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    total = summed(given, pad)
    if max(*kernel, *stride, *total) > MOST:
        raise node.refused(f"kernel {kernel}, strides {stride} and pads {total} must be at most {MOST}")
    return Window(kernel, stride, total)


def pads_of(node: Node) -> Pads:
    """Return the attribute pads: at the top, left, bottom and right."""
    given = _numbers(node, "pads", (0, 0, 0, 0))
    if len(given) != 4 or max(map(abs, given)) > MOST:
        raise node.refused(f"attribute pads is {given}, expected 4 numbers of at most {MOST}")
    return given[0], given[1], given[2], given[3]


def summed(left: Sequence[int], right: Sequence[int]) -> Pads:
    """Return two paddings together, each at the top, left, bottom and right."""
    top, left_side, bottom, right_side = (a + b for a, b in zip(left, right, strict=True))
    return top, left_side, bottom, right_side


def _same(size: int, kernel: int, stride: int, automatic: str) -> tuple[int, int]:
    """Return the zeros before and after with which the output has ``ceil(size / stride)`` pixels."""
    total = max(0, (-(-size // max(stride, 1)) - 1) * stride + kernel - size)
    less, more = total // 2, total - total // 2
    return (less, more) if automatic == "SAME_UPPER" else (more, less)


def _beyond(window: Window, axis: int, size: int) -> int:
    """Return how far the last window of a ceil_mode reaches past the padding; it starts inside of map or padding."""
    before, after = window.padding[axis], window.padding[axis + 2]
    kernel, stride = window.kernel[axis], window.stride[axis]
    steps = -(-(size + before + after - kernel) // stride)
    if steps * stride >= size + before:
        steps -= 1
    return max(0, steps * stride + kernel - (size + before + after))


def pair(node: Node, attribute: str, default: tuple[int, ...] = (1, 1)) -> tuple[int, int]:
    """Return an attribute of two numbers, for rows and columns."""
    found = _numbers(node, attribute, default)
    if len(found) != 2:
        raise node.refused(f"attribute {attribute} is {found}, expected 2 numbers: maps have a height and a width")
    return found[0], found[1]


def _numbers(node: Node, attribute: str, default: tuple[int, ...]) -> tuple[int, ...]:
    found: Any = node.get(attribute, default)
    if not all(isinstance(x, int) for x in found):
        raise node.refused(f"attribute {attribute} must be integers, got {found}")
    return found
