"""Masks drawn at random: what any selector must beat.

Source: Anwar et al. draw random connectivity patterns. Ours: from what they are drawn. Of masks of one pattern that
meet the ratio, all are equally likely (for kernels with strides together: the taps are, then the kernels are taken in a
random order).
"""

from dataclasses import dataclass

from accel.prune.genome import Genome
from accel.prune.space import Ratio, Space
from accel.prune.trial import NOTHING, Selector, Trial
from accel.sparsity import LayerMask


@dataclass(frozen=True)
class Random(Selector):
    """Masks are drawn once; the trial needs a generator."""

    name = "random"

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> dict[str, LayerMask]:
        generator = trial.generator_for(self.name)
        genome = Genome.of(space, ratio)
        return genome.masks(genome.draw(generator))
