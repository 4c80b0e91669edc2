"""ResNet-18 and MobileNetV2 for images of 224 x 224, with random weights: what they take depends on shapes alone.

Sources: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1; Sandler et al., "MobileNetV2:
Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2. Batch norms are folded.
"""

import numpy as np
from numpy.typing import NDArray

from accel.layers import Add, Clip, Conv2d, Flatten, GlobalAvgPool, Layer, Linear, MaxPool, ReLU
from accel.network import INPUT, Network
from accel.window import Window

IMAGE, CLASSES = (3, 224, 224), 1000
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # of ResNet-18: maps, and the stride of the first of two blocks
INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
LAST_MAPS, CUT = 1280, 6.0  # of MobileNetV2, whose ReLUs end at 6


class _Grown:
    """A network that grows layer by layer; weights keep the variance of signals, as trained ones do."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.layers, self.last, self.maps = rng, list[Layer](), INPUT, IMAGE[0]

    def drawn(self, deviation: float, *shape: int) -> NDArray[np.float32]:
        return self.rng.normal(0, deviation, shape).astype(np.float32)

    def put(self, layer: Layer) -> None:
        self.layers.append(layer)
        self.last = layer.name

    def conv(self, name: str, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        maps = self.maps // groups
        weight = self.drawn((2 / (maps * kernel * kernel)) ** 0.5, outputs, maps, kernel, kernel)
        window, bias = Window.square(kernel, stride, kernel // 2), self.drawn(0.1, outputs)
        self.put(Conv2d(name, (self.last,), weight=weight, bias=bias, window=window, groups=groups))
        self.maps = outputs

    def classify(self, name: str) -> Network:
        self.put(GlobalAvgPool("mean", (self.last,)))
        self.put(Flatten("flatten", (self.last,)))
        weight, bias = self.drawn(self.maps**-0.5, CLASSES, self.maps), self.drawn(0.1, CLASSES)
        self.put(Linear("scores", (self.last,), weight=weight, bias=bias))
        return Network(name, IMAGE, tuple(self.layers))


def resnet18(rng: np.random.Generator) -> Network:
    """Return ResNet-18."""
    grown = _Grown(rng)
    grown.conv("conv1", 64, 7, 2)
    grown.put(ReLU("relu1", (grown.last,)))
    grown.put(MaxPool("pool1", (grown.last,), Window.square(3, 2, 1)))
    for number, (outputs, first) in enumerate(STAGES, start=2):
        for block, stride in enumerate((first, 1)):
            _basic(grown, f"conv{number}_{block + 1}", outputs, stride)
    return grown.classify("resnet18")


def _basic(grown: _Grown, name: str, outputs: int, stride: int) -> None:
    source, maps = grown.last, grown.maps
    grown.conv(f"{name}a", outputs, 3, stride)
    grown.put(ReLU(f"{name}a-relu", (grown.last,)))
    grown.conv(f"{name}b", outputs, 3)
    made = grown.last
    if stride > 1:
        grown.last, grown.maps = source, maps
        grown.conv(f"{name}s", outputs, 1, stride)
        source = grown.last
    grown.put(Add(f"{name}-sum", (made, source)))
    grown.put(ReLU(f"{name}-relu", (grown.last,)))


def mobilenet_v2(rng: np.random.Generator) -> Network:
    """Return MobileNetV2."""
    grown = _Grown(rng)
    _cut(grown, "conv1", 32, 3, 2)
    for stage, (widening, outputs, blocks, first) in enumerate(INVERTED, start=1):
        for block in range(blocks):
            _inverted(grown, f"block{stage}_{block + 1}", widening, outputs, first if block == 0 else 1)
    _cut(grown, "conv2", LAST_MAPS, 1)
    return grown.classify("mobilenet-v2")


def _inverted(grown: _Grown, name: str, widening: int, outputs: int, stride: int) -> None:
    source, maps = grown.last, grown.maps
    if widening > 1:
        _cut(grown, f"{name}-wide", maps * widening, 1)
    _cut(grown, f"{name}-deep", grown.maps, 3, stride, grown.maps)
    grown.conv(f"{name}-narrow", outputs, 1)
    if stride == 1 and maps == outputs:
        grown.put(Add(f"{name}-sum", (grown.last, source)))


def _cut(grown: _Grown, name: str, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
    grown.conv(name, outputs, kernel, stride, groups)
    grown.put(Clip(f"{name}-relu", (grown.last,), CUT))


NETWORKS = {"resnet18": resnet18, "mobilenet-v2": mobilenet_v2}
