"""The store: rows are there when `add` returns, once; what is no store is refused in one line."""

import sqlite3
from pathlib import Path

import pytest

from accel.errors import EspalierError
from reports.explore.kept import Kept
from reports.explore.store import opened
from reports.explore.workers import workers


def doubled(number: int) -> bytes:
    """Return twice the number, as text."""
    return str(2 * number).encode()


class TestStore:
    def test_kept(self, tmp_path: Path) -> None:
        """What was added is there for whoever opens the file next, and for a reader at the same time."""
        path = tmp_path / "rates.sqlite"
        with opened(path) as store:
            store.add("a", b"1")
            with opened(path) as other:
                assert (other.get("a"), other.get("b")) == (b"1", None)
        with opened(path) as store:
            assert store.get("a") == b"1"

    def test_first_stays(self, tmp_path: Path) -> None:
        """The same key gives the same result: a second one changes nothing."""
        with opened(tmp_path / "x") as store:
            store.add("a", b"1")
            store.add("a", b"2")
            assert store.get("a") == b"1"

    def test_no_store(self, tmp_path: Path) -> None:
        """Another file, or another program's database, is not touched."""
        text, photographs = tmp_path / "text", tmp_path / "photographs"
        text.write_text("nothing that SQLite knows" * 100)
        with sqlite3.connect(photographs) as connection:
            connection.execute("CREATE TABLE photographs (name TEXT)")
        connection.close()
        for path in (text, photographs):
            before = path.read_bytes()
            with pytest.raises(EspalierError) as refused, opened(path):
                pass
            assert str(refused.value).startswith(str(path))
            assert "\n" not in str(refused.value)
            assert path.read_bytes() == before

    def test_another_version(self, tmp_path: Path) -> None:
        """So is a store of a release to come."""
        with opened(tmp_path / "x") as store:
            store.add("a", b"1")
        with sqlite3.connect(tmp_path / "x") as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(EspalierError, match="is no store of error rates of version 1"), opened(tmp_path / "x"):
            pass

    def test_no_folder(self, tmp_path: Path) -> None:
        """A place where nothing can be is told."""
        with pytest.raises(EspalierError, match="unable to open"), opened(tmp_path / "none" / "x"):
            pass


class TestKept:
    def test_done_once(self, tmp_path: Path) -> None:
        """What the store has is not done again; what it has not is done once for each key."""
        with opened(tmp_path / "x") as store, workers("loky", 1, None) as run:
            store.add("one", b"kept")  # what doubled() would not say
            kept = Kept(store, run)
            found = kept.results("numbers", doubled, {"one": (1,), "two": (2,), "three": (3,)})
            assert found == {"one": b"kept", "two": b"4", "three": b"6"}
            assert (kept.found, kept.done) == (1, 2)
            assert kept.results("numbers", doubled, {"three": (3,)}) == {"three": b"6"}
            assert (kept.found, kept.done) == (2, 2)

    def test_stopped(self, tmp_path: Path) -> None:
        """What was done before something went wrong stays."""
        with opened(tmp_path / "x") as store, workers("loky", 1, None) as run:
            with pytest.raises(TypeError):
                Kept(store, run).results("numbers", doubled, {"one": (1,), "none": (None,), "two": (2,)})
            assert (store.get("one"), store.get("two")) == (b"2", None)
