"""Running a build in Icarus Verilog or Verilator: compile once, run with any share of stalls."""

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.errors import EspalierError
from rtl import children
from rtl.counters import Moment, Sample
from rtl.watch import Row, rows_of

COMMANDS = {
    "verilator": (
        "verilator --binary --timing -O3 --x-assign fast -Wno-fatal -j 0 "
        "--top-module testbench espalier.vlt testbench.v espalier.v -o simulation"
    ),
    "iverilog": "iverilog -g2005 -o simulation -s testbench testbench.v espalier.v",
}
PLAIN = ("-MAKEFLAGS", "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0")  # of Verilator
WATCH = "-DESPALIER_WATCH"  # what compiles the lines of `rtl.watch` in
WAVES: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {  # options to compile and to run for each form
    ".vcd": {"verilator": (("--trace",), ()), "iverilog": ((), ())},
    ".fst": {"verilator": (("--trace-fst",), ()), "iverilog": ((), ("-fst",))},
}
RUN = {"verilator": ("./obj_dir/simulation",), "iverilog": ("vvp", "simulation")}
_COUNTS = r"images (\d+) rows (\d+) errors (\d+) cycles (\d+) stalls (\d+)"
_COUNT = re.compile(rf"^COUNT (\d+) +({'|'.join(moment.value for moment in Moment)})((?: \d+)+)$", re.M)
_DONE, _JOB = re.compile(f"DONE {_COUNTS}"), re.compile(rf"JOB \d+ {_COUNTS}")


@dataclass(frozen=True)
class Outcome:
    """What a simulation said.

    Parameters
    ----------
    images, rows : int
        What was compared.
    errors : int
        Rows that differ and images whose cycles differ.
    cycles, stalls : int
        Of all images together.
    complaints : tuple of str
        A line for each of the first errors: where, what came, what was expected.
    jobs : tuple of Outcome
        The same of each job that ended, without complaints.
    samples : tuple of Sample
        Of each job of a build that counts accesses.
    counts : tuple of int arrays
        What `rtl.counters.counts_of` makes of them, or `rtl.simulate.Run.counts`: of each image.
    """

    images: int
    rows: int
    errors: int
    cycles: int
    stalls: int
    complaints: tuple[str, ...]
    jobs: "tuple[Outcome, ...]" = field(default=(), compare=False)
    samples: tuple[Sample, ...] = field(default=(), compare=False)
    counts: tuple[NDArray[np.int64], ...] = field(default=(), compare=False)

    @property
    def first_image(self) -> int | None:
        """The image that the first complaint names, or None if there is no complaint."""
        found = re.search(r"image (\d+)", self.complaints[0]) if self.complaints else None
        return int(found[1]) if found else None


def build(
    folder: Path, simulator: str, waves: Path | None = None, watched: bool = False, optimized: bool = True
) -> None:
    """Compile the files that `rtl.emit` made in `folder`, for a run that writes `waves` if any, which may take longer.

    If it is `watched`, `watch` can tell what an image writes. What is not `optimized` compiles in a third of the time,
    and runs longer: for tens of thousands of gates and an image or two.

    Raises
    ------
    EspalierError
        The simulator is unknown or not installed, or refuses the files.
    """
    if simulator not in COMMANDS:
        raise EspalierError(f"unknown simulator {simulator!r}: expected one of {', '.join(COMMANDS)}")
    words = COMMANDS[simulator].split()
    if shutil.which(words[0]) is None:
        raise EspalierError(f"{words[0]} is not installed: Debian's package is {simulator}")
    traced = (*(WAVES[waves.suffix][simulator][0] if waves else ()), *([WATCH] if watched else []))
    with _objects(folder) as options:
        ours = (*options, *(() if optimized else PLAIN)) if simulator == "verilator" else ()
        done = children.run([*words, *traced, *ours], folder)
    if done.returncode:
        raise EspalierError(f"{words[0]} refused the design: {_last_line(done.stderr + done.stdout)}")


def is_built(folder: Path, simulator: str) -> bool:
    """Return whether `build` has compiled what lies in `folder`."""
    return (folder / RUN[simulator][-1]).is_file()


@contextmanager
def _objects(folder: Path) -> Iterator[tuple[str, ...]]:
    """Give the options that let Verilator compile elsewhere if it must: make takes no folder whose name has a space."""
    if " " not in str(folder.resolve()):
        yield ()
        return
    elsewhere = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="espalier-", dir="/tmp" if " " in elsewhere else elsewhere) as objects:
        yield "-Mdir", objects
        made = Path(objects, "simulation")
        if made.exists():
            (folder / "obj_dir").mkdir(exist_ok=True)
            shutil.copy2(made, folder / "obj_dir" / made.name)


def run(folder: Path, simulator: str, stall: int = 0, waves: Path | None = None) -> Outcome:
    """Run what `build` compiled, the output held back in `stall` of 256 cycles, and write waveforms to `waves` if any.

    Raises
    ------
    EspalierError
        The simulation ended without a verdict, or with one that its exit status contradicts.
    """
    return run_and_hear(folder, simulator, stall, waves)[0]


def run_and_hear(folder: Path, simulator: str, stall: int = 0, waves: Path | None = None) -> tuple[Outcome, str]:
    """Return what `run` does, and all that the simulation said."""
    traced = [*WAVES[waves.suffix][simulator][1], f"+waves={waves.absolute()}"] if waves else []
    command = [*RUN[simulator], f"+stall={stall}", *traced]
    done = children.run(command, folder)
    complaints = tuple(line for line in done.stdout.splitlines() if line.startswith("FAIL"))
    samples = _samples(done.stdout)
    ended = enumerate(_JOB.findall(done.stdout))
    jobs = tuple(replace(_outcome(found, ()), samples=tuple(samples.get(job, ()))) for job, found in ended)
    verdict = _DONE.search(done.stdout)
    if verdict:
        outcome = _outcome(verdict.groups(), complaints)
        if bool(outcome.errors) != bool(done.returncode):
            counted = f"counts {outcome.errors} errors and exits with {done.returncode}"
            raise EspalierError(f"the simulation in {folder} {counted}")
        return replace(outcome, jobs=jobs), done.stdout
    if complaints:
        return Outcome(0, 0, len(complaints), 0, 0, complaints, jobs), done.stdout
    raise EspalierError(f"the simulation in {folder} ended without a verdict: {_last_line(done.stderr + done.stdout)}")


def watch(folder: Path, simulator: str, array: MacArray, image: int, stall: int = 0) -> list[Row]:
    """Run what `build` compiled to be watched up to `image`, of all jobs together; return all that it writes."""
    done = children.run([*RUN[simulator], f"+stall={stall}", f"+watch={image}"], folder)
    return list(rows_of(done.stdout, array))


def _samples(said: str) -> dict[int, list[Sample]]:
    """Return what counters said, by job."""
    found: dict[int, list[Sample]] = {}
    for job, moment, words in _COUNT.findall(said):
        found.setdefault(int(job), []).append(Sample(Moment(moment), [int(word) for word in words.split()]))
    return found


def _outcome(counts: Sequence[str], complaints: tuple[str, ...]) -> Outcome:
    images, rows, errors, cycles, stalls = map(int, counts)
    return Outcome(images, rows, errors, cycles, stalls, complaints)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
