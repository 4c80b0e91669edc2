"""Orders of rows: which stand side by side, so that every run of neighbours shares as much as it can.

Output maps may stand in any order if the layers that read them are reordered with them. From a first order pairs of
rows of different runs are swapped as long as that gains something: a hill climb, which is ours.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Order = NDArray[np.intp]
Floats = NDArray[np.float64]
Value = Callable[[Floats, Floats], Floats]

MOST_WORK = 1e9  # rows x rows x columns that one climb looks at: a second or so


def lane_order(kept: NDArray[np.bool_], lanes: int, weights: Floats | None = None) -> Order:
    """Return an order in which groups of `lanes` rows read few columns in all: fewer than as given, or the given one.

    The climb begins with the rows sorted by how much they read, and with the rows as they are; the better end is taken.

    Parameters
    ----------
    kept : bool array (rows, columns)
    lanes : int
        Rows of a group; the last one may have fewer.
    weights : float array (columns,), optional
        What it costs to read each column; 1 by default.

    Examples
    --------
    >>> kept = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]], bool)
    >>> lane_order(kept, 2).tolist()
    [0, 2, 1, 3]
    """
    given = np.arange(len(kept))
    if lanes == 1 or len(kept) <= lanes or (kept == kept[:1]).all():
        return given
    columns, costs = _alike(kept, np.ones(kept.shape[1]) if weights is None else weights)
    loads = np.array([costs[row].sum() for row in columns])

    def spared(beside: Floats, rows: Floats) -> Floats:  # minus the columns that any of them reads
        there = (beside > 0) * costs
        return np.asarray(there @ rows.T - there.sum(axis=1, keepdims=True) - rows @ costs)

    ends = [np.argsort(-loads, kind="stable"), given]
    if columns.size * len(columns) <= MOST_WORK:
        rows = columns.astype(np.float64)
        ends = [climbed(rows, start, lanes, spared) for start in ends]
    return min([given, *ends], key=lambda order: union_columns(kept[order], lanes, weights))


def union_columns(kept: NDArray[np.bool_], lanes: int, weights: Floats | None = None) -> float:
    """Return what it costs that each group of `lanes` rows reads every column that one of its rows keeps."""
    unions = np.logical_or.reduceat(kept, np.arange(0, len(kept), lanes), axis=0)
    return float((unions.sum(axis=0) * (1.0 if weights is None else weights)).sum())


def climbed(rows: Floats, order: Order, size: int, value: Value) -> Order:
    """Return `order` after swaps of two rows, of which each made the runs of `size` rows worth more in all.

    Parameters
    ----------
    rows : float array (M, C)
    order : int array (M,)
    size : int
        Rows of a run; the last one may have fewer.
    value : function
        From the sums (M, C) of the other rows of the run at each place, and the rows (M, C) in their order, to what
        the run of each place is worth with each of the rows there, (M, M).
    """
    order = order.copy()
    runs, starts = np.arange(len(rows)) // size, np.arange(0, len(rows), size)
    for _ in range(int(MOST_WORK // (rows.size * len(rows)))):
        placed = rows[order]
        worth = value(np.add.reduceat(placed, starts, axis=0)[runs] - placed, placed)
        now = worth.diagonal()
        gains = worth + worth.T - now[:, None] - now
        gains[runs[:, None] >= runs] = 0  # of two places in one run, and of each pair once
        swaps = _apart(gains, runs)
        if not swaps:
            break
        for pair in swaps:
            order[pair] = order[pair[::-1]]
    return order


def _apart(gains: Floats, runs: NDArray[np.intp]) -> list[list[int]]:
    """Return the pairs of places whose swaps gain most, no two of them in one run, so that their gains add up."""
    least = 1e-9 * max(1.0, float(np.abs(gains).max()))
    better = np.flatnonzero(gains > least)
    best = better[np.argsort(-gains.ravel()[better], kind="stable")[: 4 * len(runs)]]
    found: list[list[int]] = []
    busy: set[int] = set()
    for pair in np.stack(np.unravel_index(best, gains.shape), axis=1).tolist():
        touched = {int(runs[place]) for place in pair}
        if not busy & touched:
            found.append(pair)
            busy |= touched
    return found


def _alike(kept: NDArray[np.bool_], weights: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return the columns that differ, and what those that are equal cost together."""
    columns, which = np.unique(np.packbits(kept, axis=0), axis=1, return_inverse=True)
    return np.unpackbits(columns, axis=0, count=len(kept)).astype(bool), np.bincount(which.ravel(), weights)
