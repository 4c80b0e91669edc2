"""A network together with what was pruned from it: the input of quantisation, and what a network file holds."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import archive, layers, sparsity
from accel.errors import EspalierError
from accel.network import Network
from accel.pattern import everything
from accel.sparsity import LayerMask, Masks
from accel.window import Window

KIND = "network"
Groups = Mapping[str, NDArray[np.int64]]  # by layer: the number of the group that each weight (M, C, T) is in
_CLASSES = (
    LayerMask,
    Network,
    Window,
    layers.Conv2d,
    layers.Linear,
    layers.BatchNorm,
    layers.ReLU,
    layers.Clip,
    layers.Activation,
    layers.MaxPool,
    layers.AvgPool,
    layers.GlobalAvgPool,
    layers.Flatten,
    layers.Add,
    layers.Mul,
    layers.Upsample,
    layers.Concat,
)


@dataclass(frozen=True, eq=False)
class PrunedNetwork:
    """A float network, its masks, and the size that it had before anything was pruned.

    Parameters
    ----------
    network : Network
        Physically narrower where feature maps were pruned. Weights that a mask does not keep are set to zero.
    masks : mapping of layer name to LayerMask
        Layers that are not named are dense.
    pattern : str
        What the pruning is called in reports.
    data : str
        The data set that the network was trained on.
    dense_weights, dense_macs : mapping of layer name to int
        Weights, and multiply-accumulates for one image, before pruning; of this network by default.
    input_range : tuple of float, optional
        The lowest and the highest pixel of the images that it was last trained or judged with, where they were a
        user's own.
    shapes_alone : bool
        Nothing but the shapes of weights is known, zeros stand for them: it can be sized, not run nor quantised.

    Raises
    ------
    EspalierError
        A mask does not fit its layer, or a layer had less before pruning than it has now.
    """

    network: Network
    masks: Masks = field(default_factory=dict)
    pattern: str = "dense"
    data: str = ""
    dense_weights: Mapping[str, int] = field(default_factory=dict)
    dense_macs: Mapping[str, int] = field(default_factory=dict)
    input_range: tuple[float, float] | None = None
    shapes_alone: bool = field(default=False, metadata=archive.LATER)

    def __repr__(self) -> str:
        """Return the network in a line, without weights and masks."""
        kept = f"{self.kept_weights:,} of {sum(self.dense_weights.values()):,} weights"
        return f"<PrunedNetwork {self.network.name}: {self.pattern}, {kept}{f', {self.data}' if self.data else ''}>"

    def __post_init__(self) -> None:
        weights = {}
        for name, mask in self.masks.items():
            layer = self.network[name]
            if not isinstance(layer, layers.Weighted) or mask.kept.shape != layer.lowered_shape:
                raise EspalierError(f"{name}: a mask of shape {mask.kept.shape} does not fit this layer")
            weights[name] = np.where(mask.kept.reshape(layer.weight.shape), layer.weight, np.float32(0))
        self._set(network=self.network.with_weights(weights), masks=MappingProxyType(dict(self.masks)))
        self._set_dense("dense_weights", {layer.name: layer.weight.size for layer in self.network.weighted})
        self._set_dense("dense_macs", self.network.dense_macs())
        low, high = self.input_range or (0.0, 0.0)
        if not -math.inf < low <= high < math.inf:
            raise EspalierError(f"{self.network.name}: input_range must be two numbers, got {self.input_range}")

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _set_dense(self, name: str, now: dict[str, int]) -> None:
        dense = getattr(self, name) or now
        if not now or dense.keys() != now.keys() or any(dense[layer] < now[layer] for layer in now):
            raise EspalierError(f"{self.network.name}: {name} must be at least {now}, got {dict(dense)}")
        self._set(**{name: MappingProxyType(dict(dense))})

    @property
    def kept_weights(self) -> int:
        """Weights that are left."""
        masks = self.masks
        return sum(int(masks[x.name].kept.sum()) if x.name in masks else x.weight.size for x in self.network.weighted)

    @property
    def sparsity(self) -> float:
        """The share of the dense network's weights that is gone."""
        return 1 - self.kept_weights / sum(self.dense_weights.values())

    def layer_mask(self, name: str) -> LayerMask:
        """Return the mask of the weighted layer `name`; all true where nothing was pruned."""
        if name in self.masks:
            return self.masks[name]
        layer = self.network[name]
        if not isinstance(layer, layers.Weighted):
            raise EspalierError(f"{name}: has no weights to mask")
        return LayerMask(str(sparsity.Dense()), everything(layer.lowered_shape))

    def check_values(self, what: str) -> None:
        """Raise EspalierError, saying `what` needs them, unless weights have values."""
        if self.shapes_alone:
            raise EspalierError(f"{self.network.name}: has the shapes of its weights and no values, which {what} needs")

    def with_network(self, network: Network) -> "PrunedNetwork":
        """Return the same pruning of a network with other weights."""
        return replace(self, network=network)

    def folded(self) -> "PrunedNetwork":
        """Return the same pruning of the network without batch norms; layers that they become had no more before."""
        network = self.network.folded()
        now = {layer.name: layer.weight.size for layer in network.weighted}
        macs = network.dense_macs()
        return replace(
            self,
            network=network,
            dense_weights=now | {name: size for name, size in self.dense_weights.items() if name in now},
            dense_macs=macs | {name: count for name, count in self.dense_macs.items() if name in macs},
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to one file, whole or not at all."""
        self.check_values("a file")
        archive.save(path, KIND, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "PrunedNetwork":
        """Read what `save` wrote; raises EspalierError if the file was cut, changed, or is something else."""
        return archive.load(Path(path), KIND, (cls, *_CLASSES))

    def to_bytes(self) -> bytes:
        """Return what `save` writes: the form for another process, because read-only mappings do not pickle."""
        self.check_values("a file")
        return archive.dump(KIND, self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "PrunedNetwork":
        """Return the network of which `to_bytes` made `data`; raises as `load` does."""
        return archive.loads(data, KIND, (cls, *_CLASSES))
