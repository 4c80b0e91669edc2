"""Energy and area of a design: events that are counted exactly, times what a technology's table says of each.

Estimates: the tables leave out leakage, the clock tree, wires between blocks and control; the work of pools and
additions is not counted, their memory accesses are. A lane whose weight is a zero of the filling, or whose pixel is
past the edge of a map, is taken to spend nothing in its multiplier.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from accel.array import MacArray
from accel.cost.macros import PlacedMemory
from accel.cost.summed import Summed
from accel.cost.technology import AreaTable, EnergyTable


@dataclass(frozen=True, kw_only=True)
class Energy(Summed):
    """Joules by where they go; ``+`` and ``sum()`` add layers up."""

    mac_joules: float = 0.0
    register_joules: float = 0.0
    sram_joules: float = 0.0
    dram_joules: float = 0.0

    @property
    def total_joules(self) -> float:
        """Joules in all."""
        return self.mac_joules + self.register_joules + self.sram_joules + self.dram_joules


@dataclass(frozen=True, kw_only=True)
class Events:
    """What one layer does for one image.

    Parameters
    ----------
    macs : int
        Useful multiply-accumulates.
    steps : int
        Each reads a signal for every pixel lane.
    weight_words : int
        Words of weights that they read: one a step, or one for each pixel lane where sums are split.
    output_words : int
        Signals that are written.
    entries : int
        Index entries that are read: the list of a group once for each of its tiles.
    dram_bits : int
    looked_up : int
        Codes that are looked up in a table.
    """

    macs: int
    steps: int
    weight_words: int
    output_words: int
    entries: int
    dram_bits: int
    looked_up: int = 0


def access_joules(table: EnergyTable, memories: Mapping[str, PlacedMemory]) -> dict[str, float]:
    """Return the energy to read or write one word of each memory: its own width, from all blocks of one bank.

    A bank of many blocks costs what one memory of their capacity does: the address goes to all of them and the word
    comes back from the farthest.
    """
    return {
        name: table.sram_joules(memory.macro_bits // memory.banks, memory.width_bits)
        for name, memory in memories.items()
    }


def energy_of(
    events: Events, table: EnergyTable, mac_joules: float, accesses: Mapping[str, float], array: MacArray
) -> Energy:
    """Return the energy of one layer.

    Parameters
    ----------
    events : Events
    table : EnergyTable
    mac_joules : float
        Of one multiply-accumulate at the layer's word lengths.
    accesses : mapping of memory name to joules
        From `access_joules`; a memory that is missing costs nothing.
    array : MacArray
    """
    signals = events.steps * array.pixel_lanes + events.output_words
    sram = events.weight_words * accesses.get("weights", 0.0) + signals * accesses.get("signals", 0.0)
    sram += events.entries * accesses.get("entries", 0.0) + events.looked_up * accesses.get("tables", 0.0)
    return Energy(
        mac_joules=events.macs * mac_joules,
        register_joules=events.macs * table.register * 1e-12,
        sram_joules=sram,
        dram_joules=events.dram_bits * table.dram * 1e-12,
    )


def multipliers_of(array: MacArray) -> int:
    """Return the hardware multipliers of an array: those of the lanes, and one for each pixel lane to requantise.

    `espalier synth` counts as many: 72 at 8x8 and 8 bits, 40 at 4-bit weights.
    """
    return (array.multiplier_rows + 1) * array.pixel_lanes


def area_mm2(table: AreaTable, array: MacArray, macro_bits: int) -> float:
    """Return the area of lanes (a multiplier and an adder each), requantisation and memories."""
    bits = math.sqrt(array.weight_bits * array.signal_bits)
    lane = table.multiply.at(bits) + table.add.at(array.accumulator_bits)
    drain = table.multiply.at(math.sqrt(array.accumulator_bits * array.multiplier_bits))
    return 1e-6 * (array.macs_per_cycle * lane + array.pixel_lanes * drain + macro_bits * table.sram)
