"""What a benchmark found: plain numbers, versioned JSON, and the ratios that follow from them.

Format history: 1, the first; 2, with a digest.
"""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from accel.records import record_of
from reports.bench.networks import DENSE_TARGETS, PRUNED_TARGETS, PRUNINGS
from reports.shared.schema import Kind

KIND = Kind("espalier-bench", 2, "the results of espalier bench")
ENGINE, RIVAL, DENSE = "espalier", "onnxruntime", "dense"


@dataclass(frozen=True)
class Measured:
    """One contender on one network with so many threads.

    Parameters
    ----------
    runtime : str
        ``espalier``, ``onnxruntime int8 QDQ``, ...
    pattern : str
        How the network is pruned that it runs.
    density : float
        Multiply-accumulates that it needs, as a share of the dense network's.
    threads, batch, images : int
        Of a run: threads, images of a call, images in all.
    seconds : list of float
        Of each run.
    """

    runtime: str
    pattern: str
    density: float
    threads: int
    batch: int
    images: int
    seconds: list[float]

    @property
    def images_per_second(self) -> float:
        """Images a second in the median run."""
        return self.images / median(self.seconds)


@dataclass(frozen=True)
class Start:
    """What the first result of a process takes.

    Parameters
    ----------
    first, cached : float
        Seconds of the processor from a Program to the codes of a few images, everything compiled for the first time,
        and from numba's cache.
    megabytes : float or None
        The most memory that a batch of 1,000 images takes on all processors, weights and images not counted, in 10**6
        bytes; None where the system does not say.
    """

    first: float
    cached: float
    megabytes: float | None


@dataclass(frozen=True)
class NetworkResult:
    """All contenders on one network, where the engine's time goes, and what the first result of a process takes.

    `profiles` are those of `sim.profile`, by pattern; `start` is the dense network's.
    """

    network: str
    macs: int
    entries: list[Measured]
    profiles: dict[str, dict[str, Any]]
    start: Start

    def find(self, runtime: str, pattern: str, threads: int) -> Measured | None:
        """Return one contender."""
        of = (runtime, pattern, threads)
        return next((x for x in self.entries if (x.runtime, x.pattern, x.threads) == of), None)

    def rival(self, threads: int, pattern: str = DENSE) -> Measured | None:
        """Return the better of onnxruntime's ways to run the network."""
        found = [
            x for x in self.entries if x.runtime.startswith(RIVAL) and (x.pattern, x.threads) == (pattern, threads)
        ]
        return max(found, key=lambda x: x.images_per_second, default=None)

    def ratio(self, entry: Measured) -> float | None:
        """Return a rate over that of onnxruntime on the dense network, with as many threads."""
        rival = self.rival(entry.threads)
        return entry.images_per_second / rival.images_per_second if rival else None

    def target(self, entry: Measured) -> float | None:
        """Return the ratio that the engine is meant to reach."""
        if entry.runtime != ENGINE:
            return None
        if entry.pattern == DENSE:
            return DENSE_TARGETS.get(self.network)
        (pruning,) = (x for x in PRUNINGS if x.label == entry.pattern)
        if pruning.target is None or self.network not in PRUNED_TARGETS:
            return None
        return pruning.target / entry.density if pruning.by_density else pruning.target

    @property
    def threads(self) -> list[int]:
        """The numbers of threads that were measured."""
        return sorted({entry.threads for entry in self.entries})


@dataclass(frozen=True)
class Results:
    """One run of `espalier bench`: the machine in words, the kernel and its roof in GMAC/s, and the networks."""

    machine: dict[str, str]
    kernel: str
    roof: float
    networks: list[NetworkResult]

    def to_json(self) -> str:
        """Return the results as text."""
        return KIND.written(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return what `to_json` wrote.

        Raises
        ------
        EspalierError
            It is something else, or of another version.
        """
        return KIND.read(text, lambda record: record_of(cls, record))
