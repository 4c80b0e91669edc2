"""Progress bars: drawn on a terminal, silent in a pipe."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from reports.shared.terminal import clean, raw


class Bar:
    """One line: what runs, how far it is, how long it still takes, and what is known so far."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def advance(self, note: str = "") -> None:
        """Count one step, with a short note about it."""
        self._progress.update(self._task, advance=1, note=clean(note))


@contextmanager
def bar(what: str, total: int) -> Iterator[Bar]:
    """Show a bar of `total` steps on standard error while the block runs."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    note = TextColumn("{task.fields[note]}", markup=False)
    quiet = not sys.stderr.isatty()  # rich would draw in a pipe too where FORCE_COLOR is set
    with Progress(*columns, note, console=Console(file=raw(sys.stderr)), disable=quiet, transient=True) as progress:
        yield Bar(progress, progress.add_task(clean(what), total=total, note=""))
