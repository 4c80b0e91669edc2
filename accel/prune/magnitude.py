"""Prune what weighs least: the sum of absolute weights, the classical baseline that every other selector must beat.

Source: the rule is Li et al.'s ("Pruning Filters for Efficient ConvNets") and Han et al.'s for single weights; that
blocks are scored is Huang et al.'s, who do not state the score. Ours: that each layer loses the same share, that
strides are chosen by an exact knapsack, that maps tied by an addition are scored together, and both scores of a unit.
"""

from pathlib import Path

import numpy as np

from accel.errors import EspalierError
from accel.network import Array
from accel.progress import Listener
from accel.prune.genome import Genome
from accel.prune.search import DEFAULT_BUDGET, ErrorRate
from accel.prune.space import Ratio, Space
from accel.sparsity import LayerMask

SCORES = ("sum", "mean")


def select(
    space: Space,
    ratio: Ratio,
    *,
    error_rate: ErrorRate | None = None,
    rng: np.random.Generator | None = None,
    budget: int = DEFAULT_BUDGET,
    images: Array | None = None,
    checkpoint: Path | None = None,
    progress: Listener | None = None,
    score: str = "sum",
) -> dict[str, LayerMask]:
    """Return masks that prune the given share of each layer of `space`, by the smallest absolute weights.

    Parameters
    ----------
    space : Space
    ratio : float or mapping of layer name to float
        Share to prune of the units of the pattern (maps, kernels, blocks, weights), at least 0 and less than 1, met
        to within half a unit. Strided patterns prune as little more as strides allow; N:M have their own ratio.
    error_rate, rng, budget, images, checkpoint, progress
        What other selectors need; nothing is drawn or evaluated here.
    score : {"sum", "mean"}
        What a unit weighs. They differ for blocks that reach past an edge: the mean is over weights that are there.

    Returns
    -------
    dict of layer name to LayerMask

    Raises
    ------
    EspalierError
        A ratio is missing or outside 0..1, or would remove a whole layer; or there is no such score.
    """
    if score not in SCORES:
        raise EspalierError(f"score must be one of {', '.join(SCORES)}, got {score!r}")
    genome = Genome.of(space, ratio)
    return genome.masks(genome.strongest(score))
