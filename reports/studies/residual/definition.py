"""What the study of residual networks measures, and what is hoped for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.zoo import DENSE
from accel.layers import Add, GlobalAvgPool, Weighted
from accel.network import Network
from accel.quantize import Widths
from reports.workflow.recipes import ENTRIES, Entry

NETWORKS = ("resnet20", "resnet8")
SEEDS = 3
OUTER_BITS = 8  # of what the literature leaves wide, too
PATTERNS = ("kernel@8", "feature-map", "irregular", "kernel")
PRUNED_AT = 4  # bits at which pruned versions are quantised
QUANTIZED = ("kernel@8", "irregular", "feature-map")  # of the pruned versions
NOTES: tuple[str, ...] = ()  # what a reader should know that the numbers do not say


@dataclass(frozen=True, order=True)
class Task:
    """One version of one network, trained with one seed.

    Parameters
    ----------
    network : str
    seed : int
    pattern : str
        ``dense``, or what was pruned.
    bits : int
        Of weights and signals; 0 where they are floats.
    everywhere : bool
        Whether all have these bits; else `widths` says which have 8.
    """

    network: str
    seed: int
    pattern: str = DENSE
    bits: int = 0
    everywhere: bool = False

    @property
    def stem(self) -> str:
        """The name of the files of this version."""
        width = f"-{self.bits}bits{'-everywhere' * self.everywhere}" if self.bits else ""
        return f"{self.network}-{self.seed}-{zoo.file_name(self.pattern).removesuffix(zoo.SUFFIX)}{width}"

    @property
    def needs(self) -> tuple["Task", ...]:
        """The versions from which this one is made: what is pruned or quantised, and the teacher, the dense network."""
        if not self.bits:
            return (Task(self.network, self.seed),) if self.pattern != DENSE else ()
        return tuple({replace(self, pattern=x, bits=0, everywhere=False): None for x in (self.pattern, DENSE)})


def tasks(seeds: int = SEEDS) -> list[Task]:
    """Return all versions, the more important first: one seed of everything, then the others."""
    return [
        replace(version, network=network, seed=seed)
        for seed in range(seeds)
        for network in NETWORKS
        for version in _versions()
    ]


def _versions() -> Iterator[Task]:
    yield Task("", 0)
    yield from (Task("", 0, bits=bits) for bits in (4, 3))
    yield from (Task("", 0, pattern) for pattern in PATTERNS)
    yield from (Task("", 0, pattern, PRUNED_AT) for pattern in QUANTIZED)
    yield Task("", 0, bits=PRUNED_AT, everywhere=True)


def widths(network: Network, task: Task) -> Widths:
    """Return the widths of a version that is quantised.

    Where they are not the same everywhere, 8 bits have the weights of the first and of the last layer and what the
    last layer reads, which is usual in the literature, and the sums that nothing but an addition reads, which in the
    literature are floats.
    """
    if task.everywhere:
        return Widths(task.bits, task.bits)
    network = network.folded()
    outer = (network.weighted[0].name, network.weighted[-1].name)
    added = [
        layer.name
        for layer in network.layers
        if isinstance(layer, GlobalAvgPool)
        or (isinstance(layer, Weighted) and all(isinstance(reader, Add) for reader in network.consumers(layer.name)))
    ]
    wide = [name for name in added if name != network.output]
    return Widths(
        task.bits,
        task.bits,
        weight_bits_of=dict.fromkeys(outer, OUTER_BITS),
        signal_bits_of=dict.fromkeys(wide, OUTER_BITS),
    )


@dataclass(frozen=True)
class Epochs:
    """How long the trainings of a network are."""

    dense: int
    pruned: int
    quantized: int

    @classmethod
    def usual(cls, network: str) -> "Epochs":
        """Return those of the zoo's recipes."""
        entry = ENTRIES[network]
        return cls(entry.dense.epochs, entry.retrain.epochs, (entry.quantized or entry.retrain).epochs)

    @classmethod
    def parse(cls, text: str) -> tuple[str, "Epochs"]:
        """Return the network and the epochs of ``NETWORK=DENSE,PRUNED,QUANTISED``.

        >>> Epochs.parse("resnet8=80,30,20")
        ('resnet8', Epochs(dense=80, pruned=30, quantized=20))
        """
        network, _, numbers = text.partition("=")
        found = numbers.split(",")
        if network not in NETWORKS or len(found) != 3 or not all(x.isdecimal() and int(x) for x in found):
            raise EspalierError(f"--epochs {text}: expected NETWORK=DENSE,PRUNED,QUANTISED, as in resnet8=80,30,20")
        return network, cls(*map(int, found))

    def of(self, task: Task) -> int:
        """Return the epochs of the last training of a version."""
        return self.quantized if task.bits else self.dense if task.pattern == DENSE else self.pruned

    def entry(self, network: str) -> Entry:
        """Return how the network is made in so many epochs."""
        entry = ENTRIES[network]
        return replace(
            entry,
            dense=replace(entry.dense, epochs=self.dense),
            retrain=replace(entry.retrain, epochs=self.pruned),
            quantized=replace(entry.quantized or entry.retrain, epochs=self.quantized),
        )


@dataclass(frozen=True)
class Target:
    """What is hoped for of a network's versions: at most so much error, or so much more than the dense float one's.

    Parameters
    ----------
    what : str
    versions : tuple of (pattern, bits)
        One of them suffices.
    rise : float, optional
        Over the float network's error rate of the same seed, in the mean of the seeds.
    error_rate : mapping of network to float
        That none of them may exceed, in the mean of the seeds.
    """

    what: str
    versions: tuple[tuple[str, int], ...]
    rise: float | None = None
    error_rate: Mapping[str, float] | None = None


TARGETS = (
    Target("float", ((DENSE, 0),), error_rate={"resnet20": 0.11, "resnet8": 0.16}),
    Target("4-bit weights and signals", ((DENSE, 4),), 0.003),
    Target("3-bit weights and signals", ((DENSE, 3),), 0.008),
    Target("half of the multiplications gone", (("kernel@8", 0), ("feature-map", 0)), 0.010),
    Target("70 % of the weights gone", (("irregular", 0),), 0.005),
    Target("half of the multiplications gone, 4 bits", (("kernel@8", 4), ("feature-map", 4)), 0.012),
    Target("70 % of the weights gone, 4 bits", (("irregular", 4),), 0.012),
)
