"""What the ONNX operators become that are functions of one signal: a ReLU, a bound, or a function that is tabulated."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from accel.interchange.onnx.reading.arithmetic import constant_side, multiply, part, subtract
from accel.interchange.onnx.reading.builder import Builder
from accel.interchange.onnx.reading.file import Node
from accel.interchange.onnx.reading.moving import scalar
from accel.layers import Activation, Clip, ReLU

Function = Callable[[Builder, Node], None]
SWISH = 1 / 6, 0.5  # the slope and the middle of HardSwish's HardSigmoid
MONOTONE = ("sigmoid", "tanh", "softplus")  # and steep everywhere: the highest score stays the highest


def relu(builder: Builder, node: Node) -> None:
    """Relu: negative values become zero."""
    value = builder.value(node)
    builder.put(node, ReLU(builder.new_name(node), (value.source,)), value)


def clip(builder: Builder, node: Node) -> None:
    """Clip from 0 to a positive number, as in ReLU6, or from 0 on."""
    value = builder.value(node)
    low, high = (scalar(node, builder.constant(node, index)) for index in (1, 2))
    if low != 0:
        raise node.refused(f"its lower bound (min) is {low}, expected 0")
    if high is None or high >= np.finfo(np.float32).max:
        builder.put(node, ReLU(builder.new_name(node), (value.source,)), value)
        return
    builder.put(node, Clip(builder.new_name(node), (value.source,), high), value)


def function(name: str, times_input: bool = False, **defaults: float) -> Function:
    """Return what reads an operator that is a function of its input, its parameters attributes with these defaults."""

    def read(builder: Builder, node: Node) -> None:
        parameters = tuple(float(node.get(attribute, value)) for attribute, value in defaults.items())
        _put(builder, node, name, parameters, times_input)

    read.__doc__ = "A function of one signal: a table of codes."
    return read


def hard_swish(builder: Builder, node: Node) -> None:
    """HardSwish: the input times a HardSigmoid."""
    _put(builder, node, "hard_sigmoid", SWISH, True)


def gelu(builder: Builder, node: Node) -> None:
    """Gelu: the input times the probability of a normal variable below it, or nearly that."""
    kind = node.get("approximate", "none")
    if kind not in ("none", "tanh"):
        raise node.refused(f"attribute approximate is {kind!r}, expected none or tanh")
    _put(builder, node, "normal_probability" if kind == "none" else "nearly_normal_probability", (), True)


def prelu(builder: Builder, node: Node) -> None:
    """PRelu: a LeakyRelu, or with a slope for each map ``relu(x) - slope * relu(-x)``."""
    slopes = builder.needed(node, 1)
    if slopes.dtype.kind == "f" and slopes.size and (slopes == slopes.flat[0]).all() and np.isfinite(slopes).all():
        _put(builder, node, "leaky_relu", (float(slopes.flat[0]),), False)
        return
    base = node.outputs[0]
    builder.constants[f"{base}/minus"] = np.array([-1], np.float32)
    builder.note_readers([node.inputs[0]])  # it is read twice
    above = part(builder, node, "Relu", node.inputs[:1], 1, relu)
    turned = part(builder, node, "Mul", (node.inputs[0], f"{base}/minus"), 2, multiply)
    below = part(builder, node, "Relu", (turned,), 3, relu)
    scaled = part(builder, node, "Mul", (below, node.inputs[1]), 4, multiply)
    subtract(builder, replace(node, inputs=(above, scaled)))


def product(builder: Builder, node: Node) -> None:
    """Mul by a constant for each map, or of a signal with a function of it, as SiLU is written."""
    if constant_side(builder, node) is None and not builder.quantized:
        values = builder.value(node, 0), builder.value(node, 1)
        for index, (factor, value) in enumerate((values, values[::-1])):
            layer = next((x for x in builder.layers if x.name == factor.source), None)
            if (
                isinstance(layer, Activation)
                and layer.inputs == (value.source,)
                and factor.view == value.view
                and not layer.times_input
                and builder.only_reader(node, index, factor)
            ):
                builder.replaced(replace(layer, times_input=True))
                builder.alias(node, factor)
                return
    multiply(builder, node)


def _put(builder: Builder, node: Node, name: str, parameters: tuple[float, ...], times_input: bool) -> None:
    value = builder.value(node)
    ends = [output for output in builder.graph.outputs if output in node.outputs]
    scores = len(builder.shape(value)) == 1 and name in MONOTONE and not times_input
    if ends and scores and builder.readers[ends[0]] == len(ends):
        builder.notes.append(f"{node}: dropped, the highest score is the same without")
        builder.alias(node, replace(value, final=True))
        return
    layer = Activation(builder.new_name(node), (value.source,), name, parameters, times_input)
    builder.put(node, layer, value)


ACTIVATIONS: dict[str, Function] = {
    "Clip": clip,
    "Elu": function("elu", alpha=1.0),
    "Gelu": gelu,
    "HardSigmoid": function("hard_sigmoid", alpha=0.2, beta=0.5),
    "HardSwish": hard_swish,
    "LeakyRelu": function("leaky_relu", alpha=0.01),
    "Mul": product,
    "PRelu": prelu,
    "Relu": relu,
    "Sigmoid": function("sigmoid"),
    "Softplus": function("softplus"),
    "Tanh": function("tanh"),
}
