"""A training: steps, epochs, what is reported of them; what is pruned stays exactly zero."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from accel.errors import EspalierError
from accel.layers import BatchNorm
from accel.network import Network
from accel.pruned import Groups, PrunedNetwork
from accel.sparsity import Masks
from accel.train.checkpoint import Best, Checkpoint
from accel.train.group_lasso import Grouped
from accel.train.module import NetworkModule, to_module
from accel.train.recipe import BFLOAT16, MSE, Recipe
from accel.train.samples import Images, Labels, Samples

EVALUATION_BATCH = 512
ADAM_SECOND_BETA = 0.999


@dataclass(frozen=True)
class Progress:
    """Where a training is after one step.

    Parameters
    ----------
    epoch, epochs : int
        The epoch that runs, from 1, and how many there will be.
    step, steps : int
        Steps taken since the training began, and how many there will be.
    loss, error_rate : float
        Mean over the images of this epoch so far; error rates are 0..1.
    validation_error_rate : float or None
        At an epoch's last step, if there are validation images.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    error_rate: float
    validation_error_rate: float | None = None


Listener = Callable[[Progress], None]


class Run:
    """The state of one training: `module` learns, in place, what `pruned` is to become."""

    def __init__(
        self,
        module: NetworkModule,
        pruned: PrunedNetwork,
        images: Images,
        labels: Labels,
        recipe: Recipe,
        device: torch.device,
        validation: tuple[Images, Labels] | None,
        groups: Groups | None = None,
        teacher: Network | None = None,
    ) -> None:
        if recipe.best and validation is None:
            raise EspalierError(f"{pruned.network.name}: the best epoch is chosen by validation images; there are none")
        self.recipe = recipe
        self.best: Best | None = None
        self.samples = Samples.checked(pruned.network, images, labels, device, recipe.loss)
        self.validation = Samples.checked(pruned.network, *validation, device, recipe.loss) if validation else None
        self.steps = self.samples.steps(recipe.batch_size)
        if len(self.samples) // self.steps < 2 and any(isinstance(x, BatchNorm) for x in pruned.network.layers):
            raise EspalierError(f"{pruned.network.name}: batch norm needs at least 2 images in each batch")
        self.module = module.to(device)
        self.optimizer = _optimizer(self.module, recipe)
        self.masked = masked(self.module, pruned.masks, device)
        shrinks = groups if groups and recipe.group_lasso else {}
        self.grouped = [Grouped.of(self.module.operation(name).weight, shrinks[name]) for name in shrinks]
        self.teacher = _teacher(pruned.network, teacher, recipe, device)

    def train(self, store: Checkpoint | None, progress: Listener | None) -> None:
        """Train for the epochs that are left, those that `store` has being done, and write each there.

        In the end `module` is what the last epoch left, or the best one if the recipe says so.
        """
        done, self.best = store.restore(self.module, self.optimizer) if store else (0, None)
        with threads(self.recipe.threads):
            for epoch in range(done, self.recipe.epochs):
                last = self.epoch(epoch, progress)
                self._judge(epoch, last)
                if store:
                    store.write(epoch + 1, self.module, self.optimizer, self.best)
                if progress:
                    progress(last)
        if self.best:
            self.module.load_state_dict(dict(self.best.module))

    def _judge(self, epoch: int, last: Progress) -> None:
        """Keep the network as it is after an epoch if it is the best so far, and the best is asked for."""
        rate = last.validation_error_rate
        if self.recipe.best and rate is not None and (self.best is None or rate <= self.best.rate):
            self.best = Best(rate, {name: value.clone() for name, value in self.module.state_dict().items()})

    def epoch(self, epoch: int, progress: Listener | None) -> Progress:
        """Train for one epoch, counted from 0; return the report of its last step, and give `progress` the others."""
        self.module.train()
        self.module.before_epoch(epoch / self.recipe.epochs)
        totals, seen = torch.zeros(2, device=self.samples.images.device), 0
        for step, (images, labels) in enumerate(self.samples.batches(self.recipe, epoch), start=1):
            done = (epoch + (step - 1) / self.steps) / self.recipe.epochs
            totals += self._step(images, labels, self.recipe.rate(done))
            seen += len(labels)
            if progress and step < self.steps:
                progress(self._report(epoch, step, totals / seen))
        held_out = share_of_errors(self.module, self.validation) if self.validation else None
        return self._report(epoch, self.steps, totals / seen, held_out)

    def _step(self, images: Tensor, labels: Tensor, rate: float) -> Tensor:
        """Take one step; return the batch's summed loss and its number of errors."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        scores = self._scores(self.module, images)
        loss = self._loss(scores, images, labels)
        self.optimizer.zero_grad()
        loss.backward()
        for weight, gone in self.masked:
            if weight.grad is not None:  # None: the layer leads nowhere
                weight.grad.masked_fill_(gone, 0)  # keeps the optimizer's averages zero there too
        self.optimizer.step()
        with torch.no_grad():
            for grouped in self.grouped:
                grouped.shrink(rate * self.recipe.group_lasso)
            for weight, gone in self.masked:
                weight.masked_fill_(gone, 0)  # exact by construction, whatever the optimizer does
            self.module.after_step()
        return torch.stack([loss.detach() * len(labels), self.samples.wrong(scores.detach(), images, labels).sum()])

    def _scores(self, module: NetworkModule, images: Tensor) -> Tensor:
        """Return scores (N, classes), in float32, that were computed in the recipe's precision."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.recipe.precision == BFLOAT16):
            scores = module(images)
        return scores.float().flatten(1)

    def _loss(self, scores: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        if self.recipe.loss == MSE:
            return F.mse_loss(scores, images.flatten(1))
        loss = F.cross_entropy(scores, labels, label_smoothing=self.recipe.label_smoothing)
        if self.teacher is None:
            return loss
        share, temperature = self.recipe.distillation, self.recipe.temperature
        with torch.no_grad():
            wanted = F.log_softmax(self._scores(self.teacher, images) / temperature, dim=1)
        given = F.log_softmax(scores / temperature, dim=1)
        apart = F.kl_div(given, wanted, reduction="batchmean", log_target=True)
        return (1 - share) * loss + share * temperature**2 * apart  # whose gradients fall with its square

    def _report(self, epoch: int, step: int, means: Tensor, validation: float | None = None) -> Progress:
        loss, errors = means.tolist()
        if not np.isfinite(loss):
            raise EspalierError(
                f"{self.module.network.name}: the training diverged in epoch {epoch + 1} (the loss is {loss}): "
                f"lower the learning_rate, now {self.recipe.learning_rate}"
            )
        epochs = self.recipe.epochs
        return Progress(epoch + 1, epochs, epoch * self.steps + step, epochs * self.steps, loss, errors, validation)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Have PyTorch compute on so many threads while the block runs, whatever the environment or the caller set."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _teacher(student: Network, teacher: Network | None, recipe: Recipe, device: torch.device) -> NetworkModule | None:
    """Return what is learned from, if anything is: a network that takes the same images and knows the same classes."""
    if (teacher is not None) != (recipe.distillation > 0):
        raise EspalierError(
            f"{student.name}: a teacher goes with a share of the loss, and distillation is {recipe.distillation}"
            if teacher
            else f"{student.name}: distillation is {recipe.distillation}, but there is no teacher"
        )
    if teacher is None:
        return None
    ends = [(x.input_shape, math.prod(x.shapes[x.output])) for x in (student, teacher)]
    if ends[0] != ends[1]:
        raise EspalierError(
            f"{student.name}: the teacher {teacher.name} takes images {ends[1][0]} and gives {ends[1][1]} scores, "
            f"expected {ends[0][0]} and {ends[0][1]}"
        )
    return to_module(teacher).to(device).requires_grad_(False)


def _optimizer(module: NetworkModule, recipe: Recipe) -> torch.optim.Optimizer:
    groups = module.parameter_groups(recipe.weight_decay)
    if recipe.optimizer == "adam":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, ADAM_SECOND_BETA))
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)


def masked(module: NetworkModule, masks: Masks, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Return each masked weight with where it is pruned."""
    pairs = []
    for name, mask in masks.items():
        weight = module.operation(name).weight
        pairs.append((weight, torch.from_numpy(~mask.kept).reshape(weight.shape).to(device)))
    return pairs


@torch.no_grad()
def share_of_errors(module: NetworkModule, samples: Samples) -> float:
    """Return what is wrong (0..1) in the mean with what a network gives for images (`Samples.wrong`)."""
    module.eval()
    wrong = torch.zeros((), dtype=torch.float64, device=samples.labels.device)
    for first in range(0, len(samples), EVALUATION_BATCH):
        part = slice(first, first + EVALUATION_BATCH)
        images, labels = samples.images[part], samples.labels[part]
        wrong += samples.wrong(module(images).flatten(1), images, labels).sum()
    return wrong.item() / len(samples)
