"""Batch norms that stay alive while a network is trained as its Program computes it, and are frozen late.

A Program has none: each is part of the weights before it. In training the layer's sums are normalised all the same, by
the statistics of each batch, until these are frozen; from then on, and wherever the network is judged, gain and
statistics are factors of quantised weights and of their steps, as they are in the Program.

Source: Krishnamoorthi, "Quantizing Deep Convolutional Networks for Efficient Inference" (arXiv 1806.08342, section
3.2.2), for statistics of batches that are frozen late. There weights are scaled before they are quantised; ours: where
each output map has a step of its own, it is scaled instead, so that codes do not hang on the statistics of a batch.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from accel.layers import BatchNorm, Weighted
from accel.network import Network
from accel.train.module import STATISTICS_MOMENTUM

SMALLEST = 1e-8  # what is added to variances: of maps that are always zero


def norms_of(network: Network) -> dict[str, BatchNorm]:
    """Return the batch norms that layers with weights absorb when `network` is folded, by these layers."""
    return dict(_absorbed(network))


def _absorbed(network: Network) -> Iterator[tuple[str, BatchNorm]]:
    for norm in network.layers:
        if isinstance(norm, BatchNorm):
            before = next((x for x in network.layers if x.name == norm.inputs[0]), None)
            if isinstance(before, Weighted) and len(network.consumers(before.name)) == 1:
                yield before.name, norm


class Norms(nn.Module):
    """Batch norms of sums whose weights have absorbed them already, so that they begin by changing nothing.

    Parameters
    ----------
    network : Network
        With its batch norms.
    frozen : float
        The share of the epochs after which statistics stay; 0 for no norms at all.
    """

    def __init__(self, network: Network, frozen: float) -> None:
        super().__init__()
        found = norms_of(network) if frozen else {}
        self.frozen, self.going = frozen, True
        self.places = {name: place for place, name in enumerate(found)}  # names may hold dots, those of parameters none
        affine = [(torch.tensor(norm.scale), torch.tensor(norm.shift)) for norm in found.values()]
        self.gains = nn.ParameterList(nn.Parameter(gain.abs()) for gain, _ in affine)  # signs are the weights' now
        self.shifts = nn.ParameterList(nn.Parameter(shift) for _, shift in affine)
        for place, (gain, shift) in enumerate(affine):
            self.register_buffer(f"mean{place}", shift.clone())
            self.register_buffer(f"variance{place}", gain.square())

    def __contains__(self, layer: str) -> bool:
        return layer in self.places

    def before_epoch(self, done: float) -> None:
        """Freeze the statistics when the share `done` (0..1) of all epochs is that after which they stay."""
        self.going = done < self.frozen

    @property
    def alive(self) -> bool:
        """Whether batches are normalised by statistics of their own."""
        return self.training and self.going

    def forward(self, layer: str, sums: Tensor) -> Tensor:
        """Return a layer's sums, normalised where it has a norm that is alive."""
        if layer not in self.places or not self.alive:
            return sums
        place = self.places[layer]
        learned = self.gains[place], self.shifts[place]
        return F.batch_norm(sums.float(), *self._statistics(place), *learned, True, STATISTICS_MOMENTUM, SMALLEST)

    def affine(self, layer: str) -> tuple[Tensor, Tensor]:
        """Return the gain and the offset (M,) by which a layer's sums are normalised when statistics stay."""
        place = self.places[layer]
        mean, variance = self._statistics(place)
        gain = self.gains[place] * (variance + SMALLEST).rsqrt()
        return gain, self.shifts[place] - mean * gain

    @torch.no_grad()
    def reset(self, layer: str) -> None:
        """Have a layer's norm change nothing, what it did being part of the weights again."""
        place = self.places[layer]
        mean, variance = self._statistics(place)
        mean.copy_(self.shifts[place])
        variance.copy_(self.gains[place].square())

    def _statistics(self, place: int) -> tuple[Tensor, Tensor]:
        return self.get_buffer(f"mean{place}"), self.get_buffer(f"variance{place}")
