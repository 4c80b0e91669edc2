"""A `Network` as a PyTorch module and back: one generic executor of the graph, nothing for any one network."""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from functools import singledispatch
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from accel.errors import EspalierError
from accel.layers import (
    Activation,
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool,
    Mul,
    ReLU,
    Upsample,
)
from accel.network import INPUT, Network
from accel.window import Window

STATISTICS = ("mean", "variance")  # of a batch norm: followed as it trains, not learned
STATISTICS_MOMENTUM = 0.1  # the share of each new batch in the running statistics; PyTorch's usual value


class Operation(nn.Module):
    """One layer: its arrays become parameters (statistics become buffers) under the names that the layer gives them."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer
        for item in fields(layer):
            value = getattr(layer, item.name)
            if not isinstance(value, np.ndarray):
                continue
            if item.name in STATISTICS:
                self.register_buffer(item.name, torch.tensor(value))
            else:
                self.register_parameter(item.name, nn.Parameter(torch.tensor(value)))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the output for a batch."""
        return compute(self.layer, self, *inputs)

    def learned(self) -> Layer:
        """Return the layer with the arrays that the module holds now."""
        return replace(self.layer, **{name: tensor.cpu().numpy() for name, tensor in self.state_dict().items()})


class NetworkModule(nn.Module):
    """Runs the layers of a network in their order; ``module(images)`` gives the scores, as `Network.scores` does.

    Parameters
    ----------
    network : Network
        The structure, and the values that the parameters start from.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.operations = nn.ModuleList(Operation(layer) for layer in network.layers)

    def operation(self, name: str) -> Operation:
        """Return the operation of the layer `name`; its parameters have the names of the layer's arrays."""
        return self.operations[self.network.layers.index(self.network[name])]

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """Return every activation for a batch of images, by layer name, as `Network.forward` does."""
        values = {INPUT: images}
        for operation in self.operations:
            layer = operation.layer
            values[layer.name] = operation(*(values[source] for source in layer.inputs))
        return values

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores of a batch of images (batch, maps, height, width)."""
        return self.activations(images)[self.network.output]

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the parameters as an optimizer takes them: only kernels and matrices decay."""
        parameters = list(self.operations.parameters())
        matrices, vectors = [x for x in parameters if x.ndim > 1], [x for x in parameters if x.ndim == 1]
        return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]

    def before_epoch(self, done: float) -> None:
        """Do what is due before an epoch, when the share `done` (0..1) of all is over: nothing here."""

    def after_step(self) -> None:
        """Do what is due after each step of the optimizer: nothing here."""


def to_module(network: Network) -> NetworkModule:
    """Return a trainable module that computes what `network` computes.

    The module is in evaluation mode: batch norms use their running statistics until ``module.train()``.

    Raises
    ------
    EspalierError
        When it runs: a layer is of a kind that has no operation here.
    """
    return NetworkModule(network).eval()


def to_network(module: NetworkModule) -> Network:
    """Return the network of `module` with its present parameters and batch norm statistics.

    Raises
    ------
    EspalierError
        A parameter is not finite: the training has diverged.
    """
    return replace(module.network, layers=tuple(operation.learned() for operation in module.operations))


_FUNCTIONS: dict[str, Callable[..., Tensor]] = {  # those of accel.functions
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "hard_sigmoid": lambda x, slope, middle: (slope * x + middle).clamp(0, 1),
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "softplus": F.softplus,
    "normal_probability": lambda x: 0.5 * (1 + torch.erf(x / math.sqrt(2))),
    "nearly_normal_probability": lambda x: 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}


@singledispatch
def compute(layer: Layer, arrays: Any, *inputs: Tensor) -> Tensor:
    """Return the output of `layer` for a batch, with the weights, scales and statistics that `arrays` holds."""
    raise EspalierError(f"{layer.name}: a {type(layer).__name__} layer cannot be trained")


@compute.register
def _(layer: Conv2d, arrays: Any, maps: Tensor) -> Tensor:
    maps, padding = padded(maps, layer.window)
    return F.conv2d(maps, arrays.weight, arrays.bias, layer.window.stride, padding, groups=layer.groups)


@compute.register
def _(layer: Linear, arrays: Any, features: Tensor) -> Tensor:
    return F.linear(features, arrays.weight, arrays.bias)


@compute.register
def _(layer: BatchNorm, arrays: Any, maps: Tensor) -> Tensor:
    statistics, affine = (arrays.mean, arrays.variance), (arrays.scale, arrays.shift)
    return F.batch_norm(maps, *statistics, *affine, arrays.training, STATISTICS_MOMENTUM, layer.epsilon)


@compute.register
def _(layer: ReLU, arrays: Any, values: Tensor) -> Tensor:
    return F.relu(values)


@compute.register
def _(layer: Activation, arrays: Any, values: Tensor) -> Tensor:
    made = _FUNCTIONS[layer.function](values, *layer.parameters)
    return made * values if layer.times_input else made


@compute.register
def _(layer: Clip, arrays: Any, values: Tensor) -> Tensor:
    return values.clamp(0, layer.highest)


@compute.register
def _(layer: MaxPool, arrays: Any, maps: Tensor) -> Tensor:
    return F.max_pool2d(filled(maps, layer.window, -float("inf")), layer.window.kernel, layer.window.stride)


@compute.register
def _(layer: AvgPool, arrays: Any, maps: Tensor) -> Tensor:
    return F.avg_pool2d(filled(maps, layer.window, 0.0), layer.window.kernel, layer.window.stride)


@compute.register
def _(layer: GlobalAvgPool, arrays: Any, maps: Tensor) -> Tensor:
    return maps.mean(dim=(-2, -1), keepdim=True)


@compute.register
def _(layer: Flatten, arrays: Any, maps: Tensor) -> Tensor:
    return maps.flatten(1)


@compute.register
def _(layer: Add, arrays: Any, left: Tensor, right: Tensor) -> Tensor:
    return left + right


@compute.register
def _(layer: Mul, arrays: Any, maps: Tensor, factors: Tensor) -> Tensor:
    return maps * (factors if factors.shape == maps.shape else factors.reshape(*factors.shape[:2], 1, 1))


@compute.register
def _(layer: Upsample, arrays: Any, maps: Tensor) -> Tensor:
    if layer.repeats:
        return maps.repeat_interleave(layer.factor[0], 2).repeat_interleave(layer.factor[1], 3)
    wide = maps.new_zeros(len(maps), *layer.output_shape(tuple(maps.shape[1:])))
    wide[:, :, :: layer.factor[0], :: layer.factor[1]] = maps
    return wide


@compute.register
def _(layer: Concat, arrays: Any, left: Tensor, right: Tensor) -> Tensor:
    return torch.cat([left, right], dim=1)


def padded(maps: Tensor, window: Window) -> tuple[Tensor, tuple[int, int]]:
    """Return maps and the padding that the convolution itself shall add: all of it where opposite sides are equal."""
    top, left, bottom, right = window.padding
    if top == bottom and left == right:
        return maps, (top, left)
    return filled(maps, window, 0.0), (0, 0)


def filled(maps: Tensor, window: Window, value: float) -> Tensor:
    """Return maps with the padding of `window` filled with `value`."""
    top, left, bottom, right = window.padding
    return F.pad(maps, (left, right, top, bottom), value=value) if any(window.padding) else maps
