"""Results, kept in one SQLite file as they come: what was killed goes on where it was, and nobody makes them again."""

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accel.errors import EspalierError

APPLICATION = 0x45535058  # "ESPX" in the header of the file: a file of ours, not somebody's photographs
VERSION = 3  # 1 had no digests, 2 no days
PATIENCE_SECONDS = 30.0  # for another exploration that is writing a row
SCHEMA = (
    "CREATE TABLE results (key TEXT PRIMARY KEY, value BLOB NOT NULL, digest BLOB NOT NULL, day INTEGER NOT NULL) "
    "WITHOUT ROWID"
)
DAY_SECONDS = 86_400
MOST_VALUE_BYTES = 1 << 28  # of a result; a network is the largest


class Store:
    """Rows of a key, which says everything that decides a result, the result as bytes, and the digest of both.

    A row also has the day on which it was last asked for. A write-ahead log takes each row whole or not at all and lets
    others read; a row that is there is never written again, because the same key gives the same result. One that does
    not match its digest is not there: it is deleted and counted as `damaged`. Make a store with `opened`.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._rows, self.damaged = path, connection, 0

    def add(self, key: str, value: bytes) -> None:
        """Keep a result; it is on the disk when this returns."""
        with _told(self.path):
            row = key, value, _digest(key, value), _today()
            self._rows.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?)", row)

    def get(self, key: str) -> bytes | None:
        """Return the result of a key, or None."""
        with _told(self.path):
            row = self._rows.execute("SELECT value, digest, day FROM results WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            value, digest, day = row
            if isinstance(value, bytes) and digest == _digest(key, value):
                if day != _today():
                    self._rows.execute("UPDATE results SET day = ? WHERE key = ?", (_today(), key))
                return value
            self._rows.execute("DELETE FROM results WHERE key = ?", (key,))
        self.damaged += 1
        return None

    def records(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return those of the keys that have a result, each with its JSON."""
        found = {key: self.get(key) for key in keys}
        return {key: json.loads(value) for key, value in found.items() if value is not None}

    def size(self) -> tuple[int, int]:
        """Return how many results there are, and the bytes of all."""
        with _told(self.path):
            count, held = self._rows.execute(
                "SELECT count(*), coalesce(sum(length(key) + length(value)), 0) FROM results"
            ).fetchone()
        return count, held

    def forget(self, unused_days: int | None = None, most_bytes: int | None = None) -> int:
        """Delete results and give their room back.

        Parameters
        ----------
        unused_days : int, optional
            Those that nobody asked for in so many days; 0: all.
        most_bytes : int, optional
            Those that were not asked for the longest, until no more than so many bytes are left.

        Returns
        -------
        int
            How many went.
        """
        before, _ = self.size()
        with _told(self.path):
            if unused_days is not None:
                self._rows.execute("DELETE FROM results WHERE day <= ?", (_today() - unused_days,))
            if most_bytes is not None:
                older = "sum(length(key) + length(value)) OVER (ORDER BY day DESC, key)"
                ranked = f"SELECT key, {older} AS held FROM results"
                self._rows.execute(
                    f"DELETE FROM results WHERE key IN (SELECT key FROM ({ranked}) WHERE held > ?)", (most_bytes,)
                )
            self._rows.execute("VACUUM")
        return int(before - self.size()[0])


def _today() -> int:
    """Return the number of the day."""
    return int(time.time() // DAY_SECONDS)


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
        raise EspalierError(f"{path}: is no store of results of version {VERSION}; delete it, or name another folder")
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()  # rows out of order are not found again
    if found != "ok":
        raise EspalierError(f"{path}: is damaged ({' '.join(found.split())}); delete it, or name another folder")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")  # all of it or nothing, also if two begin at once
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute(SCHEMA.replace("TABLE", "TABLE IF NOT EXISTS"))
    connection.execute("COMMIT")
