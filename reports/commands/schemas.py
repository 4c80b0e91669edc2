"""JSON Schemas of the files of results, from the dataclasses that read them: the documentation publishes them.

`espalier info --schemas FOLDER` writes one for each kind of file, ``espalier-report-8.json`` and so on: draft 2020-12,
as `jsonschema` and editors take it. What a schema cannot say, such as that a digest is right or totals add up, is
checked when Espalier reads a file.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any, get_type_hints

from accel.cost import Counts, Cycles, Slots
from accel.records import SEAL, row_type, schema_of
from reports.bench import imports, sizes
from reports.bench import results as bench
from reports.explore import hardware
from reports.explore import results as exploration
from reports.optimize import results as optimization
from reports.report import designs, points, saved
from reports.report import results as report
from reports.shared.schema import Kind
from reports.studies.bitwidth import results as bitwidth
from reports.studies.pruning import results as pruning
from reports.together import results as together
from reports.workflow import board, fpga, power, silicon, verification, zeros

DRAFT = "https://json-schema.org/draft/2020-12/schema"
Fields = dict[str, Any]
"""From the name of a field to its type."""


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of every kind of file, by the name of a file for it."""
    found = [
        _schema(report.KIND, _fields(report.Results) | _report()),
        _schema(exploration.KIND, _fields(exploration.Results, but=["points"]) | _exploration()),
        _schema(hardware.KIND, _fields(hardware.Hardware)),
        _schema(together.KIND, _fields(together.Shared)),
        _schema(verification.KIND, _fields(verification.Verification)),
        _schema(optimization.KIND, _fields(optimization.Results)),
        _schema(zeros.KIND, _fields(zeros.Zeros)),
        _schema(board.KIND, _fields(board.BoardBuild)),
        _schema(fpga.KIND, _fields(fpga.FpgaCounts)),
        _schema(silicon.KIND, _fields(silicon.Silicon)),
        _schema(power.KIND, _fields(power.Power)),
        _schema(bench.KIND, _fields(bench.Results)),
        _schema(imports.KIND, _fields(imports.Imports)),
        _schema(sizes.KIND, _fields(sizes.Sizes)),
        _schema(bitwidth.KIND, _fields(bitwidth.Results)),
        _schema(pruning.KIND, _fields(pruning.Results)),
    ]
    return {f"{schema['title']}.json": schema for schema in found}


def _report() -> Fields:
    """Return what of a report is written otherwise than it is held: rows whose counts and cycles stand beside them."""
    layer = _row("ReportLayer", saved.LAYER, points.LayerRow, Counts)
    design_layer = _row("ReportDesignLayer", saved.DESIGN_LAYER, designs.LayerDesign, Counts, Cycles, Slots)
    point = _columns(saved.POINT, points.Point, Counts) | {"layers": list[layer]}  # type: ignore[valid-type]
    design = _fields(designs.Design) | {"layers": list[design_layer]}  # type: ignore[valid-type]
    rows = {"points": row_type("ReportPoint", point), "designs": row_type("ReportDesign", design)}
    return {name: list[row] for name, row in rows.items()}  # type: ignore[valid-type]


def _exploration() -> Fields:
    """Return what an exploration has beside its fields: designs by setting, a list by array, and what follows."""
    return {"settings": list[exploration.Setting], "answer": dict[str, Any]}


def _row(name: str, columns: Iterable[str], *nouns: type) -> Any:
    return row_type(name, _columns(columns, *nouns))


def _columns(names: Iterable[str], *nouns: type) -> dict[str, Any]:
    """Return the type of each column, of the first noun that has a field or a property of that name."""
    return {name: next(kind for noun in nouns if (kind := _type(noun, name)) is not None) for name in names}


def _type(noun: type, name: str) -> Any:
    hints = get_type_hints(noun)
    if name in hints:
        return hints[name]
    found = getattr(noun, name, None)
    getter = getattr(found, "fget", None) or getattr(found, "func", None)
    return get_type_hints(getter).get("return") if getter else None


def _fields(kind: type, but: Iterable[str] = ()) -> dict[str, Any]:
    hints, left = get_type_hints(kind), set(but)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.name not in left}


def _schema(kind: Kind, fields: Fields) -> dict[str, Any]:
    found, parts = schema_of(fields)
    head = {"format": {"const": kind.name}, "version": {"const": kind.version}, SEAL: {"type": "string"}}
    properties = head | found
    return {
        "$schema": DRAFT,
        "title": f"{kind.name}-{kind.version}",
        "description": f"{kind.what[0].upper()}{kind.what[1:]}.",
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
        "$defs": parts,
    }
