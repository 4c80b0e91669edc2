"""Patterns and selectors that a package from outside could bring, each broken in one way where it does not say."""

from dataclasses import dataclass, replace

import numpy as np
from espalier_columns import ColumnLists, Columns

from accel.encoding import Index
from accel.pattern import Encoding, Locus, LoopNest, Mask, Shape, Units
from accel.prune import BestOfN, Random, Ratio, Space, Trial
from accel.prune.locus import UnitLocus
from accel.prune.trial import NOTHING
from accel.sparsity import LayerMask

Masks = dict[str, LayerMask]


class Broken(Columns):
    """Columns of two outputs under a name of their own."""

    def __str__(self) -> str:
        return type(self).__name__


@dataclass(frozen=True)
class WrongNest(Broken):
    """The nest leaves out the last column of the first group."""

    def nest(self, kept: Mask) -> LoopNest:
        right = super().nest(kept)
        return replace(right, outer=(right.outer[0][:-1], *right.outer[1:]))


@dataclass(frozen=True)
class NestRaises(Broken):
    """The nest was never tried on a layer of one input."""

    def nest(self, kept: Mask) -> LoopNest:
        raise IndexError("index 3 is out of bounds\n  for axis 1")


class TooFewBits(ColumnLists):
    """The closed form forgets the ends."""

    def index_bits(self, kept: Mask) -> int:
        return super().index_bits(kept) - 1


class Inverted(ColumnLists):
    """What is read back is what was pruned."""

    def decode(self, index: Index, shape: Shape) -> Mask:
        return ~super().decode(index, shape)


@dataclass(frozen=True)
class WrongIndexBits(Broken):
    """An encoding charges less than it stores."""

    def encodings(self) -> tuple[Encoding, ...]:
        return (TooFewBits(self),)


@dataclass(frozen=True)
class WrongDecode(Broken):
    """An encoding gives another mask back."""

    def encodings(self) -> tuple[Encoding, ...]:
        return (Inverted(self),)


@dataclass(frozen=True)
class WrongUnits(Broken):
    """Sums speak of other units than flags."""

    def units(self) -> Units:
        right = super().units()
        return replace(right, sums=lambda weights: right.sums(weights)[::-1] * 2)


@dataclass(frozen=True)
class NothingIsWrong(Broken):
    """Every mask is legal."""

    def problem(self, kept: Mask) -> str | None:
        return None


@dataclass(frozen=True)
class EverythingIsWrong(Broken):
    """No mask is legal."""

    def problem(self, kept: Mask) -> str | None:
        return "no"


@dataclass(frozen=True)
class Plain(Broken):
    """It names its units and nothing more, and is not broken."""

    def encodings(self) -> tuple[Encoding, ...]:
        return ()


@dataclass(frozen=True)
class OwnLocus(Broken):
    """It has a locus of its own in the place of units, and is not broken."""

    def units(self) -> None:  # type: ignore[override]
        return None

    def locus(self, alive: Mask, ratio: float) -> Locus:
        return UnitLocus(Columns.units(self), alive, ratio)

    def encodings(self) -> tuple[Encoding, ...]:
        return (ColumnLists(self),)


@dataclass(frozen=True)
class OwnLocusOfOneRatio(OwnLocus):
    """The locus prunes less the more is asked for."""

    def locus(self, alive: Mask, ratio: float) -> Locus:
        return UnitLocus(Columns.units(self), alive, 0.7 - ratio)


PATTERNS = (
    Plain(2),
    OwnLocus(2),
    OwnLocusOfOneRatio(2),
    WrongNest(2),
    NestRaises(2),
    WrongIndexBits(2),
    WrongDecode(2),
    WrongUnits(2),
    NothingIsWrong(2),
    EverythingIsWrong(2),
)


def parse(text: str) -> Columns | None:
    """Return the broken pattern `text`."""
    return next((pattern for pattern in PATTERNS if str(pattern) == text), None)


@dataclass(frozen=True)
class IgnoresGenerator(Random):
    """It has a generator of its own."""

    name = "ignores-generator"

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> Masks:
        return super().__call__(space, ratio, replace(trial, generator=np.random.default_rng()))


@dataclass(frozen=True)
class OneSeed(Random):
    """It draws the same whatever the seed."""

    name = "one-seed"

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> Masks:
        return super().__call__(space, ratio, replace(trial, generator=np.random.default_rng(0)))


@dataclass(frozen=True)
class PrunesLess(Random):
    """It keeps more than it may."""

    name = "prunes-less"

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> Masks:
        assert isinstance(ratio, float)
        return super().__call__(space, ratio / 2, trial)


@dataclass(frozen=True)
class LeavesOut(Random):
    """It chooses nothing for one layer."""

    name = "leaves-out"

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> Masks:
        return dict([*super().__call__(space, ratio, trial).items()][1:])


@dataclass(frozen=True)
class ForgetsRounds(Random):
    """It keeps what is gone."""

    name = "forgets-rounds"

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> Masks:
        return super().__call__(replace(space, within={}), ratio, trial)


@dataclass(frozen=True)
class Overspends(BestOfN):
    """It judges once more than it may."""

    name = "overspends"

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> Masks:
        return super().__call__(space, ratio, replace(trial, budget=trial.budget + 1))


@dataclass(frozen=True)
class JudgesSecretly(BestOfN):
    """It searches and does not say so."""

    name = "judges-secretly"
    searches = False


@dataclass(frozen=True)
class TakesAny(BestOfN):
    """It judges masks and then draws others."""

    name = "takes-any"

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> Masks:
        super().__call__(space, ratio, trial)
        return Random()(space, ratio, trial)


@dataclass(frozen=True)
class BeginsElsewhere(BestOfN):
    """Where it finds a checkpoint it goes on with another seed."""

    name = "begins-elsewhere"

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> Masks:
        assert trial.generator is not None
        path = trial.checkpoint
        if path is not None and path.exists():
            trial.generator.random()
        elif path is not None:
            path.write_bytes(b"begun")
        return super().__call__(space, ratio, replace(trial, checkpoint=None))


class Loose(Random):
    """It is no dataclass, and remembers."""

    name = "loose"

    def __init__(self) -> None:
        object.__setattr__(self, "calls", 0)


SELECTORS = (
    IgnoresGenerator,
    OneSeed,
    PrunesLess,
    LeavesOut,
    ForgetsRounds,
    Overspends,
    JudgesSecretly,
    TakesAny,
    BeginsElsewhere,
)
