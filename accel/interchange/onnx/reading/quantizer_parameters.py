"""What inputs and attributes of a quantiser say: its scale, zero point, range, width and rounding."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.fixedpoint import Rounding
from accel.interchange.onnx.reading.builder import Builder
from accel.interchange.onnx.reading.coded import along
from accel.interchange.onnx.reading.file import Constant, Node

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


def finite_constant(builder: Builder, node: Node) -> Constant:
    """Return the constant that a quantiser reads, which must be of finite floats."""
    values = builder.floats(node, 0, builder.constants[node.inputs[0]].ndim)
    if not np.isfinite(values).all():
        raise node.refused("input 0 holds a value that is not finite")
    return values


def quant_rule(builder: Builder, node: Node) -> Rule:
    """Return what a Quant says: its steps, one or as many as it has, its range and its rounding."""
    steps = builder.needed(node, 1)
    if steps.dtype.kind != "f" or not (np.isfinite(steps).all() and steps.size and (steps > 0).all()):
        raise node.refused("input 1 (scale) must be positive numbers")
    bits, rounding = bit_width(builder, node, 3), rounding_of(node, "ROUND")
    low, high = code_limits(node, bits, bool(node.get("signed", 1)), bool(node.get("narrow", 1)))
    zero = number(builder, node, 2)
    if zero:
        moves = zero == int(zero) and (rounding == Rounding.TRN or (rounding == Rounding.RND_CONV and zero % 2 == 0))
        if not moves:
            raise node.refused(f"input 2 (zeropt) is {zero:g}, which does more than move the range; expected 0")
        low, high = low - int(zero), high - int(zero)
    return Rule(steps.astype(np.float32), None, low, high, rounding, bits)


def aligned(node: Node, rule: Rule, shape: tuple[int, ...]) -> Rule:
    """Return the rule of a constant of this shape, which may have a step for each index of one axis."""
    steps = rule.steps
    if steps.size == 1:
        return replace(rule, steps=steps.reshape(1))
    wide = (1,) * (len(shape) - steps.ndim) + steps.shape
    axes = [index for index, size in enumerate(wide) if size > 1]
    if len(wide) != len(shape) or len(axes) != 1 or wide[axes[0]] != shape[axes[0]]:
        raise node.refused(f"input 1 (scale) has the shape {steps.shape}, expected one axis of {shape}")
    return replace(rule, steps=steps.ravel(), axis=axes[0])


def code_limits(node: Node, bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """Return the lowest and the highest code of so many bits, the lowest left out where the range is `narrow`."""
    if signed and bits == 1:
        raise node.refused("has 1 bit with a sign, the codes -1 and 1 and none for zero; expected 2 bits or more")
    if signed:
        return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


def rounding_of(node: Node, default: str) -> Rounding:
    """Return the rounding that a QONNX node names, that of the name `default` if it names none."""
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


def scale_and_zero(builder: Builder, node: Node, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the scales (N,) of input `index`, and the zero points (1,) or (N,) of the input after it."""
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


def integer_limits(builder: Builder, node: Node, index: int, zero: NDArray[np.int64]) -> tuple[int, int]:
    """Return the range of the integers, which are of the type of the zero point."""
    if index < len(node.inputs) and node.inputs[index]:
        name = node.inputs[index]
        return builder.ranges.get(name, dtype_limits(builder.constants[name].dtype))
    if node.get("output_dtype", 0) not in (0, 2):  # 2 is ONNX's number of uint8
        raise node.refused(f"attribute output_dtype is {node.get('output_dtype')}, expected a zero point of that type")
    return 0, 255


def dtype_limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the lowest and the highest value of an integer type."""
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def axis_of(node: Node, scale: NDArray[np.float32], shape: tuple[int, ...]) -> int | None:
    """Return along which axis of a constant of `shape` a scale has its numbers."""
    if scale.size == 1:
        return None
    axis = node.get("axis", 1)
    if not -len(shape) <= axis < len(shape) or shape[axis] != scale.size:
        raise node.refused(f"attribute axis is {axis}, the constant {shape} has no {scale.size} indices there")
    return axis % len(shape)


def one_step(node: Node, steps: NDArray[np.float32], attribute: str) -> NDArray[np.float32]:
    """Return the step (1,) of a signal; several different ones are refused."""
    if (steps != steps.ravel()[0]).any():
        raise node.refused(f"attribute {attribute} has {steps.size} numbers, expected one: a signal has one step")
    return steps.ravel()[:1]


def one_zero(node: Node, zero: NDArray[np.int64]) -> int:
    """Return the zero point of a signal; several different ones are refused."""
    if (zero != zero[0]).any():
        raise node.refused(f"attribute zero_point has {zero.size} numbers, expected one")
    return int(zero[0])


def bits_of_constant(builder: Builder, name: str, zero: NDArray[np.int64], codes: NDArray[np.int64]) -> int:
    """Return the bits of a constant's codes: of their type and clip, or more where a zero point moves them out."""
    low, high = builder.ranges.get(name, dtype_limits(builder.constants[name].dtype))
    ends = [low - int(zero.max()), high - int(zero.min())]
    if codes.size:  # a range that no code needs, as that of unsigned words, costs no bit
        needed = max(_signed_bits(int(codes.min())), _signed_bits(int(codes.max())))
        return max(needed, min((high - low).bit_length(), max(map(_signed_bits, ends))))
    return max(map(_signed_bits, ends))


def _signed_bits(value: int) -> int:
    return (value if value >= 0 else ~value).bit_length() + 1


def number(builder: Builder, node: Node, index: int) -> float:
    """Return input `index`, a constant that holds one number, however often."""
    array = builder.needed(node, index)
    if array.dtype.kind not in "fiu" or array.size == 0 or not (array == array.ravel()[0]).all():
        raise node.refused(f"input {index} must be one number, got {array.dtype} {array.shape}")
    return float(array.ravel()[0])


def bit_width(builder: Builder, node: Node, index: int) -> int:
    """Return input `index`, a whole number of bits."""
    bits = number(builder, node, index)
    if not (bits == int(bits) if np.isfinite(bits) else False) or not 1 <= bits <= MOST_BITS:
        raise node.refused(f"input {index} (bit_width) is {bits:g}, expected a whole number in 1..{MOST_BITS}")
    return int(bits)


def integer(builder: Builder, node: Node, index: int, default: int) -> int:
    """Return input `index`, a constant that holds one integer, or `default` where it is left out."""
    array = builder.constant(node, index)
    if array is None:
        return default
    if array.dtype.kind not in "iu" or array.size != 1:
        raise node.refused(f"input {index} must be one integer, got {array.dtype} {array.shape}")
    return int(array.ravel()[0])
