"""The float network: layers, shapes, the order they run in, and batch norm folding.

A `Network` is a list of layers that name their inputs; ``"input"`` is the image. Activations have the shape
(batch, maps, height, width), after `Flatten` (batch, features).
"""

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from accel.errors import EspalierError
from accel.layers import Array, BatchNorm, Conv2d, Layer, Linear, Shape, Weighted
from accel.limits import check_tensors
from accel.window import Window

INPUT = "input"


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
    original_names : mapping of str to str, optional
        Of layers whose names an import made shorter: those that they have in the file that it read.

    Raises
    ------
    EspalierError
        A name is used twice, an input is not there yet, or shapes do not fit.
    """

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    original_names: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        object.__setattr__(self, "layers", tuple(self.layers))
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise EspalierError(f"{self.name}: input_shape must be (maps, height, width), got {self.input_shape}")
        if not self.layers:
            raise EspalierError(f"{self.name}: has no layers")
        _ = self.shapes

    def __repr__(self) -> str:
        """Return the network in a line, without its weights."""
        weights = sum(layer.weight.size for layer in self.weighted)
        sizes = f"{' x '.join(map(str, self.input_shape))} -> {self.shapes[self.layers[-1].name][0]}"
        return f"<Network {self.name}: {len(self.layers)} layers, {sizes}, {weights:,} weights>"

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
        """Return the network without batch norms, which computes the same.

        One is absorbed by the convolution or linear layer before it; by the linear layers after it, where features
        come from something else or are read elsewhere too; of maps it becomes a convolution with one weight a map.
        """
        layers: list[Layer] = []
        renamed: dict[str, str] = {}
        ahead: dict[str, BatchNorm] = {}  # those that the linear layers after them absorb
        for layer in self.layers:
            if isinstance(layer, Linear) and layer.inputs[0] in ahead:
                layer = _after(ahead[layer.inputs[0]], layer)
            sources = tuple(renamed.get(source, source) for source in layer.inputs)
            if not isinstance(layer, BatchNorm):
                layers.append(reading(layer, sources))
                continue
            before = next((x for x in layers if x.name == sources[0]), None)
            if not isinstance(before, Weighted) or len(self.consumers(layer.inputs[0])) != 1:
                readers = self.consumers(layer.name)
                if readers and all(isinstance(x, Linear) for x in readers):
                    ahead[layer.name], renamed[layer.name] = layer, sources[0]
                else:
                    layers.append(_alone(replace(layer, inputs=sources), self.shapes[layer.name]))
                continue
            gain, offset = layer.affine()
            weight = before.weight * gain.reshape((-1,) + (1,) * (before.weight.ndim - 1))
            layers.remove(before)  # and back where the batch norm was: the last layer gives the scores
            layers.append(replace(before, weight=weight, bias=before.bias * gain + offset))
            renamed[layer.name] = before.name
        return replace(self, layers=tuple(layers))


def reading(layer: Layer, inputs: tuple[str, ...]) -> Layer:
    """Return the same layer with other inputs; its arrays, which it has checked, are not looked through again."""
    other = copy(layer)
    object.__setattr__(other, "inputs", inputs)
    return other


def _after(norm: BatchNorm, layer: Linear) -> Linear:
    """Return the linear layer that computes of what `norm` reads what `layer` computes of its output."""
    gain, offset = norm.affine()
    return replace(layer, weight=layer.weight * gain, bias=layer.bias + layer.weight @ offset)


def _alone(norm: BatchNorm, shape: Shape) -> Layer:
    """Return a batch norm of a tensor of `shape` as a layer with weights: one for each map, or on a diagonal."""
    gain, offset = norm.affine()
    if len(shape) == 1:
        return Linear(norm.name, norm.inputs, weight=np.diag(gain), bias=offset)
    weight, window = gain.reshape(-1, 1, 1, 1), Window((1, 1))
    return Conv2d(norm.name, norm.inputs, weight=weight, bias=offset, window=window, groups=len(gain))
