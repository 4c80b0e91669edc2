"""Running the dense and the grouped versions in Verilator: every bit of an output, and the cycles of an image."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from accel.demand import array_for
from accel.program import Program
from reports.shared import output
from reports.shared.progress import bar
from reports.studies.mlperf_tiny.definition import LANES, NETWORKS, SEED, VERIFIED_BITS, VERIFIED_PATTERNS, version
from reports.studies.mlperf_tiny.measure import programs
from reports.studies.mlperf_tiny.results import Run
from reports.workflow.hardware import job_of
from rtl import simulators
from rtl.emit import emit

SIMULATOR = "verilator"


def verified(folder: Path | None = None) -> list[Run]:
    """Return what becomes of one image of each Program; those of a word length take turns on one array, in one build.

    So narrow weights run where two lanes share a multiplier, as they do on an array of their own.
    """
    cases = list(_cases(NETWORKS))
    return [run for bits in VERIFIED_BITS for run in simulated([case for case in cases if case[2] == bits], folder)]


def simulated(cases: Sequence[tuple[str, str, int, Program]], folder: Path | None = None) -> list[Run]:
    """Return what becomes of one random image of each (network, pattern, bits, Program) on an array that fits all."""
    array = array_for([program for *_, program in cases], *LANES)
    jobs = [job_of(program, array, _codes(program)) for *_, program in cases]
    with output.working_folder(folder) as build:
        output.write_folder(build, emit(jobs, array))
        simulators.build(build, SIMULATOR)
        outcomes = simulators.run(build, SIMULATOR).jobs
    return [
        Run(
            network=network,
            pattern=pattern,
            bits=bits,
            rows=outcome.rows,
            cycles=outcome.cycles - outcome.stalls,
            expected_cycles=job.cycles,
            errors=outcome.errors,
        )
        for (network, pattern, bits, _), job, outcome in zip(cases, jobs, outcomes, strict=True)
    ]


def _cases(networks: Sequence[str]) -> Iterator[tuple[str, str, int, Program]]:
    with bar("Programs", len(networks) * len(VERIFIED_PATTERNS) * len(VERIFIED_BITS)) as shown:
        for network in networks:
            for pattern in VERIFIED_PATTERNS:
                for bits, program in programs(version(network, pattern)[1], VERIFIED_BITS):
                    yield network, pattern, bits, program
                    shown.advance(f"{network} {pattern} {bits}")


def _codes(program: Program) -> np.ndarray[Any, np.dtype[np.int64]]:
    form = program.input_signal.format
    rng = np.random.default_rng(SEED)
    return rng.integers(form.min_code, form.max_code, (1, *program.input_shape), endpoint=True)
