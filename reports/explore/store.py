"""What was measured, kept in one SQLite file as it comes: an exploration that was killed goes on where it was."""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accel.errors import EspalierError

APPLICATION = 0x45535058  # "ESPX" in the header of the file: a file of ours, not somebody's photographs
VERSION = 1
PATIENCE_SECONDS = 30.0  # for another exploration that is writing a row


class Store:
    """Rows of a key, which says everything that decides a result, and the result as bytes.

    A write-ahead log takes each row whole or not at all and lets others read; a row that is there is never written
    again, because the same key gives the same result. Make one with `opened`.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._rows = path, connection

    def add(self, key: str, value: bytes) -> None:
        """Keep a result; it is on the disk when this returns."""
        with self._told():
            self._rows.execute("INSERT OR IGNORE INTO results VALUES (?, ?)", (key, value))

    def get(self, key: str) -> bytes | None:
        """Return the result of a key, or None."""
        with self._told():
            row = self._rows.execute("SELECT value FROM results WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def records(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return those of the keys that have a result, each with its JSON."""
        found = {key: self.get(key) for key in keys}
        return {key: json.loads(value) for key, value in found.items() if value is not None}

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise EspalierError(f"{self.path}: {error}") from error


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """Give the store at `path`, made if it is not there; its folder is.

    Raises
    ------
    EspalierError
        The file is something else, of another version, or cannot be read or written.
    """
    try:
        connection = sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None)
    except sqlite3.Error as error:
        raise EspalierError(f"{path}: {error}") from error
    with contextlib.closing(connection):
        store = Store(path, connection)
        with store._told():
            _prepare(path, connection)
        yield store


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    application, version = (connection.execute(f"PRAGMA {x}").fetchone()[0] for x in ("application_id", "user_version"))
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not empty and (application, version) != (APPLICATION, VERSION):
        raise EspalierError(
            f"{path}: is no store of error rates of version {VERSION}; delete it, or name another folder"
        )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")  # all of it or nothing, also if two begin at once
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
    connection.execute("COMMIT")
