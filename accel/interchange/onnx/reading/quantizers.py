"""What the quantisers of QONNX, QDQ and QCDQ become: a layer that rounds a signal, or the codes of a constant.

QuantizeLinear rounds to nearest, ties to even, then adds the zero point and saturates; QONNX's Quant adds the zero
point, saturates, then rounds by its attribute. With no zero point, or one that only moves the range, both give
``code * step`` with codes of one range.

Sources: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html; Pappalardo et al., "QONNX: Representing
Arbitrary-Precision Quantized Neural Networks" (arXiv 2206.07527).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.fixedpoint import Rounding
from accel.interchange.onnx.reading.builder import Builder, Value
from accel.interchange.onnx.reading.coded import Coded, Quantized, Units, along
from accel.interchange.onnx.reading.file import Constant, Node
from accel.interchange.onnx.reading.operators import OPERATORS, Function, clip, conv, matmul

QONNX_ROUNDING = {
    "ROUND": Rounding.RND_CONV,
    "HALF_EVEN": Rounding.RND_CONV,
    "HALF_UP": Rounding.RND_INF,  # away from zero, whatever its name says
    "HALF_DOWN": Rounding.RND_ZERO,
    "FLOOR": Rounding.TRN,
    "DOWN": Rounding.TRN_ZERO,
}
MOST_BITS = 32  # of a quantiser


@dataclass(frozen=True)
class Rule:
    """How a quantiser makes codes: ``saturate(round(value / step))`` to `low`..`high`, for each index of `axis`."""

    steps: NDArray[np.float32]
    axis: int | None
    low: int
    high: int
    rounding: Rounding
    bits: int

    def codes(self, values: Constant) -> NDArray[np.int64]:
        """Return the codes of a constant, divided in float32 as runtimes do."""
        with np.errstate(over="ignore"):
            quotients = values.astype(np.float32) / along(self.steps, self.axis, values.ndim)
        return np.clip(_rounded(quotients, self.rounding), self.low, self.high).astype(np.int64)


def quant(builder: Builder, node: Node) -> None:
    """Quant, also called IntQuant: any width, and rounding by name."""
    rule = _quant_rule(builder, node)
    if node.inputs[0] in builder.constants:
        values = _finite(builder, node)
        rule = _aligned(node, rule, values.shape)
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
    second = len(node.inputs) == 6  # QONNX's second version has a scale of its own behind the truncation
    if len(node.inputs) not in (5, 6):
        raise node.refused(f"has {len(node.inputs)} inputs, expected 5 or 6")
    scale, zero, taken = (_number(builder, node, index) for index in (1, 2, 3))
    given = _bits(builder, node, 5 if second else 4)
    if zero:
        raise node.refused(f"input 2 (zero_pt) is {zero:g}, expected 0")
    if second:
        step = _number(builder, node, 4)
        dropped = int(np.round(np.log2(step / scale))) if min(step, scale) > 0 else -1
    else:
        step, dropped = scale, int(taken) - given
    if not scale > 0 or not 0 <= dropped <= MOST_BITS:
        raise node.refused(f"drops {dropped} bits of a scale of {scale:g}, expected 0..{MOST_BITS} of a positive one")
    signed = bool(node.get("signed", 1)) if second else True
    low, high = _range(node, given, signed, bool(node.get("narrow", 0))) if second else (None, None)
    value = builder.value(node)
    layer = Quantized(
        builder.new_name(node),
        (value.source,),
        step=float(np.float32(step)),
        read_step=float(np.float32(scale)) * 2.0**dropped,
        low=low,
        high=high,
        rounding=_rounding(node, "FLOOR"),
        whole=float(np.float32(scale)),
        bits=given,
    )
    builder.put(node, layer, value)


def quantize_linear(builder: Builder, node: Node) -> None:
    """QuantizeLinear: of a constant its integers, of a signal its codes, which DequantizeLinear reads."""
    scale, zero = _scale_and_zero(builder, node, 1)
    low, high = _limits(builder, node, 2, zero)
    if node.inputs[0] in builder.constants:
        values = _finite(builder, node)
        axis = _axis(node, scale, values.shape)
        zeros = along(np.broadcast_to(zero, scale.shape), axis, values.ndim)
        codes = np.rint(values.astype(np.float32) / along(scale, axis, values.ndim)) + zeros
        builder.constants[node.outputs[0]] = np.clip(codes, low, high).astype(np.int64)
        builder.ranges[node.outputs[0]] = low, high
        return
    value = builder.value(node)
    step, zero_point = _one_step(node, scale, "y_scale"), _one_zero(node, zero)
    rule = Rule(step, None, low - zero_point, high - zero_point, Rounding.RND_CONV, (high - low).bit_length())
    layer = _layer(builder, node, value, rule, "y_scale")
    builder.put(node, layer, replace(value, units=Units(layer.step, zero_point)))


def dequantize_linear(builder: Builder, node: Node) -> None:
    """DequantizeLinear: of integers of the file a coded constant, of a signal's codes the signal."""
    scale, zero = _scale_and_zero(builder, node, 1)
    name = node.inputs[0]
    if name in builder.constants:
        integers = builder.needed(node, 0)
        if integers.dtype.kind not in "iu":
            raise node.refused(f"input 0 must be integers, got {integers.dtype}")
        axis = _axis(node, scale, integers.shape)
        zeros = along(np.broadcast_to(zero, scale.shape), axis, integers.ndim)
        codes = integers.astype(np.int64) - zeros.astype(np.int64)
        bits = _bits_of(builder, name, zero, codes)
        builder.code(node, Coded(codes, scale.astype(np.float64), axis, bits))
        return
    value = builder.value(node, codes=True)
    if value.units is None:
        raise node.refused(f"reads {name!r}, expected integers of QuantizeLinear or of the file")
    found = Units(float(_one_step(node, scale, "x_scale")[0]), _one_zero(node, zero))
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
    low, high = (_integer(builder, node, index, end) for index, end in ((1, -(1 << 62)), (2, 1 << 62)))
    if integers:
        builder.constants[node.outputs[0]] = np.clip(builder.constants[name].astype(np.int64), low, high)
        before = builder.ranges.get(name, _dtype_range(builder.constants[name].dtype))
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


