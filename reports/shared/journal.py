"""Results on the disk as they come, so that a study that was stopped goes on where it was.

A `Journal` is a file of work in progress, one JSON object a line. Each line carries its own digest; one that was
changed is noted and forgotten: what it said is measured again. Where runs go on from what is kept for good, in a new
clone too, the results are their own journal, sealed as a whole: `results_of` and `write_results`.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accel.errors import EspalierError, reading
from accel.files import read_whole, write_whole
from accel.records import parse_json, record_of, sealed, text_of, unsealed

Record = dict[str, Any]
RESULTS = "results.json"
MOST_BYTES = 1 << 27  # of a file; a line takes 200 to 20,000
MOST_LINE_BYTES = 1 << 24


class Journal:
    """A file of records; lines whose digest is not that of what they say do not count.

    Parameters
    ----------
    path : Path
        In a folder that is there.
    what : str
        What a record is, for errors.
    repair : bool
        Whether such lines are taken off the file too; not while somebody else may be writing it.

    Raises
    ------
    EspalierError
        The file has more than `MOST_BYTES`.
    """

    def __init__(self, path: Path, what: str, repair: bool = True) -> None:
        self.path, self.what = path, what
        whole = read_whole(path, MOST_BYTES) if path.exists() else b""
        *lines, rest = whole.split(b"\n")  # after the last line end is what was cut short, or nothing
        self._records: dict[int, Record] = {}
        for number, line in enumerate(lines, start=1):
            try:
                with reading(f"{path}: line {number}"):
                    if len(line) > MOST_LINE_BYTES:
                        raise EspalierError(f"has more than {MOST_LINE_BYTES:,} bytes")
                    self._records[number] = unsealed(parse_json(line))
            except EspalierError as error:
                print(f"note: {error}; what it said is measured again", file=sys.stderr)
        if repair and (rest or len(self._records) < len(lines)):
            write_whole(path, b"".join(lines[number - 1] + b"\n" for number in self._records))

    def read(self, take: Callable[[Record], None]) -> None:
        """Give `take` each record that the file held when it was opened.

        Raises
        ------
        EspalierError
            `take` stumbles over a record.
        """
        for number, record in self._records.items():
            with reading(f"{self.path}: line {number} is no {self.what}"):
                take(record)

    def add(self, record: Record) -> Record:
        """Put a record on the disk before returning it, as it will be read.

        Raises
        ------
        EspalierError
            A number is not finite.
        """
        text = json.dumps(sealed(record))
        with self.path.open("ab") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return unsealed(json.loads(text))


def results_of(folder: Path, name: str) -> dict[str, Any]:
    """Return what the results in a folder say under a name, an item each; none where there are none yet.

    Raises
    ------
    EspalierError
        The file was cut or changed, or is of something else.
    """
    path = folder / RESULTS
    if not path.exists():
        return {}
    with reading(path):
        return record_of(dict[str, Any], unsealed(parse_json(text_of(path)))[name], name)


def write_results(folder: Path, record: Mapping[str, Any]) -> None:
    """Write results as `results_of` reads them, whole or not at all."""
    write_whole(folder / RESULTS, (json.dumps(sealed(record), indent=1) + "\n").encode())
