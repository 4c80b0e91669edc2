"""Work whose results are kept: what the store has is not done again, what is new goes there as it comes."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reports.shared.progress import bar
from reports.shared.store import Store
from reports.shared.workers import Run


@dataclass
class Kept:
    """A store, workers, and how much there was to do so far.

    Parameters
    ----------
    store : Store
    run : function
        That `workers` gives.
    found, done : int
        Results that were there; that were not.
    seconds : float
        That these took.
    """

    store: Store
    run: Run
    found: int = 0
    done: int = 0
    seconds: float = 0.0

    def results(self, what: str, function: Callable[..., bytes], calls: Mapping[str, Any]) -> dict[str, bytes]:
        """Return the result of each call by its key.

        Parameters
        ----------
        what : str
            What a progress bar says.
        function : function
            From the arguments of a call to bytes; workers must find it by name.
        calls : mapping of key to tuple of arguments
            The key says everything that decides the result.
        """
        damaged = self.store.damaged
        values = {key: self.store.get(key) for key in calls}
        if self.store.damaged > damaged:
            count = self.store.damaged - damaged
            print(
                f"note: {self.store.path}: {count} of {len(calls)} results were changed after they were written: "
                "their SHA-256 does not match; they are made again",
                file=sys.stderr,
            )
        missing = [key for key, value in values.items() if value is None]
        self.found += len(calls) - len(missing)
        if missing:
            start = time.perf_counter()
            with bar(what, len(missing)) as shown:
                for number, value in self.run(function, [calls[key] for key in missing]):
                    self.store.add(missing[number], value)
                    values[missing[number]] = value
                    self.done += 1
                    shown.advance()
            self.seconds += time.perf_counter() - start
        return {key: value for key, value in values.items() if value is not None}
