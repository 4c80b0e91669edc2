"""The networks of `espalier bench`: random weights, which run as fast as trained ones, pruned by every pattern."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from reports.workflow.prune import prune

NETWORKS = ("lenet5", "cifar-quick", "cnn-small")
CALIBRATION_IMAGES = 16
BITS = 8  # of weights and signals: what the peers' integers have
MAPS = 1 - math.sqrt(0.3)  # of each layer, so that 70 % of the weights between two narrower layers go


@dataclass(frozen=True)
class Pruning:
    """How one line of the table is pruned: a pattern's label, the ratio, and the speed that is asked for.

    `target` is a ratio to onnxruntime's dense network, if `by_density` once divided by the share of MACs that stay.
    """

    label: str
    ratio: float
    target: float | None = None
    by_density: bool = False


PRUNINGS = (
    Pruning("dense", 0.0),
    Pruning("feature-map", MAPS, 0.6, by_density=True),
    Pruning("ikss", 0.7, 0.6, by_density=True),
    Pruning("kernel", 0.8, 1.5),
    Pruning("block-4", 0.8, 1.5),
    Pruning("2:4", 0.5),
    Pruning("irregular", 0.9),
)
DENSE_TARGETS = {"lenet5": 1.0, "cifar-quick": 1.0, "cnn-small": 0.8}
PRUNED_TARGETS = ("cifar-quick", "cnn-small")  # the networks that the targets of patterns are for


def random_network(name: str, seed: int = 0) -> PrunedNetwork:
    """Return a network of the zoo's shapes whose weights are drawn so that signals keep their size."""
    rng, network = np.random.default_rng(seed), ARCHITECTURES[name]()
    weights = {
        layer.name: rng.normal(0, math.sqrt(2 / math.prod(layer.weight.shape[1:])), layer.weight.shape)
        for layer in network.weighted
    }
    return PrunedNetwork(network.with_weights({key: value.astype(np.float32) for key, value in weights.items()}))


def pruned_network(dense: PrunedNetwork, pruning: Pruning) -> PrunedNetwork:
    """Return the network pruned; the first convolution and the last layer stay dense."""
    if pruning.label == "dense":
        return dense
    ratios = {} if ":" in pruning.label else {pruning.label: pruning.ratio}
    return prune(dense, pruning.label, ratios)


def lowered(pruned: PrunedNetwork, images: NDArray[np.uint8]) -> Program:
    """Return the Program of 8-bit words, calibrated on the first of `images`."""
    return lower(pruned, Widths(BITS, BITS), images[:CALIBRATION_IMAGES].astype(np.float32) / np.float32(255))


def random_images(shape: tuple[int, ...], count: int, seed: int = 1) -> NDArray[np.uint8]:
    """Return random bytes, `count` images of a network's input shape."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)
