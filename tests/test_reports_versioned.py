import json
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from accel.errors import EspalierError
from reports.versioned import Kind, record_of

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
    """Return a file with other fields."""
    return json.dumps(json.loads(written(WHOLE)) | fields)


class TestWritten:
    def test_literally(self) -> None:
        """The head is indented by one, a list behind it has an item a line; an empty list is one too."""
        assert KIND.written({"a": [1]}, b=iter([{"c": 2}, 3]), d=[]) == (
            '{\n "format": "espalier-fruit",\n "version": 2,\n "a": [\n  1\n ],\n'
            ' "b": [\n{"c": 2},\n3\n],\n "d": [\n\n]\n}\n'
        )

    def test_read_again(self) -> None:
        """What was written comes back equal, lists as the tuples that they were; another number is no equal."""
        again = read(written(WHOLE))
        assert again == WHOLE
        assert (type(again.apples), type(again.place), type(again.by_tree["old"])) == (tuple, tuple, list)
        assert again != read(changed(year=2025))

    def test_rows(self) -> None:
        """A dataclass may be a row of its values; so may a field be left out that has a default."""
        rows = [[90, 0.5, "", True], {"grams": 80, "share": 1, "name": "b", "ripe": False}]
        assert read(changed(apples=rows, best={"grams": 90, "share": 0.5})) == WHOLE

    def test_made_already(self) -> None:
        """What is the dataclass already stays."""
        record = {field: getattr(WHOLE, field) for field in ("year", "best", "apples", "by_tree", "place")}
        assert record_of(Harvest, record) == WHOLE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (changed(version=3), "expected espalier-fruit version 2, got espalier-fruit version 3"),
        (changed(format="espalier-nut"), "expected espalier-fruit version 2, got espalier-nut version 2"),
        ("{}", "expected espalier-fruit version 2, got None version None"),
        (changed(weather="fine"), "a field weather is not known"),
        (written(WHOLE).replace('"year"', '"yeer"'), "a field yeer is not known"),
        (json.dumps({"format": "espalier-fruit", "version": 2}), "the field year is missing"),
        (changed(apples=[{"grams": 9}]), "apples[0]: the field share is missing"),
        (changed(year="2026"), "year: expected an integer, got '2026'"),
        (changed(year=True), "year: expected an integer, got True"),
        (changed(year=2026.0), "year: expected an integer, got 2026.0"),
        (changed(best=[90, "half", "", True]), "best.share: expected a number, got 'half'"),
        (changed(best=[90, False, "", True]), "best.share: expected a number, got False"),
        (changed(best=[90, 0.5, None, True]), "best.name: expected a text, got None"),
        (changed(best=[90, 0.5, "", 1]), "best.ripe: expected true or false, got 1"),
        (changed(best=[90, 0.5]), "best: expected 4 values, got 2"),
        (changed(best="good"), "best: expected fields, got 'good'"),
        (changed(apples=7), "apples: expected a list, got 7"),
        (changed(apples=[None]), "apples[0]: expected fields, got None"),
        (changed(by_tree=[]), "by_tree: expected an object, got []"),
        (changed(by_tree={"old": [1, "2"]}), "by_tree.old[1]: expected a number, got '2'"),
        (changed(place=[4]), "place: expected 2 values, got 1"),
        (changed(place=["4", "east"]), "place[0]: expected an integer, got '4'"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    """Another format or version, a field too few or too many, another type: one line with its place."""
    with pytest.raises(EspalierError) as raised:
        read(text)
    assert str(raised.value) == f"not the results of a harvest: {told}"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"text"'])
def test_something_else(text: str) -> None:
    """No JSON, and JSON of something else, are refused in one line."""
    with pytest.raises(EspalierError, match=r"^not the results of a harvest: [^\n]+$"):
        read(text)


def test_a_maker_that_stumbles() -> None:
    """Whatever a file makes of its maker is said as that of the file."""
    with pytest.raises(EspalierError, match=r"^not the results of a harvest: list index out of range$"):
        KIND.read(changed(), lambda record: record["apples"][9])
