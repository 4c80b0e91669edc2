"""Running damaged inputs of every format: side by side in processes that may die, hang or grow without harm.

Case number i of a seed is always the same: of format i modulo their number, drawn from (seed, i).
"""

import contextlib
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1]
MOST_BYTES = 1 << 30  # that a process may have in memory, everything that it imported included
SECONDS = 20  # of processor time for a case
PATIENCE_SECONDS = 120  # of any time: of a case that waits
ROOM_BYTES = 6 << 30  # of addresses, so that no case takes the machine's memory
ENDS = ("accepted", "refused", "traceback", "hang", "memory", "believed", "died")
BAD = ENDS[2:]
Make = Callable[[np.random.Generator], Callable[[Path], None]]


@dataclass(frozen=True)
class Row:
    """What came of a case."""

    index: int
    format: str
    end: str
    text: str
    seconds: float
    peak_bytes: int


def formats_of(modules: Sequence[str]) -> dict[str, Make]:
    """Return what makes cases of each format, of modules that have `FORMATS_OF`."""
    import importlib

    found: dict[str, Make] = {}
    for name in modules:
        found |= importlib.import_module(name).FORMATS_OF
    return found


def run_case(formats: dict[str, Make], seed: int, index: int) -> Row:
    """Run one case in this process."""
    from accel.errors import EspalierError

    name = [*formats][index % len(formats)]
    start, text = time.process_time(), ""
    before = Path.cwd()
    try:
        run = formats[name](np.random.default_rng([seed, index]))
        with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
            reset_peak()
            os.chdir(folder)
            try:
                run(Path(folder))
            finally:
                os.chdir(before)
        end = "accepted"
    except EspalierError as error:
        text = str(error)
        end = "refused" if is_one_line(text) else "traceback"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1].filename
        ours = isinstance(error, AssertionError) and Path(place).is_relative_to(TESTS)
        end, text = "believed" if ours else "traceback", traceback.format_exc()
    return Row(index, name, end, text[-4000:], time.process_time() - start, peak_bytes())


def is_one_line(text: str) -> bool:
    """Return whether a message is one line that a terminal shows as it is."""
    return bool(text) and len(text.splitlines()) == 1 and all(c.isprintable() or c == "\t" for c in text)


def reset_peak() -> None:
    """Let `peak_bytes` count from here, where the system lets a process do that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the most memory that this process has had."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def work(modules: Sequence[str], seed: int) -> None:
    """Read numbers of cases, a line each, and answer each with what came of it."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a case prints is no answer
    formats = formats_of(modules)
    resource.setrlimit(resource.RLIMIT_AS, (ROOM_BYTES, ROOM_BYTES))
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(vars(run_case(formats, seed, int(line)))), file=answers, flush=True)


class Worker:
    """A process that runs one case after another."""

    def __init__(self, modules: Sequence[str], seed: int) -> None:
        words = [sys.executable, "-c", f"from support import fuzzing; fuzzing.work({list(modules)!r}, {seed})"]
        path = os.pathsep.join((str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")))
        environment = os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore::DeprecationWarning"}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
        )
        self.index: int | None = None
        if self._answer(600) != "ready":
            raise RuntimeError("a worker of the fuzzer does not start")

    def start(self, index: int) -> None:
        """Let it run a case."""
        assert self.process.stdin is not None
        self.index, self.began, self.used = index, time.monotonic(), self._processor_seconds()
        print(index, file=self.process.stdin, flush=True)

    def is_late(self) -> bool:
        """Return whether its case has taken too long."""
        waits = self._status()[0] == "S"  # for something else than a processor or the disk
        if waits and time.monotonic() - self.began > PATIENCE_SECONDS:
            return True
        return self._processor_seconds() - self.used > SECONDS

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def _answer(self, seconds: float) -> Any:
        """Return the next answer; None if it ended."""
        assert self.process.stdout is not None
        select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def _processor_seconds(self) -> float:
        fields = self._status()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self) -> list[str]:
        """Return what the system tells of the process, from its state on."""
        try:
            return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ["X", *["0"] * 12]


def run_all(modules: Sequence[str], seed: int, indices: Sequence[int], jobs: int) -> Iterator[Row]:
    """Yield what came of each case, in no order; a process that hangs or dies is replaced."""
    names = [*formats_of(modules)]
    left = iter(indices)
    workers: list[Worker] = []
    try:
        for index in (x for _, x in zip(range(jobs), left, strict=False)):
            workers.append(Worker(modules, seed))
            workers[-1].start(index)
        while workers:
            select.select([worker.process.stdout for worker in workers], [], [], 1)
            for worker in [*workers]:
                row = _row_of(worker, names)
                if row is None:
                    continue
                yield row
                index = next(left, None)
                if row.end in ("hang", "died") or index is None:
                    worker.stop()
                    workers.remove(worker)
                    if index is not None:
                        worker = Worker(modules, seed)
                        workers.append(worker)
                if index is not None:
                    worker.start(index)
    finally:
        for worker in workers:
            worker.stop()


def _row_of(worker: Worker, names: Sequence[str]) -> Row | None:
    """Return what came of a worker's case, if it is known by now."""
    assert worker.index is not None
    ready, _, _ = select.select([worker.process.stdout], [], [], 0)
    name = names[worker.index % len(names)]
    if ready:
        answer = worker._answer(0)
        if answer is not None:
            row = Row(**answer)
            large = row.peak_bytes > MOST_BYTES and row.end not in BAD
            return replace(row, end="memory", text=f"{row.peak_bytes >> 20} MiB: {row.text}") if large else row
        return Row(worker.index, name, "died", f"status {worker.process.wait()}", 0, 0)
    return Row(worker.index, name, "hang", "", SECONDS, 0) if worker.is_late() else None


def table(rows: Sequence[Row]) -> str:
    """Return how the cases of each format ended, the processor time of all and the most memory of one."""
    counts = Counter((row.format, row.end) for row in rows)
    names = list(dict.fromkeys(row.format for row in sorted(rows, key=lambda row: row.index)))
    wide = max(map(len, [*names, "format"]), default=6)
    lines = [f"{'format':{wide}}  {'tried':>6} " + " ".join(f"{title:>9}" for title in (*ENDS, "seconds", "MiB"))]
    for name in [*names, "all"]:
        found = [sum(n for (of, end), n in counts.items() if end == wanted and name in (of, "all")) for wanted in ENDS]
        own = [row for row in rows if name in (row.format, "all")]
        seconds, peak = sum(row.seconds for row in own), max((row.peak_bytes for row in own), default=0)
        lines.append(
            f"{name:{wide}}  {sum(found):>6} " + " ".join(f"{n:>9}" for n in (*found, round(seconds), peak >> 20))
        )
    return "\n".join(lines)
