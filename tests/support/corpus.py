"""Architectures as people write them in PyTorch, a few maps wide, with random weights: a corpus of files.

Each is written in the style of torchvision, timm or its paper's code: batch norms, in-place functions, `flatten` and
`view`, `chunk`, `cat`, functional calls. Images are small, so that each runs in milliseconds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from support.corpus_blocks import (
    VGG,
    ConvNorm,
    CrossStage,
    DenseLayer,
    Detector,
    Focus,
    Head,
    InceptionV3,
    Joined,
    Mean,
    PreActivation,
    RepVGG,
    Residual,
    Shuffle,
    ShuffleUnit,
    SqueezeExcitation,
    Temporal,
    UNet,
    separable,
)

SIZE = 16  # of images, unless a network has another


def plain() -> nn.Module:
    """A chain of convolutions, and of two fully connected layers with a batch norm between."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12), nn.ReLU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(108, 24),
        nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(), nn.Linear(24, 10),
    )  # fmt: skip


def _basic(maps: int, outputs: int, stride: int = 1, groups: int = 1) -> nn.Module:
    body = nn.Sequential(ConvNorm(maps, outputs, 3, stride), ConvNorm(outputs, outputs, 3, groups=groups, act=None))
    side = ConvNorm(maps, outputs, 1, stride, act=None) if stride > 1 or maps != outputs else None
    return Residual(body, side, nn.ReLU(inplace=True))


def _bottleneck(maps: int, hidden: int, outputs: int, stride: int = 1, groups: int = 1, *extra: nn.Module) -> nn.Module:
    middle = ConvNorm(hidden, hidden, 3, stride, groups)
    body = nn.Sequential(ConvNorm(maps, hidden, 1), middle, *extra, ConvNorm(hidden, outputs, 1, act=None))
    side = ConvNorm(maps, outputs, 1, stride, act=None) if stride > 1 or maps != outputs else None
    return Residual(body, side, nn.ReLU(inplace=True))


def _stem(outputs: int = 8) -> nn.Module:
    return nn.Sequential(ConvNorm(3, outputs, 7, 2), nn.MaxPool2d(3, 2, 1))


def resnet_basic() -> nn.Module:
    """ResNet of basic blocks."""
    return nn.Sequential(_stem(), _basic(8, 8), _basic(8, 16, 2), Head(16))


def resnet_bottleneck() -> nn.Module:
    """ResNet of bottlenecks."""
    return nn.Sequential(_stem(), _bottleneck(8, 4, 16), _bottleneck(16, 8, 24, 2), Head(24))


def resnext() -> nn.Module:
    """ResNet of bottlenecks with groups."""
    return nn.Sequential(_stem(), _bottleneck(8, 8, 16, groups=4), _bottleneck(16, 16, 24, 2, 4), Head(24))


def regnet_x() -> nn.Module:
    """RegNet without squeeze-and-excitation."""
    return nn.Sequential(ConvNorm(3, 8, 3, 2), _bottleneck(8, 8, 8, 2, 2), _bottleneck(8, 16, 16, 2, 4), Head(16))


def preactivation_resnet() -> nn.Module:
    """ResNet whose norms come first."""
    blocks = PreActivation(8, 8, 1), PreActivation(8, 16, 2)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), *blocks, nn.BatchNorm2d(16), nn.ReLU(), Head(16))


def densenet() -> nn.Module:
    """DenseNet of two blocks."""
    between = nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Conv2d(16, 8, 1, bias=False), nn.AvgPool2d(2, 2)
    dense = DenseLayer(8, 4), DenseLayer(12, 4), *between, DenseLayer(8, 4)
    return nn.Sequential(ConvNorm(3, 8, 3, 2), *dense, nn.BatchNorm2d(12), nn.ReLU(), Head(12))


