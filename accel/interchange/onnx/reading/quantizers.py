"""What the quantisers of QONNX, QDQ and QCDQ become: a layer that rounds a signal, or the codes of a constant.

QuantizeLinear rounds to nearest, ties to even, then adds the zero point and saturates; QONNX's Quant adds the zero
point, saturates, then rounds by its attribute. With no zero point, or one that only moves the range, both give
``code * step`` with codes of one range.

Sources: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html; Pappalardo et al., "QONNX: Representing
Arbitrary-Precision Quantized Neural Networks" (arXiv 2206.07527).
"""

from dataclasses import replace

import numpy as np

from accel.fixedpoint import Rounding
from accel.interchange.onnx.reading.activations import clip
from accel.interchange.onnx.reading.builder import Builder, Value
from accel.interchange.onnx.reading.coded import Coded, Quantized, Stored, Units, along
from accel.interchange.onnx.reading.file import Node
from accel.interchange.onnx.reading.operators import OPERATORS, Function
from accel.interchange.onnx.reading.quantizer_parameters import (
    MOST_BITS,
    Rule,
    aligned,
    axis_of,
    bit_width,
    bits_of_constant,
    code_limits,
    dtype_limits,
    finite_constant,
    integer,
    integer_limits,
    number,
    one_step,
    one_zero,
    quant_rule,
    rounding_of,
    scale_and_zero,
)


def quant(builder: Builder, node: Node) -> None:
    """Quant, also called IntQuant: any width, and rounding by name."""
    rule = quant_rule(builder, node)
    if node.inputs[0] in builder.constants:
        values = finite_constant(builder, node)
        rule = aligned(node, rule, values.shape)
        coded = Coded(rule.codes(values), rule.steps.astype(np.float64), rule.axis, rule.bits)
        builder.code(node, coded)
        return
    value = builder.value(node, 0)
    builder.put(node, _layer(builder, node, value, rule, "scale"), value)


def bipolar(builder: Builder, node: Node) -> None:
    """BipolarQuant: refused."""
    raise node.refused("has the two codes -1 and 1 and none for zero; expected Quant with 2 bits or more")


def unscaled(builder: Builder, node: Node) -> None:
    """ConvInteger, MatMulInteger: refused, for what their sums are worth stands nowhere in the file."""
    raise node.refused(
        "gives sums whose scale the file does not hold; expected QDQ: DequantizeLinear before a Conv or MatMul. "
        "Of what espalier exported keep the sidecar beside it, or export with --format qcdq"
    )


def dynamic(builder: Builder, node: Node) -> None:
    """DynamicQuantizeLinear: refused."""
    raise node.refused("finds another scale for each image, a Program has one; quantise statically, as QDQ")


def trunc(builder: Builder, node: Node) -> None:
    """Trunc: low bits dropped from a signal whose codes are whole multiples of its scale."""
    second = len(node.inputs) == 6  # QONNX's second version has a scale of its own after the truncation
    if len(node.inputs) not in (5, 6):
        raise node.refused(f"has {len(node.inputs)} inputs, expected 5 or 6")
    scale, zero, taken = (number(builder, node, index) for index in (1, 2, 3))
    given = bit_width(builder, node, 5 if second else 4)
    if zero:
        raise node.refused(f"input 2 (zero_pt) is {zero:g}, expected 0")
    if second:
        step = number(builder, node, 4)
        dropped = int(np.round(np.log2(step / scale))) if min(step, scale) > 0 else -1
    else:
        step, dropped = scale, int(taken) - given
    if not scale > 0 or not 0 <= dropped <= MOST_BITS:
        raise node.refused(f"drops {dropped} bits of a scale of {scale:g}, expected 0..{MOST_BITS} of a positive one")
    signed = bool(node.get("signed", 1)) if second else True
    low, high = code_limits(node, given, signed, bool(node.get("narrow", 0))) if second else (None, None)
    value = builder.value(node)
    layer = Quantized(
        builder.new_name(node),
        (value.source,),
        step=float(np.float32(step)),
        read_step=float(np.float32(scale)) * 2.0**dropped,
        low=low,
        high=high,
        rounding=rounding_of(node, "FLOOR"),
        whole=float(np.float32(scale)),
        bits=given,
    )
    builder.put(node, layer, value)


def quantize_linear(builder: Builder, node: Node) -> None:
    """QuantizeLinear: of a constant its integers, of a signal its codes, which DequantizeLinear reads."""
    scale, zero = scale_and_zero(builder, node, 1)
    low, high = integer_limits(builder, node, 2, zero)
    if node.inputs[0] in builder.constants:
        values = finite_constant(builder, node)
        axis = axis_of(node, scale, values.shape)
        zeros = along(np.broadcast_to(zero, scale.shape), axis, values.ndim)
        codes = np.rint(values.astype(np.float32) / along(scale, axis, values.ndim)) + zeros
        builder.constants[node.outputs[0]] = np.clip(codes, low, high).astype(np.int64)
        builder.ranges[node.outputs[0]] = low, high
        return
    if (of := builder.values.get(node.inputs[0])) is not None and of.final:
        builder.alias(node, of)  # of scores: dropped with the Softmax before it
        return
    value = builder.value(node)
    step, zero_point = one_step(node, scale, "y_scale"), one_zero(node, zero)
    rule = Rule(step, None, low - zero_point, high - zero_point, Rounding.RND_CONV, (high - low).bit_length())
    layer = _layer(builder, node, value, rule, "y_scale")
    builder.put(node, layer, replace(value, units=Units(layer.step, zero_point)))


