"""The store: rows are there when `add` returns, once; what is no store is refused in one line."""

import sqlite3
from pathlib import Path

import pytest

from accel.errors import EspalierError
from reports.explore.kept import Kept
from reports.shared.store import opened
from reports.shared.workers import workers


def doubled(number: int) -> bytes:
    """Return twice the number, as text."""
    return str(2 * number).encode()


class TestStore:
    def test_kept(self, tmp_path: Path) -> None:
        """What was added is there for whoever opens the file next, and for a reader at the same time."""
        path = tmp_path / "results.sqlite"
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
        with pytest.raises(EspalierError, match="is no store of results of version 3"), opened(tmp_path / "x"):
            pass

    @pytest.mark.parametrize(
        "change",
        [
            "value = CAST('3' AS BLOB)",
            "value = '1'",  # a text where bytes were
            "value = 1000000000000",
            "digest = x'00'",
            "key = 'b'",  # the result of another key
        ],
    )
    def test_a_changed_row_is_not_there(self, tmp_path: Path, change: str) -> None:
        """A row that does not match its digest is as if it had never been, and can be written again."""
        path = tmp_path / "x"
        with opened(path) as store:
            store.add("a", b"1")
        with sqlite3.connect(path) as connection:
            connection.execute(f"UPDATE results SET {change}")
        connection.close()
        with opened(path) as store:
            assert (store.get("a"), store.get("b"), store.damaged) == (None, None, 1)
            store.add("a", b"2")
            assert (store.get("a"), store.damaged) == (b"2", 1)

    @pytest.mark.parametrize("more", ["TRIGGER t AFTER INSERT ON results BEGIN SELECT 1; END", "TABLE more (x)"])
    def test_another_schema(self, tmp_path: Path, more: str) -> None:
        """A database that would do more than hold results is refused."""
        with opened(tmp_path / "x"):
            pass
        with sqlite3.connect(tmp_path / "x") as connection:
            connection.execute(f"CREATE {more}")
        connection.close()
        with pytest.raises(EspalierError, match="is no store of results"), opened(tmp_path / "x"):
            pass

    def test_rows_out_of_order(self, tmp_path: Path) -> None:
        """A key that was changed in the file would not be found where SQLite looks for it, nor be written again."""
        path = tmp_path / "x"
        with opened(path) as store:
            for key in ("key a", "key m", "key z"):
                store.add(key, b"1")
        path.write_bytes(path.read_bytes().replace(b"key a", b"key y"))
        with pytest.raises(EspalierError, match=r"is damaged .*row not in PRIMARY KEY order"), opened(path):
            pass

    def test_no_folder(self, tmp_path: Path) -> None:
        """A place where nothing can be is told."""
        with pytest.raises(EspalierError, match="unable to open"), opened(tmp_path / "none" / "x"):
            pass


class TestForgetting:
    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return a store of one result a day, of 101 bytes each; it is the fifth day."""
        for day in range(5):
            monkeypatch.setattr("time.time", lambda day=day: 86_400.0 * day)
            with opened(tmp_path / "x") as store:
                store.add(str(day), bytes(100))
        return tmp_path / "x"

    def test_size(self, path: Path) -> None:
        """Keys and values count."""
        with opened(path) as store:
            assert store.size() == (5, 505)

    @pytest.mark.parametrize(
        ("words", "left"),
        [
            ({"unused_days": 0}, ""),
            ({"unused_days": 1}, "4"),
            ({"unused_days": 4}, "1234"),
            ({"unused_days": 5}, "01234"),
            ({"most_bytes": 505}, "01234"),
            ({"most_bytes": 504}, "1234"),
            ({"most_bytes": 202}, "34"),
            ({"most_bytes": 0}, ""),
            ({"unused_days": 3, "most_bytes": 101}, "4"),
            ({}, "01234"),
        ],
    )
    def test_the_oldest_go(self, path: Path, words: dict[str, int], left: str) -> None:
        """By days, by bytes, or both; the file gets smaller."""
        with opened(path) as store:
            assert store.forget(**words) == 5 - len(left)
            assert "".join(key for key in "01234" if store.get(key)) == left

    def test_what_was_asked_for_is_young(self, path: Path) -> None:
        """Not when a result was made counts, but when it was last of use."""
        with opened(path) as store:
            assert store.get("0")
            assert store.forget(unused_days=1) == 3
            assert [store.get(key) is not None for key in "014"] == [True, False, True]

    def test_room_is_given_back(self, tmp_path: Path) -> None:
        """The file shrinks."""
        with opened(tmp_path / "x") as store:
            store.add("a", bytes(1 << 20))
        before = (tmp_path / "x").stat().st_size
        with opened(tmp_path / "x") as store:
            store.forget(unused_days=0)
        assert (tmp_path / "x").stat().st_size < before / 10


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

    def test_made_again(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """What does not match its digest is made again, with a note; what does is not, without one."""
        with opened(tmp_path / "x") as store, workers("loky", 1, None) as run:
            store.add("one", b"kept")
            calls = {"one": (1,), "two": (2,)}
            assert Kept(store, run).results("numbers", doubled, calls) == {"one": b"kept", "two": b"4"}
            assert capsys.readouterr().err == ""
            with sqlite3.connect(tmp_path / "x") as connection:
                connection.execute("UPDATE results SET value = x'37' WHERE key = 'two'")
            connection.close()
            kept = Kept(store, run)
            assert kept.results("numbers", doubled, calls) == {"one": b"kept", "two": b"4"}
            assert (kept.found, kept.done) == (1, 1)
            (note,) = capsys.readouterr().err.splitlines()
            assert note.startswith(f"note: {tmp_path / 'x'}: 1 of 2 results were changed")

    def test_stopped(self, tmp_path: Path) -> None:
        """What was done before something went wrong stays."""
        with opened(tmp_path / "x") as store, workers("loky", 1, None) as run:
            with pytest.raises(TypeError):
                Kept(store, run).results("numbers", doubled, {"one": (1,), "none": (None,), "two": (2,)})
            assert (store.get("one"), store.get("two")) == (b"2", None)
