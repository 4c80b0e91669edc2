"""What the output lanes of an array read: the columns that any lane of a group keeps."""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from accel.pattern import Mask, keeps_everything


def columns_of(kept: Mask, lanes: int) -> tuple[NDArray[np.int64], ...]:
    """Return the lowered columns that each group of `lanes` outputs of a mask (M, C, T) reads, ascending.

    An array issues one step for each; a group that keeps nothing has one column, because a tile has a step.

    >>> columns_of(np.array([[[1, 0, 0]], [[0, 0, 1]], [[0, 0, 0]]], bool), 2)
    (array([0, 2]), array([0]))
    """
    outputs, width = len(kept), math.prod(kept.shape[1:])
    if keeps_everything(kept):
        return (np.arange(width),) * math.ceil(outputs / lanes)
    filled = np.zeros((math.ceil(outputs / lanes) * lanes, width), bool)
    filled[:outputs] = kept.reshape(outputs, width)
    unions = np.any(filled.reshape(-1, lanes, width), axis=1)
    unions[~np.any(unions, axis=1), 0] = True
    places = np.flatnonzero(unions)
    ends = [0, *np.cumsum(np.count_nonzero(unions, axis=1)).tolist()]
    return tuple(places[start:end] - group * width for group, (start, end) in enumerate(pairwise(ends)))


class LaneColumns(dict[int, tuple[NDArray[np.int64], ...]]):
    """The columns of one mask (`columns_of`) by the number of lanes, each found when it is first asked for."""

    def __init__(self, kept: Mask) -> None:
        super().__init__()
        self._kept = kept

    def __missing__(self, lanes: int) -> tuple[NDArray[np.int64], ...]:
        self[lanes] = columns_of(self._kept, lanes)
        return self[lanes]
