"""Stalls, energy and area of an array whose layers run in tiles, with DRAM and memories of other sizes.

Estimates, and the hardware runs none of it yet: a layer takes the cycles that it takes whole, its traffic comes while
it runs, and the array waits for what is left of it. Cycles that tiles add (the pipeline fills anew, partial sums come
back) are not among them. Memories of weights and signals are as large as a plan uses them, and accessed as often as by
whole layers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accel.cost.design import Estimate
from accel.cost.energy import Energy, access_joules, area_mm2, energy_of_time, memory_joules
from accel.cost.estimate import layer_energies
from accel.cost.invariants import Invariants
from accel.cost.macros import Memory, PlacedMemory, place
from accel.cost.plans import Plan
from accel.cost.stalls import load_cycles
from accel.words import Words


@dataclass(frozen=True, kw_only=True)
class Spilled:
    """A plan on an array.

    Parameters
    ----------
    plan : Plan
    stall_cycles : dict of str to int, or None
        By layer; None where no bandwidth is given.
    energy : Energy or None
        Of one image; None where the technology says nothing.
    area_mm2 : float or None
        Of lanes and memories; None where the technology says nothing.
    """

    plan: Plan
    stall_cycles: Mapping[str, int] | None
    energy: Energy | None
    area_mm2: float | None

    @property
    def stalls(self) -> int | None:
        """Cycles in all in which the array waits for DRAM."""
        return None if self.stall_cycles is None else sum(self.stall_cycles.values())


def spilled(plan: Plan, invariants: Invariants, words: Words, whole: Estimate) -> Spilled:
    """Return what a plan takes on an array.

    Parameters
    ----------
    plan : Plan
    invariants : Invariants
    words : Words
    whole : Estimate
        Of the same Program, all of it on the chip, whose layers wait for nothing.
    """
    traffic = Counter[str]({plan.layers[0].name: plan.image_bits} if plan.layers else {})
    for layer in plan.layers:
        traffic[layer.name] += layer.dram_bits
    stalls = _stalls(plan, whole, traffic)
    rows = invariants.timed(invariants.costs(words), whole.array)
    moved = [traffic[x.name] for x in whole.layers]
    waits = [stalls[x.name] if stalls else 0 for x in whole.layers]
    memories = _memories(plan, whole)
    accesses = [x.accesses for x in whole.layers]
    energies = layer_energies(
        words, rows, whole.array, whole.technology, memories, accesses, moved, waits, whole.limits
    )
    table, macros = whole.technology.area, sum(memory.count for memory in memories)
    bits = sum(memory.macro_bits for memory in memories)
    return Spilled(
        plan=plan,
        stall_cycles=stalls,
        energy=_energy(whole, memories, energies),
        area_mm2=area_mm2(table, whole.array, bits, macros) if table else None,
    )


def _stalls(plan: Plan, whole: Estimate, traffic: Mapping[str, int]) -> dict[str, int] | None:
    """Return the stalls of each layer; none where everything is there, and the next image comes while one runs.

    Of layers that run at once the first has those of all of them.
    """
    rate = whole.limits.dram_bytes_per_s
    if rate is None:
        return None
    if plan.whole:
        return {x.name: 0 for x in whole.layers}
    firsts: dict[int, str] = {}
    heads = {x.name: firsts.setdefault(x.group, x.name) if x.group else x.name for x in plan.layers}
    bits, cycles = Counter[str](), Counter[str]()
    for layer in whole.layers:
        bits[heads[layer.name]] += traffic[layer.name]
        cycles[heads[layer.name]] += layer.cycles
    loads = load_cycles(np.array([*bits.values()]), rate, whole.limits.clock_hz).tolist()
    waits = {head: max(0, load - cycles[head]) for head, load in zip(bits, loads, strict=True)}
    return {layer.name: waits.get(layer.name, 0) for layer in whole.layers}


def _energy(whole: Estimate, memories: tuple[PlacedMemory, ...], layers: Sequence[Energy | None]) -> Energy | None:
    """Return the energy of all layers, of the cycles between them, and of loading the image into these memories."""
    table = whole.technology.energy
    if table is None:
        return None
    between = whole.interval_cycles - sum(layer.cycles for layer in whole.layers)
    bits, joules = sum(memory.macro_bits for memory in memories), access_joules(table, memories)
    rest = energy_of_time(table, whole.array, bits, between, whole.limits.clock_hz)
    return sum(filter(None, layers), rest + Energy(sram_joules=memory_joules(whole.load_accesses, joules)))


def _memories(plan: Plan, whole: Estimate) -> tuple[PlacedMemory, ...]:
    """Return the memories of an array, those of weights and signals no larger than a plan in tiles uses them."""
    if plan.whole:
        return whole.memories
    rooms = {"weights": plan.weight_room_bits, "signals": plan.signal_room_bits}
    found = []
    for memory in whole.memories:
        row = memory.width_bits * memory.banks
        words = min(memory.words, max(1, -(-rooms.get(memory.name, memory.bits) // row)))
        payload = min(memory.payload_bits, words * row)
        shape = {"words": words, "width_bits": memory.width_bits, "banks": memory.banks}
        found.append(Memory(name=memory.name, payload_bits=payload, **shape))
    return place(found, whole.technology)
