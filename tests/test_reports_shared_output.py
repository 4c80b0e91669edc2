import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from support.commandline import (
    complaint,
    contents,
    environment,
    espalier,
    espalier_process,
    line_of,
    made_results,
    program_text,
    untrained_lenet5,
)

from accel.errors import EspalierError
from accel.quantize import Widths, lower
from reports.report import measure
from reports.report.results import Results
from reports.shared.output import growing, write_folder, writing

FILES = {"a.txt": b"first", "b.txt": b"second"}
SMALL = ("--bits", 4, "--patterns", "dense", "--images", 5)  # a report that takes a second


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder in which there is something already, some of it under the same name."""
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "a.txt").write_bytes(b"old")
    (tmp_path / "out" / "deep" / "mine").write_bytes(b"mine")
    return tmp_path / "out"


def test_written(folder: Path) -> None:
    """Files of the same name are replaced, others are left alone, and nothing else stays."""
    write_folder(folder, FILES)
    assert contents(folder) == {**FILES, "deep": None, "deep/mine": b"mine"}


def test_the_folder_is_made(tmp_path: Path) -> None:
    """A folder is made with those above it."""
    write_folder(tmp_path / "x" / "y", FILES)
    assert contents(tmp_path / "x" / "y") == FILES


def test_ordinary_permissions(tmp_path: Path) -> None:
    """Others may read the files if the umask lets them."""
    (tmp_path / "ordinary").touch()
    write_folder(tmp_path, FILES)
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_check_leaves_no_trace(tmp_path: Path, folder: Path) -> None:
    """To write no files checks that a folder can be written: what had to be made for that goes again."""
    before = contents(tmp_path)
    write_folder(tmp_path / "x" / "y", {})
    write_folder(folder, {})
    assert contents(tmp_path) == before


@pytest.mark.parametrize("files", [{}, FILES])
def test_a_folder_under_a_file(tmp_path: Path, files: dict[str, bytes]) -> None:
    """What cannot be a folder is named, and nothing is made."""
    (tmp_path / "file").touch()
    with pytest.raises(EspalierError, match=f"^cannot write to {tmp_path / 'file' / 'x' / 'y'}: Not a directory$"):
        write_folder(tmp_path / "file" / "x" / "y", files)
    assert contents(tmp_path) == {"file": b""}


def test_a_folder_in_the_place_of_a_file(folder: Path) -> None:
    """A folder that has the name of a file is not replaced, and neither are the files before it."""
    (folder / "b.txt").mkdir()
    before = contents(folder)
    with pytest.raises(EspalierError, match=f"^{folder / 'b.txt'}: is a folder; expected a file"):
        write_folder(folder, FILES)
    assert contents(folder) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("new", [False, True])
def test_a_stop_in_the_middle(folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, new: bool) -> None:
    """A full disk, or Ctrl-C, at the second file leaves what was there, and no folder that was not."""
    target = folder / "new" / "er" if new else folder
    before = contents(folder)
    fsync, files = os.fsync, 0

    def stop(handle: int) -> None:
        nonlocal files
        files += 1
        if files == 2:
            raise error
        fsync(handle)

    monkeypatch.setattr(os, "fsync", stop)
    expected = EspalierError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_folder(target, FILES)
    assert contents(folder) == before
    monkeypatch.undo()
    write_folder(target, FILES)  # negative control: without the stop, it is written
    assert contents(folder) != before


def test_a_file_that_cannot_be_written_is_named() -> None:
    """An error of the system that names no file, or a temporary one, is told with the name that the user gave."""

    def full() -> NoReturn:
        raise OSError(28, os.strerror(28))

    with pytest.raises(EspalierError, match=r"^cannot write to a/b: No space left on device$"), writing(Path("a/b")):
        full()
    with writing(Path("a/b")):
        pass


@pytest.mark.parametrize("ends_well", [True, False])
def test_what_another_program_writes(tmp_path: Path, ends_well: bool) -> None:
    """It has a name that ends alike while it grows; the file that was asked for is whole, or the one from before."""
    (tmp_path / "run.vcd").write_text("before")
    with contextlib.suppress(KeyboardInterrupt), growing(tmp_path / "run.vcd") as part:
        assert part is not None
        assert part.suffix == ".vcd"
        part.write_text("half")
        assert (tmp_path / "run.vcd").read_text() == "before"
        if not ends_well:
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["run.vcd"]
    assert (tmp_path / "run.vcd").read_text() == ("half" if ends_well else "before")


class TestCommands:
    """The same of the commands: one line, exit status 2, and everything as it was."""

    @pytest.fixture
    def program(self, tmp_path: Path) -> Path:
        """Return the file of a Program, in a folder that holds nothing else."""
        path = tmp_path / "p.espalier"
        lower(untrained_lenet5(), Widths(4, 4), np.zeros((1, 1, 28, 28), np.float32)).save(path)
        return path

    def test_unwritable_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder that cannot be made is told before the work begins."""
        (tmp_path / "file").write_bytes(b"mine")
        monkeypatch.setattr(measure, "measure", lambda plan: pytest.fail("the work has begun"))
        for out in (tmp_path / "file", tmp_path / "file" / "sub" / "folder"):
            line = complaint("report", "digits", *SMALL, "--out", out)
            assert line.startswith(f"cannot write to {out}: ")
        assert contents(tmp_path) == {"file": b"mine"}

    @pytest.mark.parametrize(("place", "reason"), [("file/x", "Not a directory"), ("no/x", "No such file")])
    def test_unwritable_file(self, program: Path, place: str, reason: str) -> None:
        """A file that cannot be written is named as the user named it."""
        (program.parent / "file").write_bytes(b"mine")
        before = contents(program.parent)
        path = program.parent / place
        for arguments in (("quantize", "digits", "-o", path), ("size", program, "--json", path)):
            assert complaint(*arguments).startswith(f"cannot write to {path}: {reason}")
        assert contents(program.parent) == before

    def test_a_full_disk_is_named(self, program: Path) -> None:
        """The system does not say which file it was that met a full disk; the command does."""
        reason = "cannot write to /dev/full: No space left on device"
        assert complaint("quantize", "digits", "-o", "/dev/full") == reason
        assert complaint("size", program, "--json", "/dev/full") == reason
        assert espalier("size", program, "--json", "/dev/null").status == 0  # negative control

    def test_a_folder_where_a_file_belongs(self, tmp_path: Path) -> None:
        """A folder is not taken for a file to write."""
        assert complaint("quantize", "digits", "-o", tmp_path).endswith("is a directory.")
        assert complaint("size", "digits", "--json", tmp_path).endswith("is a directory.")
        assert contents(tmp_path) == {}


