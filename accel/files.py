"""Reading a file that may be anything, and writing one so that its name never holds a part of it."""

import contextlib
import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from accel.errors import EspalierError
from accel.limits import ALWAYS_UNPACKED_BYTES, MOST_FILE_BYTES, check_unpacked


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], most_bytes: int = MOST_FILE_BYTES) -> Iterator[BinaryIO]:
    """Open an ordinary file of at most `most_bytes` for reading: no device that never ends, no pipe that never begins.

    Raises
    ------
    EspalierError
        `path` is a folder, a pipe or a device, holds a NUL, or the file is larger, or all but all of it are holes.
    OSError
        The file cannot be opened.
    """
    if "\0" in os.fsdecode(path):
        raise EspalierError(f"{os.fsdecode(path)!r}: no file has a NUL in its name")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # or a pipe would wait for its writer
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            what = "is a directory" if stat.S_ISDIR(status.st_mode) else "is a pipe or a device"
            raise EspalierError(f"{os.fsdecode(path)}: {what}, expected a file")
        if status.st_size > most_bytes:
            raise EspalierError(f"{os.fsdecode(path)}: has {status.st_size} bytes, expected at most {most_bytes}")
        if status.st_size > ALWAYS_UNPACKED_BYTES:
            check_unpacked(status.st_size, _stored_bytes(handle, status.st_size), os.fsdecode(path))
    except BaseException:
        os.close(handle)
        raise
    with os.fdopen(handle, "rb") as file:
        yield file


def _stored_bytes(handle: int, size: int) -> int:
    """Return the bytes of an open file that are no holes; where the system does not tell, all are."""
    stored = at = 0
    while at < size:
        try:
            begin = os.lseek(handle, at, os.SEEK_DATA)
            at = os.lseek(handle, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # which says that there is a hole to the end
                stored = size
            break
        stored += at - begin
    os.lseek(handle, 0, os.SEEK_SET)
    return stored


def read_whole(path: str | os.PathLike[str], most_bytes: int = MOST_FILE_BYTES) -> bytes:
    """Return the bytes of an ordinary file; raises as `opened` does."""
    with opened(path, most_bytes) as file:
        size = os.fstat(file.fileno()).st_size  # of which as many bytes are asked for: a buffer of them is made first
        data = file.read(size + 1)
    if len(data) > size:
        raise EspalierError(f"{os.fsdecode(path)}: grew while it was read")
    return data


READER_SECONDS = 5.0  # in which somebody has to open a pipe that is written to
PART = ".part"  # how the name of a file ends that is not whole yet


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, whole or not at all.

    The bytes go to a temporary name in the same folder, are flushed to the disk and renamed into place; a full disk or
    a stop in between leaves what was there before. A link stays a link, and what is no file (``/dev/null``, a pipe)
    stays what it is and is written to.

    Raises
    ------
    OSError
        The folder cannot be written or the disk is full. The temporary file is gone by then. Or nobody comes to read a
        pipe within `READER_SECONDS`.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with os.fdopen(_opened_to_write(path), "wb") as file:
            file.write(data)
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


def _opened_to_write(path: Path) -> int:
    """Return the handle of what is no file; a pipe waits for its reader, but not for ever."""
    until = time.monotonic() + READER_SECONDS
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > until:
                raise OSError(errno.ENXIO, "nobody reads this pipe", os.fspath(path)) from error
            time.sleep(0.05)
        else:
            os.set_blocking(handle, True)
            return handle


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
