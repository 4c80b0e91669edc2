"""Small random networks, written layer by layer, for the tests of pruning, quantisation and cost."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from accel.layers import (
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
    ReLU,
    Shape,
)
from accel.network import INPUT, Network
from accel.window import Window

Array = np.ndarray[Any, np.dtype[Any]]


class Sketch:
    """Takes layers one after another; each reads the one before unless it is told, and draws its own numbers."""

    def __init__(self, *input_shape: int, seed: int = 0) -> None:
        self.input_shape, self.rng = input_shape, np.random.default_rng(seed)
        self.layers: list[Layer] = []
        self.shapes: dict[str, Shape] = {INPUT: input_shape}
        self.last = INPUT

    def conv(self, name: str, outputs: int, kernel: int = 3, padding: int = 0, source: str = "") -> str:
        """Add a square convolution with random weights and biases."""
        maps = self.shapes[source or self.last][0]
        window = Window.square(kernel, padding=padding)
        weight, bias = self._weights(outputs, maps, kernel, kernel)
        return self.put(Conv2d(name, (source or self.last,), weight=weight, bias=bias, window=window))

    def linear(self, name: str, outputs: int, source: str = "") -> str:
        """Add a fully connected layer with random weights and biases."""
        weight, bias = self._weights(outputs, *self.shapes[source or self.last])
        return self.put(Linear(name, (source or self.last,), weight=weight, bias=bias))

    def depthwise(self, name: str, kernel: int = 3, padding: int = 1) -> str:
        """Add a square convolution of each map by itself with random weights and biases."""
        maps, window = self.shapes[self.last][0], Window.square(kernel, padding=padding)
        weight, bias = self._weights(maps, 1, kernel, kernel)
        return self.put(Conv2d(name, (self.last,), weight=weight, bias=bias, window=window, groups=maps))

    def clip(self, name: str, highest: float = 6.0) -> str:
        """Add a clip from 0 to `highest`."""
        return self.put(Clip(name, (self.last,), highest))

    def concat(self, name: str, left: str, right: str) -> str:
        """Add the maps of one tensor after those of another."""
        return self.put(Concat(name, (left, right)))

    def norm(self, name: str) -> str:
        """Add a batch norm with random numbers."""
        maps = self.shapes[self.last][0]
        scale, variance = self.rng.uniform(0.5, 1.5, maps), self.rng.uniform(0.5, 2, maps)
        shift, mean = self.rng.normal(0, 0.2, (2, maps))
        return self.put(BatchNorm(name, (self.last,), *map(np.float32, (scale, shift, mean, variance))))

    def relu(self, name: str, source: str = "") -> str:
        """Add a ReLU."""
        return self.put(ReLU(name, (source or self.last,)))

    def max_pool(self, name: str, size: int = 2, stride: int = 2, padding: int = 0) -> str:
        """Add a square max pool."""
        return self.put(MaxPool(name, (self.last,), Window.square(size, stride, padding)))

    def avg_pool(self, name: str, size: int = 2, stride: int = 2, padding: int = 0) -> str:
        """Add a square average pool."""
        return self.put(AvgPool(name, (self.last,), Window.square(size, stride, padding)))

    def global_pool(self, name: str) -> str:
        """Add a global average pool."""
        return self.put(GlobalAvgPool(name, (self.last,)))

    def flatten(self, name: str = "flat") -> str:
        """Add a flatten."""
        return self.put(Flatten(name, (self.last,)))

    def add(self, name: str, left: str, right: str) -> str:
        """Add the sum of two tensors."""
        return self.put(Add(name, (left, right)))

    def put(self, layer: Layer) -> str:
        """Add any layer; return its name."""
        self.layers.append(layer)
        self.shapes[layer.name] = layer.output_shape(*(self.shapes[source] for source in layer.inputs))
        self.last = layer.name
        return layer.name

    def network(self, name: str = "net") -> Network:
        """Return the network."""
        return Network(name, self.input_shape, tuple(self.layers))  # type: ignore[arg-type]  # three sizes

    def _weights(self, *shape: int) -> tuple[Array, Array]:
        scale = math.sqrt(2 / math.prod(shape[1:]))  # signals keep their size from layer to layer
        return np.float32(self.rng.normal(0, scale, shape)), np.float32(self.rng.normal(0, 0.1, shape[0]))


def chain(seed: int = 0) -> Network:
    """Return 4C3-MP2-5C3-7-3 for 2 x 8 x 8 images, with a batch norm and ReLUs: what a small user's network is."""
    sketch = Sketch(2, 8, 8, seed=seed)
    sketch.conv("conv1", 4, padding=1)
    sketch.norm("norm1")
    sketch.relu("relu1")
    sketch.max_pool("pool1")
    sketch.conv("conv2", 5)
    sketch.relu("relu2")
    sketch.flatten()
    sketch.linear("fc3", 7)
    sketch.relu("relu3")
    sketch.linear("fc4", 3)
    return sketch.network("chain")