def qlinear_conv(builder: Builder, node: Node) -> None:
    """QLinearConv: a convolution between quantisers."""
    _qlinear(builder, node, "Conv", conv)


def qlinear_matmul(builder: Builder, node: Node) -> None:
    """QLinearMatMul: a matrix product between quantisers."""
    _qlinear(builder, node, "MatMul", matmul)


def _qlinear(builder: Builder, node: Node, op: str, function: Function) -> None:
    """Read an integer operator as the nodes of QDQ that it stands for (its own definition)."""
    if len(node.inputs) < 8:
        raise node.refused(f"has {len(node.inputs)} inputs, expected 8 or more")
    if node.inputs[3] not in builder.constants:
        raise node.refused(f"input 3 ({node.inputs[3]!r}) must be a constant of the file: its weights")
    base = node.outputs[0]
    names = {part: f"{base}/{part}" for part in ("x", "w", "b", "y")}
    attributes = dict(node.attributes)

    def part(kind: str, inputs: tuple[str, ...], output: str, **settings: object) -> Node:
        return Node(kind, "", node.name or base, inputs, (output,), settings)

    dequantize_linear(builder, part("DequantizeLinear", node.inputs[:3], names["x"]))
    axis = 0 if op == "Conv" else 1
    dequantize_linear(builder, part("DequantizeLinear", node.inputs[3:6], names["w"], axis=axis))
    inputs = [names["x"], names["w"]]
    if len(node.inputs) > 8 and node.inputs[8]:
        weight, step = builder.coded[names["w"]], float(builder.needed(node, 1).ravel()[0])
        bias = builder.needed(node, 8)
        if bias.dtype.kind not in "iu" or bias.ndim != 1:
            raise node.refused(f"input 8 must be a list of integers, got {bias.dtype} {bias.shape}")
        steps = (np.float32(step) * weight.steps.astype(np.float32)).astype(np.float64)
        inputs.append(names["b"])
        coded = Coded(bias.astype(np.int64), steps, 0 if steps.size > 1 else None, MOST_BITS)
        builder.code(part("DequantizeLinear", (), names["b"]), coded)
    builder.note_readers(names.values())
    function(builder, Node(op, "", node.name or base, tuple(inputs), (names["y"],), attributes))
    quantize_linear(builder, part("QuantizeLinear", (names["y"], *node.inputs[6:8]), base))


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


