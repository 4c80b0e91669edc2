"""The weights that a training starts from."""

from dataclasses import replace

import numpy as np

from accel.layers import BatchNorm, Layer, Weighted
from accel.network import Network


def initialize(network: Network, rng: np.random.Generator) -> Network:
    """Return `network` with new random weights and everything else neutral.

    Weights are normal with variance 2 / (inputs of one output), which keeps the size of signals through ReLU layers
    (source: He et al., "Delving Deep into Rectifiers", 2015, section 2.2); biases are 0; a batch norm changes nothing.
    """
    return replace(network, layers=tuple(_initialized(layer, rng) for layer in network.layers))


def _initialized(layer: Layer, rng: np.random.Generator) -> Layer:
    if isinstance(layer, Weighted):
        deviation = np.float32(np.sqrt(2 / layer.weight[0].size))
        weight = rng.standard_normal(layer.weight.shape, np.float32) * deviation
        return replace(layer, weight=weight, bias=np.zeros_like(layer.bias))
    if isinstance(layer, BatchNorm):
        ones, zeros = np.ones_like(layer.scale), np.zeros_like(layer.scale)
        return replace(layer, scale=ones, shift=zeros, mean=zeros, variance=ones)
    return layer
