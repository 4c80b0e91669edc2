"""What the study of trained networks measures, and what is hoped for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accel.interchange import zoo
from accel.interchange.zoo import DENSE
from accel.layers import Add, GlobalAvgPool, Weighted
from accel.network import Network
from accel.prune import Ratio
from accel.quantize import Widths
from reports.workflow.prune import ALL

SEEDS = 3
OUTER_BITS = 8  # of what the literature leaves wide, too
PATTERNS = ("kernel@8", "feature-map", "irregular", "kernel", "ikss", "block-4", "2:4")  # of resnet8
COMPARED = ("kernel@8", "feature-map", "kernel", "ikss", "irregular")  # at equal cycles
SHARES = {"resnet20": 50, "cifar-quick": 50, "lenet5": 65}  # percent of the dense network's cycles; see `Task.cycles`
TEACHERS = {"resnet20": "resnet20", "resnet8": "resnet20"}  # of whose first seed dense networks learn in a second cycle
TAUGHT_AS_DENSE = {"resnet8": ("kernel@8", "irregular")}  # what learns from the dense network's teacher, not from that
PRUNED_AT = 4  # bits at which pruned residual networks are quantised
CALIBRATED = (5, 6, 7, 8)  # bits at which steps are found of images, and nothing is trained
NOTES = (  # what a reader should know that the numbers do not say
    "Tried for few bits, by errors on validation images (`quantized_rate` in `reports/workflow/recipes.py`): resnet8 "
    "in 3 bits after 5 epochs 17.67 % at a learning rate of 0.003, 18.09 % at 0.001, 18.03 % at 0.008, 20.36 % by SGD "
    "at 0.02; resnet20 in 4 bits after 6 epochs 12.86 % at 0.001, 13.94 % at 0.003, after 16 epochs 12.62 % (kernel@8 "
    "at half the cycles: 13.50 and, after 6, 13.49 %); resnet8 in 4 bits 16.31 % after 24 epochs, 16.34 % after 8, "
    "16.62 % where resnet20 teaches. Of the second seed in 3 bits 17.01 % as it stands here, 16.85 % where what "
    "additions give has 8 bits too, and 20.12 % where batch norms live for half of the epochs.",
    "Tried for pruned networks of CIFAR-10, by errors on validation images: resnet8, kernel@8: 17.67 % after 24 epochs "
    "taught by the dense network, 17.02 % by resnet20, 17.17 % after 40, which is what stands here; irregular: 16.25 % "
    "and 16.23 %, and 16.56 % after 60 epochs taught by the dense network. cifar-quick by kernels: 24.47 % after 15 "
    "epochs, 23.77 % after 45; by kernels and blocks 25.24 and 24.19 %, and in 4/5 bits 25.29 and, after 20 epochs "
    "instead of 8, 24.89 %.",
    "Tried for blocks of 16 of lenet-300-100-fashion, by errors on validation images (dense 10.30 %): 11.62 % after 40 "
    "epochs without a group lasso, 11.82 % after 60; with one of 30 epochs first 10.99 % (strength 0.03) and 11.44 % "
    "(0.12), with one of 60 epochs 11.15 % (0.03) and 11.23 % (0.06); 11.97 % where images are shifted and mirrored; "
    "12.41 % without a teacher; 11.67 and 11.39 % where of fc1 92.1 and 91.1 % go, not about 94 %. "
    "Blocks of 4 of lenet5, 95 % gone: 1.90 % with a group lasso of 15 epochs first (0.03), and without.",
)


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
    signal_bits : int
        Of signals, where they have others than weights.
    gone : int
        How many percent of all weights went, where that is not the recipe's matter.
    cycles : int
        How many percent of the dense network's cycles an image may take, where that says how much goes.
    """

    network: str
    seed: int
    pattern: str = DENSE
    bits: int = 0
    everywhere: bool = False
    signal_bits: int = 0
    gone: int = 0
    cycles: int = 0

    @property
    def stem(self) -> str:
        """The name of the files of this version."""
        share = f"-{self.gone}" if self.gone else f"-{self.cycles}cycles" if self.cycles else ""
        bits = f"{self.bits}-{self.signal_bits}" if self.signal_bits else f"{self.bits}"
        width = f"-{bits}bits{'-everywhere' * self.everywhere}" if self.bits else ""
        return f"{self.network}-{self.seed}-{zoo.file_name(self.pattern).removesuffix(zoo.SUFFIX)}{share}{width}"

    @property
    def of_any(self) -> "Task":
        """Pattern and bits alone, without network and seed: what plans name."""
        return replace(self, network="", seed=0)

    @property
    def floats(self) -> "Task":
        """The version that is quantised to come to this one."""
        return replace(self, bits=0, signal_bits=0, everywhere=False)

    @property
    def calibrated(self) -> bool:
        """Whether it is quantised without a training."""
        return self.bits in CALIBRATED

    @property
    def needs(self) -> tuple["Task", ...]:
        """The versions from which this one is made: what is pruned or quantised first, and its teacher last.

        That is the dense network, or of some what taught that; a dense network that learns of another needs that one.
        """
        dense, teacher = Task(self.network, self.seed), TEACHERS.get(self.network, self.network)
        above = (Task(teacher, 0),) if teacher != self.network else ()
        if self == dense:
            return above
        if not self.bits:
            return (dense, *above) if self.pattern in TAUGHT_AS_DENSE.get(self.network, ()) else (dense,)
        return tuple({self.floats: None, dense: None})

    @property
    def ratios(self) -> Mapping[str, Ratio] | None:
        """What goes, where that is not the recipe's matter."""
        return {ALL: self.gone / 100} if self.gone else None


