import errno
import fcntl
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from accel import files
from accel.errors import EspalierError
from accel.files import read_whole, write_whole

OLD, NEW = b"what was there before", b"what is written now"


@pytest.fixture
def umask() -> Iterator[None]:
    """Let a test set the umask."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def only(folder: Path) -> Path:
    """Return the one entry of `folder`: no temporary file stays beside the result."""
    (entry,) = folder.iterdir()
    return entry


def disk_full(*_: Any, **__: Any) -> NoReturn:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("before", [None, OLD])
def test_the_bytes_are_written(tmp_path: Path, before: bytes | None) -> None:
    """The file holds exactly the bytes, whether there was one before or not, and nothing is left beside it."""
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    write_whole(path, NEW)
    assert only(tmp_path).read_bytes() == NEW != OLD


def test_a_name_may_be_text(tmp_path: Path) -> None:
    """A path given as str means the same."""
    write_whole(str(tmp_path / "file"), NEW)
    assert only(tmp_path).read_bytes() == NEW


@pytest.mark.parametrize("step", ["fsync", "fdopen", "chmod", "replace"])
@pytest.mark.parametrize("before", [None, OLD])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, before: bytes | None
) -> None:
    """Whichever step fails, the error is the system's, the old file is whole, and no temporary file stays."""
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    monkeypatch.setattr(os, step, disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, NEW)
    assert [(x, x.read_bytes()) for x in tmp_path.iterdir()] == ([] if before is None else [(path, OLD)])


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up after half of the bytes: the half is gone, the old file is whole."""
    path = tmp_path / "file"
    path.write_bytes(OLD)
    fdopen = os.fdopen

    def half_full(handle: int, mode: str) -> Any:
        file = fdopen(handle, mode, buffering=0)

        class Half:
            def __enter__(self) -> "Half":
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def write(self, data: bytes) -> None:
                file.write(data[: len(data) // 2])
                disk_full()

        return Half()

    monkeypatch.setattr(os, "fdopen", half_full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, NEW)
    assert only(tmp_path).read_bytes() == OLD


def test_a_pipe_is_written_to_once_somebody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes arrive, also of more than a pipe holds; where nobody comes to read, an error ends the wait."""
    os.mkfifo(path := tmp_path / "pipe")
    with subprocess.Popen(f"sleep 0.2; cat '{path}' > '{tmp_path}/read'", shell=True):
        write_whole(path, NEW * 100_000)
    assert (tmp_path / "read").read_bytes() == NEW * 100_000
    monkeypatch.setattr(files, "READER_SECONDS", 0.1)
    with pytest.raises(OSError, match="nobody reads this pipe"):
        write_whole(path, NEW)
    assert path.is_fifo()


def test_an_interrupt_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle cleans up too."""
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def interrupted(_: int) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, NEW)
    assert only(tmp_path).read_bytes() == OLD


LIMITED = """
import resource, signal, sys
from accel.errors import EspalierError
from accel.files import read_whole, write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))
try:
    write_whole(sys.argv[1], b"x" * int(sys.argv[2]))
except OSError as error:
    sys.exit(f"errno {error.errno}")
"""


@pytest.mark.parametrize(("size", "fails"), [(65536, False), (65537, True), (1 << 20, True)])
def test_the_system_refuses_for_real(tmp_path: Path, size: int, fails: bool) -> None:
    """A process that may write files of at most 64 KiB meets the limit in the middle of the write: the old file stays.

    The negative control is in the first row: one byte less and the file is replaced.
    """
    path = tmp_path / "file"
    path.write_bytes(OLD)
    command = [sys.executable, "-c", LIMITED, str(path), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 65536  # the limit was the other process's
    assert done.stderr.strip() == (f"errno {errno.EFBIG}" if fails else "")
    assert only(tmp_path).read_bytes() == (OLD if fails else b"x" * size)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o000, 0o666), (0o027, 0o640)])
def test_the_mode_follows_the_umask(tmp_path: Path, umask: None, mask: int, mode: int) -> None:
    """A result is an ordinary file, 0666 less the umask, as `open` makes it; the umask is as before afterwards."""
    os.umask(mask)
    path = tmp_path / "file"
    write_whole(path, NEW)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert os.umask(0o022) == mask


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    """The caller hears from the system which folder is missing, and none is made."""
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "no" / "file", NEW)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    """A folder of that name stays what it is."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(folder, NEW)
    assert only(tmp_path).is_dir()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file that a symbolic link points to is replaced, not the link."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(OLD)
    link.symlink_to(target)
    write_whole(link, NEW)
    assert link.is_symlink()
    assert target.read_bytes() == NEW


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    """What is no file, as /dev/null or a pipe, is written to and never replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, NEW)
        assert os.read(reader, 100) == NEW
    finally:
        os.close(reader)
    assert only(tmp_path).is_fifo()


KILLED = """
import os, signal, sys
from accel.files import write_whole
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_whole(sys.argv[1], b"never there")
"""


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    """A process that is killed leaves a part beside the old file; the next one to write the file removes it.

    Of another file, and of a process that is still writing, nothing is removed.
    """
    path = tmp_path / "file"
    path.write_bytes(OLD)
    words = [sys.executable, "-c", KILLED, str(path)]
    subprocess.run(words, check=False, cwd=Path(__file__).parents[1])
    assert path.read_bytes() == OLD
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / ".other.x.part").touch()
    writing = tmp_path / ".file.x.part"
    with writing.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_whole(path, NEW)
        assert {entry.name for entry in tmp_path.iterdir()} == {"file", ".other.x.part", ".file.x.part"}
    write_whole(path, NEW)
    assert {entry.name for entry in tmp_path.iterdir()} == {"file", ".other.x.part"}


class TestReading:
    def test_a_file_is_read(self, tmp_path: Path) -> None:
        """An ordinary file of as many bytes as are allowed, and no other, is read; a link to one is one."""
        (tmp_path / "file").write_bytes(OLD)
        (tmp_path / "link").symlink_to("file")
        assert read_whole(tmp_path / "link", len(OLD)) == OLD
        with pytest.raises(EspalierError, match=f"has {len(OLD)} bytes, expected at most {len(OLD) - 1}"):
            read_whole(tmp_path / "file", len(OLD) - 1)

    @pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/", "pipe"])
    def test_what_is_no_file(self, tmp_path: Path, path: str) -> None:
        """What never ends, or waits for a writer that never comes, is told at once."""
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(EspalierError, match=r"is a (directory|pipe or a device), expected a file"):
            read_whole(tmp_path / path)

    def test_no_file_has_a_nul_in_its_name(self) -> None:
        """A name that no system takes is told in words."""
        with pytest.raises(EspalierError, match="no file has a NUL in its name"):
            read_whole("a\0b")

    @pytest.mark.parametrize("size", [1 << 30, 1 << 40])
    def test_a_file_of_holes(self, tmp_path: Path, size: int) -> None:
        """A file that says that it is large and takes no room on the disk is not read."""
        with (tmp_path / "file").open("wb") as file:
            file.write(OLD)
            file.truncate(size)
        with pytest.raises(EspalierError, match="at most"):
            read_whole(tmp_path / "file")
        with (tmp_path / "file").open("r+b") as file:
            file.truncate(1 << 20)
        assert read_whole(tmp_path / "file") == OLD + bytes((1 << 20) - len(OLD))
