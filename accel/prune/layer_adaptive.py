"""How much of each layer goes, where it is said how much of all of them shall.

Source: Lee et al., "Layer-Adaptive Sparsity for the Magnitude-based Pruning" (arXiv 2010.07611): a weight is worth its
square over the sum of the squares of those of its layer that are no smaller, and the least worth go. Ours: whole units
of a pattern, worth what they are for each of their weights, so that units of any size may stand side by side.
"""

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.prune.lasso_groups import lasso_groups
from accel.prune.space import Space
from accel.sparsity import FeatureMap


def layer_ratios(space: Space, share: float) -> dict[str, float]:
    """Return the share to prune of each layer of `space` with which the given share of the network's weights goes.

    Parameters
    ----------
    space : Space
        Of patterns that have units, feature maps excepted: with these, weights of other layers go too.
    share : float
        Of all weights of the network, also of the layers that the space does not have; at least 0 and less than 1.

    Raises
    ------
    EspalierError
        `share` is out of its range or more than can go if a unit of each layer stays, or a pattern has no such units.
    """
    if not 0 <= share < 1:
        raise EspalierError(f"the share of all weights must be at least 0 and less than 1, got {share}")
    groups = lasso_groups(space)
    for name, pattern in space.patterns.items():
        if name not in groups or isinstance(pattern, FeatureMap):
            raise EspalierError(f"{name}: {pattern} has no share of all weights; give each layer a ratio")
    units = {name: _worths(space, name, groups[name]) for name in space.patterns}
    total = sum(layer.weight.size for layer in space.network.weighted)
    worths, sizes = (np.concatenate(parts) for parts in zip(*units.values(), strict=True))
    order = np.argsort(worths, kind="stable")
    order = order[np.isfinite(worths[order])]
    gone = np.searchsorted(np.cumsum(sizes[order]), share * total - 0.5)
    if share and gone == len(order):
        most = sizes[order].sum() / total
        raise EspalierError(f"{space.network.name}: {share:.1%} of all weights cannot go, at most {most:.1%} can")
    weak = np.zeros(len(worths), bool)
    weak[order[: gone + 1 if share else 0]] = True
    parts = np.split(weak, np.cumsum([len(worth) for worth, _ in units.values()])[:-1])
    return {name: float(part.mean()) for name, part in zip(units, parts, strict=True)}


def _worths(space: Space, name: str, numbers: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what each unit of a layer is worth, the strongest of them infinitely much, and how many weights it has."""
    weight = space.network[name].weight  # type: ignore[attr-defined]  # a layer of a space has weights
    squares = np.square(weight, dtype=np.float64).ravel()
    sizes = np.bincount(numbers.ravel())
    norms = np.bincount(numbers.ravel(), squares)
    order = np.argsort(norms, kind="stable")
    no_smaller = np.cumsum(norms[order][::-1])[::-1]
    worths = np.empty(len(norms))
    worths[order] = norms[order] / np.maximum(no_smaller, np.finfo(np.float64).tiny) / sizes[order]
    worths[order[-1]] = np.inf
    return worths, sizes
