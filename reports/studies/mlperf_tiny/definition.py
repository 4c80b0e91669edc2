"""What the study of MLPerf Tiny's networks measures: random weights, pruned until half of the work is gone."""

import math

import numpy as np

from accel.errors import EspalierError
from accel.interchange.zoo import DENSE
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.pruned import PrunedNetwork
from reports.workflow.prune import prune

AUTOENCODER = "autoencoder"
NETWORKS = ("resnet8", "dscnn", "mobilenet-0.25", AUTOENCODER)
TARGETS = {"resnet8": "85 % right", "dscnn": "90 % right", "mobilenet-0.25": "80 % right", AUTOENCODER: "AUC 0.85"}
PATTERNS = (DENSE, "feature-map", "kernel", "kernel@8", "ikss", "block-4", "2:4", "irregular")
FIXED = (DENSE, "2:4")  # which say themselves how much goes
BITS = (3, 4, 5, 6, 7, 8)
LANES = (8, 8)
TECHNOLOGY = "asic-45nm"
SEED = 0
GONE = 0.5  # of the multiply-accumulates
MOST = 0.75  # that a layer may lose
STEPS = 40  # ratios are multiples of one part of so many
VERIFIED_PATTERNS, VERIFIED_BITS = (DENSE, "kernel@8"), (8, 4)


def drawn(network: str) -> PrunedNetwork:
    """Return a network with random weights, always the same; they are those that a training (PyTorch) begins with."""
    from accel import train

    return PrunedNetwork(train.initialize(ARCHITECTURES[network](), np.random.default_rng(SEED)))


def version(network: str, pattern: str, dense: PrunedNetwork | None = None) -> tuple[float | None, PrunedNetwork]:
    """Return a version and the ratio at which its layers are pruned: the least that takes `GONE` of the work.

    The ratio is one for all layers that can have the pattern, at most `MOST`; None where the pattern says itself. Of
    `dense`, or of random weights where there is none.

    Raises
    ------
    EspalierError
        No layer can have the pattern.
    """
    dense = dense or drawn(network)
    if pattern in FIXED:
        return None, prune(dense, pattern)
    low, high = 0, round(MOST * STEPS)  # the least ratio lies above the one, and not above the other
    found = {high: _pruned(dense, pattern, high)}
    while high - low > 1:
        middle = (low + high) // 2
        found[middle] = _pruned(dense, pattern, middle)
        low, high = (low, middle) if macs(found[middle]) <= (1 - GONE) * macs(dense) else (middle, high)
    return high / STEPS, found[high]


def macs(pruned: PrunedNetwork) -> int:
    """Return the multiply-accumulates of one image that are left."""
    network = pruned.network
    kept = {layer.name: int(pruned.layer_mask(layer.name).kept.sum()) for layer in network.weighted}
    return sum(count * math.prod(network.shapes[name][1:]) for name, count in kept.items())


def _pruned(dense: PrunedNetwork, pattern: str, steps: int) -> PrunedNetwork:
    try:
        return prune(dense, pattern, {pattern: steps / STEPS})
    except EspalierError as error:
        raise EspalierError(str(error).partition("; spared")[0]) from error
