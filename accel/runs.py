"""How an array reads what a layer keeps: runs of taps of one map with one stride, a list for each group of lanes.

The index of every pattern becomes such lists, which the hardware stores as entries. Lanes of a group share one, the
union of what they keep. Where every group reads everything, a counter makes the entries and nothing is stored.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.array import FAR, VECTOR_TAPS
from accel.program_layers import MacLayer

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Runs:
    """The lists of a layer, one after the other.

    Parameters
    ----------
    taps : int
        Of one map: a window's, or how many words of a vector make one.
    counted : bool
        Nothing is stored, all groups read every tap of every map.
    shared : bool
        One list is stored, which all groups read.
    maps, offsets, strides, counts : int array (entries,)
        `counts` taps of a map, from `offsets` in steps of `strides`.
    left : int array (entries,)
        Entries that follow in the list, `accel.array.FAR` for so many or more.
    reads, steps : int
        Entries that one tile of every group reads in all, and the columns that these name: a weight word each.
    """

    taps: int
    counted: bool
    shared: bool
    maps: Integers
    offsets: Integers
    strides: Integers
    counts: Integers
    left: Integers
    reads: int
    steps: int


def runs_of(layer: MacLayer, lanes: int) -> Runs:
    """Return the lists of a layer for groups of `lanes` outputs."""
    groups, width = layer.lane_columns[lanes], layer.shape[1] * layer.shape[2]
    sizes = [columns.size for columns in groups]
    counted = min(sizes) == width
    taps = layer.shape[2]
    if layer.window is None:  # a vector is one map whose words are its taps, as many at a time as one entry may name
        taps = min(width, VECTOR_TAPS)
        if counted:
            taps = max(divisor for divisor in range(1, taps + 1) if width % divisor == 0)
    if counted:
        nothing = np.zeros((5, 0), np.int64)
        return _runs(taps, nothing, reads=0, steps=sum(sizes), counted=True)
    owners = np.repeat(np.arange(len(groups)), sizes)
    columns = np.concatenate(groups)
    maps = columns // taps
    kept = columns - maps * taps
    starts, ends = _cut(owners * (width // taps + 1) + maps, kept)
    counts = ends - starts + 1
    strides = np.where(counts > 1, kept[np.minimum(starts + 1, ends)] - kept[starts], 1)
    lengths = np.bincount(owners[starts], minlength=len(groups))
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(starts.size) - 1
    found = np.stack([maps[starts], kept[starts], strides, counts, np.minimum(left, FAR)])
    shared = bool((lengths == lengths[0]).all()) and _same(found.reshape(5, len(groups), -1))
    stored = found[:, : lengths[0]] if shared else found
    return _runs(taps, stored, reads=starts.size, steps=sum(sizes), shared=shared)


def _runs(taps: int, found: Integers, *, reads: int, steps: int, counted: bool = False, shared: bool = False) -> Runs:
    maps, offsets, strides, counts, left = found
    fields = {"maps": maps, "offsets": offsets, "strides": strides, "counts": counts, "left": left}
    return Runs(taps=taps, counted=counted, shared=shared, reads=reads, steps=steps, **fields)


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
