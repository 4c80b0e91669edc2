"""Sizes that a graph computes of its own tensors, for a Reshape: known here, but for the number of images.

PyTorch writes ``x.view(x.size(0), -1)`` as Shape, Gather, Unsqueeze and Concat, TensorFlow's exporter as Shape, Cast,
Slice and Concat. Sizes with the number of images among them are no constants: nothing but these operators reads them.
"""

import numpy as np
from numpy.typing import NDArray

from accel.interchange.onnx.reading.builder import Builder
from accel.interchange.onnx.reading.file import Node

BATCH = -2  # in place of the number of images, which the file leaves open
MOST_SIZES = 64
FLOATS = (1, 10, 11)  # FLOAT, FLOAT16 and DOUBLE of TensorProto.DataType
Sizes = NDArray[np.int64]


def shape(builder: Builder, node: Node) -> None:
    """Shape: the sizes of a tensor, or some of them."""
    value = builder.value(node, codes=True)
    sizes = np.array([BATCH, *value.graph_shape], np.int64)
    start, end = node.get("start", 0), node.get("end", len(sizes))
    _know(builder, node, sizes[start:end])


def gather(builder: Builder, node: Node) -> None:
    """Gather of sizes."""
    sizes, index = _sizes(builder, node), builder.needed(node, 1)
    if index.dtype.kind not in "iu" or index.size > MOST_SIZES or node.get("axis", 0) != 0 or sizes.ndim != 1:
        raise node.refused(f"picks {index.dtype} {index.shape} of sizes {sizes.shape}, expected some of a list of them")
    if index.size and not (-len(sizes) <= index.min() and index.max() < len(sizes)):
        raise node.refused(f"picks the sizes {index.ravel().tolist()} of {len(sizes)}")
    _know(builder, node, np.asarray(sizes[index.astype(np.int64)]))


def sliced_sizes(builder: Builder, node: Node) -> bool:
    """Let the output of a Slice be some sizes, if it reads some; return whether it does."""
    if node.inputs and node.inputs[0] in builder.values:
        return False
    sizes = _sizes(builder, node)
    starts, ends, axes, steps = (builder.integers(node, index, "") for index in (1, 2, 3, 4))
    one = starts is not None and ends is not None and len(starts) == len(ends) == 1 and sizes.ndim == 1
    if not one or axes not in (None, (0,), (-1,)) or (steps is not None and (len(steps) != 1 or steps[0] < 1)):
        raise node.refused(f"cuts {starts} to {ends} of the axes {axes}, expected one run of a list of sizes")
    assert starts is not None  # as was checked
    assert ends is not None
    _know(builder, node, sizes[starts[0] : ends[0] : steps[0] if steps else 1])
    return True


def unsqueezed_size(builder: Builder, node: Node) -> bool:
    """Let the output of an Unsqueeze be a list of one size, if it reads one; return whether it does."""
    if not node.inputs or node.inputs[0] in builder.values:
        return False
    sizes = _sizes(builder, node)
    if sizes.ndim or builder.integers(node, 1, "axes") not in ((0,), (-1,)):
        raise node.refused("expected one size, and axis 0")
    builder.sizes[node.outputs[0]] = sizes.reshape(1)
    return True


def cast(builder: Builder, node: Node) -> None:
    """Cast of sizes between types of integers, or of a signal between types of floats: moves nothing."""
    if node.inputs and node.inputs[0] in builder.values:
        if node.get("to", 0) not in FLOATS:
            raise node.refused(f"attribute to is {node.get('to')}, expected floats: a signal is not cut to integers")
        builder.alias(node, builder.value(node, pad=True))
        return
    builder.sizes[node.outputs[0]] = _sizes(builder, node)


def squeezed_size(builder: Builder, node: Node) -> bool:
    """Let the output of a Squeeze be one size, if it reads a list of one; return whether it does."""
    if not node.inputs or node.inputs[0] not in builder.sizes:
        return False
    sizes = builder.sizes[node.inputs[0]]
    if sizes.size != 1:
        raise node.refused(f"reads {sizes.size} sizes, expected one")
    builder.sizes[node.outputs[0]] = sizes.reshape(())
    return True


def joined_sizes(builder: Builder, node: Node) -> bool:
    """Let the output of a Concat be a list of sizes, if it reads some; return whether it does."""
    if not any(name in builder.sizes for name in node.inputs):
        return False
    parts = [_sizes(builder, node, index) for index in range(len(node.inputs))]
    if any(part.ndim != 1 for part in parts) or sum(part.size for part in parts) > MOST_SIZES:
        raise node.refused("joins sizes with something else, expected lists of sizes")
    builder.sizes[node.outputs[0]] = np.concatenate(parts)
    return True


def wanted_shape(builder: Builder, node: Node) -> tuple[tuple[int, ...] | None, bool]:
    """Return the shape that a Reshape asks for, and whether its first size is the number of images for sure.

    That is written as 0 then: as many as there are.
    """
    sizes = builder.sizes.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if sizes is None:
        return builder.integers(node, 1, "shape"), False
    numbers = tuple(np.atleast_1d(sizes).tolist())
    if BATCH in numbers[1:]:
        raise node.refused("puts the number of images into another size than the first")
    return (0, *numbers[1:]) if numbers[:1] == (BATCH,) else numbers, numbers[:1] == (BATCH,)


def _know(builder: Builder, node: Node, sizes: Sizes) -> None:
    """Let the output of a node be sizes: constants, unless the number of images is among them."""
    known = builder.sizes if BATCH in sizes else builder.constants
    known[node.outputs[0]] = sizes


def _sizes(builder: Builder, node: Node, index: int = 0) -> Sizes:
    """Return sizes that an input is, or integers of the file."""
    name = node.inputs[index] if index < len(node.inputs) else ""
    if name in builder.sizes:
        return builder.sizes[name]
    array = builder.constants.get(name)
    if array is None or array.dtype.kind not in "iu" or array.size > MOST_SIZES:
        raise node.refused(f"reads {name!r}, expected sizes that a Shape gives: no signal is taken apart")
    return array.astype(np.int64)
