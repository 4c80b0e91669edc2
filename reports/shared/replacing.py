"""Files of a folder that are replaced together: all of them or none, also if the process is killed in between.

Two ways. A folder that is a command's own is made anew beside the old one, with everything else that the old one holds
linked into it, and the two change places in one step of the system (Linux's renameat2). Where that cannot be - the
folder is where somebody works, a mount, in a parent that may not be written - the new files are gathered in a folder
inside it whose last rename says that they are complete, and then moved one by one; a kill in between leaves what
`put_right` finishes. All removing and all moving is done by `put_right`, after a kill as in an ordinary run.
"""

import contextlib
import ctypes
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from accel.errors import EspalierError

STAGING = ".espalier-"  # how the name of a folder begins in which files are gathered
READY = ".ready"  # how it ends once they are complete
MARK = ".espalier.new"  # in a folder that takes the place of another: the names of the files that it brings
MOST_OTHERS = 1000  # files of somebody else's that are linked into a new folder
_EXCHANGE, _HERE = 2, -100  # of renameat2: change places; names are relative to the working folder
# the system's way to say that two folders cannot change places here, or a file have two names
_CANNOT = (errno.EACCES, errno.EBUSY, errno.EINVAL, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EXDEV)


class _NoSwapError(Exception):
    """The folder holds too much of somebody else's to be made anew."""


def replace_together(folder: Path, files: Mapping[str, bytes], own: bool) -> None:
    """Write `files` (name to content) into `folder`, which is there, all of them or none; others stay as they are.

    Parameters
    ----------
    folder : Path
    files : mapping
    own : bool
        Whether the folder is for these files, and may be exchanged for another.

    Raises
    ------
    EspalierError
        A folder has the name of a file.
    OSError
        The folder cannot be written, or the disk is full; what was there before is there then.
    """
    folder = Path(os.path.realpath(folder))  # which tells nothing of a link to itself; making it does
    with _locked(folder):
        put_right(folder)
        for name in files:
            if (folder / name).is_dir():
                raise EspalierError(f"{folder / name}: is a folder; expected a file, or nothing, to replace")
        if not files:
            os.rmdir(tempfile.mkdtemp(prefix=STAGING, dir=folder))  # whether it can be written
        elif not (own and _swapped(folder, files)):
            _gathered(folder, files)


def put_right(folder: Path) -> None:
    """Finish what a run that was killed had begun in `folder`, and remove what it left."""
    old = list(_named(folder.parent, f".{folder.name}{STAGING}"))
    names = _brought(folder)
    for other in old:
        if names is not None:
            _bring_over(other, folder, names)
        shutil.rmtree(other, ignore_errors=True)
    (folder / MARK).unlink(missing_ok=True)
    failures: list[OSError] = []
    for staging in _named(folder, STAGING):
        for file in sorted(staging.iterdir()) if staging.name.endswith(READY) else ():
            try:
                os.replace(file, folder / file.name)
            except OSError as error:
                failures.append(error)
        shutil.rmtree(staging, ignore_errors=True)
    if failures:
        raise failures[0]


def _gathered(folder: Path, files: Mapping[str, bytes]) -> None:
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
    try:
        _fill(staging, files)
        staging.rename(f"{staging}{READY}")
    finally:
        put_right(folder)
    _flush(folder)


def _swapped(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Return whether the folder was exchanged for a new one; if not, nothing has happened."""
    if os.path.ismount(folder) or _somebody_is_in(folder):
        return False
    try:
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}{STAGING}", dir=folder.parent))
        try:
            (new / MARK).write_text("\n".join(files))
            _fill(new, files)
            _link_others(folder, new, {*files, MARK})
            _dress(new, folder.stat())
            shutil.copystat(folder, new)
            _exchange(new, folder)
        finally:
            put_right(folder)
    except _NoSwapError:
        return False
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    _flush(folder.parent)
    return True


def _fill(staging: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        with (staging / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    _flush(staging)


def _link_others(source: Path, target: Path, left_out: Collection[str], budget: int = MOST_OTHERS) -> int:
    """Give everything in `source` a second name in `target`; return how many more there may be."""
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        if entry.name in left_out:
            continue
        budget -= 1
        if budget < 0:
            raise _NoSwapError
        place = target / entry.name
        if entry.is_symlink():
            place.symlink_to(os.readlink(entry))
        elif entry.is_dir():
            place.mkdir()
            budget = _link_others(Path(entry), place, (), budget)
            _dress(place, entry.stat())
            shutil.copystat(entry, place)
        else:
            os.link(entry, place)
    return budget


def _dress(folder: Path, wanted: os.stat_result) -> None:
    """Let a folder belong to whom the one belongs whose place it takes."""
    if (wanted.st_uid, wanted.st_gid) != (folder.stat().st_uid, folder.stat().st_gid):
        os.chown(folder, wanted.st_uid, wanted.st_gid)


def _bring_over(old: Path, folder: Path, names: Collection[str]) -> None:
    """Move what came into `old` while it was being replaced: what `folder` has not, or not as new."""
    for entry in os.scandir(old):
        target = folder / entry.name
        if entry.name in names:
            continue
        if entry.is_dir(follow_symlinks=False) and target.is_dir():
            _bring_over(Path(entry), target, ())
        elif not os.path.lexists(target) or _is_newer(entry.stat(follow_symlinks=False), target.lstat()):
            with contextlib.suppress(OSError):  # somebody made a folder of that name since
                os.replace(entry, target)


def _is_newer(file: os.stat_result, other: os.stat_result) -> bool:
    return file.st_ino != other.st_ino and file.st_mtime_ns > other.st_mtime_ns and not stat.S_ISLNK(file.st_mode)


def _brought(folder: Path) -> set[str] | None:
    """Return the names of the files with which `folder` has taken another's place, if that is not finished."""
    try:
        return {*(folder / MARK).read_text().splitlines(), MARK}
    except OSError:
        return None


def _named(folder: Path, beginning: str) -> Iterator[Path]:
    """Yield the folders in `folder` whose names begin so."""
    with contextlib.suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(beginning) and entry.is_dir(follow_symlinks=False):
                yield Path(entry)


def _exchange(one: Path, other: Path) -> None:
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError) as error:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from error
    if renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))


def _somebody_is_in(folder: Path) -> bool:
    """Return whether a process may work in `folder`, which would then be somewhere that is gone: a shell, a server."""
    try:
        places = [f"/proc/{entry}/cwd" for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return True
    for place in places:
        with contextlib.suppress(OSError):  # other users' processes, and those that have ended
            if Path(os.readlink(place)).is_relative_to(folder):
                return True
    return False


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time replace files of `folder`; where the system has no locks for folders, all of them."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    while True:
        handle = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(handle), os.stat(folder)):  # not if it was exchanged while we waited
                yield
                return
        finally:
            os.close(handle)


def _flush(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
