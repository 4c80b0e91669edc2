"""Measuring how streamed weights of a sparse network come: as lane words, and as they are stored."""

from collections.abc import Iterator
from dataclasses import replace

from accel.cost import Estimate, Invariants, Limits, cost_of, estimate_of, load_technology
from accel.demand import array_for
from accel.program import Program
from accel.quantize import Widths, lower, ordered_for, with_zero_runs
from reports.studies.memory.definition import CLOCK_HZ, DRAM_BYTES_PER_S, LANES, STREAMED, TECHNOLOGY, sparse
from reports.studies.memory.results import Streamed
from reports.workflow.sources import random_images

LANE_WORDS, STORED, RUNS = "lane words", "stored words, bitmap", "stored words, zero runs"


def streamed() -> tuple[Streamed, ...]:
    """Return the ways in which the weights of the sparse network come."""
    return tuple(_row(way, program, estimate) for way, program, estimate in _ways())


def _ways() -> Iterator[tuple[str, Program, Estimate]]:
    pruned, bits = sparse(), STREAMED[-1]
    program = lower(pruned, Widths(bits, bits), random_images(pruned.network.input_shape, 1))
    program = ordered_for(program, LANES[0], split=True)
    limits = Limits(clock_hz=CLOCK_HZ, dram_bytes_per_s=DRAM_BYTES_PER_S, stream=True)
    yield LANE_WORDS, program, _estimate(program, limits)
    yield STORED, program, _estimate(program, replace(limits, unpack=True))
    shorter = with_zero_runs(program)
    yield RUNS, shorter, _estimate(shorter, replace(limits, unpack=True))


def _estimate(program: Program, limits: Limits) -> Estimate:
    invariants = Invariants(program)
    array = array_for(program, *LANES)
    return estimate_of(invariants, invariants.words, array, load_technology(TECHNOLOGY), limits)


def _row(way: str, program: Program, found: Estimate) -> Streamed:
    total = cost_of(program).total
    assert found.energy is not None  # the study's technology has energies
    return Streamed(
        way=way,
        on_our_hardware=found.on_our_hardware,
        dram_bits=found.dram_bits,
        borders_bits=found.dram_bits - sum(layer.dram_bits for layer in found.layers),
        weight_bits=total.weight_memory_bits,
        index_bits=total.index_memory_bits,
        list_bits=sum(memory.bits for memory in found.memories if memory.name == "entries"),
        memory_bits=found.memory_bits,
        cycles=found.cycles,
        stall_cycles=found.spent.stall_cycles,
        joules=float(f"{found.energy.total_joules:.4g}"),
    )
