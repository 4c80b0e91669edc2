"""Progress bars: drawn on a terminal; in a pipe a plain line now and then."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from reports.shared import notes, wordiness
from reports.shared.terminal import clean, raw

VARIABLE = "ESPALIER_PROGRESS"  # seconds between the lines in a pipe; 0 for none
SECONDS = 10.0
_silent: list[bool] = []  # one for each `quiet` that runs


class Bar:
    """One line: what runs, how far it is, how long it still takes, and what is known so far."""

    def __init__(self, progress: Progress, task: Any, lines: "Lines | None" = None) -> None:
        self._progress = progress
        self._task = task
        self._lines = lines

    def advance(self, note: str = "") -> None:
        """Count one step, with a short note about it."""
        self._progress.update(self._task, advance=1, note=clean(note))
        if self._lines:
            self._lines.advance(note)


@dataclass
class Lines:
    """Progress in lines: one after some seconds, if a step is done then; after every step if the seconds are 0.

    Parameters
    ----------
    what : str
    total : int
    seconds : float
        Between two lines.
    done : int
    """

    what: str
    total: int
    seconds: float
    done: int = 0

    def __post_init__(self) -> None:
        self._start = self._told = time.monotonic()

    def advance(self, note: str) -> None:
        """Count one step."""
        self.done += 1
        now = time.monotonic()
        if now - self._told < self.seconds or (self.done >= self.total and self.seconds):
            return
        self._told = now
        left = (now - self._start) * (self.total - self.done) / self.done
        taken = f"about {left:,.0f} s left" if left else f"{now - self._start:,.1f} s"
        words = f"{self.what}: {self.done:,} of {self.total:,}, {taken}{f'; {note}' if note else ''}"
        print(clean(words), file=sys.stderr, flush=True)


def _seconds() -> float:
    try:
        return float(os.environ.get(VARIABLE, SECONDS))
    except ValueError:
        return SECONDS


@contextmanager
def quiet() -> Iterator[None]:
    """Show no bar that begins while the block runs, because somebody else has one."""
    _silent.append(True)
    try:
        yield
    finally:
        _silent.pop()


def silent() -> bool:
    """Return whether a `quiet` block runs: nobody sees what a bar would say."""
    return bool(_silent)


@contextmanager
def bar(what: str, total: int) -> Iterator[Bar]:
    """Show a bar of `total` steps on standard error while the block runs; in a pipe lines, every `SECONDS`."""
    notes.tell()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    note = TextColumn("{task.fields[note]}", markup=False)
    silent, verbose = bool(_silent) or wordiness.is_quiet(), wordiness.is_verbose()
    piped = verbose or not sys.stderr.isatty()  # rich would draw in a pipe too where FORCE_COLOR is set
    seconds = 0.0 if verbose else _seconds()
    hidden = piped or silent
    with Progress(*columns, note, console=Console(file=raw(sys.stderr)), disable=hidden, transient=True) as progress:
        lines = Lines(what, total, seconds) if piped and not silent and (verbose or seconds > 0) else None
        yield Bar(progress, progress.add_task(clean(what), total=total, note=""), lines)
