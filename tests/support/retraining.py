"""A small network, pruned and lowered, and images of noise: what tests of quantised training train. No PyTorch."""

from typing import Any

import numpy as np

from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Steps, Widths, lower
from accel.sparsity import LayerMask
from support.networks import chain, images_for

WIDTHS = Widths(3, 3)
IMAGES = images_for(chain(), 80)
LABELS = np.random.default_rng(8).integers(0, 3, 80)


def pruned() -> PrunedNetwork:
    """Return a network, which has a batch norm, with kernels of one layer pruned and single weights of another."""
    rng, network = np.random.default_rng(6), chain()
    shapes = {layer.name: layer.lowered_shape for layer in network.weighted}
    kernels = np.repeat(rng.random((*shapes["conv2"][:2], 1)) < 0.6, shapes["conv2"][2], axis=2)
    masks = {
        "conv2": LayerMask("kernel", kernels),
        "fc3": LayerMask("irregular", rng.random(shapes["fc3"]) < 0.5),
    }
    return PrunedNetwork(network, masks, "kernel", "noise")


def lowered(steps: Steps | None = None, start: PrunedNetwork | None = None, widths: Widths = WIDTHS) -> Program:
    """Return the Program that the network becomes without training."""
    return lower(start or pruned(), widths, IMAGES, steps or Steps())


def parts(result: Any) -> list[bytes]:
    """Return everything that a quantised training gives, as bytes."""
    arrays = [x for layer in result.pruned.network.weighted for x in (layer.weight, layer.bias)]
    steps = [*result.weight_steps.values(), *map(np.float64, result.signal_steps.values())]
    return [x.tobytes() for x in (*arrays, *steps)]
