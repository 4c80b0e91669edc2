"""How functions here are compiled: by numba, once for a machine, and again after a change of any of them.

numba looks at the file of a function alone to see whether what it has on disk is still right, and compiled code holds
what it calls in other files too. It also stops where it cannot write, and believes whatever its files hold: here a
machine without room to write compiles each time, with one warning, and a file that was cut or changed is written anew.
"""

import hashlib
import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from numba import config, njit
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    InTreeCacheLocator,
    NullCache,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)

from accel import fixedpoint

DIGEST_BYTES = hashlib.sha256().digest_size


class UncachedWarning(UserWarning):
    """Compiled code cannot be kept on disk; everything works, but takes seconds longer to start."""


def stamp(*files: Path) -> str:
    """Return what changes if the content of a file does."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


STAMP = stamp(*sorted(Path(__file__).parent.glob("*.py")), Path(fixedpoint.__file__))


def compiled(function: Callable[..., Any]) -> Any:
    """Return `function` as numba compiles it at its first call, without the lock of the interpreter."""
    dispatcher = njit(nogil=True)(function)
    if hasattr(dispatcher, "_cache"):  # not where NUMBA_DISABLE_JIT asks for plain Python
        dispatcher._cache = Cache(function)
    return dispatcher


def inlined(function: Callable[..., Any]) -> Any:
    """Return `function` for other compiled ones to call, in whose code it then stands."""
    return njit(nogil=True, inline="always")(function)


class Cache(NullCache):
    """numba's cache of one function's code, which is a help and no need: whatever fails, the function is compiled."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def cache_path(self) -> str | None:
        return self._kept.cache_path if self._kept else None

    @cached_property
    def _kept(self) -> FunctionCache | None:
        """Where code is kept that can be written, or at least read; found when it is first needed, not on import."""
        for kind in (FunctionCache, _ReadOnly):
            try:
                kept = kind(self._function)
            except RuntimeError:  # no place can be written, or none is there
                continue
            kept._cache_file = _Files(kept.cache_path, kept._impl.filename_base, STAMP)
            return kept
        return None

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return self._kept.load_overload(sig, target_context) if self._kept else None
        except (OSError, *_UNREADABLE):
            return None

    def save_overload(self, sig: Any, cres: Any) -> None:
        try:
            if self._kept is None:
                raise OSError("no folder for it can be written")
            self._kept.save_overload(sig, cres)
        except OSError as error:
            _warn_once(error.strerror or str(error))

    def flush(self) -> None:
        if self._kept:
            self._kept.flush()


# what unpickling raises where the digest is right: code that another version of Python or of a library wrote
_UNREADABLE = (ArithmeticError, AttributeError, ImportError, LookupError, TypeError, ValueError, pickle.PickleError)


class _Files(IndexDataCacheFile):
    """The files of one function, each with a SHA-256 of its content at its end; one without it counts as missing."""

    def _load_index(self) -> Any:
        return super()._load_index() if _is_whole(Path(self._index_path)) else {}

    def _load_data(self, name: str) -> Any:
        if not _is_whole(Path(self._data_path(name))):
            raise FileNotFoundError(name)
        return super()._load_data(name)

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
        content = io.BytesIO()
        yield content
        data = content.getvalue()
        with super()._open_for_write(filepath) as file:
            file.write(data + hashlib.sha256(data).digest())  # after what a pickle holds, its reader reads no further


class _Found:
    """Takes a folder whether or not it can be written, if there is one: a container's image may bring it."""

    @classmethod
    def from_function(cls, function: Any, file: str) -> Any:
        locator = cls(function, file)  # type: ignore[call-arg]
        return locator if Path(locator.get_cache_path()).is_dir() else None  # type: ignore[attr-defined]


_PLACES = (*([UserProvidedCacheLocator] if config.CACHE_DIR else []), InTreeCacheLocator, UserWideCacheLocator)


class _ReadOnlyImpl(CompileResultCacheImpl):
    _locator_classes = tuple(type(f"Found{place.__name__}", (_Found, place), {}) for place in _PLACES)


class _ReadOnly(FunctionCache):
    _impl_class = _ReadOnlyImpl


def _is_whole(path: Path) -> bool:
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(data[:-DIGEST_BYTES]).digest() == data[-DIGEST_BYTES:]


_warned = False


def _warn_once(reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        message = f"compiled code is not kept on disk ({reason}): NUMBA_CACHE_DIR may name a folder with room for it"
        warnings.warn(message, UncachedWarning, stacklevel=2)
