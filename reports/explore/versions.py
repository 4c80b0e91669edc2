"""The versions of a network that are explored: those of the zoo, and those that are pruned for the exploration."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from threadpoolctl import threadpool_limits

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import check_choice
from accel.pruned import PrunedNetwork
from accel.sparsity import NOfM, parse_pattern
from reports.workflow import retrain as retraining
from reports.workflow.images import Images
from reports.workflow.load import DEFAULT_PATTERNS
from reports.workflow.prune import parse_ratios, prune, stages
from reports.workflow.sources import Source

METHOD = 2  # to be raised when pruning by magnitude or retraining comes to mean something else
PROBLEM = b"problem: "  # a network's bytes begin otherwise


@dataclass(frozen=True)
class Version:
    """One version of a network.

    Parameters
    ----------
    pattern : str
    ratio : float or None
        Share to prune of each layer; None: whatever the zoo or the file has, or the usual ratio.
    made : bool
        Whether it is pruned for the exploration.
    trainings : int
        How many times the dense network is retrained where nothing is pruned: a control for versions that are retrained
        as often, once after each stage of their pruning.
    """

    pattern: str
    ratio: float | None = None
    made: bool = False
    trainings: int = 0

    @property
    def name(self) -> str:
        """What reports call it.

        >>> Version("kernel").name, Version("kernel", 0.7, made=True).name
        ('kernel', 'kernel 0.7')
        """
        if self.trainings:
            return f"{self.pattern}, retrained{f' {self.trainings} times' if self.trainings > 1 else ''}"
        return self.pattern if self.ratio is None else f"{self.pattern} {self.ratio:g}"


@dataclass(frozen=True)
class Making:
    """A version to prune by magnitude, and perhaps to retrain, with everything that decides what comes out.

    Parameters
    ----------
    dense : str
        Digest of the dense network.
    pattern : str
    ratio : float or None
    epochs : int
        Of retraining; 0 for none.
    recipe : str
        How it is retrained.
    training : Images or None
    trainings : int
        As `Version` has it.
    method : int
        `METHOD`.
    """

    dense: str
    pattern: str
    ratio: float | None
    epochs: int
    recipe: str
    training: Images | None
    trainings: int = 0
    method: int = METHOD

    @property
    def key(self) -> str:
        """The making as one line of text."""
        return json.dumps(asdict(self), sort_keys=True)


def versions_of(network: str, patterns: Sequence[str] | None, ratios: Sequence[float]) -> tuple[Version, ...]:
    """Return the versions to explore, the one that the others are compared with first.

    Parameters
    ----------
    network : str
        Of the zoo: all its versions by default. A dense file: `DEFAULT_PATTERNS`. A pruned file is its only version.
    patterns : sequence of str, optional
    ratios : sequence of float
        At which further versions are pruned of each pattern that leaves the ratio open.

    Raises
    ------
    EspalierError
        A pattern is none, or the zoo has no such version and no ratio says how to make one.
    """
    if zoo.is_file(network):
        given = zoo.load(network).pattern
        if given != zoo.DENSE:
            if ratios or (patterns and list(patterns) != [given]):
                raise EspalierError(f"{network}: is pruned already ({given}); other versions need the dense network")
            return (Version(given),)
        shipped: list[str] = []
        labels = list(patterns or DEFAULT_PATTERNS)
    else:
        shipped = zoo.patterns(network)
        labels = list(patterns or shipped)
    found = [Version(zoo.DENSE)]
    for label in dict.fromkeys(labels):
        if label in shipped:
            found.append(Version(label))
        elif not zoo.is_file(network) and not ratios:
            check_choice(f"pattern of {network} in the zoo", label, shipped)
        if label != zoo.DENSE:
            found += _made(label, ratios, known=label in shipped)
    return tuple(dict.fromkeys(found))


def with_controls(versions: Sequence[Version]) -> tuple[Version, ...]:
    """Return the versions and, for each number of trainings that one of those that are made has, a dense one."""
    counts = sorted({len(stages(version.pattern)) for version in versions if version.made})
    controls = (Version(zoo.DENSE, made=True, trainings=count) for count in counts)
    return versions[0], *controls, *versions[1:]


def control_of(version: Version) -> str:
    """Return the name of the dense version that is retrained as often as one that is made and retrained."""
    return Version(zoo.DENSE, made=True, trainings=len(stages(version.pattern))).name


def _made(label: str, ratios: Sequence[float], known: bool) -> list[Version]:
    """Return the versions of a pattern to prune: one a ratio; one, if it has its own and the zoo has none of it."""
    parts = {part for stage in stages(label) for part in stage.split("/")} - {zoo.DENSE}
    if ratios and not all(isinstance(parse_pattern(part), NOfM) for part in parts):
        return [Version(label, ratio, made=True) for ratio in ratios]
    return [] if known else [Version(label, made=True)]


def made(making: Making, dense: bytes, source: Source) -> bytes:
    """Return a version, as `PrunedNetwork.to_bytes` gives it; or why there is none, which `problem_of` reads.

    Raises
    ------
    EspalierError
        The images are others, or PyTorch is not there to retrain.
    """
    with threadpool_limits(1):
        network, retrain = PrunedNetwork.from_bytes(dense), None
        if making.training is not None:
            recipe = retraining.recipe(network.network.name, making.epochs)
            retrain = retraining.trainer(recipe, making.training.load(source))
        ratios = parse_ratios(None if making.ratio is None else f"{making.ratio:g}", making.pattern)
        try:
            return prune(network, making.pattern, ratios, retrain, rounds=max(1, making.trainings)).to_bytes()
        except EspalierError as error:  # no layer can have the pattern, or would have anything left
            return PROBLEM + str(error).encode()


def problem_of(version: bytes) -> str | None:
    """Return why `made` made no version, or None if it did."""
    return version.removeprefix(PROBLEM).decode() if version.startswith(PROBLEM) else None
