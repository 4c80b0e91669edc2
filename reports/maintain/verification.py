"""Every pattern of the zoo in hardware, whole networks, several widths: ``reports/studies/verification``.

    python -m reports.maintain.verification --data-dir DIR

Verilator runs test images of every Program twice, once with the output always taken and once with it held back in half
of all cycles; Amaranth's own simulator runs two images of each, held back too. Every bit of every output and every
image's cycles are compared with the golden model and the closed form. Results are written as they come: a stopped run
goes on where it was; of another Program, other images or other hardware it begins anew.
"""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from accel.array import MacArray
from accel.files import write_whole
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.quantize import Widths, lower
from reports.shared import markdown, output
from reports.shared.journal import results_of, write_results
from reports.shared.progress import bar
from reports.workflow.hardware import job_of
from rtl import simulators
from rtl.emit import TOP, Job, emit
from rtl.simulate import output_rows, simulate
from sim import golden
from sim.engine import compile_program

STUDY = Path(__file__).parents[1] / "studies" / "verification"
NETWORKS = ("digits", "lenet5")
ARRAY = MacArray(8, 8)
WEIGHT_BITS, SIGNAL_BITS = (3, 4, 8), 8
RUNS = {  # what a run is called, and in how many of 256 cycles its output is held back
    "Verilator": 0,
    "Verilator, half of the cycles held back": 128,
}
SIMULATED = "Amaranth, half of the cycles held back"
ROOM = {"loads": 1 << 14, "signals": 1 << 17, "beats": 1 << 12}  # of the testbench that all Programs share
HEAD = """# Every pattern of the zoo in hardware

    python -m reports.maintain.verification --data-dir DIR

8x8 array, all versions of {networks} in the zoo at weights of {widths} bits, signals of 8 bits, test images, whole
networks from one start to the last output. An error is a row of outputs with any wrong bit, or an image whose cycles
(less stalls) are not those of `accel.cost.cycles`. `results.json` has each Program's numbers.
"""


@dataclass(frozen=True)
class Case:
    """A Program with its images, and what says whether it was run already.

    Parameters
    ----------
    name : str
        Network, pattern and bits of a weight.
    job : Job
    files : dict
        What `rtl.emit.emit` makes of it.
    """

    name: str
    job: Job
    files: dict[str, bytes]

    @property
    def digest(self) -> str:
        """A digest of the hardware, the memories, the images and the expected outputs."""
        digest = hashlib.sha256()
        for name in (f"{TOP}.v", "jobs.hex", "load.hex", "signals.hex", "expected.hex"):
            digest.update(self.files[name])
        return digest.hexdigest()[:16]


def make(data_dir: str | None, images: int, simulated: int, out: Path) -> int:
    """Run what is missing, write ``results.json`` and the table after each run; return the number of errors."""
    with output.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        done = results_of(out, "programs")
    cases = [case for network in NETWORKS for case in _cases(network, data_dir, images)]
    done = {case.name: _kept(case, done.get(case.name, {})) for case in cases}
    _in_verilator(cases, done, out)
    _in_amaranth(cases, done, simulated, out)
    return sum(counts["errors"] for runs in done.values() for counts in runs.values() if isinstance(counts, dict))


def _kept(case: Case, found: dict[str, Any]) -> dict[str, Any]:
    return found if found.get("digest") == case.digest else {"digest": case.digest}


def _cases(network: str, data_dir: str | None, images: int) -> Iterator[Case]:
    """Yield every pattern of a network at every width; the engine's outputs, checked against golden on two images."""
    dense = zoo.load(network)
    calibration = datasets.load(dense.data, "train", data_dir).take(512).pixels()
    pixels = datasets.load(dense.data, "test", data_dir).take(images).pixels()
    for pattern in zoo.patterns(network):
        for bits in WEIGHT_BITS:
            program = lower(zoo.load(network, pattern), Widths(bits, SIGNAL_BITS), calibration)
            codes = program.input_signal.encode(pixels)
            outputs = compile_program(program).run(codes).codes
            wanted = golden.run(program, codes[:2])[program.output]
            if not np.array_equal(outputs[:2], wanted):
                raise AssertionError(f"{network} {pattern} {bits}: the engine differs from the golden model")
            job = job_of(program, ARRAY, codes, outputs)
            yield Case(f"{network} {pattern} {bits}", job, emit([job], ARRAY, ROOM))


