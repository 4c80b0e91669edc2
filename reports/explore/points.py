"""The cheap half of an exploration: every trial on every array, costed by closed forms from the Program's own words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from threadpoolctl import threadpool_limits

from accel.cost import Counts, Estimate, Invariants, Limits, Technology, estimate_of
from accel.cost.shortage import Resource
from accel.interchange.data.datasets import Dataset
from accel.map_orders import Orders
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Widths, in_order, lane_orders, lower_calibrated, operands_of
from accel.words import Words
from reports.explore.mixed import Mix
from reports.explore.space import Lanes, Space
from reports.explore.trials import words_of
from reports.workflow.layer_bits import with_layer_bits

Setting = tuple[str, int, int, str]
Rates = Mapping[tuple[int, int], dict[str, Any]]  # what the trials of a version gave, by word lengths
FACT_IMAGES = 64  # for Programs whose masks alone are looked at
FACT_BITS = 8


@dataclass(frozen=True, kw_only=True)
class Point:
    """One design: a version, word lengths, an array; what errs, and what it takes.

    Parameters
    ----------
    version : str
    weight_bits, signal_bits, output_lanes, pixel_lanes : int
        Bits of the widest weight and signal where layers have bits of their own.
    error_rate : float
        On validation images, 0..1.
    memory_bits : int
        Of memory blocks.
    multipliers : int
    cycles, stall_cycles : int
        Of one image, stalls included; waiting for DRAM.
    load_wait_cycles : int
        From the end of one image to the start of the next, which is not loaded earlier.
    area_um2 : int
        Of lanes and memories, an estimate; 0 where the technology says nothing of it.
    energy_pj : int
        Of one image, an estimate; 0 where the technology says nothing of it.
    blocks, multiply_um2, add_um2, flip_flop_um2 : int
        Memory blocks; of the area what multipliers, adders and registers take. 0 where nothing is known of areas.
    short : bool
        Whether the technology has too few blocks or multipliers.
    layers : str
        Bits of each layer, as `reports.workflow.layer_bits` writes them; empty where all have the same.
    """

    version: str
    weight_bits: int
    signal_bits: int
    output_lanes: int
    pixel_lanes: int
    error_rate: float
    memory_bits: int
    multipliers: int
    cycles: int
    stall_cycles: int = 0
    load_wait_cycles: int = 0
    area_um2: int = 0
    energy_pj: int = 0
    blocks: int = 0
    multiply_um2: int = 0
    add_um2: int = 0
    flip_flop_um2: int = 0
    short: bool = False
    layers: str = ""

    @property
    def interval_cycles(self) -> int:
        """Cycles from the start of one image to that of the next."""
        return self.cycles + self.load_wait_cycles

    @property
    def lanes(self) -> Lanes:
        """Output lanes and pixel lanes of the array."""
        return self.output_lanes, self.pixel_lanes

    @property
    def setting(self) -> "Setting":
        """What a point's error rate depends on."""
        return self.version, self.weight_bits, self.signal_bits, self.layers


