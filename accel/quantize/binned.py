"""Values too many to sort, in bins of equal width: which of them a search for a step must look at one by one.

A bin knows how many values are in it and their sum, which is all that the squared error of codes depends on while all
its values have one code. A search that takes every bin for its mean comes near the best step; between two steps near it
only the bins that the border of a code crosses have to be taken apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError

Floats = NDArray[np.float64]
BINS = 1 << 20  # of each sign
_AT_ONCE = 1 << 22  # values that are put into bins
_ROOM = 1 - 1e-6  # so that rounding moves no value beyond the last bin


@dataclass(frozen=True, eq=False)
class Bins:
    """The bins of one sign that hold more than zeros, in rising order.

    Parameters
    ----------
    places : int array (n,)
        Of each among all bins of both signs.
    counts, sums : float array (n,)
        Of the magnitudes in it.
    edges : float array (n, 2)
        That these lie between, with room for what rounding moves across a border.
    """

    places: NDArray[np.int64]
    counts: Floats
    sums: Floats
    edges: Floats


@dataclass(frozen=True, eq=False)
class Binned:
    """Values (n,) of both signs, finite and not all zero, and the `scale` that turns one into the place of its bin."""

    values: NDArray[np.floating]
    scale: float
    positive: Bins
    negative: Bins

    @classmethod
    def of(cls, values: NDArray[np.floating]) -> "Binned":
        """Return values (n,) in bins.

        Raises
        ------
        EspalierError
            A value is not finite.
        """
        largest = max(float(values.max()), -float(values.min()))
        if not np.isfinite(largest):
            raise EspalierError("cannot find a step for values that are not finite")
        scale = float(values.dtype.type(BINS / largest * _ROOM))
        counts, sums = np.zeros(2 * BINS, np.int64), np.zeros(2 * BINS)
        for part, places in _parts(values, scale):
            counts += np.bincount(places, minlength=2 * BINS)
            sums += np.bincount(places, part, minlength=2 * BINS)
        up, down = np.arange(BINS, 2 * BINS), np.arange(BINS - 1, -1, -1)
        return cls(values, scale, _bins(up, counts, sums, scale), _bins(down, counts, -sums, scale))

    def apart(self, places: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return the values of the bins at these places."""
        wanted = np.zeros(2 * BINS, bool)
        wanted[places] = True
        return np.concatenate([part[wanted[found]] for part, found in _parts(self.values, self.scale)])


def _parts(values: NDArray[np.floating], scale: float) -> Iterator[tuple[NDArray[np.floating], NDArray[np.int64]]]:
    """Yield some values at a time, and the places of their bins, which are overwritten then."""
    scaled, found = (np.empty(min(values.size, _AT_ONCE), dtype) for dtype in (values.dtype, np.int64))
    for first in range(0, values.size, _AT_ONCE):
        part = values[first : first + _AT_ONCE]
        down, places = scaled[: part.size], found[: part.size]
        np.floor(np.multiply(part, values.dtype.type(scale), out=down), out=down)
        places[:] = down  # whole numbers
        places += BINS
        yield part, places


def _bins(order: NDArray[np.int64], counts: NDArray[np.int64], sums: Floats, scale: float) -> Bins:
    """Return the bins of one sign from counts and sums of all, `order` being their places from zero on."""
    there = np.flatnonzero(sums[order] > 0)
    places = order[there]
    edges = np.maximum(there[:, None] + np.array([-1, 2]), 0) / scale
    return Bins(places, counts[places].astype(np.float64), sums[places], edges)
