"""What an estimate says: memory in blocks, cycles with stalls, energy, shortages. `accel.cost.estimate` makes it.

What is exact: counts, stored bits, the memories (those of the generated hardware, bit for bit) and their blocks, and
cycles (the hardware takes as many), the stalls of streamed weights too if they come at an even rate
(`accel.cost.stalls`). What is estimated from tables, published or calibrated: energy and area, `accel.cost.energy`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from accel.array import MacArray
from accel.cost.accesses import Accesses
from accel.cost.counts import Cycles, LayerCost
from accel.cost.cycles import interval_cycles, start_cycles
from accel.cost.energy import Energy, access_joules, area_parts, energy_of_time, memory_joules
from accel.cost.hardware_terms import multipliers_of
from accel.cost.macros import PlacedMemory, shortages
from accel.cost.predictor import predict
from accel.cost.shortage import Resource, Shortage
from accel.cost.slots import Slots
from accel.cost.summed import added
from accel.cost.technology import Technology
from accel.errors import EspalierError

CLOCK_HZ = 100e6
RESIDENT, STREAMED, PACKED = "resident", "streamed", "packed"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a design has to live with.

    Parameters
    ----------
    clock_hz : float
    dram_bytes_per_s : float or None
        None: there is no DRAM that weights could come from.
    sram_bits : int or None
        Of memory blocks in all; None: as many as the technology has.
    stream : bool
        Weights come from DRAM, group of output lanes by group, on an array that has two buffers for them.
    unpack : bool
        They come as the Program stores them, with their index, and are unpacked on the chip (`accel.cost.packed`),
        which our hardware does not do.
    luts, cell_um2, mhz : float or None
        The most look-up tables of an ECP5, the most area of SkyWater's cells of 130 nm, the lowest clock that the array
        must reach, on an FPGA or in cells as the technology is; by `accel.cost.predictor`.

    Raises
    ------
    EspalierError
        A number is not positive, or there is no DRAM to stream from.
    """

    clock_hz: float = CLOCK_HZ
    dram_bytes_per_s: float | None = None
    sram_bits: int | None = None
    stream: bool = False
    unpack: bool = False
    luts: float | None = None
    cell_um2: float | None = None
    mhz: float | None = None

    def __post_init__(self) -> None:
        for name in ("clock_hz", "dram_bytes_per_s", "sram_bits", "luts", "cell_um2", "mhz"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise EspalierError(f"{name} must be a positive number, got {value}")
        if self.stream and self.dram_bytes_per_s is None:
            raise EspalierError("weights can be streamed only from a DRAM of a given bandwidth")

    @property
    def predicts(self) -> bool:
        """Whether anything is limited that is predicted."""
        return any(x is not None for x in (self.luts, self.cell_um2, self.mhz))


@dataclass(frozen=True, kw_only=True)
class LayerEstimate:
    """What one layer that takes time costs.

    Parameters
    ----------
    kind : str
        mac, add, avg-pool, max-pool, relu, clip, concat or table.
    cost : LayerCost
        Exact counts, and its words.
    spent : Cycles
        Where they go.
    lanes : int
        Multiply-accumulates that the array could do in a cycle.
    slots : Slots
        What becomes of the lanes while the array works.
    held_bits : int
        Of all tensors that the signal memory holds while the layer runs.
    control_bits : int
        Of its entries, its taps and its word of layers, but for the shift, which counts as requantisation.
    filling_bits : int
        Of its words of weights and constants: lanes that keep nothing, and what extends a narrower number.
    accesses : mapping of memory name to Access
        Words that it reads and writes.
    dram_bits : int
        For one image.
    energy : Energy or None
        An estimate; None where the technology says nothing.
    """

    kind: str
    cost: LayerCost
    spent: Cycles
    lanes: int
    slots: Slots
    held_bits: int
    control_bits: int
    filling_bits: int
    accesses: Accesses
    dram_bits: int
    energy: Energy | None

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.cost.name

    @property
    def cycles(self) -> int:
        """The layer's cycles in all: compute, drain, fill and stalls."""
        return self.spent.cycles

    @property
    def utilization(self) -> float:
        """Useful multiply-accumulates / (lanes x cycles), 0..1."""
        return self.slots.useful_slots / (self.lanes * self.cycles)

    @property
    def macs_per_dram_byte(self) -> float | None:
        """Useful multiply-accumulates for each byte from or to DRAM; None where there is no traffic."""
        return self.cost.counts.macs / (self.dram_bits / 8) if self.dram_bits else None


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """The roofs over a design, in multiply-accumulates a second (Williams et al., CACM 2009).

    `bandwidth_macs_per_s` is the intensity times the bandwidth; None where no bandwidth is given.
    """

    peak_macs_per_s: float
    macs_per_dram_byte: float
    bandwidth_macs_per_s: float | None
    attained_macs_per_s: float

    @property
    def bound(self) -> str:
        """Which roof is lower: compute or bandwidth."""
        lower = self.bandwidth_macs_per_s is not None and self.bandwidth_macs_per_s < self.peak_macs_per_s
        return "bandwidth" if lower else "compute"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a Program costs on an array in a technology.

    Parameters
    ----------
    network, pattern : str
    array : MacArray
    technology : Technology
    limits : Limits
    weights : "resident", "streamed" or "packed"
        Packed ones are streamed as they are stored, and unpacked on the chip.
    layers : tuple of LayerEstimate
        Those that take time, in running order.
    memories : tuple of PlacedMemory
    stored_bits : int
        `ProgramCost.memory_bits`: the Program's parameters and live signals, without array or blocks.
    exact : bool
        Whether the word lengths are a Program's own (`Words.exact`).
    dram_bits : int
        For one image: weights that are streamed, the image, the scores.
    load_accesses : mapping of memory name to Access
        Words that are written as an image is loaded.
    load_cycles : int
        In which an image comes: a beat of pixel lanes words a cycle, or as fast as the DRAM gives it.
    written_rows : int
        That the drain writes to the signal memory, while which no image is loaded.
    """

    network: str
    pattern: str
    array: MacArray
    technology: Technology
    limits: Limits
    weights: str
    layers: tuple[LayerEstimate, ...]
    memories: tuple[PlacedMemory, ...]
    stored_bits: int
    exact: bool
    dram_bits: int
    load_accesses: Accesses
    load_cycles: int
    written_rows: int

    @cached_property
    def spent(self) -> Cycles:
        """Where the cycles of one image go, its start among those of the pipeline."""
        return sum((layer.spent for layer in self.layers), Cycles(fill_cycles=start_cycles(self.array)))

    @cached_property
    def slots(self) -> Slots:
        """What becomes of the lanes while the array works on one image."""
        return sum((layer.slots for layer in self.layers), Slots())

    @property
    def cycles(self) -> int:
        """Cycles of one image, from start to the last row; `total_cycles` and the stalls."""
        return self.spent.cycles

    @property
    def interval_cycles(self) -> int:
        """Cycles from the start of one image to that of the next, whose load binds if it takes longer than an image."""
        waits = self.spent.stall_cycles
        return interval_cycles(self.cycles - waits, self.load_cycles, self.written_rows, self.array) + waits

    @property
    def seconds(self) -> float:
        """Seconds from the start of one image to that of the next."""
        return self.interval_cycles / self.limits.clock_hz

    @property
    def clock_reached(self) -> bool | None:
        """Whether the array is known to run at the clock; None where nothing is known of the technology's."""
        return self.technology.reaches(self.limits.clock_hz)

    @property
    def images_per_s(self) -> float:
        """Images a second, one after another."""
        return 1 / self.seconds

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of one image."""
        return sum(layer.cost.counts.macs for layer in self.layers)

    @property
    def utilization(self) -> float:
        """Useful multiply-accumulates / (lanes x cycles), 0..1."""
        return self.slots.useful_slots / (self.array.macs_per_cycle * self.cycles)

    @property
    def built_bits(self) -> int:
        """Bits of all memories as they are built, before blocks of the technology are counted."""
        return sum(memory.bits for memory in self.memories)

    @property
    def memory_bits(self) -> int:
        """Bits of all memory blocks."""
        return sum(memory.macro_bits for memory in self.memories)

    @property
    def payload_bits(self) -> int:
        """Bits of the Program that lie in memory blocks at the peak, without the filling of edge blocks."""
        return sum(memory.payload_bits for memory in self.memories)

    @property
    def waste_bits(self) -> int:
        """Bits of memory blocks that hold nothing: of lanes that keep nothing, extended words, ends of blocks."""
        return self.memory_bits - self.payload_bits

    @property
    def on_our_hardware(self) -> bool:
        """Whether the generated hardware does this: it does not unpack weights."""
        return self.weights != PACKED

    @property
    def multipliers(self) -> int:
        """Hardware multipliers."""
        return multipliers_of(self.array)

    @property
    def energy(self) -> Energy | None:
        """Energy of one image, which comes from DRAM; estimated. None where the technology says nothing of energy."""
        table = self.technology.energy
        if table is None:
            return None
        borders = self.dram_bits - sum(layer.dram_bits for layer in self.layers)
        between = self.interval_cycles - sum(layer.cycles for layer in self.layers)
        rest = energy_of_time(table, self.array, self.memory_bits, between, self.limits.clock_hz)
        joules = access_joules(table, self.memories)
        load = Energy(sram_joules=memory_joules(self.load_accesses, joules), dram_joules=borders * table.dram * 1e-12)
        return sum((x.energy for x in self.layers if x.energy), rest + load)

    def watts_at(self, images_per_s: float) -> float | None:
        """Return the power where so many images come a second; estimated. None where nothing is known of energy.

        Between two images the clock of the lanes stands still, and memories leak on.

        Raises
        ------
        EspalierError
            The array is not as fast.
        """
        if images_per_s > self.images_per_s:
            raise EspalierError(
                f"{images_per_s:g} images a second are more than the {self.images_per_s:,.1f} that it does"
            )
        if self.energy is None:
            return None
        leaked = self.energy.leakage_joules
        return (self.energy.total_joules - leaked) * images_per_s + leaked / self.seconds

    @property
    def area_mm2(self) -> float | None:
        """Area of lanes and memories; estimated. None where the technology says nothing of area."""
        return 1e-6 * added(self.area_parts.values()) if self.technology.area else None

    @property
    def blocks(self) -> int:
        """Memory blocks of all kinds."""
        return sum(memory.count for memory in self.memories)

    @property
    def area_parts(self) -> dict[str, float]:
        """Square micrometers that follow from each figure of the technology's table of areas; empty without one."""
        table = self.technology.area
        return area_parts(table, self.array, self.memory_bits, self.blocks) if table else {}

    @property
    def roofline(self) -> Roofline:
        """Peak and bandwidth against what is attained."""
        intensity, bandwidth = self.macs / (self.dram_bits / 8), self.limits.dram_bytes_per_s
        peak = self.array.macs_per_cycle * self.limits.clock_hz
        return Roofline(
            peak_macs_per_s=peak,
            macs_per_dram_byte=intensity,
            bandwidth_macs_per_s=intensity * bandwidth if bandwidth else None,
            attained_macs_per_s=self.macs / self.seconds,
        )

    @cached_property
    def shortages(self) -> tuple[Shortage, ...]:
        """What there is too little of: kinds of blocks, multipliers, the memory that was given."""
        found = shortages(self.memories, self.technology)
        for resource, needed, available in (
            (Resource.MULTIPLIERS, self.multipliers, self.technology.multipliers),
            (Resource.MEMORY, self.memory_bits, self.limits.sram_bits),
        ):
            if available is not None and needed > available:
                found.append(Shortage(resource=resource, needed=needed, available=available))
        return (*found, *self._predicted_shortages())

    def _predicted_shortages(self) -> Iterator[Shortage]:
        """Yield what the array is predicted to take too much of, where that is limited."""
        limits = self.limits
        if not limits.predicts:
            return
        found = predict(self.array)
        mhz = found.fpga_mhz if self.technology.multipliers is not None else found.cell_mhz
        if limits.luts is not None and found.lut > limits.luts:
            yield Shortage(resource=Resource.LUTS, needed=found.lut, available=round(limits.luts))
        if limits.cell_um2 is not None and found.cell_um2 > limits.cell_um2:
            yield Shortage(resource=Resource.CELLS, needed=round(found.cell_um2), available=round(limits.cell_um2))
        if limits.mhz is not None and mhz < limits.mhz:
            yield Shortage(resource=Resource.CLOCK, needed=math.ceil(limits.mhz), available=math.floor(mhz))

    @property
    def fits(self) -> bool:
        """Whether there is enough of everything."""
        return not self.shortages
