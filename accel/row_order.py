"""Orders of rows: which stand side by side, so that every run of neighbours shares as much as it can.

Output maps may stand in any order if the layers that read them are reordered with them. From a first order pairs of
rows of different runs are swapped as long as that gains something; then a few are moved, and the climb begins again
from there. All of it is ours; nothing is drawn, so that the same rows have the same order.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accel.map_orders import Order

Floats = NDArray[np.float64]
Value = Callable[[Floats, Floats], Floats]

CLIMB_WORK, KICK_WORK = 300_000_000, 30_000_000  # rows x rows x columns that a climb, and all after kicks, look at
MOST_KICKS = 60
GOLDEN = 0.6180339887498949  # its multiples, less what is whole, spread as evenly as can be


def lane_order(kept: NDArray[np.bool_], lanes: int, weights: Floats | None = None) -> Order:
    """Return an order in which groups of `lanes` rows read few columns in all: fewer than as given, or the given one.

    A climb begins with the rows sorted by how much they read, another with the rows as they are.

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
    >>> sorted(sorted(group) for group in lane_order(kept, 2).reshape(2, 2).tolist())
    [[0, 2], [1, 3]]
    """
    given = np.arange(len(kept))
    if lanes == 1 or len(kept) <= lanes or (kept == kept[:1]).all():
        return given
    if kept.sum(axis=0, dtype=np.int32).max() <= 1:  # no two rows share anything, as of a depthwise convolution
        return given
    columns, costs = _alike(kept, np.ones(kept.shape[1]) if weights is None else weights)
    loads = np.array([costs[row].sum() for row in columns])

    def spared(beside: Floats, rows: Floats) -> Floats:  # minus the columns that any of them reads
        there = (beside > 0) * costs
        return np.asarray(there @ rows.T - there.sum(axis=1, keepdims=True) - rows @ costs)

    def cost(order: Order) -> float:
        return union_columns(columns[order], lanes, costs)

    starts = [np.argsort(-loads, kind="stable"), given]
    if columns.size * len(columns) > CLIMB_WORK:
        return min([given, *starts], key=cost)
    rows = columns.astype(np.float64)
    best = min([given, *(climbed(rows, start, lanes, spared)[0] for start in starts)], key=cost)
    return kicked(rows, best, lanes, spared, cost)


def union_columns(kept: NDArray[np.bool_], lanes: int, weights: Floats | None = None) -> float:
    """Return what it costs that each group of `lanes` rows reads every column that one of its rows keeps."""
    unions = np.logical_or.reduceat(kept, np.arange(0, len(kept), lanes), axis=0)
    return float((unions.sum(axis=0) * (1.0 if weights is None else weights)).sum())


def kicked(rows: Floats, order: Order, size: int, value: Value, cost: Callable[[Order], float]) -> Order:
    """Return the order of the least `cost` that climbs end in which begin near the best so far: `climbed` has the rest.

    An eighth of the rows is moved each time, to where another of them was.
    """
    best, least, left = order, cost(order), KICK_WORK
    for kick in range(1, MOST_KICKS + 1):
        places = np.argsort(np.arange(len(rows)) * (kick * GOLDEN) % 1)[: max(2, len(rows) // 8)]
        start = best.copy()
        start[places] = start[np.roll(places, 1)]
        end, work = climbed(rows, start, size, value, left)
        left -= work
        if cost(end) < least:
            best, least = end, cost(end)
    return best


def climbed(rows: Floats, order: Order, size: int, value: Value, most: int = CLIMB_WORK) -> tuple[Order, int]:
    """Return `order` after swaps of two rows, of which each made the runs worth more in all; and the work that it took.

    Parameters
    ----------
    rows : float array (M, C)
    order : int array (M,)
    size : int
        Rows of a run; the last one may have fewer.
    value : function
        From the sums (P, C) of the other rows of the run at each of P places, and all rows (M, C), to what the run of
        each place is worth with each of the rows there, (P, M).
    most : int
        Places x rows x columns to look at.
    """
    order, work = order.copy(), 0
    places = np.arange(len(rows))
    runs, starts = places // size, np.arange(0, len(rows), size)
    worth, changed = np.zeros((len(rows), len(rows))), places
    while work + changed.size * rows.size <= most:
        work += changed.size * rows.size
        placed = rows[order]
        beside = np.add.reduceat(placed, starts, axis=0)[runs[changed]] - placed[changed]
        worth[changed] = value(beside, rows)
        with_any = worth[:, order]
        now = with_any.diagonal()
        gains = with_any + with_any.T - now[:, None] - now
        gains[runs[:, None] >= runs] = 0  # of two places in one run, and of each pair once
        swaps = _apart(gains, runs)
        if not swaps:
            break
        for pair in swaps:
            order[pair] = order[pair[::-1]]
        changed = places[np.isin(runs, runs[np.array(swaps)])]
    return order, work


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
    packed, which = np.unique(np.packbits(kept, axis=0), axis=1, return_inverse=True)
    columns = np.unpackbits(packed, axis=0, count=len(kept)).astype(bool)
    return columns, np.bincount(which.ravel(), weights).astype(np.float64)
