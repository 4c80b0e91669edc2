"""From a Program, an array and a technology to an estimate.

The memories are those of the array, which `espalier rtl` builds; `accel.demand.array_for` makes them as large as the
Program needs. All weights stay on the chip unless the array streams them, or the limits ask for it: then they come
through two buffers, a word a cycle at most.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from accel.array import MacArray
from accel.cost import packed
from accel.cost.accesses import Accesses, load_accesses
from accel.cost.counts import Cycles, LayerCost
from accel.cost.cycles import interval_cycles, start_cycles
from accel.cost.design import CLOCK_HZ, PACKED, RESIDENT, STREAMED, Estimate, LayerEstimate, Limits
from accel.cost.energy import Energy, Events, access_joules, energy_of, energy_of_time
from accel.cost.invariants import Invariants
from accel.cost.macros import Memory, PlacedMemory, place
from accel.cost.stalls import LayerSchedule, load_cycles, load_stalls
from accel.cost.technology import DEFAULT, Technology, load_technology
from accel.demand import streaming
from accel.errors import EspalierError
from accel.places import beats_of
from accel.program import Program
from accel.words import Words


def estimate(
    program: Program,
    array: MacArray,
    technology: str | os.PathLike[str] | Technology = DEFAULT,
    clock_hz: float = CLOCK_HZ,
    dram_bytes_per_s: float | None = None,
    sram_bits: int | None = None,
) -> Estimate:
    """Return what a Program costs on an array; `estimate_of` costs many.

    Raises
    ------
    EspalierError
        The technology is unknown, a number is not positive, or the array's words or memories are too small.
    """
    known = technology if isinstance(technology, Technology) else load_technology(technology)
    invariants = Invariants(program)
    limits = Limits(clock_hz=clock_hz, dram_bytes_per_s=dram_bytes_per_s, sram_bits=sram_bits)
    return estimate_of(invariants, invariants.words, array, known, limits)


def estimate_of(
    invariants: Invariants, words: Words, array: MacArray, technology: Technology, limits: Limits
) -> Estimate:
    """Return what the Program of `invariants` costs at the word lengths `words`: `invariants.words`, or those scaled.

    Raises
    ------
    EspalierError
        The array's words are too narrow, or its memories too small.
    """
    problem = words.problem(array)
    if problem:
        raise EspalierError(f"{invariants.program.name} does not run on this array: {problem}")
    if limits.unpack:
        array, demand = packed.unpacking(array, invariants.demand)
    else:
        demand = invariants.demand(array)
        if limits.stream and not array.stream_words:
            array = streaming(array, demand)
    demand.check(array)
    costs = invariants.costs(words)
    rows, accesses = invariants.timed(costs, array), invariants.accesses(array)
    load, written = image_load_cycles(invariants, array, limits), sum(x.rows for x, _ in rows[:-1])
    traffic, waits, buffers = [0] * len(rows), [0] * len(rows), list[Memory]()
    if array.stream_words:
        coming = tuple(packed.lane_words(x, array) for x, _ in rows)
        if limits.unpack:
            coming = packed.fewest(invariants.program, array, rows, demand)
            array = replace(array, list_entries=packed.room_for_lists(coming, demand))
            buffers = packed.index_memories(coming, array.weight_word_bits)
            accesses = packed.accesses_with(coming, accesses, array.weight_word_bits)
        cycles = sum(x.cycles for x, _ in rows)
        between = interval_cycles(start_cycles(array) + cycles, load, written, array) - cycles
        traffic, loads = [way.bits for way in coming], packed.loads(coming, _bits_per_cycle(array, limits))
        waits = load_stalls([x for x, _ in rows], loads, between)
    memories = place([*invariants.memories(array, words, costs), *buffers], technology)
    energies = layer_energies(words, rows, array, technology, memories, accesses, traffic, waits, limits)
    held, controls = invariants.held_bits(words, array), invariants.control_bits(array, rows)
    layers = tuple(
        LayerEstimate(
            kind=x.kind,
            cost=cost,
            spent=x.spent + Cycles(stall_cycles=wait),
            lanes=x.lanes,
            slots=x.slots,
            held_bits=held[x.name],
            control_bits=control,
            filling_bits=invariants.filling_bits(x, cost, array),
            accesses=read,
            dram_bits=bits,
            energy=energy,
        )
        for (x, cost), wait, control, read, bits, energy in zip(
            rows, waits, controls, accesses, traffic, energies, strict=True
        )
    )
    program = invariants.program
    borders = invariants.input_bits + invariants.tensor_words[program.output] * words.signals[program.output]
    return Estimate(
        network=program.name,
        pattern=program.pattern,
        array=array,
        technology=technology,
        limits=limits,
        weights=PACKED if limits.unpack else STREAMED if array.stream_words else RESIDENT,
        layers=layers,
        memories=memories,
        stored_bits=sum(cost.counts.parameter_memory_bits for cost in costs) + invariants.signal_bits(words, array),
        exact=words.exact,
        dram_bits=borders + sum(traffic),
        load_accesses=load_accesses(program, array),
        load_cycles=load,
        written_rows=written,
    )


def _bits_per_cycle(array: MacArray, limits: Limits) -> Fraction | None:
    """Return what the DRAM gives in a cycle, a fraction of a lane word; None where nothing is said of it."""
    if limits.dram_bytes_per_s is None:
        return None
    bits = array.weight_word_bits
    return bits * Fraction(8 * limits.dram_bytes_per_s / limits.clock_hz / bits).limit_denominator(1 << 20)


def image_load_cycles(invariants: Invariants, array: MacArray, limits: Limits) -> int:
    """Return the cycles in which an image is loaded: a word a pixel lane a cycle, or as fast as the DRAM gives them."""
    beats = beats_of(invariants.program, array)
    if limits.dram_bytes_per_s is None:
        return beats
    return max(beats, int(load_cycles(np.array(invariants.input_bits), limits.dram_bytes_per_s, limits.clock_hz)))


def layer_energies(
    words: Words,
    rows: list[tuple[LayerSchedule, LayerCost]],
    array: MacArray,
    technology: Technology,
    memories: tuple[PlacedMemory, ...],
    accesses: Sequence[Accesses],
    traffic: list[int],
    waits: list[int],
    limits: Limits,
) -> list[Energy | None]:
    """Return the energy of each layer that takes time: accesses to `memories`, and `traffic` from and to DRAM."""
    table = technology.energy
    if table is None:
        return [None] * len(rows)
    joules = access_joules(table, memories)
    energies: list[Energy | None] = []
    macro_bits = sum(memory.macro_bits for memory in memories)
    for (x, cost), words_of, bits, wait in zip(rows, accesses, traffic, waits, strict=True):
        requantized = x.output_words if cost.requantizes else 0
        events = Events(macs=x.macs, requantized=requantized, accesses=words_of, dram_bits=bits)
        mac = 0.0
        if x.macs:
            read = max(words.signals[source] for source in words.sources[x.name])
            mac = table.mac_joules(cost.weight_bits, read, cost.accumulator_bits)
        lasting = energy_of_time(table, array, macro_bits, x.cycles + wait, limits.clock_hz)
        energies.append(energy_of(events, table, mac, joules, array) + lasting)
    return energies
