"""Pruning in the course of a training: masks that follow the weights, so that what went may come back.

Until the masks are frozen every weight stays in memory and learns, also one that the network computes without: its
gradient is that which it would have had in its place. Before each epoch it is chosen anew what goes.

Source: Guo, Yao and Chen, "Dynamic Network Surgery for Efficient DNNs" (arXiv 1608.04493), for pruned weights that
learn on and come back; Zhu and Gupta, "To Prune, or Not to Prune" (arXiv 1710.01878), for more and more that goes.
Ours: whole units of any pattern, and masks that are frozen for the rest of the training.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accel.errors import EspalierError
from accel.network import Network
from accel.sparsity import LayerMask, Masks
from accel.train.checkpoint import Checkpoint, Fingerprint
from accel.train.module import to_network
from accel.train.run import Listener, Progress, Run, masked

Follow = Callable[[Network, float], Masks]


@dataclass(frozen=True, eq=False)
class Gradual:
    """How masks follow the weights of a training.

    Parameters
    ----------
    masks : function of a Network and a float
        From the network with all its weights, and how far the pruning is, 0..1, to the masks of the same layers each
        time.
    what : str
        What that function does, in words that differ where its masks do: a checkpoint is of one training only.
    frozen : float
        The share of the epochs after which masks stay as they are, above 0 and below 1.

    Raises
    ------
    EspalierError
        `frozen` is out of its range.
    """

    masks: Follow
    what: str
    frozen: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.frozen < 1:
            raise EspalierError(f"masks must be frozen after a share of the epochs above 0 and below 1: {self.frozen}")

    def last(self, epochs: int) -> int:
        """Return the epoch, from 0, before which masks are chosen for the last time.

        Raises
        ------
        EspalierError
            There are too few epochs for one before it and one after.
        """
        if epochs < 2:
            raise EspalierError("masks that follow the weights need at least 2 epochs, the last with masks that stay")
        return min(max(1, round(self.frozen * epochs)), epochs - 1)

    def fingerprint(self) -> Fingerprint:
        """Return what a checkpoint says of it."""
        return {"gradual": f"{self.what}, frozen after {self.frozen}"}


class GradualRun(Run):
    """A training in which masks follow the weights; `masks` are the last ones."""

    def __init__(self, gradual: Gradual, *given: Any) -> None:
        super().__init__(*given)
        self.gradual, self.frozen = gradual, False
        self.last = gradual.last(self.recipe.epochs)
        self.masks = self._chosen(0.0)
        if both := self.masks.keys() & given[1].masks:
            raise EspalierError(f"{', '.join(sorted(both))}: has a mask already, which another is to follow")
        for place, (_, gone) in enumerate(self._pairs()):
            self.module.register_buffer(f"gone{place}", gone)  # part of what a checkpoint holds

    def train(self, store: Checkpoint | None, progress: Listener | None) -> None:
        """Train as `Run` does; of a run whose epochs were all done before, take the masks from its checkpoint."""
        super().train(store, progress)
        if not self.frozen:
            self._freeze()

    def epoch(self, epoch: int, progress: Listener | None) -> Progress:
        """Choose the masks, unless they are frozen, and train for one epoch."""
        if epoch <= self.last:
            self._choose(epoch / self.last)
        if epoch >= self.last and not self.frozen:
            self._freeze()
        return super().epoch(epoch, progress)

    @contextmanager
    def as_pruned(self) -> Iterator[None]:
        """Put zeros where weights are gone while the block runs, and then the weights back."""
        weights = [] if self.frozen else self._parted()
        whole = [weight.detach().clone() for weight, _ in weights]
        with torch.no_grad():
            for weight, gone in weights:
                weight.masked_fill_(gone, 0)
        yield
        with torch.no_grad():
            for (weight, _), values in zip(weights, whole, strict=True):
                weight.copy_(values)

    def _chosen(self, done: float) -> dict[str, LayerMask]:
        return dict(sorted(self.gradual.masks(to_network(self.module), done).items()))

    def _choose(self, done: float) -> None:
        self.masks = self._chosen(done)
        for (_, stored), (_, gone) in zip(self._parted(), self._pairs(), strict=True):
            stored.copy_(gone)

    @torch.no_grad()
    def _freeze(self) -> None:
        """Have the masks hold from now on; those of a run that goes on are in its checkpoint."""
        self.frozen, self.masked = True, [*self.masked, *self._parted()]
        for weight, gone in self.masked:
            weight.masked_fill_(gone, 0)
        for (name, mask), (_, gone) in zip(self.masks.items(), self._parted(), strict=True):
            kept = ~gone.cpu().numpy().reshape(mask.kept.shape)
            self.masks[name] = LayerMask(mask.pattern, kept)

    def _judge(self, last: Progress) -> None:
        """Let no epoch be the best in which not all is gone that shall."""
        if self.frozen:
            super()._judge(last)

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        return masked(self.module, self.masks, self.samples.images.device)

    def _parted(self) -> list[tuple[Tensor, Tensor]]:
        """Return each weight with where it is gone, as the module knows it."""
        weights = [self.module.operation(name).weight for name in self.masks]
        return [(weight, self.module.get_buffer(f"gone{place}")) for place, weight in enumerate(weights)]
