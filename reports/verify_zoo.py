"""Every pattern of the zoo in hardware, whole networks, several widths: ``reports/studies/verification``.

    python -m reports.verify_zoo --data-dir DIR

One Verilator build runs test images of every Program twice, once with the output always taken and once with it held
back in half of all cycles; Amaranth's own simulator runs two images of each, held back too. Every bit of every output
and every image's cycles are compared with the golden model and the closed form.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np

from accel.array import MacArray
from accel.cost import total_cycles
from accel.files import write_whole
from accel.interchange import datasets, zoo
from accel.quantize import Widths, lower
from reports import output
from reports.progress import bar
from rtl import simulators
from rtl.emit import Job, emit
from rtl.simulate import output_rows, simulate
from sim import golden
from sim.engine import compile_program

STUDY = Path(__file__).parent / "studies" / "verification"
NETWORKS = ("digits", "lenet5")
ARRAY = MacArray(8, 8)
WEIGHT_BITS, SIGNAL_BITS = (3, 4, 8), 8
STALL = 128  # of 256 cycles
HEAD = """# Every pattern of the zoo in hardware

`python -m reports.verify_zoo --data-dir DIR` made these numbers: 8x8 array, weights of 3, 4 and 8 bits, 8-bit signals,
test images, whole networks. An error is a row of outputs with any wrong bit, or an image whose cycles (less stalls) are
not those of `accel.cost.cycles`.

| run | Programs | images | rows compared | cycles | of them stalls | errors |
| --- | --- | --- | --- | --- | --- | --- |
"""


def make(data_dir: str | None, images: int, simulated: int, out: Path) -> int:
    """Run everything, write ``results.json`` and the table; return the number of errors."""
    jobs = [job for network in NETWORKS for job in _jobs(network, data_dir, images)]
    runs = _verilator(jobs)
    with ProcessPoolExecutor() as pool, bar("amaranth", len(jobs)) as shown:
        parts = []
        for job, part in zip(jobs, pool.map(_amaranth, [_first(job, simulated) for job in jobs]), strict=True):
            parts.append(part)
            shown.advance(f"{job.program.name} {job.program.pattern}")
    runs["Amaranth, half of the cycles stalled"] = {name: sum(part[name] for part in parts) for name in parts[0]}
    programs = {"Programs": len(jobs)}
    out.mkdir(parents=True, exist_ok=True)
    record = {"array": asdict(ARRAY), **programs, "weight_bits": WEIGHT_BITS, "signal_bits": SIGNAL_BITS, "runs": runs}
    write_whole(out / "results.json", (json.dumps(record, indent=1) + "\n").encode())
    lines = (" | ".join([name, *(f"{x:,}" for x in (programs | counts).values())]) for name, counts in runs.items())
    write_whole(out / "README.md", (HEAD + "".join(f"| {line} |\n" for line in lines)).encode())
    return sum(counts["errors"] for counts in runs.values())


def _jobs(network: str, data_dir: str | None, images: int) -> list[Job]:
    """Return every pattern of a network at every width; the engine's outputs, checked against golden on two images."""
    dense = zoo.load(network)
    calibration = datasets.load(dense.data, "train", data_dir).take(512).pixels()
    pixels = datasets.load(dense.data, "test", data_dir).take(images).pixels()
    jobs = []
    for pattern in zoo.patterns(network):
        for bits in WEIGHT_BITS:
            program = lower(zoo.load(network, pattern), Widths(bits, SIGNAL_BITS), calibration)
            codes = program.input_signal.encode(pixels)
            outputs = compile_program(program).run(codes).codes
            wanted = golden.run(program, codes[:2])[program.output]
            if not np.array_equal(outputs[:2], wanted):
                raise AssertionError(f"{network} {pattern} {bits}: the engine differs from the golden model")
            jobs.append(Job(program, codes, outputs, total_cycles(program, ARRAY)))
    return jobs


def _verilator(jobs: list[Job]) -> dict[str, dict[str, int]]:
    with output.working_folder(None) as folder:
        output.write_folder(folder, emit(jobs, ARRAY))
        simulators.build(folder, "verilator")
        return {
            name: _counts(simulators.run(folder, "verilator", stall))
            for name, stall in (("Verilator", 0), ("Verilator, half of the cycles stalled", STALL))
        }


def _counts(outcome: simulators.Outcome) -> dict[str, int]:
    return {name: getattr(outcome, name) for name in ("images", "rows", "cycles", "stalls", "errors")}


def _first(job: Job, images: int) -> Job:
    return Job(job.program, job.codes[:images], job.outputs[:images], job.cycles)


def _amaranth(job: Job) -> dict[str, int]:
    runs = simulate(job.program, ARRAY, job.codes, 0.5, np.random.default_rng(0))
    wrong = [
        int((run.codes != wanted).sum()) + (run.cycles - run.stalls != job.cycles)
        for run, wanted in zip(runs, job.outputs, strict=True)
    ]
    return {
        "images": len(runs),
        "rows": len(runs) * len(output_rows(job.program, ARRAY)),
        "cycles": sum(run.cycles for run in runs),
        "stalls": sum(run.stalls for run in runs),
        "errors": sum(wrong),
    }


@click.command()
@click.option("--data-dir", envvar="ESPALIER_DATA", help="Folder of the data sets.")
@click.option("--images", default=100, show_default=True, help="Test images of each Program in Verilator.")
@click.option("--simulated", default=2, show_default=True, help="Test images of each Program in Amaranth's simulator.")
@click.option("--out", type=click.Path(path_type=Path), default=STUDY, help="Where the study lies.")
def main(data_dir: str | None, images: int, simulated: int, out: Path) -> None:
    """Prove the zoo."""
    raise SystemExit(make(data_dir, images, simulated, out) > 0)


if __name__ == "__main__":
    main()
