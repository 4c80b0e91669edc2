"""What every selector keeps to; `espalier.conformance` runs these claims."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from accel.errors import EspalierError
from accel.pattern import Pattern
from accel.prune import Selector, Space, Trial, select_by_magnitude, selector
from accel.sparsity import LayerMask
from espalier.conformance.tiny_network import images_for, tiny_network

PATTERNS = ("irregular", "kernel", "block-2", "ikss", "2:4", "feature-map")
RATIO, BUDGET = 0.5, 7
Masks = Mapping[str, LayerMask]


class _Stopped(Exception):  # noqa: N818  # somebody pressed Control-C
    pass


@dataclass(eq=False)
class _ErrorRate:
    """An error rate of integers alone, which no machine computes otherwise."""

    stop: int = 1 << 30
    rates: list[float] = field(default_factory=list)

    def __call__(self, masks: Masks) -> float:
        if len(self.rates) == self.stop:
            raise _Stopped
        self.rates.append(self.of(masks))
        return self.rates[-1]

    @staticmethod
    def of(masks: Masks) -> float:
        """Return the rate without taking note of it."""
        return float(np.mean([np.flatnonzero(mask.kept).sum() % 97 / 97 for mask in masks.values()]))


@dataclass(frozen=True, eq=False)
class SelectorCase:
    """A selector, and the spaces that it accepts."""

    select: Selector
    seed: int

    @cached_property
    def spaces(self) -> list[Space]:
        """The spaces of a small network whose pattern the selector does not refuse."""
        found, said = [], ""
        for pattern in PATTERNS:
            space = Space.of(tiny_network(self.seed), pattern, spare=["fc3"] if pattern == "feature-map" else ())
            try:
                self.masks(space)
            except EspalierError as error:
                said = str(error)
            else:
                found.append(space)
        if not found:
            raise EspalierError(f"it refuses every pattern of {', '.join(PATTERNS)}: {said}")
        return found

    def trial(self, space: Space, seed: int | None = None, **changes: Any) -> Trial:
        """Return a trial of a new generator and a new error rate."""
        images = images_for(space.network, 12, self.seed)
        generator = np.random.default_rng(self.seed if seed is None else seed)
        usual = Trial(error_rate=_ErrorRate(), generator=generator, budget=BUDGET, images=images)
        return replace(usual, **changes)

    def masks(self, space: Space, seed: int | None = None, **changes: Any) -> Masks:
        """Return what is chosen in a trial."""
        return self.select(space, RATIO, self.trial(space, seed, **changes))


def registered(case: SelectorCase) -> str | None:
    """A name stands for the selector, so that the command line can."""
    found = selector(case.select.name)
    return None if type(found) is type(case.select) else f"selector({case.select.name!r}) gives {found!r}"


def frozen(case: SelectorCase) -> str | None:
    """A selector is a frozen dataclass: nothing is left in it that would change the next choice."""
    parameters = vars(type(case.select)).get("__dataclass_params__")  # a plain subclass of one is none
    return None if parameters and parameters.frozen else f"{type(case.select).__name__} is no frozen dataclass"


def masks_of_space(case: SelectorCase) -> str | None:
    """A selector chooses a mask for every layer of the space, of the pattern that the layer has there."""
    for space in case.spaces:
        found = {name: mask.pattern for name, mask in case.masks(space).items()}
        if found != (meant := {name: str(pattern) for name, pattern in space.patterns.items()}):
            return f"masks are {found}, the space is {meant}"
    return None


def ratio_reached(case: SelectorCase) -> str | None:
    """As many units stay as magnitude keeps: no selector wins by pruning less."""
    for space in case.spaces:
        found, meant = case.masks(space), select_by_magnitude(space, RATIO)
        for name, pattern in space.patterns.items():
            left, right = _size(pattern, found[name]), _size(pattern, meant[name])
            if left != right:
                return f"{name}, {pattern}: {left} stay at a ratio of {RATIO:.0%}, {right} should"
    return None


def same_seed(case: SelectorCase) -> str | None:
    """One seed gives the same masks each time: whatever is drawn is drawn from the generator of the trial."""
    for space in case.spaces:
        if name := _differing(case.masks(space), case.masks(space)):
            return f"{name}, {space.patterns[name]}: two calls with the seed {case.seed} give different masks"
    return None


def other_seed(case: SelectorCase) -> str | None:
    """Another seed gives other masks, unless the selector says that it draws nothing."""
    seeds = range(case.seed + 1, case.seed + 6)
    differs = any(_differing(case.masks(space), case.masks(space, seed)) for space in case.spaces for seed in seeds)
    if differs == case.select.draws:
        return None
    return (
        "other seeds give other masks, " * differs
        + "all seeds give the same masks, " * (not differs)
        + (f"and draws is {case.select.draws}")
    )


def budget_kept(case: SelectorCase) -> str | None:
    """A search judges no more often than it may and gives the best that it judged; others judge nothing."""
    for space in case.spaces:
        rate = _ErrorRate()
        masks = case.masks(space, error_rate=rate)
        if not case.select.searches and rate.rates:
            return f"it judges masks {len(rate.rates)} times, and searches is False"
        if case.select.searches and not 1 <= len(rate.rates) <= BUDGET:
            return f"it judges masks {len(rate.rates)} times, with a budget of {BUDGET}"
        if case.select.searches and rate.of(masks) > min(rate.rates):
            return f"the error rate of its masks is {rate.of(masks):.4f}, the best that it judged {min(rate.rates):.4f}"
    return None


def earlier_rounds(case: SelectorCase) -> str | None:
    """A selector keeps nothing that an earlier round pruned."""
    for space in case.spaces:
        if {"feature-map", "2:4"} & set(map(str, space.patterns.values())):
            continue  # maps are gone from the network, and N:M has one ratio
        within = select_by_magnitude(space, RATIO / 2)
        masks = case.masks(replace(space, within=within))
        for name, mask in masks.items():
            if (mask.kept & ~within[name].kept).any():
                return f"{name}, {mask.pattern}: it keeps weights that an earlier round pruned"
    return None


def stopped_goes_on(case: SelectorCase) -> str | None:
    """A search that was stopped, and called again with its checkpoint, ends where one does that was not."""
    for space in case.spaces if case.select.searches else ():
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "search"
            with suppress(_Stopped):
                case.masks(space, error_rate=_ErrorRate(stop=3), checkpoint=checkpoint)
            if name := _differing(case.masks(space), case.masks(space, checkpoint=checkpoint)):
                return f"{name}, {space.patterns[name]}: stopped and resumed, it gives other masks"
    return None


CLAIMS: Mapping[str, Callable[[SelectorCase], str | None]] = {
    "it is registered": registered,
    "it is frozen": frozen,
    "masks are of the space": masks_of_space,
    "the ratio is reached": ratio_reached,
    "the same seed gives the same masks": same_seed,
    "another seed gives other masks where any are drawn": other_seed,
    "the budget is kept": budget_kept,
    "what earlier rounds pruned stays pruned": earlier_rounds,
    "a search that was stopped goes on": stopped_goes_on,
}


def _differing(left: Masks, right: Masks) -> str | None:
    """Return the first layer whose masks differ, or None."""
    return next((name for name in left if not np.array_equal(left[name].kept, right[name].kept)), None)


def _size(pattern: Pattern, mask: LayerMask) -> str:
    """Return in words how many units a mask keeps, or weights where it is no choice of units."""
    units = pattern.units()
    return f"{units.flags(mask.kept).sum()} units" if units else f"{mask.kept.sum()} weights"
