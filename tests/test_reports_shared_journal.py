import math
from pathlib import Path
from typing import Any

import pytest

from accel.errors import EspalierError
from reports.shared.journal import RESULTS, Journal, results_of, write_results

RECORDS: list[dict[str, Any]] = [{"task": "a", "rate": 0.5}, {"task": "b", "rate": 0.25}, {"task": "\u2028", "rate": 1}]


def taken(path: Path, repair: bool = True) -> list[dict[str, Any]]:
    """Return the records of a journal."""
    found: list[dict[str, Any]] = []
    Journal(path, "measurement", repair).read(found.append)
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal of three records."""
    path = tmp_path / "points.jsonl"
    for record in RECORDS:
        assert Journal(path, "measurement").add(record) == record
    return path


def test_what_was_added_is_read(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever opens the file next has the records in their order, and nothing to note."""
    assert taken(journal) == RECORDS
    assert journal.read_bytes().count(b"\n") == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "line",
    [
        b'{"task": "b", "rate": 0.25}',  # no digest
        b"{}",
        b"[]",
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"sha256": NaN}',
        b'{"rate": ' + b"1" * 5000 + b"}",
    ],
    ids=lambda line: str(line[:12]),
)
def test_a_line_that_was_changed(journal: Path, capsys: pytest.CaptureFixture[str], line: bytes) -> None:
    """It is noted with its number and forgotten; the file is repaired, unless somebody else may write it."""
    lines = journal.read_bytes().split(b"\n")
    damaged = b"\n".join([lines[0], line, *lines[2:]])
    journal.write_bytes(damaged)
    assert taken(journal, repair=False) == [RECORDS[0], RECORDS[2]]
    assert journal.read_bytes() == damaged
    capsys.readouterr()
    assert taken(journal) == [RECORDS[0], RECORDS[2]]
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith(f"note: {journal}: line 2: ")
    assert note.endswith("; what it said is measured again")
    assert taken(journal) == [RECORDS[0], RECORDS[2]]
    assert capsys.readouterr().err == ""


def test_every_digit_counts(journal: Path) -> None:
    """One other character anywhere loses its line and no other; negative control: none loses none."""
    whole = journal.read_bytes()
    for index, byte in enumerate(whole):
        if byte not in b" \n":
            journal.write_bytes(whole[:index] + (b"7" if byte != ord("7") else b"8") + whole[index + 1 :])
            lost = whole[:index].count(b"\n")
            assert taken(journal, repair=False) == [*RECORDS[:lost], *RECORDS[lost + 1 :]]
    journal.write_bytes(whole)
    assert taken(journal) == RECORDS


def test_cut_short(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A last line that is cut short, as a kill leaves it, is taken off without a word."""
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-5])
    assert taken(journal) == RECORDS[:2]
    assert whole.startswith(journal.read_bytes())
    assert capsys.readouterr().err == ""


def test_a_taker_that_stumbles(journal: Path) -> None:
    """A record that is whole and yet is none is named."""
    with pytest.raises(EspalierError, match=r"points.jsonl: line 1 is no measurement: KeyError: 'weight'$"):
        Journal(journal, "measurement").read(lambda record: record["weight"])


def test_not_finite(journal: Path) -> None:
    """What JSON cannot say is refused before anything is written."""
    with pytest.raises(EspalierError, match="rate is nan"):
        Journal(journal, "measurement").add({"rate": math.nan})
    assert taken(journal) == RECORDS


def test_too_large(journal: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that is larger than any of ours is not parsed; a file that is larger is refused."""
    size = len(journal.read_bytes().splitlines()[0])
    monkeypatch.setattr("reports.shared.journal.MOST_LINE_BYTES", size)
    assert taken(journal, repair=False) == [x for x in RECORDS if x["task"] != "\u2028" and x["rate"] == 0.5]
    assert "line 3: has more than " in capsys.readouterr().err
    monkeypatch.setattr("reports.shared.journal.MOST_BYTES", size)
    with pytest.raises(EspalierError, match=r"points.jsonl: has .* bytes, expected at most"):
        taken(journal)


class TestResults:
    """Results that are their own journal: what is kept for good says what need not be done again."""

    def test_round_trip(self, tmp_path: Path) -> None:
        """What was written is read by its name; where there is no file yet, nothing was done."""
        assert results_of(tmp_path, "builds") == {}
        write_results(tmp_path, {"builds": {"8x8": {"lut": 3}}})
        assert results_of(tmp_path, "builds") == {"8x8": {"lut": 3}}

    @pytest.mark.parametrize(
        ("old", "new", "why"), [('"lut": 3', '"lut": 4', "SHA-256"), ("builds", "cases", "SHA-256"), ("{", "[", "JSON")]
    )
    def test_changed(self, tmp_path: Path, old: str, new: str, why: str) -> None:
        """A file that was changed is refused whole, and by name: no run goes on from what nobody measured."""
        write_results(tmp_path, {"builds": {"8x8": {"lut": 3}}})
        path = tmp_path / RESULTS
        path.write_text(path.read_text().replace(old, new, 1))
        with pytest.raises(EspalierError, match=f"{RESULTS}.*{why}"):
            results_of(tmp_path, "builds")

    @pytest.mark.parametrize("record", [{"points": {}}, {"builds": [3]}])
    def test_something_else(self, tmp_path: Path, record: dict[str, Any]) -> None:
        """So is one that holds something else."""
        write_results(tmp_path, record)
        with pytest.raises(EspalierError, match=f"{RESULTS}.*builds"):
            results_of(tmp_path, "builds")
