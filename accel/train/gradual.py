"""Pruning in the course of a training: masks that follow the weights, so that what went may come back.

Before each epoch, until the masks are frozen, it is chosen anew what goes, more and more. What goes keeps the value
that it had, out of the network; it is weighed against what stayed each time, and comes back with that value where what
stayed has become weaker.

Source: Zhu and Gupta, "To Prune, or Not to Prune" (arXiv 1710.01878), for more and more that goes in the course of a
training; Guo, Yao and Chen, "Dynamic Network Surgery for Efficient DNNs" (arXiv 1608.04493), for what comes back. There
pruned weights learn on; where an optimizer scales steps as Adam does, weights that have no effect then grow without a
bound. Ours: that they keep their values, whole units of any pattern, and masks that are frozen for the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accel.errors import EspalierError
from accel.network import Network
from accel.sparsity import LayerMask, Masks
from accel.train.checkpoint import Fingerprint
from accel.train.module import to_network
from accel.train.run import Listener, Progress, Run, masked

FROZEN = 0.6  # of the epochs, after which masks stay where nobody says otherwise
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
    frozen: float = FROZEN

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
    """A training in which masks follow the weights; `masks` are the present ones."""

    def __init__(self, gradual: Gradual, *given: Any) -> None:
        super().__init__(*given)
        self.gradual, self.last = gradual, gradual.last(self.recipe.epochs)
        self.patterns = {name: mask.pattern for name, mask in self._chosen(0.0).items()}
        if both := self.patterns.keys() & given[1].masks:
            raise EspalierError(f"{', '.join(sorted(both))}: has a mask already, which another is to follow")
        self.weights = [self.module.operation(name).weight for name in self.patterns]
        for place, weight in enumerate(self.weights):  # part of what a checkpoint holds
            self.module.register_buffer(f"gone{place}", torch.zeros_like(weight, dtype=torch.bool))
            self.module.register_buffer(f"held{place}", weight.detach().clone())
        self.masked += [(weight, self._kept_apart("gone", place)) for place, weight in enumerate(self.weights)]

    @property
    def masks(self) -> dict[str, LayerMask]:
        """The masks as they are now."""
        layers = {layer.name: layer.lowered_shape for layer in self.module.network.weighted}
        return {
            name: LayerMask(pattern, ~self._kept_apart("gone", place).cpu().numpy().reshape(layers[name]))
            for place, (name, pattern) in enumerate(self.patterns.items())
        }

    def epoch(self, epoch: int, progress: Listener | None) -> Progress:
        """Choose the masks, unless they are frozen, and train for one epoch."""
        if epoch <= self.last:
            self._choose(epoch / self.last)
        return super().epoch(epoch, progress)

    @torch.no_grad()
    def _choose(self, done: float) -> None:
        """Choose what goes, of what is there and what is gone alike."""
        for place, weight in enumerate(self.weights):
            gone, held = self._kept_apart("gone", place), self._kept_apart("held", place)
            weight.copy_(torch.where(gone, held, weight))
            held.copy_(weight)
        pairs = masked(self.module, self._chosen(done), self.samples.images.device)
        for place, (weight, gone) in enumerate(pairs):
            self._kept_apart("gone", place).copy_(gone)
            weight.masked_fill_(gone, 0)

    def _chosen(self, done: float) -> dict[str, LayerMask]:
        return dict(sorted(self.gradual.masks(to_network(self.module), done).items()))

    def _judge(self, epoch: int, last: Progress) -> None:
        """Let no epoch be the best in which not all is gone that shall."""
        if epoch >= self.last:
            super()._judge(epoch, last)

    def _kept_apart(self, what: str, place: int) -> Tensor:
        return self.module.get_buffer(f"{what}{place}")