def squeezenet() -> nn.Module:
    """SqueezeNet of two fire modules."""

    def fire(maps: int) -> nn.Module:
        squeeze = nn.Sequential(nn.Conv2d(maps, 4, 1), nn.ReLU(inplace=True))
        parts = (nn.Sequential(nn.Conv2d(4, 8, k, padding=k // 2), nn.ReLU(inplace=True)) for k in (1, 3))
        return nn.Sequential(squeeze, Joined(*parts))

    pool = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
    last = nn.Dropout(), nn.Conv2d(16, 10, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(inplace=True), pool, fire(8), fire(16), pool, *last)


def mobilenet_v1() -> nn.Module:
    """Depthwise separable convolutions."""
    return nn.Sequential(ConvNorm(3, 8, 3, 2), separable(8, 16), separable(16, 24, 2), separable(24, 24), Head(24))


def _inverted(maps: int, outputs: int, stride: int, act: Any, *extra: nn.Module) -> nn.Module:
    hidden = 2 * maps
    expand, depth = ConvNorm(maps, hidden, 1, act=act), ConvNorm(hidden, hidden, 3, stride, hidden, act)
    body = nn.Sequential(expand, depth, *extra, ConvNorm(hidden, outputs, 1, act=None))
    return Residual(body) if stride == 1 and maps == outputs else body


def mobilenet_v2() -> nn.Module:
    """Inverted residuals with ReLU6."""
    blocks = _inverted(8, 8, 1, nn.ReLU6), _inverted(8, 12, 2, nn.ReLU6), _inverted(12, 12, 1, nn.ReLU6)
    return nn.Sequential(ConvNorm(3, 8, 3, 2, act=nn.ReLU6), *blocks, ConvNorm(12, 32, 1, act=nn.ReLU6), Head(32))


def mobilenet_v3() -> nn.Module:
    """Inverted residuals with HardSwish and squeeze-and-excitation."""
    gates = SqueezeExcitation(16, 8, gate=nn.Hardsigmoid), SqueezeExcitation(24, 8, gate=nn.Hardsigmoid)
    blocks = _inverted(8, 12, 2, nn.ReLU, gates[0]), _inverted(12, 12, 1, nn.Hardswish, gates[1])
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(32, 24), nn.Hardswish(), nn.Dropout(), nn.Linear(24, 10)
    return nn.Sequential(ConvNorm(3, 8, 3, 2, act=nn.Hardswish), *blocks, ConvNorm(12, 32, 1, act=nn.Hardswish), *head)


def efficientnet() -> nn.Module:
    """Inverted residuals with SiLU and squeeze-and-excitation."""
    gates = SqueezeExcitation(16, 4, act=nn.SiLU), SqueezeExcitation(24, 4, act=nn.SiLU)
    blocks = _inverted(8, 12, 2, nn.SiLU, gates[0]), _inverted(12, 12, 1, nn.SiLU, gates[1])
    return nn.Sequential(ConvNorm(3, 8, 3, 2, act=nn.SiLU), *blocks, ConvNorm(12, 32, 1, act=nn.SiLU), Head(32))


def shufflenet_v1() -> nn.Module:
    """Group convolutions and channel shuffles."""

    def unit(maps: int, outputs: int, stride: int) -> nn.Module:
        first, depth = ConvNorm(maps, 8, 1, groups=2), ConvNorm(8, 8, 3, stride, 8, act=None)
        body = nn.Sequential(first, Shuffle(2), depth, ConvNorm(8, outputs, 1, groups=2, act=None))
        joined = Joined(nn.AvgPool2d(3, 2, 1), body)
        return nn.Sequential(joined, nn.ReLU()) if stride == 2 else Residual(body, act=nn.ReLU())

    return nn.Sequential(ConvNorm(3, 8, 3, 2), unit(8, 8, 2), unit(16, 16, 1), Head(16))


def shufflenet_v2() -> nn.Module:
    """Halves of maps that go by, and channel shuffles."""
    left = nn.Sequential(ConvNorm(8, 8, 3, 2, 8, act=None), ConvNorm(8, 8, 1))
    right = nn.Sequential(ConvNorm(8, 8, 1), ConvNorm(8, 8, 3, 2, 8, act=None), ConvNorm(8, 8, 1))
    units = Joined(left, right), Shuffle(2), ShuffleUnit(8)
    return nn.Sequential(ConvNorm(3, 8, 3, 2), *units, ConvNorm(16, 24, 1), Mean(), nn.Linear(24, 10))


def googlenet() -> nn.Module:
    """An inception block of four branches."""
    pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), ConvNorm(8, 4, 1))
    threes = nn.Sequential(ConvNorm(8, 4, 1), ConvNorm(4, 8, 3))
    block = Joined(ConvNorm(8, 4, 1), threes, nn.Sequential(ConvNorm(8, 2, 1), ConvNorm(2, 4, 5)), pooled)
    return nn.Sequential(ConvNorm(3, 8, 3, 2), nn.MaxPool2d(3, 2, ceil_mode=True), block, Head(20))


def convmixer() -> nn.Module:
    """Patches, depthwise and pointwise convolutions, GELU."""

    def mixer() -> list[nn.Module]:
        depth = nn.Sequential(nn.Conv2d(8, 8, 5, groups=8, padding="same"), nn.GELU(), nn.BatchNorm2d(8))
        return [Residual(depth), nn.Conv2d(8, 8, 1), nn.GELU(), nn.BatchNorm2d(8)]

    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.GELU(), nn.BatchNorm2d(8), *mixer(), *mixer(), Head(8))


def fsrcnn() -> nn.Module:
    """Super-resolution whose last layer makes maps larger."""
    parts = nn.Conv2d(1, 8, 5, padding=2), nn.PReLU(8), nn.Conv2d(8, 4, 1), nn.PReLU(4), nn.Conv2d(4, 4, 3, padding=1)
    return nn.Sequential(*parts, nn.PReLU(4), nn.Conv2d(4, 8, 1), nn.PReLU(8), nn.ConvTranspose2d(8, 1, 9, 2, 4, 1))


