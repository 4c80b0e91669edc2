"""What each ONNX operator becomes: one function for each, which reads a node and adds layers.

The operators are those of opset 13 on (https://onnx.ai/onnx/operators/). What a function does not say it can do, it
refuses, with the node and the attribute.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from accel.interchange.onnx.reading.builder import NO_PAD, Builder, Value, in_order, vector
from accel.interchange.onnx.reading.file import Constant, Node
from accel.interchange.onnx.reading.layouts import concat, flatten, reshape, squeeze, transpose, unsqueeze
from accel.interchange.onnx.reading.shapes import (
    cast,
    gather,
    shape,
    slice_,
)
from accel.interchange.onnx.reading.views import channels_last, order_of, plain
from accel.interchange.onnx.reading.windows import conv_window, pool_window, summed
from accel.layers import (
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    ReLU,
    Weighted,
)

Function = Callable[[Builder, Node], None]


def conv(builder: Builder, node: Node) -> None:
    """Conv: any pads and strides, groups; no dilation."""
    value = builder.maps(node, pad=True)
    weight = builder.floats(node, 1, 4)
    bias = np.zeros(len(weight), np.float32) if builder.constant(node, 2) is None else builder.floats(node, 2, 1)
    window = conv_window(node, weight.shape[2:], builder.shape(value)[1:], value.pad)
    name, groups = builder.new_name(node), node.get("group", 1)
    layer = Conv2d(name, (value.source,), weight=weight, bias=bias, window=window, groups=groups)
    builder.put(node, layer)
    _note_constants(builder, node, name, node.inputs[2:3])


def gemm(builder: Builder, node: Node) -> None:
    """Gemm: alpha * signal x matrix + beta * bias; the signal is not transposed."""
    value = _features(builder, node)
    matrix = builder.floats(node, 1, 2).astype(np.float64) * node.get("alpha", 1.0)
    if node.get("transA", 0):
        raise node.refused("attribute transA is 1, expected 0: the batch is the first dimension")
    weight = matrix if node.get("transB", 0) else matrix.T
    given = builder.constant(node, 2)
    shift = np.zeros(1) if given is None else given * node.get("beta", 1.0)
    _linear(builder, node, value, weight, vector(node, shift, (1, len(weight)), 1), node.inputs[2:3])


def matmul(builder: Builder, node: Node) -> None:
    """MatMul of a signal with a constant matrix; an Add after it becomes its bias."""
    value = _features(builder, node)
    weight = builder.floats(node, 1, 2).T
    _linear(builder, node, value, weight, np.zeros(len(weight)))


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
    if any(array.shape != found[1].shape for array in numbers):
        raise node.refused(f"normalises {[len(array) for array in numbers]} maps, gets {len(found[1])}")
    scale, shift, mean, variance = (in_order(array, found[1]) for array in numbers)
    epsilon = node.get("epsilon", 1e-5)
    layer = BatchNorm(builder.new_name(node), (value.source,), scale, shift, mean, variance, epsilon)
    builder.put(node, layer, value)


def add(builder: Builder, node: Node) -> None:
    """Add of two signals, or of a constant for each map, which becomes a bias where it can."""
    if (constant := _constant_side(builder, node)) is not None:
        _affine(builder, node, 1 - constant, shift=builder.needed(node, constant))
        return
    left, right = builder.value(node, 0), builder.value(node, 1)
    if left.view != right.view:
        raise node.refused("adds two tensors of different layouts")
    builder.put(node, Add(builder.new_name(node), (left.source, right.source)), left)


def subtract(builder: Builder, node: Node) -> None:
    """Sub of a constant for each map."""
    _affine(builder, node, 0, shift=-builder.needed(node, 1).astype(np.float64))


def multiply(builder: Builder, node: Node) -> None:
    """Mul by a constant for each map."""
    constant = _constant_side(builder, node)
    if constant is None:
        raise node.refused("multiplies two signals, expected a signal and a constant")
    _affine(builder, node, 1 - constant, scale=builder.needed(node, constant))


def divide(builder: Builder, node: Node) -> None:
    """Div by a constant for each map."""
    with np.errstate(divide="ignore", invalid="ignore"):
        _affine(builder, node, 0, scale=1 / builder.needed(node, 1).astype(np.float64))


def relu(builder: Builder, node: Node) -> None:
    """Relu: negative values become zero."""
    value = builder.value(node)
    builder.put(node, ReLU(builder.new_name(node), (value.source,)), value)


def clip(builder: Builder, node: Node) -> None:
    """Clip from 0 to a positive number, as in ReLU6, or from 0 on."""
    value = builder.value(node)
    low, high = (_scalar(node, builder.constant(node, index)) for index in (1, 2))
    if low != 0:
        raise node.refused(f"its lower bound (min) is {low}, expected 0")
    if high is None or high >= np.finfo(np.float32).max:
        builder.put(node, ReLU(builder.new_name(node), (value.source,)), value)
        return
    builder.put(node, Clip(builder.new_name(node), (value.source,), high), value)


def max_pool(builder: Builder, node: Node) -> None:
    """MaxPool; zeros that a Pad puts around what a ReLU gives never win either."""
    builder.check_outputs_used(node)
    value = builder.maps(node, pad=True, codes=True)
    before = {layer.name: layer for layer in builder.layers}.get(value.source)
    if value.pad != NO_PAD and not isinstance(before, ReLU | Clip):
        raise node.refused("a Pad with zeros stands before it, which are not less than every value")
    window = pool_window(node, builder.shape(value)[1:], value.pad, extends=True)
    builder.put(node, MaxPool(builder.new_name(node), (value.source,), window), value)


def average_pool(builder: Builder, node: Node) -> None:
    """AveragePool whose divisor is the same everywhere: without padding, or with the padding counted."""
    value = builder.maps(node, pad=True)
    window = pool_window(node, builder.shape(value)[1:], value.pad, extends=False)
    if window.padding != value.pad and not node.get("count_include_pad", 0):
        raise node.refused("attribute count_include_pad is 0 with padding: divisors differ at the edges; expected 1")
    builder.put(node, AvgPool(builder.new_name(node), (value.source,), window))


def global_average_pool(builder: Builder, node: Node) -> None:
    """GlobalAveragePool: the mean of each map."""
    value = builder.maps(node)
    builder.put(node, GlobalAvgPool(builder.new_name(node), (value.source,)))


def reduce_mean(builder: Builder, node: Node) -> None:
    """ReduceMean over height and width: a global average pool, and a flatten if the dimensions go."""
    value = builder.value(node)
    axes = builder.integers(node, 1, "axes")
    last = builder.is_last(value)
    expected = (1, 2) if last else (2, 3)
    if len(builder.shape(value)) != 3 or axes is None or tuple(sorted(axis % 4 for axis in axes)) != expected:
        raise node.refused(f"attribute axes is {axes}, expected {expected}: height and width of maps")
    layer = GlobalAvgPool(builder.new_name(node), (value.source,))
    if node.get("keepdims", 1):
        builder.put(node, layer)
        if last:
            builder.alias(node, Value(layer.name, channels_last(builder.shapes[layer.name])))
        return
    builder.append(node, layer)
    builder.put(node, Flatten(builder.new_name(node, ".flat"), (layer.name,)))


def pad(builder: Builder, node: Node) -> None:
    """Pad with zeros at the sides of maps, which the next convolution or pool takes in."""
    value = builder.value(node, pad=True)
    widths, fill = builder.integers(node, 1, "pads"), _scalar(node, builder.constant(node, 2))
    if node.get("mode", "constant") != "constant" or fill not in (None, 0.0) or builder.constant(node, 3) is not None:
        raise node.refused("pads with something else than zeros, or some axes only; expected zeros, and all axes")
    if len(builder.shape(value)) != 3 or widths is None or len(widths) != 8 or min(widths) < 0:
        raise node.refused(f"attribute pads is {widths}, expected 8 numbers, none negative, for maps")
    first = 1 if builder.is_last(value) else 2  # the axis of the height
    spatial = (widths[first], widths[first + 1], widths[4 + first], widths[5 + first])
    if sum(spatial) != sum(widths):
        raise node.refused(f"attribute pads is {widths}: adds images or maps, expected rows and columns only")
    builder.alias(node, replace(value, pad=summed(value.pad, spatial)))


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
        weight = in_order(weight.T, order_of(axis)).T
    layer = Linear(builder.new_name(node), (value.source,), weight=weight, bias=bias)
    builder.put(node, layer)
    _note_constants(builder, node, layer.name, biases)


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
    axis, order = found
    numbers = in_order(vector(node, given, (1, *value.graph_shape), axis + 1).astype(np.float32), order)
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


def _constant_side(builder: Builder, node: Node) -> int | None:
    """Return which of two inputs is a constant, or None."""
    if len(node.inputs) != 2:
        raise node.refused(f"has {len(node.inputs)} inputs, expected 2")
    return next((index for index in (1, 0) if node.inputs[index] in builder.constants), None)


def _scalar(node: Node, array: Constant | None) -> float | None:
    if array is None or array.size == 0:
        return None
    if array.size != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise node.refused(f"expected one number, got {array.dtype} {array.shape}")
    return float(array.ravel()[0])


OPERATORS: dict[str, Function] = {
    "Add": add,
    "ArgMax": ending,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Clip": clip,
    "Concat": concat,
    "Constant": constant,
    "Conv": conv,
    "Div": divide,
    "Dropout": identity,
    "Flatten": flatten,
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": identity,
    "LogSoftmax": ending,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Mul": multiply,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": relu,
    "Reshape": reshape,
    "Shape": shape,
    "Slice": slice_,
    "Softmax": ending,
    "Squeeze": squeeze,
    "Sub": subtract,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
