"""How an array reads what a layer keeps: runs of taps with one stride, a list for each group of output lanes.

The index of every pattern becomes such lists, which the hardware stores as entries. Lanes of a group share one, the
union of what they keep. Where every group reads everything, a counter makes the entries and nothing is stored. Of a
layer whose sums are split (`accel.split`) a tap is a window of words; where a step reads two maps (`accel.combined`)
an entry names both.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accel.array import FAR, VECTOR_TAPS, MacArray
from accel.places import pitch_of
from accel.program import Program
from accel.program_layers import MacLayer
from accel.split import Windows, splits, windows_of
from accel.walk import combined_of
from accel.window import Window

LEAST_READS = FAR  # of a list: where it ends is known two places further on, and what lies there is dropped
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Runs:
    """The lists of a layer, one after the other.

    Parameters
    ----------
    split : bool
        Whether a tap is a window of as many words as there are pixel lanes.
    taps : int array (taps, 3)
        How many rows, columns and words each tap lies from the place of its entry.
    steps : tuple of int arrays (steps, lanes)
        The lowered column of each step of each group; of each pixel lane in it where sums are split, or of both maps
        that it reads, (steps, 2), -1 for none.
    apart, pieces : int
        Where a counter makes the entries: so many of all taps, so many words apart. `pieces` is 0 where they are
        stored.
    shared : bool
        One list is stored, which all groups read.
    bases, offsets, strides, counts : int array (entries,)
        `counts` taps from the word `bases` of the input on, the first is tap `offsets`, in steps of `strides`.
    left : int array (entries,)
        Entries that follow in the list, `accel.array.FAR` for so many or more.
    others : int array (entries,)
        Whole turns of the banks, of those that lie between the map and the second one; 0 where there is none.
    reads : int
        Words that one tile of every group reads in all: its list, and what lies behind one of less than `LEAST_READS`.
    """

    split: bool
    taps: Integers
    steps: tuple[Integers, ...]
    apart: int = 0
    pieces: int = 0
    shared: bool = False
    bases: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    offsets: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    strides: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    counts: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    left: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    others: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    reads: int = 0

    @property
    def weights(self) -> int:
        """Weights of one output lane for one tile of every group: one a step, or one for each pixel lane."""
        return sum(map(self.unit, range(len(self.steps))))

    def unit(self, group: int) -> int:
        """Return the weights of one output lane for one tile of a group."""
        return self.steps[group].size if self.split else len(self.steps[group])


def steps_of(program: Program, layer: MacLayer, array: MacArray) -> tuple[Integers, ...]:
    """Return the lowered columns that each step of each group names, as `Runs.steps`."""
    if splits(program, layer, array):
        return windows_of(program, layer, array).steps()
    if found := combined_of(program, layer, array):
        return found.columns
    return tuple(columns[:, None] for columns in layer.lane_columns[array.output_lanes])


def runs_of(program: Program, layer: MacLayer, array: MacArray) -> Runs:
    """Return the lists of a layer on an array."""
    if splits(program, layer, array):
        return _split(windows_of(program, layer, array))
    steps, width = steps_of(program, layer, array), layer.shape[1] * layer.shape[2]
    counted = min(map(len, steps)) == width
    if layer.window:
        row_words = program.shapes[layer.inputs[0]][2]
        taps, apart = window_taps(layer.window, row_words), pitch_of(program, layer.inputs[0], array)
    else:  # a vector is one map whose words are its taps, as many at a time as one entry may name
        apart = min(width, VECTOR_TAPS)
        if counted:
            apart = max(divisor for divisor in range(1, apart + 1) if width % divisor == 0)
        taps = word_taps(np.arange(apart))
    if counted:
        return Runs(split=False, taps=taps, steps=steps, apart=apart, pieces=width // len(taps))
    owners = np.repeat(np.arange(len(steps)), [len(columns) for columns in steps])
    columns = np.concatenate(steps)
    maps, seconds = columns[:, 0] // len(taps), columns[:, -1] // len(taps)
    kept, reach = columns[:, 0] - maps * len(taps), width // len(taps) + 1
    starts, ends = _cut((owners * reach + maps) * reach + seconds, kept)
    counts = ends - starts + 1
    strides = np.where(counts > 1, kept[np.minimum(starts + 1, ends)] - kept[starts], 1)
    others = np.maximum(seconds - maps, 0)[starts] * apart // array.banks
    found = np.stack([maps[starts] * apart, kept[starts], strides, counts, others])
    return _stored(owners[starts], found, split=False, taps=taps, steps=steps)


def window_taps(window: Window, width: int) -> Integers:
    """Return the taps of a window on maps of rows of `width` words, row by row."""
    rows, columns = np.indices(window.kernel).reshape(2, -1)
    return np.stack([rows, columns, rows * width + columns], axis=1)


def word_taps(words: Integers) -> Integers:
    """Return taps that are words of a vector, which has no edge that they could lie beyond."""
    return np.stack([np.zeros_like(words), np.zeros_like(words), words], axis=1)


def _split(windows: Windows) -> Runs:
    """Return the windows as lists: those that touch make one entry, of `VECTOR_TAPS` at most."""
    steps = windows.steps()
    if windows.pieces:
        starts = windows.starts[0].reshape(windows.pieces, -1)
        apart = int(starts[1, 0]) if windows.pieces > 1 else 0
        return Runs(split=True, taps=word_taps(starts[0]), steps=steps, apart=apart, pieces=windows.pieces)
    owners = np.repeat(np.arange(len(steps)), [len(windows) for windows in steps])
    starts = np.concatenate(windows.starts)
    first = np.append(True, (starts[1:] != starts[:-1] + windows.lanes) | (owners[1:] != owners[:-1]))
    places = np.arange(starts.size)
    first |= (places - places[first][np.cumsum(first) - 1]) % VECTOR_TAPS == 0
    counts = np.diff(np.append(places[first], starts.size))
    found = np.stack([starts[first], np.zeros_like(counts), np.ones_like(counts), counts, np.zeros_like(counts)])
    taps = word_taps(np.arange(int(counts.max())) * windows.lanes)
    return _stored(owners[first], found, split=True, taps=taps, steps=steps)


def _stored(owners: Integers, found: Integers, *, split: bool, taps: Integers, steps: tuple[Integers, ...]) -> Runs:
    """Return lists whose entries are `found` (5, entries), each of the group that `owners` says, in order."""
    groups = len(steps)
    lengths = np.bincount(owners, minlength=groups)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(owners.size) - 1
    entries = np.stack([*found, np.minimum(left, FAR)])
    shared = bool((lengths == lengths[0]).all()) and _same(entries.reshape(6, groups, -1))
    names = ("bases", "offsets", "strides", "counts", "others", "left")
    stored = dict(zip(names, entries[:, : lengths[0]] if shared else entries, strict=True))
    reads = int(np.maximum(lengths, LEAST_READS).sum())
    return Runs(split=split, taps=taps, steps=steps, shared=shared, reads=reads, **stored)


def _cut(segments: Integers, kept: Integers) -> tuple[Integers, Integers]:
    """Return the first and last place of each run: as long as steps are equal, from the left, within a segment."""
    lasts = np.append(segments[1:] != segments[:-1], True)
    heads = np.append(True, lasts[:-1])
    steps = kept[1:] - kept[:-1]
    breaks = lasts.copy()
    breaks[1:-1] |= steps[1:] != steps[:-1]  # a run that began before ends here at the latest
    places, passed = np.flatnonzero(breaks), np.cumsum(breaks)
    first = np.flatnonzero(heads)
    starts, ends = [], []
    while first.size:  # the next run of every segment at once
        last = np.where(lasts[first], first, places[np.minimum(passed[first], places.size - 1)])
        starts.append(first)
        ends.append(last)
        first = last[~lasts[last]] + 1
    return np.sort(np.concatenate(starts)), np.sort(np.concatenate(ends))


def _same(lists: Integers) -> bool:
    """Return whether lists of one length (fields, groups, entries) are equal."""
    return bool((lists == lists[:, :1]).all())
