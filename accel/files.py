"""Writing a file so that its name never holds a part of it."""

import contextlib
import os
import tempfile
from pathlib import Path

PART = ".part"  # how the name of a file ends that is not whole yet


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, whole or not at all.

    The bytes go to a temporary name in the same folder, are flushed to the disk and renamed into place; a full disk or
    a stop in between leaves what was there before. A link stays a link, and what is no file (``/dev/null``, a pipe)
    stays what it is and is written to.

    Raises
    ------
    OSError
        The folder cannot be written or the disk is full. The temporary file is gone by then.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    _remove_leftovers(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _lock(handle)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes private files; a result is an ordinary one
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed have left of `path`; those that write it now hold a lock."""
    with os.scandir(path.parent) as entries:
        parts = [entry for entry in entries if entry.name.startswith(f".{path.name}.") and entry.name.endswith(PART)]
    for part in parts:
        with contextlib.suppress(OSError), open(part, "rb") as file:
            if _lock(file.fileno()):
                os.unlink(part)


def _lock(handle: int) -> bool:
    """Return whether this process has the lock of an open file, which ends with it at the latest."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
