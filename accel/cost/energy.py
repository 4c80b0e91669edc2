"""Energy and area of a design: events that are counted exactly, times what a technology's table says of each.

Estimates: published tables leave out the leakage of logic, the clock's tree, wires between blocks and control; one that
is calibrated on netlists has the work of control and fetch, and the clock of their registers. The work of pools and
additions is not counted, their memory accesses are. A lane whose weight is a zero of the filling, or whose
pixel is past the edge of a map, is taken to spend nothing in its multiplier, and in its registers only the clock.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

from accel.array import MacArray
from accel.cost.accesses import Accesses
from accel.cost.hardware_terms import Sizes
from accel.cost.macros import PlacedMemory
from accel.cost.predictor import flip_flops
from accel.cost.summed import Summed, added
from accel.cost.technology import AreaTable, EnergyTable


@dataclass(frozen=True, kw_only=True)
class Energy(Summed):
    """Joules by where they go; ``+`` and ``sum()`` add layers up."""

    mac_joules: float = 0.0
    register_joules: float = 0.0  # of lanes: what they take over, and the clock
    requantize_joules: float = 0.0  # of accumulators that leave: a multiplication, and an offset where there are any
    sram_joules: float = 0.0
    dram_joules: float = 0.0
    leakage_joules: float = 0.0  # of memories, while they hold
    fetch_joules: float = 0.0  # of lists and words on their way to lanes, by the time that it takes
    control_joules: float = 0.0  # the clock of registers that are in no lane

    @property
    def total_joules(self) -> float:
        """Joules in all."""
        return added(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, kw_only=True)
class Events:
    """What one layer does for one image.

    Parameters
    ----------
    macs : int
        Useful multiply-accumulates.
    requantized : int
        Signals that it gives which were accumulators, and are multiplied first.
    accesses : mapping of memory name to Access
        Words that are read and written.
    dram_bits : int
    """

    macs: int
    requantized: int
    accesses: Accesses
    dram_bits: int


def access_joules(table: EnergyTable, memories: Sequence[PlacedMemory]) -> dict[str, float]:
    """Return the energy to read or write one word of each memory: its own width, from all blocks of one bank.

    A bank of many blocks costs what one memory of their capacity does: the address goes to all of them and the word
    comes back from the farthest.
    """
    return {memory.name: table.sram_joules(memory.macro_bits // memory.banks, memory.width_bits) for memory in memories}


def memory_joules(accesses: Accesses, joules: Mapping[str, float]) -> float:
    """Return the energy of accesses, each of which takes the `joules` of its memory; what is not built takes none."""
    return added(accesses[name].words * joules[name] for name in joules if name in accesses)


def energy_of(
    events: Events, table: EnergyTable, mac_joules: float, joules: Mapping[str, float], array: MacArray
) -> Energy:
    """Return the energy of what one layer does; that of its time is `energy_of_time`.

    Parameters
    ----------
    events : Events
    table : EnergyTable
    mac_joules : float
        Of one multiply-accumulate at the layer's word lengths.
    joules : mapping of memory name to joules
        From `access_joules`.
    array : MacArray
    """
    taken_over = table.register + table.flip_flop * written_bits(array)
    return Energy(
        mac_joules=events.macs * mac_joules,
        register_joules=events.macs * taken_over * 1e-12,
        requantize_joules=events.requantized * requantized(table, array) * 1e-12,
        sram_joules=memory_joules(events.accesses, joules),
        dram_joules=events.dram_bits * table.dram * 1e-12,
    )


def gated(energy: Energy, table: EnergyTable, array: MacArray, macs: int, density: float) -> Energy:
    """Return the energy of a layer whose lanes hold still in a multiply-accumulate with a zero operand.

    What is spared is what stands behind the operands: the multiplication, the addition of a product that is zero, and
    new values in the registers of both. Operands still arrive, for a gate must see them, as words and lists that were
    read for all lanes together; the clock goes on. Sparseloop's model of Eyeriss (the artifact of Wu et al., MICRO
    2022, table 7) gives a gated MAC 3 % of the energy of another, for its multiplier and adder are idle: here none.

    Parameters
    ----------
    energy : Energy
        From `energy_of`: that of all `macs`.
    table : EnergyTable
    array : MacArray
    macs : int
        Multiply-accumulates that it is of.
    density : float
        The share of them without a zero operand, 0..1.
    """
    still, behind = macs * (1 - density), written_bits(array) - array.weight_bits - array.signal_bits
    return replace(
        energy,
        mac_joules=energy.mac_joules * density,
        register_joules=energy.register_joules - still * (table.register + table.flip_flop * behind) * 1e-12,
    )


def energy_of_time(
    table: EnergyTable, array: MacArray, macro_bits: int, cycles: int, clock_hz: float, others: float | None = None
) -> Energy:
    """Return the energy of so many cycles: the clock, what memories leak, and the work of control and fetch.

    Control works as long as anything does, about alike in each cycle, and so do drains, which see sums pass: a table
    that is calibrated has the energy of the one by the bits of registers that are in no lane, and that of the others by
    the bits of sums. Other tables leave both out.

    Parameters
    ----------
    table : EnergyTable
    array : MacArray
    macro_bits, cycles : int
    clock_hz : float
    others : float, optional
        What `other_bits` says, where it is known.
    """
    bits = array.macs_per_cycle * register_bits(array)
    watts = 1e-3 * table.leakage * macro_bits / 2**20
    if others is None:
        others = other_bits(table, array)
    return Energy(
        register_joules=cycles * bits * table.clock * 1e-12,
        requantize_joules=cycles * array.pixel_lanes * array.accumulator_bits * table.drain * 1e-12,
        leakage_joules=cycles / clock_hz * watts,
        fetch_joules=cycles * others * table.fetch * 1e-12,
        control_joules=cycles * others * table.control * 1e-12,
    )


def other_bits(table: EnergyTable, array: MacArray, sizes: Sizes | None = None) -> Any:
    """Return the predicted bits of registers that are in no lane, none at least; 0 where a table has no use for them.

    `sizes` are those of `array`, where it stands for many.
    """
    if not (table.fetch or table.control):
        return 0
    lanes = array.macs_per_cycle * register_bits(array)
    if sizes is None:
        return max(_flip_flops(array) - lanes, 0.0)
    return np.maximum(flip_flops(sizes) - lanes, 0)


@lru_cache(maxsize=64)  # each layer asks
def _flip_flops(array: MacArray) -> float:
    return float(flip_flops(Sizes.of(array)))


def written_bits(array: MacArray) -> int:
    """Return the bits of a lane's registers that a multiply-accumulate changes: operands, product twice, accumulator.

    `rtl.core.lanes` has these registers, one after the other, and a few more: those in front, of which rows and columns
    of lanes have one, a sign beside each signal, and room for two products where lanes share a multiplier.
    """
    return 3 * (array.weight_bits + array.signal_bits) + array.accumulator_bits


def register_bits(array: MacArray) -> int:
    """Return the bits of all registers of a lane: those that it computes with, and the shadow from which rows leave."""
    return written_bits(array) + array.accumulator_bits


def requantized(table: EnergyTable, array: MacArray) -> float:
    """Return the picojoules in which a signal is requantised: multiplied, and added to where the array has offsets."""
    multiplied = table.multiply.at(math.sqrt(array.accumulator_bits * array.multiplier_bits))
    return multiplied + (table.add.at(array.accumulator_bits + array.multiplier_bits) if array.offset_bits else 0.0)


def area_parts(table: AreaTable, array: MacArray, macro_bits: int, macros: int) -> dict[str, float]:
    """Return the square micrometers that follow from each figure of a table, by its name.

    They are of lanes (a multiplier, an adder and registers each), of requantisation, and of memory blocks.
    """
    bits, wide = math.sqrt(array.weight_bits * array.signal_bits), array.accumulator_bits + array.multiplier_bits
    drain = table.multiply.at(math.sqrt(array.accumulator_bits * array.multiplier_bits))
    offset = table.add.at(wide) if array.offset_bits else 0.0
    lanes, rows = array.macs_per_cycle, array.pixel_lanes
    return {
        "multiply": lanes * table.multiply.at(bits) + rows * drain,
        "add": lanes * table.add.at(array.accumulator_bits) + rows * offset,
        "flip_flop": lanes * register_bits(array) * table.flip_flop,
        "sram": macro_bits * table.sram,
        "sram_block": macros * table.sram_block,
    }


def area_mm2(table: AreaTable, array: MacArray, macro_bits: int, macros: int) -> float:
    """Return the area of all that `area_parts` has."""
    return 1e-6 * added(area_parts(table, array, macro_bits, macros).values())
