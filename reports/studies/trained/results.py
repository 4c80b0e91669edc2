"""What the study of trained networks found: plain numbers, versioned JSON, and what follows from them."""

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from accel.records import record_of
from reports.shared.schema import Kind
from reports.studies.trained.definition import PLANS, Target, Task

KIND = Kind("espalier-trained-study", 3, "the results of the study of trained networks")


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of one network, measured.

    Parameters
    ----------
    task : Task
    epochs : int
        Of its last training.
    precision : str
        Of products in it.
    error_rates : dict of split to float
        Of a float network as PyTorch has it, of a Program by the bit-accurate engine.
    weights, dense_weights : int
        That are kept, and that the dense network has.
    macs, dense_macs, cycles : int
        Of one image; cycles on the array of the study, in 8 bits where the version is float.
    memory_bits : int
        Parameters, indices and live signals; 0 where the version is float.
    emulated_images : int
        For which the engine has all the scores of the training's own arithmetic.
    """

    task: Task
    epochs: int
    precision: str
    error_rates: dict[str, float]
    weights: int
    dense_weights: int
    macs: int
    dense_macs: int
    cycles: int
    memory_bits: int = 0
    emulated_images: int = 0


@dataclass(frozen=True)
class Group:
    """The versions that differ by their seed alone, and the dense float networks that they came from."""

    versions: tuple[Version, ...]
    dense: tuple[Version, ...]

    @property
    def task(self) -> Task:
        """What they are, with the first of the seeds."""
        return self.versions[0].task

    @property
    def gone(self) -> float:
        """The share of all weights that is gone, in the mean."""
        return fmean(1 - version.weights / version.dense_weights for version in self.versions)

    def mean(self, split: str = "test") -> float:
        """Return the mean error rate."""
        return fmean(version.error_rates[split] for version in self.versions)

    def span(self) -> tuple[float, float]:
        """Return the lowest and the highest error rate on the test images."""
        rates = [version.error_rates["test"] for version in self.versions]
        return min(rates), max(rates)

    def rise(self, split: str = "test") -> float:
        """Return by how much the error rate is above the dense float network's of the same seed, in the mean."""
        dense = {version.task.seed: version.error_rates[split] for version in self.dense}
        return fmean(version.error_rates[split] - dense[version.task.seed] for version in self.versions)


@dataclass(frozen=True)
class Verdict:
    """A target, and the group that comes nearest to it on the validation images; none where none was trained."""

    target: Target
    network: str
    group: Group | None

    @property
    def asked(self) -> float:
        """The highest error rate, or rise, that meets it."""
        asked = self.target.error_rate if self.target.rise is None else self.target.rise
        assert asked is not None  # one of the two is said
        return asked

    @property
    def found(self) -> float | None:
        """What it is on the test images."""
        if self.group is None:
            return None
        return self.group.mean() if self.target.rise is None else self.group.rise()


@dataclass(frozen=True)
class Results:
    """Everything that the figure and the page of the study show.

    Parameters
    ----------
    array : str
        Output lanes x pixel lanes.
    images : dict of data set to dict of split to int
    versions : tuple of Version
    """

    array: str
    images: dict[str, dict[str, int]]
    versions: tuple[Version, ...]

    @property
    def networks(self) -> list[str]:
        """The networks of which there is a version, in their order."""
        return list(dict.fromkeys(version.task.network for version in self.versions))

    def groups(self, network: str, calibrated: bool | None = None) -> list[Group]:
        """Return the groups of a network in their order: all, or those alone that are `calibrated` or are trained."""
        found: dict[Task, list[Version]] = {}
        for version in self.versions:
            if version.task.network == network:
                found.setdefault(version.task.of_any, []).append(version)
        dense = tuple(found.get(Task("", 0), ()))
        groups = [Group(tuple(versions), dense) for versions in found.values()]
        return [group for group in groups if calibrated in (None, group.task.calibrated)]

    def compared(self, network: str) -> list[Group]:
        """Return the float groups of a network that take equally many cycles, each by another pattern."""
        return [group for group in self.groups(network) if group.task.cycles and not group.task.bits]

    def verdicts(self) -> list[Verdict]:
        """Return what came of every target for every network."""
        verdicts = []
        for network in self.networks:
            groups = self.groups(network)
            for target in PLANS[network].targets:
                able = [group for group in groups if group.task.of_any in target.versions]
                best = min(able, key=lambda group: group.rise("validation"), default=None)
                verdicts.append(Verdict(target, network, best))
        return verdicts

    def to_json(self) -> str:
        """Return the results as text."""
        return KIND.written({"array": self.array, "images": self.images}, versions=map(asdict, self.versions))

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return the results that `to_json` wrote; raises EspalierError if they are something else."""

        def made(record: dict[str, Any]) -> Results:
            return record_of(cls, record)

        return KIND.read(text, made)
