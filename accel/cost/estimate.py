"""What an estimate says: memory in blocks, cycles with stalls, energy, a verdict. `accel.cost.estimating` makes it.

What is exact: counts, stored bits, the memories (those of the generated hardware, bit for bit) and their blocks, and
cycles without stalls (the hardware takes as many). What is modelled: weights that are streamed, and their stalls
(`accel.cost.schedule`). What is estimated from published tables: energy and area, `accel.cost.energy`.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from accel.array import MacArray
from accel.cost.counts import LayerCost
from accel.cost.cycles import START_CYCLES
from accel.cost.energy import Energy, area_mm2, multipliers_of
from accel.cost.macros import PlacedMemory, shortages
from accel.cost.technology import Technology
from accel.errors import EspalierError

CLOCK_HZ = 100e6
RESIDENT, STREAMED = "resident", "streamed"
UNBUILT = "the generated hardware holds all weights, streaming them is a model of the costs alone"


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
        Weights come from DRAM, layer group by layer group: a model, which the generated hardware does not follow.

    Raises
    ------
    EspalierError
        A number is not positive, or there is no DRAM to stream from.
    """

    clock_hz: float = CLOCK_HZ
    dram_bytes_per_s: float | None = None
    sram_bits: int | None = None
    stream: bool = False

    def __post_init__(self) -> None:
        for name in ("clock_hz", "dram_bytes_per_s", "sram_bits"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise EspalierError(f"{name} must be a positive number, got {value}")
        if self.stream and self.dram_bytes_per_s is None:
            raise EspalierError("weights can be streamed only from a DRAM of a given bandwidth")


@dataclass(frozen=True, kw_only=True)
class LayerEstimate:
    """One layer that takes time.

    Parameters
    ----------
    kind : str
        mac, add, avg-pool, max-pool or relu.
    cost : LayerCost
        Exact counts, and its words.
    compute_cycles, drain_cycles, fill_cycles, stall_cycles : int
        Steps of the array; waiting for rows to drain; the pipeline; waiting for weights from DRAM.
    lanes : int
        Multiply-accumulates that the array could do in a cycle.
    held_bits : int
        Of all tensors that the signal memory holds while the layer runs.
    control_bits : int
        Of its entries, its taps and its word of layers, but for the shift, which counts as requantisation.
    filling_bits : int
        Of its words of weights and constants: lanes that keep nothing, and what extends a narrower number.
    dram_bits : int
        For one image.
    energy : Energy or None
        An estimate; None where the technology says nothing.
    """

    kind: str
    cost: LayerCost
    compute_cycles: int
    drain_cycles: int
    fill_cycles: int
    stall_cycles: int
    lanes: int
    held_bits: int
    control_bits: int
    filling_bits: int
    dram_bits: int
    energy: Energy | None

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.cost.name

    @property
    def cycles(self) -> int:
        """All of them."""
        return self.compute_cycles + self.drain_cycles + self.fill_cycles + self.stall_cycles

    @property
    def utilization(self) -> float:
        """Useful multiply-accumulates / (lanes x cycles), 0..1."""
        return self.cost.counts.macs / (self.lanes * self.cycles)

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
    weights : "resident" or "streamed"
    layers : tuple of LayerEstimate
        Those that take time, in running order.
    memories : tuple of PlacedMemory
    stored_bits : int
        `ProgramCost.memory_bits`: the Program's parameters and live signals, without array or blocks.
    exact : bool
        Whether the word lengths are a Program's own (`Words.exact`).
    dram_bits : int
        For one image: weights that are streamed, the image, the scores.
    load_cycles : int
        Until the image is in the signal memory, before the array starts.
    strange_strides : tuple of str
        A line for each layer that the hardware does not step to, whatever room there is.
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
    load_cycles: int
    strange_strides: tuple[str, ...] = ()

    @property
    def compute_cycles(self) -> int:
        """Steps of the array."""
        return sum(layer.compute_cycles for layer in self.layers)

    @property
    def drain_cycles(self) -> int:
        """Waiting for rows to drain."""
        return sum(layer.drain_cycles for layer in self.layers)

    @property
    def fill_cycles(self) -> int:
        """The pipeline, the start of the image included."""
        return START_CYCLES + sum(layer.fill_cycles for layer in self.layers)

    @property
    def stall_cycles(self) -> int:
        """Waiting for weights from DRAM."""
        return sum(layer.stall_cycles for layer in self.layers)

    @property
    def cycles(self) -> int:
        """Of one image, from start to the last row; `total_cycles` and the stalls."""
        return self.compute_cycles + self.drain_cycles + self.fill_cycles + self.stall_cycles

    @property
    def seconds(self) -> float:
        """For one image, its load included: the array takes words while it is idle alone."""
        return (self.load_cycles + self.cycles) / self.limits.clock_hz

    @property
    def clock_reached(self) -> bool | None:
        """Whether the array is known to run at the clock; None where nothing is known of the technology's."""
        return self.technology.reaches(self.limits.clock_hz)

    @property
    def images_per_s(self) -> float:
        """One after another."""
        return 1 / self.seconds

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of one image."""
        return sum(layer.cost.counts.macs for layer in self.layers)

    @property
    def utilization(self) -> float:
        """Useful multiply-accumulates / (lanes x cycles), 0..1."""
        return self.macs / (self.array.macs_per_cycle * self.cycles)

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
        """What of the Program lies in them at the peak; without the filling of edge blocks, which no lane needs."""
        return sum(memory.payload_bits for memory in self.memories)

    @property
    def waste_bits(self) -> int:
        """The rest: lanes that keep nothing, words that are extended, ends of blocks."""
        return self.memory_bits - self.payload_bits

    @property
    def multipliers(self) -> int:
        """Hardware multipliers."""
        return multipliers_of(self.array)

    @property
    def energy(self) -> Energy | None:
        """Of one image, which comes from DRAM; an estimate. None where the technology says nothing of energy."""
        table = self.technology.energy
        if table is None:
            return None
        borders = self.dram_bits - sum(layer.dram_bits for layer in self.layers)
        return sum((x.energy for x in self.layers if x.energy), Energy(dram_joules=borders * table.dram * 1e-12))

    @property
    def area_mm2(self) -> float | None:
        """Of lanes and memories; an estimate. None where the technology says nothing of area."""
        return area_mm2(self.technology.area, self.array, self.memory_bits) if self.technology.area else None

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

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it does not fit, a line each."""
        lines = [*self.strange_strides, *([UNBUILT] if self.weights == STREAMED else [])]
        lines += shortages(self.memories, self.technology)
        most, given = self.technology.multipliers, self.limits.sram_bits
        if most is not None and self.multipliers > most:
            lines.append(f"{self.multipliers:,} multipliers are needed, there are {most:,}")
        if given is not None and self.memory_bits > given:
            largest = max(self.memories, key=lambda memory: memory.macro_bits)
            lines.append(
                f"memory blocks of {_kib(self.memory_bits)} KiB are needed, {_kib(given)} KiB are given; "
                f"{_kib(largest.macro_bits)} KiB are for {largest.name}"
            )
        return tuple(lines)

    @property
    def fits(self) -> bool:
        """Whether the array runs it and there is enough of everything."""
        return not self.problems

    @property
    def binding(self) -> str:
        """What binds, in one sentence: what is missing, or else what most of the cycles go to."""
        if self.problems:
            unable = self.strange_strides or self.weights == STREAMED
            return f"{'the array' if unable else 'room'} binds: {self.problems[0]}"
        shares = {
            "multipliers bind": self.compute_cycles,
            "DRAM bandwidth binds": self.stall_cycles,
            "the drain binds, one row a cycle": self.drain_cycles,
            "the pipeline between layers binds": self.fill_cycles,
            "the load of the image binds": self.load_cycles,
        }
        what = max(shares, key=lambda name: shares[name])
        longest = max(self.layers, key=lambda layer: layer.cycles)
        useful = f"{longest.name} is the longest layer, {longest.utilization:.0%} of its multiply slots useful"
        return f"{what}: {shares[what] / sum(shares.values()):.0%} of the cycles; {useful}"

    @property
    def verdict(self) -> str:
        """One line: whether it fits, what it does, and what binds."""
        size = f"{_kib(self.memory_bits)} KiB of memory blocks ({_kib(self.waste_bits)} KiB of them empty)"
        cycles = f"{self.cycles:,} cycles behind {self.load_cycles:,} of loading"
        speed = f"{cycles}, {self.images_per_s:,.0f} images/s at {self.limits.clock_hz / 1e6:g} MHz"
        answer = "fits" if self.fits else "does not fit"
        return f"{answer}: {size}, weights {self.weights}, {speed}; {self.binding}"

    def record(self) -> dict[str, Any]:
        """Return plain numbers and words, as JSON takes them."""
        return _record(self)


PLAIN = ("network", "pattern", "weights", "exact", "fits", "problems", "binding", "verdict", "clock_reached")
CYCLES = ("cycles", "compute_cycles", "drain_cycles", "fill_cycles", "stall_cycles")
NUMBERS = ("load_cycles", "seconds", "images_per_s", "macs", "utilization", "built_bits", "memory_bits", "payload_bits")
MORE = ("waste_bits", "stored_bits", "dram_bits", "multipliers", "area_mm2")
LAYER = ("name", "kind", *CYCLES, "utilization", "held_bits", "control_bits", "filling_bits")
TRAFFIC = ("dram_bits", "macs_per_dram_byte")
WORDS = ("pattern", "encoding", "weight_bits", "signal_bits", "accumulator_bits")


def _record(e: Estimate) -> dict[str, Any]:
    energy = e.energy
    return {
        **{name: getattr(e, name) for name in PLAIN + CYCLES + NUMBERS + MORE},
        "energy": None if energy is None else {**asdict(energy), "total_joules": energy.total_joules},
        "roofline": {**asdict(e.roofline), "bound": e.roofline.bound},
        "technology": e.technology.name,
        "limits": asdict(e.limits),
        "array": asdict(e.array),
        "memories": [_memory_record(memory) for memory in e.memories],
        "layers": [_layer_record(layer) for layer in e.layers],
    }


def _memory_record(memory: PlacedMemory) -> dict[str, Any]:
    return {
        **asdict(memory),
        "built_bits": memory.bits,
        "macro_bits": memory.macro_bits,
        "waste_bits": memory.waste_bits,
    }


def _layer_record(layer: LayerEstimate) -> dict[str, Any]:
    return {
        **{name: getattr(layer, name) for name in LAYER + TRAFFIC},
        **{name: getattr(layer.cost, name) for name in WORDS},
        **asdict(layer.cost.counts),
        "energy_joules": layer.energy.total_joules if layer.energy else None,
    }


def _kib(bits: int) -> str:
    return f"{bits / 8192:.1f}"
