"""Where masks can differ: units of a pattern that stay or go, drawn, crossed, mutated and chosen by their sums of |w|.

A *gene* is an array that says what one layer keeps (or all layers whose feature maps an addition ties together), and a
*locus* knows which genes are legal and meet the ratio. Every gene of a locus prunes as much, so that no selector wins
by pruning less. The words are those of genetic algorithms; what they do for each pattern is our choice: the sources
name the operators and do not state them.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel.pattern import Gene, Locus, Magnitudes, Mask, Shape, Units
from accel.sparsity import NOfM


class UnitLocus(Locus):
    """A free choice of units, of which round(ratio * n) go: a gene holds one flag for each.

    Parameters
    ----------
    units : Units
    alive : mask (M, C, T)
        What may be kept.
    ratio : float
        Of all units, those that went before included.
    """

    def __init__(self, units: Units, alive: Mask, ratio: float) -> None:
        self.units, self.alive = units, units.flags(alive) & ~units.flags(~alive)  # all of it or nothing
        self.sizes = units.sums(np.ones(alive.shape))
        self.stay = min(self.alive.size - round(ratio * self.alive.size), int(self.alive.sum()))

    @property
    def empty(self) -> bool:
        return self.stay == 0

    @property
    def swaps(self) -> int:
        return min(self.stay, int(self.alive.sum()) - self.stay)

    def draw(self, rng: np.random.Generator) -> Gene:
        return self._flags(rng.choice(np.flatnonzero(self.alive), self.stay, replace=False))

    def cross(self, left: Gene, right: Gene, rng: np.random.Generator) -> Gene:
        # of the units in which the parents differ, half stay: what uniform crossover gives once the ratio is repaired
        differ = np.flatnonzero(left != right)
        child = left & right
        child.ravel()[rng.permutation(differ)[: differ.size // 2]] = True
        return child

    def mutate(self, gene: Gene, swaps: int, rng: np.random.Generator) -> Gene:
        child = gene.copy()
        child.ravel()[rng.choice(np.flatnonzero(gene), swaps, replace=False)] = False
        child.ravel()[rng.choice(np.flatnonzero(self.alive & ~gene), swaps, replace=False)] = True
        return child

    def strongest(self, weights: Magnitudes, score: str) -> Gene:
        scores = self.units.sums(weights) / (self.sizes if score == "mean" else 1.0)
        return self.best(np.where(self.alive, scores, -np.inf))

    def best(self, scores: Magnitudes) -> Gene:
        """Return the gene that keeps the units with the highest scores; of equal ones, the last."""
        order = np.argsort(scores, axis=None, kind="stable")
        return self._flags(order[scores.size - self.stay :])

    def express(self, gene: Gene, shape: Shape) -> Mask:
        return self.units.expand(gene, shape)

    def _flags(self, kept: NDArray[np.intp]) -> Gene:
        flags = np.zeros(self.alive.size, bool)
        flags[kept] = True
        return flags.reshape(self.alive.shape)


class RunLocus(Locus):
    """N of every M columns: a gene is the lowered mask. The pattern is its own ratio."""

    def __init__(self, pattern: NOfM, alive: Mask) -> None:
        self.pattern, self.alive = pattern, alive.reshape(len(alive), -1)

    @cached_property
    def _runs(self) -> list[slice]:
        columns = self.alive.shape[1]
        return [slice(first, min(first + self.pattern.m, columns)) for first in range(0, columns, self.pattern.m)]

    @property
    def possible(self) -> bool:
        """Whether every run has as many live columns as it must keep."""
        runs = [self.alive[:, run] for run in self._runs]
        return all((run.sum(axis=1) >= min(self.pattern.n, run.shape[1])).all() for run in runs)

    @property
    def empty(self) -> bool:
        return False

    @property
    def swaps(self) -> int:  # one for each run that keeps some of its live columns, not all
        return sum(int((self.alive[:, run].sum(axis=1) > self.pattern.n).sum()) for run in self._runs)

    def draw(self, rng: np.random.Generator) -> Gene:
        return self._largest(rng.random(self.alive.shape))

    def cross(self, left: Gene, right: Gene, rng: np.random.Generator) -> Gene:
        from_left = rng.random((len(left), len(self._runs))) < 0.5
        return np.where(from_left[:, np.arange(left.shape[1]) // self.pattern.m], left, right)

    def mutate(self, gene: Gene, swaps: int, rng: np.random.Generator) -> Gene:
        child = gene.copy()
        spare = [(self.alive[:, run].sum(axis=1) > self.pattern.n) for run in self._runs]
        chosen = rng.choice(np.argwhere(np.stack(spare, axis=1)), swaps, replace=False)
        for row, index in chosen:
            run, alive = child[row, self._runs[index]], self.alive[row, self._runs[index]]
            out, into = rng.choice(np.flatnonzero(run)), rng.choice(np.flatnonzero(alive & ~run))
            run[out], run[into] = False, True
        return child

    def strongest(self, weights: Magnitudes, score: str) -> Gene:
        return self._largest(weights.reshape(self.alive.shape))

    def _largest(self, scores: Magnitudes) -> Gene:
        scores = np.where(self.alive, scores, -1.0)
        kept = np.zeros(scores.shape, bool)
        for run in self._runs:
            best = np.argsort(-scores[:, run], axis=1, kind="stable")[:, : self.pattern.n]
            np.put_along_axis(kept[:, run], best, True, axis=1)
        return kept

    def express(self, gene: Gene, shape: Shape) -> Mask:
        return gene.reshape(shape)
