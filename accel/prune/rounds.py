"""Schedules: one shot to the ratio and retrain, or little by little, with retraining after each round.

Before each choice the network may be trained so that whole units of the pattern shrink (`lasso_groups`): those that go
are missed less then.

Source: Anwar and Sung prune in one shot and find small steps unnecessary with batch norm; Huang et al. iterate pruning
and retraining; Wen et al. shrink groups first. Ours: the ratios of the rounds, and that a round keeps nothing that an
earlier one pruned. For strided patterns that means that the taps a map keeps lie within those it kept before, so that
strides widen.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from accel.errors import EspalierError
from accel.prune.group_order import order_for_groups
from accel.prune.lasso_groups import lasso_groups
from accel.prune.remove_maps import remove_maps
from accel.prune.selectors.registry import Choose
from accel.prune.space import Ratio, Space
from accel.pruned import Groups, PrunedNetwork
from accel.sparsity import FeatureMap

Retrain = Callable[[PrunedNetwork], PrunedNetwork]
Sparsify = Callable[[PrunedNetwork, Groups], PrunedNetwork]
STEPS = ("geometric", "linear", "cubic")


def shares(rounds: int, steps: str = "geometric") -> Callable[[float], list[float]]:
    """Return the function from a ratio to the ratios of `rounds` rounds, of which the last is the ratio itself.

    Geometric steps prune the same share of what is left each time, linear ones the same share of the whole. Cubic ones
    prune most where most is left, 1 - (1 - t)^3 of the ratio after the share t of the rounds (Zhu and Gupta, "To Prune,
    or Not to Prune", arXiv 1710.01878, equation 1).

    Raises
    ------
    EspalierError
        `rounds` is less than 1, or there are no such steps.

    Examples
    --------
    >>> shares(2)(0.75), shares(3, "linear")(0.75), shares(2, "cubic")(0.5)
    ([0.5, 0.75], [0.25, 0.5, 0.75], [0.4375, 0.5])
    """
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise EspalierError(f"rounds must be at least 1, got {rounds}")
    if steps not in STEPS:
        raise EspalierError(f"steps must be one of {', '.join(STEPS)}, got {steps!r}")

    def ratios(ratio: float) -> list[float]:
        return [*(reached(ratio, done / rounds, steps) for done in range(1, rounds)), ratio]

    return ratios


def reached(ratio: float, done: float, steps: str = "cubic") -> float:
    """Return the ratio when the share `done` (0..1) of the way to it is behind; `shares` says what steps there are."""
    if steps == "linear":
        return ratio * done
    return ratio * (1 - (1 - done) ** 3) if steps == "cubic" else 1 - (1 - ratio) ** done


def prune_in_rounds(
    pruned: PrunedNetwork,
    pattern: str,
    ratio: Ratio | Callable[[Space], Ratio],
    choose: Choose,
    retrain: Retrain | None = None,
    *,
    rounds: int = 1,
    steps: str = "geometric",
    spare: Collection[str] | None = None,
    sparsify: Sparsify | None = None,
) -> PrunedNetwork:
    """Return the network pruned by one pattern, in one shot or in several rounds.

    Where kernels go in groups of output maps, these are put in order first, so that groups keep more magnitude
    (`order_for_groups`).

    Parameters
    ----------
    pruned : PrunedNetwork
        Masks that it has already are the bounds of new ones on the same layers; the others stay.
    pattern : str
        As `Space.of` takes it. Feature maps leave the network, in every round.
    ratio : float, mapping of layer name to float, or function from the Space to one of the two
        Share to prune of each layer of `pruned`, after the last round.
    choose : function
        From a space and a ratio to masks: a selector bound to what it needs (`chooser`), or one that needs nothing.
    retrain : function, optional
        From a pruned network to the same with better weights; called after each round.
    rounds : int
    steps : {"geometric", "linear", "cubic"}
    spare : collection of str, optional
        As `Space.of` takes it.
    sparsify : function, optional
        From a pruned network and groups of its weights to the same with whole groups weaker; called before each choice.

    Raises
    ------
    EspalierError
        As `Space.of`, the selector and `remove_maps` raise it; or feature maps are to go together with other patterns.
    """
    ratios_of = shares(rounds, steps)
    space = Space.of(pruned.network, pattern, spare, pruned.masks)
    whole = {x.name: len(x.weight) for x in pruned.network.weighted}
    targets = space.ratios(ratio(space) if callable(ratio) else ratio)
    pruned = order_for_groups(pruned, space, targets)
    by_round: Sequence[Mapping[str, float]] = [
        dict(zip(targets, row, strict=True)) for row in zip(*map(ratios_of, targets.values()), strict=True)
    ]
    for share in by_round:
        space = Space.of(pruned.network, pattern, spare, pruned.masks)
        if sparsify:
            pruned = sparsify(pruned, lasso_groups(space))
            space = replace(space, network=pruned.network)
        if _of_maps(space):
            pruned = remove_maps(
                pruned, choose(space, {name: _of_rest(pruned, name, whole[name], share[name]) for name in share})
            )
        else:
            pruned = replace(pruned, masks={**pruned.masks, **choose(space, share)})
        pruned = retrain(pruned) if retrain else pruned
    return pruned


def _of_maps(space: Space) -> bool:
    found = {isinstance(pattern, FeatureMap) for pattern in space.patterns.values()}
    if len(found) > 1:
        raise EspalierError(f"{space.network.name}: prune feature maps first, then other patterns inside what is left")
    return found == {True}


def _of_rest(pruned: PrunedNetwork, name: str, whole: int, ratio: float) -> float:
    """Return the share of the maps that are left of `whole` ones which leaves as many as `ratio` does of all."""
    left = pruned.network.shapes[name][0]
    if left == whole:
        return ratio
    stay = whole - round(ratio * whole)
    return float(np.clip(1 - stay / left, 0, np.nextafter(1, 0)))  # to leave none is for the selector to refuse
