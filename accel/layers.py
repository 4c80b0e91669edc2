"""The layers of a float network: what each kind computes, its shapes, and what it refuses.

Activations have the shape (batch, maps, height, width), after `Flatten` (batch, features).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import reduce
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from accel.archive import LATER
from accel.errors import EspalierError
from accel.functions import check_function, evaluate
from accel.limits import MOST_SIDE
from accel.window import Window

Array = NDArray[np.float32]
Shape = tuple[int, ...]
_CACHED_COLUMNS = 1 << 20  # values that a convolution lays side by side for one product


@dataclass(frozen=True, eq=False)
class Layer(ABC):
    """A named operation on the outputs of `inputs`; each kind says its shape rule and its float arithmetic."""

    arity: ClassVar[int] = 1  # how many inputs this kind takes
    name: str
    inputs: tuple[str, ...]

    @abstractmethod
    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the shape of the output, without the batch; raise EspalierError if the inputs do not fit."""

    @abstractmethod
    def forward(self, *inputs: Array) -> Array:
        """Return the output for a batch."""


@dataclass(frozen=True, eq=False)
class Weighted(Layer):
    """A layer of multiply-accumulates.

    `weight` is (outputs, inputs, kernel height, kernel width) or (outputs, inputs), `bias` (outputs,), float32; the
    inputs of a grouped convolution are those of one group.
    """

    weight: Array = field(kw_only=True)
    bias: Array = field(kw_only=True)

    def __post_init__(self) -> None:
        _float_arrays(self)
        dimensions = 4 if isinstance(self, Conv2d) else 2
        if self.weight.ndim != dimensions or 0 in self.weight.shape:
            raise EspalierError(f"{self.name}: weight must have {dimensions} dimensions, got {self.weight.shape}")
        if self.bias.shape != self.weight.shape[:1]:
            raise EspalierError(f"{self.name}: bias must have shape {self.weight.shape[:1]}, got {self.bias.shape}")

    @property
    def lowered_shape(self) -> tuple[int, int, int]:
        """(outputs, input maps of a group, taps of a kernel): the shape that masks have."""
        return self.weight.shape[0], self.weight.shape[1], math.prod(self.weight.shape[2:])


