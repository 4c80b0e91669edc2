"""The points of a study of pruning, measured: what a worker does, in whichever process; it draws nothing."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from accel.interchange.data.datasets import Dataset
from accel.prune import Evaluator
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask, Mask
from reports.studies.measuring import Named, splits_of
from reports.studies.pruning.definition import MAGNITUDE, Task
from reports.studies.pruning.results import Point
from reports.workflow import retrain
from reports.workflow.prune import prune, stages
from reports.workflow.selection import Selection, Trace, kept_weights
from reports.workflow.sources import Source


@dataclass(frozen=True)
class Bench:
    """What all points of a study share: the dense network and the images, loaded once."""

    dense: PrunedNetwork
    images: dict[str, Dataset]

    @cached_property
    def searched(self) -> Evaluator:
        """The judge on the images that selectors look at."""
        return self._evaluator(self.images["selection"])

    @cached_property
    def tested(self) -> Evaluator:
        """The judge on the test images; nothing is chosen by it."""
        return self._evaluator(self.images["test"])

    def _evaluator(self, images: Dataset) -> Evaluator:
        return Evaluator(self.dense.network, images.pixels(), images.labels)

    @cached_property
    def pixels(self) -> dict[str, Any]:
        """The pixels of the splits on which retrained networks are measured."""
        return {split: self.images[split].pixels() for split in ("validation", "test")}

    def rates(self, pruned: PrunedNetwork) -> dict[str, float]:
        """Return the error rates of a retrained network on whole splits."""
        found = {}
        for split, pixels in self.pixels.items():
            wrong = pruned.network.scores(pixels).argmax(axis=1) != self.images[split].labels
            found[split] = float(np.mean(wrong))
        return found


@lru_cache(maxsize=1)  # a worker has one study at a time
def bench_of(dense: bytes, images: Named, source: Source, selection_images: int) -> Bench:
    """Return what the points of a study share, in whichever process; raise EspalierError if its images are others."""
    splits = splits_of(images, source)
    validation = splits["validation"]
    selection = validation.take(min(selection_images, len(validation)))
    return Bench(PrunedNetwork.from_bytes(dense), splits | {"selection": selection})


def point_of(
    task: Task, dense: bytes, images: Named, source: Source, recipe: Any, group_lasso: float
) -> tuple[Point, dict[str, Mask]]:
    """Return what `measured` does, in a worker: on one thread, so that floating-point sums have one order."""
    with threadpool_limits(1):
        return measured(task, bench_of(dense, images, source, task.selection_images), recipe, group_lasso)


def measured(task: Task, bench: Bench, recipe: Any, group_lasso: float) -> tuple[Point, dict[str, Mask]]:
    """Return the point of a task, and its masks."""
    trace = Trace(bench.dense.network)
    selection = Selection(task.selector, bench.images["selection"], np.random.default_rng(task.seed), task.budget)
    choose = trace.following(selection.chooser())
    sparsify = None
    if task.sparsify:
        shrinking = retrain.sparsifying(replace(recipe, seed=task.seed), task.sparsify, group_lasso)
        sparsify = retrain.trainer(shrinking, bench.images["train"])
    pruned = prune(bench.dense, task.granularity, task.ratios, choose=choose, spare=task.spare, sparsify=sparsify)
    masks = trace.masks(pruned)
    if task.sparsify or not _in_place(pruned, masks, bench.dense):
        before = bench.rates(pruned)
    else:  # the dense network under these masks says what the narrow one says, and its judges are warm
        flat = {name: LayerMask("irregular", kept) for name, kept in masks.items() if not kept.all()}
        before = {"validation": bench.searched(flat), "test": bench.tested(flat)}
    after = None
    if task.epochs:
        of_task = replace(recipe, epochs=task.epochs, seed=task.seed)
        after = bench.rates(retrain.trainer(of_task, bench.images["train"])(pruned))
    layers = {name: list(pair) for name, pair in kept_weights(pruned).items()}
    return Point(task, layers, before, after), masks if pictured(task) else {}


def _in_place(pruned: PrunedNetwork, masks: dict[str, Mask], dense: PrunedNetwork) -> bool:
    """Return whether every weight that is kept stands where `dense` has it: groups may have moved output maps."""
    for layer, narrow in zip(dense.network.weighted, pruned.network.weighted, strict=True):
        kept = narrow.weight.reshape(narrow.lowered_shape)[pruned.layer_mask(layer.name).kept]
        if not np.array_equal(kept, layer.weight.reshape(layer.lowered_shape)[masks[layer.name]]):
            return False
    return True


def pictured(task: Task) -> bool:
    """Return whether the masks of a point are kept, to be shown."""
    return bool(task.epochs and stages(task.granularity)) and task.selector == MAGNITUDE and task.seed == 0
