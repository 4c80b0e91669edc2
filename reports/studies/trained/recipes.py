"""How the networks of the study are trained, `RECIPES`: those of the zoo, taught and gradual where these are not.

Importing it needs PyTorch (the extra ``train``), whose recipes these are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from accel.errors import EspalierError
from accel.interchange.zoo import DENSE
from accel.prune import Ratio
from accel.train.gradual import FROZEN
from accel.train.recipe import FLOAT32
from reports.studies.trained.definition import NETWORKS, TEACHERS, Task
from reports.workflow.prune import ALL
from reports.workflow.recipes import ENTRIES, Entry, Lasso

# weaker than where units are chosen once: what is gone may come back
FASHION = dict.fromkeys(("block-4", "block-8", "block-16"), Lasso(30, 0.03))
TAUGHT = 0.5  # the share of the dense network's scores in the loss


def _taught(
    zoo: str,
    epochs: int,
    learning_rate: float,
    quantized_epochs: int,
    lassos: Mapping[str, Lasso] = MappingProxyType({}),
) -> Entry:
    """Return how a network of the zoo is pruned by masks that follow its weights, and taught by the dense one."""
    entry = ENTRIES[zoo]
    recipe = replace(entry.retrain, epochs=epochs, learning_rate=learning_rate, schedule="onecycle")
    retrain = replace(recipe, distillation=TAUGHT)
    quantized = replace(retrain, epochs=quantized_epochs, weight_decay=0.0, schedule="cosine", best=True)
    return replace(entry, retrain=retrain, quantized=quantized, lassos=lassos, epochs={}, gradual=FROZEN)


def _of_residual(name: str) -> Entry:
    entry = ENTRIES[name]
    half = next(iter(entry.ratios["kernel@8"].values()))  # of the multiplications, with other units of about a kernel
    more: dict[str, dict[str, Ratio]] = {"ikss": {"ikss": half}, "block-4": {"block-4": half}, "2:4": {}}
    return replace(entry, ratios={**entry.ratios, **more, "irregular": {ALL: 0.7}}, gradual=FROZEN)


RECIPES: Mapping[str, Entry] = {
    "resnet20": _of_residual("resnet20"),
    "resnet8": _of_residual("resnet8"),
    "cifar-quick": _taught("cifar-quick", 25, 1.5e-3, 10),
    "lenet5": _taught("lenet5", 40, 2e-3, 15),
    "lenet-300-100-fashion": _taught("lenet-300-100-fashion", 40, 1e-3, 10, FASHION),
}


@dataclass(frozen=True)
class Epochs:
    """How long the trainings of a network are; a second one of a dense network is as long as that of a pruned one."""

    dense: int
    pruned: int
    quantized: int

    @classmethod
    def usual(cls, network: str) -> "Epochs":
        """Return those of the study's recipes."""
        entry = RECIPES[network]
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
        """Return the epochs in which a version is trained from its floats, pruned from the dense network, or made."""
        if task.bits:
            return 0 if task.calibrated else self.quantized
        if task.pattern != DENSE:
            return self.pruned + RECIPES[task.network].lassos.get(task.pattern, Lasso(0)).epochs
        return self.dense + (self.pruned if task.network in TEACHERS else 0)

    def entry(self, network: str, precision: str = FLOAT32) -> Entry:
        """Return how the network is made in so many epochs, and with products of which precision."""
        entry = RECIPES[network]
        return replace(
            entry,
            dense=replace(entry.dense, epochs=self.dense, precision=precision),
            retrain=replace(entry.retrain, epochs=self.pruned, precision=precision),
            quantized=replace(entry.quantized or entry.retrain, epochs=self.quantized, precision=precision),
        )
