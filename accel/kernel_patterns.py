"""Patterns of whole kernels and of taps in them: which masks are legal, and the loop nest that runs what is kept."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.limits import MOST_ROWS, WIDEST
from accel.pattern import Encoding, Index, Integers, LoopNest, Mask, Pattern, Shape, Units, loop_nest


@dataclass(frozen=True)
class Kernel(Pattern):
    """Whole k x k kernels go, those that lead from an input map to `group` neighbouring output maps together.

    Output maps 0..group - 1 are the first group; the last one may have fewer. A group as large as an array has output
    lanes makes all lanes read the same input maps, so that none waits for another. Groups of output maps are ours.
    """

    group: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.group <= WIDEST:
            raise EspalierError(f"a group of kernels must have 1..{WIDEST} output maps, got {self.group}")

    def __str__(self) -> str:
        return "kernel" if self.group == 1 else f"kernel@{self.group}"

    def rows(self, outputs: int) -> Integers:
        """Return how many output maps each group has."""
        return np.minimum(self.group, outputs - np.arange(0, outputs, self.group))

    def gathered(self, sums: NDArray[Any]) -> NDArray[Any]:
        """Return the sums over each group of what there is one of for each output map (M, ...)."""
        return np.asarray(np.add.reduceat(sums, np.arange(0, len(sums), self.group), axis=0))

    def flags(self, kept: Mask) -> Mask:
        """Return from which input maps (groups, C) each group keeps anything."""
        return self.gathered(np.any(kept, axis=2)) > 0

    def expand(self, flags: NDArray[Any], shape: Shape) -> NDArray[Any]:
        """Return for each weight (M, C, T) the flag of its group and input map, given as (groups, C)."""
        rows = flags.reshape(-1, shape[1]).repeat(self.group, axis=0)
        return np.broadcast_to(rows[: shape[0], :, None], shape)

    def problem(self, kept: Mask) -> str | None:
        mixed = np.argwhere(self.flags(kept) & self.flags(~kept))
        if not len(mixed):
            return None
        group, index = mixed[0]
        if self.group == 1:
            return f"kernel (output {group}, input {index}) is pruned in part"
        first = group * self.group
        last = min(first + self.group, len(kept)) - 1
        return f"the kernels (outputs {first}..{last}, input {index}) are pruned in part"

    def suits(self, shape: Shape) -> bool:  # kernels and their taps need a kernel of several taps
        return shape[2] > 1

    def units(self) -> Units:
        return Units(
            lambda kept: self.flags(kept)[:, :, None],
            lambda weights: self.gathered(weights.sum(axis=2, keepdims=True)),
            self.expand,
        )

    def nest(self, kept: Mask) -> LoopNest:
        return kernel_nest(kept, self.group, [np.arange(kept.shape[2])] * kept.shape[1])


@dataclass(frozen=True)
class Grouped(Pattern):
    """A convolution in groups, as the layer that reads all maps: kernels within a group are kept, no others ever were.

    Nothing is left to choose, so that nothing is pruned by it and no index stored.
    """

    groups: int

    def __post_init__(self) -> None:
        if not 2 <= self.groups <= MOST_ROWS:
            raise EspalierError(f"a grouped convolution must have 2..{MOST_ROWS} groups, got {self.groups}")

    def __str__(self) -> str:
        return f"groups-{self.groups}"

    def mask(self, shape: Shape) -> Mask:
        """Return what a layer of a shape (M, C, T) that falls into the groups keeps."""
        outputs, maps, _ = shape
        within = np.arange(outputs)[:, None] * self.groups // outputs == np.arange(maps) * self.groups // maps
        return np.broadcast_to(within[:, :, None], shape)

    def problem(self, kept: Mask) -> str | None:
        if kept.shape[0] % self.groups or kept.shape[1] % self.groups:
            return f"{kept.shape[0]} output maps and {kept.shape[1]} input maps do not fall into {self.groups} groups"
        wrong = kept != self.mask(kept.shape)
        if not wrong.any():
            return None
        output, index, _ = np.argwhere(wrong)[0]
        return f"kernel (output {output}, input {index}) is not as its group says"

    def suits(self, shape: Shape) -> bool:  # it is a layer's own, none to prune by
        return False

    def nest(self, kept: Mask) -> LoopNest:
        outputs, maps, taps = kept.shape
        read = np.arange(maps).reshape(self.groups, -1).repeat(outputs // self.groups, axis=0)
        return loop_nest(kept, 1, taps, [*read], [np.arange(taps)] * maps)

    def encodings(self) -> tuple[Encoding, ...]:
        return (ByGroups(self),)


@dataclass(frozen=True)
class ByGroups(Encoding):
    """No index: the number of groups, which the pattern is called by, says what is kept."""

    pattern: Grouped
    name: str = "by groups"

    def encode(self, kept: Mask) -> Index:
        return ()

    def decode(self, index: Index, shape: Shape) -> Mask:
        return self.pattern.mask(shape)


@dataclass(frozen=True)
class Strided(Pattern):
    """Intra-kernel strided sparsity: all kernels that leave an input map keep (or lose) the same strided taps.

    With (stride, offset) of a map, ``keep="strided"`` keeps the taps offset, offset + stride, ...; ``keep="rest"``
    keeps all others. Taps run row-major over the kernel, offset < stride <= T + 1; (T + 1, T) names no tap at all, so
    that both readings can say "all" and "none". Source: Anwar et al.; that the text can be read both ways, and the
    order of the taps, are our reading.
    """

    keep: str = "strided"

    def __post_init__(self) -> None:
        if self.keep not in ("strided", "rest"):
            raise EspalierError(f"keep must be 'strided' or 'rest', got {self.keep!r}")

    def __str__(self) -> str:
        return "ikss" if self.keep == "strided" else "ikss-rest"

    def taps(self, stride: int, offset: int, taps: int) -> Mask:
        """Return which of `taps` taps (stride, offset) keeps."""
        named = np.zeros(taps, bool)
        named[offset::stride] = True
        return named if self.keep == "strided" else ~named

    def choices(self, taps: int) -> list[tuple[int, int]]:
        """Return every legal (stride, offset) for kernels of `taps` taps."""
        return [(stride, offset) for stride in range(1, taps + 2) for offset in range(stride)]

    def choice(self, kept: Mask) -> tuple[int, int] | None:
        """Return the (stride, offset) that keeps exactly these taps (T,), the smallest stride if many do, or None."""
        named = np.flatnonzero(kept if self.keep == "strided" else ~kept)
        offset = int(named[0]) if named.size else kept.size
        stride = int(named[1]) - offset if named.size > 1 else max(offset + 1, kept.size - offset)
        fits = offset < stride and np.array_equal(self.taps(stride, offset, kept.size), kept)
        return (stride, offset) if fits else None

    def strides_and_offsets(self, kept: Mask) -> tuple[Integers, Integers]:
        """Return stride and offset of each input map of a legal mask; the smallest stride that fits."""
        found = np.array([self.choice(taps) for taps in kept[0]], np.int64)
        return found[:, 0], found[:, 1]

    def problem(self, kept: Mask) -> str | None:
        differs = np.flatnonzero((kept != kept[:1]).any(axis=(0, 2)))
        if differs.size:
            return f"the kernels that leave input map {differs[0]} keep different taps"
        for taps in np.unique(kept[0], axis=0):
            if self.choice(taps) is None:
                index = int(np.flatnonzero((kept[0] == taps).all(axis=1))[0])
                return f"the taps {np.flatnonzero(taps).tolist()} of input map {index} have no (stride, offset)"
        return None

    def suits(self, shape: Shape) -> bool:  # kernels and their taps need a kernel of several taps
        return shape[2] > 1

    def nest(self, kept: Mask) -> LoopNest:
        outputs, maps, taps = kept.shape
        inner = [np.flatnonzero(kept[0, c]) for c in range(maps)]
        outer = [np.array([c for c in range(maps) if inner[c].size], np.int64)]
        return loop_nest(kept, outputs, taps, outer, inner)


@dataclass(frozen=True)
class KernelStrided(Pattern):
    """Kernel pruning and intra-kernel strided sparsity together: kernels that stay keep the taps of their input map."""

    keep: str = "strided"
    group: int = 1

    def __post_init__(self) -> None:
        _ = self.strided, self.kernel

    def __str__(self) -> str:
        return f"{self.kernel}+{self.strided}"

    @property
    def kernel(self) -> Kernel:
        """The part that says which kernels go together."""
        return Kernel(self.group)

    @property
    def strided(self) -> Strided:
        """The pattern of the taps alone."""
        return Strided(self.keep)

    def factors(self, kept: Mask) -> tuple[Mask, Mask]:
        """Return the two masks (M, C, T) whose product is `kept`: by kernel, and by tap."""
        outputs, maps, taps = kept.shape
        kernels = self.kernel.expand(self.kernel.flags(kept), (outputs, maps, taps))
        return kernels, np.broadcast_to(np.any(kept, axis=0, keepdims=True), kept.shape)

    def problem(self, kept: Mask) -> str | None:
        kernels, taps = self.factors(kept)
        if (kept != (kernels & taps)).any():
            output, index, _ = np.argwhere(kept != (kernels & taps))[0]
            return f"kernel (output {output}, input {index}) keeps other taps than its neighbours"
        return self.strided.problem(taps)

    def suits(self, shape: Shape) -> bool:  # kernels and their taps need a kernel of several taps
        return shape[2] > 1

    def nest(self, kept: Mask) -> LoopNest:
        return kernel_nest(kept, self.group, [np.flatnonzero(taps) for taps in np.any(kept, axis=0)])


def kernel_nest(kept: Mask, group: int, inner: list[NDArray[Any]]) -> LoopNest:
    """Return the nest of a mask (M, C, T) whose groups of output maps keep the same kernels, the taps `inner` of each.

    Of a last group that is not full nothing is filled: as many rows lie side by side as divide M and the group.
    """
    rows = math.gcd(len(kept), group)
    outer = [np.flatnonzero(row) for row in np.any(kept[::rows], axis=2)]
    return loop_nest(kept, rows, kept.shape[2], outer, inner)
