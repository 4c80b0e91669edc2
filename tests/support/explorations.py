"""What the tests of `reports.explore` share: points and results made up by hand."""

from dataclasses import replace
from typing import Any

from reports.explore.choosing import Means
from reports.explore.points import Point
from reports.explore.results import Results, VersionRow
from reports.explore.space import Space
from reports.workflow.limits import Budget

MEANS = Means("made-up", "a made-up process", None, None, area=True, clock_hz=1e9)
DEVICE = Means("made-up", "a made-up device", 100_000, 50, area=False, clock_hz=1e9)


def point(**values: Any) -> Point:
    """Return a point that errs at 2 %, with 8192 bits of memory, 20 multipliers and 1,000 cycles."""
    usual = {"error_rate": 0.02, "memory_bits": 8192, "multipliers": 20, "cycles": 1000, "area_um2": 50_000}
    return Point(
        **{"version": "kernel", "weight_bits": 4, "signal_bits": 5, "output_lanes": 4, "pixel_lanes": 4}
        | usual
        | values
    )


def budget(**values: Any) -> Budget:
    """Return a budget of 3 % errors at 100 MHz and nothing else."""
    return Budget(
        **{"error_rate": 0.03, "memory_bits": None, "multipliers": None, "images_per_s": None}
        | {"clock_hz": 100e6}
        | values
    )


def results(**values: Any) -> Results:
    """Return results of two versions, two pairs of word lengths and two arrays: eight points that all differ."""
    arrays, space = ((4, 4), (8, 2)), None
    points = tuple(
        point(
            version=version,
            weight_bits=weight_bits,
            output_lanes=lanes[0],
            pixel_lanes=lanes[1],
            error_rate=(0.01 if version == "dense" else 0.02) / (weight_bits - 2),
            memory_bits=(20_000 if version == "dense" else 10_000) * weight_bits + lanes[0],
            multipliers=lanes[1] + 16 * weight_bits,
            cycles=(4000 if version == "dense" else 2000) + lanes[0],
            area_um2=(2_000 if version == "dense" else 1_000) * weight_bits,
            energy_pj=(7_000 if version == "dense" else 3_000) * weight_bits,
        )
        for version in ("dense", "kernel")
        for weight_bits in (3, 4)
        for lanes in arrays
    )
    space = Space((3, 4), (5,), arrays)
    rows = (
        VersionRow("dense", "dense", "zoo", 0.0, 1_000, 50_000, 0, 0.005),
        VersionRow("kernel", "kernel", "zoo", 0.5, 500, 25_000, 70, 0.008),
    )
    made = Results(
        network="made",
        data="digits",
        command="espalier explore made --max-error +1%",
        images={"train": 512, "validation": 250, "test": 350},
        max_error="+1%",
        budget=budget(error_rate=0.015),
        goal="efficient",
        dram_bytes_per_s=None,
        means=MEANS,
        space=space,
        versions=rows,
        points=points,
        confidence=0.0,
    )
    return replace(made, **values)
