"""Encodings of what is kept: the index words that are stored beside the weights, to the bit.

An encoding turns a legal mask (outputs M, maps C, taps T) into index words of stated widths and back. Its cost is the
bits of those words, nothing is estimated, and a saved Program holds exactly them.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.kernel_patterns import Kernel, KernelStrided, Strided
from accel.pattern import (
    Encoding,
    Index,
    IndexWords,
    Integers,
    Mask,
    Pattern,
    Shape,
    bits_for,
    check_shape,
    everything,
    first_bits,
)
from accel.sparsity import Block, Dense, FeatureMap, Irregular, NOfM

RUN_BITS = range(2, 9)  # of a word that says how many weights are pruned; one bit would be a bitmap


class Nothing(Encoding):
    """No index: a counter visits everything."""

    name = "none"

    def encode(self, kept: Mask) -> Index:
        return ()

    def decode(self, index: Index, shape: Shape) -> Mask:
        return everything(shape)


@dataclass(frozen=True)
class Flags(Encoding):
    """One bit for each unit that may be pruned: a weight, a kernel or a block."""

    name: str
    pattern: Pattern

    def encode(self, kept: Mask) -> Index:
        return (IndexWords("flags", 1, _units(self.pattern, kept).ravel().astype(np.int64)),)

    def decode(self, index: Index, shape: Shape) -> Mask:
        units = _unit_shape(self.pattern, shape)
        flags = _word_array(index, "flags", math.prod(units)).astype(bool).reshape(units)
        return _expand(self.pattern, flags, shape)

    def output_bits(self, kept: Mask) -> Integers:
        units = _units(self.pattern, kept)
        return _by_row(self.pattern, np.full(len(units), units[0].size), len(kept))


@dataclass(frozen=True)
class Lists(Encoding):
    """Compressed rows: where each row's list ends, then the columns of the units that are kept.

    With scalar units this is CSR, with kernels the list of surviving maps, with blocks BSR. The first pointer of the
    textbook format is always 0 and is not stored.
    """

    name: str
    pattern: Pattern

    def encode(self, kept: Mask) -> Index:
        units = _units(self.pattern, kept)
        ends = np.cumsum(units.sum(axis=1))
        return (
            IndexWords("ends", bits_for(units.size), ends),
            IndexWords("columns", bits_for(units.shape[1] - 1), np.nonzero(units)[1]),
        )

    def decode(self, index: Index, shape: Shape) -> Mask:
        units = np.zeros(_unit_shape(self.pattern, shape), bool)
        ends, columns = _word_array(index, "ends", len(units)), _word_array(index, "columns")
        counts = np.diff(ends, prepend=0)
        if (counts < 0).any() or ends[-1] != len(columns):
            raise EspalierError(f"the ends of the {self.name} index do not divide its {len(columns)} columns")
        if columns.size and columns.max() >= units.shape[1]:
            raise EspalierError(f"the {self.name} index has column {columns.max()} of only {units.shape[1]}")
        units[np.repeat(np.arange(len(units)), counts), columns] = True
        return _expand(self.pattern, units, shape)

    def output_bits(self, kept: Mask) -> Integers:
        units = _units(self.pattern, kept)
        bits = bits_for(units.size) + units.sum(axis=1) * bits_for(units.shape[1] - 1)
        return _by_row(self.pattern, bits, len(kept))


@dataclass(frozen=True)
class StrideOffset(Encoding):
    """Two small numbers for each input map."""

    pattern: Strided
    name: str = "stride-offset"

    def encode(self, kept: Mask) -> Index:
        strides, offsets = self.pattern.strides_and_offsets(kept)
        word_bits = bits_for(kept.shape[2])
        return IndexWords("strides", word_bits, strides - 1), IndexWords("offsets", word_bits, offsets)

    def decode(self, index: Index, shape: Shape) -> Mask:
        strides, offsets = _word_array(index, "strides", shape[1]) + 1, _word_array(index, "offsets", shape[1])
        if (offsets >= strides).any():
            raise EspalierError("an offset of the stride-offset index is not smaller than its stride")
        pairs = zip(strides.tolist(), offsets.tolist(), strict=True)
        taps = np.array([self.pattern.taps(stride, offset, shape[2]) for stride, offset in pairs])
        return np.broadcast_to(taps, shape).copy()


@dataclass(frozen=True)
class Product(Encoding):
    """The index of the kernels and the index of the taps, side by side."""

    kernels: Encoding
    taps: StrideOffset

    @property
    def name(self) -> str:  # type: ignore[override]  # derived from its factors
        return f"{self.kernels.name}+{self.taps.name}"

    def encode(self, kept: Mask) -> Index:
        kernels, taps = KernelStrided(self.taps.pattern.keep).factors(kept)
        return self.kernels.encode(kernels) + self.taps.encode(taps)

    def decode(self, index: Index, shape: Shape) -> Mask:
        return self.kernels.decode(index[:-2], shape) & self.taps.decode(index[-2:], shape)

    def output_bits(self, kept: Mask) -> Integers:
        kernels, taps = KernelStrided(self.taps.pattern.keep).factors(kept)
        return self.kernels.output_bits(kernels) + self.taps.output_bits(taps)


@dataclass(frozen=True)
class RunPositions(Encoding):
    """N:M: the position inside its run of every weight that is kept."""

    pattern: NOfM
    name: str = "n:m positions"

    def encode(self, kept: Mask) -> Index:
        columns = np.nonzero(kept.reshape(len(kept), -1))[1]
        return (IndexWords("positions", bits_for(self.pattern.m - 1), columns % self.pattern.m),)

    def decode(self, index: Index, shape: Shape) -> Mask:
        width = shape[1] * shape[2]
        starts = np.arange(0, width, self.pattern.m)
        runs = np.repeat(starts, np.minimum(self.pattern.n, width - starts))
        columns = runs + _word_array(index, "positions", shape[0] * runs.size).reshape(shape[0], runs.size)
        if columns.max() >= width:
            raise EspalierError(f"an {self.pattern} position is past the last column, {width - 1}")
        kept = np.zeros((shape[0], width), bool)
        np.put_along_axis(kept, columns, True, axis=1)
        return kept.reshape(shape)

    def output_bits(self, kept: Mask) -> Integers:
        return kept.sum(axis=(1, 2)) * bits_for(self.pattern.m - 1)


@dataclass(frozen=True)
class ZeroRuns(Encoding):
    """Run lengths: where each row's words end, then for each weight that is kept how many before it are pruned.

    A word of all ones says that so many are pruned, and no weight follows it. Eyeriss and EIE store a padding zero
    there, in a weight's word (Chen et al., JSSC 2017, section IV.B; Han et al., ISCA 2016, section III.A); here weights
    are those that are kept. Words are as wide, 2 to 8 bits, as makes them the fewest bits, the narrowest of those that
    tie.
    """

    name: str = "zero runs"

    def encode(self, kept: Mask) -> Index:
        rows, zeros = _zeros_before(kept)
        bits, full = self._word_bits(np.bincount(zeros))
        words = zeros // full + 1
        runs = np.full(int(words.sum()), full)
        runs[np.cumsum(words) - 1] = zeros % full
        ends = np.cumsum(np.bincount(rows, words, len(kept))).astype(np.int64)
        return IndexWords("ends", bits_for(kept.size), ends), IndexWords("runs", bits, runs)

    def index_bits(self, kept: Mask) -> int:
        return int(self.output_bits(kept).sum())

    def output_bits(self, kept: Mask) -> Integers:
        rows, zeros = _zeros_before(kept)
        bits, full = self._word_bits(np.bincount(zeros))
        return bits_for(kept.size) + bits * np.bincount(rows, zeros // full + 1, len(kept)).astype(np.int64)

    def decode(self, index: Index, shape: Shape) -> Mask:
        ends, runs = _word_array(index, "ends", shape[0]), _word_array(index, "runs")
        bits = next(words.word_bits for words in index if words.name == "runs")
        full, counts, width = (1 << bits) - 1, np.diff(ends, prepend=0), shape[1] * shape[2]
        if bits not in RUN_BITS:
            raise EspalierError(f"the {self.name} index has words of {bits} bits, not {RUN_BITS[0]}..{RUN_BITS[-1]}")
        if (counts < 0).any() or ends[-1] != len(runs):
            raise EspalierError(f"the ends of the {self.name} index do not divide its {len(runs)} runs")
        covered = np.append(0, np.cumsum(np.where(runs == full, full, runs + 1)))
        rows = np.repeat(np.arange(shape[0]), counts)
        columns = covered[1:] - covered[ends - counts][rows] - 1
        if columns.size and columns.max() >= width:
            raise EspalierError(f"the {self.name} index has column {columns.max()} of only {width}")
        kept = np.zeros((shape[0], width), bool)
        kept[rows[runs < full], columns[runs < full]] = True
        return kept.reshape(shape)

    def _word_bits(self, counts: Integers) -> tuple[int, int]:
        """Return the bits of a word, and the word of all ones, where so many weights have 0, 1, ... zeros before."""
        zeros = np.arange(counts.size)
        bits = min(RUN_BITS, key=lambda bits: bits * int((counts * (zeros // ((1 << bits) - 1) + 1)).sum()))
        return bits, (1 << bits) - 1


def encodings(pattern: Pattern) -> tuple[Encoding, ...]:
    """Return every sensible encoding of masks of `pattern`."""
    match pattern:
        case Dense():
            return (Nothing(),)
        case FeatureMap():
            return encodings(Kernel())
        case Kernel():  # a flag, or a list, for each group of output maps
            return Flags("kernel flags", pattern), Lists("kernel lists", pattern)
        case Strided():
            return (StrideOffset(pattern),)
        case KernelStrided():
            return tuple(Product(kernels, StrideOffset(pattern.strided)) for kernels in encodings(pattern.kernel))
        case Block():
            return Flags("block flags", pattern), Lists("bsr", pattern)
        case NOfM():
            return (RunPositions(pattern), *encodings(Irregular()))
        case Irregular():
            return Flags("bitmap", pattern), Lists("csr", pattern), ZeroRuns()
    own = pattern.encodings() or ((Flags("unit flags", pattern),) if pattern.units() else ())
    if not own:
        raise EspalierError(f"no encoding stores the pattern {pattern}")
    return own


def index_bits(pattern: Pattern, kept: Mask) -> dict[str, int]:
    """Return the exact bits of every encoding of `kept`, by name."""
    return {x.name: x.index_bits(kept) for x in encodings(pattern)}


def cheapest(pattern: Pattern, kept: Mask, zero_runs: bool = False) -> tuple[str, Index]:
    """Return the name and the index words of the encoding with the fewest bits; the simpler one if they tie.

    Runs of zeros, whose words differ in what they stand for, are among them where they are asked for.
    """
    ways = (way for way in encodings(pattern) if zero_runs or not isinstance(way, ZeroRuns))
    candidates = [(way.name, way.encode(kept)) for way in ways]
    return min(candidates, key=lambda candidate: sum(words.bits for words in candidate[1]))


def decode(pattern: Pattern, name: str, index: Index, shape: Shape) -> Mask:
    """Return the mask (M, C, T) that the encoding called `name` stored as `index`.

    Raises
    ------
    EspalierError
        The pattern has no such encoding, or the words are not exactly those that `encode` makes of the mask: hardware
        that reads them must find the order in which the weights are stored.
    """
    check_shape(shape, "a layer")
    encoding = encoding_called(pattern, name)
    kept = encoding.decode(index, shape)
    if list(map(_content, encoding.encode(kept))) != list(map(_content, index)):
        raise EspalierError(f"the {name} index is not the one that its mask is stored as")
    return kept


def encoding_called(pattern: Pattern, name: str) -> Encoding:
    """Return the encoding of a pattern that has this name; raises EspalierError if it has none."""
    for encoding in encodings(pattern):
        if encoding.name == name:
            return encoding
    raise EspalierError(f"{pattern} is not stored as {name!r}")


def _content(words: IndexWords) -> tuple[str, int, bytes]:
    return words.name, words.word_bits, words.words.tobytes()


def _word_array(index: Index, name: str, count: int | None = None) -> NDArray[np.int64]:
    for words in index:
        if words.name == name:
            if count not in (None, words.words.size):
                raise EspalierError(f"the index has {words.words.size} {name}, expected {count}")
            return words.words.astype(np.int64)
    raise EspalierError(f"the index has no {name}")


def _zeros_before(kept: Mask) -> tuple[Integers, Integers]:
    """Return of every weight that is kept its row, and how many before it in the row are pruned since the last one."""
    rows, columns = np.nonzero(kept.reshape(len(kept), -1))
    first = np.diff(rows, prepend=-1) > 0
    return rows, np.where(first, columns, np.diff(columns, prepend=0) - 1)


def _unit_shape(pattern: Pattern, shape: Shape) -> tuple[int, ...]:
    match pattern:
        case Kernel():
            return -(-shape[0] // pattern.group), shape[1]
        case Irregular():
            return shape[0], shape[1] * shape[2]
    return _units(pattern, np.ones(shape, bool)).shape


def _units(pattern: Pattern, kept: Mask) -> Mask:
    """Return which units keep anything: as (rows, columns), where the pattern is one of ours."""
    match pattern:
        case Kernel():
            return pattern.flags(kept)
        case Irregular():
            return kept.reshape(len(kept), -1)
    units = pattern.units()
    assert units is not None  # only such patterns have flags and lists
    return units.flags(kept)


def _by_row(pattern: Pattern, bits: Integers, outputs: int) -> Integers:
    """Return the bits of each row of units as those of the first output of the row (M,).

    Units of other packages may lie in no rows of outputs: theirs are all the first output's.
    """
    match pattern:
        case Kernel():
            height = pattern.group
        case Block():
            height = pattern.size
        case Irregular():
            height = 1
        case _:
            return first_bits(int(bits.sum()), outputs)
    found = np.zeros(outputs, np.int64)
    found[::height] = bits
    return found


def _expand(pattern: Pattern, flags: Mask, shape: Shape) -> Mask:
    match pattern:
        case Irregular():
            return flags.reshape(shape)
    units = pattern.units()
    assert units is not None
    return np.array(units.expand(flags, shape), bool)