@dataclass(frozen=True, eq=False)
class Costing:
    """One version, ready to be costed at any word lengths on any array.

    Parameters
    ----------
    name : str
    pruned : PrunedNetwork
    images : Dataset
        Training images.
    input_bits : int
    technology : Technology
    limits : Limits
    """

    name: str
    pruned: PrunedNetwork
    images: Dataset
    input_bits: int
    technology: Technology
    limits: Limits

    @cached_property
    def invariants(self) -> Invariants:
        """What the masks say, whatever the word lengths."""
        return self._invariants(self.widths(FACT_BITS, FACT_BITS))

    def words(
        self, record: dict[str, Any], weight_bits: int, signal_bits: int, layers: str = ""
    ) -> tuple[Invariants, Words]:
        """Return the word lengths that a trial recorded, with the invariants that they belong to."""
        words = words_of(record, self.invariants.words)
        if words is not None and not self.invariants.looks_up:
            return self.invariants, words
        widths = self.widths(weight_bits, signal_bits, layers)
        invariants = self._invariants(widths)  # a Program of other layers than the usual ones
        return invariants, words_of(record, invariants.words) or invariants.words

    def estimate(self, invariants: Invariants, words: Words, lanes: Lanes) -> Estimate:
        """Return what the words cost on the array that is just large enough for them, which holds all weights.

        Output maps are in the order that suits the array, which changes nothing but its cycles and memories.
        """
        invariants = self.ordered(invariants, lanes)
        return estimate_of(invariants, words, invariants.array(words, *lanes), self.technology, self.limits)

    def widths(self, weight_bits: int, signal_bits: int, layers: str = "") -> Widths:
        """Return word lengths, those of single layers too."""
        widths = Widths(weight_bits, signal_bits, self.input_bits)
        return with_layer_bits(widths, layers, operands_of(self.pruned)) if layers else widths

    def estimate_at(self, point: Point, rates: Rates, mixes: Sequence[Mix] = ()) -> Estimate:
        """Return what a point of this version costs, in full."""
        mixed = {mix.layers: mix.words for mix in mixes}
        record = mixed[point.layers] if point.layers else rates[point.weight_bits, point.signal_bits]["words"]
        return self.estimate(*self.words(record, *point.setting[1:]), point.lanes)

    def points(self, space: Space, rates: Rates, mixes: Sequence[Mix] = ()) -> Iterator[Point]:
        """Yield the points of this version; word lengths that no Program has are left out."""
        for weight_bits, signal_bits, layers, rate, record in _trials(space, rates, mixes):
            invariants, words = self.words(record, weight_bits, signal_bits, layers)
            for lanes in space.arrays:
                estimate = self.estimate(invariants, words, lanes)
                widths: dict[str, Any] = {"weight_bits": weight_bits, "signal_bits": signal_bits, "layers": layers}
                yield _point(self.name, widths, lanes, rate, estimate)

    def ordered(self, invariants: Invariants, lanes: Lanes) -> Invariants:
        """Return the invariants of the same Program with its output maps in the order that suits an array."""
        key = (lanes[0], lanes[1] > 1)
        if key not in self._orders:
            self._orders[key] = lane_orders(self.invariants.program, *key)
            self._ordered_invariants[key] = Invariants(in_order(self.invariants.program, self._orders[key]))
        if invariants is self.invariants:
            return self._ordered_invariants[key]
        return Invariants(in_order(invariants.program, self._orders[key]))

    @cached_property
    def _orders(self) -> dict[tuple[int, bool], Orders]:
        return {}

    @cached_property
    def _ordered_invariants(self) -> dict[tuple[int, bool], Invariants]:
        return {}

    def _invariants(self, widths: Widths) -> Invariants:
        images = self.images.take(min(FACT_IMAGES, len(self.images)))
        with threadpool_limits(1):
            calibration = Calibration(self.pruned, images.pixels())
            return Invariants(lower_calibrated(calibration, widths))


def _trials(space: Space, rates: Rates, mixes: Sequence[Mix]) -> Iterator[tuple[int, int, str, float, dict[str, Any]]]:
    """Yield bits of weights and signals, bits of layers, error rate and words of every Program that was tried."""
    for bits in space.widths():
        if "problem" not in rates[bits]:
            yield *bits, "", rates[bits]["rate"], rates[bits]["words"]
    for mix in mixes:
        yield mix.weight_bits, mix.signal_bits, mix.layers, mix.rate, mix.words


def costed(
    name: str,
    network: bytes,
    images: Dataset,
    input_bits: int,
    technology: Technology,
    limits: Limits,
    space: Space,
    rates: Rates,
    mixes: Sequence[Mix],
) -> tuple[list[Point], Counts]:
    """Return every point of a version, and what its masks count: the work of a process.

    Parameters
    ----------
    name : str
    network : bytes
        `PrunedNetwork.to_bytes`.
    images, input_bits, technology, limits
        As `Costing` has them.
    space : Space
    rates : mapping
        What the trials of the version gave.
    mixes : sequence of Mix
        Its word lengths of single layers.
    """
    costing = Costing(name, PrunedNetwork.from_bytes(network), images, input_bits, technology, limits)
    return list(costing.points(space, rates, mixes)), costing.invariants.cost.total


def _point(version: str, widths: dict[str, Any], lanes: Lanes, rate: float, estimate: Estimate) -> Point:
    energy, parts = estimate.energy, estimate.area_parts
    missing = {shortage.resource for shortage in estimate.shortages} - {Resource.MEMORY}  # a limit of `choosing`
    return Point(
        version=version,
        **widths,
        output_lanes=lanes[0],
        pixel_lanes=lanes[1],
        error_rate=rate,
        memory_bits=estimate.memory_bits,
        multipliers=estimate.multipliers,
        cycles=estimate.cycles,
        stall_cycles=estimate.spent.stall_cycles,
        load_wait_cycles=estimate.interval_cycles - estimate.cycles,
        area_um2=round(1e6 * (estimate.area_mm2 or 0)),
        energy_pj=round(1e12 * energy.total_joules) if energy else 0,
        blocks=estimate.blocks if parts else 0,
        multiply_um2=round(parts.get("multiply", 0)),
        add_um2=round(parts.get("add", 0)),
        flip_flop_um2=round(parts.get("flip_flop", 0)),
        short=bool(missing),
    )