@dataclass(frozen=True)
class Target:
    """What is hoped for of a network's versions: at most so much error, or so much more than the dense float one's.

    Parameters
    ----------
    what : str
    versions : tuple of Task
        Of any network and seed; one of them suffices.
    rise : float, optional
        Over the float network's error rate of the same seed, in the mean of the seeds.
    error_rate : float, optional
        That the mean of the seeds may not exceed.
    """

    what: str
    versions: tuple[Task, ...]
    rise: float | None = None
    error_rate: float | None = None


@dataclass(frozen=True)
class Plan:
    """What of one network is trained, and what is hoped for.

    Parameters
    ----------
    versions : tuple of Task
        Of any network and seed, the more important ones first, each behind what it needs.
    targets : tuple of Target
    """

    versions: tuple[Task, ...]
    targets: tuple[Target, ...] = field(default=())


def _version(
    pattern: str = DENSE, bits: int = 0, signal_bits: int = 0, gone: int = 0, everywhere: bool = False, cycles: int = 0
) -> Task:
    return Task("", 0, pattern, bits, everywhere, signal_bits, gone, cycles)


def _compared(network: str) -> dict[str, Task]:
    """Return the versions of a network that take equally many cycles."""
    return {pattern: _version(pattern, cycles=SHARES[network]) for pattern in COMPARED}


def _residual(error_rate: float, pruned: Sequence[Task], more: Sequence[Task]) -> Plan:
    """Return the plan of a residual network: what is pruned is quantised too, `more` is not."""
    few = [replace(task, bits=PRUNED_AT) for task in pruned]
    halved = ("kernel@8", "feature-map")
    return Plan(
        (
            _version(),
            _version(bits=4),
            *pruned,
            *more,
            *few,
            _version(bits=3),
            _version(bits=PRUNED_AT, everywhere=True),
        ),
        (
            Target("float", (_version(),), error_rate=error_rate),
            Target("4-bit weights and signals", (_version(bits=4),), 0.003),
            Target("3-bit weights and signals", (_version(bits=3),), 0.008),
            Target("half of the multiplications gone", tuple(x for x in pruned if x.pattern in halved), 0.010),
            Target("70 % of the weights gone", (_version("irregular"),), 0.005),
            Target("half of the multiplications gone, 4 bits", tuple(x for x in few if x.pattern in halved), 0.012),
            Target("70 % of the weights gone, 4 bits", (_version("irregular", PRUNED_AT),), 0.012),
        ),
    )


def _of_resnet20() -> Plan:
    """Return the plan of resnet20, of which half of the cycles are at least half of the multiplications."""
    equal = _compared("resnet20")
    pruned = (equal.pop("kernel@8"), _version("irregular"), equal.pop("feature-map"))
    return _residual(0.11, pruned, tuple(equal.values()))


