"""What is exact about a quantised layer: its biases, the range of its sums, the word of its codes."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow
from accel.interchange.exactness import code_range
from accel.interchange.onnx.reading.allowed import Allowed
from accel.interchange.onnx.reading.coded import Coded, Quantized
from accel.interchange.onnx.reading.exact_scale import rounded
from accel.interchange.onnx.reading.file import Node
from accel.layers import BatchNorm
from accel.signal import integer_format, signed_bits

Integers = NDArray[np.int64]


def bias_codes(
    constant: Coded | NDArray[np.float64], steps: Sequence[Fraction], layer: str, allowed: Allowed
) -> list[int]:
    """Return a constant in the steps of a layer's accumulators, one for each output: whole ones, or the nearest."""
    outputs = len(steps)
    coded = isinstance(constant, Coded)
    codes = constant.codes if isinstance(constant, Coded) else np.ones(1, np.int64)
    units = constant.steps if isinstance(constant, Coded) else constant.astype(np.float64)
    numbers = (np.broadcast_to(array.ravel(), outputs).tolist() for array in (codes, units))
    found = []
    for code, unit, step in zip(*numbers, steps, strict=True):
        # a scale that is the product of two others was rounded to float32 by whoever wrote the file
        same = coded and np.float32(unit) == np.float32(float(step))
        quotient = Fraction(code) if same else code * Fraction(unit) / step
        if quotient.denominator != 1 and not allowed.change(layer, "bias"):
            raise EspalierError(
                f"its bias {code * unit:g} is no whole multiple of weight step * input step, {float(step):g}; "
                "quantise it to that, or take the nearest (--nearest)"
            )
        found.append(round(quotient))
    return found


def ranges_of(codes: Integers, bias: list[int], form: FixedFormat) -> list[tuple[int, int]]:
    """Return the lowest and the highest accumulator of each output."""
    low, high = code_range(form)
    positive = np.maximum(codes, 0).sum(axis=1).tolist()
    negative = np.minimum(codes, 0).sum(axis=1).tolist()
    return [(b + p * low + n * high, b + p * high + n * low) for b, p, n in zip(bias, positive, negative, strict=True)]


def with_affine(
    name: str,
    affine: Sequence[BatchNorm],
    steps: list[Fraction],
    bias: list[int],
    nodes: Mapping[str, Node],
    allowed: Allowed,
) -> tuple[list[Fraction], list[int]]:
    """Return steps and biases of the layer `name` after the products and sums with constants before a quantiser."""
    for layer in affine:
        plain = layer.epsilon == 0 and (layer.variance == 1).all() and not layer.mean.any()
        if not plain and not allowed.change(name, "norm"):
            raise nodes[layer.name].refused(
                "a batch norm of floats stands before a quantiser; fold it into the weights, or take the nearest "
                "numbers (--nearest)"
            )
        scale, shift = (layer.scale, layer.shift) if plain else layer.gain_and_offset
        if not (scale > 0).all():
            raise nodes[layer.name].refused("multiplies by a number that is not positive")
        gains = [Fraction(float(gain)) for gain in scale]
        gains = gains[:1] if len(set(gains)) == 1 else gains
        if len(gains) > 1 and len(bias) == 1:
            raise nodes[layer.name].refused("multiplies by a number for each map: a signal has one step")
        count = max(len(gains), len(steps))
        steps = [a * b for a, b in zip(spread(steps, count), spread(gains, count), strict=True)]
        offsets = [Fraction(float(offset)) for offset in shift]
        offsets = offsets[:1] if len(bias) == 1 and len(set(offsets)) == 1 else offsets
        wide = spread(steps, len(offsets))
        added = [offset / step for offset, step in zip(offsets, wide, strict=True)]
        broken = any(x.denominator != 1 for x in added)
        if len(added) != len(bias) or (broken and not allowed.change(name, "bias")):
            raise nodes[layer.name].refused(
                "adds what is no whole multiple of the step of the sums; --nearest takes the nearest one"
            )
        bias = [a + round(b) for a, b in zip(bias, added, strict=True)]
    return steps, bias


def spread(numbers: list[Fraction], count: int) -> list[Fraction]:
    """Return `count` numbers, of one for all or one for each."""
    return numbers * count if len(numbers) == 1 else numbers


def check_whole(quantized: Quantized, steps: list[Fraction]) -> None:
    """Raise EspalierError if a Trunc would round to whole multiples of its scale before it truncates."""
    if quantized.whole is not None and any((step / Fraction(quantized.whole)).denominator != 1 for step in steps):
        raise EspalierError(
            f"reads multiples of {float(steps[0]):g}, expected whole ones of its scale "
            f"{quantized.whole:g}: it would round twice"
        )


def word_of(quantized: Quantized, ranges: list[tuple[int, int]], ratio: Fraction) -> FixedFormat:
    """Return the word of a quantiser's codes; of one that does not saturate, that holds what its ratio can give.

    Where zero is not in the middle or at an end of its range, the word is wider by a bit and holds more codes.
    """
    low, high = quantized.low, quantized.high
    if low is None or high is None:
        ends = [rounded(end * ratio, quantized.rounding) for pair in ranges for end in pair]
        signed = min(ends) < 0
        bits = max(quantized.bits, max(map(signed_bits, ends)) - (not signed))
        return integer_format(bits, signed, quantized.rounding)
    power = high > 0 and (high + 1) & high == 0
    bits, modes = high.bit_length(), (quantized.rounding, Overflow.SAT)
    if power and low == 0:
        return integer_format(bits, False, *modes)
    if power and low == -high - 1:
        return integer_format(bits + 1, True, *modes)
    if power and low == -high:
        return integer_format(bits + 1, True, quantized.rounding, Overflow.SAT_SYM)
    if not low <= 0 <= high:
        raise EspalierError(f"its codes are {low}..{high}, expected zero among them")
    signed = low < 0
    return integer_format(max(signed_bits(low), signed_bits(high)) - (not signed), signed, *modes)
