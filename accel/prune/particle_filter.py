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
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.network import Array
from accel.progress import Listener
from accel.prune.genome import Genes, Genome
from accel.prune.search import DEFAULT_BUDGET, ErrorRate, Search
from accel.prune.space import Ratio, Space
from accel.sparsity import LayerMask

NAME = "particle-filter"
STARTS = ("random", "magnitude")


@dataclass(frozen=True)
class Options:
    """How the filter works; all numbers are ours.

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
        Whether all first particles are random, or one of them is what `magnitude` selects.

    Raises
    ------
    EspalierError
        A number is out of its range.
    """

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
    options: Options | None = None,
) -> dict[str, LayerMask]:
    """Return the best masks that an evolutionary particle filter meets.

    Parameters
    ----------
    space : Space
    ratio : float or mapping of layer name to float
        Share to prune of each layer, met as `magnitude` meets it.
    error_rate : function
        From masks to an error rate (0..1), on a validation set: `accel.prune.Evaluator`.
    rng : numpy Generator
    budget : int
        Evaluations in all, at least 1. The last generation may be a part of one.
    images
        What other selectors need.
    checkpoint : Path, optional
        Written after each generation; a search that was stopped goes on from there, with the same result.
    progress : function, optional
        Called with a `Progress` after each evaluation.
    options : Options, optional

    Returns
    -------
    dict of layer name to LayerMask

    Raises
    ------
    EspalierError
        A ratio is missing or outside 0..1, or would remove a whole layer; something is missing; the budget is less than
        1; or the checkpoint is of another search.
    """
    options = options or Options()
    genome = Genome.of(space, ratio)
    search = Search(NAME, genome, ratio, error_rate, rng, budget, checkpoint, progress, repr(options))
    if not search.particles:
        _judge_all(search, _first(genome, options, search.rng))
    while search.left:
        parents = resample(importance(np.array(search.rates), options.beta), len(search.rates), search.rng)
        children = _children(genome, search.particles, parents, options, search.rng)
        _judge_all(search, children, elite=(search.best, search.best_rate))
    return genome.masks(search.best)


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


def _first(genome: Genome, options: Options, rng: np.random.Generator) -> list[Genes]:
    chosen = [genome.strongest()] if options.start == "magnitude" else []
    return chosen + [genome.draw(rng) for _ in range(options.particles - len(chosen))]


def _children(
    genome: Genome, particles: list[Genes], parents: NDArray[np.intp], options: Options, rng: np.random.Generator
) -> list[Genes]:
    """Return a child of each parent but the first, whose place the best particle takes."""
    children = []
    for parent in rng.permutation(parents)[1:]:
        child = particles[parent]
        if rng.random() < options.crossover:
            child = genome.cross(child, particles[rng.choice(parents)], rng)
        children.append(genome.mutate(child, options.mutation, rng))
    return children


def _judge_all(search: Search, candidates: list[Genes], elite: tuple[Genes, float] | None = None) -> None:
    """Make a generation of the `elite` and as many candidates as the budget allows, and write the checkpoint."""
    candidates = candidates[: search.left]
    rates = [search.judge(genes) for genes in candidates]
    search.particles = [*([elite[0]] if elite else []), *candidates]
    search.rates = [*([elite[1]] if elite else []), *rates]
    search.save()
