"""Measuring a version of a network: memory, work, cycles and energy, by closed forms, at each word length."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from accel.cost import cost_of, estimate
from accel.demand import array_for
from accel.errors import EspalierError
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, in_order, lane_orders, lower
from reports.studies.mlperf_tiny.definition import BITS, LANES, TECHNOLOGY, version
from reports.workflow.sources import random_images

CALIBRATION_IMAGES = 4


@dataclass(frozen=True, kw_only=True)
class Point:
    """A Program on the array of the study.

    Parameters
    ----------
    bits : int
        Of weights and signals; the image has 8.
    memory_bits : int
        Parameters, indices and live signals.
    cycles : int
        Of one image.
    useful : float
        The share of multiply slots, in all cycles of an image, in which a kept weight meets a signal.
    joules : float
        Of one image, by the technology of the study.
    """

    bits: int
    memory_bits: int
    cycles: int
    useful: float
    joules: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A version of a network.

    Parameters
    ----------
    network, pattern : str
    ratio : float or None
        Of each layer that has the pattern; None where the pattern says itself, or cannot be.
    weights, dense_weights, macs, dense_macs : int
        That are left, and that the dense network has, for one image.
    points : tuple of Point
        From few bits to many.
    problem : str
        Why there is no such version, if there is none.
    """

    network: str
    pattern: str
    ratio: float | None = None
    weights: int = 0
    dense_weights: int = 0
    macs: int = 0
    dense_macs: int = 0
    points: tuple[Point, ...] = field(default=())
    problem: str = ""

    def at(self, bits: int) -> Point:
        """Return the Program of so many bits."""
        return next(point for point in self.points if point.bits == bits)

    def record(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self)


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
