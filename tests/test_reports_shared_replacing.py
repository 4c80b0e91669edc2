"""Files of a folder are replaced together: at whatever line the process is killed, old or new results are there, whole.

`KILLED` forks a process for every line of `reports.shared.replacing` that a replacement executes, and kills it there.
"""

import ctypes
import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support.commandline import contents, environment

from reports.shared import replacing
from reports.shared.replacing import MARK, MOST_OTHERS, STAGING, put_right, replace_together

OLD = {"results.json": b"old numbers", "a.svg": b"old figure", "gone.svg": b"a figure of before"}
NEW = {"results.json": b"new numbers", "a.svg": b"new figure", "b.svg": b"one more"}
THEIRS = {"notes.txt": b"mine", "checkpoints": None, "checkpoints/rates.sqlite": b"rows"}
HAS_EXCHANGE = hasattr(ctypes.CDLL(None), "renameat2")

KILLED = """
import json, os, shutil, signal, sys
from pathlib import Path
from reports.shared import replacing

folder, own = Path(sys.argv[1]) / "out", sys.argv[2] == "own"
files = {name: text.encode() for name, text in json.loads(sys.argv[3]).items()}
theirs = {name: text.encode() for name, text in json.loads(sys.argv[4]).items()}

def prepare():
    shutil.rmtree(folder.parent)
    for name, content in theirs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

def look():
    return {str(x.relative_to(folder)): x.read_bytes().decode() for x in sorted(folder.rglob("*")) if x.is_file()}

def apart(work):
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def killed_at(line):
    left = line
    def count(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename != replacing.__file__:
            return None
        if event == "line":
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return count
    def work():
        sys.settrace(count)
        replacing.replace_together(folder, files, own)
    return apart(work)

line = 0
while True:
    line += 1
    prepare()
    status = killed_at(line)
    seen = look()
    apart(lambda: replacing.put_right(folder))
    print(json.dumps([status, seen, look(), sorted(x.name for x in folder.parent.iterdir())]))
    if not status:
        break
"""


def text(files: dict[str, bytes | None]) -> dict[str, str]:
    """Return the files among `files`, as text."""
    return {name: content.decode() for name, content in files.items() if content is not None}


def visible(files: dict[str, str]) -> dict[str, str]:
    """Return what does not lie in hidden places."""
    return {name: content for name, content in files.items() if not name.startswith(".")}


def every_kill(tmp_path: Path, own: bool) -> list[list[Any]]:
    """Return, for a kill at each line, the status, what is there, what is there after the next run, and beside it."""
    (tmp_path / "work").mkdir()
    arguments = ["own" if own else "theirs", json.dumps(text(NEW)), json.dumps(text({**OLD, **THEIRS}))]
    words = [sys.executable, "-c", KILLED, str(tmp_path / "work"), *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment(), cwd=tmp_path)
    return [json.loads(line) for line in done.stdout.splitlines()]


BEFORE, AFTER = text({**OLD, **THEIRS}), text({**OLD, **THEIRS, **NEW})


@pytest.mark.slow
@pytest.mark.skipif(not HAS_EXCHANGE, reason="this system has no renameat2")
def test_killed_at_any_line(tmp_path: Path) -> None:
    """A folder of ours holds all old or all new files at every moment, and what others put there.

    The next run removes what was left. Both outcomes occur, and the last row is of a run that nobody killed.
    """
    rows = every_kill(tmp_path, own=True)
    assert len(rows) > 100
    assert [status for status, *_ in rows] == [-9] * (len(rows) - 1) + [0]
    outcomes = [visible(seen) for _, seen, *_ in rows]
    assert [seen for seen in outcomes if seen not in (BEFORE, AFTER)] == []
    assert outcomes[0] == BEFORE
    assert AFTER in outcomes[:-1]
    for (_, _, later, beside), seen in zip(rows, outcomes, strict=True):
        assert later == seen  # put right, nothing hidden is left, and nothing that was seen changes
        assert beside == ["out"]


