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
    array_option,
    depth_options,
    number_option,
    option,
    programs_argument,
    several_data_options,
)
from reports.commands.places import Command, Word
from reports.shared import output
from reports.shared.progress import bar
from reports.workflow.hardware import jobs_of
from rtl import simulators
from rtl.emit import Job, emit, formats_of
from rtl.simulate import output_rows, simulate

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
@option("--out", "-o", type=BUILD, help="Keep the build in this folder.")
@depth_options
@several_data_options
def command(
    programs: tuple[Path, ...],
    array: str,
    images: int,
    simulator: str,
    stall: float,
    out: Path | None,
    data: tuple[str, ...],
    data_dir: str | None,
    depths: Mapping[str, int] | None = None,
) -> int:
    """Simulate the hardware; compare every output bit with the golden model and the cycles with the closed form.

    Several Programs share one array, just large enough for each, and run on it one after another. Exit status 0 if
    all are equal, 1 if not.

    Example: espalier verify lenet5.espalier --array 8x8 --images 100 --simulator verilator --stall 0.5
    """
    datasets.check_choice("simulator", simulator, SIMULATORS)
    if not 0 <= stall < 1:
        raise EspalierError(f"--stall {stall}: expected a share of cycles, at least 0 and below 1")
    jobs, mac_array = jobs_of(programs, array, depths, images, data, data_dir)
    start = time.perf_counter()
    if simulator == "amaranth":
        outcomes = [_in_amaranth(job, jobs, mac_array, stall) for job in jobs]
    else:
        outcomes = _in_verilog(jobs, mac_array, simulator, stall, out)
    return _verdict(jobs, outcomes, time.perf_counter() - start)


def _in_amaranth(job: Job, jobs: Sequence[Job], array: MacArray, stall: float) -> simulators.Outcome:
    """Return what a job gives on the hardware of all of them."""
    formats = formats_of(job.program for job in jobs)
    runs = simulate(job.program, array, job.codes, 1 - stall, np.random.default_rng(0), formats=formats)
    complaints = []
    for index, (run, wanted) in enumerate(zip(runs, job.outputs, strict=True)):
        complaints += _differences(index, run.codes, wanted)
        if run.cycles - run.stalls != job.cycles:
            complaints.append(f"FAIL image {index} took {run.cycles} cycles - {run.stalls} stalls, not {job.cycles}")
    cycles, stalls = sum(run.cycles for run in runs), sum(run.stalls for run in runs)
    rows = len(runs) * len(output_rows(job.program, array))
    return simulators.Outcome(len(runs), rows, len(complaints), cycles, stalls, tuple(complaints))


def _in_verilog(
    jobs: Sequence[Job], array: MacArray, simulator: str, stall: float, out: Path | None
) -> list[simulators.Outcome]:
    """Return what each job gives, one after another in one simulation; a job that never ended is an error."""
    files, names = emit(jobs, array), ", ".join(job.program.name for job in jobs)
    with output.working_folder(out) as folder, bar(f"{simulator} {names}", 2) as shown:
        output.write_folder(folder, files)
        shown.advance("compiles")
        simulators.build(folder, simulator)
        shown.advance("runs")
        outcome = simulators.run(folder, simulator, int(stall * 256))
    said = [
        replace(one, complaints=tuple(x for x in outcome.complaints if x.startswith(f"FAIL job {number} ")))
        for number, one in enumerate(outcome.jobs)
    ]
    for number in range(len(said), len(jobs)):
        lines = tuple(x for x in outcome.complaints if x.startswith(f"FAIL job {number} "))
        said.append(simulators.Outcome(0, 0, max(1, len(lines)), 0, 0, lines))
    return said


def _differences(image: int, codes: NDArray[np.int64], wanted: NDArray[np.int64]) -> list[str]:
    return [
        f"FAIL image {image} output {place}: got {codes.flat[place]}, expected {wanted.flat[place]}"
        for place in np.flatnonzero(codes.ravel() != wanted.ravel())
    ]


def _verdict(jobs: Sequence[Job], outcomes: Sequence[simulators.Outcome], seconds: float) -> int:
    for line in [line for outcome in outcomes for line in outcome.complaints][:5]:
        print(line)
    rate = sum(outcome.cycles for outcome in outcomes) / seconds
    for job, outcome in zip(jobs, outcomes, strict=True):
        bits = job.outputs.size * job.program.signals[job.program.output].bits
        measured = (outcome.cycles - outcome.stalls) / max(outcome.images, 1)
        speed = f"; {rate:,.0f} cycles/s, compilation included" if job is jobs[-1] else ""
        print(
            f"{job.program.name}, {job.program.pattern}: {outcome.images} images, {bits:,} bits compared, "
            f"{outcome.errors} differences; {job.cycles:,} cycles an image predicted, "
            f"{measured:,.0f} measured without {outcome.stalls:,} stalls{speed}"
        )
    return 1 if any(outcome.errors for outcome in outcomes) else 0
