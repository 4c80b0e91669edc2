"""Weights that shrink towards zero together: the proximal step of the group lasso."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Grouped:
    """One layer's weights in groups.

    Parameters
    ----------
    weight : parameter
    index : int64 tensor, one for each weight
        The number of its group.
    root_sizes : float32 tensor, one for each group
        Square root of the number of its weights.
    """

    weight: Tensor
    index: Tensor
    root_sizes: Tensor

    @classmethod
    def of(cls, weight: Tensor, numbers: NDArray[np.int64]) -> "Grouped":
        """Return the groups of weights that have the same number; `numbers` are in the order of the weights."""
        _, index = np.unique(numbers, return_inverse=True)
        sizes = np.sqrt(np.bincount(index.ravel()))
        place = weight.device
        return cls(weight, torch.from_numpy(index.ravel()).to(place), torch.from_numpy(sizes).float().to(place))

    def shrink(self, step: float) -> None:
        """Take `step` x the root of its size off each group's norm, or all of it; call it without gradients."""
        squares = self.weight.square().reshape(-1)
        norms = torch.zeros_like(self.root_sizes).index_add_(0, self.index, squares).sqrt_()
        shares = 1 - step * self.root_sizes / norms.clamp_min(torch.finfo(norms.dtype).tiny)
        self.weight.mul_(shares.clamp_min_(0)[self.index].reshape(self.weight.shape))
