"""Writing results: everything is made first, then put in place, so that nothing stays half-written."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from accel.errors import EspalierError
from accel.files import write_whole
from accel.records import json_text
from reports.shared.replacing import replace_together


def write_folder(folder: Path, files: Mapping[str, bytes], own: bool = True) -> None:
    """Write `files` (name to content) into `folder`, all of them or none; others that are there are left alone.

    A folder that had to be made stays only if something is in it, so that writing no files is a check without a trace.

    Parameters
    ----------
    folder : Path
    files : mapping
    own : bool
        Whether the folder was named for these files; else it is somebody's, and they only go into it.

    Raises
    ------
    EspalierError
        The folder cannot be made or written, or the disk is full; nothing new is there then.
    """
    made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            replace_together(folder, files, own)
    finally:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()


STANDARD = Path("-")  # standard output, where a command may write numbers to it
_numbers: list[TextIO] = []  # where they go, while everything else goes to standard error


@contextlib.contextmanager
def numbers_alone() -> Iterator[None]:
    """Keep standard output for numbers while the block runs: whatever is printed goes to standard error."""
    _numbers.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _numbers.pop().flush()


def check_place(*paths: Path | None) -> None:
    """Raise EspalierError if a file could not be written because its folder is none, before the work and not after."""
    for path in filter(None, paths):
        if path == STANDARD and _numbers:
            continue
        with writing(path):
            os.scandir(path.parent).close()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which path it was that could not be written: a full disk does not, and a temporary name means nothing."""
    try:
        yield
    except OSError as error:
        raise EspalierError(f"cannot write to {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def working_folder(folder: Path | None) -> Iterator[Path]:
    """Give `folder` to work in, or a temporary one that is gone afterwards."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="espalier-") as temporary:
        yield Path(temporary)


@contextlib.contextmanager
def growing(path: Path | None) -> Iterator[Path | None]:
    """Give a name beside `path` that ends as it does, for another program to write to; the file is `path` afterwards.

    It is gone if the block does not end well. Without a `path` there is no name.
    """
    if path is None:
        yield None
        return
    with writing(path):
        folder = tempfile.mkdtemp(prefix=".espalier-", dir=path.parent)
    try:
        part = Path(folder, f"part{path.suffix}")
        yield part
        with writing(path):
            os.replace(part, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_json(path: Path, record: Any) -> None:
    """Write `record` as JSON, whole or not at all; raise EspalierError if a number in it is not finite."""
    write_text(path, json_text(record, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text`, whole or not at all, or to standard output if `path` is `STANDARD` and that is kept for it."""
    if path == STANDARD and _numbers:
        _numbers[-1].write(text)
        return
    with writing(path):
        write_whole(path, text.encode())
