"""Error rates that cost time: only so many of them are asked for, and each is checked, counted and told."""

import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np

from accel.errors import EspalierError
from accel.progress import Listener, Progress

Key = TypeVar("Key", bound=Hashable)


class Spent(Exception):  # noqa: N818  # the end of a search, and no error
    """No evaluation is left."""


def check_budget(budget: int) -> int:
    """Return `budget` as an int; raise EspalierError unless it is an integer of at least 1."""
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or budget < 1:
        raise EspalierError(f"budget must be at least 1 evaluation, got {budget}")
    return int(budget)


class Budget:
    """Evaluations of an error rate: how many there may be, how many there were, and the lowest rate so far.

    Parameters
    ----------
    total : int
        How many there may be, at least 1.
    progress : function, optional
        Called with a `Progress` after each.

    Raises
    ------
    EspalierError
        `total` is less than 1.
    """

    def __init__(self, total: int, progress: Listener | None = None) -> None:
        self.total, self._progress = check_budget(total), progress
        self.spent, self.lowest = 0, math.inf

    @property
    def left(self) -> int:
        """How many evaluations there may still be."""
        return self.total - self.spent

    def spend(self, evaluate: Callable[[], float]) -> float:
        """Return the error rate that `evaluate` gives, at the cost of one evaluation.

        Raises
        ------
        Spent
            No evaluation is left.
        EspalierError
            What it gives is not within 0..1.
        """
        if not self.left:
            raise Spent
        rate = float(evaluate())
        if not 0 <= rate <= 1:
            raise EspalierError(f"an error rate must be 0..1, got {rate}")
        self.spent, self.lowest = self.spent + 1, min(self.lowest, rate)
        if self._progress:
            self._progress(Progress(self.spent, self.total, self.lowest))
        return rate


class Judge(Generic[Key]):
    """Asks `error_rate` at most `budget` times, and never twice about the same; `rates` holds all answers in order.

    Raises
    ------
    EspalierError
        The budget is less than 1.
    """

    def __init__(self, error_rate: Callable[[Key], float], budget: int, progress: Listener | None = None) -> None:
        self._error_rate, self._budget = error_rate, Budget(budget, progress)
        self.rates: dict[Key, float] = {}

    def __call__(self, key: Key) -> float:
        """Return the error rate of `key`.

        Raises
        ------
        Spent
            It would have to be asked for, and the budget is spent.
        EspalierError
            What is answered is not within 0..1.
        """
        if key not in self.rates:
            self.rates[key] = self._budget.spend(lambda: self._error_rate(key))
        return self.rates[key]
