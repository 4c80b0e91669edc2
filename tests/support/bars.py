"""A small problem to learn: bars of two directions, and a small network for it."""

import numpy as np

from accel.layers import BatchNorm, Conv2d, Flatten, Linear, MaxPool, ReLU
from accel.network import INPUT, Network
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask
from accel.train import initialize
from accel.window import Window

SIDE, MAPS, CLASSES = 8, 6, 3


def bars(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy images of a horizontal bar, a vertical bar, or neither, at a random place: labels 0, 1, 2."""
    rng = np.random.default_rng(seed)
    images = rng.random((count, 1, SIDE, SIDE), np.float32) * np.float32(0.3)
    labels = rng.integers(CLASSES, size=count)
    for image, label, place in zip(images[:, 0], labels, rng.integers(SIDE, size=count), strict=True):
        if label < 2:
            (image if label == 0 else image.T)[place] = 1
    return images, labels


def network() -> Network:
    """Return a small convolutional network with batch norm and random weights."""
    shape, zeros, ones = (MAPS, 1, 3, 3), np.zeros(MAPS), np.ones(MAPS)
    layers = (
        Conv2d("first", (INPUT,), weight=np.zeros(shape), bias=zeros, window=Window.square(3, 1, 1)),
        BatchNorm("norm", ("first",), ones, zeros, zeros, ones),
        ReLU("relu1", ("norm",)),
        MaxPool("pool", ("relu1",), Window.square(2, 2)),
        Conv2d("second", ("pool",), weight=np.zeros((8, MAPS, 3, 3)), bias=np.zeros(8), window=Window.square(3)),
        ReLU("relu2", ("second",)),
        Flatten("flat", ("relu2",)),
        Linear("scores", ("flat",), weight=np.zeros((CLASSES, 32)), bias=np.zeros(CLASSES)),
    )
    return initialize(Network("tiny", (1, SIDE, SIDE), layers), np.random.default_rng(5))


def pruned() -> PrunedNetwork:
    """Return the network with kernels of its second layer pruned, and single weights of its last."""
    rng = np.random.default_rng(6)
    kernels = np.repeat(rng.random((8, MAPS, 1)) < 0.5, 9, axis=2)
    masks = {
        "second": LayerMask("kernel", kernels),
        "scores": LayerMask("irregular", rng.random((CLASSES, 32, 1)) < 0.4),
    }
    sizes = {"first": 4000, "second": 5000, "scores": 6000}
    return PrunedNetwork(network(), masks, "kernel", "bars", dense_weights=sizes, dense_macs=sizes)


def parts(network: Network) -> list[bytes]:
    """Return every array of a network as bytes."""
    names = ("weight", "bias", "scale", "shift", "mean", "variance")
    return [getattr(x, name).tobytes() for x in network.layers for name in names if hasattr(x, name)]


IMAGES, LABELS = bars(150)
STEPS = 5  # of an epoch: 150 images in batches of at most 32
