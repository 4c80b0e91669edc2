"""Writing results: everything is made first, then put in place, so that nothing stays half-written."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from accel.errors import EspalierError
from accel.files import write_whole
from accel.records import json_text


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (name to content) into `folder`, all of them or none.

    They are written to a temporary folder inside it first; files that are there under other names are left alone. A
    folder that had to be made stays only if something is in it, so that writing no files is a check without a trace.

    Raises
    ------
    EspalierError
        The folder cannot be made or written, or the disk is full; nothing new is there then.
    """
    made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".espalier-", dir=folder))
            try:
                _fill(folder, staging, files)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()


def _fill(folder: Path, staging: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (staging / name).write_bytes(content)
        if (folder / name).is_dir():
            raise EspalierError(f"{folder / name}: is a folder; expected a file, or nothing, to replace")
    for name in files:
        os.replace(staging / name, folder / name)


def check_place(*paths: Path | None) -> None:
    """Raise EspalierError if a file could not be written because its folder is none, before the work and not after."""
    for path in filter(None, paths):
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


def write_json(path: Path, record: Any) -> None:
    """Write `record` as JSON, whole or not at all; raise EspalierError if a number in it is not finite."""
    with writing(path):
        write_whole(path, (json_text(record, indent=1) + "\n").encode())
