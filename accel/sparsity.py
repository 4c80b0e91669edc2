"""Our patterns of pruning: which masks are legal, and the loop nest that runs what is kept (`accel.pattern`)."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import plugins
from accel.errors import EspalierError
from accel.kernel_patterns import Grouped, Kernel, KernelStrided, Strided
from accel.limits import WIDEST
from accel.pattern import LoopNest, Mask, Pattern, Units, everything, keeps_everything, loop_nest


@dataclass(frozen=True)
class Dense(Pattern):
    """Everything is kept."""

    def __str__(self) -> str:
        return "dense"

    def problem(self, kept: Mask) -> str | None:
        return None if keeps_everything(kept) else f"{np.count_nonzero(~kept)} weights are pruned"

    def nest(self, kept: Mask) -> LoopNest:
        outputs, maps, taps = kept.shape
        return loop_nest(kept, outputs, taps, [np.arange(maps)], [np.arange(taps)] * maps)


@dataclass(frozen=True)
class FeatureMap(Pattern):
    """Whole output maps go, with every kernel that leads to them.

    A mask of this pattern is an intermediate step: `accel.prune.remove_maps` makes the layer physically narrower,
    removes the kernels that read the maps too, and what is left is dense (source: Anwar et al., no sparse
    representation).
    """

    def __str__(self) -> str:
        return "feature-map"

    def problem(self, kept: Mask) -> str | None:
        mixed = np.flatnonzero(np.any(kept, axis=(1, 2)) & ~np.all(kept, axis=(1, 2)))
        if mixed.size:
            return f"output map {mixed[0]} is pruned in part"
        return None if kept.any() else "no output map is left"

    def units(self) -> Units:
        return Units.along(1, 2)

    def nest(self, kept: Mask) -> LoopNest:
        _, maps, taps = kept.shape
        alive = np.any(kept, axis=(1, 2))
        return loop_nest(kept, 1, taps, [np.arange(maps if row else 0) for row in alive], [np.arange(taps)] * maps)


@dataclass(frozen=True)
class Block(Pattern):
    """Square blocks of the lowered matrix go; edges are padded where `size` does not divide the shape (source: BSR)."""

    size: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= WIDEST:
            raise EspalierError(f"block size must be 1..{WIDEST}, got {self.size}")

    def __str__(self) -> str:
        return f"block-{self.size}"

    def grid(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return (block rows, block columns) of a mask shape (M, C, T)."""
        return -(-shape[0] // self.size), -(-math.prod(shape[1:]) // self.size)

    def tiles(self, matrix: NDArray[Any], fill: Any) -> NDArray[Any]:
        """Return a lowered (M, K) matrix as (block rows, block columns, b, b), padded with `fill`."""
        rows, columns = self.grid(matrix.shape)
        padded = np.full((rows * self.size, columns * self.size), fill, matrix.dtype)
        padded[: matrix.shape[0], : matrix.shape[1]] = matrix
        return padded.reshape(rows, self.size, columns, self.size).swapaxes(1, 2)

    def expand(self, flags: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return for each weight (M, C, T) the flag of its block, given as (block rows, block columns)."""
        wide = flags.repeat(self.size, axis=0).repeat(self.size, axis=1)
        return wide[: shape[0], : math.prod(shape[1:])].reshape(shape)

    def flags(self, kept: Mask) -> Mask:
        """Return which blocks (block rows, block columns) keep anything."""
        tiles = self.tiles(kept.reshape(len(kept), -1), False)
        return np.any(
            np.any(tiles, axis=2), axis=2
        )  # rows first, which lie in one piece: eight times as fast as both at once

    def problem(self, kept: Mask) -> str | None:
        mixed = np.argwhere(self.flags(kept) & ~self.tiles(kept.reshape(len(kept), -1), True).all(axis=(2, 3)))
        return f"block (row {mixed[0][0]}, column {mixed[0][1]}) is pruned in part" if len(mixed) else None

    def units(self) -> Units:
        return Units(
            self.flags,
            lambda weights: self.tiles(weights.reshape(len(weights), -1), 0.0).sum(axis=(2, 3)),
            self.expand,
        )

    def nest(self, kept: Mask) -> LoopNest:
        flags = self.flags(kept)
        inner = [np.arange(self.size)] * flags.shape[1]
        return loop_nest(kept, self.size, self.size, [np.flatnonzero(row) for row in flags], inner)


@dataclass(frozen=True)
class Irregular(Pattern):
    """Any scalar weight may go: the classical baseline."""

    def __str__(self) -> str:
        return "irregular"

    def problem(self, kept: Mask) -> str | None:
        return None

    def units(self) -> Units:
        return Units.along()

    def nest(self, kept: Mask) -> LoopNest:
        lowered = kept.reshape(len(kept), -1)
        inner = [np.zeros(1, np.int64)] * lowered.shape[1]
        return loop_nest(kept, 1, 1, [np.flatnonzero(row) for row in lowered], inner)


@dataclass(frozen=True)
class NOfM(Pattern):
    """`n` of every `m` consecutive columns of a row of the lowered matrix are kept (all, of a last run that short)."""

    n: int
    m: int

    def __post_init__(self) -> None:
        if not 1 <= self.n < self.m <= WIDEST:
            raise EspalierError(f"N:M needs 1 <= N < M <= {WIDEST}, got {self.n}:{self.m}")

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"

    def problem(self, kept: Mask) -> str | None:
        lowered = kept.reshape(len(kept), -1)
        whole = lowered.shape[1] // self.m * self.m
        runs = lowered[:, :whole].reshape(len(lowered), -1, self.m).sum(axis=2, dtype=np.uint16)
        last = lowered[:, whole:].sum(axis=1, dtype=np.uint16)
        fewer = min(self.n, lowered.shape[1] - whole)
        for counts, expected, begin in ((runs.T, self.n, 0), (last[None], fewer, whole)):
            wrong = np.argwhere(counts != expected)
            if len(wrong):
                run, row = wrong[0]
                first = begin + run * self.m
                end = min(first + self.m, lowered.shape[1]) - 1
                return f"row {row} keeps {counts[run, row]} of the columns {first}..{end}"
        return None

    def nest(self, kept: Mask) -> LoopNest:
        return Irregular().nest(kept)


def parse_pattern(text: str) -> Pattern:
    """Return the pattern that `text` names; ``str(pattern)`` gives the same text back.

    Patterns of other packages are entry points of the group ``espalier.patterns``: a `Pattern`, or a function from a
    text to the Pattern that it names, or None.

    Raises
    ------
    EspalierError
        No pattern has that name.

    Examples
    --------
    >>> parse_pattern("block-4"), str(parse_pattern("2:4"))
    (Block(size=4), '2:4')
    """
    if (numbered := _NAMED.get(text) or _numbered(text)) is not None:
        if str(numbered) != text:  # files and ratios find a pattern by its name
            raise EspalierError(f"the pattern {text} is written {numbered}")
        return numbered
    others = plugins.entry_points(plugins.PATTERNS)
    for name in others:
        if (found := _brought(name, text)) is not None:
            return found
    known = ", ".join([*_NAMED, *others])
    raise EspalierError(f"unknown pattern {text!r}: expected one of {known}, kernel@G, block-B or N:M")


def _numbered(text: str) -> Pattern | None:
    """Return the pattern that `text` names with numbers of its own, or None."""
    if match := re.fullmatch(r"block-([0-9]{1,9})", text):
        return Block(int(match[1]))
    if match := re.fullmatch(r"groups-([0-9]{1,9})", text):
        return Grouped(int(match[1]))
    if match := re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", text):
        return NOfM(int(match[1]), int(match[2]))
    if match := re.fullmatch(r"kernel@([^+]*)(?:\+(ikss|ikss-rest))?", text):
        if not re.fullmatch(r"-?[0-9]{1,9}", match[1]):
            raise EspalierError(f"{text!r}: a group of kernels must have 1..{WIDEST} output maps, got {match[1]!r}")
        group = int(match[1])
        return KernelStrided("rest" if match[2] == "ikss-rest" else "strided", group) if match[2] else Kernel(group)
    return None


def _brought(name: str, text: str) -> Pattern | None:
    """Return the pattern `text` of the entry point `name`, or None if it names another."""
    brought = plugins.load(plugins.PATTERNS, name)
    if not isinstance(brought, Pattern):
        if isinstance(brought, type) or not callable(brought):
            raise EspalierError(f"{plugins.PATTERNS}: {name} must be a Pattern or a function, got {brought!r}")
        brought = brought(text)
    if isinstance(brought, Pattern | None):
        return brought if brought is not None and str(brought) == text else None
    raise EspalierError(f"{plugins.PATTERNS}: {name} must give a Pattern or None, got {brought!r}")


@dataclass(frozen=True, eq=False)
class LayerMask:
    """What one layer keeps: a mask (M, C, T) and the pattern that it is legal for."""

    pattern: str
    kept: Mask

    def __post_init__(self) -> None:
        pattern, given = parse_pattern(self.pattern), np.asarray(self.kept, bool)
        pattern.check(given, "layer mask")
        kept = everything(given.shape) if isinstance(pattern, Dense) else np.array(given)
        kept.setflags(write=False)
        object.__setattr__(self, "kept", kept)


Masks = Mapping[str, LayerMask]

_NAMED: dict[str, Pattern] = {
    str(pattern): pattern
    for pattern in (
        Dense(),
        FeatureMap(),
        Kernel(),
        Strided(),
        Strided("rest"),
        KernelStrided(),
        KernelStrided("rest"),
        Irregular(),
    )
}
