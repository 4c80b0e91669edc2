"""What the study of silicon found, as saved."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from accel.array import MacArray
from accel.records import record_of
from reports.shared.schema import Kind
from reports.studies.silicon.definition import Task, tasks

KIND = Kind("espalier-silicon-study", 1, "the results of the study of silicon")


@dataclass(frozen=True, kw_only=True)
class Build:
    """An array in standard cells.

    Parameters
    ----------
    shape : str
    bits : int
    lists : bool
        As a `Task` has them.
    array : mapping
        The fields of the `MacArray`.
    area, gate_equivalents : float
        Of its cells: square micrometres, NAND gates of two inputs.
    flip_flops : int
    mhz : float
        By its slowest path, memories' times included.
    leakage_watts : float
        Of the cells.
    macros : int
    macro_um2 : float
        Of all memories.
    """

    shape: str
    bits: int
    lists: bool
    array: Mapping[str, Any]
    area: float
    gate_equivalents: float
    flip_flops: int
    mhz: float
    leakage_watts: float
    macros: int
    macro_um2: float

    @property
    def key(self) -> tuple[str, int, bool]:
        """What tells builds apart."""
        return self.shape, self.bits, self.lists

    @property
    def mac_array(self) -> MacArray:
        """The array."""
        return MacArray(**self.array)


@dataclass(frozen=True, kw_only=True)
class LayerRun:
    """A layer of one image, what is counted of it, and what its gates took.

    Parameters
    ----------
    name : str
    cycles : int
    macs, requantized : int
        As `accel.cost.energy.Events` has them.
    weight_bits, signal_bits, accumulator_bits : int
        Of its multiply-accumulates; its signals are those that it reads.
    reads, writes : mapping of memory name to int
        Words.
    joules : mapping
        By the parts of `reports.workflow.power`.
    """

    name: str
    cycles: int
    macs: int
    requantized: int
    weight_bits: int
    signal_bits: int
    accumulator_bits: int
    reads: Mapping[str, int]
    writes: Mapping[str, int]
    joules: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Run:
    """An image on gates, every output equal to the golden model's; `load_joules` is what its loading took."""

    network: str
    pattern: str
    bits: int
    shape: str
    lists: bool
    load_cycles: int
    load_joules: Mapping[str, float]
    layers: tuple[LayerRun, ...]

    @property
    def task(self) -> Task:
        """What was run."""
        return Task(network=self.network, pattern=self.pattern, bits=self.bits, shape=self.shape, lists=self.lists)

    @property
    def cycles(self) -> int:
        """Cycles of the image, its loading included."""
        return self.load_cycles + sum(layer.cycles for layer in self.layers)

    def joules(self, part: str | None = None) -> float:
        """Return what a part took for the image, its loading included, or all together."""
        windows = [self.load_joules, *(layer.joules for layer in self.layers)]
        return sum(x for window in windows for name, x in window.items() if part in (None, name))


@dataclass(frozen=True, kw_only=True)
class Results:
    """Builds and runs that there are; `tools` are those that made them, and the cells and memories."""

    tools: tuple[str, ...] = ()
    builds: tuple[Build, ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def missing(self) -> list[Task]:
        """What is not run yet."""
        known = {run.task for run in self.runs}
        return [task for task in tasks() if task not in known]

    def build(self, shape: str, bits: int, lists: bool) -> Build | None:
        """Return a build, if it is there."""
        return next((build for build in self.builds if build.key == (shape, bits, lists)), None)

    def run(self, task: Task) -> Run | None:
        """Return what a task gave, if it was run."""
        return next((run for run in self.runs if run.task == task), None)

    def to_json(self) -> str:
        """Return the text of results.json."""
        rows = {"builds": map(asdict, self.builds), "runs": map(asdict, self.runs)}
        return KIND.written({"tools": list(self.tools)}, **rows)

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return the results that `to_json` wrote; raises EspalierError if the text is something else."""
        return KIND.read(text, _made)


def _made(record: dict[str, Any]) -> Results:
    return record_of(Results, record)


def joined(parts: list[Results]) -> Results:
    """Return all builds and runs, each once, in the order of the tasks."""
    found = {run.task: run for part in parts for run in part.runs}
    builds = {build.key: build for part in parts for build in part.builds}
    ordered = [found[task] for task in tasks() if task in found]
    return Results(
        tools=tuple(sorted({tool for part in parts for tool in part.tools})),
        builds=tuple(builds[key] for key in sorted(builds)),
        runs=tuple(ordered),
    )
