"""The best of N random masks.

Source: Anwar and Sung ("Compact Deep CNNs With Coarse Pruning", and Anwar's thesis): N random masks at the ratio asked
for, jointly over all layers; the one with the lowest error rate on a validation set, before any retraining, is kept.
They find N = 100 enough up to a ratio of 40 %. Ours: how masks are drawn (`accel.prune.selectors.random_masks`), and
that of equally good ones the first is kept.
"""

from dataclasses import dataclass

from accel.prune.genome import Genome
from accel.prune.space import Ratio, Space
from accel.prune.trial import NOTHING, MaskSearch, Selector, Trial
from accel.sparsity import LayerMask


@dataclass(frozen=True)
class BestOfN(Selector):
    """The best of as many random masks as the budget says; a checkpoint is written after each evaluation."""

    name = "best-of-n"
    searches = True

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> dict[str, LayerMask]:
        genome = Genome.of(space, ratio)
        search = MaskSearch(self.name, genome, ratio, trial)
        while search.left:
            search.judge(genome.draw(search.generator))
            search.save()
        return genome.masks(search.best)