def _of_resnet8() -> Plan:
    """Return the plan of resnet8, for MLPerf Tiny's table: every pattern in every word length."""
    pruned = tuple(map(_version, PATTERNS))
    calibrated = [replace(x, bits=bits) for x in (_version(), *pruned) for bits in CALIBRATED]
    plan = _residual(0.16, pruned, calibrated)
    return replace(plan, versions=(*plan.versions, *(replace(x, bits=3) for x in pruned)))


def _of_few_weights(bits: int, signal_bits: int) -> Plan:
    """Return the plan of lenet5: 95 and 97 % of all weights gone, and few bits at 95 %."""
    whole = ("kernel/block-4", "block-4")  # units that go whole
    patterns = ("irregular", *whole)
    floats = {(pattern, gone): _version(pattern, gone=gone) for gone in (95, 97) for pattern in patterns}
    few = {x: _version(x, bits, signal_bits, 95, everywhere=True) for x in patterns}
    return Plan(
        (_version(), *floats.values(), *few.values(), *_compared("lenet5").values()),
        (
            Target("95 % of the weights gone, irregular", (floats["irregular", 95],), 0.003),
            Target("95 % of the weights gone, kernels or blocks", tuple(floats[x, 95] for x in whole), 0.003),
            Target("95 % gone, 3-bit weights, 4-bit signals", tuple(few.values()), 0.004),
        ),
    )


def _of_kernels() -> Plan:
    """Return the plan of cifar-quick: three quarters of the convolutions' weights by kernels, and few bits."""
    kernels = ("kernel@8", "kernel")
    both = "kernel/block-4"
    few = _version(both, 4, 5, everywhere=True)
    return Plan(
        (_version(), *map(_version, kernels), _version(both), few, *_compared("cifar-quick").values()),
        (
            Target("75 % of the convolutions' weights gone", tuple(map(_version, kernels)), 0.010),
            Target("77 % of all weights gone, 4-bit weights, 5-bit signals", (few,), 0.010),
        ),
    )


def _of_blocks() -> Plan:
    """Return the plan of lenet-300-100-fashion: 90 % of all weights in blocks of three sizes."""
    blocks = {size: _version(f"block-{size}", gone=90) for size in (4, 8, 16)}
    targets = (Target(f"90 % of the weights gone, blocks of {size}", (x,), 0.005) for size, x in blocks.items())
    return Plan((_version(), *blocks.values()), tuple(targets))


PLANS: Mapping[str, Plan] = {
    "resnet20": _of_resnet20(),
    "resnet8": _of_resnet8(),
    "cifar-quick": _of_kernels(),
    "lenet5": _of_few_weights(3, 4),
    "lenet-300-100-fashion": _of_blocks(),
}
NETWORKS = tuple(PLANS)


def tasks(seeds: int = SEEDS) -> list[Task]:
    """Return all versions, the more important first: one seed of everything, then the others."""
    return [
        replace(version, network=network, seed=seed)
        for seed in range(seeds)
        for network, plan in PLANS.items()
        for version in plan.versions
    ]


def widths(network: Network, task: Task) -> Widths:
    """Return the widths of a version that is quantised.

    Where they are not the same everywhere, 8 bits have the weights of the first and of the last layer and what the
    last layer reads, which is usual in the literature, and the sums that nothing but an addition reads, which in the
    literature are floats.
    """
    bits, signal_bits = task.bits, task.signal_bits or task.bits
    if task.everywhere:
        return Widths(bits, signal_bits)
    network = network.folded()
    outer = (network.weighted[0].name, network.weighted[-1].name)
    return Widths(
        bits,
        signal_bits,
        weight_bits_of=dict.fromkeys(outer, OUTER_BITS),
        signal_bits_of=dict.fromkeys(_added(network), OUTER_BITS),
    )


def _added(network: Network) -> Iterator[str]:
    """Yield the layers whose sums nothing but an addition reads, and means."""
    for layer in network.layers:
        added = isinstance(layer, Weighted) and all(isinstance(x, Add) for x in network.consumers(layer.name))
        if (added or isinstance(layer, GlobalAvgPool)) and layer.name != network.output:
            yield layer.name
