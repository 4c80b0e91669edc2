"""Networks for small devices with random weights: MobileNetV1, and the shapes of MLPerf Tiny's DS-CNN and ResNet-8."""

import numpy as np

from accel.layers import Add, Clip, Conv2d, Flatten, GlobalAvgPool, Layer, Linear, ReLU
from accel.network import INPUT, Network
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.window import Window

MOBILENET = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


class Sketch:
    """Takes layers one after another; weights keep the variance of signals, as trained ones do."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int, int]) -> None:
        self.rng, self.shape, self.maps, self.last = rng, shape, shape[0], INPUT
        self.layers: list[Layer] = []

    def put(self, layer: Layer) -> None:
        """Add a layer."""
        self.layers.append(layer)
        self.last = layer.name

    def conv(self, name: str, outputs: int, window: Window, groups: int = 1, highest: float | None = None) -> None:
        """Add a convolution and its ReLU, with an upper bound where there is one."""
        self.linear_conv(name, outputs, window, groups)
        bound = ReLU(f"{name}-relu", (self.last,)) if highest is None else Clip(f"{name}-relu", (self.last,), highest)
        self.put(bound)

    def linear_conv(self, name: str, outputs: int, window: Window, groups: int = 1) -> None:
        """Add a convolution alone."""
        fan_in = self.maps // groups * window.taps
        weight = self.rng.normal(0, (2 / fan_in) ** 0.5, (outputs, self.maps // groups, *window.kernel))
        bias = self.rng.normal(0, 0.1, outputs)
        self.put(Conv2d(name, (self.last,), weight=weight, bias=bias, window=window, groups=groups))
        self.maps = outputs

    def residual(self, name: str, outputs: int, stride: int) -> None:
        """Add two convolutions of 3 x 3 and, beside them, what they read, or a 1 x 1 convolution of it."""
        source, maps, pads = self.last, self.maps, {1: (1, 1, 1, 1), 2: (0, 0, 1, 1)}[stride]
        self.conv(f"{name}a", outputs, Window((3, 3), (stride, stride), pads))
        self.linear_conv(f"{name}b", outputs, Window.square(3, 1, 1))
        before, beside = self.last, source
        if stride > 1:
            self.last, self.maps = source, maps
            self.linear_conv(f"{name}c", outputs, Window((1, 1), (stride, stride)))
            beside = self.last
        self.put(Add(f"{name}-sum", (beside, before)))
        self.put(ReLU(f"{name}-relu", (self.last,)))

    def classify(self, name: str, classes: int) -> Network:
        """Add the mean of each map and a fully connected layer; return the network."""
        self.put(GlobalAvgPool("mean", (self.last,)))
        self.put(Flatten("flat", (self.last,)))
        weight = self.rng.normal(0, self.maps**-0.5, (classes, self.maps))
        self.put(Linear("scores", (self.last,), weight=weight, bias=np.zeros(classes)))
        return Network(name, self.shape, tuple(self.layers))


def mobilenet(rng: np.random.Generator, side: int = 96, width: float = 0.25, blocks: int = 13) -> Network:
    """Return MobileNetV1 for images of `side` x `side`, with its first `blocks` blocks; padded as TensorFlow does."""
    sketch, same = Sketch(rng, (3, side, side)), {1: (1, 1, 1, 1), 2: (0, 0, 1, 1)}
    sketch.conv("conv", int(32 * width), Window((3, 3), (2, 2), same[2]), highest=6.0)
    for index, (outputs, stride) in enumerate(MOBILENET[:blocks]):
        window = Window((3, 3), (stride, stride), same[stride])
        sketch.conv(f"depthwise{index}", sketch.maps, window, groups=sketch.maps, highest=6.0)
        sketch.conv(f"pointwise{index}", int(outputs * width), Window((1, 1)), highest=6.0)
    return sketch.classify("mobilenet", 2)


def ds_cnn(rng: np.random.Generator, maps: int = 64, blocks: int = 4) -> Network:
    """Return DS-CNN for keyword spotting: 10 x 4 kernels at stride 2 on 49 x 10 words, then depthwise blocks."""
    sketch = Sketch(rng, (1, 49, 10))
    sketch.conv("conv", maps, Window((10, 4), (2, 2), (4, 1, 5, 1)))
    for index in range(blocks):
        sketch.conv(f"depthwise{index}", maps, Window.square(3, 1, 1), groups=maps)
        sketch.conv(f"pointwise{index}", maps, Window((1, 1)))
    return sketch.classify("ds-cnn", 12)


def resnet8(rng: np.random.Generator) -> Network:
    """Return ResNet-8 for images of 32 x 32: three residual blocks, two of them at stride 2."""
    sketch = Sketch(rng, (3, 32, 32))
    sketch.conv("conv", 16, Window.square(3, 1, 1))
    for index, (outputs, stride) in enumerate(((16, 1), (32, 2), (64, 2))):
        sketch.residual(f"block{index}", outputs, stride)
    return sketch.classify("resnet8", 10)


def quantized(network: Network, rng: np.random.Generator, images: int = 2) -> Program:
    """Return the network at 8-bit weights and signals."""
    return lower(PrunedNetwork(network), Widths(8, 8), rng.random((images, *network.input_shape), np.float32))