def mobile(seed: int = 0) -> Network:
    """Return what a network from elsewhere has that ours do not: clips, a depthwise convolution, a concatenation.

    One clip bounds what a concatenation gives, the others what a convolution does.
    """
    sketch = Sketch(2, 8, 8, seed=seed)
    sketch.conv("conv1", 4, padding=1)
    sketch.norm("norm1")
    trunk = sketch.clip("clip1", 1.5)
    sketch.depthwise("conv2")
    sketch.norm("norm2")
    branch = sketch.clip("clip2", 1.0)
    sketch.concat("join", trunk, branch)
    sketch.clip("clip3", 0.9)
    sketch.max_pool("pool3")
    sketch.conv("conv4", 5)
    sketch.clip("clip4", 0.7)
    sketch.flatten()
    sketch.linear("fc5", 3)
    return sketch.network("mobile")


def residual(seed: int = 0) -> Network:
    """Return a network in which an addition ties conv1 and conv3, with both average pools and batch norms."""
    sketch = Sketch(2, 6, 6, seed=seed)
    sketch.conv("conv1", 4, padding=1)
    sketch.norm("norm1")
    trunk = sketch.relu("relu1")
    sketch.conv("conv2", 3, kernel=1)
    sketch.relu("relu2")
    sketch.conv("conv3", 4, padding=1)
    branch = sketch.norm("norm3")
    sketch.add("add", trunk, branch)
    sketch.relu("relu3")
    sketch.avg_pool("pool3")
    sketch.conv("conv4", 6, kernel=2)
    sketch.relu("relu4")
    sketch.global_pool("mean")
    sketch.flatten()
    sketch.linear("fc5", 3)
    return sketch.network("residual")


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Draw a small network: layers of every kind, in orders that people write them in."""
    sketch = Sketch(
        draw(st.integers(1, 3)), draw(st.integers(4, 7)), draw(st.integers(4, 7)), seed=draw(st.integers(0))
    )
    number = iter(range(99))

    def maybe(*calls: Any) -> None:
        for call in calls:
            if draw(st.booleans()):
                call(f"{call.__name__}{next(number)}")

    sketch.conv("conv1", draw(st.integers(2, 5)), kernel=draw(st.sampled_from([1, 3])), padding=1)
    maybe(sketch.norm)
    maybe(*draw(st.permutations([sketch.relu, draw(st.sampled_from([sketch.max_pool, sketch.avg_pool]))])))
    if draw(st.booleans()):
        trunk, maps = sketch.last, sketch.shapes[sketch.last][0]
        sketch.conv("conv2", maps, padding=1)
        maybe(sketch.norm)
        sketch.add("add", *draw(st.permutations([trunk, sketch.last])))
        maybe(sketch.relu)
    sketch.conv("conv3", draw(st.integers(2, 5)), kernel=2)
    if draw(st.booleans()):
        maybe(sketch.relu, sketch.global_pool)
        sketch.flatten()
    else:
        sketch.flatten()
        maybe(sketch.relu)
    sketch.linear("fc4", draw(st.integers(2, 5)))
    maybe(sketch.norm, sketch.relu)
    sketch.linear("fc5", 3)
    return sketch.network()


def images_for(network: Network, count: int = 20, seed: int = 7, levels: int = 255) -> Array:
    """Return random images (count, maps, height, width) in 0..1 whose pixels are multiples of 1 / `levels`."""
    codes = np.random.default_rng(seed).integers(0, levels + 1, (count, *network.input_shape))
    return np.float32(codes / levels)


def scalar_layer(weights: Any, kernel: tuple[int, int], bias: Any = None) -> Network:
    """Return a network that is one convolution with these weights (M, C, T) and a map that it just fits."""
    array = np.asarray(weights, np.float32)
    outputs, maps, _ = array.shape
    biases = np.zeros(outputs, np.float32) if bias is None else np.asarray(bias, np.float32)
    layer = Conv2d("conv", (INPUT,), weight=array.reshape(outputs, maps, *kernel), bias=biases, window=Window(kernel))
    return Network("one", (maps, *kernel), (layer,))
