"""Prune what weighs least: the sum of absolute weights, the classical baseline that every other selector must beat.

Source: the rule is Li et al.'s ("Pruning Filters for Efficient ConvNets") and Han et al.'s for single weights; that
blocks are scored is Huang et al.'s, who do not state the score. Ours: that each layer loses the same share, that
strides are chosen by an exact knapsack, that maps tied by an addition are scored together, and both scores of a unit.
"""

from dataclasses import dataclass

from accel.errors import EspalierError
from accel.prune.genome import Genome
from accel.prune.space import Ratio, Space
from accel.prune.trial import NOTHING, Selector, Trial
from accel.sparsity import LayerMask

SCORES = ("sum", "mean")


@dataclass(frozen=True)
class Magnitude(Selector):
    """The smallest absolute weights go; nothing is drawn or evaluated.

    Parameters
    ----------
    score : {"sum", "mean"}
        What a unit weighs. They differ for blocks that reach past an edge: the mean is over weights that are there.

    Raises
    ------
    EspalierError
        There is no such score.
    """

    name = "magnitude"
    draws = False

    score: str = "sum"

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise EspalierError(f"score must be one of {', '.join(SCORES)}, got {self.score!r}")

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> dict[str, LayerMask]:
        genome = Genome.of(space, ratio)
        return genome.masks(genome.strongest(self.score))


select_by_magnitude = Magnitude()
