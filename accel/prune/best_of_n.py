"""The best of N random masks.

Source: Anwar and Sung ("Compact Deep CNNs With Coarse Pruning", and Anwar's thesis): N random masks at the ratio asked
for, jointly over all layers; the one with the lowest error rate on a validation set, before any retraining, is kept.
They find N = 100 enough up to a ratio of 40 %. Ours: how masks are drawn (`accel.prune.random_masks`), and that of
equally good ones the first is kept.
"""

from pathlib import Path

import numpy as np

from accel.network import Array
from accel.progress import Listener
from accel.prune.genome import Genome
from accel.prune.search import DEFAULT_BUDGET, ErrorRate, Search
from accel.prune.space import Ratio, Space
from accel.sparsity import LayerMask

NAME = "best-of-n"


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
) -> dict[str, LayerMask]:
    """Return the best of `budget` random masks.

    Parameters
    ----------
    space : Space
    ratio : float or mapping of layer name to float
        Share to prune of each layer, met as `magnitude` meets it.
    error_rate : function
        From masks to an error rate (0..1), on a validation set: `accel.prune.Evaluator`.
    rng : numpy Generator
    budget : int
        N, at least 1.
    images
        What other selectors need.
    checkpoint : Path, optional
        Written after each evaluation; a search that was stopped goes on from there, with the same result.
    progress : function, optional
        Called with a `Progress` after each evaluation.

    Returns
    -------
    dict of layer name to LayerMask

    Raises
    ------
    EspalierError
        A ratio is missing or outside 0..1, or would remove a whole layer; something is missing; the budget is less than
        1; or the checkpoint is of another search.
    """
    genome = Genome.of(space, ratio)
    search = Search(NAME, genome, ratio, error_rate, rng, budget, checkpoint, progress)
    while search.left:
        search.judge(genome.draw(search.rng))
        search.save()
    return genome.masks(search.best)
