"""Step sizes of uniform quantisers: by the least squared error, or by the largest values.

With the codes z held, the best step is ``sum(w z) / sum(z z)`` and the error that is left ``sum(w w) - sum(w z)**2 /
sum(z z)``. Shin, Hwang and Sung (arXiv 1512.01322) alternate between codes and step, which ends in a local minimum;
where values are few there are many. The codes change only at the steps ``w / (k + 1/2)``, so that a sweep over these
sees every choice of codes that any step makes, and the best is the global minimum.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.errors import EspalierError

Floats = NDArray[np.float64]
MOST_CHANGES = 1 << 18  # of codes in one sweep: more of them, and it is made around the best of a grid of steps
GRID = 32
MOST_TURNS = 10_000  # of an alternation, far more than any takes: a guard against rounding
NEAR = 2  # grid steps on each side of the best


@dataclass(frozen=True, eq=False)
class Magnitudes:
    """The values of one sign: each once, in rising order, and how often it occurs.

    Parameters
    ----------
    values, counts : float array (n,)
    """

    values: Floats
    counts: Floats

    @classmethod
    def of(cls, values: Floats) -> "Magnitudes":
        """Return positive values, any number of times each."""
        each, counts = np.unique(values, return_counts=True)
        return cls(each, counts.astype(np.float64))

    @cached_property
    def products(self) -> Floats:
        """Each value times how often it occurs."""
        return self.counts * self.values

    @cached_property
    def counts_above(self) -> Floats:
        """How many values there are from each index on, and none beyond the last."""
        return np.append(np.cumsum(self.counts[::-1])[::-1], 0.0)

    @cached_property
    def sums_above(self) -> Floats:
        """The sum of the values from each index on."""
        return np.append(np.cumsum(self.products[::-1])[::-1], 0.0)


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
        array = np.asarray(values, np.float64).ravel()
        if not np.isfinite(array).all():
            raise EspalierError("cannot find a step for values that are not finite")
        return cls(Magnitudes.of(array[array > 0]), Magnitudes.of(-array[array < 0]))


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
    sides = _sides(values, min_code, max_code)
    if not sides:
        return 1.0
    low, high = _range_of_steps(sides)
    while sum(side.changes(low, high) for side in sides) > MOST_CHANGES and high > low * (1 + 1e-9):
        grid = np.geomspace(low, high, GRID)
        best = int(np.argmax([sum(side.gain(step) for side in sides) for step in grid]))
        low, high = grid[max(best - NEAR, 0)], grid[min(best + NEAR, GRID - 1)]
    return _best_of_sweep(sides, low, high)


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
        products, squares = map(sum, zip(*(side.sums(step) for side in sides), strict=True))
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
    """The values of one sign, as magnitudes, and how often each occurs; their codes are 0 .. `highest`."""

    def __init__(self, magnitudes: Magnitudes, highest: int) -> None:
        self.values, self.counts, self.products = magnitudes.values, magnitudes.counts, magnitudes.products
        self.counts_above, self.sums_above = magnitudes.counts_above, magnitudes.sums_above
        self.highest = highest
        self.odd = 2.0 * np.arange(highest) + 1  # what a code's square gains when the code k becomes k + 1

    def codes(self, step: float) -> NDArray[np.int64]:
        """Return the nearest code of every value; the lower one in the middle between two."""
        return np.minimum(np.ceil(self.values / step - 0.5), self.highest).astype(np.int64)

    def changes(self, low: float, high: float) -> int:
        """Return how often a value changes its code while the step goes from `high` to `low`."""
        return int((self.codes(low) - self.codes(high)).sum())

    def gain(self, step: float) -> float:
        """Return how much less than with all codes zero the squared error of `step` is."""
        products, squares = self.sums(step)
        return step * (2 * products - step * squares)

    def sums(self, step: float) -> tuple[float, float]:
        """Return sum(w z) and sum(z z) with the codes z of `step`, by value or by code: whichever are fewer."""
        if self.values.size < self.highest:
            codes = self.codes(step)
            return float(self.products @ codes), float(self.counts @ (codes * codes))
        above = np.searchsorted(self.values, self.odd * (step / 2), side="right")  # beyond (k + 1/2) steps
        return float(self.sums_above[above].sum()), float(self.odd @ self.counts_above[above])


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


def _best_of_sweep(sides: list[_Side], low: float, high: float) -> float:
    """Return the best step over all codes that the steps from `high` down to `low` make."""
    products, squares, changes = 0.0, 0.0, []
    for side in sides:
        codes = side.codes(high)
        products += float(side.products @ codes)
        squares += float(side.counts @ (codes * codes))
        times = side.codes(low) - codes
        which = np.repeat(np.arange(times.size), times)
        below = codes[which] + np.arange(which.size) - np.repeat(np.cumsum(times) - times, times)  # the code before
        changes.append((side.values[which] / (below + 0.5), side.products[which], side.counts[which] * side.odd[below]))
    steps, more_products, more_squares = (np.concatenate(parts) for parts in zip(*changes, strict=True))
    order = np.argsort(-steps, kind="stable")
    all_products = products + np.append(0.0, np.cumsum(more_products[order]))
    all_squares = squares + np.append(0.0, np.cumsum(more_squares[order]))
    best = np.argmax(all_products**2 / all_squares)
    return float(all_products[best] / all_squares[best])
