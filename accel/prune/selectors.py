"""The selectors by name: all are called alike, and each uses what it needs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from accel.errors import EspalierError
from accel.network import Array
from accel.progress import Listener
from accel.prune import activation_sum, best_of_n, magnitude, particle_filter, random_masks
from accel.prune.evaluate import Evaluator, Labels
from accel.prune.search import DEFAULT_BUDGET, ErrorRate
from accel.prune.space import Ratio, Space
from accel.sparsity import LayerMask

Choose = Callable[[Space, Ratio], dict[str, LayerMask]]


class Select(Protocol):
    """Return masks that prune the share `ratio` of each layer of `space`; see any selector for the parameters."""

    def __call__(
        self,
        space: Space,
        ratio: Ratio,
        *,
        error_rate: ErrorRate | None = None,
        rng: np.random.Generator | None = None,
        budget: int = DEFAULT_BUDGET,
        images: Array | None = None,
        checkpoint: Path | None = None,
        progress: Listener | None = None,
    ) -> dict[str, LayerMask]: ...


SELECTORS: Mapping[str, Select] = {
    "particle-filter": particle_filter.select,
    "best-of-n": best_of_n.select,
    "activation-sum": activation_sum.select,
    "magnitude": magnitude.select,
    "random": random_masks.select,
}
SEARCHES = ("particle-filter", "best-of-n")  # those that spend the budget


def selector(name: str) -> Select:
    """Return the selector called `name`; raise EspalierError, with the names there are, if there is none."""
    if name not in SELECTORS:
        raise EspalierError(f"unknown selector {name!r}: expected one of {', '.join(SELECTORS)}")
    return SELECTORS[name]


def chooser(
    select: str | Select,
    images: Array,
    labels: Labels,
    rng: np.random.Generator,
    *,
    budget: int = DEFAULT_BUDGET,
    checkpoint: Path | None = None,
    progress: Listener | None = None,
) -> Choose:
    """Return a selector with a validation set, for spaces of any network that takes such images.

    Parameters
    ----------
    select : str or selector
        A name of `SELECTORS`, or a selector with settings of its own (by `functools.partial`).
    images, labels
        The validation set.
    rng : numpy Generator
    budget : int
        Of each call: of each stage and round.
    checkpoint : Path, optional
        The first call writes this file, the next ones files beside it, with the number of the call behind the name.
    progress : function, optional

    Raises
    ------
    EspalierError
        There is no such selector.
    """
    chosen = selector(select) if isinstance(select, str) else select
    calls = 0

    def choose(space: Space, ratio: Ratio) -> dict[str, LayerMask]:
        nonlocal calls
        calls += 1
        path = checkpoint and (checkpoint if calls == 1 else checkpoint.with_name(f"{checkpoint.name}-{calls}"))
        error_rate = Evaluator(space.network, images, labels)
        return chosen(
            space,
            ratio,
            error_rate=error_rate,
            rng=rng,
            budget=budget,
            images=images,
            checkpoint=path,
            progress=progress,
        )

    return choose
