"""The zoo's networks before training: layers and shapes, weights zero."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from accel.network import Conv2d, Flatten, Layer, Linear, MaxPool, Network, ReLU, Window


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


ARCHITECTURES: dict[str, Callable[[], Network]] = {"digits": digits, "lenet5": lenet5}


def _conv(name: str, outputs: int, maps: int, kernel: int, padding: int = 0) -> Conv2d:
    weight = np.zeros((outputs, maps, kernel, kernel), np.float32)
    window = Window.square(kernel, padding=padding)
    return Conv2d(name, (), weight=weight, bias=np.zeros(outputs, np.float32), window=window)


def _linear(name: str, outputs: int, inputs: int) -> Linear:
    weight = np.zeros((outputs, inputs), np.float32)
    return Linear(name, (), weight=weight, bias=np.zeros(outputs, np.float32))


def _chain(name: str, input_shape: tuple[int, int, int], *layers: Layer) -> Network:
    """Return a network whose layers follow each other, with a ReLU behind all weights but the last."""
    chained: list[Layer] = []
    for layer in layers:
        source = chained[-1].name if chained else "input"
        chained.append(replace(layer, inputs=(source,)))
        if isinstance(layer, Conv2d | Linear) and layer is not layers[-1]:
            chained.append(ReLU(f"relu{layer.name[-1]}", (layer.name,)))
    return Network(name, input_shape, tuple(chained))
