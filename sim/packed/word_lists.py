"""What a packed layer reads, as lists for `sim.kernels.packed.mac`: places of four codes each, and their weights.

A word of the input holds four codes: of four maps at one pixel as tensors are stored, or of one map at four columns
side by side where the layer's rows are spread first. Each list takes the fewest words that hold the columns it keeps,
so that what is pruned is skipped as far as the pattern leaves whole words empty: maps that meet the same taps (IKSS)
lie together, whole kernels are runs of taps, and single weights fall back on what their neighbours need.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.kernels.dots import ROWS, WORDS, Kind

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

LOADS = {(4, False): 1.0, (4, True): 0.9, (1, False): 3.0, (1, True): 1.3}
"""What a product costs, by outputs of a list and whether pixels are paired: more where more is loaded for each."""
SPREAD = 1.1  # what a word of a spread map costs, in words of four maps


@dataclass(frozen=True, eq=False)
class Lists:
    """The lists of one layer.

    Parameters
    ----------
    rows : int
        Outputs that share a list, one of `ROWS`.
    ends : int64 array (lists,)
        Where each list ends among the entries.
    views : int64 array (entries,)
        Which group of four maps (0..groups - 1) or, from there on, which spread map, an entry reads.
    taps : int64 array (entries, 2)
        Down and across from the output's pixel.
    columns : int64 array (entries, pixels, 4)
        The lowered column that each code of the word is, or -1; seen from each pixel that shares the word.
    outputs : int64 array (4 * groups of outputs,)
        The output that is computed in each place, or -1.
    """

    rows: int
    ends: Integers
    views: Integers
    taps: Integers
    columns: Integers
    outputs: Integers

    @property
    def paired(self) -> bool:
        """Whether two pixels side by side share each word."""
        return self.columns.shape[1] == 2

    @property
    def sizes(self) -> Integers:
        """Entries of each list."""
        return np.diff(self.ends, prepend=0)

    def cost(self, pixels: int) -> float:
        """Return what the lists cost where they are summed up for `pixels` pixels."""
        return len(self.views) * pixels * self.rows * LOADS[self.rows, self.paired]

    def weights(self, matrix: Integers) -> Integers:
        """Return the weights (entries, rows, pixels, 4) from the lowered `matrix`, 0 where a code is not read."""
        padded = np.zeros((matrix.shape[0] + 1, matrix.shape[1] + 1), np.int64)  # the last ones are those of place -1
        padded[:-1, :-1] = matrix
        outputs = self.outputs.reshape(-1, self.rows).repeat(self.sizes, axis=0)
        return padded[outputs[:, :, None, None], self.columns[:, None]]

    def counts(self, kept: Flags) -> Integers:
        """Return how many weights each list multiplies that the mask (outputs, lowered columns) keeps."""
        padded = np.zeros((kept.shape[0] + 1, kept.shape[1] + 1), np.int64)
        padded[:-1, :-1] = kept
        outputs = self.outputs.reshape(-1, self.rows).repeat(self.sizes, axis=0)
        found = padded[outputs[:, :, None], self.columns[:, None, 0]].sum(axis=(1, 2))
        return np.diff(np.concatenate([[0], np.cumsum(found)])[self.ends], prepend=0)


def order_by_taps(kept: Flags) -> Integers:
    """Return the input maps (C,) of a mask (M, C, T) in an order that puts those with the same taps side by side.

    First whole fours of them, then those that are left over: sorted by how many taps they meet, the most first, and
    then by which, so that the few mixed fours differ the least. Where all maps meet the same taps, it is their own
    order.
    """
    met: Flags = np.any(kept, axis=0)
    by = np.lexsort((*met.T, -met.sum(axis=1)))
    starts = np.flatnonzero(np.any(met[by][1:] != met[by][:-1], axis=1)) + 1
    alike = np.split(by, starts)
    return np.concatenate([x[: len(x) // 4 * 4] for x in alike] + [x[len(x) // 4 * 4 :] for x in alike])


def word_codes(weights: Integers, kernel: Kind) -> NDArray[np.uint32]:
    """Return weights (..., 4) of 8 bits as the words that `kernel` multiplies by."""
    if WORDS[kernel] == 1:
        packed = (weights & 255) << np.array([0, 8, 16, 24])
        return packed.sum(axis=-1).astype(np.uint32).reshape(-1)
    halves = weights & 0xFFFF
    return (halves[..., :2] | halves[..., 2:] << 16).astype(np.uint32).reshape(-1)


def lists_of(
    kept: Flags,
    order: Integers,
    outputs: Integers,
    kernel: tuple[int, int],
    pixels: Sequence[int],
    pairs: bool = False,
) -> Lists:
    """Return the cheapest lists.

    Parameters
    ----------
    kept : bool array (M, C, T)
    order, outputs : int64 arrays (4 * groups,)
        The input map, and the output, that each place holds, or -1.
    kernel : (int, int)
        Height and width of the T taps.
    pixels : sequence of int
        How many pixels are summed up, for each of `ROWS`.
    pairs : bool
        Whether pixels side by side, which are one column apart, may share words.
    """
    padded = np.zeros((kept.shape[0] + 1, kept.shape[1] + 1, kept.shape[2]), bool)
    padded[:-1, :-1] = kept
    meets = padded[outputs][:, order].reshape(len(outputs), len(order), *kernel)
    found = []
    ways_to_share = ROWS[:1] if kept.all() else ROWS  # what nobody prunes costs one output the same as all
    for rows, count in zip(ways_to_share, pixels, strict=False):
        united: Flags = np.any(meets.reshape(-1, rows, *meets.shape[1:]), axis=1)
        ways = [_covered(united, order), _in_pairs(united, order)] if pairs else [_covered(united, order)]
        found += [(lists.cost(count), lists) for lists in (Lists(rows, *way, outputs) for way in ways)]
    return min(found, key=lambda pair: pair[0])[1]


Entries = tuple[Integers, Integers, Integers, Integers]
"""Ends, views, taps and columns of `Lists`."""


def _covered(united: Flags, order: Integers) -> Entries:
    """Return entries for what lists keep of each input place (lists, places, height, width)."""
    lists, places, height, width = united.shape
    fours = united.reshape(lists, places // 4, 4, height, width)
    starts = _runs(united).reshape(fours.shape)
    whole = fours.any(axis=2)
    cheaper = starts.sum(axis=(2, 3, 4)) * SPREAD < whole.sum(axis=(2, 3))  # (lists, groups): maps one by one
    whole &= ~cheaper[:, :, None, None]
    starts &= cheaper[:, :, None, None, None]
    of_whole, of_starts = np.argwhere(whole), np.argwhere(starts.reshape(united.shape))
    index = np.concatenate([of_whole, of_starts + np.array([0, places // 4, 0, 0])])
    columns = np.concatenate([_of_maps(of_whole, fours, order), _of_taps(of_starts, united, order)])
    by = np.lexsort((index[:, 3], index[:, 2], index[:, 1], index[:, 0]))
    return _entries(index[by], columns[by][:, None], lists)


def _entries(index: Integers, columns: Integers, lists: int) -> Entries:
    """Return entries from (list, view, down, across) in their order, and columns."""
    return np.searchsorted(index[:, 0], np.arange(lists), side="right"), index[:, 1], index[:, 2:], columns


def _in_pairs(united: Flags, order: Integers) -> Entries:
    """Return entries whose words, of four columns of one map, serve two pixels side by side.

    What a kernel of k columns meets from the two pixels is k + 1 columns wide; words lie in it end to end.
    """
    lists, places, height, width = united.shape
    padded = np.pad(united, ((0, 0), (0, 0), (0, 0), (1, 4)))  # a column before, and room for the last word
    words = -(-(width + 1) // 4)
    seen = np.stack([padded[..., 1 : 1 + 4 * words], padded[..., : 4 * words]])  # from the first pixel and the second
    met = seen.reshape(2, lists, places, height, words, 4)
    index = np.argwhere(met.any(axis=(0, 5)))
    item, place, down, word = index.T
    taps = 4 * word[:, None, None] + np.arange(4) - np.arange(2)[:, None]
    columns = (order[place] * height * width + down * width)[:, None, None] + taps
    flags = np.moveaxis(met[:, item, place, down, word], 0, 1)
    index = index * np.array([1, 1, 1, 4]) + np.array([0, places // 4, 0, 0])
    return _entries(index, np.where(flags, columns, -1), lists)


def _runs(meets: Flags) -> Flags:
    """Return where words of four taps side by side start, so that all of `meets` (..., w) lies in one; the fewest."""
    starts = np.zeros_like(meets)
    left = np.zeros(meets.shape[:-1], np.int8)  # taps that the word before still holds
    for tap in range(meets.shape[-1]):
        starts[..., tap] = meets[..., tap] & (left == 0)
        left = np.where(starts[..., tap], 3, np.maximum(left - 1, 0)).astype(np.int8)
    return starts


def _of_maps(index: Integers, fours: Flags, order: Integers) -> Integers:
    """Return the columns of words (list, group, down, across) that hold four maps."""
    item, group, down, across = index.T
    maps = order.reshape(-1, 4)[group]
    taps, width = fours.shape[3] * fours.shape[4], fours.shape[4]
    columns = maps * taps + (down * width + across)[:, None]
    return np.where(fours[item, group, :, down, across], columns, -1)


def _of_taps(index: Integers, united: Flags, order: Integers) -> Integers:
    """Return the columns of words (list, place, down, across) that hold four taps of one map."""
    item, place, down, across = index.T
    height, width = united.shape[2:]
    padded = np.pad(united, ((0, 0), (0, 0), (0, 0), (0, 3)))
    beside = across[:, None] + np.arange(4)
    met = padded[item[:, None], place[:, None], down[:, None], beside]
    return np.where(met, (order[place] * height * width + down * width)[:, None] + beside, -1)
