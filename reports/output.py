"""Writing a folder of results: everything is made first, then put in place, so that nothing stays half-written."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from accel.errors import EspalierError


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (name to content) into `folder`, all of them or none.

    They are written to a temporary folder beside it first; files that are there under other names are left alone.

    Raises
    ------
    EspalierError
        The folder cannot be made or written, or the disk is full; nothing new is there then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".espalier-", dir=folder))
    except OSError as error:
        raise EspalierError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        for name, content in files.items():
            (staging / name).write_bytes(content)
        for name in files:
            os.replace(staging / name, folder / name)
    except OSError as error:
        raise EspalierError(f"cannot write to {folder}: {error.strerror or error}; nothing was changed") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