FULL_DISK = """
import pathlib, resource
from reports.report import measure
from reports.report.results import Results
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
measure.measure = lambda plan: Results.from_json(pathlib.Path({results!r}).read_text())
"""


@pytest.mark.slow
def test_the_disk_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are there stay as they are, none is added, and no temporary folder stays.

    The process may write files of 20,000 bytes: the first figure fits, the next ones meet the limit on their way.
    """
    out, saved = tmp_path / "out", tmp_path / "saved.json"
    out.mkdir()
    for name in ("results.json", "accuracy.svg", "mine"):
        (out / name).write_bytes(b"old")
    saved.write_text(made_results().to_json())
    before = contents(tmp_path)
    arguments = ("report", "digits", *SMALL, "--patterns", "2:4", "--out", out)  # what the results recommend
    done = espalier_process(*arguments, before=FULL_DISK.format(results=str(saved)))
    assert line_of(done) == f"cannot write to {out}: File too large"
    assert contents(tmp_path) == before
    # negative control: without the limit the same report is written
    monkeypatch.setattr(measure, "measure", lambda plan: Results.from_json(saved.read_text()))
    assert espalier(*arguments).status == 0
    assert (out / "results.json").read_text() == saved.read_text()
    sizes = [len(content or b"") for content in contents(out).values()]
    assert min(sizes) < 20_000 < max(sizes)
    assert (
        len(sizes) == 23
    )  # 8 figures twice, the page, the numbers twice, what was recommended, and what else was there


MEASURING = """
import time
from reports.report.version import _Version
point = _Version._point
def slow(*arguments):
    result = point(*arguments)
    print("measured one", flush=True)
    time.sleep(60)
    return result
_Version._point = slow
"""


class TestStopped:
    @pytest.mark.parametrize(
        ("by", "status", "new"), [(signal.SIGINT, 130, True), (signal.SIGKILL, -signal.SIGKILL, False)]
    )
    def test_while_measuring(self, tmp_path: Path, by: signal.Signals, status: int, new: bool) -> None:
        """Ctrl-C, or being killed, while it measures leaves the results of the run before, whole, or none at all."""
        out = tmp_path / "out"
        if not new:
            out.mkdir()
            (out / "results.json").write_bytes(b"old")
        before = contents(tmp_path)
        words = [*program_text(MEASURING), "report", "digits", *map(str, SMALL), "--jobs", "1", "--out", str(out)]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as running:
            assert running.stdout
            assert running.stdout.readline() == "measured one\n"
            running.send_signal(by)
            _, errors = running.communicate(timeout=60)
        assert running.returncode == status
        assert errors == ("espalier: interrupted\n" if status == 130 else "")  # no traceback
        assert contents(tmp_path) == before
