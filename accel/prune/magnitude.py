"""Prune what weighs least: the sum of absolute weights, the classical baseline that every other selector must beat.

The rule is Li et al.'s ("Pruning Filters for Efficient ConvNets") and Han et al.'s for single weights. That each layer
loses the same share, and that strides are chosen by an exact knapsack, are our choice.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.network import Network, Weighted
from accel.prune.narrow import map_groups
from accel.prune.space import Space
from accel.sparsity import (
    Block,
    FeatureMap,
    Irregular,
    Kernel,
    KernelStrided,
    LayerMask,
    Mask,
    NOfM,
    Pattern,
    Strided,
)

Magnitudes = NDArray[np.float64]


def select(space: Space, ratio: float | Mapping[str, float]) -> dict[str, LayerMask]:
    """Return masks that prune the given share of each layer of `space`, by the smallest sum of absolute weights.

    Parameters
    ----------
    space : Space
    ratio : float or mapping of layer name to float
        Share to prune of the units of the pattern (maps, kernels, blocks, weights), at least 0 and less than 1, met
        to within half a unit. Strided patterns prune as little more as strides allow; N:M have their own ratio.

    Returns
    -------
    dict of layer name to LayerMask

    Raises
    ------
    EspalierError
        A ratio is missing or outside 0..1, or would remove a whole layer.
    """
    masks = {}
    for name, pattern in space.patterns.items():
        share = ratio.get(name, math.nan) if isinstance(ratio, Mapping) else ratio
        if not 0 <= share < 1:
            raise EspalierError(f"{name}: ratio must be at least 0 and less than 1, got {share}")
        kept = _keep(pattern, _magnitudes(space.network, name, pattern), share)
        if not kept.any():
            raise EspalierError(f"{name}: pruning {share:.0%} as {pattern} would remove the whole layer")
        masks[name] = LayerMask(str(pattern), np.broadcast_to(kept, _weighted(space.network, name).lowered_shape))
    return masks


def _magnitudes(network: Network, name: str, pattern: Pattern) -> Magnitudes:
    """Return |w| (M, C, T); its sums (M, 1, 1) for feature maps, over all maps that a residual addition ties to one."""
    if isinstance(pattern, FeatureMap):
        group = sorted(map_groups(network)[name])  # in one order, so that the group's layers get the very same sums
        return np.sum([_absolute(network, member).sum(axis=(1, 2), keepdims=True) for member in group], axis=0)
    return _absolute(network, name)


def _absolute(network: Network, name: str) -> Magnitudes:
    layer = _weighted(network, name)
    return np.abs(layer.weight.astype(np.float64)).reshape(layer.lowered_shape)


def _weighted(network: Network, name: str) -> Weighted:
    layer = network[name]
    assert isinstance(layer, Weighted)  # the space has checked it
    return layer


def _keep(pattern: Pattern, weights: Magnitudes, ratio: float) -> Mask:
    match pattern:
        case Kernel():
            return _all_but_least(weights.sum(axis=2, keepdims=True), ratio, weights.shape)
        case FeatureMap() | Irregular():
            return _all_but_least(weights, ratio, weights.shape)
        case Block():
            sums = pattern.tiles(weights.reshape(len(weights), -1), 0.0).sum(axis=(2, 3))
            return pattern.expand(_all_but_least(sums, ratio, sums.shape), weights.shape)
        case NOfM():
            return _largest_of_runs(pattern, weights)
        case Strided():
            return _strided(pattern, weights, ratio)
        case KernelStrided():
            # each half keeps about the root of what stays in all
            taps = _strided(pattern.strided, weights, 1 - (1 - ratio) ** 0.5)
            return taps & _fewest_kernels(weights * taps, taps, round((1 - ratio) * weights.size))
    raise EspalierError(f"magnitude cannot choose masks of the pattern {pattern}")


def _all_but_least(scores: Magnitudes, ratio: float, shape: tuple[int, ...]) -> Mask:
    """Return a mask without the lowest `ratio` of the scores, of a shape to which they broadcast."""
    gone = np.argsort(scores, axis=None, kind="stable")[: round(ratio * scores.size)]
    kept = np.ones(scores.size, bool)
    kept[gone] = False
    return np.broadcast_to(kept.reshape(scores.shape), shape).copy()


def _fewest_kernels(weights: Magnitudes, taps: Mask, budget: int) -> Mask:
    """Return a kernel mask (M, C, 1): the kernels with the largest mean |w|, until `budget` weights are kept."""
    sizes = taps.sum(axis=2)
    order = np.argsort(-weights.sum(axis=2) / np.maximum(sizes, 1), axis=None, kind="stable")
    kept = np.zeros(sizes.size, bool)
    kept[order] = np.cumsum(sizes.ravel()[order]) <= budget
    return kept.reshape(*sizes.shape, 1)


def _largest_of_runs(pattern: NOfM, weights: Magnitudes) -> Mask:
    lowered = weights.reshape(len(weights), -1)
    kept = np.zeros(lowered.shape, bool)
    for first in range(0, lowered.shape[1], pattern.m):
        run = lowered[:, first : first + pattern.m]
        best = np.argsort(-run, axis=1, kind="stable")[:, : pattern.n]
        np.put_along_axis(kept[:, first : first + pattern.m], best, True, axis=1)
    return kept.reshape(weights.shape)


def _strided(pattern: Strided, weights: Magnitudes, ratio: float) -> Mask:
    """Return the strides and offsets that keep the largest sum of |w| with at most (1 - ratio) of the taps.

    An exact knapsack: for each number of taps that a map can keep, only its best (stride, offset) matters.
    """
    maps, taps = weights.shape[1:]
    budget = round((1 - ratio) * maps * taps)
    choices = np.array([pattern.taps(stride, offset, taps) for stride, offset in pattern.choices(taps)])
    sizes = choices.sum(axis=1)
    sums = weights.sum(axis=0) @ choices.T  # (maps, choices)
    best = np.full((maps + 1, budget + 1), -np.inf)  # best[c, n]: of the first c maps with exactly n taps
    best[0, 0] = 0
    taken = np.zeros((maps, budget + 1), np.int64)
    for c in range(maps):
        for size in np.unique(sizes[sizes <= budget]):
            choice = _best_choice(sums[c], sizes, size)
            values = np.full(budget + 1, -np.inf)
            values[size:] = best[c, : budget + 1 - size] + sums[c, choice]
            better = values > best[c + 1]
            best[c + 1][better], taken[c][better] = values[better], choice
    left = int(np.flatnonzero(np.isfinite(best[maps]))[-1])  # the ratio is met as closely as the taps allow
    kept = np.zeros((maps, taps), bool)
    for c in reversed(range(maps)):
        choice = taken[c, left]
        kept[c], left = choices[choice], left - sizes[choice]
    return np.broadcast_to(kept, weights.shape).copy()


def _best_choice(sums: Magnitudes, sizes: NDArray[np.int64], size: int) -> int:
    candidates = np.flatnonzero(sizes == size)
    return int(candidates[sums[candidates].argmax()])
