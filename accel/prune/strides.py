"""Loci of strided patterns: every input map has one (stride, offset), and the taps that stay add up to the ratio.

Choices of many maps that have a given sum are counted by dynamic programming, so that the strongest of them is found
exactly, and one of them is drawn with the same probability as every other.
"""

import numpy as np
from numpy.typing import NDArray

from accel.kernel_patterns import KernelStrided, Strided
from accel.prune.locus import Gene, Locus, Magnitudes, Shape
from accel.sparsity import Mask

_TRIES = 20  # to draw taps of which a kernel has no more than may stay; matters where little more than one stays
Sizes = list[NDArray[np.int64]]


class Sums:
    """The ways to take one option of each of several lists of sizes, by the sum of the sizes taken.

    Parameters
    ----------
    sizes : list of int arrays
        For each list, the sizes of its options, at least 0.
    most : int
        Sums above this are of no interest.
    """

    def __init__(self, sizes: Sizes, most: int) -> None:
        self.sizes = sizes
        ways = np.full((len(sizes) + 1, most + 1), -np.inf)
        ways[-1, 0] = 0
        for index in reversed(range(len(sizes))):
            for size, count in zip(*np.unique(sizes[index], return_counts=True), strict=True):
                if size <= most:
                    more = ways[index + 1, : most + 1 - size] + np.log(count)
                    np.logaddexp(ways[index, size:], more, out=ways[index, size:])
        self._ways = ways  # natural logarithm of the ways in which the lists from an index on have a sum

    @property
    def largest(self) -> int:
        """The largest sum that there is; -1 if even the smallest options exceed `most`."""
        return int(max(np.flatnonzero(np.isfinite(self._ways[0])), default=-1))

    def draw(self, total: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return one option for each list, drawn from all choices whose sizes have the sum `total`."""
        chosen = np.empty(len(self.sizes), np.int64)
        for index, sizes in enumerate(self.sizes):
            left = total - sizes
            ways = np.where(left >= 0, self._ways[index + 1, np.maximum(left, 0)], -np.inf)
            bounds = np.cumsum(np.exp(ways - ways.max()))
            chosen[index] = np.searchsorted(bounds, rng.random() * bounds[-1], side="right")
            total -= sizes[chosen[index]]
        return chosen

    def best(self, values: list[Magnitudes], total: int) -> NDArray[np.int64]:
        """Return the option of each list with the largest sum of values among the choices whose sum is `total`.

        Parameters
        ----------
        values : list of float arrays
            One value for each option; of options with the same size only the best matters.
        total : int
            A sum that there is.
        """
        reached = np.full((len(self.sizes) + 1, total + 1), -np.inf)  # [c, n]: of the first c lists, with the sum n
        reached[0, 0] = 0
        taken = np.zeros((len(self.sizes), total + 1), np.int64)
        for index, sizes in enumerate(self.sizes):
            for size in np.unique(sizes[sizes <= total]):
                same = np.flatnonzero(sizes == size)
                option = same[values[index][same].argmax()]
                sums = np.full(total + 1, -np.inf)
                sums[size:] = reached[index, : total + 1 - size] + values[index][option]
                better = sums > reached[index + 1]
                reached[index + 1][better], taken[index][better] = sums[better], option
        chosen = np.empty(len(self.sizes), np.int64)
        for index in reversed(range(len(self.sizes))):
            chosen[index] = taken[index, total]
            total -= self.sizes[index][chosen[index]]
        return chosen


class StridedLocus(Locus):
    """One (stride, offset) for each input map: a gene is the taps that each keeps, (C, T).

    Of C*T taps as many stay as strides allow, but no more than round((1 - ratio) * C * T). Where earlier rounds pruned,
    a map chooses among what lies within the taps that are left, so that strides only widen.
    """

    def __init__(self, pattern: Strided, alive: Mask, ratio: float) -> None:
        self.alive: Mask = np.asarray(np.all(alive, axis=0))
        maps, taps = self.alive.shape
        every = np.unique([pattern.taps(stride, offset, taps) for stride, offset in pattern.choices(taps)], axis=0)
        self.options = [every[~(every & ~alive).any(axis=1)] for alive in self.alive]
        self.sums = Sums([options.sum(axis=1) for options in self.options], round((1 - ratio) * maps * taps))
        self.total = self.sums.largest

    @property
    def empty(self) -> bool:
        return self.total <= 0

    @property
    def swaps(self) -> int:  # one for every two maps that have a choice at all
        return -(-sum(len(options) > 1 for options in self.options) // 2) if 0 < self.total < self.alive.sum() else 0

    def draw(self, rng: np.random.Generator) -> Gene:
        return self._taps(self.sums.draw(self.total, rng))

    def cross(self, left: Gene, right: Gene, rng: np.random.Generator) -> Gene:
        # of all children that have each map from one parent or the other, those that meet the ratio are equally likely
        sizes = np.stack([left.sum(axis=1), right.sum(axis=1)], axis=1)
        from_right = Sums(list(sizes), self.total).draw(self.total, rng)
        return np.where(from_right[:, None] == 1, right, left)

    def mutate(self, gene: Gene, swaps: int, rng: np.random.Generator) -> Gene:
        child = gene.copy()
        for _ in range(swaps):  # two maps choose anew, and have as many taps together as before
            pair = rng.choice(len(child), min(2, len(child)), replace=False)
            sizes, total = [self.sums.sizes[index] for index in pair], int(child[pair].sum())
            for index, option in zip(pair, Sums(sizes, total).draw(total, rng), strict=True):
                child[index] = self.options[index][option]
        return child

    def strongest(self, weights: Magnitudes, score: str) -> Gene:
        sums = weights.sum(axis=0)
        values = [options @ sums[index] for index, options in enumerate(self.options)]
        return self._taps(self.sums.best(values, self.total))

    def express(self, gene: Gene, shape: Shape) -> Mask:
        return np.broadcast_to(gene, shape)

    def _taps(self, chosen: NDArray[np.int64]) -> Gene:
        return np.array([options[option] for options, option in zip(self.options, chosen, strict=True)], bool)


class KernelStridedLocus(Locus):
    """Kernels that stay keep the taps of their input map: a gene is the taps (C, T) beside the kernels (C, groups).

    The taps take the root of what stays in all, and the kernels the rest: no more weights than the ratio leaves, and
    less by no kernel. Kernels of a group of output maps (`accel.sparsity.Kernel`) are one.
    """

    def __init__(self, pattern: KernelStrided, alive: Mask, ratio: float) -> None:
        taps: Mask = np.asarray(np.any(alive, axis=0, keepdims=True))
        self.taps = StridedLocus(pattern.strided, taps, 1 - (1 - ratio) ** 0.5)
        self.kernel, self.rows = pattern.kernel, pattern.kernel.rows(len(alive))[:, None]
        self.alive = self.kernel.flags(alive) & ~self.kernel.flags(taps & ~alive)  # (groups, C)
        self.size = alive.size
        self.most = round((1 - ratio) * alive.size)

    @property
    def empty(self) -> bool:
        return self.taps.empty or self.most == 0

    @property
    def swaps(self) -> int:
        return self.taps.swaps + self.alive.size // 10 if self.most < self.size else 0

    def draw(self, rng: np.random.Generator) -> Gene:
        for _ in range(_TRIES):
            gene = self._gene(self.taps.draw(rng), rng.random(self.alive.shape), skip=True)
            if self._keeps_any(gene):
                break
        return gene

    def cross(self, left: Gene, right: Gene, rng: np.random.Generator) -> Gene:
        (left_taps, left_kernels), (right_taps, right_kernels) = self._parts(left), self._parts(right)
        taps = self.taps.cross(left_taps, right_taps, rng)
        kernels = np.where(rng.random(self.alive.shape) < 0.5, left_kernels, right_kernels)
        child = self._gene(taps, kernels + rng.random(self.alive.shape), skip=True)
        return child if self._keeps_any(child) else left

    def mutate(self, gene: Gene, swaps: int, rng: np.random.Generator) -> Gene:
        taps, kernels = self._parts(gene)
        of_taps = int(rng.binomial(swaps, 0.5)) if self.taps.swaps else 0
        taps = self.taps.mutate(taps, min(of_taps, self.taps.swaps), rng)
        keys = kernels + rng.random(self.alive.shape)
        for flag in (True, False):  # some that stay come last, some that go come first
            found = np.flatnonzero((kernels == flag) & self.alive)
            chosen = rng.choice(found, min(swaps - of_taps, found.size), replace=False)
            keys.ravel()[chosen] += -2 if flag else 2
        child = self._gene(taps, keys, skip=True)
        return child if self._keeps_any(child) else gene

    def strongest(self, weights: Magnitudes, score: str) -> Gene:
        taps = self.taps.strongest(weights, score)
        sums = self.kernel.gathered((weights * taps).sum(axis=2))
        return self._gene(taps, sums / np.maximum(taps.sum(axis=1), 1) / self.rows, skip=False)

    def express(self, gene: Gene, shape: Shape) -> Mask:
        taps, kernels = self._parts(gene)
        return taps & self.kernel.expand(kernels, shape)

    def _keeps_any(self, gene: Gene) -> bool:
        taps, kernels = self._parts(gene)
        return bool((taps.any(axis=1) & kernels.any(axis=0)).any())

    def _parts(self, gene: Gene) -> tuple[Mask, Mask]:
        taps = self.taps.alive.shape[1]
        return gene[:, :taps], gene[:, taps:].T

    def _gene(self, taps: Mask, keys: Magnitudes, skip: bool) -> Gene:
        """Return the gene of these taps and the kernels with the highest keys, until no more weights may stay.

        With `skip`, kernels that are too large by themselves are passed over: a random choice is never empty for them.
        """
        sizes = (taps.sum(axis=1) * self.rows).ravel()
        order = np.argsort(-keys, axis=None, kind="stable")
        order = order[self.alive.ravel()[order] & (sizes[order] <= self.most if skip else True)]
        kept = np.zeros(keys.size, bool)
        kept[order] = np.cumsum(sizes[order]) <= self.most
        return np.hstack([taps, kept.reshape(keys.shape).T])
