"""What a network takes in memories of several sizes: everything at once where that fits, tiles where it does not."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from accel.array import MacArray
from accel.cost import Estimate, Invariants, ProgramCost, Resource, Technology
from accel.cost.plans import LayerPlan, Plan
from accel.cost.residency import Residents
from accel.cost.spilling import Spilled, spilled
from accel.errors import EspalierError
from accel.program import Program

WHOLE, TILED = "whole layers", "tiles"  # what a plan needs of hardware; ours runs whole layers alone


@dataclass(frozen=True, kw_only=True)
class MemoryPoint:
    """A memory, and what is best in it.

    Parameters
    ----------
    room_bits : int
    plan : Plan
    on_array : Spilled or None
        None where no array is asked for.
    """

    room_bits: int
    plan: Plan
    on_array: Spilled | None

    @property
    def needs(self) -> str:
        """What hardware must run: `WHOLE` layers or `TILED` ones."""
        return WHOLE if self.plan.whole else TILED

    @property
    def joules(self) -> float | None:
        """Energy of one image, estimated; None where nothing is known of it."""
        return self.on_array.energy.total_joules if self.on_array and self.on_array.energy else None

    @property
    def merit(self) -> float | None:
        """Energy times area of lanes and memories, of which less is better: more memory saves the one for the other."""
        area = self.on_array.area_mm2 if self.on_array else None
        return None if area is None or self.joules is None else area * self.joules


@dataclass(frozen=True, kw_only=True)
class MemoryCurve:
    """Traffic, stalls and energy against memory.

    Parameters
    ----------
    name : str
        Of the network.
    least_bits : int
        The smallest memory that works.
    whole_bits : int
        The smallest in which no layer needs tiles.
    points : tuple of MemoryPoint
    cycles : int or None
        Of one image without stalls.
    clock_hz : float or None
    """

    name: str
    least_bits: int
    whole_bits: int
    points: tuple[MemoryPoint, ...]
    cycles: int | None = None
    clock_hz: float | None = None

    @property
    def best(self) -> MemoryPoint | None:
        """The memory of the least energy times area, the smallest of those that tie; None where neither is known."""
        known = [point for point in self.points if point.merit is not None]
        return min(known, key=lambda point: point.merit or 0.0) if known else None

    def images_per_s(self, point: MemoryPoint) -> float | None:
        """Return the images a second, stalls included; None where nothing is known of them."""
        stalls = point.on_array.stalls if point.on_array else None
        if stalls is None or self.cycles is None or self.clock_hz is None:
            return None
        return self.clock_hz / (self.cycles + stalls)


def curve_of(
    program: Program,
    cost: ProgramCost,
    rooms: Iterable[int],
    whole: Estimate | None = None,
    invariants: Invariants | None = None,
) -> MemoryCurve:
    """Return what a Program takes in memories of `rooms` bits.

    Parameters
    ----------
    program : Program
    cost : ProgramCost
        Its own.
    rooms : iterable of int
    whole : Estimate, optional
        Of the array, all on the chip: then whole layers take what its memory blocks do.
    invariants : Invariants, optional
        Of the Program, where there is an array.

    Raises
    ------
    EspalierError
        A memory is smaller than the smallest that works.
    """
    residents = Residents.of(program, whole.array if whole else MacArray(), cost.layers)
    whole_bits, least = whole.memory_bits if whole else cost.memory_bits, residents.least_bits
    points = []
    for room in rooms:
        if room < min(least, whole_bits):
            least = min(least, whole_bits)
            raise EspalierError(
                f"{program.name}: needs {least:,} bits ({least / 8192:.2f} KiB) in the smallest tiles, not {room:,}"
            )
        plan = residents.whole(room) if room >= whole_bits else residents.plan(room)
        found = spilled(plan, invariants, invariants.words, whole) if whole and invariants else None
        points.append(MemoryPoint(room_bits=room, plan=plan, on_array=found))
    return MemoryCurve(
        name=program.name,
        least_bits=min(least, whole_bits),
        whole_bits=whole_bits,
        points=tuple(points),
        cycles=whole.cycles if whole else None,
        clock_hz=whole.limits.clock_hz if whole else None,
    )


def memory_short(e: Estimate) -> bool:
    """Return whether an estimate does not fit for want of memory alone, which tiles can do with less of."""
    return bool(e.shortages) and all(short.resource in (Resource.BLOCKS, Resource.MEMORY) for short in e.shortages)


def capacity(technology: Technology) -> int | None:
    """Return the bits of all memory blocks of a technology; None where there are as many as one likes."""
    counts = [macro.available for macro in technology.macros]
    if None in counts:
        return None
    return sum(macro.bits * (macro.available or 0) for macro in technology.macros)


def record(curve: MemoryCurve) -> dict[str, Any]:
    """Return a curve as plain numbers and words, as JSON takes them."""
    best = curve.best
    return {
        "least_bits": curve.least_bits,
        "whole_bits": curve.whole_bits,
        "recommended_bits": best.room_bits if best else None,
        "points": [_point(curve, point) for point in curve.points],
    }


def _point(curve: MemoryCurve, point: MemoryPoint) -> dict[str, Any]:
    plan, found = point.plan, point.on_array
    stalls = found.stall_cycles if found else None
    return {
        "room_bits": point.room_bits,
        "needs": point.needs,
        "on_our_hardware": plan.whole,
        "dram_bits": plan.dram_bits,
        "first_dram_bits": plan.first_dram_bits,
        "image_bits": plan.image_bits,
        "resident_weight_bits": plan.resident_bits,
        "weight_room_bits": plan.weight_room_bits,
        "signal_room_bits": plan.signal_room_bits,
        "stall_cycles": found.stalls if found else None,
        "images_per_s": curve.images_per_s(point),
        "energy_joules": point.joules,
        "area_mm2": found.area_mm2 if found else None,
        "layers": [_layer(layer) | {"stall_cycles": stalls[layer.name] if stalls else None} for layer in plan.layers],
    }


def _layer(layer: LayerPlan) -> dict[str, Any]:
    row = asdict(replace(layer, there=frozenset()))
    return row | {"there": sorted(layer.there), "dram_bits": layer.dram_bits}