def dequantize_linear(builder: Builder, node: Node) -> None:
    """DequantizeLinear: of integers of the file a coded constant, of a signal's codes the signal."""
    scale, zero = scale_and_zero(builder, node, 1)
    name = node.inputs[0]
    if name in builder.constants:
        integers = builder.needed(node, 0)
        if integers.dtype.kind not in "iu":
            raise node.refused(f"input 0 must be integers, got {integers.dtype}")
        axis = axis_of(node, scale, integers.shape)
        zeros = along(np.broadcast_to(zero, scale.shape), axis, integers.ndim)
        codes = integers.astype(np.int64) - zeros.astype(np.int64)
        bits = bits_of_constant(builder, name, zero, codes)
        builder.code(node, Coded(codes, scale.astype(np.float64), axis, bits))
        return
    if (of := builder.values.get(name)) is not None and of.final:
        builder.alias(node, of)
        return
    value = builder.value(node, codes=True)
    if value.units is None:
        raise node.refused(f"reads {name!r}, expected integers of QuantizeLinear or of the file")
    found = Units(float(one_step(node, scale, "x_scale")[0]), one_zero(node, zero))
    if isinstance(value.units, Stored):
        ends = value.units.low - found.zero_point, value.units.high - found.zero_point
        bits = (value.units.high - value.units.low).bit_length()
        rule = Rule(scale, None, *ends, Rounding.RND_CONV, bits)
        layer = replace(_layer(builder, node, value, rule, "x_scale"), given=True)
        builder.put(node, layer, replace(value, units=None))
        return
    if found != value.units:
        raise node.refused(
            f"attribute x_scale, x_zero_point is {found.step:g}, {found.zero_point}; the codes that it reads have "
            f"{value.units.step:g}, {value.units.zero_point}"
        )
    builder.alias(node, replace(value, units=None))


def clip_codes(builder: Builder, node: Node) -> None:
    """Clip of integers, which gives them fewer bits; any other as in a float network."""
    name = node.inputs[0] if node.inputs else ""
    integers = name in builder.constants and builder.constants[name].dtype.kind in "iu"
    value = None if name in builder.constants else builder.value(node, codes=True)
    if not integers and (value is None or value.units is None):
        clip(builder, node)
        return
    low, high = (integer(builder, node, index, end) for index, end in ((1, -(1 << 62)), (2, 1 << 62)))
    if integers:
        builder.constants[node.outputs[0]] = np.clip(builder.constants[name].astype(np.int64), low, high)
        before = builder.ranges.get(name, dtype_limits(builder.constants[name].dtype))
        builder.ranges[node.outputs[0]] = max(low, before[0]), min(high, before[1])
        return
    assert value is not None  # the other case has returned
    assert value.units is not None
    layer = next((x for x in builder.layers if x.name == value.source), None)
    if not isinstance(layer, Quantized) or not builder.only_reader(node, 0, value):
        raise node.refused("clips integers that are no output of QuantizeLinear for it alone")
    assert layer.low is not None  # QuantizeLinear saturates
    assert layer.high is not None
    low, high = max(low - value.units.zero_point, layer.low), min(high - value.units.zero_point, layer.high)
    builder.replaced(replace(layer, low=low, high=high))
    builder.alias(node, value)


def transpose_constant(builder: Builder, node: Node) -> None:
    """Transpose of a coded constant; any other as in a float network."""
    name = node.inputs[0] if node.inputs else ""
    coded = builder.coded.get(name)
    if coded is None:
        OPERATORS["Transpose"](builder, node)
        return
    order = node.get("perm", tuple(range(coded.codes.ndim))[::-1])
    if sorted(order) != list(range(coded.codes.ndim)):
        raise node.refused(f"attribute perm is {order}, expected an order of {coded.codes.ndim} axes")
    axis = None if coded.axis is None else order.index(coded.axis)
    builder.code(node, Coded(coded.codes.transpose(order), coded.steps, axis, coded.bits))


def _layer(builder: Builder, node: Node, value: Value, rule: Rule, attribute: str) -> Quantized:
    (step,) = one_step(node, rule.steps, attribute)
    return Quantized(
        builder.new_name(node),
        (value.source,),
        step=float(step),
        read_step=float(step),
        low=rule.low,
        high=rule.high,
        rounding=rule.rounding,
        bits=rule.bits,
    )


QUANTIZED_OPERATORS: dict[str, Function] = OPERATORS | {
    "BipolarQuant": bipolar,
    "Clip": clip_codes,
    "ConvInteger": unscaled,
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic,
    "IntQuant": quant,
    "MatMulInteger": unscaled,
    "Quant": quant,
    "QuantizeLinear": quantize_linear,
    "Transpose": transpose_constant,
    "Trunc": trunc,
}
NEVER_READ = {"BipolarQuant", "ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"}  # known, to say what instead
