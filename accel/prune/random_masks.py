"""Masks drawn at random: what any selector must beat.

Source: Anwar et al. draw random connectivity patterns. Ours: from what they are drawn. Of masks of one pattern that
meet the ratio, all are equally likely (for kernels with strides together: the taps are, then the kernels are taken in a
random order).
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
    """Return random masks of all layers of `space`.

    Parameters
    ----------
    space : Space
    ratio : float or mapping of layer name to float
        Share to prune of each layer, met as `magnitude` meets it.
    rng : numpy Generator
    error_rate, budget, images, checkpoint, progress
        What other selectors need; nothing is evaluated here.

    Returns
    -------
    dict of layer name to LayerMask

    Raises
    ------
    EspalierError
        A ratio is missing or outside 0..1, or would remove a whole layer; or `rng` is missing.
    """
    if rng is None:
        raise EspalierError("random: needs a random generator")
    genome = Genome.of(space, ratio)
    return genome.masks(genome.draw(rng))
