"""`espalier verify`: the hardware simulated, and every bit and cycle compared."""

import time
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.errors import EspalierError
from accel.interchange.data import datasets
from accel.program import Program
from reports.commands.options import BUILD, IN, array_option, data_options, depth_options, number_option, option
from reports.commands.places import Command
from reports.shared import output
from reports.shared.progress import bar
from reports.workflow.hardware import codes_of, job_of
from reports.workflow.parsing import parse_array
from rtl import simulators
from rtl.emit import Job, emit
from rtl.simulate import output_rows, simulate

SIMULATORS = ("amaranth", *simulators.COMMANDS)


@click.command("verify", cls=Command)
@click.argument("program", type=IN)
@array_option
@number_option("--images", 2, "Test images to run.")
@option("--simulator", default="amaranth", show_default=True, help="Simulator to run: amaranth, verilator or iverilog.")
@option("--stall", type=float, default=0.0, show_default=True, help="Share of cycles that hold the output back.")
@option("--out", "-o", type=BUILD, help="Keep the build in this folder.")
@depth_options
@data_options
def command(
    program: Path,
    array: str,
    images: int,
    simulator: str,
    stall: float,
    out: Path | None,
    data: str | None,
    data_dir: str | None,
    depths: Mapping[str, int] | None = None,
) -> int:
    """Simulate the hardware; compare every output bit with the golden model and the cycles with the closed form.

    Exit status 0 if all are equal, 1 if not.

    Example: espalier verify lenet5.espalier --array 8x8 --images 100 --simulator verilator --stall 0.5
    """
    datasets.check_choice("simulator", simulator, SIMULATORS)
    if not 0 <= stall < 1:
        raise EspalierError(f"--stall {stall}: expected a share of cycles, at least 0 and below 1")
    loaded = Program.load(program)
    mac_array = parse_array(array, loaded, depths)
    job = job_of(loaded, mac_array, codes_of(str(program), loaded, images, data, data_dir))
    start = time.perf_counter()
    if simulator == "amaranth":
        outcome = _in_amaranth(job, mac_array, stall)
    else:
        outcome = _in_verilog(job, mac_array, simulator, stall, out)
    return _verdict(job, outcome, time.perf_counter() - start)


def _in_amaranth(job: Job, array: MacArray, stall: float) -> simulators.Outcome:
    runs = simulate(job.program, array, job.codes, 1 - stall, np.random.default_rng(0))
    complaints = []
    for index, (run, wanted) in enumerate(zip(runs, job.outputs, strict=True)):
        complaints += _differences(index, run.codes, wanted)
        if run.cycles - run.stalls != job.cycles:
            complaints.append(f"FAIL image {index} took {run.cycles} cycles - {run.stalls} stalls, not {job.cycles}")
    cycles, stalls = sum(run.cycles for run in runs), sum(run.stalls for run in runs)
    rows = len(runs) * len(output_rows(job.program, array))
    return simulators.Outcome(len(runs), rows, len(complaints), cycles, stalls, tuple(complaints))


def _in_verilog(job: Job, array: MacArray, simulator: str, stall: float, out: Path | None) -> simulators.Outcome:
    files = emit([job], array)
    with output.working_folder(out) as folder, bar(f"{simulator} {job.program.name}", 2) as shown:
        output.write_folder(folder, files)
        shown.advance("compiles")
        simulators.build(folder, simulator)
        shown.advance("runs")
        return simulators.run(folder, simulator, int(stall * 256))


def _differences(image: int, codes: NDArray[np.int64], wanted: NDArray[np.int64]) -> list[str]:
    return [
        f"FAIL image {image} output {place}: got {codes.flat[place]}, expected {wanted.flat[place]}"
        for place in np.flatnonzero(codes.ravel() != wanted.ravel())
    ]


def _verdict(job: Job, outcome: simulators.Outcome, seconds: float) -> int:
    for line in outcome.complaints[:5]:
        print(line)
    bits = job.outputs.size * job.program.signals[job.program.output].bits
    measured = (outcome.cycles - outcome.stalls) / max(outcome.images, 1)
    print(
        f"{job.program.name}, {job.program.pattern}: {outcome.images} images, {bits:,} bits compared, "
        f"{outcome.errors} differences; {job.cycles:,} cycles an image predicted, "
        f"{measured:,.0f} measured without {outcome.stalls:,} stalls; "
        f"{outcome.cycles / seconds:,.0f} cycles/s, compilation included"
    )
    return 1 if outcome.errors else 0
