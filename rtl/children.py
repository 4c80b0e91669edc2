"""Programs of others that run for us, and end when we do, however that comes about.

A child and all that it starts are a group of processes of their own, which a shell leads that waits for the end of our
side of a pipe: the system closes it even if we are killed, and the shell ends the group. Ctrl-C on the terminal is
for us alone; we end the group on the way out.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

GUARD = ("sh", "-c", "read -r _; kill -s KILL 0")


def run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in `folder` without any input; return its exit status and what it said.

    Raises
    ------
    OSError
        The program cannot be started.
    """
    with _group() as group:
        return subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            process_group=group,
        )


@contextmanager
def _group() -> Iterator[int]:
    """Give a group of processes that ends with the block, or with this process."""
    devnull = subprocess.DEVNULL
    with subprocess.Popen(GUARD, stdin=subprocess.PIPE, stdout=devnull, stderr=devnull, process_group=0) as guard:
        try:
            yield guard.pid
        finally:
            with suppress(ProcessLookupError):
                os.killpg(guard.pid, signal.SIGKILL)
