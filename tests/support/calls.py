"""Calls for workers, in a module of their own that a new process imports in no time; and whether one is there."""

import os
import signal
import time
from pathlib import Path

from accel.errors import EspalierError


def squared(number: int) -> tuple[int, int]:
    """Return a square, and which process made it."""
    return number**2, os.getpid()


def refused(number: int) -> int:
    """Raise what a worker raises that does not like its call."""
    raise EspalierError(f"no {number} here")


def ended(_: int) -> None:
    """End the process without a word, as one that ran out of memory."""
    os._exit(9)


def slept(seconds: float) -> tuple[float, float]:
    """Return from when to when a call was at work."""
    start = time.time()
    time.sleep(seconds)
    return start, time.time()


def alive(process: int) -> bool:
    """Return whether a process is there and not only waits for its parent to notice that it is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def deaf(_: int) -> bool:
    """Return whether Ctrl-C is held back from this process."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