def _finite(builder: Builder, node: Node) -> Constant:
    """Return the constant that a quantiser reads, which must be of finite floats."""
    values = builder.floats(node, 0, builder.constants[node.inputs[0]].ndim)
    if not np.isfinite(values).all():
        raise node.refused("input 0 holds a value that is not finite")
    return values


def _layer(builder: Builder, node: Node, value: Value, rule: Rule, attribute: str) -> Quantized:
    (step,) = _one_step(node, rule.steps, attribute)
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


def _quant_rule(builder: Builder, node: Node) -> Rule:
    steps = builder.needed(node, 1)
    if steps.dtype.kind != "f" or not (np.isfinite(steps).all() and steps.size and (steps > 0).all()):
        raise node.refused("input 1 (scale) must be positive numbers")
    bits, rounding = _bits(builder, node, 3), _rounding(node, "ROUND")
    low, high = _range(node, bits, bool(node.get("signed", 1)), bool(node.get("narrow", 1)))
    zero = _number(builder, node, 2)
    if zero:
        moves = zero == int(zero) and (rounding == Rounding.TRN or (rounding == Rounding.RND_CONV and zero % 2 == 0))
        if not moves:
            raise node.refused(f"input 2 (zeropt) is {zero:g}, which does more than move the range; expected 0")
        low, high = low - int(zero), high - int(zero)
    return Rule(steps.astype(np.float32), None, low, high, rounding, bits)


def _aligned(node: Node, rule: Rule, shape: tuple[int, ...]) -> Rule:
    """Return the rule of a constant of this shape, which may have a step for each index of one axis."""
    steps = rule.steps
    if steps.size == 1:
        return replace(rule, steps=steps.reshape(1))
    wide = (1,) * (len(shape) - steps.ndim) + steps.shape
    axes = [index for index, size in enumerate(wide) if size > 1]
    if len(wide) != len(shape) or len(axes) != 1 or wide[axes[0]] != shape[axes[0]]:
        raise node.refused(f"input 1 (scale) has the shape {steps.shape}, expected one axis of {shape}")
    return replace(rule, steps=steps.ravel(), axis=axes[0])


