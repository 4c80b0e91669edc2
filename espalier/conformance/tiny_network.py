"""The network that conformance is checked on: two convolutions and a fully connected layer, of random weights."""

import numpy as np
from numpy.typing import NDArray

from accel.layers import Conv2d, Flatten, Linear, ReLU
from accel.network import INPUT, Network
from accel.window import Window


def tiny_network(seed: int) -> Network:
    """Return 3C3-4C3-5 for images of 2 x 5 x 5; sizes that no block or run divides."""
    generator = np.random.default_rng(seed)

    def weights(*shape: int) -> NDArray[np.float32]:
        return generator.normal(0, 0.5, shape).astype(np.float32)

    conv1 = Conv2d("conv1", (INPUT,), weight=weights(3, 2, 3, 3), bias=weights(3), window=Window.square(3, padding=1))
    conv2 = Conv2d("conv2", ("relu1",), weight=weights(4, 3, 3, 3), bias=weights(4), window=Window.square(3))
    layers = (
        conv1,
        ReLU("relu1", ("conv1",)),
        conv2,
        ReLU("relu2", ("conv2",)),
        Flatten("flat", ("relu2",)),
        Linear("fc3", ("flat",), weight=weights(5, 36), bias=weights(5)),
    )
    return Network("tiny", (2, 5, 5), layers)


def images_for(network: Network, count: int, seed: int) -> NDArray[np.float32]:
    """Return random images, pixels 0..1."""
    return np.random.default_rng(seed).random((count, *network.input_shape), np.float32)
