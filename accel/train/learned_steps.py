"""Quantiser steps in training: kept, found anew, or learned."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from accel.errors import EspalierError
from accel.signal import MULTIPLIER_BITS

WEIGHT_RULES = ("keep", "refit", "learn")
SIGNAL_RULES = ("keep", "learn")
SPREAD = 2.0 ** (-MULTIPLIER_BITS // 2)  # of the steps of one layer, whose multipliers share a shift
SMALLEST = 2.0**-8  # of a step that is learned, as a share of what it began with


@dataclass(frozen=True)
class StepRule:
    """What becomes of the steps of a Program when its weights are trained.

    Parameters
    ----------
    weights : {"keep", "refit", "learn"}
        Refitted to the weights before each epoch, by the function that the caller gives; or learned with them.
    signals : {"keep", "learn"}
    rate : float
        The learning rate of steps that are learned, as a share of the recipe's.

    Raises
    ------
    EspalierError
        A field is out of its range.

    Notes
    -----
    Learned steps are those of Esser et al., "Learned Step Size Quantization" (ICLR 2020). Their gradient scale is made
    for SGD; Adam divides it out again, and moves a step by about a learning rate whatever its size, hence `rate`.
    """

    weights: str = "keep"
    signals: str = "keep"
    rate: float = 1.0

    def __post_init__(self) -> None:
        for name, known in (("weights", WEIGHT_RULES), ("signals", SIGNAL_RULES)):
            if getattr(self, name) not in known:
                raise EspalierError(f"steps of {name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if not 0 < self.rate < math.inf:
            raise EspalierError(f"rate must be above 0, got {self.rate}")


class LayerSteps(nn.Module):
    """The steps of some layers, float64: parameters that learn if `learned`.

    Parameters
    ----------
    steps : mapping of layer name to float, or float array (M,)
    learned : bool
    fixed : collection of str
        Layers whose steps do not learn in any case.
    """

    def __init__(self, steps: Mapping[str, ArrayLike], learned: bool, fixed: Collection[str] = ()) -> None:
        super().__init__()
        self.learned = learned
        self.places = {name: place for place, name in enumerate(steps)}  # names may hold dots, those of parameters none
        tensors = [torch.tensor(np.atleast_1d(step), dtype=torch.float64) for step in steps.values()]
        learning = [learned and name not in fixed for name in steps]
        self.tensors = nn.ParameterList(map(nn.Parameter, tensors, learning))
        for place, tensor in enumerate(tensors):
            self.register_buffer(f"least{place}", tensor * SMALLEST, persistent=False)

    def __getitem__(self, name: str) -> Tensor:
        """Return the steps of a layer, (1,) or (M,)."""
        return self.tensors[self.places[name]]

    def keep_apart_from_zero(self) -> None:
        """Raise steps that learning has made too small to lower; call it without gradients."""
        for place, step in enumerate(self.tensors):
            step.copy_(torch.maximum(step, torch.maximum(self.get_buffer(f"least{place}"), step.max() * SPREAD)))

    def values(self) -> dict[str, NDArray[np.float64]]:
        """Return a copy of all steps, by layer name."""
        return {name: self[name].detach().cpu().numpy().copy() for name in self.places}
