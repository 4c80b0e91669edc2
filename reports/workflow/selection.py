"""What `espalier prune` and the study of pruning share: a selector at work, and what was kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.interchange.data.datasets import Dataset, check_choice
from accel.layers import Conv2d
from accel.network import INPUT, Network
from accel.progress import Listener
from accel.prune import Choose, ParticleFilter, Ratio, Selector, Space, chooser, selector, selector_names
from accel.prune.remove_maps import kept_maps, map_flags
from accel.pruned import PrunedNetwork
from accel.sparsity import FeatureMap, LayerMask, Mask

PARTICLE_FILTER = ParticleFilter.name
FROM_MAGNITUDE = f"{PARTICLE_FILTER}, from magnitude"


@dataclass(frozen=True, eq=False)
class Selection:
    """A selector with what it needs: a validation set, a budget, and where its random numbers come from.

    Parameters
    ----------
    name : str
        One of `accel.prune.selector_names`, or `FROM_MAGNITUDE`: the particle filter of which one first particle is
        what magnitude selects.
    images : Dataset
        The validation images that candidates are judged by.
    rng : numpy Generator
    budget : int
        Evaluations of each search: there is one for each stage and round.
    checkpoints : Path, optional
        A folder that is there; a search that was stopped goes on from what it holds.

    Raises
    ------
    EspalierError
        There is no such selector.
    """

    name: str
    images: Dataset
    rng: np.random.Generator
    budget: int
    checkpoints: Path | None = None

    def __post_init__(self) -> None:
        check_choice("selector", self.name, [*selector_names(), FROM_MAGNITUDE])

    @property
    def selector(self) -> Selector:
        """The selector that the name stands for."""
        return ParticleFilter(start="magnitude") if self.name == FROM_MAGNITUDE else selector(self.name)

    @property
    def searches(self) -> bool:
        """Whether the selector spends the budget."""
        return self.selector.searches

    def chooser(self, listener: Callable[[], Listener | None] = lambda: None) -> Choose:
        """Return the selector as `reports.workflow.prune.prune` takes it; `listener` gives each search its own."""
        return chooser(
            self.selector,
            self.images.pixels(),
            self.images.labels,
            self.rng,
            budget=self.budget,
            checkpoints=self.checkpoints,
            listener=listener,
        )


class Trace:
    """Which weights of the dense network are kept, followed through stages that make it narrower.

    Parameters
    ----------
    dense : Network
    """

    def __init__(self, dense: Network) -> None:
        self.dense = dense
        self._places: dict[str, NDArray[np.intp]] = {
            name: np.arange(shape[0]) for name, shape in {INPUT: dense.input_shape, **dense.shapes}.items()
        }

    def following(self, choose: Choose) -> Choose:
        """Return `choose`, of which every choice is taken note of."""

        def followed(space: Space, ratio: Ratio) -> dict[str, LayerMask]:
            masks = choose(space, ratio)
            flags = {name: map_flags(name, x) for name, x in masks.items() if x.pattern == str(FeatureMap())}
            kept = kept_maps(space.network, flags) if flags else {}
            self._places.update({name: self._places[name][kept[name]] for name in kept})
            return masks

        return followed

    def masks(self, pruned: PrunedNetwork) -> dict[str, Mask]:
        """Return, for each weighted layer of the dense network, what `pruned` keeps of it (M, C, T)."""
        found = {}
        for layer in self.dense.weighted:
            found[layer.name] = np.zeros(layer.lowered_shape, bool)
            rows, columns = self._places[layer.name], self._places[layer.inputs[0]]
            if isinstance(layer, Conv2d) and layer.groups > 1:  # whose columns are maps of one group
                columns = np.arange(layer.lowered_shape[1])
            found[layer.name][np.ix_(rows, columns)] = pruned.layer_mask(layer.name).kept
        return found


def kept_weights(pruned: PrunedNetwork) -> dict[str, tuple[int, int]]:
    """Return, for each layer, how many weights are kept and how many there were before pruning."""
    return {
        layer.name: (int(pruned.layer_mask(layer.name).kept.sum()), pruned.dense_weights[layer.name])
        for layer in pruned.network.weighted
    }


def sparsity_of(weights: Mapping[str, tuple[int, int]]) -> float:
    """Return the share that is gone of the weights of some layers, given as `kept_weights` gives them.

    >>> sparsity_of({"conv1": (3, 6), "fc2": (1, 10)})
    0.75
    """
    kept, total = (sum(column) for column in zip(*weights.values(), strict=True))
    return 1 - kept / total
