"""Measuring a version of a network: memory, work, cycles and energy, by closed forms, at each word length."""

from collections.abc import Iterator

from accel.cost import cost_of, estimate
from accel.demand import array_for
from accel.errors import EspalierError
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, in_order, lane_orders, lower
from reports.studies.mlperf_tiny.definition import BITS, LANES, TECHNOLOGY, version
from reports.studies.mlperf_tiny.results import Point, Row
from reports.workflow.sources import random_images

CALIBRATION_IMAGES = 4


def measured(network: str, pattern: str) -> Row:
    """Return what a version takes, or why there is none."""
    try:
        ratio, pruned = version(network, pattern)
    except EspalierError as error:
        return Row(network=network, pattern=pattern, problem=str(error))
    points, total = [], None
    for bits, program in programs(pruned, BITS):
        found = estimate(program, array_for(program, *LANES), TECHNOLOGY)
        cost = cost_of(program)
        assert found.energy is not None  # the technology says what everything takes
        points.append(
            Point(
                bits=bits,
                memory_bits=cost.memory_bits,
                cycles=found.cycles,
                useful=round(found.utilization, 4),
                joules=float(f"{found.energy.total_joules:.4g}"),
            )
        )
        total = cost.total
    assert total is not None
    return Row(
        network=network,
        pattern=pattern,
        ratio=ratio,
        weights=total.weights,
        dense_weights=total.dense_weights,
        macs=total.macs,
        dense_macs=total.dense_macs,
        points=tuple(points),
    )


def programs(pruned: PrunedNetwork, widths: tuple[int, ...]) -> Iterator[tuple[int, Program]]:
    """Yield the Programs of a version, output maps in the order that suits the array, which no width changes."""
    images = random_images(pruned.network.input_shape, CALIBRATION_IMAGES)
    orders = None
    for bits in widths:
        program = lower(pruned, Widths(bits, bits), images)
        orders = orders or lane_orders(program, LANES[0], split=True)
        yield bits, in_order(program, orders)
