"""What quantisers leave in a graph as it is read: coded constants, rounded signals, and tensors that hold integers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.fixedpoint import FixedFormat, Rounding
from accel.layers import Array, Layer, Shape

WIDE = 60  # bits that hold any code of a quantiser


@dataclass(frozen=True)
class Units:
    """A tensor of the graph holds integers: the real value is ``(integer - zero_point) * step``."""

    step: float
    zero_point: int


@dataclass(frozen=True)
class Stored(Units):
    """The image is integers from `low` to `high`; step and zero point are those of who reads it first."""

    low: int = 0
    high: int = 0


@dataclass(frozen=True, eq=False)
class Coded:
    """A constant as codes: real values are ``codes * steps``, a step for all or for each index of `axis`."""

    codes: NDArray[np.int64]
    steps: NDArray[np.float64]
    axis: int | None
    bits: int

    @property
    def values(self) -> NDArray[np.float64]:
        """The real values."""
        return self.codes * self.along(self.codes.ndim)

    def along(self, dimensions: int) -> NDArray[np.float64]:
        """Return the steps so that they are broadcast over a constant of so many dimensions."""
        return along(self.steps, self.axis, dimensions)


@dataclass(frozen=True, eq=False)
class Quantized(Layer):
    """``saturate(round(x / read_step)) * step``, codes from `low` to `high`.

    Parameters
    ----------
    step : float
        The real value of code 1 of the output.
    read_step : float
        What the input is divided by: `step`, except where Trunc gives codes another meaning.
    low, high : int or None
        None: it does not saturate.
    rounding : Rounding
    bits : int
        What the file calls its width.
    whole : float or None
        The input must be whole multiples of this, for the file rounds to those first.
    given : bool
        The file takes its image as these codes.
    """

    step: float
    read_step: float
    low: int | None
    high: int | None
    rounding: Rounding
    bits: int
    whole: float | None = None
    given: bool = False

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def forward(self, *inputs: Array) -> Array:
        codes = FixedFormat(WIDE, WIDE, rounding=self.rounding).encode(np.float64(inputs[0]) / self.read_step)
        return (np.clip(codes, self.low, self.high) * self.step).astype(np.float32)


def along(steps: NDArray[Any], axis: int | None, dimensions: int) -> NDArray[Any]:
    """Return one number, or one for each index of `axis`, so that it is broadcast over so many dimensions."""
    return steps if axis is None else steps.reshape([-1 if index == axis else 1 for index in range(dimensions)])
