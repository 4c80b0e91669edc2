import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from accel import records
from accel.errors import EspalierError
from accel.records import record_of, sealed, unsealed
from reports.shared.schema import Kind, saved

KIND = Kind("espalier-fruit", 2, "the results of a harvest")


@dataclass(frozen=True)
class Apple:
    grams: int
    share: float
    name: str = ""
    ripe: bool = True


@dataclass(frozen=True)
class Harvest:
    year: int
    best: Apple | None
    apples: tuple[Apple, ...]
    by_tree: dict[str, list[float]]
    place: tuple[int, str]
    notes: Any = None


WHOLE = Harvest(2026, Apple(90, 0.5), (Apple(90, 0.5), Apple(80, 1, "b", False)), {"old": [1, 2.5]}, (4, "east"))


def read(text: str) -> Harvest:
    """Return what a file holds."""
    return KIND.read(text, lambda record: record_of(Harvest, record))


def written(harvest: Harvest) -> str:
    """Return a file with an apple a line."""
    record = asdict(harvest)
    return KIND.written(record, apples=record.pop("apples"))


def changed(**fields: Any) -> str:
    """Return a file with other fields, sealed anew."""
    return json.dumps(sealed(unsealed(json.loads(written(WHOLE))) | fields))


class TestWritten:
    def test_literally(self) -> None:
        """The head is indented by one, a list after it has an item a line; an empty list is one too."""
        text = KIND.written({"a": [1]}, b=iter([{"c": 2}, 3]), d=[])
        record = '{"a":[1],"b":[{"c":2},3],"d":[],"format":"espalier-fruit","version":2}'
        assert text == (
            '{\n "format": "espalier-fruit",\n "version": 2,\n'
            f' "sha256": "{hashlib.sha256(record.encode()).hexdigest()}",\n "a": [\n  1\n ],\n'
            ' "b": [\n{"c": 2},\n3\n],\n "d": [\n\n]\n}\n'
        )

    def test_read_again(self) -> None:
        """What was written comes back equal, lists as the tuples that they were; another number is no equal."""
        again = read(written(WHOLE))
        assert again == WHOLE
        assert (type(again.apples), type(again.place), type(again.by_tree["old"])) == (tuple, tuple, list)
        assert again != read(changed(year=2025))

    def test_defaults(self) -> None:
        """A field may be left out that has a default."""
        rows = [{"grams": 90, "share": 0.5}, {"grams": 80, "share": 1, "name": "b", "ripe": False}]
        assert read(changed(apples=rows, best={"grams": 90, "share": 0.5})) == WHOLE

    def test_layout(self) -> None:
        """Other spaces and another order of fields say the same."""
        record = json.loads(written(WHOLE))
        assert read(json.dumps(dict(reversed(record.items())), indent=7)) == WHOLE

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_not_finite(self, number: float) -> None:
        """JSON has no such numbers: nothing is written, and the place is named."""
        with pytest.raises(EspalierError, match=rf"^cannot be written as JSON: b\[1\].c is {number}, and numbers must"):
            KIND.written({"a": 1}, b=[{"c": 0.5}, {"c": number}])


def test_every_change_is_seen() -> None:
    """Any character that says something is another one, or gone: refused; negative control: spaces say nothing."""
    text = written(WHOLE)
    spaces = 0
    for index, character in enumerate(text):
        for other in ("", "0" if character == "1" else "1"):
            damaged = text[:index] + other + text[index + 1 :]
            try:
                found = read(damaged)
            except EspalierError:
                continue
            assert (found, character.isspace(), other) == (WHOLE, True, "")
            spaces += 1
    assert spaces > 10


