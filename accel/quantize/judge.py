"""Error rates that cost time: each is asked for once, and only so many of them."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from accel.errors import EspalierError
from accel.progress import Listener, Progress

Key = TypeVar("Key", bound=Hashable)


class Spent(Exception):  # noqa: N818  # the end of a search, and no error
    """No evaluation is left."""


class Judge(Generic[Key]):
    """Asks `error_rate` at most `budget` times, and never twice about the same; `rates` holds all answers in order.

    Raises
    ------
    EspalierError
        The budget is less than 1.
    """

    def __init__(self, error_rate: Callable[[Key], float], budget: int, progress: Listener | None = None) -> None:
        if budget < 1:
            raise EspalierError(f"budget must be at least 1 evaluation, got {budget}")
        self._error_rate, self._budget, self._progress = error_rate, budget, progress
        self.rates: dict[Key, float] = {}

    def __call__(self, key: Key) -> float:
        """Return the error rate of `key`.

        Raises
        ------
        Spent
            It would have to be asked for, and the budget is spent.
        EspalierError
            The error rate is none.
        """
        if key not in self.rates:
            if len(self.rates) == self._budget:
                raise Spent
            rate = float(self._error_rate(key))
            if not 0 <= rate <= 1:
                raise EspalierError(f"an error rate must be 0..1, got {rate}")
            self.rates[key] = rate
            if self._progress:
                self._progress(Progress(len(self.rates), self._budget, min(self.rates.values())))
        return self.rates[key]
