"""What is exact about a quantised layer: its biases, the range of its sums, the word of its codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow
from accel.interchange.exactness import code_range
from accel.interchange.onnx.reading.allowed import Allowed
from accel.interchange.onnx.reading.builder import Builder
from accel.interchange.onnx.reading.coded import Coded, Quantized
from accel.interchange.onnx.reading.exact_scale import Sums, rounded
from accel.interchange.onnx.reading.file import Node
from accel.interchange.onnx.reading.following import Following
from accel.layers import BatchNorm
from accel.signal import integer_format, signed_bits

Integers = NDArray[np.int64]


def bias_steps(constant: Coded | NDArray[np.float64], steps: Sequence[Fraction]) -> list[Fraction]:
    """Return a constant in the steps of a layer's accumulators, one number for each output."""
    outputs = len(steps)
    coded = isinstance(constant, Coded)
    codes = constant.codes if isinstance(constant, Coded) else np.ones(1, np.int64)
    units = constant.steps if isinstance(constant, Coded) else constant.astype(np.float64)
    numbers = (np.broadcast_to(array.ravel(), outputs).tolist() for array in (codes, units))
    found = []
    for code, unit, step in zip(*numbers, steps, strict=True):
        # a scale that is the product of two others was rounded to float32 by whoever wrote the file
        same = coded and np.float32(unit) == np.float32(float(step))
        found.append(Fraction(code) if same else code * Fraction(unit) / step)
    return found


def whole_steps(bias: Sequence[Fraction], steps: Sequence[Fraction], layer: str, allowed: Allowed) -> list[Fraction]:
    """Return biases of sums that leave the network as they are: whole steps of theirs, or the nearest."""
    for number, step in zip(bias, spread(steps, len(bias)), strict=True):
        if number.denominator != 1 and not allowed.change(layer, "bias"):
            raise EspalierError(
                f"its bias {float(number * step):g} is no whole multiple of weight step * input step, {float(step):g}, "
                "and no quantiser follows its sums; quantise it to that, or take the nearest (--nearest)"
            )
    return [Fraction(round(number)) for number in bias]


def ranges_of(codes: Integers, bias: Sequence[int], form: FixedFormat) -> list[tuple[int, int]]:
    """Return the lowest and the highest accumulator of each output."""
    low, high = code_range(form)
    positive = np.maximum(codes, 0).sum(axis=1).tolist()
    negative = np.minimum(codes, 0).sum(axis=1).tolist()
    return [(b + p * low + n * high, b + p * high + n * low) for b, p, n in zip(bias, positive, negative, strict=True)]


@dataclass(frozen=True)
class Affine:
    """The real values of sums: ``step * (sign * accumulator + bias)``, a positive step for all or one for each output.

    A sign is 1, -1, or 0 where a product with zero leaves the bias alone.
    """

    steps: list[Fraction]
    bias: list[Fraction]
    signs: list[int]

    def times(self, gains: list[Fraction]) -> "Affine":
        """Return the values times a number for all, or one for each output."""
        count = max(len(gains), len(self.steps))
        sizes = [abs(gain) or Fraction(1) for gain in gains]
        steps = [a * b for a, b in zip(spread(self.steps, count), spread(sizes, count), strict=True)]
        signs = [(gain > 0) - (gain < 0) for gain in spread(gains, len(self.bias))]
        bias = [a * b for a, b in zip(self.bias, signs, strict=True)]
        return Affine(steps, bias, [a * b for a, b in zip(self.signs, signs, strict=True)])

    def plus(self, numbers: list[Fraction]) -> "Affine":
        """Return the values plus a number for each output."""
        steps = spread(self.steps, len(numbers))
        added = [number / step for number, step in zip(numbers, steps, strict=True)]
        return replace(self, bias=[a + b for a, b in zip(self.bias, added, strict=True)])


