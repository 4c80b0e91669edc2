"""Layers of random numbers, and a LeNet-5 of them."""

from typing import Any

import numpy as np

from accel.layers import Conv2d, Flatten, Linear, MaxPool, ReLU
from accel.network import Network
from accel.window import Window
from support.networks import Array

ONES = np.ones(2, np.float32)


def numbers(*shape: int, seed: int = 0) -> Array:
    """Return float32 numbers around zero."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolution(name: str, source: str, outputs: int, inputs: int, kernel: int, padding: int = 0) -> Conv2d:
    """Return a square convolution."""
    weight = numbers(outputs, inputs, kernel, kernel)
    return Conv2d(name, (source,), weight=weight, bias=numbers(outputs), window=Window.square(kernel, 1, padding))


def linear(name: str, source: str, outputs: int, inputs: int) -> Linear:
    """Return a fully connected layer."""
    return Linear(name, (source,), weight=numbers(outputs, inputs), bias=numbers(outputs))


def lenet() -> Network:
    """Return 6C5 (padding 2) - MP2 - 16C5 - MP2 - 120C5 - 84 - 10 for 28 x 28 images."""
    layers = (
        convolution("c1", "input", 6, 1, 5, padding=2),
        ReLU("r1", ("c1",)),
        MaxPool("s2", ("r1",), Window.square(2, 2)),
        convolution("c3", "s2", 16, 6, 5),
        ReLU("r3", ("c3",)),
        MaxPool("s4", ("r3",), Window.square(2, 2)),
        convolution("c5", "s4", 120, 16, 5),
        ReLU("r5", ("c5",)),
        Flatten("flat", ("r5",)),
        linear("f6", "flat", 84, 120),
        ReLU("r6", ("f6",)),
        linear("f7", "r6", 10, 84),
    )
    return Network("lenet", (1, 28, 28), layers)


def conv(**changes: Any) -> Conv2d:
    """Return a convolution of 2 maps to 2, with some arguments changed."""
    arguments = {"weight": np.ones((2, 2, 3, 3)), "bias": ONES, "window": Window.square(3), **changes}
    return Conv2d("c", ("input",), **arguments)