def _range(node: Node, bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    if signed and bits == 1:
        raise node.refused("has 1 bit with a sign, the codes -1 and 1 and none for zero; expected 2 bits or more")
    if signed:
        return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


def _rounding(node: Node, default: str) -> Rounding:
    name = node.get("rounding_mode", default).upper()
    if name not in QONNX_ROUNDING:
        raise node.refused(f"attribute rounding_mode is {name}, expected one of {', '.join(QONNX_ROUNDING)}")
    return QONNX_ROUNDING[name]


def _rounded(quotients: NDArray[Any], rounding: Rounding) -> NDArray[Any]:
    """Return floats rounded to integers, by the modes that quantisers have."""
    magnitude = np.abs(quotients).astype(np.float64)
    functions: dict[Rounding, Callable[[], NDArray[Any]]] = {
        Rounding.RND_CONV: lambda: np.rint(quotients),
        Rounding.RND_INF: lambda: np.sign(quotients) * np.floor(magnitude + 0.5),
        Rounding.RND_ZERO: lambda: np.sign(quotients) * np.ceil(magnitude - 0.5),
        Rounding.TRN: lambda: np.floor(quotients),
        Rounding.TRN_ZERO: lambda: np.trunc(quotients),
    }
    return functions[rounding]()


def _scale_and_zero(builder: Builder, node: Node, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    scale, zero = builder.needed(node, index), builder.constant(node, index + 1)
    if node.get("block_size", 0):
        raise node.refused(f"attribute block_size is {node.get('block_size')}, expected 0: no step for each block")
    with np.errstate(over="ignore"):
        steps = np.atleast_1d(scale).astype(np.float32)
    if scale.dtype.kind != "f" or steps.ndim != 1 or not (steps.size and np.isfinite(steps).all() and steps.min() > 0):
        raise node.refused(f"input {index} (scale) must be one positive number or a list, got {scale.dtype}")
    if zero is None:
        return steps, np.zeros(1, np.int64)
    if zero.dtype.kind not in "iu" or zero.size not in (1, steps.size):
        raise node.refused(f"input {index + 1} (zero_point) must be integers like the scale, got {zero.dtype}")
    return steps, zero.ravel().astype(np.int64)


def _limits(builder: Builder, node: Node, index: int, zero: NDArray[np.int64]) -> tuple[int, int]:
    """Return the range of the integers, which are of the type of the zero point."""
    if index < len(node.inputs) and node.inputs[index]:
        name = node.inputs[index]
        return builder.ranges.get(name, _dtype_range(builder.constants[name].dtype))
    if node.get("output_dtype", 0) not in (0, 2):  # 2 is ONNX's number of uint8
        raise node.refused(f"attribute output_dtype is {node.get('output_dtype')}, expected a zero point of that type")
    return 0, 255


def _dtype_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _axis(node: Node, scale: NDArray[np.float32], shape: tuple[int, ...]) -> int | None:
    """Return along which axis of a constant of `shape` a scale has its numbers."""
    if scale.size == 1:
        return None
    axis = node.get("axis", 1)
    if not -len(shape) <= axis < len(shape) or shape[axis] != scale.size:
        raise node.refused(f"attribute axis is {axis}, the constant {shape} has no {scale.size} indices there")
    return axis % len(shape)


def _one_step(node: Node, steps: NDArray[np.float32], attribute: str) -> NDArray[np.float32]:
    if (steps != steps.ravel()[0]).any():
        raise node.refused(f"attribute {attribute} has {steps.size} numbers, expected one: a signal has one step")
    return steps.ravel()[:1]


def _one_zero(node: Node, zero: NDArray[np.int64]) -> int:
    if (zero != zero[0]).any():
        raise node.refused(f"attribute zero_point has {zero.size} numbers, expected one")
    return int(zero[0])


def _bits_of(builder: Builder, name: str, zero: NDArray[np.int64], codes: NDArray[np.int64]) -> int:
    """Return the bits of a constant's codes: of their type and clip, or more where a zero point moves them out."""
    low, high = builder.ranges.get(name, _dtype_range(builder.constants[name].dtype))
    ends = [low - int(zero.max()), high - int(zero.min())]
    if codes.size:  # a range that no code needs, as that of unsigned words, costs no bit
        needed = max(_signed_bits(int(codes.min())), _signed_bits(int(codes.max())))
        return max(needed, min((high - low).bit_length(), max(map(_signed_bits, ends))))
    return max(map(_signed_bits, ends))


def _signed_bits(value: int) -> int:
    return (value if value >= 0 else ~value).bit_length() + 1


def _number(builder: Builder, node: Node, index: int) -> float:
    array = builder.needed(node, index)
    if array.dtype.kind not in "fiu" or array.size == 0 or not (array == array.ravel()[0]).all():
        raise node.refused(f"input {index} must be one number, got {array.dtype} {array.shape}")
    return float(array.ravel()[0])


def _bits(builder: Builder, node: Node, index: int) -> int:
    bits = _number(builder, node, index)
    if not (bits == int(bits) if np.isfinite(bits) else False) or not 1 <= bits <= MOST_BITS:
        raise node.refused(f"input {index} (bit_width) is {bits:g}, expected a whole number in 1..{MOST_BITS}")
    return int(bits)


def _integer(builder: Builder, node: Node, index: int, default: int) -> int:
    array = builder.constant(node, index)
    if array is None:
        return default
    if array.dtype.kind not in "iu" or array.size != 1:
        raise node.refused(f"input {index} must be one integer, got {array.dtype} {array.shape}")
    return int(array.ravel()[0])


QUANTIZED_OPERATORS: dict[str, Function] = OPERATORS | {
    "BipolarQuant": bipolar,
    "Clip": clip_codes,
    "ConvInteger": unscaled,
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic,
    "IntQuant": quant,
    "MatMulInteger": unscaled,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "Quant": quant,
    "QuantizeLinear": quantize_linear,
    "Transpose": transpose_constant,
    "Trunc": trunc,
}
NEVER_READ = {"BipolarQuant", "ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"}  # known, to say what instead
