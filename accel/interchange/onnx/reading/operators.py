"""What each ONNX operator becomes: one function for each, which reads a node and adds layers.

The operators are those of opset 13 on (https://onnx.ai/onnx/operators/). What a function does not say it can do, it
refuses, with the node and the attribute.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from accel.interchange.onnx.reading.activations import ACTIVATIONS
from accel.interchange.onnx.reading.arithmetic import add, batch_normalization, divide, subtract, total
from accel.interchange.onnx.reading.builder import NO_PAD, Builder, Value, in_order, vector
from accel.interchange.onnx.reading.enlarging import conv_transpose, depth_to_space, resize, space_to_depth
from accel.interchange.onnx.reading.file import Constant, Node
from accel.interchange.onnx.reading.layouts import concat, flatten, reshape, squeeze, transpose, unsqueeze
from accel.interchange.onnx.reading.moving import pad, slice_, split
from accel.interchange.onnx.reading.shapes import cast, gather, shape
from accel.interchange.onnx.reading.views import channels_last, plain
from accel.interchange.onnx.reading.windows import conv_window, in_two_directions, pool_window, spread_taps
from accel.layers import (
    AvgPool,
    Clip,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    ReLU,
)
from accel.window import Window

Function = Callable[[Builder, Node], None]


def conv(builder: Builder, node: Node) -> None:
    """Conv: any kernel, strides, pads, dilations and groups, in one direction or two."""
    value = builder.maps(node, pad=True)
    node = in_two_directions(node, len(value.view))
    weight = builder.floats(node, 1, len(value.view) + 1)
    weight = weight.reshape(*weight.shape[:2], *(*weight.shape[2:], 1)[:2])
    bias = np.zeros(len(weight), np.float32) if builder.constant(node, 2) is None else builder.floats(node, 2, 1)
    window = conv_window(node, weight.shape[2:], builder.shape(value)[1:], value.pad)
    builder.reserve(4 * weight.shape[0] * weight.shape[1] * window.taps if window.kernel != weight.shape[2:] else 0)
    weight = spread_taps(weight, window.kernel)
    name, groups = builder.new_name(node), node.get("group", 1)
    layer = Conv2d(name, (value.source,), weight=weight, bias=bias, window=window, groups=groups)
    builder.put(node, layer, replace(value, pad=NO_PAD))
    _note_constants(builder, node, name, node.inputs[2:3])


def gemm(builder: Builder, node: Node) -> None:
    """Gemm: alpha * signal x matrix + beta * bias; the signal is not transposed."""
    value = _features(builder, node)
    matrix, alpha = builder.floats(node, 1, 2), node.get("alpha", 1.0)
    matrix = matrix if alpha == 1 else matrix.astype(np.float64) * alpha  # no copy of millions of weights
    if node.get("transA", 0):
        raise node.refused("attribute transA is 1, expected 0: the batch is the first dimension")
    weight = matrix if node.get("transB", 0) else matrix.T
    given = builder.constant(node, 2)
    shift = np.zeros(1) if given is None else given * node.get("beta", 1.0)
    _linear(builder, node, value, weight, vector(node, shift, (1, len(weight)), 1), node.inputs[2:3])


def matmul(builder: Builder, node: Node) -> None:
    """MatMul of a signal with a constant matrix; an Add after it becomes its bias."""
    if len(node.inputs) > 1 and node.inputs[1] in builder.values:
        raise node.refused(_ATTENTION)
    value = _features(builder, node)
    weight = builder.floats(node, 1, 2).T
    _linear(builder, node, value, weight, np.zeros(len(weight)))


def max_pool(builder: Builder, node: Node) -> None:
    """MaxPool; zeros that a Pad puts around what a ReLU gives never win either."""
    builder.check_outputs_used(node)
    value = builder.maps(node, pad=True, codes=True)
    before = {layer.name: layer for layer in builder.layers}.get(value.source)
    if value.pad != NO_PAD and not isinstance(before, ReLU | Clip):  # zeros may win
        value = builder.maps(node, codes=True)
    node = in_two_directions(node, len(value.view))
    window = pool_window(node, builder.shape(value)[1:], value.pad, extends=True)
    builder.put(node, MaxPool(builder.new_name(node), (value.source,), window), replace(value, pad=NO_PAD))


def average_pool(builder: Builder, node: Node) -> None:
    """AveragePool whose divisor is the same everywhere: without padding, or with the padding counted."""
    value = builder.maps(node, pad=True)
    node = in_two_directions(node, len(value.view))
    window = pool_window(node, builder.shape(value)[1:], value.pad, extends=False)
    if window.padding != value.pad and not node.get("count_include_pad", 0):
        raise node.refused(
            "attribute count_include_pad is 0 with padding: divisors differ at the edges; expected 1, or a Pad before"
        )
    builder.put(node, AvgPool(builder.new_name(node), (value.source,), window), replace(value, pad=NO_PAD))


def global_average_pool(builder: Builder, node: Node) -> None:
    """GlobalAveragePool: the mean of each map."""
    value = builder.maps(node)
    builder.put(node, GlobalAvgPool(builder.new_name(node), (value.source,)), value)


def global_max_pool(builder: Builder, node: Node) -> None:
    """GlobalMaxPool: the highest value of each map."""
    value = builder.maps(node, codes=True)
    _, height, width = builder.shape(value)
    window = Window((height, width), (height, width))
    builder.put(node, MaxPool(builder.new_name(node), (value.source,), window), value)


def reduce_mean(builder: Builder, node: Node) -> None:
    """ReduceMean over height and width: a global average pool, and a flatten if the dimensions go."""
    value = builder.ordered(node)
    axes, last = builder.integers(node, 1, "axes"), builder.is_last(value)
    rank, counted = len(value.view) + 1, builder.map_axis(value)
    pixels = set(range(1, rank)) - {0 if counted is None else counted[0] + 1}
    if len(builder.shape(value)) != 3 or counted is None or {axis % rank for axis in axes or ()} != pixels:
        raise node.refused(f"attribute axes is {axes}, expected {tuple(sorted(pixels))}: height and width of maps")
    layer = GlobalAvgPool(builder.new_name(node), (value.source,))
    if node.get("keepdims", 1):
        builder.put(node, layer, value if rank == 3 else None)
        if last:
            builder.alias(node, Value(layer.name, channels_last(builder.shapes[layer.name])))
        return
    builder.append(node, layer)
    builder.put(node, Flatten(builder.new_name(node, ".flat"), (layer.name,)))


def identity(builder: Builder, node: Node) -> None:
    """Identity, and Dropout, which is one when the network is used."""
    builder.check_outputs_used(node)
    training = builder.constant(node, 2) if node.op == "Dropout" else None
    if training is not None and training.any():
        raise node.refused("input training_mode is true, expected false")
    if node.inputs and node.inputs[0] in builder.constants:
        builder.constants[node.outputs[0]] = builder.constants[node.inputs[0]]
    else:
        builder.alias(node, builder.value(node, pad=True, codes=True))


def ending(builder: Builder, node: Node) -> None:
    """Softmax, LogSoftmax or ArgMax at the end: dropped, for the highest score is the same without."""
    value = builder.value(node)
    rank = len(builder.shape(value)) + 1
    default = 0 if node.op == "ArgMax" else -1
    if node.get("axis", default) not in (1, 1 - rank):
        raise node.refused(f"attribute axis is {node.get('axis', default)}, expected 1: the classes")
    builder.notes.append(f"{node}: dropped, the highest score is the same without")
    builder.alias(node, replace(value, final=True))


def constant(builder: Builder, node: Node) -> None:
    """Constant: a tensor or a number that the file holds."""
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if node.get(name) is not None:
            found = node.get(name)
            kind = np.float32 if "float" in name else None
            builder.constants[node.outputs[0]] = np.asarray(found, kind)
            return
    raise node.refused("holds no number")


def _features(builder: Builder, node: Node) -> Value:
    value = builder.value(node)
    if len(builder.shape(value)) != 1 or len(value.view) != 1:
        raise node.refused(f"expects features (batch, features), gets the shape {value.graph_shape}")
    return value


def _note_constants(builder: Builder, node: Node, layer: str, biases: Sequence[str]) -> None:
    """Remember which constants a layer has its numbers from."""
    builder.weights[layer] = node.inputs[1]
    builder.biases[layer] = [(1, name) for name in biases if name]


def _linear(
    builder: Builder, node: Node, value: Value, weight: Constant, bias: Constant, biases: Sequence[str] = ()
) -> None:
    (axis,) = value.view
    if value.view != plain(builder.shape(value)) and weight.shape[1:] == value.graph_shape:
        weight = in_order(weight.T, axis).T
    layer = Linear(builder.new_name(node), (value.source,), weight=weight, bias=bias)
    builder.put(node, layer)
    _note_constants(builder, node, layer.name, biases)


OPERATORS: dict[str, Function] = ACTIVATIONS | {
    "Add": add,
    "ArgMax": ending,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Concat": concat,
    "Constant": constant,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "Div": divide,
    "Dropout": identity,
    "Flatten": flatten,
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "Identity": identity,
    "LogSoftmax": ending,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Reshape": reshape,
    "Resize": resize,
    "Shape": shape,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Sum": total,
    "Softmax": ending,
    "Squeeze": squeeze,
    "Sub": subtract,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Upsample": resize,
}

FLOATS_ALONE = frozenset(ACTIVATIONS) - {"Clip", "Mul", "Relu"} | {
    "ConvTranspose", "DepthToSpace", "Resize", "SpaceToDepth", "Split", "Upsample",
}  # fmt: skip
"""Operators for which a quantised graph has no codes."""

_ITS_OWN_MEAN = (
    "normalises each image by numbers of its own, which a Program has not; train with batch norm, or cut the network "
    "before with --outputs"
)
_ATTENTION = "is attention, which multiplies two signals; a Program has no layer for it: cut the network with --outputs"
_BRANCHES = "runs one part of the graph or another; export with fixed sizes, or simplify the file (onnxsim)"
_STATE = "keeps a state from step to step, which a Program has not"
WITHOUT_LAYER: dict[str, str] = {  # why an operator is not read, and the way around it
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"), _ITS_OWN_MEAN),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization", "LRN", "MeanVarianceNormalization"), _ITS_OWN_MEAN),
    **dict.fromkeys(("Attention", "MultiHeadAttention", "RotaryEmbedding"), _ATTENTION),
    **dict.fromkeys(("If", "Loop", "Scan"), _BRANCHES),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _STATE),
    "Erf": "is part of a GELU that was written as several operators; export with opset 20, which has Gelu",
    "Einsum": "multiplies signals by a formula of its own; write it as MatMul or Conv",
}
