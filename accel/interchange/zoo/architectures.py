"""The zoo's networks before training: layers and shapes, weights zero."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from accel.layers import Add, BatchNorm, Conv2d, Flatten, GlobalAvgPool, Layer, Linear, MaxPool, ReLU, Weighted
from accel.network import INPUT, Network
from accel.window import Window


def digits() -> Network:
    """Return 16C3-32C3-MP2-32C3-MP2-10 for 8x8 images, padded: small enough to train in minutes; our own."""
    return _chain(
        "digits",
        (1, 8, 8),
        _conv("conv1", 16, 1, 3, padding=1),
        _conv("conv2", 32, 16, 3, padding=1),
        MaxPool("pool2", (), Window.square(2, 2)),
        _conv("conv3", 32, 32, 3, padding=1),
        MaxPool("pool3", (), Window.square(2, 2)),
        Flatten("flatten", ()),
        _linear("fc4", 10, 128),
    )


def lenet5() -> Network:
    """Return 6C5-MP2-16C5-MP2-120C5-84-10 for 28x28 images padded to 32x32.

    Source: LeCun et al. 1998, with max pooling, ReLU and full connection of the second convolution, as the sources'
    MNIST networks have them; the third convolution sees one position and is usually drawn as a layer of 120.
    """
    return _chain(
        "lenet5",
        (1, 28, 28),
        _conv("conv1", 6, 1, 5, padding=2),
        MaxPool("pool1", (), Window.square(2, 2)),
        _conv("conv2", 16, 6, 5),
        MaxPool("pool2", (), Window.square(2, 2)),
        _conv("conv3", 120, 16, 5),
        Flatten("flatten", ()),
        _linear("fc4", 84, 120),
        _linear("fc5", 10, 84),
    )


def lenet_300_100(name: str = "lenet-300-100") -> Network:
    """Return 784-300-100-10, fully connected, for 28x28 images.

    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998, section III.C.4; with ReLU,
    as the literature of pruning has it (Huang et al. 2021 prune it by blocks, on MNIST and on Fashion-MNIST).
    """
    return _chain(
        name,
        (1, 28, 28),
        Flatten("flatten", ()),
        _linear("fc1", 300, 28 * 28),
        _linear("fc2", 100, 300),
        _linear("fc3", 10, 100),
    )


def cifar_quick() -> Network:
    """Return 32C5-MP2-32C5-MP2-64C5-MP2-64-10 for 3x32x32 images, padded.

    Source: the small CIFAR-10 network of Hwang, Shin and Sung (arXiv 1511.06488, 1611.06342), three 5x5 convolutions
    with pooling, of 32, 32 and 64 maps, 64 fully connected; from Krizhevsky's cuda-convnet. That every pool takes the
    maximum of 2x2 is our choice, and so is ReLU after it: the same values from a quarter of the work.
    """
    layers: list[Layer] = []
    for number, (outputs, maps) in enumerate([(32, 3), (32, 32), (64, 32)], start=1):
        pool = MaxPool(f"pool{number}", (), Window.square(2, 2))
        layers += [_conv(f"conv{number}", outputs, maps, 5, padding=2), pool, ReLU(f"relu{number}", ())]
    layers += [Flatten("flatten", ()), _linear("fc4", 64, 64 * 4 * 4), ReLU("relu4", ()), _linear("fc5", 10, 64)]
    return _linked("cifar-quick", (3, 32, 32), layers)


def cnn_small() -> Network:
    """Return (2x128C3)-MP-(2x128C3)-MP-(2x256C3)-256-10 for 3x32x32 images, batch norm after all but the scores.

    Source: `CNNsmall` of Anwar and Sung, "Compact Deep Convolutional Neural Networks With Coarse Pruning" (arXiv
    1610.09639): six 3x3 convolutions, max pools of 3x3 with stride 2, batch norm everywhere. That convolutions are
    padded and pools are not, so that maps are 32, 15 and 7 wide, is our choice.
    """
    layers: list[Layer] = []
    for number, (outputs, maps) in enumerate([(128, 3), *[(128, 128)] * 3, (256, 128), (256, 256)], start=1):
        layers += [_conv(f"conv{number}", outputs, maps, 3, padding=1), _norm(f"norm{number}", outputs)]
        if number in (2, 4):
            layers.append(MaxPool(f"pool{number}", (), Window.square(3, 2)))
    layers += [Flatten("flatten", ()), _linear("fc7", 256, 256 * 7 * 7), _norm("norm7", 256), _linear("fc8", 10, 256)]
    return _chain("cnn-small", (3, 32, 32), *layers)


def resnet20() -> Network:
    """Return the residual network of 20 layers for 3x32x32 images, of 16, 32 and 64 maps, three blocks each.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2, with n = 3. A block that
    changes the number of maps has a 1x1 convolution of stride 2 as its shortcut (the paper's option B; on CIFAR it
    takes option A, zeros for the maps that are new), because a sum here takes tensors of one shape.
    """
    return _residual("resnet20", blocks=3)


def resnet8() -> Network:
    """Return the residual network of 8 layers for 3x32x32 images, of 16, 32 and 64 maps, one block each.

    Source: the reference network for image classification of MLPerf Tiny (Banbury et al., arXiv 2106.07597; the file
    `keras_model.py` of its benchmark), whose 1x1 shortcuts have no batch norm. Where a convolution halves the maps ours
    pads all sides alike and the source's the bottom and the right alone, which changes no shape and no count.
    """
    return _residual("resnet8", blocks=1, norm_shortcuts=False)


def dscnn() -> Network:
    """Return the depthwise separable network that tells 12 words apart: 49 frames of 10 MFCC, four blocks of 64 maps.

    Source: the reference network for keyword spotting of MLPerf Tiny (Banbury et al., arXiv 2106.07597; the file
    `keras_model.py` of its benchmark), after Zhang et al., "Hello Edge" (arXiv 1711.07128); that the last mean is of
    all 25 rows is how its trained network has it.
    """
    layers = _activated("conv1", _padded_conv("conv1", 64, 1, (10, 4), 2, (4, 1, 5, 1)))
    for block in range(2, 6):
        layers += _separable(block, 64, 64, 1)
    layers += [GlobalAvgPool("mean", ()), Flatten("flatten", ()), _linear("fc6", 12, 64)]
    return _linked("dscnn", (1, 49, 10), layers)


def mobilenet() -> Network:
    """Return MobileNetV1 at a quarter of its width, which says whether a 3x96x96 image shows a person.

    Source: Howard et al. (arXiv 1704.04861), as the reference network for visual wake words of MLPerf Tiny has it (the
    file `vww_model.py` of its benchmark): 13 separable blocks, ReLU in place of ReLU6, and what halves the maps pads
    the bottom and the right alone.
    """
    widths = (8, 16, 32, 32, 64, 64, *(128,) * 6, 256, 256)
    layers = _activated("conv1", _padded_conv("conv1", 8, 3, (3, 3), 2, (0, 0, 1, 1)))
    for block, (maps, outputs) in enumerate(pairwise(widths), start=2):
        layers += _separable(block, outputs, maps, 2 if block in (3, 5, 7, 13) else 1)
    layers += [GlobalAvgPool("mean", ()), Flatten("flatten", ()), _linear("fc15", 2, 256)]
    return _linked("mobilenet-0.25", (3, 96, 96), layers)


def autoencoder() -> Network:
    """Return 640-(4x128)-8-(4x128)-640, which gives 5 frames of 128 log-mel energies again; batch norm, ReLU inside.

    Source: the reference network for anomaly detection of MLPerf Tiny (the file `keras_model.py` of its benchmark),
    which is the baseline of DCASE 2020's task 2 (Koizumi et al., arXiv 2006.05822).
    """
    layers: list[Layer] = [Flatten("flatten", ())]
    for number, (inputs, outputs) in enumerate(pairwise((640, *(128,) * 4, 8, *(128,) * 4)), start=1):
        layers += _activated(f"fc{number}", _linear(f"fc{number}", outputs, inputs))
    return _linked("autoencoder", (1, 5, 128), [*layers, _linear("fc10", 640, 128)])


ARCHITECTURES: dict[str, Callable[[], Network]] = {
    "digits": digits,
    "lenet5": lenet5,
    "lenet-300-100": lenet_300_100,
    "lenet-300-100-fashion": partial(lenet_300_100, "lenet-300-100-fashion"),
    "cifar-quick": cifar_quick,
    "cnn-small": cnn_small,
    "resnet8": resnet8,
    "resnet20": resnet20,
    "dscnn": dscnn,
    "mobilenet-0.25": mobilenet,
    "autoencoder": autoencoder,
}


def _conv(name: str, outputs: int, maps: int, kernel: int, padding: int = 0, stride: int = 1) -> Conv2d:
    weight = np.zeros((outputs, maps, kernel, kernel), np.float32)
    window = Window.square(kernel, stride, padding)
    return Conv2d(name, (), weight=weight, bias=np.zeros(outputs, np.float32), window=window)


def _padded_conv(
    name: str, outputs: int, maps: int, kernel: tuple[int, int], stride: int, padding: tuple[int, int, int, int]
) -> Conv2d:
    """Return a convolution that pads each side on its own; of one map for each output it is depthwise."""
    window = Window(kernel, (stride, stride), padding)
    weight = np.zeros((outputs, maps, *kernel), np.float32)
    return Conv2d(name, (), weight=weight, bias=np.zeros(outputs, np.float32), window=window)


def _separable(block: int, outputs: int, maps: int, stride: int) -> list[Layer]:
    """Return a depthwise convolution of 3x3 and one of 1x1, each with batch norm and ReLU."""
    depthwise = _padded_conv("", maps, 1, (3, 3), stride, (1, 1, 1, 1) if stride == 1 else (0, 0, 1, 1))
    return [
        *_activated(f"depthwise{block}", replace(depthwise, groups=maps)),
        *_activated(f"pointwise{block}", _conv("", outputs, maps, 1)),
    ]


def _activated(name: str, layer: Weighted) -> list[Layer]:
    """Return a layer of that name, its batch norm and its ReLU."""
    return [replace(layer, name=name), _norm(f"{name}norm", len(layer.bias)), ReLU(f"{name}relu", ())]


def _linear(name: str, outputs: int, inputs: int) -> Linear:
    weight = np.zeros((outputs, inputs), np.float32)
    return Linear(name, (), weight=weight, bias=np.zeros(outputs, np.float32))


def _norm(name: str, maps: int) -> BatchNorm:
    ones, zeros = np.ones(maps, np.float32), np.zeros(maps, np.float32)
    return BatchNorm(name, (), ones, zeros, zeros, ones)


def _chain(name: str, input_shape: tuple[int, int, int], *layers: Layer) -> Network:
    """Return a network whose layers follow each other, a ReLU after all weights (and their norm) but the last."""
    active: list[Layer] = []
    for layer, following in zip(layers, (*layers[1:], None), strict=True):
        active.append(layer)
        if following and isinstance(layer, Conv2d | Linear | BatchNorm) and not isinstance(following, BatchNorm):
            active.append(ReLU(f"relu{layer.name[-1]}", ()))
    return _linked(name, input_shape, active)


def _linked(name: str, input_shape: tuple[int, int, int], layers: Sequence[Layer]) -> Network:
    """Return a network in which each layer reads the one before."""
    sources = (INPUT, *(layer.name for layer in layers))
    linked = [replace(layer, inputs=(source,)) for layer, source in zip(layers, sources, strict=False)]
    return Network(name, input_shape, tuple(linked))


def _residual(name: str, blocks: int, norm_shortcuts: bool = True) -> Network:
    """Return a residual network for CIFAR-10: a convolution, three stages of `blocks` blocks each, mean and scores."""
    layers: list[Layer] = [*_normalized("conv1", INPUT, 16, 3, 3), ReLU("relu1", ("norm1",))]
    for stage, (maps, outputs) in enumerate([(16, 16), (16, 32), (32, 64)], start=1):
        for block in range(1, blocks + 1):
            changing = block == 1 and outputs != maps
            shape = outputs, maps if block == 1 else outputs, 2 if changing else 1
            layers += _block(f"{stage}_{block}", layers[-1].name, *shape, norm_shortcuts)
    for layer in (GlobalAvgPool("mean", ()), Flatten("flatten", ()), _linear("fc", 10, 64)):
        layers.append(replace(layer, inputs=(layers[-1].name,)))
    return Network(name, (3, 32, 32), tuple(layers))


def _block(name: str, source: str, outputs: int, maps: int, stride: int, norm_shortcut: bool) -> list[Layer]:
    """Return a residual block: two 3x3 convolutions, and what they are added to."""
    layers: list[Layer] = [
        *_normalized(f"conv{name}a", source, outputs, maps, 3, stride),
        ReLU(f"relu{name}a", (f"norm{name}a",)),
        *_normalized(f"conv{name}b", f"relu{name}a", outputs, outputs, 3),
    ]
    shortcut = source
    if maps != outputs:
        layers += _normalized(f"conv{name}s", source, outputs, maps, 1, stride)[: 1 + norm_shortcut]
        shortcut = layers[-1].name
    return [*layers, Add(f"add{name}", (f"norm{name}b", shortcut)), ReLU(f"relu{name}", (f"add{name}",))]


def _normalized(name: str, source: str, outputs: int, maps: int, kernel: int, stride: int = 1) -> list[Layer]:
    """Return a convolution that keeps the size of a map, or halves it, and its batch norm."""
    conv = _conv(name, outputs, maps, kernel, kernel // 2, stride)
    return [replace(conv, inputs=(source,)), replace(_norm(name.replace("conv", "norm"), outputs), inputs=(name,))]
