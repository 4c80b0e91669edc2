"""JSON Schemas of results: every file that is kept fits the one of its format, and nothing else does."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.commandline import espalier

from reports.commands.schemas import schemas

STUDIES = Path(__file__).parents[1] / "reports" / "studies"
SCHEMAS = {tuple(x["properties"][field]["const"] for field in ("format", "version")): x for x in schemas().values()}


def kept() -> dict[str, dict[str, Any]]:
    """Return the results of studies whose format and version have a schema."""
    records = {str(path.relative_to(STUDIES)): json.loads(path.read_text()) for path in STUDIES.rglob("results.json")}
    return {name: x for name, x in sorted(records.items()) if (x.get("format"), x.get("version")) in SCHEMAS}


KEPT = kept()


def problems(record: dict[str, Any]) -> list[str]:
    """Return what the schema of its format says against a record."""
    return [x.message for x in Draft202012Validator(SCHEMAS[record["format"], record["version"]]).iter_errors(record)]


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=lambda schema: schema["title"])
def test_a_schema_is_one(schema: dict[str, Any]) -> None:
    """Each is a schema of the draft that it names."""
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_fits(name: str) -> None:
    """A file of results fits; with a field less, one more, or a text for a number, it does not."""
    record = KEPT[name]
    assert problems(record) == []
    field = next(x for x in record if x not in ("format", "version", "sha256"))
    assert problems({x: value for x, value in record.items() if x != field})
    assert problems(record | {"more": 1})
    rows = next(x for x in record if isinstance(record[x], list) and record[x] and isinstance(record[x][0], dict))
    number = next(x for x, value in record[rows][0].items() if not isinstance(value, str))
    assert problems(record | {rows: [record[rows][0] | {number: "a text"}]})


def test_there_are_many() -> None:
    """Reports, studies of both kinds and the bench are among what is kept."""
    assert {x["format"] for x in KEPT.values()} >= {
        "espalier-report",
        "espalier-bench",
        "espalier-bitwidth-study",
        "espalier-pruning-study",
    }


def test_the_command(tmp_path: Path) -> None:
    """`espalier info --schemas` writes them."""
    assert espalier("info", "--schemas", tmp_path / "s").status == 0
    found = {path.name: json.loads(path.read_text()) for path in (tmp_path / "s").iterdir()}
    assert found == json.loads(json.dumps(schemas()))
