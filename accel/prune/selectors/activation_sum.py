"""Activation sum voting: the feature maps that say least on most images go.

Source: only the name is known, from Anwar's thesis. Ours: for each image the activations of every map are summed, the r
maps of a layer with the smallest sums get a vote each, r being as many as are to go, and the maps with most votes go;
of maps with as many votes the one with the smaller sum over all images goes first. An activation is what the layers
that follow read: after the batch norm and the ReLU of its layer, and by its absolute value where there is no ReLU.
Maps that an addition ties together are summed together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.layers import Array, BatchNorm, ReLU
from accel.network import Network
from accel.prune.evaluate import problem_of_images
from accel.prune.genome import Genome
from accel.prune.locus import UnitLocus
from accel.prune.remove_maps import map_groups
from accel.prune.space import Ratio, Space
from accel.prune.trial import NOTHING, Selector, Trial
from accel.sparsity import FeatureMap, LayerMask

_BATCH = 256


@dataclass(frozen=True)
class ActivationSum(Selector):
    """The feature maps go that most images vote out; the trial needs images, the voters, without labels.

    The only pattern of a space may be feature-map.
    """

    name = "activation-sum"
    draws = False

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> dict[str, LayerMask]:
        for name, pattern in space.patterns.items():
            if not isinstance(pattern, FeatureMap):
                raise EspalierError(f"{self.name}: chooses feature maps only, and {name} has the pattern {pattern}")
        genome = Genome.of(space, ratio)
        if trial.images is None:
            raise EspalierError(f"{self.name}: needs images to sum the activations of")
        problem = problem_of_images(space.network, np.asarray(trial.images))
        if problem:
            raise EspalierError(f"{self.name}: {problem}")
        genes, sums = {}, activation_sums(space.network, trial.images, list(genome.loci))
        for name, locus in genome.loci.items():
            assert isinstance(locus, UnitLocus)  # as feature maps are
            standing = _standing(sums[name], sums[name].shape[1] - locus.stay)
            genes[name] = locus.best(standing.reshape(locus.alive.shape))
        return genome.masks(genes)


def activation_sums(network: Network, images: Array, names: list[str]) -> dict[str, NDArray[np.float64]]:
    """Return, for each of the weighted layers `names`, the sum of activations of each image and map, (N, maps)."""
    groups = map_groups(network)
    signals = {name: [_signal(network, member) for member in sorted(groups[name])] for name in names}
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for first in range(0, len(images), _BATCH):
        values = network.forward(images[first : first + _BATCH])
        for name, members in signals.items():
            maps = [np.abs(values[member].astype(np.float64)) for member in members]
            parts[name].append(sum(x.reshape(*x.shape[:2], -1).sum(axis=2) for x in maps))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _standing(sums: NDArray[np.float64], going: int) -> NDArray[np.float64]:
    """Return a score of each map, lowest for the one that goes first: by votes, then by the sum over all images."""
    losers = np.argsort(sums, axis=1, kind="stable")[:, :going]
    votes = np.bincount(losers.ravel(), minlength=sums.shape[1])
    order = np.lexsort((sums.sum(axis=0), -votes))
    return np.argsort(order).astype(np.float64)


def _signal(network: Network, name: str) -> str:
    """Return the tensor that holds the activations of a layer: after what works on each of them by itself."""
    readers = network.consumers(name)
    while len(readers) == 1 and isinstance(readers[0], BatchNorm | ReLU):
        name = readers[0].name
        readers = network.consumers(name)
    return name
