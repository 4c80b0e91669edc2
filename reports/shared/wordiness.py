"""How much a command says beside its results: nothing, what happens now and then, or every step."""

from collections.abc import Iterator
from contextlib import contextmanager

QUIET, USUAL, VERBOSE = -1, 0, 1
_levels = [USUAL]


@contextmanager
def wordy(level: int) -> Iterator[None]:
    """Say as much as `level` tells while the block runs: `QUIET`, `USUAL` or `VERBOSE`."""
    _levels.append(level)
    try:
        yield
    finally:
        _levels.pop()


def is_quiet() -> bool:
    """Return whether notes and progress are not wanted."""
    return _levels[-1] == QUIET


def is_verbose() -> bool:
    """Return whether every step is to be told."""
    return _levels[-1] == VERBOSE
