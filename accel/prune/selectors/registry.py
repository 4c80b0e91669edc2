"""The selectors by name, those of other packages among them, and one bound to what it needs."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from accel import plugins
from accel.digest import digest_of
from accel.errors import EspalierError
from accel.layers import Array
from accel.progress import Listener
from accel.prune.evaluate import Evaluator, Labels
from accel.prune.selectors.activation_sum import ActivationSum
from accel.prune.selectors.best_of_n import BestOfN
from accel.prune.selectors.magnitude import Magnitude
from accel.prune.selectors.particle_filter import ParticleFilter
from accel.prune.selectors.random_masks import Random
from accel.prune.space import Ratio, Space
from accel.prune.trial import DEFAULT_BUDGET, Selector, Trial, fingerprint
from accel.sparsity import LayerMask

Choose = Callable[[Space, Ratio], dict[str, LayerMask]]

SELECTORS: Mapping[str, Selector] = {
    own.name: own for own in (ParticleFilter(), BestOfN(), ActivationSum(), Magnitude(), Random())
}
SEARCHES = tuple(name for name, own in SELECTORS.items() if own.searches)  # those of ours that spend the budget


def selector_names() -> tuple[str, ...]:
    """Return the names of all selectors, ours first; others are entry points of the group ``espalier.selectors``."""
    return tuple(dict.fromkeys([*SELECTORS, *plugins.entry_points(plugins.SELECTORS)]))


def selector(name: str) -> Selector:
    """Return the selector called `name`, with the parameters that it has by default.

    Raises
    ------
    EspalierError
        There is none of that name, and the line says which there are; or what a package registers is no selector.
    """
    if name in SELECTORS:
        return SELECTORS[name]
    if name not in plugins.entry_points(plugins.SELECTORS):
        raise EspalierError(f"unknown selector {name!r}: expected one of {', '.join(selector_names())}")
    found = plugins.load(plugins.SELECTORS, name)
    found = found() if isinstance(found, type) and issubclass(found, Selector) else found
    if not isinstance(found, Selector) or getattr(found, "name", None) != name:
        raise EspalierError(f"{plugins.SELECTORS}: {name} must be a Selector of that name, got {found!r}")
    return found


def chooser(
    select: str | Selector,
    images: Array,
    labels: Labels,
    generator: np.random.Generator,
    *,
    budget: int = DEFAULT_BUDGET,
    checkpoints: Path | None = None,
    listener: Callable[[], Listener | None] = lambda: None,
) -> Choose:
    """Return a selector with a validation set, for spaces of any network that takes such images.

    Parameters
    ----------
    select : str or Selector
        A name, or a selector with parameters of its own.
    images, labels
        The validation set.
    generator : numpy Generator
    budget : int
        Of each call: of each stage and round.
    checkpoints : Path, optional
        A folder that is there; each search has a file of its own in it, named by what decides how it goes.
    listener : function, optional
        Gives each call what it tells its progress to.

    Raises
    ------
    EspalierError
        There is no such selector.
    """
    chosen = selector(select) if isinstance(select, str) else select

    def choose(space: Space, ratio: Ratio) -> dict[str, LayerMask]:
        kept = checkpoints / _file_name(space, ratio, generator) if checkpoints and chosen.searches else None
        trial = Trial(
            error_rate=Evaluator(space.network, images, labels) if chosen.searches else None,
            generator=generator,
            budget=budget,
            images=images,
            checkpoint=kept,
            progress=listener(),
        )
        return chosen(space, ratio, trial)

    return choose


def _file_name(space: Space, ratio: Ratio, generator: np.random.Generator) -> str:
    return f"search-{digest_of(*fingerprint(space, ratio, generator).values())[:16]}"
