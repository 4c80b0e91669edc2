"""Word lengths on many arrays at once: what `estimate_of` says of each, to the last bit, in vectors.

The same functions of energy and area are given numbers of one array there, and of all of them here; what they are given
for word lengths alone is one number for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from accel.array import DEPTHS, MacArray
from accel.cost.accesses import Access
from accel.cost.array_facts import ArrayFacts, LayerFacts, MemoryFacts
from accel.cost.counts import LayerCost
from accel.cost.design import Limits
from accel.cost.energy import Energy, Events, area_parts, energy_of, energy_of_time, memory_joules, other_bits
from accel.cost.hardware_terms import BITS, FLAGS, Sizes
from accel.cost.invariants import Invariants
from accel.cost.macros import place_many
from accel.cost.predictor import predictions
from accel.cost.summed import added
from accel.cost.technology import EnergyTable, Technology
from accel.program import Program
from accel.words import Words

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Costs:
    """What one pair of word lengths costs on each of some arrays.

    Parameters
    ----------
    output_lanes, pixel_lanes, memory_bits, multipliers, cycles, interval_cycles : int array (arrays,)
        As `accel.cost.design.Estimate` has them.
    area_um2, energy_pj : int array (arrays,)
        Estimates; 0 where the technology says nothing of them.
    short : bool array (arrays,)
        Whether the technology has too few blocks or multipliers.
    """

    output_lanes: Integers
    pixel_lanes: Integers
    memory_bits: Integers
    multipliers: Integers
    cycles: Integers
    interval_cycles: Integers
    area_um2: Integers
    energy_pj: Integers
    short: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Arrays:
    """A Program on many arrays, apart from word lengths.

    Parameters
    ----------
    facts : sequence of ArrayFacts
        All for word lengths of one kind (`Invariants.kind`).
    program : Program
        Any of these masks.
    """

    facts: Sequence[ArrayFacts]
    program: Program

    def costs(self, invariants: Invariants, words: Words, technology: Technology, limits: Limits) -> Costs:
        """Return what word lengths of this kind cost, all weights on the chip.

        Parameters
        ----------
        invariants : Invariants
            Of a Program that has these word lengths, its maps in any order.
        words : Words
        technology : Technology
        limits : Limits
            Whose clock leakage depends on.
        """
        memories = self._widths(words)
        bits, blocks, fits = place_many(*self._memories, memories, technology)
        macro_bits = bits.sum(axis=0)
        array: Any = SimpleNamespace(**{name: getattr(words, name) for name in BITS})
        array.pixel_lanes, array.macs_per_cycle = self.pixel_lanes, self.output_lanes * self.pixel_lanes
        area = energy = np.zeros(len(self.facts), np.int64)
        if technology.area is not None:
            parts = area_parts(technology.area, cast(MacArray, array), cast(Any, macro_bits), cast(Any, blocks))
            area = _rounded(1e6 * (1e-6 * added(parts.values())))
        if technology.energy is not None:
            joules = self._energy(invariants, words, technology.energy, array, bits, memories, limits)
            energy = _rounded(1e12 * joules.total_joules)
        short = ~fits
        if technology.multipliers is not None:
            short |= self.multipliers > technology.multipliers
        if limits.predicts:
            short |= self._beyond(words, memories, technology, limits)
        return Costs(
            output_lanes=self.output_lanes,
            pixel_lanes=self.pixel_lanes,
            memory_bits=macro_bits,
            multipliers=self.multipliers,
            cycles=self.cycles,
            interval_cycles=self.interval_cycles,
            area_um2=area,
            energy_pj=energy,
            short=short,
        )

    def _beyond(self, words: Words, widths: Integers, technology: Technology, limits: Limits) -> NDArray[np.bool_]:
        """Return which arrays are predicted to take more than there may be, as `Estimate.shortages` has it."""
        found = predictions(self._sizes(words, widths))
        mhz = found["fpga_mhz"] if technology.multipliers is not None else found["cell_mhz"]
        beyond = np.zeros(len(self.facts), bool)
        if limits.luts is not None:
            beyond |= found["lut"] > limits.luts
        if limits.cell_um2 is not None:
            beyond |= found["cell_um2"] > limits.cell_um2
        if limits.mhz is not None:
            beyond |= mhz < limits.mhz
        return beyond

    def _sizes(self, words: Words, widths: Integers) -> Sizes:
        """Return the sizes of all arrays."""
        flags = np.array([x.flags for x in self.facts])
        return Sizes(
            output_lanes=self.output_lanes,
            pixel_lanes=self.pixel_lanes,
            bits={name: getattr(words, name) for name in BITS},
            flags={name: flags[:, place] for place, name in enumerate(FLAGS)},
            streams=False,
            words=dict(zip(DEPTHS, self._memories[0], strict=True)),
            widths=dict(zip(DEPTHS, np.where(self._there, widths, 0), strict=True)),
        )

    def _energy(
        self,
        invariants: Invariants,
        words: Words,
        table: EnergyTable,
        array: Any,
        bits: Integers,
        widths: Integers,
        limits: Limits,
    ) -> Energy:
        """Return the energy of an image, as `accel.cost.estimate` adds it up: what is no layer's, then the layers."""
        banks = self._memories[1]
        joules: Any = {
            name: np.where(there, table.sram_joules(size, width), 0.0)
            for name, there, size, width in zip(DEPTHS, self._there, np.maximum(bits // banks, 1), widths, strict=True)
        }
        costs, program = {cost.name: cost for cost in invariants.costs(words)}, self.program
        macro_bits, clock_hz = cast(Any, bits.sum(axis=0)), limits.clock_hz
        output_bits = invariants.tensor_words[program.output] * words.signals[program.output]
        between = self.interval_cycles - sum(x.cycles for x in self._layers.values())
        others = other_bits(table, array, self._sizes(words, widths))
        total = energy_of_time(table, array, macro_bits, cast(Any, between), clock_hz, others)
        loads = memory_joules({"signals": Access(writes=cast(int, self._of("loaded")))}, joules)
        total += Energy(sram_joules=loads, dram_joules=(invariants.input_bits + output_bits) * table.dram * 1e-12)
        for name, x in self._layers.items():
            cost = costs[name]
            accesses = {memory: Access(reads=read) for memory, read in zip(DEPTHS, x.accessed, strict=True)}
            requantized = x.output_words if cost.requantizes else 0
            events = Events(macs=x.macs, requantized=requantized, accesses=accesses, dram_bits=0)
            mac = _mac_joules(table, words, cost) if np.any(x.macs) else 0.0
            spent = energy_of(events, table, mac, joules, array)
            total += spent + energy_of_time(table, array, macro_bits, x.cycles, clock_hz, others)
        return total

    def _widths(self, words: Words) -> Integers:
        """Return the bits of a word of each memory (memories, arrays); of one that is not there 1."""
        bits = np.array([getattr(words, name) for name in BITS])
        return np.where(self._there, self._fixed + self._parts @ bits, 1)

    @cached_property
    def _memories(self) -> tuple[Integers, Integers]:
        """Words of a bank, and banks, of each memory (memories, arrays); of one that is not there no words."""
        rows = self._of_memories
        return np.array([[x.words for x in row] for row in rows]), np.array([[x.banks for x in row] for row in rows])

    @cached_property
    def _fixed(self) -> Integers:
        return np.array([[x.fixed for x in row] for row in self._of_memories])

    @cached_property
    def _parts(self) -> Integers:
        return np.array([[x.parts for x in row] for row in self._of_memories])

    @cached_property
    def _there(self) -> NDArray[np.bool_]:
        return self._memories[0] > 0

    @cached_property
    def _of_memories(self) -> list[list[MemoryFacts]]:
        return [[x.memories.get(name, MemoryFacts()) for x in self.facts] for name in DEPTHS]

    @cached_property
    def _layers(self) -> dict[str, Any]:
        """Each layer that takes time on any of the arrays, in running order; 0 where it takes none."""
        names = [x.name for x in self.program.layers if any(x.name in one.layers for one in self.facts)]
        rows = {name: [one.layers.get(name, LayerFacts()) for one in self.facts] for name in names}
        return {name: LayerFacts(*(np.array(x).T for x in zip(*row, strict=True))) for name, row in rows.items()}  # type: ignore[arg-type]

    def _of(self, name: str) -> Integers:
        return np.array([getattr(x, name) for x in self.facts])

    @cached_property
    def output_lanes(self) -> Integers:
        """Output lanes of each array."""
        return self._of("output_lanes")

    @cached_property
    def pixel_lanes(self) -> Integers:
        """Pixel lanes of each array."""
        return self._of("pixel_lanes")

    @cached_property
    def multipliers(self) -> Integers:
        """Hardware multipliers of each array."""
        return self._of("multipliers")

    @cached_property
    def cycles(self) -> Integers:
        """Cycles of an image on each array."""
        return self._of("cycles")

    @cached_property
    def interval_cycles(self) -> Integers:
        """Cycles from the start of one image to that of the next on each array."""
        return self._of("interval_cycles")


def _mac_joules(table: EnergyTable, words: Words, cost: LayerCost) -> float:
    read = max(words.signals[source] for source in words.sources[cost.name])
    return table.mac_joules(cost.weight_bits, read, cost.accumulator_bits)


def _rounded(numbers: Any) -> Integers:
    return np.asarray(np.rint(numbers), np.int64)
