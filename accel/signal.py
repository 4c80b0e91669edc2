"""Signals and accumulators: what integer codes mean, how many bits a sum needs, and how it becomes a code again."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel import encoding
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow, Rounding

PRODUCT_BITS = 61  # an accumulator times its multiplier must fit here, so that int64 holds every intermediate
MULTIPLIER_BITS = 16  # of a requantisation constant, unless a Program asks for more
WIDEST_MULTIPLIER_BITS = 32  # that it may ask for


@dataclass(frozen=True)
class Signal:
    """What the codes of a tensor mean.

    Parameters
    ----------
    format : FixedFormat
        Width, sign, rounding and overflow of the integer codes (no fraction bits).
    step : float
        The real value of code 1.
    """

    format: FixedFormat
    step: float

    def __post_init__(self) -> None:
        if self.format.fraction_bits or self.format.width > PRODUCT_BITS:
            raise EspalierError(f"a signal's codes are integers of at most {PRODUCT_BITS} bits, got {self.format}")
        if not (math.isfinite(self.step) and self.step > 0):
            raise EspalierError(f"a step must be a positive number, got {self.step}")

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return self.format.width

    def encode(self, values: ArrayLike) -> NDArray[np.int64]:
        """Return the codes of real `values`, any shape."""
        return self.format.encode(np.asarray(values, np.float64) / self.step)

    def decode(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Return the real values of `codes`, any shape."""
        return np.asarray(codes) * self.step


def nearest_steps(value: Any, step: Any) -> Any:
    """Return how many whole steps are nearest to a real `value`, ties upwards: of numbers, arrays or tensors."""
    steps = value / step + 0.5
    return np.floor(steps) if isinstance(steps, np.ndarray) else steps // 1  # floor takes a third of the time


@dataclass(frozen=True, eq=False)
class Requantize:
    """From accumulators to the next signal: ``(accumulator * multiplier + offset) / 2**shift``, rounded, then overflow.

    Parameters
    ----------
    multipliers : int array (1,) or (outputs,)
        At most 32 bits each, unsigned; 1 for power-of-two steps.
    shift : int
        0..60.
    offsets : int array (1,) or (outputs,), optional
        Unsigned, and less than the multiplier: a fraction of an accumulator's step, whole steps being part of a bias.
        So a product takes no bit more, and keeps its sign. None, which zeros become, adds nothing.
    """

    multipliers: NDArray[np.int64] = field(metadata={"packed": "multiplier_bits"})
    shift: int
    offsets: NDArray[np.int64] | None = field(default=None, metadata={"packed": "offset_bits"})

    def __post_init__(self) -> None:
        multipliers = np.array(self.multipliers, np.int64)
        highest = (1 << WIDEST_MULTIPLIER_BITS) - 1
        if multipliers.ndim != 1 or not multipliers.size or not 1 <= multipliers.min() <= multipliers.max() <= highest:
            raise EspalierError(f"multipliers must be 1..{highest} in one dimension, got {multipliers.tolist()}")
        if not 0 <= self.shift < PRODUCT_BITS:
            raise EspalierError(f"shift must be 0..{PRODUCT_BITS - 1}, got {self.shift}")
        freeze(self, multipliers=multipliers.astype(np.uint32))
        if self.offsets is not None:
            self._check_offsets(np.array(self.offsets, np.int64), multipliers)

    def _check_offsets(self, offsets: NDArray[np.int64], multipliers: NDArray[np.int64]) -> None:
        if offsets.ndim != 1 or len({1, offsets.size, multipliers.size}) > 2 or not offsets.size:
            raise EspalierError(f"{multipliers.size} multipliers have 1 or as many offsets, got {offsets.shape}")
        if offsets.min() < 0 or (offsets >= multipliers).any():
            raise EspalierError(f"offsets must be 0 or more and less than their multipliers, got {offsets.tolist()}")
        if offsets.any():
            freeze(self, offsets=offsets.astype(np.uint32))
        else:
            object.__setattr__(self, "offsets", None)

    @property
    def multiplier_bits(self) -> int:
        """Bits of a stored multiplier."""
        return int(self.multipliers.max()).bit_length()

    @property
    def offset_bits(self) -> int:
        """Bits of a stored offset; 0 where there are none."""
        return 0 if self.offsets is None else int(self.offsets.max()).bit_length()

    @property
    def bits(self) -> int:
        """Bits of the constants in memory: the multipliers, the offsets, and one shift."""
        offsets = 0 if self.offsets is None else self.offsets.size * self.offset_bits
        return self.multipliers.size * self.multiplier_bits + offsets + encoding.bits_for(PRODUCT_BITS - 1)

    @property
    def outputs(self) -> int:
        """How many outputs these are for: 1 is any number."""
        return max(self.multipliers.size, 1 if self.offsets is None else self.offsets.size)

    def of_outputs(self, outputs: int) -> NDArray[np.int64]:
        """Return the multiplier and the offset (outputs, 2) of each of so many outputs."""
        found = np.zeros((outputs, 2), np.int64)
        found[:, 0] = self.multipliers
        if self.offsets is not None:
            found[:, 1] = self.offsets
        return found

    def reordered(self, rows: NDArray[np.int64]) -> "Requantize":
        """Return what the outputs `rows` have, in that order."""
        multipliers, offsets = (x if x is None or x.size == 1 else x[rows] for x in (self.multipliers, self.offsets))
        return Requantize(multipliers, self.shift, offsets)  # type: ignore[arg-type]  # multipliers are never None

    def apply(self, accumulators: NDArray[np.int64], output: FixedFormat, relu: bool = False) -> NDArray[np.int64]:
        """Return the codes of `accumulators` (images, outputs, ...) in the format `output`; `relu` is the layer's."""
        shape = (-1,) + (1,) * (accumulators.ndim - 2)
        multipliers, offsets = (column.reshape(shape) for column in self.of_outputs(self.outputs).T)
        products = accumulators * multipliers + offsets
        source = FixedFormat(PRODUCT_BITS, PRODUCT_BITS - self.shift)
        return output.convert(np.maximum(products, 0) if relu else products, source)


