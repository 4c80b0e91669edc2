"""The float network: layers, shapes, the order they run in, and batch norm folding.

A `Network` is a list of layers that name their inputs; ``"input"`` is the image. Activations have the shape
(batch, maps, height, width), after `Flatten` (batch, features).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, reduce
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from accel.archive import LATER
from accel.errors import EspalierError
from accel.limits import check_tensors
from accel.window import Window

Array = NDArray[np.float32]
Shape = tuple[int, ...]
INPUT = "input"


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

    def output_shape(self, *shapes: Shape) -> Shape:
        channels, height, width = _maps(self, shapes)
        if channels != self.input_maps:
            raise EspalierError(f"{self.name}: expects {self.input_maps} input maps, gets {channels}")
        return (self.weight.shape[0], *self.window.output_size(height, width, self.name))

    def forward(self, *inputs: Array) -> Array:
        taps = np.stack(self.window.shifts(self.window.pad(inputs[0])), axis=2)  # (batch, C, k*k, H, W)
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

    @property
    def gain_and_offset(self) -> tuple[Array, Array]:
        """The same normalisation as ``x * gain + offset``."""
        gain = self.scale / np.sqrt(self.variance + np.float32(self.epsilon))
        return gain, self.shift - self.mean * gain

    def output_shape(self, *shapes: Shape) -> Shape:
        if shapes[0][:1] != self.scale.shape:
            raise EspalierError(f"{self.name}: normalises {self.scale.shape[0]} maps, gets {shapes[0]}")
        return shapes[0]

    def forward(self, *inputs: Array) -> Array:
        shape = (-1,) + (1,) * (inputs[0].ndim - 2)
        gain, offset = self.gain_and_offset
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
class Concat(Layer):
    """The maps of two tensors of one size, one behind the other; more than two are a chain of these."""

    arity: ClassVar[int] = 2

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes[0]) != len(shapes[1]) or shapes[0][1:] != shapes[1][1:]:
            raise EspalierError(f"{self.name}: joins maps of one size, gets {shapes}")
        return (shapes[0][0] + shapes[1][0], *shapes[0][1:])

    def forward(self, *inputs: Array) -> Array:
        return np.concatenate(inputs, axis=1)


@dataclass(frozen=True, eq=False)
class Network:
    """A float network; the last layer's output is the scores of the classes.

    Parameters
    ----------
    name : str
    input_shape : (int, int, int)
        Maps, height and width of an image.
    layers : sequence of Layer
        In an order in which every layer follows its inputs.

    Raises
    ------
    EspalierError
        A name is used twice, an input is not there yet, or shapes do not fit.
    """

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        object.__setattr__(self, "layers", tuple(self.layers))
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise EspalierError(f"{self.name}: input_shape must be (maps, height, width), got {self.input_shape}")
        if not self.layers:
            raise EspalierError(f"{self.name}: has no layers")
        _ = self.shapes

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every output, without the batch, ``"input"`` included."""
        shapes: dict[str, Shape] = {INPUT: self.input_shape}
        for layer in self.layers:
            if layer.name in shapes:
                raise EspalierError(f"{self.name}: two layers are named {layer.name!r}")
            if len(layer.inputs) != layer.arity:
                raise EspalierError(f"{layer.name}: must have {layer.arity} inputs, got {layer.inputs}")
            for source in layer.inputs:
                if source not in shapes:
                    raise EspalierError(f"{layer.name}: its input {source!r} is no earlier layer")
            shapes[layer.name] = layer.output_shape(*(shapes[source] for source in layer.inputs))
        check_tensors(self.name, self.layers, shapes)
        return shapes

    @property
    def output(self) -> str:
        """The name of the layer that gives the scores."""
        return self.layers[-1].name

    @property
    def weighted(self) -> tuple[Weighted, ...]:
        """The layers that hold weights, in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Weighted))

    def __getitem__(self, name: str) -> Layer:
        """Return the layer called `name`."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise EspalierError(f"{self.name}: has no layer {name!r}; it has {', '.join(x.name for x in self.layers)}")

    def consumers(self, name: str) -> tuple[Layer, ...]:
        """Return the layers that read the output of `name`."""
        return tuple(layer for layer in self.layers if name in layer.inputs)

    def forward(self, images: Array) -> dict[str, Array]:
        """Return every activation for a batch of images (batch, maps, height, width), by layer name."""
        values: dict[str, Array] = {INPUT: np.asarray(images, np.float32)}
        if values[INPUT].shape[1:] != self.input_shape:
            got = values[INPUT].shape
            raise EspalierError(f"{self.name}: expects images (batch, *{self.input_shape}), got an array {got}")
        for layer in self.layers:
            values[layer.name] = layer.forward(*(values[source] for source in layer.inputs))
        return values

    def scores(self, images: Array, batch: int = 256) -> Array:
        """Return the class scores (images, classes); only `batch` images are in memory at a time."""
        parts = [self.forward(images[i : i + batch])[self.output] for i in range(0, len(images), batch)]
        return np.concatenate(parts) if parts else np.zeros((0, *self.shapes[self.output]), np.float32)

    def with_weights(self, weights: dict[str, Array]) -> "Network":
        """Return this network with other weight arrays, by layer name; raise EspalierError if a layer has none."""
        changed: dict[str, Layer] = {}
        for name, weight in weights.items():
            layer = self[name]
            if not isinstance(layer, Weighted):
                raise EspalierError(f"{name}: has no weights")
            changed[name] = replace(layer, weight=weight)
        return replace(self, layers=tuple(changed.get(layer.name, layer) for layer in self.layers))

    def dense_macs(self) -> dict[str, int]:
        """Return the multiply-accumulates of each weighted layer for one image, if nothing is pruned."""
        return {x.name: x.weight.size * math.prod(self.shapes[x.name][1:]) for x in self.weighted}

    def folded(self) -> "Network":
        """Return the network with every batch norm absorbed by the convolution or linear layer before it.

        Raises
        ------
        EspalierError
            A batch norm follows something else, or a layer whose output is used elsewhere too.
        """
        layers: list[Layer] = []
        renamed: dict[str, str] = {}
        for layer in self.layers:
            sources = tuple(renamed.get(source, source) for source in layer.inputs)
            if not isinstance(layer, BatchNorm):
                layers.append(replace(layer, inputs=sources))
                continue
            before = next((x for x in layers if x.name == sources[0]), None)
            if not isinstance(before, Weighted) or len(self.consumers(layer.inputs[0])) != 1:
                raise EspalierError(
                    f"{layer.name}: folds only into a convolution or linear layer that nothing else reads"
                )
            gain, offset = layer.gain_and_offset
            weight = before.weight * gain.reshape((-1,) + (1,) * (before.weight.ndim - 1))
            layers.remove(before)  # and back where the batch norm was: the last layer gives the scores
            layers.append(replace(before, weight=weight, bias=before.bias * gain + offset))
            renamed[layer.name] = before.name
        return replace(self, layers=tuple(layers))


def _float_arrays(layer: Any) -> None:
    """Make the arrays of a layer float32, finite and read-only; one that is already is taken as it is."""
    for item in fields(layer):
        value = getattr(layer, item.name)
        if isinstance(value, np.ndarray | Sequence) and not isinstance(value, str | tuple):
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
                array = np.asarray(value, np.float32)
            if not _is_frozen(array):
                array = array.copy() if array is value or array.base is not None else array
            if not np.isfinite(array).all():
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