def test_without_a_digest() -> None:
    """A file that has no digest is not believed."""
    record = json.loads(written(WHOLE))
    del record["sha256"]
    with pytest.raises(EspalierError, match=r"^not the results of a harvest: was cut or changed .* SHA-256"):
        read(json.dumps(record))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (changed(version=3), "expected espalier-fruit version 2, got espalier-fruit version 3"),
        (changed(format="espalier-nut"), "expected espalier-fruit version 2, got espalier-nut version 2"),
        ("{}", "expected espalier-fruit version 2, got None version None"),
        (changed(weather="fine"), "has no field weather; its fields are year, best, apples, by_tree, place, notes"),
        (json.dumps(sealed({"format": "espalier-fruit", "version": 2})), "Object missing required field year"),
        (changed(apples=[{"grams": 9}]), "apples[0]: Object missing required field share"),
        (
            changed(**{"\x1b[31m\n": 0}),
            "has no field \\x1b[31m ; its fields are year, best, apples, by_tree, place, notes",
        ),
        (
            changed(apples=[{"grams": 9, "share": 1, "pips": 3}]),
            "apples[0]: has no field pips; its fields are grams, share, name, ripe",
        ),
        (changed(year="2026"), "year: Expected int, got str"),
        (changed(year=True), "year: Expected int, got bool"),
        (changed(year=2026.5), "year: Expected int, got float"),
        (changed(best={"grams": 90, "share": "half"}), "best.share: Expected float, got str"),
        (changed(best={"grams": 90, "share": False}), "best.share: Expected float, got bool"),
        (changed(best={"grams": 90, "share": 1, "name": None}), "best.name: Expected str, got null"),
        (changed(best={"grams": 90, "share": 1, "ripe": 1}), "best.ripe: Expected bool, got int"),
        (changed(best="good"), "best: Expected object | null, got str"),
        (changed(apples=7), "apples: Expected array, got int"),
        (changed(apples=[None]), "apples[0]: Expected object, got null"),
        (changed(by_tree=[]), "by_tree: Expected object, got array"),
        (changed(by_tree={"old": [1, "2"]}), "by_tree[...][1]: Expected float, got str"),
        (changed(place=[4]), "place: Expected array of length 2, got 1"),
        (changed(place=["4", "east"]), "place[0]: Expected int, got str"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    """Another format or version, a field too few or too many, another type: one line with its place."""
    with pytest.raises(EspalierError) as raised:
        read(text)
    assert str(raised.value) == f"not the results of a harvest: {told}"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"text"', "NaN", "1e400", "[" * 100_000, "9" * 5000])
def test_something_else(text: str) -> None:
    """No JSON, and JSON of something else, are refused in one line."""
    with pytest.raises(EspalierError, match=r"^not the results of a harvest: [^\n]+$"):
        read(text)


def test_a_maker_that_stumbles() -> None:
    """Whatever a file makes of its maker is said as that of the file."""
    with pytest.raises(EspalierError, match=r"^not the results of a harvest: IndexError: list index out of range$"):
        KIND.read(changed(), lambda record: record["apples"][9])


class TestSaved:
    def test_read(self, tmp_path: Path) -> None:
        """What a file holds, by its path."""
        (tmp_path / "a.json").write_text(written(WHOLE))
        assert saved(tmp_path / "a.json", read) == WHOLE

    def test_nothing_yet(self, tmp_path: Path) -> None:
        """Where there is no file something else is taken, if it is named; whatever is there is read."""
        assert saved(tmp_path / "a.json", read, WHOLE) is WHOLE
        (tmp_path / "a.json").write_text("{}")
        with pytest.raises(EspalierError, match="not the results of a harvest"):
            saved(tmp_path / "a.json", read, WHOLE)
        with pytest.raises(EspalierError, match="is a directory"):
            saved(tmp_path, read, WHOLE)

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (None, "cannot read {path}: No such file or directory"),
            (b"{}", "{path}: not the results of a harvest: expected espalier-fruit version 2, got None version None"),
            (b"{\xff}", "{path}: is not UTF-8: byte 1 is 0xff"),
            (b" " * 200, "{path}: has 200 bytes, expected at most 100"),
        ],
    )
    def test_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes | None, told: str) -> None:
        """A file that is not there, or not text, or too much of it: one line that names it."""
        monkeypatch.setattr(records, "MOST_BYTES", 100)
        path = tmp_path / "a.json"
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(EspalierError) as raised:
            saved(path, read)
        assert str(raised.value) == told.format(path=path)