def signed_bits(value: Any) -> int:
    """Return the fewest two's complement bits that hold the integer `value`.

    >>> [signed_bits(value) for value in (-9, -8, -1, 0, 7, 8)]
    [5, 4, 1, 1, 4, 5]
    """
    value = int(value)
    return (value if value >= 0 else ~value).bit_length() + 1


def proven_accumulator_bits(matrix: NDArray[Any], bias: NDArray[np.int64], signal: FixedFormat) -> int:
    """Return the fewest signed bits that hold every accumulator, and every partial sum that starts from the bias.

    Parameters
    ----------
    matrix : int array (M, K)
    bias : int array (M,)
    signal : FixedFormat
        The input's codes; each product ranges over all of them, zero included, so that no partial sum leaves the
        range of the whole sum.
    """
    positive, negative = (side(matrix, 0).sum(axis=1, dtype=np.int64) for side in (np.maximum, np.minimum))
    return range_bits(positive, negative, bias, signal)


def range_bits(
    positive: NDArray[np.int64], negative: NDArray[np.int64], bias: NDArray[np.int64], signal: FixedFormat
) -> int:
    """Return the bits of an accumulator from the sums (M,) of the weights above zero, and of those below."""
    positive, negative = positive.astype(object), negative.astype(object)  # Python's, which no signal is too wide for
    high = bias + positive * signal.max_code + negative * signal.min_code
    low = bias + positive * signal.min_code + negative * signal.max_code
    return max(signed_bits(high.max()), signed_bits(low.min()))


def sum_bits(weights: Any, signals: Any) -> int:
    """Return the signed bits of ``sum(weight * signal)`` for positive integer weights and signal formats."""
    high = sum(weight * signal.max_code for weight, signal in zip(weights, signals, strict=True))
    low = sum(weight * signal.min_code for weight, signal in zip(weights, signals, strict=True))
    return max(signed_bits(high), signed_bits(low))


def product_bits(left: FixedFormat, right: FixedFormat) -> int:
    """Return the signed bits of the product of two codes."""
    products = [a * b for a in (left.min_code, left.max_code) for b in (right.min_code, right.max_code)]
    return max(signed_bits(max(products)), signed_bits(min(products)))


def integer_format(
    width: int, signed: bool, rounding: Rounding = Rounding.RND, overflow: Overflow = Overflow.SAT
) -> FixedFormat:
    """Return the format of integer codes of `width` bits."""
    return FixedFormat(width, width, signed, rounding, overflow)


def freeze(thing: Any, **arrays: NDArray[Any]) -> None:
    """Set read-only `arrays` as fields of the frozen dataclass `thing`."""
    for name, array in arrays.items():
        array.setflags(write=False)
        object.__setattr__(thing, name, array)


UNCHANGED = Requantize([1], 0)  # type: ignore[arg-type]  # made an array there
