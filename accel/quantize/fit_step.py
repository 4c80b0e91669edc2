"""Step sizes of uniform quantisers: by the least squared error, or by the largest values.

With the codes z held, the best step is ``sum(w z) / sum(z z)`` and the error that is left ``sum(w w) - sum(w z)**2 /
sum(z z)``. Shin, Hwang and Sung (arXiv 1512.01322) alternate between codes and step, which ends in a local minimum;
where values are few there are many. The codes change only at the steps ``w / (k + 1/2)``, so that a sweep over these
sees every choice of codes that any step makes, and the best is the global minimum.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.errors import EspalierError
from accel.quantize.binned import Binned, Bins

Floats = NDArray[np.float64]
MOST_CHANGES = 1 << 18  # of codes in one sweep: more of them, and it is made around the best of a grid of steps
GRID = 32
MOST_TURNS = 10_000  # of an alternation, far more than any takes: a guard against rounding
MOST_SORTED = 1 << 22  # values; of more of them bins are searched first
FEWEST_CHANGES = 1 << 21  # of codes that such a search ends with: bins are too wide to tell steps that are closer
BINS_OF_CODE = 64  # at least, that the values of one code take
NEAR = 2  # grid steps on each side of the best


@dataclass(frozen=True, eq=False)
class Magnitudes:
    """The values of one sign in rising order, each once or as often as it occurs, and how many each stands for.

    Parameters
    ----------
    values, counts : float array (n,)
    """

    values: Floats
    counts: Floats

    @classmethod
    def of(cls, values: NDArray[np.floating]) -> "Magnitudes":
        """Return positive values in rising order, any number of times each."""
        first = np.flatnonzero(np.append(values[:1] > 0, values[1:] != values[:-1]))
        return cls(values[first].astype(np.float64), np.diff(first, append=values.size).astype(np.float64))

    @cached_property
    def products(self) -> Floats:
        """Each value times how often it occurs."""
        return self.counts * self.values

    @cached_property
    def counts_above(self) -> Floats:
        """How many values there are from each index on, and none beyond the last."""
        return _sums_to(self.counts[::-1])[::-1]

    @cached_property
    def sums_above(self) -> Floats:
        """The sum of the values from each index on."""
        return _sums_to(self.products[::-1])[::-1]


def _sums_to(values: Floats) -> Floats:
    """Return the sum of the values before each index, and of all."""
    sums = np.zeros(values.size + 1)
    np.cumsum(values, out=sums[1:])
    return sums


@dataclass(frozen=True, eq=False)
class Sorted:
    """Values as a search for their step wants them: sorted once, for all word lengths.

    Parameters
    ----------
    positive, negative : Magnitudes
    """

    positive: Magnitudes
    negative: Magnitudes

    @classmethod
    def of(cls, values: ArrayLike) -> "Sorted":
        """Return values of any shape.

        Raises
        ------
        EspalierError
            A value is not finite.
        """
        array = np.asarray(values).ravel()
        if array.dtype != np.float32:  # which sort twice as fast, and each of them is one of these
            array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise EspalierError("cannot find a step for values that are not finite")
        array = np.sort(array)
        below, above = np.searchsorted(array, 0, "left"), np.searchsorted(array, 0, "right")
        return cls(Magnitudes.of(array[above:]), Magnitudes.of(-array[:below][::-1]))


def l2_step(values: ArrayLike | Sorted, min_code: int, max_code: int) -> float:
    """Return the step that minimises ``sum((step * code - value)**2)`` with codes `min_code` .. `max_code`.

    Parameters
    ----------
    values : array_like of float, any shape, or Sorted
    min_code, max_code : int
        The range of the codes; zero lies in it.

    Returns
    -------
    float
        1.0 if no value asks for a step (all are zero, or of a sign that has no code).

    Raises
    ------
    EspalierError
        A value is not finite.
    """
    near = None if isinstance(values, Sorted) else _near_best(np.asarray(values), min_code, max_code)
    if near is not None:
        sides, low, high = near
    elif sides := _sides(values, min_code, max_code):
        low, high = _range_of_steps(sides)
    else:
        return 1.0
    return _best_of_sweep(sides, *_narrowed(sides, low, high, MOST_CHANGES))


def power_of_two_step(values: ArrayLike, min_code: int, max_code: int) -> float:
    """Return the power of two that minimises the same error as `l2_step`; the smallest if several do."""
    sides = _sides(values, min_code, max_code)
    if not sides:
        return 1.0
    low, high = (math.log2(step) for step in _range_of_steps(sides))
    candidates = [2.0**k for k in range(math.floor(low), math.ceil(high) + 1)]
    return min(candidates, key=lambda step: quantization_error(values, step, min_code, max_code))


def alternating_step(values: ArrayLike, min_code: int, max_code: int) -> float:
    """Return the step at which nearest codes and the best step for them settle, which `l2_step` may beat.

    From the smallest step that clips nothing on, codes z and step ``sum(w z) / sum(z z)`` take turns. Each turn lowers
    the error, so that it ends, in a local minimum; the lower code is the nearest in the middle between two.

    Source: Shin, Hwang and Sung, arXiv 1512.01322; where to start is ours.
    """
    sides = _sides(values, min_code, max_code)
    if not sides:
        return 1.0
    step, before = clip_step(values, min_code, max_code), 0.0
    for _ in range(MOST_TURNS):
        if step == before:
            break
        products, squares = np.sum([side.sums(np.array([step])) for side in sides], axis=0)[:, 0]
        step, before = float(products / squares), step
    return step


def clip_step(values: ArrayLike, min_code: int, max_code: int, percentile: float = 100.0) -> float:
    """Return the step whose last code is the given percentile (0..100) of the magnitudes; nothing is clipped at 100.

    Between two magnitudes it is interpolated. Values of a sign that has no code count as zeros; where the percentile
    is zero, the smallest magnitude that is not is taken.

    Raises
    ------
    EspalierError
        A value is not finite.
    """
    if not _sides(values, min_code, max_code):
        return 1.0
    array = np.asarray(values, np.float64).ravel()
    needed = np.maximum(*(array / code if code else np.zeros_like(array) for code in (max_code, min_code)))
    return float(np.percentile(needed, percentile)) or float(needed[needed > 0].min())


def to_power(step: float, up: bool) -> float:
    """Return the nearest power of two by its logarithm, or the next one `up`; a power of two is its own.

    >>> to_power(5.0, up=False), to_power(6.0, up=False), to_power(4.5, up=True)
    (4.0, 8.0, 8.0)
    """
    fraction, exponent = math.frexp(step)  # 1/2 <= fraction < 1
    return math.ldexp(1.0, exponent - (fraction == 0.5 if up else fraction < math.sqrt(0.5)))


def quantization_error(values: ArrayLike, step: float, min_code: int, max_code: int) -> float:
    """Return ``sum((step * code - value)**2)`` with every value at its nearest code."""
    array = np.asarray(values, np.float64)
    codes = np.clip(np.rint(array / step), min_code, max_code)
    return float(((codes * step - array) ** 2).sum())


class _Side:
    """The values of one sign, as magnitudes, and how often each occurs; their codes are 0 .. `highest`.

    `fixed` are sum(w z) and sum(z z) of further ones, whose codes no step that is looked at changes.
    """

    def __init__(self, magnitudes: Magnitudes, highest: int, fixed: tuple[float, float] = (0.0, 0.0)) -> None:
        self.fixed = fixed
        self.values, self.counts, self.products = magnitudes.values, magnitudes.counts, magnitudes.products
        self.counts_above, self.sums_above = magnitudes.counts_above, magnitudes.sums_above
        self.highest = highest
        self.odd = 2.0 * np.arange(highest) + 1  # what a code's square gains when the code k becomes k + 1

    def codes(self, step: float) -> Floats:
        """Return the nearest code of every value; the lower one in the middle between two."""
        return _codes(self.values, step, self.highest)

    def changes(self, low: float, high: float) -> int:
        """Return how often a value changes its code while the step goes from `high` to `low`."""
        if self.values.size < self.highest:
            return int((self.codes(low) - self.codes(high)).sum())
        borders = np.searchsorted(self.values, self.odd * (np.array([[low], [high]]) / 2), side="right")
        return int((borders[1] - borders[0]).sum())

    def gains(self, steps: Floats) -> Floats:
        """Return how much less than with all codes zero the squared error of each step is."""
        products, squares = self.sums(steps)
        return steps * (2 * products - steps * squares)

    def sums(self, steps: Floats) -> Floats:
        """Return sum(w z) and sum(z z), (2, steps), with the codes z of each: by value or code, whichever are fewer."""
        if self.values.size < self.highest:
            each = [(self.products @ codes, self.counts @ (codes * codes)) for codes in map(self.codes, steps)]
            return np.array(self.fixed)[:, None] + np.transpose(each)
        above = np.searchsorted(self.values, self.odd * (steps[:, None] / 2), side="right")  # beyond (k + 1/2) steps
        sums = self.sums_above[above].sum(axis=1), self.counts_above[above] @ self.odd
        return np.array(self.fixed)[:, None] + sums


def _codes(values: Floats, step: float, highest: int) -> Floats:
    """Return whole numbers, in one array from end to end: there are millions of them."""
    codes = values / step
    codes -= 0.5
    return np.minimum(np.ceil(codes, out=codes), highest, out=codes)


def _sides(values: ArrayLike | Sorted, min_code: int, max_code: int) -> list[_Side]:
    found = values if isinstance(values, Sorted) else Sorted.of(values)
    halves = (found.positive, max_code), (found.negative, -min_code)
    return [_Side(magnitudes, highest) for magnitudes, highest in halves if magnitudes.values.size and highest]


def _range_of_steps(sides: list[_Side]) -> tuple[float, float]:
    """Return steps that the best one lies between.

    It is ``sum(w z) / sum(z z)`` of integers z, so at most the largest w. A smaller step is better only while the
    largest code stands for no less than the mean of w: larger values have larger codes, so that sum(w z) >= mean(w) *
    sum(z) (Chebyshev), and sum(z z) <= highest * sum(z).
    """
    lows = [side.sums_above[0] / side.counts_above[0] / side.highest for side in sides]
    return float(min(lows)), float(max(side.values[-1] for side in sides))


def _narrowed(sides: list[_Side], low: float, high: float, most: int) -> tuple[float, float]:
    """Return steps closer to each other around the best: codes change no more than `most` times between them."""
    while sum(side.changes(low, high) for side in sides) > most and high > low * (1 + 1e-9):
        grid = np.geomspace(low, high, GRID)
        best = int(np.argmax(sum(side.gains(grid) for side in sides)))
        low, high = grid[max(best - NEAR, 0)], grid[min(best + NEAR, GRID - 1)]
    return low, high


def _near_best(values: NDArray[Any], min_code: int, max_code: int) -> tuple[list[_Side], float, float] | None:
    """Return values too many to sort as a search wants them between two steps around the best one, and these steps.

    None where they are few, all zero, or so different that bins are too wide for their codes.
    """
    if values.size <= MOST_SORTED or values.dtype.kind != "f" or not values.any():
        return None
    binned = Binned.of(values.ravel())
    halves = [(bins, code) for bins, code in ((binned.positive, max_code), (binned.negative, -min_code)) if code]
    halves = [(bins, code) for bins, code in halves if bins.places.size]
    means = [_Side(Magnitudes(bins.sums / bins.counts, bins.counts), code) for bins, code in halves]
    if not means:
        return None
    low, high = _range_of_steps(means)
    if low * binned.scale < BINS_OF_CODE:
        return None
    each = sum(float(side.counts.sum()) for side in means) / sum(side.values.size for side in means)  # values of a bin
    low, high = _narrowed(means, low, high, int(FEWEST_CHANGES / each))
    return _taken_apart(binned, halves, low, high), low, high


def _taken_apart(binned: Binned, halves: list[tuple[Bins, int]], low: float, high: float) -> list[_Side]:
    """Return the values of each sign: those one by one whose codes may change between two steps."""
    changing, fixed = [], []
    for bins, highest in halves:
        fewest, most = (_codes(edge, step, highest) for edge, step in zip(bins.edges.T, (high, low), strict=True))
        same = fewest == most
        codes = fewest[same]
        changing.append(bins.places[~same])
        fixed.append((float(bins.sums[same] @ codes), float(bins.counts[same] @ codes**2)))
    apart = np.sort(binned.apart(np.concatenate(changing))).astype(np.float64)
    signs = {True: apart[apart > 0], False: -apart[apart < 0][::-1]}
    return [
        _Side(Magnitudes(values, np.ones_like(values)), highest, sums)
        for (bins, highest), sums in zip(halves, fixed, strict=True)
        for values in [signs[bins is binned.positive]]
    ]


def _best_of_sweep(sides: list[_Side], low: float, high: float) -> float:
    """Return the best step over all codes that the steps from `high` down to `low` make."""
    products, squares, changes = 0.0, 0.0, []
    for side in sides:
        codes = side.codes(high)
        products += side.fixed[0] + float(side.products @ codes)
        squares += side.fixed[1] + float(side.counts @ (codes * codes))
        last = side.codes(low)
        changing = np.flatnonzero(last != codes)
        times = (last[changing] - codes[changing]).astype(np.int64)
        which = np.repeat(changing, times)
        below = codes[which] + np.arange(which.size) - np.repeat(np.cumsum(times) - times, times)  # the code before
        middle = below + 0.5
        changes.append((side.values[which] / middle, side.products[which], side.counts[which] * (2 * middle)))
    steps, more_products, more_squares = (np.concatenate(parts) for parts in zip(*changes, strict=True))
    order = _falling(steps)
    all_products, all_squares = _sums_to(more_products[order]), _sums_to(more_squares[order])
    all_products += products
    all_squares += squares
    best = np.argmax(all_products**2 / all_squares)
    return float(all_products[best] / all_squares[best])


def _falling(steps: Floats) -> NDArray[np.intp]:
    """Return the order in which steps fall, those that are equal as they stand."""
    order = np.argsort(-steps)  # a fifth of the time that a stable order takes
    found = steps[order]
    equal = found[1:] == found[:-1]
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    order[tied] = order[tied][np.lexsort((order[tied], -found[tied]))]
    return order
