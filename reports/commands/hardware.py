"""The commands that concern hardware: make it, and prove it against the golden model."""

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.cost import total_cycles
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.interchange.data import datasets
from accel.program import Program
from reports.commands.parsing import parse_array, parse_lanes
from reports.shared import output
from reports.shared.progress import bar
from reports.workflow.sources import check_range, source_if_any
from rtl import simulators
from rtl.assemble import signal_formats
from rtl.emit import Job, emit
from rtl.fpga.synthesis import Synthesis, synthesize
from rtl.simulate import output_rows, simulate
from sim import golden

SIMULATORS = ("amaranth", *simulators.COMMANDS)


def rtl(
    program: Path,
    array: str,
    out: Path,
    images: int,
    data: str | None,
    data_dir: str | None,
    depths: Mapping[str, int] | None = None,
) -> None:
    """Write Verilog, memory contents, expected outputs and the testbench into the folder `out`."""
    loaded = Program.load(program)
    mac_array = parse_array(array, loaded, depths)
    job = _job(loaded, mac_array, _codes(str(program), loaded, images, data, data_dir))
    output.write_folder(out, emit([job], mac_array))
    print(
        f"{out}: {array} array for {loaded.name}, {loaded.pattern}; {job.cycles:,} cycles an image, "
        f"{mac_array.built_bits / 8192:.2f} KiB of memories"
    )


def verify(
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
    """Simulate the hardware and compare every bit and the cycles; return 0 if all are equal, else 1."""
    datasets.check_choice("simulator", simulator, SIMULATORS)
    if not 0 <= stall < 1:
        raise EspalierError(f"--stall {stall}: expected a share of cycles, at least 0 and below 1")
    loaded = Program.load(program)
    mac_array = parse_array(array, loaded, depths)
    job = _job(loaded, mac_array, _codes(str(program), loaded, images, data, data_dir))
    start = time.perf_counter()
    if simulator == "amaranth":
        outcome = _in_amaranth(job, mac_array, stall)
    else:
        outcome = _in_verilog(job, mac_array, simulator, stall, out)
    return _verdict(job, outcome, time.perf_counter() - start)


WORD_BITS = {"weight_bits": 8, "signal_bits": 8, "accumulator_bits": 24}  # of an array for no Program in particular
DEPTHS = {"weight_words": 1 << 13, "list_entries": 1 << 11}


def synth(
    program: Path | None,
    array: str,
    sparse_only: bool,
    out: Path | None,
    json_file: Path | None,
    depths: Mapping[str, int] | None = None,
    **word_bits: int | None,
) -> None:
    """Print what an array takes on the FPGA: as it is, and the same without lists, for dense layers alone."""
    asked = {name: bits for name, bits in word_bits.items() if bits is not None}
    if program is None:
        output_lanes, pixel_lanes = parse_lanes(array)
        words = WORD_BITS | asked | DEPTHS | dict(depths or {})
        mac_array = MacArray(output_lanes=output_lanes, pixel_lanes=pixel_lanes, **words)
        formats: Sequence[FixedFormat] = ()
    elif asked:
        option = f"--{next(iter(asked)).replace('_', '-')}"
        raise EspalierError(f"{option}: the words of {program} say how wide those of its array are")
    else:
        loaded = Program.load(program)
        mac_array, formats = parse_array(array, loaded, depths), signal_formats(loaded)
    with output.working_folder(out) as folder:
        output.write_folder(folder, {})
        builds = synthesize_both(mac_array, folder, sparse_only, formats)
    if json_file:
        output.write_json(json_file, {"array": asdict(mac_array), **{name: asdict(x) for name, x in builds.items()}})
    for name, result in builds.items():
        print(
            f"{array}, {mac_array.weight_bits}-bit weights, {mac_array.signal_bits}-bit signals, {name}: "
            f"{result.lut:,} LUT, {result.ff:,} FF, {result.dsp} DSP, {result.block_ram} block RAM, {result.mhz} MHz"
        )
    if len(builds) == 2:
        print(f"lists cost {builds['sparse'].lut / builds['dense'].lut - 1:.1%} more LUT")


def synthesize_both(
    array: MacArray, folder: Path, sparse_only: bool = False, formats: Sequence[FixedFormat] = ()
) -> dict[str, Synthesis]:
    """Build an array, and the same for dense layers alone, side by side in folders of their own.

    One that has no lists is for dense layers alone, and there is nothing beside it.
    """
    dense = replace(array, list_entries=0)
    arrays = {"dense": array} if array == dense else {"sparse": array} | ({} if sparse_only else {"dense": dense})
    for name in arrays:
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(arrays)) as pool:
        results = pool.map(lambda name: synthesize(arrays[name], folder / name, formats), arrays)
        return dict(zip(arrays, results, strict=True))


def _codes(name: str, program: Program, images: int, data: str | None, data_dir: str | None) -> NDArray[np.int64]:
    """Return the codes (images, C, H, W) of the first test images; random ones, said so, where there are none."""
    source = source_if_any(name, program, data, data_dir)
    if source is None:
        signal = program.input_signal.format
        print(f"note: {name}: without images (--data) random ones are run (seed 0)", file=sys.stderr)
        shape = (images, *program.input_shape)
        return np.random.default_rng(0).integers(signal.min_code, signal.max_code, shape, endpoint=True)
    found = source.load("test", labelled=False)
    check_range(found, program, program.name)
    return program.input_signal.encode(found.take(images).pixels())


def _job(program: Program, array: MacArray, codes: NDArray[np.int64]) -> Job:
    return Job(program, codes, golden.run(program, codes)[program.output], total_cycles(program, array))


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