def values_of(name: str, builder: Builder, steps: list[Fraction], following: Following, allowed: Allowed) -> Affine:
    """Return what the sums of a layer's codes mean, biases and batch norms before a quantiser included.

    `steps` are those of its accumulators, one or one for each output.
    """
    outputs = builder.shapes[name][0]
    bias = [Fraction(0)] * outputs
    for sign, constant in builder.biases[name]:
        numbers = bias_steps(builder.coded.get(constant, builder.constants[constant]), spread(steps, outputs))
        bias = [a + sign * b for a, b in zip(bias, numbers, strict=True)]
    if following.quantized is None:
        bias = whole_steps(bias, steps, name, allowed)
    return with_affine(following.affine, Affine(steps, bias, [1] * outputs), builder.nodes)


def with_affine(affine: Sequence[BatchNorm], values: Affine, nodes: Mapping[str, Node]) -> Affine:
    """Return a layer's values after the products and sums with constants before a quantiser."""
    for layer in affine:
        gains, offsets = map(_numbers, layer.affine(np.float64))
        if len(gains) > 1 and len(values.bias) == 1:
            raise nodes[layer.name].refused("multiplies by a number for each map: a signal has one step")
        if len(values.bias) not in (len(offsets), len(layer.shift)):
            raise nodes[layer.name].refused("adds a number for each map: a signal has one")
        values = values.times(gains).plus(spread(offsets, len(values.bias)))
    return values


def one_step(affine: Sequence[BatchNorm], step: Fraction, nodes: Mapping[str, Node]) -> Fraction:
    """Return the step of sums that have no weights and no bias, after products with positive constants."""
    values = with_affine(affine, Affine([step], [Fraction(0)], [1]), nodes)
    if any(values.bias):
        raise nodes[affine[-1].name].refused("adds a number to sums, expected a bias of a layer with weights")
    if values.signs != [1]:
        raise nodes[affine[-1].name].refused("multiplies by a number that is not positive")
    return values.steps[0]


def turned(codes: Integers, signs: Sequence[int], bits: int) -> Integers:
    """Return rows of weights (M, K) with the signs that batch norms give them.

    Raises
    ------
    EspalierError
        The lowest weight has no counterpart above zero in a word of `bits`.
    """
    found = codes * np.array(signs, np.int64)[:, None]
    if found.size and signed_bits(found.max()) > bits:
        raise EspalierError(
            f"a batch norm turns its weights round, and {found.max()} does not fit {bits} bits; quantise weights "
            "symmetrically (narrow_range)"
        )
    return found


def _numbers(array: NDArray[np.float64]) -> list[Fraction]:
    """Return the numbers of an array, or one where all are the same."""
    numbers = [Fraction(number) for number in array.tolist()]
    return numbers[:1] if len(set(numbers)) == 1 else numbers


def spread(numbers: Sequence[Fraction], count: int) -> list[Fraction]:
    """Return `count` numbers, of one for all or one for each."""
    return [*numbers] * count if len(numbers) == 1 else [*numbers]


def check_whole(quantized: Quantized, sums: Sequence[Sums]) -> None:
    """Raise EspalierError if a Trunc would round to whole multiples of its scale before it truncates."""
    if quantized.whole is None:
        return
    for part in sums:
        step = part.ratio * Fraction(quantized.read_step)
        if any((x / Fraction(quantized.whole)).denominator != 1 for x in (step, step * part.offset)):
            raise EspalierError(
                f"reads multiples of {float(step):g}, expected whole ones of its scale "
                f"{quantized.whole:g}: it would round twice"
            )


def word_of(quantized: Quantized, sums: Sequence[Sums] = ()) -> FixedFormat:
    """Return the word of a quantiser's codes; of one that does not saturate, that holds what its sums can give.

    Where zero is not in the middle or at an end of its range, the word is wider by a bit and holds more codes.
    """
    low, high = quantized.low, quantized.high
    if low is None or high is None:
        ends = [rounded(end, quantized.rounding) for part in sums for end in part.ends]
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
