"""Results on the disk as they come: one JSON object a line, so that a study that was stopped goes on where it was."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accel.errors import EspalierError
from accel.files import write_whole

Record = dict[str, Any]


class Journal:
    """A file of records; a last line that was cut short does not count.

    Parameters
    ----------
    path : Path
        In a folder that is there.
    what : str
        What a record is, for errors.
    repair : bool
        Whether a line that was cut short is taken off the file too; not while somebody else may be writing it.
    """

    def __init__(self, path: Path, what: str, repair: bool = True) -> None:
        self.path, self.what = path, what
        whole = path.read_bytes() if path.exists() else b""
        self._sound = whole[: whole.rfind(b"\n") + 1]
        if self._sound != whole and repair:
            write_whole(path, self._sound)

    def read(self, take: Callable[[Record], None]) -> None:
        """Give `take` each record that the file held when it was opened.

        Raises
        ------
        EspalierError
            A line is no record, or `take` stumbles over it.
        """
        for number, line in enumerate(self._sound.splitlines(), start=1):
            try:
                take(json.loads(line))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise EspalierError(f"{self.path}: line {number} is no {self.what}: {error}") from error

    def add(self, record: Record) -> Record:
        """Put a record on the disk before returning it, as it will be read."""
        text = json.dumps(record)
        with self.path.open("ab") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return dict(json.loads(text))