def _in_verilator(cases: list[Case], done: dict[str, dict[str, Any]], out: Path) -> None:
    """Run the cases one after the other; those whose hardware is the same share a compiled build."""
    todo = [(case, run) for case in cases for run in RUNS if run not in done[case.name]]
    built: dict[bytes, Path] = {}
    with output.working_folder(None) as folder, bar("Verilator", len(todo)) as shown:
        for case, run in todo:
            bench = case.files[f"{TOP}.v"] + case.files["testbench.v"]
            if bench not in built:
                built[bench] = folder / str(len(built))
                output.write_folder(built[bench], case.files)
                simulators.build(built[bench], "verilator")
            output.write_folder(built[bench], {name: x for name, x in case.files.items() if name.endswith(".hex")})
            outcome = asdict(simulators.run(built[bench], "verilator", RUNS[run]))
            done[case.name][run] = {name: outcome[name] for name in ("images", "rows", "cycles", "stalls", "errors")}
            _write(out, done)
            shown.advance(case.name)


def _in_amaranth(cases: list[Case], done: dict[str, dict[str, Any]], images: int, out: Path) -> None:
    todo = [case for case in cases if done[case.name].get(SIMULATED, {}).get("images") != images]
    with bar("Amaranth", len(todo)) as shown, ProcessPoolExecutor() as pool:
        runs = {pool.submit(_simulated, _first(case.job, images)): case.name for case in todo}
        for run in as_completed(runs):
            done[runs[run]][SIMULATED] = run.result()
            _write(out, done)
            shown.advance(runs[run])


def _first(job: Job, images: int) -> Job:
    return Job(job.program, job.codes[:images], job.outputs[:images], job.cycles, job.interval)


def _simulated(job: Job) -> dict[str, int]:
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


def _write(out: Path, done: Mapping[str, Mapping[str, Any]]) -> None:
    record = {"array": asdict(ARRAY), "weight_bits": WEIGHT_BITS, "signal_bits": SIGNAL_BITS, "programs": done}
    write_results(out, record)
    head = HEAD.format(networks=" and ".join(NETWORKS), widths=", ".join(map(str, WEIGHT_BITS)))
    rows = [_row(run, [runs[run] for runs in done.values() if run in runs]) for run in (*RUNS, SIMULATED)]
    heads = "run | Programs | images | rows compared | cycles | of them stalls | errors"
    write_whole(out / "README.md", f"{head}\n{markdown.table(heads, 'lllllll', rows)}\n".encode())


def _row(run: str, counts: list[Mapping[str, int]]) -> list[str]:
    names = ("images", "rows", "cycles", "stalls", "errors")
    totals = [len(counts), *(sum(count[name] for count in counts) for name in names)]
    return [run, *(f"{total:,}" for total in totals)]


@click.command()
@click.option("--data-dir", envvar="ESPALIER_DATA", help="Folder of the data sets.")
@click.option("--images", default=100, show_default=True, help="Test images of each Program in Verilator.")
@click.option("--simulated", default=2, show_default=True, help="Test images of each Program in Amaranth's simulator.")
@click.option("--out", type=click.Path(path_type=Path), default=STUDY, help="Where the study lies.")
def main(data_dir: str | None, images: int, simulated: int, out: Path) -> None:
    """Run the zoo in hardware and compare every bit and cycle."""
    raise SystemExit(make(data_dir, images, simulated, out) > 0)


if __name__ == "__main__":
    main()
