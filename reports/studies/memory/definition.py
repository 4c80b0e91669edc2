"""What the study of memories measures: two networks, dense and pruned, at two word lengths, on one array."""

import numpy as np

from accel.interchange.zoo import DENSE
from accel.pruned import PrunedNetwork
from reports.studies.memory.networks import NETWORKS
from reports.workflow.parsing import parse_memories
from reports.workflow.prune import prune

SEED = 0
PRUNED, RATIO = "kernel@16", 0.8  # kernels of sixteen output maps go together; the first and the last layer stay
PATTERNS = (DENSE, PRUNED)
SPARSE, GONE = "irregular", 0.9  # what is streamed, as lane words and as it is stored: of every layer
STREAMED = "resnet18", SPARSE, 8
BITS = (8, 4)  # of weights and signals; the image has 8
LANES = (16, 16)
TECHNOLOGY, CLOCK_HZ, DRAM_BYTES_PER_S = "asic-45nm", 200e6, 3.2e9
MEMORIES = "64KiB..32MiB"
ROOMS = parse_memories(MEMORIES)
VERSIONS = tuple((network, pattern, bits) for network in NETWORKS for pattern in PATTERNS for bits in BITS)


def version(network: str, pattern: str) -> PrunedNetwork:
    """Return a network with random weights, always the same; pruned by magnitude, each layer at one ratio."""
    dense = PrunedNetwork(NETWORKS[network](np.random.default_rng(SEED)))
    return dense if pattern == DENSE else prune(dense, pattern, {pattern: RATIO})


def sparse() -> PrunedNetwork:
    """Return the network that is streamed: single weights pruned by magnitude, in the first and last layer too."""
    dense = PrunedNetwork(NETWORKS[STREAMED[0]](np.random.default_rng(SEED)))
    return prune(dense, SPARSE, {SPARSE: GONE}, spare=())
