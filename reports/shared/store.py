"""What was measured, kept in one SQLite file as it comes: an exploration that was killed goes on where it was."""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accel.errors import EspalierError

APPLICATION = 0x45535058  # "ESPX" in the header of the file: a file of ours, not somebody's photographs
VERSION = 2  # 1 had no digests
PATIENCE_SECONDS = 30.0  # for another exploration that is writing a row
SCHEMA = "CREATE TABLE results (key TEXT PRIMARY KEY, value BLOB NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID"
MOST_VALUE_BYTES = 1 << 28  # of a result; a network is the largest


class Store:
    """Rows of a key, which says everything that decides a result, the result as bytes, and the digest of both.

    A write-ahead log takes each row whole or not at all and lets others read; a row that is there is never written
    again, because the same key gives the same result. One that does not match its digest is not there: it is deleted
    and counted as `damaged`. Make a store with `opened`.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._rows, self.damaged = path, connection, 0

    def add(self, key: str, value: bytes) -> None:
        """Keep a result; it is on the disk when this returns."""
        with _told(self.path):
            self._rows.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?)", (key, value, _digest(key, value)))

    def get(self, key: str) -> bytes | None:
        """Return the result of a key, or None."""
        with _told(self.path):
            row = self._rows.execute("SELECT value, digest FROM results WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            value, digest = row
            if isinstance(value, bytes) and digest == _digest(key, value):
                return value
            self._rows.execute("DELETE FROM results WHERE key = ?", (key,))
        self.damaged += 1
        return None

    def records(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return those of the keys that have a result, each with its JSON."""
        found = {key: self.get(key) for key in keys}
        return {key: json.loads(value) for key, value in found.items() if value is not None}


def _digest(key: str, value: bytes) -> bytes:
    return hashlib.sha256(len(key).to_bytes(8, "little") + key.encode() + value).digest()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        what = " ".join(str(error).split())
        hint = "; delete it, or name another folder" if isinstance(error, sqlite3.DatabaseError) else ""
        raise EspalierError(f"{path}: {what}{hint}") from error


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """Give the store at `path`, made if it is not there; its folder is.

    Raises
    ------
    EspalierError
        The file is something else, of another version, damaged, or cannot be read or written.
    """
    with _told(path):
        connection = sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None)
    with contextlib.closing(connection):
        with _told(path):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES)
            _prepare(path, connection)
        yield Store(path, connection)


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    application, version = (connection.execute(f"PRAGMA {x}").fetchone()[0] for x in ("application_id", "user_version"))
    schema = connection.execute("SELECT sql FROM sqlite_master").fetchall()
    if schema and (application, version, schema) != (APPLICATION, VERSION, [(SCHEMA,)]):
        raise EspalierError(
            f"{path}: is no store of error rates of version {VERSION}; delete it, or name another folder"
        )
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()  # rows out of order are not found again
    if found != "ok":
        raise EspalierError(f"{path}: is damaged ({' '.join(found.split())}); delete it, or name another folder")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")  # all of it or nothing, also if two begin at once
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute(SCHEMA.replace("TABLE", "TABLE IF NOT EXISTS"))
    connection.execute("COMMIT")