@pytest.mark.slow
def test_killed_among_the_files_of_others(tmp_path: Path) -> None:
    """In somebody's folder files go one by one, but a kill in between is finished by the next run: all or none.

    The negative control is among the rows: before the next run there are mixtures.
    """
    rows = every_kill(tmp_path, own=False)
    assert [status for status, *_ in rows] == [-9] * (len(rows) - 1) + [0]
    assert any(visible(seen) not in (BEFORE, AFTER) for _, seen, *_ in rows)
    assert [later for _, _, later, _ in rows if later not in (BEFORE, AFTER)] == []
    assert {beside == ["out"] for *_, beside in rows} == {True}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with old results and what others put there."""
    folder = tmp_path / "out"
    for name, content in {**OLD, **THEIRS}.items():
        if content is None:
            (folder / name).mkdir(parents=True)
        else:
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("own", [True, False])
def test_replaced(folder: Path, own: bool) -> None:
    """Files of these names are new, all others stay, links and permissions too, and nothing hidden is left."""
    (folder / "link").symlink_to("notes.txt")
    folder.chmod(0o750)
    replace_together(folder, NEW, own)
    assert contents(folder) == {**OLD, **THEIRS, **NEW, "link": b"mine"}
    assert os.readlink(folder / "link") == "notes.txt"
    assert folder.stat().st_mode & 0o777 == 0o750
    assert os.listdir(folder.parent) == ["out"]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch, own: bool, number: int) -> None:
    """At whichever file the disk is full, what was there stays as it is."""
    before, fsync = contents(folder), os.fsync

    def full(handle: int) -> None:
        nonlocal number
        number -= 1
        if not number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_together(folder, NEW, own)
    assert contents(folder) == before
    assert os.listdir(folder.parent) == ["out"]


def refuse(number: int) -> Any:
    """Return a function that fails as the system does with that number."""

    def fail(*_: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EBUSY, errno.EPERM])
def test_no_exchange(folder: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Where two folders cannot change places, the files go one by one."""
    monkeypatch.setattr(replacing, "_exchange", refuse(number))
    inode = folder.stat().st_ino
    replace_together(folder, NEW, own=True)
    assert contents(folder) == {**OLD, **THEIRS, **NEW}
    assert folder.stat().st_ino == inode
    assert os.listdir(folder.parent) == ["out"]


@pytest.mark.skipif(not HAS_EXCHANGE, reason="this system has no renameat2")
def test_who_works_in_it_stays_in_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which a process works, ours or a shell, is not exchanged; otherwise (negative control) it is."""
    inode = folder.stat().st_ino
    monkeypatch.chdir(folder / "checkpoints")
    replace_together(folder, NEW, own=True)
    assert folder.stat().st_ino == inode
    monkeypatch.chdir("/")
    with subprocess.Popen(["sleep", "60"], cwd=folder) as shell:
        replace_together(folder, NEW, own=True)
        assert folder.stat().st_ino == inode
        shell.kill()
    replace_together(folder, NEW, own=True)
    assert folder.stat().st_ino != inode
    assert contents(folder) == {**OLD, **THEIRS, **NEW}


def test_a_folder_full_of_others(tmp_path: Path) -> None:
    """A folder with a thousand files of others is not made anew."""
    for number in range(MOST_OTHERS + 1):
        (tmp_path / f"{number}.jpg").touch()
    inode = tmp_path.stat().st_ino
    replace_together(tmp_path, NEW, own=True)
    assert tmp_path.stat().st_ino == inode
    assert len(os.listdir(tmp_path)) == MOST_OTHERS + 1 + len(NEW)


@pytest.mark.skipif(not HAS_EXCHANGE, reason="this system has no renameat2")
def test_what_comes_in_between_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody writes into the folder while it is made anew is there afterwards; what they wrote later wins."""
    exchange = replacing._exchange

    def late(new: Path, old: Path) -> None:
        (old / "late.txt").write_bytes(b"late")
        (old / "checkpoints" / "late").write_bytes(b"late")
        (old / "notes.txt").unlink()
        (old / "notes.txt").write_bytes(b"changed")
        exchange(new, old)

    monkeypatch.setattr(replacing, "_exchange", late)
    replace_together(folder, NEW, own=True)
    late_files = {"late.txt": b"late", "checkpoints/late": b"late", "notes.txt": b"changed"}
    assert contents(folder) == {**OLD, **THEIRS, **NEW, **late_files}


def test_leftovers_of_others_stay(folder: Path) -> None:
    """Only what bears our names is removed, and the folder of another result beside this one is none of them."""
    for name in (f".other{STAGING}x", ".outing", "out.espalier"):
        (folder.parent / name).mkdir()
    for name in (".espalier", f"{STAGING}file.txt"):
        (folder / name).write_bytes(b"theirs")
    (folder.parent / f".out{STAGING}x").mkdir()
    (folder / f"{STAGING}x").mkdir()
    put_right(folder)
    assert sorted(os.listdir(folder.parent)) == sorted([f".other{STAGING}x", ".outing", "out", "out.espalier"])
    assert {".espalier", f"{STAGING}file.txt"} <= set(os.listdir(folder))
    assert not (folder / f"{STAGING}x").exists()
    assert not (folder / MARK).exists()
