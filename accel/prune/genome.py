"""All layers of a space together: what selectors draw, cross and mutate, and the masks that come of it."""

from dataclasses import dataclass

import numpy as np

from accel.errors import EspalierError
from accel.kernel_patterns import KernelStrided, Strided
from accel.layers import Weighted
from accel.prune.locus import Gene, Locus, Magnitudes, RunLocus, UnitLocus
from accel.prune.remove_maps import map_groups
from accel.prune.space import Ratio, Space
from accel.prune.strides import KernelStridedLocus, StridedLocus
from accel.sparsity import FeatureMap, LayerMask, Mask, NOfM, Pattern

Genes = dict[str, Gene]  # by the name of the locus: its first layer


@dataclass(frozen=True, eq=False)
class Genome:
    """The loci of a space at a ratio.

    Parameters
    ----------
    space : Space
    loci : dict of str to Locus
        By the first of the layers that share it.
    homes : dict of str to str
        For each layer of the space, the locus that it has.
    """

    space: Space
    loci: dict[str, Locus]
    homes: dict[str, str]

    @classmethod
    def of(cls, space: Space, ratio: Ratio) -> "Genome":
        """Return the genome of all masks of `space` that prune the share `ratio` of each layer.

        Raises
        ------
        EspalierError
            A ratio is missing, outside 0..1, or would remove a whole layer.
        """
        loci: dict[str, Locus] = {}
        groups = space.groups
        homes = {name: groups[name][0] if name in groups else name for name in space.patterns}
        for name, share in space.ratios(ratio).items():
            pattern = space.patterns[name]
            if homes[name] == name:
                loci[name] = locus_of(pattern, _alive(space, name), share, name)
                if loci[name].empty:
                    raise EspalierError(f"{name}: pruning {share:.0%} as {pattern} would remove the whole layer")
        return cls(space, loci, homes)

    def draw(self, rng: np.random.Generator) -> Genes:
        """Return genes drawn at random."""
        return {name: locus.draw(rng) for name, locus in self.loci.items()}

    def cross(self, left: Genes, right: Genes, rng: np.random.Generator) -> Genes:
        """Return a child of two parents."""
        return {name: locus.cross(left[name], right[name], rng) for name, locus in self.loci.items()}

    def mutate(self, genes: Genes, rate: float, rng: np.random.Generator) -> Genes:
        """Return `genes` after each of the swaps that there can be happened with the probability `rate`, at least one.

        A genome that leaves no choice gives the same genes back.
        """
        most = np.array([locus.swaps for locus in self.loci.values()])
        if not most.any():
            return genes
        swaps = rng.binomial(most, rate)
        if not swaps.any():
            swaps[rng.choice(most.size, p=most / most.sum())] = 1
        pairs = zip(self.loci.items(), swaps, strict=True)
        return {name: locus.mutate(genes[name], int(n), rng) if n else genes[name] for (name, locus), n in pairs}

    def strongest(self, score: str = "sum") -> Genes:
        """Return the genes that keep the largest |w| of every layer."""
        return {name: locus.strongest(magnitudes(self.space, name), score) for name, locus in self.loci.items()}

    def masks(self, genes: Genes) -> dict[str, LayerMask]:
        """Return the masks that `genes` mean, of all layers of the space.

        Raises
        ------
        EspalierError
            Nothing is left of a layer: the smallest kernel that was chosen has more weights than may stay.
        """
        masks = {}
        for name, pattern in self.space.patterns.items():
            home = self.homes[name]
            kept = self.loci[home].express(genes[home], _weighted(self.space, name).lowered_shape)
            if not kept.any():
                raise EspalierError(f"{name}: pruning as {pattern} at this ratio would remove the whole layer")
            masks[name] = LayerMask(str(pattern), kept)
        return masks


def magnitudes(space: Space, name: str) -> Magnitudes:
    """Return |w| (M, C, T); its sums (M, 1, 1) for feature maps, over all maps that a residual addition ties to one."""
    if isinstance(space.patterns[name], FeatureMap):
        group = sorted(map_groups(space.network)[name])  # in one order, so that the group's layers get the same sums
        return np.sum([_absolute(space, member).sum(axis=(1, 2), keepdims=True) for member in group], axis=0)
    return _absolute(space, name)


def _absolute(space: Space, name: str) -> Magnitudes:
    layer = _weighted(space, name)
    return np.abs(layer.weight.astype(np.float64)).reshape(layer.lowered_shape)


def _weighted(space: Space, name: str) -> Weighted:
    layer = space.network[name]
    assert isinstance(layer, Weighted)  # the space has checked it
    return layer


def _alive(space: Space, name: str) -> Mask:
    return space.within[name].kept if name in space.within else np.ones(_weighted(space, name).lowered_shape, bool)


def locus_of(pattern: Pattern, alive: Mask, ratio: float, where: str) -> Locus:
    """Return the choice of masks of `pattern` that keep nothing but `alive` (M, C, T) and prune the share `ratio`.

    Raises
    ------
    EspalierError
        There is none; the line names the layer `where`.
    """
    if units := pattern.units():
        return UnitLocus(units, alive, ratio)
    match pattern:
        case NOfM():
            runs = RunLocus(pattern, alive)
            if not runs.possible:
                raise EspalierError(f"{where}: earlier rounds left too little to keep {pattern}")
            return runs
        case Strided():
            return StridedLocus(pattern, alive, ratio)
        case KernelStrided():
            return KernelStridedLocus(pattern, alive, ratio)
    if locus := pattern.locus(alive, ratio):
        return locus
    raise EspalierError(f"{where}: there is nothing to choose in masks of the pattern {pattern}")
