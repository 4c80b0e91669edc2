"""Whole columns go: the weights that a group of outputs has for one tap of one input map.

Lanes that work on one group then read the same signals, and one index serves them all. With a group that holds every
output this is the shape-wise sparsity of Wen et al. ("Learning Structured Sparsity in Deep Neural Networks").
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.encoding import Flags
from accel.errors import EspalierError
from accel.pattern import Encoding, Index, IndexWords, LoopNest, Mask, Pattern, Shape, Units, bits_for, loop_nest


@dataclass(frozen=True)
class Columns(Pattern):
    """The `rows` outputs of a group keep the same columns of the lowered matrix; the last group may have fewer."""

    rows: int

    def __post_init__(self) -> None:
        if not 1 <= self.rows <= 1024:
            raise EspalierError(f"a group of columns must have 1..1024 rows, got {self.rows}")

    def __str__(self) -> str:
        return f"column-{self.rows}"

    def groups(self, array: NDArray[Any], fill: Any) -> NDArray[Any]:
        """Return an array (M, C, T) as (groups, rows, C, T), the last group filled up with `fill`."""
        groups = -(-len(array) // self.rows)
        padded = np.full((groups * self.rows, *array.shape[1:]), fill, array.dtype)
        padded[: len(array)] = array
        return padded.reshape(groups, self.rows, *array.shape[1:])

    def flags(self, kept: Mask) -> Mask:
        """Return which columns (groups, C, T) keep anything."""
        return np.asarray(self.groups(kept, False).any(axis=1))

    def expand(self, flags: NDArray[Any], shape: Shape) -> NDArray[Any]:
        """Return for each weight (M, C, T) what there is one of for each column (groups, C, T)."""
        return flags.repeat(self.rows, axis=0)[: shape[0]]

    def problem(self, kept: Mask) -> str | None:
        mixed = np.argwhere(self.flags(kept) & ~self.groups(kept, True).all(axis=1))
        if not len(mixed):
            return None
        group, index, tap = mixed[0]
        return f"column (input {index}, tap {tap}) of the group of outputs {group} is pruned in part"

    def nest(self, kept: Mask) -> LoopNest:
        flags = self.flags(kept).reshape(-(-len(kept) // self.rows), -1)
        return loop_nest(kept, self.rows, 1, [np.flatnonzero(row) for row in flags], [np.zeros(1)] * flags.shape[1])

    def units(self) -> Units:
        return Units(self.flags, lambda weights: self.groups(weights, 0.0).sum(axis=1), self.expand)

    def encodings(self) -> tuple[Encoding, ...]:
        return Flags("column flags", self), ColumnLists(self)


@dataclass(frozen=True)
class ColumnLists(Encoding):
    """Where the list of each group ends, then the columns that it keeps."""

    pattern: Columns
    name: str = "column lists"

    def encode(self, kept: Mask) -> Index:
        flags = self.pattern.flags(kept)
        columns = np.nonzero(flags.reshape(len(flags), -1))[1]
        ends = np.cumsum(flags.sum(axis=(1, 2)))
        column_bits = bits_for(math.prod(kept.shape[1:]) - 1)
        return IndexWords("ends", bits_for(flags.size), ends), IndexWords("columns", column_bits, columns)

    def decode(self, index: Index, shape: Shape) -> Mask:
        ends, columns = (words.words.astype(np.int64) for words in index)
        flags = np.zeros((-(-shape[0] // self.pattern.rows), math.prod(shape[1:])), bool)
        counts = np.diff(ends, prepend=0)
        if len(ends) != len(flags) or (counts < 0).any() or counts.sum() != len(columns):
            raise EspalierError(f"the ends of the {self.name} do not divide its {len(columns)} columns")
        if columns.size and columns.max() >= flags.shape[1]:
            raise EspalierError(f"the {self.name} have column {columns.max()} of only {flags.shape[1]}")
        flags[np.repeat(np.arange(len(flags)), counts), columns] = True
        return np.array(self.pattern.expand(flags.reshape(-1, *shape[1:]), shape))

    def index_bits(self, kept: Mask) -> int:
        flags = self.pattern.flags(kept)
        return len(flags) * bits_for(flags.size) + int(flags.sum()) * bits_for(math.prod(kept.shape[1:]) - 1)


def parse(text: str) -> Columns | None:
    """Return the pattern that ``column-G`` names, or None if `text` is of another form."""
    match = re.fullmatch(r"column-([1-9][0-9]{0,8})", text)
    return Columns(int(match[1])) if match else None
