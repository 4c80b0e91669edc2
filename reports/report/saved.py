"""What results.json and results.csv hold of the points and designs of a report: flat rows of numbers.

In a file a row's counts and cycles stand beside its own numbers, as whatever reads tables takes them, and the totals of
a point beside its layers. Here rows hold `Counts`, `Cycles` and `Slots`, and what they add up to is not kept twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from accel.cost import Counts
from accel.errors import EspalierError
from reports.report.designs import Design
from reports.report.points import LayerRow, Point
from reports.shared.columns import COUNTED, SLOTS, SPENT, STORED, WORK, columns

Record = dict[str, Any]
TOTALS = ("sparsity", "macs", "dense_macs", *STORED)  # of a point's layers
LAYER = (
    *("name", "pattern", *WORK, *STORED[:2], "encoding", "encoding_reason", *STORED[2:]),
    *("accumulator_bits", "fft_multiplications"),
)
POINT = (
    *("network", "pattern", "sparsity", "weight_bits", "signal_bits"),
    *("error_rate", "validation_error_rate", "float_error_rate", *TOTALS[1:], "signal_memory_bits", "cycles"),
)
DESIGN_LAYER = (
    *("name", "kind", *SPENT, *SLOTS, "accumulator_bits", *STORED),
    *("held_bits", "control_bits", "filling_bits", "dram_bits", "joules"),
)


def layer(row: LayerRow) -> Record:
    """Return a layer of a point."""
    return columns(LAYER, row, row.counts)


def totals(row: Point) -> Record:
    """Return a point without its layers."""
    return columns(POINT, row, row.counts)


def point(row: Point) -> Record:
    """Return a point and its layers."""
    return totals(row) | {"layers": [*map(layer, row.layers)]}


def design(row: Design) -> Record:
    """Return a design and its layers, whose `WORK` stands with the points."""
    return asdict(row) | {"layers": [columns(DESIGN_LAYER, x, x.spent, x.slots, x.counts) for x in row.layers]}


def nested(record: Record) -> Record:
    """Return what a file says as `reports.report.results.Results` has it."""
    points = [_point(saved) for saved in record["points"]]
    counts: dict[str, dict[str, Record]] = {}
    for found in points:
        counts.setdefault(found["pattern"], {x["name"]: x["counts"] for x in found["layers"]})
    designs = [_design(saved, counts.get(saved["pattern"], {})) for saved in record["designs"]]
    return record | {"points": points, "designs": designs}


def check_totals(saved: Iterable[Record], points: Sequence[Point]) -> None:
    """Raise EspalierError if a point of a file says other totals than its layers make."""
    for index, (record, found) in enumerate(zip(saved, points, strict=True)):
        for name, made in columns(TOTALS, found, found.counts).items():
            if record[name] != made:
                raise EspalierError(f"points[{index}].{name}: is {record[name]}, and its layers make {made}")


def _point(saved: Record) -> Record:
    rest = {name: value for name, value in saved.items() if name not in TOTALS}
    return rest | {"layers": [_gathered(row, counts=COUNTED) for row in saved["layers"]]}


def _design(saved: Record, counts: Mapping[str, Record]) -> Record:
    layers = []
    for found in saved["layers"]:
        row = _gathered(found, counts=STORED, spent=SPENT, slots=SLOTS)
        work = counts.get(row["name"], asdict(Counts()))
        layers.append(row | {"counts": {**work, **row["counts"]}})
    return saved | {"layers": layers}


def _gathered(row: Record, **nouns: tuple[str, ...]) -> Record:
    """Return a row with the columns of each noun in a record of their own."""
    inner = {noun: {name: row[name] for name in names} for noun, names in nouns.items()}
    taken = {name for names in nouns.values() for name in names}
    return {name: value for name, value in row.items() if name not in taken} | inner