@dataclass(frozen=True, eq=False)
class Conv2d(Weighted):
    """Cross-correlation of (C, H, W) maps with (M, C / groups, k, k) kernels, zero padded.

    Outputs and input maps are cut into `groups` runs of equal length; an output reads the maps of its own run. With
    groups = C = M the convolution is depthwise.
    """

    window: Window = field(kw_only=True)
    groups: int = field(default=1, kw_only=True, metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight.shape[2:] != self.window.kernel:
            raise EspalierError(f"{self.name}: kernels are {self.weight.shape[2:]}, the window {self.window.kernel}")
        if self.groups < 1 or self.weight.shape[0] % self.groups:
            raise EspalierError(f"{self.name}: {self.weight.shape[0]} outputs do not fall into {self.groups} groups")

    @property
    def input_maps(self) -> int:
        """Maps that the layer reads, those of all groups."""
        return self.weight.shape[1] * self.groups

    @property
    def depthwise(self) -> bool:
        """Whether each output map is made of an input map of its own."""
        return self.groups > 1 and self.weight.shape[:2] == (self.groups, 1)

    def output_shape(self, *shapes: Shape) -> Shape:
        channels, height, width = _maps(self, shapes)
        if channels != self.input_maps:
            raise EspalierError(f"{self.name}: expects {self.input_maps} input maps, gets {channels}")
        return (self.weight.shape[0], *self.window.output_size(height, width, self.name))

    def forward(self, *inputs: Array) -> Array:
        maps = self.window.pad(inputs[0])
        height, width = inputs[0].shape[2:]
        size = self.window.output_size(height, width, self.name)
        columns = math.prod((self.input_maps, self.window.taps, *size))  # of an image
        output = np.empty((len(maps), len(self.weight), *size), np.result_type(self.weight, maps))
        few = max(1, _CACHED_COLUMNS // columns)  # images at a time: what is multiplied stays near the processor
        for first in range(0, len(maps), few):
            output[first : first + few] = self._products(maps[first : first + few])
        return output

    def _products(self, maps: Array) -> Array:
        """Return the outputs of padded `maps`."""
        taps = np.stack(self.window.shifts(maps), axis=2)  # (batch, C, k*k, H, W)
        batch, _, _, height, width = taps.shape
        runs = self.groups, len(self.weight) // self.groups
        product = self.weight.reshape(*runs, -1) @ taps.reshape(batch, self.groups, -1, height * width)
        return product.reshape(batch, -1, height, width) + self.bias[:, None, None]


@dataclass(frozen=True, eq=False)
class Linear(Weighted):
    """A fully connected layer: (N,) features to (M,) with an (M, N) matrix."""

    def output_shape(self, *shapes: Shape) -> Shape:
        if shapes[0] != self.weight.shape[1:]:
            raise EspalierError(f"{self.name}: expects the input shape {self.weight.shape[1:]}, gets {shapes[0]}")
        return self.weight.shape[:1]

    def forward(self, *inputs: Array) -> Array:
        return inputs[0] @ self.weight.T + self.bias


@dataclass(frozen=True, eq=False)
class BatchNorm(Layer):
    """``(x - mean) / sqrt(variance + epsilon) * scale + shift`` for each map; four arrays of shape (maps,)."""

    scale: Array
    shift: Array
    mean: Array
    variance: Array
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _float_arrays(self)
        if not (self.scale.shape == self.shift.shape == self.mean.shape == self.variance.shape) or self.scale.ndim != 1:
            raise EspalierError(f"{self.name}: scale, shift, mean and variance must have one shape, (maps,)")
        if not 0 <= self.epsilon <= 1:
            raise EspalierError(f"{self.name}: epsilon must be 0..1, got {self.epsilon}")
        if (self.variance < 0).any() or (self.variance + np.float32(self.epsilon) <= 0).any():
            raise EspalierError(f"{self.name}: variance must not be negative, and variance + epsilon must be positive")

    def affine(self, precision: type[np.floating[Any]] = np.float32) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return gain and offset (M,) of the normalisation ``x * gain + offset``, worked out in a precision."""
        gain = self.scale.astype(precision) / np.sqrt(self.variance.astype(precision) + np.float32(self.epsilon))
        return gain, self.shift.astype(precision) - self.mean.astype(precision) * gain

    def output_shape(self, *shapes: Shape) -> Shape:
        if shapes[0][:1] != self.scale.shape:
            raise EspalierError(f"{self.name}: normalises {self.scale.shape[0]} maps, gets {shapes[0]}")
        return shapes[0]

    def forward(self, *inputs: Array) -> Array:
        shape = (-1,) + (1,) * (inputs[0].ndim - 2)
        gain, offset = self.affine()
        return inputs[0] * gain.reshape(shape) + offset.reshape(shape)


@dataclass(frozen=True, eq=False)
class ReLU(Layer):
    """``max(x, 0)``."""

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def forward(self, *inputs: Array) -> Array:
        return np.maximum(inputs[0], 0)


@dataclass(frozen=True, eq=False)
class Clip(Layer):
    """``min(max(x, 0), highest)``: a ReLU with an upper bound, which is 6 in ReLU6."""

    highest: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.highest) and self.highest > 0):
            raise EspalierError(f"{self.name}: the upper bound must be a positive number, got {self.highest}")

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def forward(self, *inputs: Array) -> Array:
        return np.clip(inputs[0], np.float32(0), np.float32(self.highest))


@dataclass(frozen=True, eq=False)
class Activation(Layer):
    """A function of each value by its name in `accel.functions`, times the value if `times_input`."""

    function: str
    parameters: tuple[float, ...] = ()
    times_input: bool = False

    def __post_init__(self) -> None:
        check_function(self.function, self.parameters, self.name)

    def of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the function of values in double precision."""
        return evaluate(self.function, self.parameters, values, self.times_input)

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def forward(self, *inputs: Array) -> Array:
        return self.of(inputs[0].astype(np.float64)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class MaxPool(Layer):
    """The largest value in each window; padding never wins."""

    window: Window

    def output_shape(self, *shapes: Shape) -> Shape:
        return _pooled(self, self.window, shapes)

    def forward(self, *inputs: Array) -> Array:
        return reduce(np.maximum, self.window.shifts(self.window.pad(inputs[0], -np.inf)))


@dataclass(frozen=True, eq=False)
class AvgPool(Layer):
    """The mean of each window, its padding counted as zeros."""

    window: Window

    def output_shape(self, *shapes: Shape) -> Shape:
        return _pooled(self, self.window, shapes)

    def forward(self, *inputs: Array) -> Array:
        total: Array = reduce(np.add, self.window.shifts(self.window.pad(inputs[0])))
        return (total / np.float32(self.window.taps)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class GlobalAvgPool(Layer):
    """The mean of each map: (C, H, W) to (C, 1, 1)."""

    def output_shape(self, *shapes: Shape) -> Shape:
        return (_maps(self, shapes)[0], 1, 1)

    def forward(self, *inputs: Array) -> Array:
        return inputs[0].mean(axis=(-2, -1), keepdims=True)


@dataclass(frozen=True, eq=False)
class Flatten(Layer):
    """(C, H, W) to (C*H*W,), row-major."""

    def output_shape(self, *shapes: Shape) -> Shape:
        return (math.prod(shapes[0]),)

    def forward(self, *inputs: Array) -> Array:
        return inputs[0].reshape(len(inputs[0]), -1)


@dataclass(frozen=True, eq=False)
class Add(Layer):
    """The sum of two tensors of one shape: a residual connection."""

    arity: ClassVar[int] = 2

    def output_shape(self, *shapes: Shape) -> Shape:
        if shapes[0] != shapes[1]:
            raise EspalierError(f"{self.name}: adds two tensors of one shape, gets {shapes}")
        return shapes[0]

    def forward(self, *inputs: Array) -> Array:
        return inputs[0] + inputs[1]


@dataclass(frozen=True, eq=False)
class Mul(Layer):
    """The product of two tensors of one shape, or of maps and a factor for each, (C, 1, 1): squeeze-and-excitation."""

    arity: ClassVar[int] = 2

    def output_shape(self, *shapes: Shape) -> Shape:
        return check_factors(self.name, *shapes)

    def forward(self, *inputs: Array) -> Array:
        return product(*inputs)


@dataclass(frozen=True, eq=False)
class Upsample(Layer):
    """Maps `factor` times as high and wide: each pixel `repeats`, or is the first of a cell of zeros.

    With repeats it is a resize to the nearest; a convolution behind the zeros makes a transposed convolution.
    """

    factor: tuple[int, int]
    repeats: bool

    def output_shape(self, *shapes: Shape) -> Shape:
        return upsampled_shape(self.name, self.factor, shapes[0])

    def forward(self, *inputs: Array) -> Array:
        return upsampled(inputs[0], self.factor, self.repeats)


@dataclass(frozen=True, eq=False)
class Concat(Layer):
    """The maps of two tensors of one size, one after the other; more than two are a chain of these."""

    arity: ClassVar[int] = 2

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes[0]) != len(shapes[1]) or shapes[0][1:] != shapes[1][1:]:
            raise EspalierError(f"{self.name}: joins maps of one size, gets {shapes}")
        return (shapes[0][0] + shapes[1][0], *shapes[0][1:])

    def forward(self, *inputs: Array) -> Array:
        return np.concatenate(inputs, axis=1)


def check_factors(name: str, maps: Shape, factors: Shape) -> Shape:
    """Return the shape of a product of two tensors; raise EspalierError, naming the layer, if there is none."""
    if factors != maps and not (len(maps) == 3 and factors in (maps[:1], (maps[0], 1, 1))):
        raise EspalierError(f"{name}: multiplies equal shapes, or maps by a factor for each, gets {maps} and {factors}")
    return maps


def product(maps: NDArray[Any], factors: NDArray[Any]) -> NDArray[Any]:
    """Return the product of two batches of one shape, or of maps and a factor for each of them."""
    shape = (*factors.shape[:2], 1, 1)
    return maps * (factors if factors.shape == maps.shape else factors.reshape(shape))


def upsampled_shape(name: str, factor: tuple[int, int], shape: Shape) -> Shape:
    """Return the shape of maps that are `factor` times as high and wide; errors name the layer."""
    if len(factor) != 2 or min(factor) < 1 or max(factor) > MOST_SIDE:
        raise EspalierError(f"{name}: its factor must be two numbers of 1..{MOST_SIDE}, got {factor}")
    if len(shape) != 3:
        raise EspalierError(f"{name}: expects (maps, height, width), gets {shape}")
    return (shape[0], shape[1] * factor[0], shape[2] * factor[1])


def upsampled(maps: NDArray[Any], factor: tuple[int, int], repeats: bool) -> NDArray[Any]:
    """Return (batch, C, height, width) maps whose pixels repeat, or have zeros behind and below them."""
    if repeats:
        return maps.repeat(factor[0], axis=2).repeat(factor[1], axis=3)
    batch, count, height, width = maps.shape
    wide = np.zeros((batch, count, height * factor[0], width * factor[1]), maps.dtype)
    wide[:, :, :: factor[0], :: factor[1]] = maps
    return wide


def _float_arrays(layer: Any) -> None:
    """Make the arrays of a layer float32, finite and read-only; one that is already is taken as it is."""
    for item in fields(layer):
        value = getattr(layer, item.name)
        if isinstance(value, np.ndarray | Sequence) and not isinstance(value, str | tuple):
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
                array = np.asarray(value, np.float32)
            if not _is_frozen(array):
                array = array.copy() if array is value or array.base is not None else array
            if not np.isfinite(array if any(array.strides) else array[(slice(1),) * array.ndim]).all():
                raise EspalierError(f"{layer.name}: {item.name} holds a value that is not finite")
            array.setflags(write=False)
            object.__setattr__(layer, item.name, array)


def _is_frozen(array: Any) -> bool:
    """Return whether nobody can write to an array: neither it, nor one that it is a view of."""
    if isinstance(array, np.ndarray):
        return not array.flags.writeable and _is_frozen(array.base)
    return array is None or isinstance(array, bytes)


def _maps(layer: Layer, shapes: tuple[Shape, ...]) -> tuple[int, int, int]:
    if len(shapes[0]) != 3:
        raise EspalierError(f"{layer.name}: expects (maps, height, width), gets {shapes[0]}")
    channels, height, width = shapes[0]
    return channels, height, width


def _pooled(layer: Layer, window: Window, shapes: tuple[Shape, ...]) -> Shape:
    channels, height, width = _maps(layer, shapes)
    if max(window.padding[0], window.padding[2]) >= window.kernel[0] or (
        max(window.padding[1], window.padding[3]) >= window.kernel[1]
    ):
        raise EspalierError(f"{layer.name}: padding {window.padding} must be smaller than the pool {window.kernel}")
    return (channels, *window.output_size(height, width, layer.name))
