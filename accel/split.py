"""How pixel lanes share the sum of a layer of one pixel: a step reads a window of neighbouring words, one a lane.

Such a layer would keep one pixel lane busy. Instead lane x takes the word `start + x` of the input, every multiplier
gets a weight of its own, and the accumulators of a row are added before they drain. Every word of the input meets one
column of the weights, so that windows may begin anywhere: a group of output lanes reads the fewest windows that hold
every word which one of its lanes keeps, from left to right. What else lies in a window meets zeros, and so does what an
earlier window has had: the last one ends with the input instead of reading beyond it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.array import VECTOR_TAPS, MacArray
from accel.program import Program
from accel.program_layers import AvgPoolLayer, MacLayer, ProgramLayer
from accel.window import Window

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Windows:
    """The windows of a layer.

    Parameters
    ----------
    starts : tuple of int arrays (steps,)
        Where those of each group of output lanes begin, ascending: words from the input's first.
    pieces : int
        Where every group reads all words: of so many pieces of one length each. Otherwise 0.
    columns : int array (words,)
        The lowered column that each word of the input meets.
    lanes : int
        Words of a window.
    """

    starts: tuple[Integers, ...]
    pieces: int
    columns: Integers
    lanes: int

    def steps(self) -> tuple[Integers, ...]:
        """Return the column of each pixel lane in each step of each group (steps, lanes); -1 where there is none."""
        padded = np.append(self.columns, np.full(self.lanes, -1))
        found = []
        for starts in self.starts:
            words = starts[:, None] + np.arange(self.lanes)
            new = words >= np.append(0, starts[:-1] + self.lanes)[:, None]
            found.append(np.where(new, padded[words], -1))
        return tuple(found)


def splits(program: Program, layer: ProgramLayer, array: MacArray) -> bool:
    """Return whether the sums of a layer are split: it gives one pixel, and its window meets every word of its input.

    Any fully connected layer does, a convolution whose kernel covers its map, and the average of a whole map. Where a
    kernel is smaller than the map, its stride passes by what it does not meet, words of one window are far apart: such
    a layer runs as others do.
    """
    if not (
        array.splits and isinstance(layer, MacLayer | AvgPoolLayer) and math.prod(program.shapes[layer.name][1:]) == 1
    ):
        return False
    if layer.window is None:
        return True
    _, height, width = program.shapes[layer.inputs[0]]
    top, left = layer.window.padding[:2]
    if isinstance(layer, AvgPoolLayer):
        return layer.window == Window((height, width), layer.window.stride)
    return layer.window.kernel[0] >= top + height and layer.window.kernel[1] >= left + width


def average_windows(words: int, lanes: int) -> tuple[Integers, NDArray[np.bool_]]:
    """Return where the windows of a whole map's average begin, and which of their words are new (steps, lanes)."""
    new = np.arange(0, words, lanes)
    starts = np.minimum(new, max(0, words - lanes))
    found = starts[:, None] + np.arange(lanes)
    return starts, (found >= new[:, None]) & (found < words)


def windows_of(program: Program, layer: MacLayer, array: MacArray) -> Windows:
    """Return the windows of a layer that `splits`."""
    columns, groups = words_of(program, layer), layer.lane_columns[array.output_lanes]
    lanes, width = array.pixel_lanes, layer.shape[1] * layer.shape[2]
    if min(group.size for group in groups) == width:
        starts, pieces = _counted(columns.size, lanes)
        return Windows(starts=(starts,) * len(groups), pieces=pieces, columns=columns, lanes=lanes)
    kept = np.zeros((len(groups), width), bool)
    kept[np.repeat(np.arange(len(groups)), [group.size for group in groups]), np.concatenate(groups)] = True
    return Windows(starts=covering(kept[:, columns], lanes), pieces=0, columns=columns, lanes=lanes)


def words_of(program: Program, layer: MacLayer) -> Integers:
    """Return the column that each word of the input of a split sum meets; columns in the padding meet none."""
    columns = np.arange(layer.shape[1] * layer.shape[2], dtype=np.int64)
    if layer.window is None:
        return columns
    _, height, width = program.shapes[layer.inputs[0]]
    top, left = layer.window.padding[:2]
    maps = columns.reshape(-1, *layer.window.kernel)
    return maps[:, top : top + height, left : left + width].ravel()


def _counted(words: int, lanes: int) -> tuple[Integers, int]:
    """Return windows over all words, which a counter makes: pieces of one length, of `VECTOR_TAPS` steps or about.

    The last piece ends with the last word, and the last window of a piece with it.
    """
    pieces = math.ceil(words / lanes / VECTOR_TAPS)
    apart = words // pieces
    length = words - (pieces - 1) * apart
    inside = np.minimum(np.arange(0, length, lanes), max(0, length - lanes))
    return (np.arange(pieces)[:, None] * apart + inside).ravel(), pieces


def covering(kept: NDArray[np.bool_], lanes: int) -> tuple[Integers, ...]:
    """Return where the fewest windows that hold the kept words of each row (groups, words) begin; one for no word."""
    groups, words = kept.shape
    places = np.where(kept, np.arange(words), words)
    following = np.full((groups, words + lanes), words)  # the next kept word from each on
    following[:, :words] = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1]
    last, at = max(0, words - lanes), np.arange(groups)
    starts: list[list[int]] = [[] for _ in range(groups)]
    word = following[:, 0]
    while at.size:  # the next window of every group at once
        start = np.minimum(word, last)
        for group, place in zip(at.tolist(), start.tolist(), strict=True):
            starts[group].append(place)
        word = following[at, start + lanes]
        at, word = at[word < words], word[word < words]
    return tuple(np.array(found, np.int64) for found in starts)
