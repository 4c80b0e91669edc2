"""The evolutionary particle filter.

Source: Anwar, Hwang and Sung ("Structured Pruning of Deep Convolutional Neural Networks"). A particle is a connectivity
pattern; its importance weight comes from the misclassification rate of the network with that pattern, on a small
validation set; particles are resampled by weight and evolve by genetic operators. Counts, formulas and operators are
not known to us. Ours: a particle holds the masks of all layers jointly, at a fixed ratio; the weight is exp(-beta *
MCR), normalised; resampling is systematic; children come of uniform crossover with ratio repair, then swaps; the best
particle always survives.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.prune.genome import Genes, Genome
from accel.prune.space import Ratio, Space
from accel.prune.trial import NOTHING, MaskSearch, Selector, Trial
from accel.sparsity import LayerMask

STARTS = ("random", "magnitude")


@dataclass(frozen=True)
class ParticleFilter(Selector):
    """The best masks that an evolutionary particle filter meets; all numbers are ours.

    The trial needs an error rate and a generator; a checkpoint is written after each generation, of which the last may
    be a part of one.

    Parameters
    ----------
    particles : int
        How many there are at a time, at least 2.
    beta : float
        How much a lower error rate counts: a particle that is 1 / beta worse has 1 / e of the weight.
    crossover : float
        The share of children that have two parents.
    mutation : float
        The probability of each swap that there can be in a child; at least one swap happens.
    start : {"random", "magnitude"}
        Whether all first particles are random, or one of them is what `Magnitude` selects.

    Raises
    ------
    EspalierError
        A number is out of its range.
    """

    name = "particle-filter"
    searches = True

    particles: int = 20
    beta: float = 100.0
    crossover: float = 0.5
    mutation: float = 0.1
    start: str = "random"

    def __post_init__(self) -> None:
        if not isinstance(self.particles, int) or self.particles < 2:
            raise EspalierError(f"particles must be at least 2, got {self.particles}")
        if not 0 <= self.beta < math.inf:
            raise EspalierError(f"beta must be at least 0, got {self.beta}")
        for name in ("crossover", "mutation"):
            if not 0 <= getattr(self, name) <= 1:
                raise EspalierError(f"{name} must be 0..1, got {getattr(self, name)}")
        if self.start not in STARTS:
            raise EspalierError(f"start must be one of {', '.join(STARTS)}, got {self.start!r}")

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> dict[str, LayerMask]:
        genome = Genome.of(space, ratio)
        search = MaskSearch(self.name, genome, ratio, trial, repr(self))
        if not search.particles:
            _judge_all(search, self._first(genome, search.generator))
        while search.left:
            children = self._children(genome, search)
            _judge_all(search, children, elite=(search.best, search.best_rate))
        return genome.masks(search.best)

    def _first(self, genome: Genome, generator: np.random.Generator) -> list[Genes]:
        chosen = [genome.strongest()] if self.start == "magnitude" else []
        return chosen + [genome.draw(generator) for _ in range(self.particles - len(chosen))]

    def _children(self, genome: Genome, search: MaskSearch) -> list[Genes]:
        """Return a child of each resampled particle but the first, whose place the best particle takes."""
        generator, children = search.generator, []
        parents = resample(importance(np.array(search.rates), self.beta), len(search.rates), generator)
        for parent in generator.permutation(parents)[1:]:
            child = search.particles[parent]
            if generator.random() < self.crossover:
                child = genome.cross(child, search.particles[generator.choice(parents)], generator)
            children.append(genome.mutate(child, self.mutation, generator))
        return children


def importance(rates: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Return the weights exp(-beta * rate) of particles, normalised to the sum 1.

    Examples
    --------
    >>> importance(np.array([0.25, 0.5]), beta=0.0)
    array([0.5, 0.5])
    """
    weights = np.exp(-beta * (rates - rates.min()))  # the best has 1, so that the sum is no zero
    return np.asarray(weights / weights.sum())


def resample(weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return `count` indices by systematic resampling: a comb with one random offset over the cumulated weights.

    Index i is taken floor(count * weight) or ceil(count * weight) times.
    """
    teeth = (rng.random() + np.arange(count)) / count
    return np.minimum(np.searchsorted(np.cumsum(weights), teeth, side="right"), len(weights) - 1)


def _judge_all(search: MaskSearch, candidates: list[Genes], elite: tuple[Genes, float] | None = None) -> None:
    """Make a generation of the `elite` and as many candidates as the budget allows, and write the checkpoint."""
    candidates = candidates[: search.left]
    rates = [search.judge(genes) for genes in candidates]
    search.particles = [*([elite[0]] if elite else []), *candidates]
    search.rates = [*([elite[1]] if elite else []), *rates]
    search.save()
