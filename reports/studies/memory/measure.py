"""Measuring a version in every memory of the study."""

from accel.cost import Invariants, Limits, cost_of, estimate_of, load_technology
from accel.cost.residency import Residents
from accel.demand import array_for
from accel.quantize import Widths, lower, ordered_for
from reports.studies.memory.definition import (
    CLOCK_HZ,
    DRAM_BYTES_PER_S,
    LANES,
    ROOMS,
    TECHNOLOGY,
    version,
)
from reports.studies.memory.results import Point, Row
from reports.workflow.memory_curve import MemoryPoint, curve_of
from reports.workflow.sources import random_images


def measured(network: str, pattern: str, bits: int) -> Row:
    """Return what a version takes in each memory, up to the first in which whole layers fit."""
    pruned = version(network, pattern)
    program = lower(pruned, Widths(bits, bits), random_images(pruned.network.input_shape, 1))
    program = ordered_for(program, LANES[0], split=True)
    cost, invariants = cost_of(program), Invariants(program)
    limits = Limits(clock_hz=CLOCK_HZ, dram_bytes_per_s=DRAM_BYTES_PER_S)
    array = array_for(program, *LANES)
    whole = estimate_of(invariants, invariants.words, array, load_technology(TECHNOLOGY), limits)
    rooms = [room for room in ROOMS if room < whole.memory_bits]
    rooms += [room for room in ROOMS if room >= whole.memory_bits][:1]
    residents = Residents.of(program, array, cost.layers)
    curve = curve_of(program, cost, rooms, whole, invariants)
    return Row(
        network=network,
        pattern=pattern,
        bits=bits,
        weights=cost.total.weights,
        dense_weights=cost.total.dense_weights,
        least_bits=curve.least_bits,
        whole_bits=curve.whole_bits,
        cycles=whole.cycles,
        borders_bits=whole.dram_bits,
        points=tuple(_point(residents, point) for point in curve.points),
    )


def _point(residents: Residents, point: MemoryPoint) -> Point:
    plan, found = point.plan, point.on_array
    assert found is not None  # the study has an array, and its technology energies
    assert found.energy is not None
    assert found.area_mm2 is not None
    ungrouped = plan if plan.whole else residents.plan(point.room_bits, most_fused=1)
    return Point(
        room_bits=point.room_bits,
        needs=point.needs,
        dram_bits=plan.dram_bits,
        ungrouped_dram_bits=ungrouped.dram_bits,
        apart_dram_bits=residents.plan(point.room_bits, between=False).dram_bits,
        resident_bits=plan.resident_bits,
        stall_cycles=found.stalls or 0,
        joules=float(f"{found.energy.total_joules:.4g}"),
        dram_joules=float(f"{found.energy.dram_joules:.4g}"),
        area_mm2=float(f"{found.area_mm2:.4g}"),
    )
