"""What `espalier verify` found: a verdict of each Program, where it first went wrong, and what memories did."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from accel.array import MacArray
from accel.errors import EspalierError
from reports.shared.schema import Kind
from reports.workflow.access_counts import Row
from rtl import simulators
from rtl.emit import Job, formats_of
from rtl.locate import Fault, first_fault
from rtl.simulate import simulate
from rtl.simulators import Outcome
from rtl.watch import Row as Written
from sim import golden

KIND = Kind("espalier-verification", 1, "the results of espalier verify")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a simulation said of a Program.

    Parameters
    ----------
    program, pattern : str
    images, bits : int
        That were compared.
    differences : int
        Rows or words of outputs that differ, and images whose cycles do.
    predicted_cycles : int
        Of an image, by the closed form.
    cycles, stalls : int
        Of all images together, stalls among them.
    """

    program: str
    pattern: str
    images: int
    bits: int
    differences: int
    predicted_cycles: int
    cycles: int
    stalls: int

    @property
    def measured_cycles(self) -> float:
        """Cycles of an image, without stalls."""
        return (self.cycles - self.stalls) / max(self.images, 1)

    def __str__(self) -> str:
        return (
            f"{self.program}, {self.pattern}: {self.images} images, {self.bits:,} bits compared, "
            f"{self.differences} differences; {self.predicted_cycles:,} cycles an image predicted, "
            f"{self.measured_cycles:,.0f} measured without {self.stalls:,} stalls"
        )


@dataclass(frozen=True, kw_only=True)
class Located(Fault):
    """The first word that is wrong of the first image of a Program that differs."""

    program: str
    image: int

    def __str__(self) -> str:
        return f"{self.program}, image {self.image}: {super().__str__()}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Programs that ran on an array of so many lanes in a simulator, with the output held back in a share of cycles."""

    array: str
    simulator: str
    images: int
    stall: float
    verdicts: list[Verdict]
    faults: list[Located]
    accesses: list[Row]

    def to_json(self) -> str:
        """Return it as a file of `KIND`."""
        head = {"array": self.array, "simulator": self.simulator, "images": self.images, "stall": self.stall}
        lists = {name: map(asdict, getattr(self, name)) for name in ("verdicts", "faults", "accesses")}
        return KIND.written(head, **lists)


def verdict_of(job: Job, outcome: Outcome) -> Verdict:
    """Return the verdict on a job."""
    return Verdict(
        program=job.program.name,
        pattern=job.program.pattern,
        images=outcome.images,
        bits=job.outputs.size * job.program.signals[job.program.output].bits,
        differences=outcome.errors,
        predicted_cycles=job.cycles,
        cycles=outcome.cycles,
        stalls=outcome.stalls,
    )


def as_it_lies(folder: Path, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a build that lies in `folder`, in place of those that were made for the same jobs and array.

    Raises
    ------
    EspalierError
        A file cannot be read, or the build is one of other Programs, images or another array.
    """
    found = {}
    for name in files:
        try:
            found[name] = (folder / name).read_bytes()
        except OSError as error:
            raise EspalierError(f"cannot read {folder / name}: {error.strerror or error}") from error
    if found["manifest.json"] != files["manifest.json"]:
        raise EspalierError(
            f"{folder}: is no build of this array for these Programs and as many images: see manifest.json"
        )
    return found


def locate_in_amaranth(
    jobs: Sequence[Job], outcomes: Sequence[Outcome], array: MacArray, ready: float, counted: bool
) -> list[Located]:
    """Run each job that differs again up to the image that does first; return where that went wrong.

    It takes what `simulate` took: the share of cycles in which the receiver is ready, and whether accesses are counted.
    """
    found, formats = [], formats_of(job.program for job in jobs)
    for _, job, image in _differing(jobs, outcomes):
        rng, codes = np.random.default_rng(0), job.codes[: image + 1]
        runs = simulate(job.program, array, codes, ready, rng, formats=formats, counted=counted, watched=True)
        found += _located(job, image, array, runs[image].rows)
    return found


def locate_in_verilog(
    folder: Path, jobs: Sequence[Job], outcomes: Sequence[Outcome], array: MacArray, simulator: str, stall: int
) -> list[Located]:
    """Compile the build in `folder` to be watched and run it again; return where each job that differs went wrong.

    Raises
    ------
    EspalierError
        The build has no modules that can be watched, as a netlist has none.
    """
    found, wrong = [], list(_differing(jobs, outcomes))
    if wrong:
        simulators.build(folder, simulator, watched=True)
    for number, job, image in wrong:
        before = sum(len(other.codes) for other in jobs[:number])
        found += _located(job, image, array, simulators.watch(folder, simulator, array, before + image, stall))
    return found


def _differing(jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> Iterable[tuple[int, Job, int]]:
    """Yield number, job and the first image that a complaint names."""
    for number, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True)):
        if outcome.first_image is not None:
            yield number, job, outcome.first_image


def _located(job: Job, image: int, array: MacArray, rows: Sequence[Written]) -> list[Located]:
    """Return where an image went wrong, if any word did."""
    tensors = {name: codes[0] for name, codes in golden.run(job.program, job.codes[image : image + 1]).items()}
    fault = first_fault(job.program, array, tensors, rows)
    return [Located(program=job.program.name, image=image, **asdict(fault))] if fault else []
