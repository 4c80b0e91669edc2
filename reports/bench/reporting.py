"""What `espalier report` and `explore` take, each in a process of its own: seconds, of the clock and of the processor.

Another checkout can be timed beside this one, in turn on the same machine: ratios hold where seconds do not.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from accel.errors import EspalierError
from reports.shared.progress import bar

HERE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Job:
    """A command to time.

    Parameters
    ----------
    name : str
    words : tuple of str
        Without where it writes.
    cold : bool
        Whether nothing is compiled yet.
    kept : bool
        Whether error rates are there from a run before, which is not counted.
    """

    name: str
    words: tuple[str, ...]
    cold: bool = False
    kept: bool = False


JOBS = (
    Job("report of digits, nothing compiled", ("report", "digits"), cold=True),
    Job("report of digits", ("report", "digits")),
    Job("report of lenet5: 10 patterns, 6 widths, 10,000 images", ("report", "lenet5")),
    Job("explore of lenet5, rates known: 10,800 designs", ("explore", "lenet5"), kept=True),
)


@dataclass(frozen=True)
class Taken:
    """What a command took in one run: seconds of the clock, and that processors worked for it."""

    clock: float
    processor: float


@dataclass(frozen=True)
class Timed:
    """A job's runs by checkout."""

    job: Job
    runs: Mapping[Path, Sequence[Taken]]

    def clock(self, checkout: Path) -> float:
        """Seconds of the clock in the median run."""
        return median(run.clock for run in self.runs[checkout])

    def processor(self, checkout: Path) -> float:
        """Seconds of processors in the median run."""
        return median(run.processor for run in self.runs[checkout])


def timed(beside: Path | None, rounds: int, jobs: Sequence[Job]) -> Iterator[Timed]:
    """Yield what each job takes, here and in another checkout in turn.

    Parameters
    ----------
    beside : Path or None
        The other checkout, which holds a folder ``espalier``.
    rounds : int
        Runs of each.
    jobs : sequence of Job

    Raises
    ------
    EspalierError
        There is no checkout, or a command fails in one.
    """
    checkouts = [HERE, *([beside.resolve()] if beside else [])]
    for checkout in checkouts:
        if not (checkout / "espalier" / "__main__.py").is_file():
            raise EspalierError(f"--beside {checkout}: holds no Espalier; expected a clone of it")
    with bar("commands", len(jobs) * rounds * len(checkouts)) as shown:
        for job in jobs:
            runs: dict[Path, list[Taken]] = {checkout: [] for checkout in checkouts}
            with tempfile.TemporaryDirectory(prefix="espalier-") as folder:
                for checkout in checkouts if job.kept else ():
                    _run(job, checkout, _place(folder, checkout))
                for _ in range(rounds):
                    for checkout in checkouts:
                        runs[checkout].append(_run(job, checkout, _place(folder, checkout)))
                        shown.advance(job.name)
            yield Timed(job, runs)


def records(found: Sequence[Timed]) -> list[dict[str, Any]]:
    """Return the times as plain numbers."""
    return [
        {
            "command": row.job.name,
            "runs": {
                ("here" if place == HERE else "beside"): [asdict(x) for x in runs] for place, runs in row.runs.items()
            },
        }
        for row in found
    ]


def table_of(found: Sequence[Timed]) -> Table:
    """Return the times as a table; where there are two checkouts, with the ratio of the other's to this one's."""
    table = Table(title="seconds: of the clock, of processors")
    table.add_column("command", no_wrap=True)
    checkouts = list(found[0].runs)
    for checkout in checkouts:
        table.add_column("here" if checkout == HERE else "beside", justify="right", no_wrap=True)
    if len(checkouts) > 1:
        table.add_column("beside / here", justify="right", no_wrap=True)
    for row in found:
        cells = [f"{row.clock(checkout):.1f}, {row.processor(checkout):.1f}" for checkout in checkouts]
        if len(checkouts) > 1:
            other = checkouts[1]
            ratios = row.clock(other) / row.clock(HERE), row.processor(other) / row.processor(HERE)
            cells.append(", ".join(f"{ratio:.2f}" for ratio in ratios))
        table.add_row(row.job.name, *cells)
    return table


def _place(folder: str, checkout: Path) -> Path:
    """Return a checkout's own folder for results and caches."""
    place = Path(folder, "here" if checkout == HERE else "beside")
    place.mkdir(exist_ok=True)
    return place


def _run(job: Job, checkout: Path, place: Path) -> Taken:
    words = [sys.executable, "-m", "espalier", *job.words, "-o", str(place / "out")]
    changed = {"PYTHONPATH": str(checkout), "ESPALIER_CACHE": str(place / "cache"), "ESPALIER_PROGRESS": "0"}
    with tempfile.TemporaryDirectory(dir=place) as compiled:
        environment = os.environ | changed | ({"NUMBA_CACHE_DIR": compiled} if job.cold else {})
        before, start = os.times(), time.perf_counter()
        done = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=place)
        clock, after = time.perf_counter() - start, os.times()
    if done.returncode not in (0, 1):  # 1 says that nothing fits
        raise EspalierError(f"espalier {' '.join(job.words)}, in {checkout}: {done.stderr.strip()[-300:]}")
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Taken(clock, processor)
