"""Records of many numbers are made by name alone: no two of them can change places unnoticed."""

from dataclasses import fields
from typing import Any

import pytest

from accel import array, demand, runs, words
from accel.cost import counts, cycles, energy, macros, shapes, stalls, storage
from accel.cost.design import Estimate, LayerEstimate, Limits, Roofline
from reports.explore import points
from reports.report import designs
from reports.report import points as report_points

RECORDS: list[type[Any]] = [
    array.MemoryShape,
    counts.Counts,
    counts.Cycles,
    counts.LayerCost,
    counts.ProgramCost,
    cycles.LayerCycles,
    demand.LayerDemand,
    designs.BreakEven,
    designs.Design,
    designs.LayerDesign,
    designs.MemoryDesign,
    storage.Storage,
    energy.Energy,
    energy.Events,
    Estimate,
    LayerEstimate,
    Limits,
    Roofline,
    macros.Memory,
    macros.PlacedMemory,
    points.Point,
    report_points.LayerRow,
    report_points.Point,
    runs.Runs,
    stalls.LayerSchedule,
    shapes.LayerShape,
    words.LayerWords,
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.__module__}.{record.__name__}")
def test_every_field_is_named(record: type[Any]) -> None:
    """None is taken by its position; where all have defaults, nothing but the position is wrong."""
    assert all(field.kw_only for field in fields(record))
    with pytest.raises(TypeError, match="positional argument"):
        record(1, 2)


def test_the_rule_can_fail() -> None:
    """Negative control: an array's numbers, which have names and defaults, may be given by position."""
    assert not all(field.kw_only for field in fields(array.MacArray))
    assert array.MacArray(4, 8).pixel_lanes == 8
