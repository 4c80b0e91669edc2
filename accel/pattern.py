"""What a pattern of pruning is: which masks are legal, the loop nest that runs them, how they are chosen and stored.

A mask is a boolean array (outputs M, input maps C, taps T) that is true where a weight is kept; a linear layer has one
tap. Its lowered form is the matrix (M, C*T), column = map * T + tap. Every pattern runs on the one loop nest ::

    for unit in outer(group):       # which runs of columns survive: a counter, or a stored list
        for tap in inner(unit):     # which columns of the run survive
            acc[row][pixel] += weight[row][unit, tap] * signal[unit, tap][pixel]     # every row of the group

and a new pattern is a new (outer, inner) pair. `accel.sparsity` has ours; other packages bring theirs as entry points.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.limits import MOST_COLUMNS, MOST_ROWS, MOST_TAPS, MOST_WEIGHTS, check_limit

Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]
Gene = NDArray[Any]
Magnitudes = NDArray[np.float64]
Shape = tuple[int, int, int]
_PIECE = 64, 512  # rows and columns of a matrix that are turned at a time


@dataclass(frozen=True, eq=False)
class LoopNest:
    """What is kept, in the order in which it runs.

    Parameters
    ----------
    shape : (int, int)
        Rows M and columns K of the lowered matrix.
    group_rows : int
        Rows that share one outer list; the last group may reach past M.
    unit_columns : int
        Consecutive columns that an outer index stands for; the last unit may reach past K.
    outer : tuple of int arrays
        For each group, the units that survive, ascending.
    inner : tuple of int arrays
        For each unit, the columns of it that survive, ascending.
    """

    shape: tuple[int, int]
    group_rows: int
    unit_columns: int
    outer: tuple[Integers, ...]
    inner: tuple[Integers, ...]

    @cached_property
    def group_columns(self) -> tuple[Integers, ...]:
        """For each group, the lowered columns it reads, in issue order; of a last unit possibly past the edge."""
        sizes = np.array([taps.size for taps in self.inner], np.int64)
        starts = np.cumsum(sizes) - sizes
        columns = np.concatenate([np.zeros(0, np.int64), *self.inner])
        columns += np.repeat(np.arange(sizes.size) * self.unit_columns, sizes)
        units = np.concatenate([np.zeros(0, np.int64), *self.outer])
        read = columns[_runs(starts[units], sizes[units])]
        ends = np.cumsum(np.append(0, sizes[units]))[np.cumsum([0, *(group.size for group in self.outer)])].tolist()
        return tuple(read[start:end] for start, end in pairwise(ends))

    @cached_property
    def row_columns(self) -> tuple[Integers, ...]:
        """For each row, the columns of the matrix that its accumulator adds up, in issue order."""
        groups = (kept[kept < self.shape[1]] for kept in self.group_columns)
        return tuple(columns for columns in groups for _ in range(self.group_rows))[: self.shape[0]]

    @property
    def positions(self) -> tuple[Integers, Integers]:
        """Row and column of every stored weight in issue order: column by column, all rows of the group for each."""
        rows, columns = [], []
        for group, kept in enumerate(self.group_columns):
            first = group * self.group_rows
            rows.append(np.tile(np.arange(first, first + self.group_rows), kept.size))
            columns.append(np.repeat(kept, self.group_rows))
        return np.concatenate(rows), np.concatenate(columns)

    @property
    def stored_words(self) -> int:
        """Weights that are stored, the filling of blocks that reach past an edge included."""
        return sum(kept.size for kept in self.group_columns) * self.group_rows

    @property
    def row_words(self) -> Integers:
        """Weights that are stored of each row (M,); the filling past the last row is that row's."""
        words = np.repeat([kept.size for kept in self.group_columns], self.group_rows)
        return np.append(words[: self.shape[0] - 1], words[self.shape[0] - 1 :].sum())

    @cached_property
    def macs_per_pixel(self) -> int:
        """Multiply-accumulates for one output pixel: stored weights that lie inside the matrix."""
        return sum(rows * columns.size for rows, columns, _ in self._inside())

    @property
    def fills(self) -> bool:
        """Whether blocks may reach past an edge, where what is stored is no weight."""
        height, width = len(self.outer) * self.group_rows, len(self.inner) * self.unit_columns
        return (height, width) != self.shape

    def gather(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Return the kept entries of an (M, K) matrix in issue order, zeros where a block reaches past an edge."""
        words = np.zeros(self.stored_words, matrix.dtype)
        for group, (block, (rows, columns, inside)) in enumerate(zip(self._blocks(words), self._inside(), strict=True)):
            entries = matrix[group * self.group_rows :][:rows]
            if columns.size < entries.shape[1]:
                entries = entries[:, columns]
            if isinstance(inside, slice):
                _turn(entries, block)
            else:
                block[inside, :rows] = entries.T
        return words

    def scatter(self, words: NDArray[Any]) -> NDArray[Any]:
        """Return the (M, K) matrix whose kept entries are `words` in issue order, zero elsewhere."""
        matrix = np.zeros(self.shape, words.dtype)
        for group, (block, (rows, columns, inside)) in enumerate(zip(self._blocks(words), self._inside(), strict=True)):
            matrix[group * self.group_rows :][:rows, columns] = block[inside, :rows].T
        return matrix

    def row_sums(self, words: NDArray[Any]) -> Integers:
        """Return for each row (M,) the sum of its entries among `words` in issue order."""
        if self.group_rows > 1:
            sums = [block.sum(axis=0, dtype=np.int64) for block in self._blocks(words)]
            return np.concatenate(sums)[: self.shape[0]]
        sizes = np.array([columns.size for columns in self.group_columns])
        there, found = sizes > 0, np.zeros(sizes.size, np.int64)
        if words.size:
            found[there] = np.add.reduceat(words, (np.cumsum(sizes) - sizes)[there], dtype=np.int64)
        return found

    def column_sums(self, words: NDArray[Any]) -> Integers:
        """Return for each column (K,) the sum of its entries among `words` in issue order."""
        sums = np.zeros(self.shape[1], np.int64)
        for block, (rows, columns, inside) in zip(self._blocks(words), self._inside(), strict=True):
            sums[columns] += block[inside, :rows].sum(axis=1, dtype=np.int64)
        return sums

    def _blocks(self, words: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Yield of each group its part of `words` in issue order, (columns, rows of a group): a view."""
        end = 0
        for columns in self.group_columns:
            start, end = end, end + columns.size * self.group_rows
            yield words[start:end].reshape(columns.size, self.group_rows)

    def _inside(self) -> Iterator[tuple[int, Integers, slice | Mask]]:
        """Yield of each group how many of its rows the matrix has, the columns that it has, and which those are."""
        for group, columns in enumerate(self.group_columns):
            rows = min(self.group_rows, self.shape[0] - group * self.group_rows)
            inside: slice | Mask = columns < self.shape[1] if self.fills else slice(None)
            yield rows, columns[inside], inside


def loop_nest(
    kept: Mask, group_rows: int, unit_columns: int, outer: list[NDArray[Any]], inner: list[NDArray[Any]]
) -> LoopNest:
    """Return the nest of a mask (M, C, T) whose groups have `group_rows` rows and units `unit_columns` columns.

    `outer` has the units that survive of each group, `inner` the columns that survive of each unit, both ascending.
    """
    shape = (kept.shape[0], kept.shape[1] * kept.shape[2])
    as_integers = [np.asarray(x, np.int64) for x in outer], [np.asarray(x, np.int64) for x in inner]
    return LoopNest(shape, group_rows, unit_columns, tuple(as_integers[0]), tuple(as_integers[1]))


def everything(shape: tuple[int, ...]) -> Mask:
    """Return the mask (M, C, T) that keeps all, which takes no memory: every weight of it is the same flag."""
    return np.broadcast_to(np.True_, shape)


def keeps_everything(kept: Mask) -> bool:
    """Return whether a mask keeps all; of one that `everything` made nothing has to be read for it."""
    return bool(kept.flat[0]) if kept.size and not any(kept.strides) else bool(kept.all())


def kept_weights(kept: Mask) -> int:
    """Return how many weights a mask keeps."""
    return kept.size if keeps_everything(kept) else int(np.count_nonzero(kept))


@dataclass(frozen=True)
class Units:
    """How masks of a pattern fall into units that stay or go as a whole.

    `flags` gives which units (in an array of any shape) of a mask keep anything, `sums` the sum over each unit of an
    array that is given for each weight, and `expand` the mask (M, C, T) of flags, or whatever else there is one of for
    each unit.
    """

    flags: Callable[[Mask], Mask]
    sums: Callable[[Magnitudes], Magnitudes]
    expand: Callable[[NDArray[Any], Shape], NDArray[Any]]

    @classmethod
    def along(cls, *axes: int) -> "Units":
        """Return the units that reach over whole axes of a mask (M, C, T): (2,) makes a unit of each kernel."""
        return cls(
            lambda kept: np.asarray(np.any(kept, axis=axes, keepdims=True)),
            lambda weights: weights.sum(axis=axes, keepdims=True),
            lambda flags, shape: np.broadcast_to(flags, shape),
        )


class Locus(ABC):
    """The genes of one layer, or of layers that keep the same maps; all of them meet one ratio."""

    @property
    @abstractmethod
    def empty(self) -> bool:
        """Whether the ratio leaves nothing of the layer."""

    @property
    @abstractmethod
    def swaps(self) -> int:
        """How many independent swaps there can be in one gene; 0 if there is only one gene."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Gene:
        """Return a gene drawn from all of them."""

    @abstractmethod
    def cross(self, left: Gene, right: Gene, rng: np.random.Generator) -> Gene:
        """Return a child that has each part from one parent or the other, and meets the ratio as they do."""

    @abstractmethod
    def mutate(self, gene: Gene, swaps: int, rng: np.random.Generator) -> Gene:
        """Return `gene` after random swaps of something that stays for something that goes."""

    @abstractmethod
    def strongest(self, weights: Magnitudes, score: str) -> Gene:
        """Return the gene that keeps the largest |w|, given for each weight; units have the `score` sum or mean."""

    @abstractmethod
    def express(self, gene: Gene, shape: Shape) -> Mask:
        """Return the mask that `gene` means for a layer of the lowered `shape`."""


def bits_for(highest: int) -> int:
    """Return the bits of an unsigned word that holds 0..`highest`; 0 if there is nothing to tell apart.

    >>> [bits_for(highest) for highest in (0, 1, 2, 255, 256)]
    [0, 1, 2, 8, 9]
    """
    return int(highest).bit_length()


def first_bits(bits: int, outputs: int) -> Integers:
    """Return `bits` for the first of so many outputs, and none for the others."""
    return np.eye(1, outputs, dtype=np.int64)[0] * bits


@dataclass(frozen=True, eq=False)
class IndexWords:
    """One array of index words, each `word_bits` wide, unsigned."""

    name: str
    word_bits: int
    words: NDArray[np.int64] = field(metadata={"packed": "word_bits"})

    def __post_init__(self) -> None:
        words = np.array(self.words, np.int64)
        if words.ndim != 1 or not 0 <= self.word_bits <= 63:
            raise EspalierError(f"index words {self.name}: expected one dimension and 0..63 bits")
        if words.size and (words.min() < 0 or int(words.max()) >= 1 << self.word_bits):
            raise EspalierError(f"index words {self.name}: a word does not fit {self.word_bits} bits")
        words = words.astype(np.uint32 if self.word_bits <= 32 else np.uint64)  # unsigned, as a file reads them back
        words.setflags(write=False)
        object.__setattr__(self, "words", words)

    @property
    def bits(self) -> int:
        """Bits that the array takes in memory."""
        return self.words.size * self.word_bits


Index = tuple[IndexWords, ...]


class Encoding(ABC):
    """A way to store which weights are kept."""

    name: str

    @abstractmethod
    def encode(self, kept: Mask) -> Index:
        """Return the index words of a legal mask (M, C, T)."""

    def index_bits(self, kept: Mask) -> int:
        """Return the bits of the index words of a legal mask; a closed form of them is faster, and must be equal."""
        return sum(words.bits for words in self.encode(kept))

    def output_bits(self, kept: Mask) -> Integers:
        """Return the bits of the index (M,) that each output brings where outputs come one after another.

        They sum to `index_bits`. An index that does not say how it is divided comes with the first output.
        """
        return first_bits(self.index_bits(kept), len(kept))

    @abstractmethod
    def decode(self, index: Index, shape: Shape) -> Mask:
        """Return the mask of `shape` (M, C, T) that `index` stands for."""


class Pattern(ABC):
    """A family of masks that hardware can run without an index for each weight.

    A subclass is a frozen dataclass whose `str` names it. Where its masks are a free choice of units, `units` says
    which: every selector then chooses among them, and a flag for each unit stores them. Where they are not, `locus` and
    `encodings` do. `espalier.conformance.check_pattern` holds a pattern to all that its readers rely on.
    """

    @abstractmethod
    def problem(self, kept: Mask) -> str | None:
        """Return what keeps the mask (M, C, T) from being of this pattern, or None."""

    @abstractmethod
    def nest(self, kept: Mask) -> LoopNest:
        """Return the loop nest that runs a legal mask (M, C, T)."""

    def check(self, kept: Mask, where: str) -> None:
        """Raise EspalierError, naming the layer `where`, unless `kept` is a legal mask of this pattern."""
        if kept.ndim != 3 or 0 in kept.shape or kept.dtype != np.bool_:
            raise EspalierError(f"{where}: a mask is boolean (outputs, maps, taps), got {kept.dtype} {kept.shape}")
        check_shape(kept.shape, where)
        problem = self.problem(kept)
        if problem:
            raise EspalierError(f"{where}: mask breaks the pattern {self}: {problem}")

    def suits(self, shape: Shape) -> bool:
        """Return whether the pattern says anything about a layer of the shape (M, C, T)."""
        return True

    def units(self) -> Units | None:
        """Return the units that stay or go as a whole, or None if masks are no free choice of units."""
        return None

    def locus(self, alive: Mask, ratio: float) -> "Locus | None":
        """Return the choice of masks that keep nothing but `alive` and prune the share `ratio`, if `units` is None."""
        return None

    def encodings(self) -> "tuple[Encoding, ...]":
        """Return the ways to store a mask; () for those that `accel.encoding.encodings` knows."""
        return ()


def check_shape(shape: tuple[int, ...], where: str) -> None:
    """Raise EspalierError, naming the layer `where`, unless a layer may have the shape (outputs, maps, taps)."""
    check_limit(where, "outputs", shape[0], MOST_ROWS)
    check_limit(where, "taps of a kernel", shape[2], MOST_TAPS)
    check_limit(where, "weights of an output", math.prod(shape[1:]), MOST_COLUMNS)
    check_limit(where, "weights", math.prod(shape), MOST_WEIGHTS)


def _turn(matrix: NDArray[Any], into: NDArray[Any]) -> None:
    """Write a matrix (M, K) into another (K, M), piece by piece: words that a turned row takes lie far apart."""
    rows, columns = _PIECE
    for row, column in product(range(0, matrix.shape[0], rows), range(0, matrix.shape[1], columns)):
        into[column : column + columns, row : row + rows] = matrix[row : row + rows, column : column + columns].T


def _runs(starts: Integers, sizes: Integers) -> Integers:
    """Return start, start + 1, ... of each run, one run after the other.

    >>> _runs(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before = np.cumsum(sizes) - sizes
    return np.repeat(starts - before, sizes) + np.arange(sizes.sum())