def espcn() -> nn.Module:
    """Super-resolution by a pixel shuffle."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.Conv2d(8, 4, 3, padding=1), nn.PixelShuffle(2),
    )  # fmt: skip


def tcn() -> nn.Module:
    """A temporal convolutional network."""
    blocks = Temporal(4, 8, 1), Temporal(8, 8, 2)
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 5))


def ds_cnn() -> nn.Module:
    """Keyword spotting as MLPerf Tiny has it."""
    blocks = ConvNorm(1, 8, (10, 4), 2, padding=(5, 1)), separable(8, 8), separable(8, 8)
    return nn.Sequential(*blocks, nn.Dropout(0.4), Head(8, 12))


def repvgg() -> nn.Module:
    """RepVGG as it is trained."""
    return nn.Sequential(RepVGG(3, 8, 2), RepVGG(8, 8, 1), RepVGG(8, 16, 2), Head(16))


def nin() -> nn.Module:
    """Network in network, its average pool with a part of a window at the end."""

    def block(maps: int, outputs: int, kernel: int) -> list[nn.Module]:
        convs = nn.Conv2d(maps, outputs, kernel, padding=kernel // 2), nn.Conv2d(outputs, outputs, 1)
        return [layer for conv in convs for layer in (conv, nn.ReLU(inplace=True))]

    pools = nn.MaxPool2d(3, stride=2, ceil_mode=True), nn.AvgPool2d(3, stride=2, ceil_mode=True)
    return nn.Sequential(*block(3, 8, 5), pools[0], *block(8, 12, 5), pools[1], *block(12, 10, 3), Mean())


def autoencoder() -> nn.Module:
    """Strided convolutions there, transposed ones back."""
    encoder = nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, 2, 1), nn.ReLU()
    decoder = nn.ConvTranspose2d(4, 8, 3, 2, 1, output_padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1)
    return nn.Sequential(*encoder, *decoder, nn.Sigmoid())


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.1, inplace=True)


def yolo_tiny() -> nn.Module:
    """A backbone with LeakyReLU, and a pool of stride 1."""
    parts = ConvNorm(3, 8, act=_leaky), nn.MaxPool2d(2, 2), ConvNorm(8, 12, act=_leaky), nn.MaxPool2d(2, 2)
    same = nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1)
    return nn.Sequential(
        *parts, ConvNorm(12, 16, act=_leaky), *same, ConvNorm(16, 16, act=_leaky), nn.Conv2d(16, 18, 1)
    )


def csp_focus() -> nn.Module:
    """YOLOv5's first layers."""
    return nn.Sequential(Focus(3, 8), CrossStage(8, 4), nn.Conv2d(8, 18, 1))


RGB = (3, SIZE, SIZE)
Made = tuple[Callable[[], nn.Module], Sequence[int]]
CORPUS: dict[str, Made] = {
    "plain": (plain, RGB),
    "vgg": (VGG, RGB),
    "resnet-basic": (resnet_basic, (3, 32, 32)),
    "resnet-bottleneck": (resnet_bottleneck, (3, 32, 32)),
    "resnext": (resnext, (3, 32, 32)),
    "regnet-x": (regnet_x, RGB),
    "preactivation-resnet": (preactivation_resnet, RGB),
    "densenet": (densenet, RGB),
    "squeezenet": (squeezenet, (3, 32, 32)),
    "mobilenet-v1": (mobilenet_v1, RGB),
    "mobilenet-v2": (mobilenet_v2, RGB),
    "mobilenet-v3": (mobilenet_v3, RGB),
    "efficientnet": (efficientnet, RGB),
    "shufflenet-v1": (shufflenet_v1, RGB),
    "shufflenet-v2": (shufflenet_v2, RGB),
    "googlenet": (googlenet, RGB),
    "inception-v3": (InceptionV3, RGB),
    "convmixer": (convmixer, RGB),
    "unet-transposed": (lambda: UNet(True), RGB),
    "unet-nearest": (lambda: UNet(False), RGB),
    "fsrcnn": (fsrcnn, (1, 8, 8)),
    "espcn": (espcn, (1, 8, 8)),
    "tcn": (tcn, (4, 24)),
    "ds-cnn": (ds_cnn, (1, 25, 10)),
    "repvgg": (repvgg, RGB),
    "nin": (nin, RGB),
    "autoencoder": (autoencoder, (1, SIZE, SIZE)),
    "yolo-tiny": (yolo_tiny, RGB),
    "csp-focus": (csp_focus, RGB),
    "detector": (Detector, RGB),
}


def made(name: str) -> nn.Module:
    """Return a network with random weights, whose batch norms have the statistics of random images."""
    torch.manual_seed(0)
    model = CORPUS[name][0]()
    for norm in (x for x in model.modules() if isinstance(x, nn.BatchNorm1d | nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0.3, 0.2)
        norm.momentum = None  # the mean of all batches
    with torch.no_grad():
        for _ in range(2):
            model(torch.randn(16, *CORPUS[name][1]))
    return model.eval()
