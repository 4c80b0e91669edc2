"""How functions here are compiled: by numba, once for a machine, and again after a change of any of them.

numba looks at the file of a function alone to see whether what it has on disk is still right, and compiled code holds
what it calls in other files too.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

from accel import fixedpoint


def stamp(*files: Path) -> str:
    """Return what changes if the content of a file does."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


STAMP = stamp(*sorted(Path(__file__).parent.glob("*.py")), Path(fixedpoint.__file__))


def compiled(function: Callable[..., Any]) -> Any:
    """Return `function` as numba compiles it at its first call, without the lock of the interpreter."""
    dispatcher = njit(nogil=True, cache=True)(function)
    if cache := getattr(dispatcher, "_cache", None):
        cache._cache_file._source_stamp = STAMP
    return dispatcher


def inlined(function: Callable[..., Any]) -> Any:
    """Return `function` for other compiled ones to call, in whose code it then stands."""
    return njit(nogil=True, inline="always")(function)
