"""`espalier verify`: the hardware simulated, and every bit and cycle compared."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.errors import EspalierError
from accel.interchange.data import datasets
from reports.commands.options import (
    BUILD,
    OUT,
    array_option,
    depth_options,
    json_option,
    number_option,
    option,
    programs_argument,
    several_data_options,
)
from reports.commands.places import Command, Place, Word
from reports.shared import console as shared_console
from reports.shared import output
from reports.shared.progress import bar
from reports.workflow.access_counts import Row, rows_of, table_of
from reports.workflow.hardware import jobs_of
from reports.workflow.verification import (
    Located,
    Verification,
    as_it_lies,
    locate_in_amaranth,
    locate_in_verilog,
    verdict_of,
)
from rtl import simulators
from rtl.assemble import assemble
from rtl.counters import counts_of
from rtl.emit import Job, emit, formats_of
from rtl.simulate import output_rows, simulate

MADE = Place(holds=("*.v*", "*.hex", "manifest.json"), exists=True, file_okay=False)
SIMULATORS = ("amaranth", *simulators.COMMANDS)


@click.command("verify", cls=Command)
@programs_argument
@array_option
@number_option("--images", 2, "Test images to run.")
@option(
    "--simulator",
    type=Word(lambda: SIMULATORS),
    default="amaranth",
    show_default=True,
    help="Simulator to run: amaranth, verilator or iverilog.",
)
@option("--stall", type=float, default=0.0, show_default=True, help="Share of cycles that hold the output back.")
@option("--counters", is_flag=True, help="Also count what every memory reads and writes, beside the closed form.")
@option("--waves", type=OUT, help="Also write waveforms to this file; it ends in .vcd or .fst.")
@option("--build", type=MADE, help="Run the build that lies in this folder, as it is, instead of a new one.")
@option("--out", "-o", type=BUILD, help="Keep the build in this folder.")
@json_option
@depth_options
@several_data_options
def command(
    programs: tuple[Path, ...],
    array: str,
    images: int,
    simulator: str,
    stall: float,
    counters: bool,
    waves: Path | None,
    build: Path | None,
    out: Path | None,
    json_file: Path | None,
    data: tuple[str, ...],
    data_dir: str | None,
    depths: Mapping[str, int] | None = None,
) -> int:
    """Simulate the hardware; compare every output bit with the golden model and the cycles with the closed form.

    Several Programs share one array, just large enough for each, and run on it one after another. With --counters the
    hardware has counters beside its memories, and each image is loaded when the one before has ended. Where something
    differs the simulation runs again, and a line says where the first image that differs first went wrong: tensor,
    layer, map, row, column, cycle, what came and what was expected. Exit status 0 if all are equal, 1 if not.

    Example: espalier verify lenet5.espalier --array 8x8 --images 100 --simulator verilator --stall 0.5
    Example: espalier verify lenet5.espalier --array 8x8 --images 2 --counters --json accesses.json
    Example: espalier verify lenet5.espalier --array 8x8 --images 1 --simulator iverilog --waves lenet5.fst
    Example: espalier verify lenet5.espalier --array 8x8 --build build --simulator iverilog
    """
    datasets.check_choice("simulator", simulator, SIMULATORS)
    if not 0 <= stall < 1:
        raise EspalierError(f"--stall {stall}: expected a share of cycles, at least 0 and below 1")
    if waves:
        _check_waves(waves, simulator)
    if build:
        _check_build(simulator, counters)
    output.check_place(json_file, waves)
    jobs, mac_array = jobs_of(programs, array, depths, images, data, data_dir)
    start = time.perf_counter()
    if simulator == "amaranth":
        outcomes = [_in_amaranth(job, jobs, mac_array, stall, counters) for job in jobs]
        faults = locate_in_amaranth(jobs, outcomes, mac_array, 1 - stall, counters)
    else:
        outcomes, faults = _in_verilog(jobs, mac_array, simulator, stall, counters, build, out, waves)
    status = _verdict(jobs, outcomes, faults, time.perf_counter() - start)
    ended = [(job.program, outcome.counts) for job, outcome in zip(jobs, outcomes, strict=True) if outcome.counts]
    rows = [rows_of(program, mac_array, counts) for program, counts in ended]
    if json_file:
        found = Verification(
            array=array,
            simulator=simulator,
            images=images,
            stall=stall,
            verdicts=list(map(verdict_of, jobs, outcomes)),
            faults=faults,
            accesses=[row for one in rows for row in one],
        )
        output.write_text(json_file, found.to_json())
    return max([status, *map(_show, rows)])


def _check_waves(waves: Path, simulator: str) -> None:
    """Raise EspalierError unless `simulator` writes waveforms to files of that name."""
    if waves.suffix not in simulators.WAVES:
        raise EspalierError(f"--waves {waves}: expected a file that ends in {' or '.join(simulators.WAVES)}")
    if simulator not in simulators.COMMANDS:
        raise EspalierError(f"--waves: needs --simulator {' or '.join(simulators.COMMANDS)}")


def _check_build(simulator: str, counters: bool) -> None:
    """Raise EspalierError unless a build can be run as it is: in Verilog, without counters, which it lacks."""
    if simulator not in simulators.COMMANDS:
        raise EspalierError(f"--build: needs --simulator {' or '.join(simulators.COMMANDS)}")
    if counters:
        raise EspalierError("--build: has no counters, which --counters reads")


def _show(rows: Sequence[Row]) -> int:
    """Print what a Program reads and writes; return 1 if that is not what the closed form says."""
    console, differing = shared_console.console(), [row for row in rows if not row.equal]
    for row in differing[:5]:
        console.print(row.complaint)
    console.print(table_of(rows))
    console.print(f"{rows[0].program}: {2 * len(rows):,} counts of reads and writes, {len(differing):,} differ")
    return 1 if differing else 0


def _in_amaranth(job: Job, jobs: Sequence[Job], array: MacArray, stall: float, counted: bool) -> simulators.Outcome:
    """Return what a job gives on the hardware of all of them."""
    formats = formats_of(job.program for job in jobs)
    runs = simulate(
        job.program, array, job.codes, 1 - stall, np.random.default_rng(0), formats=formats, counted=counted
    )
    complaints = []
    for index, (run, wanted) in enumerate(zip(runs, job.outputs, strict=True)):
        complaints += _differences(index, run.codes, wanted)
        if run.cycles - run.stalls != job.cycles:
            complaints.append(f"FAIL image {index} took {run.cycles} cycles - {run.stalls} stalls, not {job.cycles}")
    cycles, stalls = sum(run.cycles for run in runs), sum(run.stalls for run in runs)
    rows = len(runs) * len(output_rows(job.program, array))
    counts = tuple(run.counts for run in runs if run.counts is not None)
    return simulators.Outcome(len(runs), rows, len(complaints), cycles, stalls, tuple(complaints), counts=counts)


def _in_verilog(
    jobs: Sequence[Job],
    array: MacArray,
    simulator: str,
    stall: float,
    counted: bool,
    build: Path | None,
    out: Path | None,
    waves: Path | None,
) -> tuple[list[simulators.Outcome], list[Located]]:
    """Return what each job gives, one after another in one simulation, and where each went wrong that did.

    A job that never ended is an error.
    """
    files, names = emit(jobs, array, counted=counted), ", ".join(job.program.name for job in jobs)
    if build:
        files = as_it_lies(build, files)
    with (
        output.working_folder(out) as folder,
        output.growing(waves) as traced,
        bar(f"{simulator} {names}", 2) as shown,
    ):
        output.write_folder(folder, files)
        shown.advance("compiles")
        simulators.build(folder, simulator, traced)
        shown.advance("runs")
        outcome = simulators.run(folder, simulator, int(stall * 256), traced)
        outcomes = _by_job(jobs, outcome, array, counted)
        return outcomes, locate_in_verilog(folder, jobs, outcomes, array, simulator, int(stall * 256))


def _by_job(
    jobs: Sequence[Job], outcome: simulators.Outcome, array: MacArray, counted: bool
) -> list[simulators.Outcome]:
    """Return what a simulation said of each of its jobs."""
    said = []
    for number, (job, one) in enumerate(zip(jobs, outcome.jobs, strict=False)):
        lines = tuple(x for x in outcome.complaints if x.startswith(f"FAIL job {number} "))
        said.append(replace(one, complaints=lines, counts=_counts(job, one, array) if counted else ()))
    for number in range(len(said), len(jobs)):
        lines = tuple(x for x in outcome.complaints if x.startswith(f"FAIL job {number} "))
        said.append(simulators.Outcome(0, 0, max(1, len(lines)), 0, 0, lines))
    return said


def _counts(job: Job, outcome: simulators.Outcome, array: MacArray) -> tuple[NDArray[np.int64], ...]:
    """Return what was counted for each image of a job that has ended."""
    image = assemble(job.program, array)
    return tuple(counts_of(outcome.samples, len(job.codes), image.computed, image.owners))


def _differences(image: int, codes: NDArray[np.int64], wanted: NDArray[np.int64]) -> list[str]:
    return [
        f"FAIL image {image} output {place}: got {codes.flat[place]}, expected {wanted.flat[place]}"
        for place in np.flatnonzero(codes.ravel() != wanted.ravel())
    ]


def _verdict(
    jobs: Sequence[Job], outcomes: Sequence[simulators.Outcome], faults: Sequence[Located], seconds: float
) -> int:
    for line in [line for outcome in outcomes for line in outcome.complaints][:5]:
        print(line)
    for fault in faults:
        print(fault)
    rate = sum(outcome.cycles for outcome in outcomes) / seconds
    for job, outcome in zip(jobs, outcomes, strict=True):
        speed = f"; {rate:,.0f} cycles/s, compilation included" if job is jobs[-1] else ""
        print(f"{verdict_of(job, outcome)}{speed}")
    return 1 if any(outcome.errors for outcome in outcomes) else 0
