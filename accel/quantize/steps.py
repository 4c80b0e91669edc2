"""Step sizes of uniform quantisers by the least squared error.

Source: the alternating minimisation of Shin, Hwang and Sung (arXiv 1512.01322): round to codes with the step held, fit
the step to the codes, ``sum(w z) / sum(z z)``, until it settles. It finds a local minimum, so that it is started from
the best of many steps here; a sorted copy with running sums makes an iteration cost as much as there are codes, not
values.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.errors import EspalierError

STARTS = np.geomspace(1, 1 / 64, 40)  # of the step that clips nothing
SETTLED = 3  # how many of the best starts are followed down
ITERATIONS = 40
TOLERANCE = 1e-9


def l2_step(values: ArrayLike, min_code: int, max_code: int) -> float:
    """Return the step that minimises ``sum((step * code - value)**2)`` with codes `min_code` .. `max_code`.

    Parameters
    ----------
    values : array_like of float, any shape
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
    sums = _Sums(values)
    widest = sums.widest_step(min_code, max_code)
    if widest == 0:
        return 1.0
    starts = sorted(widest * STARTS, key=lambda step: sums.error(step, min_code, max_code))[:SETTLED]
    settled = [_settle(sums, start, min_code, max_code) for start in starts]
    return float(min(settled, key=lambda step: sums.error(step, min_code, max_code)))


def power_of_two_step(values: ArrayLike, min_code: int, max_code: int) -> float:
    """Return the power of two that minimises the same error as `l2_step`."""
    sums = _Sums(values)
    widest = sums.widest_step(min_code, max_code)
    if widest == 0:
        return 1.0
    top = int(np.ceil(np.log2(widest))) + 1
    return min((2.0**k for k in range(top - 10, top + 1)), key=lambda step: sums.error(step, min_code, max_code))


def quantization_error(values: ArrayLike, step: float, min_code: int, max_code: int) -> float:
    """Return ``sum((step * code - value)**2)`` with every value at its nearest code."""
    return _Sums(values).error(step, min_code, max_code)


class _Sums:
    """Sorted values with running sums, so that sums over an interval cost two look-ups."""

    def __init__(self, values: ArrayLike) -> None:
        self.values = np.sort(np.asarray(values, np.float64), axis=None)
        if not np.isfinite(self.values).all():
            raise EspalierError("cannot find a step for values that are not finite")
        self.running = np.concatenate([[0.0], np.cumsum(self.values)])
        self.squares = float(self.values @ self.values)

    def widest_step(self, min_code: int, max_code: int) -> float:
        """Return the smallest step that clips nothing; 0 if every value has code 0 at any step."""
        if not self.values.size:
            return 0.0
        low, high = float(self.values[0]), float(self.values[-1])
        return max(high / max_code if max_code else 0.0, low / min_code if min_code else 0.0, 0.0)

    def by_code(self, step: float, min_code: int, max_code: int) -> tuple[NDArray[np.float64], ...]:
        """Return the codes, and how many values and which sum of values lie nearest to each."""
        codes = np.arange(min_code, max_code + 1, dtype=np.float64)
        edges = np.searchsorted(self.values, (codes[:-1] + 0.5) * step)
        edges = np.concatenate([[0], edges, [self.values.size]])
        return codes, np.diff(edges).astype(np.float64), np.diff(self.running[edges])

    def error(self, step: float, min_code: int, max_code: int) -> float:
        """Return the squared error of `step`."""
        codes, counts, sums = self.by_code(step, min_code, max_code)
        return float(self.squares - 2 * step * (codes @ sums) + step * step * (codes * codes @ counts))


def _settle(sums: _Sums, step: float, min_code: int, max_code: int) -> float:
    for _ in range(ITERATIONS):
        codes, counts, totals = sums.by_code(step, min_code, max_code)
        power = float(codes * codes @ counts)
        fitted = float(codes @ totals) / power if power else step
        if fitted <= 0 or abs(fitted - step) <= TOLERANCE * step:
            return step
        step = fitted
    return step
