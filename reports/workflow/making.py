"""Making a network: trained from random weights, pruned and retrained, trained as a Program computes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import train
from accel.interchange import zoo
from accel.interchange.data.datasets import Dataset
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.network import Network
from accel.program import Program
from accel.prune import Ratio, Space, lasso_groups
from accel.pruned import Groups, PrunedNetwork
from accel.quantize import Calibration, Steps, Widths
from accel.train import Recipe
from reports.workflow.prune import FEATURE_MAP, following, prune
from reports.workflow.quantize import Workbench, retrained
from reports.workflow.recipes import Entry, Lasso
from reports.workflow.retrain import sparsifying, training_bar

FIRST_STEPS_IMAGES = 128  # from which steps are found, before they are learned
Pixels = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Maker:
    """How one network is made, with the images for it.

    Parameters
    ----------
    name : str
        Of the architecture.
    entry : Entry
        The recipes, and what goes by each pattern.
    splits : dict of str to Dataset
        ``train`` and ``validation``.
    seed : int
        Of the first weights and of every training.
    checkpoints : Path, optional
        A folder that is there, in which each training has a file of its own.
    device : str, optional
        Of PyTorch.
    """

    name: str
    entry: Entry
    splits: dict[str, Dataset]
    seed: int = 0
    checkpoints: Path | None = None
    device: str | None = None
    _pixels: dict[str, Pixels] = field(default_factory=dict)  # of splits; shared by those who make several networks

    def pixels(self, split: str) -> Pixels:
        """Return the images of a split as floats, and their labels."""
        if split not in self._pixels:
            images = self.splits[split]
            self._pixels[split] = images.pixels(), images.labels
        return self._pixels[split]

    def dense(self) -> PrunedNetwork:
        """Return the network trained from random weights."""
        start = train.initialize(ARCHITECTURES[self.name](), np.random.default_rng(self.seed))
        return self._fit(PrunedNetwork(start, data=self.entry.data), self.entry.dense, zoo.DENSE)

    def taught(self, made: PrunedNetwork, teacher: PrunedNetwork) -> PrunedNetwork:
        """Return a network trained once more, as what is pruned is, by another one's scores or by its own."""
        return self._fit(made, self.entry.retrain, "taught", teacher=teacher.network)

    def pruned(
        self,
        dense: PrunedNetwork,
        label: str,
        ratios: Mapping[str, Ratio] | None = None,
        teacher: Network | None = None,
    ) -> PrunedNetwork:
        """Return `dense` pruned as `label` says and retrained after each stage.

        Ratios are the entry's if not given, and the teacher of a recipe that has one is the dense network.
        With an entry that is gradual there is one training, unless feature maps go, which cannot come back.
        """
        entry, stem, stage = self.entry, Path(zoo.file_name(label)).stem, iter(range(9))
        given = entry.ratios[label] if ratios is None else ratios
        lasso = entry.lassos.get(label, Lasso(0))
        own = replace(entry.retrain, epochs=entry.epochs.get(label, entry.retrain.epochs))
        taught = (teacher or dense.network) if own.distillation else None

        def retrain(pruned: PrunedNetwork) -> PrunedNetwork:
            return self._fit(pruned, own, f"{stem}-{next(stage)}", teacher=taught)

        def sparsify(pruned: PrunedNetwork, groups: Groups) -> PrunedNetwork:
            recipe = sparsifying(entry.retrain, lasso.epochs, lasso.strength)
            return self._fit(pruned, recipe, f"{stem}-{next(stage)}", groups=groups)

        if entry.gradual and FEATURE_MAP not in label:
            start, masks = following(dense, label, given)
            if lasso.epochs:
                start = sparsify(start, lasso_groups(Space.of(start.network, label)))
            gradual = train.Gradual(masks, f"{label}, {given}", entry.gradual)
            return replace(self._fit(start, own, stem, teacher=taught, gradual=gradual), pattern=label)
        return prune(dense, label, given, retrain, sparsify=sparsify if lasso.epochs else None)

    def quantized(self, pruned: PrunedNetwork, widths: Widths, teacher: Network, what: str) -> Program:
        """Return the Program of `pruned` at these widths, trained as it computes and taught by a float network.

        Steps are one for each output map, and learned; `what` names the checkpoint.
        """
        recipe = replace(self.entry.quantized or self.entry.retrain, seed=self.seed)
        bench = self._bench(pruned)
        found, steps = retrained(
            bench,
            widths,
            bench.calibration.steps,
            recipe,
            self.splits["train"],
            self._checkpoint(what),
            teacher if recipe.distillation else None,
            self.device,
            validation=self.splits["validation"],
        )
        return found.lowered(widths, steps)

    def calibrated(self, pruned: PrunedNetwork, widths: Widths) -> Program:
        """Return the Program of `pruned` at these widths with steps found of images, one for each output map."""
        return self._bench(pruned).lowered(widths)

    def error_rate(self, network: Network, images: Dataset) -> float:
        """Return the share of images that a float network gets wrong."""
        return train.error_rate(network, images.pixels(), images.labels, self.device)

    def _bench(self, pruned: PrunedNetwork) -> Workbench:
        """Return a network with the training images by which it is quantised."""
        images = self.splits["train"].take(min(FIRST_STEPS_IMAGES, len(self.splits["train"])))
        return Workbench(Calibration(pruned, images.pixels(), Steps(per_output=True)), images)

    def _checkpoint(self, what: str) -> Path | None:
        return self.checkpoints / f"{what}.checkpoint" if self.checkpoints else None

    def _fit(self, pruned: PrunedNetwork, recipe: Recipe, what: str, **more: Any) -> PrunedNetwork:
        with training_bar(f"{self.name} {what}", recipe, self.splits["train"]) as report:
            return train.fit(
                pruned,
                *self.pixels("train"),
                replace(recipe, seed=self.seed),
                validation=self.pixels("validation"),
                device=self.device,
                checkpoint=self._checkpoint(what),
                progress=report,
                **more,
            )
