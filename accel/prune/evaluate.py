"""Judging candidates: the error rate of a network under masks, many times over on the same images.

Nothing is rebuilt for a candidate. What stands before the first layer that a mask can change is computed once and kept,
lowered where that layer is a convolution. A pruned feature map is left out with everything that reads it, so that the
answer is that of the narrow network.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.layers import Add, Array, BatchNorm, Clip, Conv2d, Flatten, Layer, ReLU, Weighted
from accel.network import INPUT, Network
from accel.prune import float_batch
from accel.prune.remove_maps import kept_maps, map_flags, tensor_groups
from accel.sparsity import FeatureMap, LayerMask, Mask

Labels = NDArray[np.integer]
CACHE_BYTES = 1 << 30  # of what is kept between candidates
# Of what one batch goes through. Smaller batches would stay in the caches, yet gain nothing in one thread; and where
# other programs run, threads of the BLAS wait for each other at the end of every product, so there should be few.
_BATCH_BYTES = 128 << 20
_WHOLE = slice(None)


class Evaluator:
    """The error rate of a network under masks, on a set of images.

    Parameters
    ----------
    network : Network
        Every kind of layer is supported.
    images : float array (N, maps, height, width)
        A validation set, N at least 1.
    labels : integer array (N,)
    cache_bytes : int
        How much may be kept between candidates; where a lowered input takes more, it is lowered again each time.

    Raises
    ------
    EspalierError
        Images or labels do not fit the network.
    """

    def __init__(self, network: Network, images: Array, labels: Labels, *, cache_bytes: int = CACHE_BYTES) -> None:
        images, labels = np.asarray(images), np.asarray(labels)
        problem = problem_of_images(network, images) or _problem_of_labels(network, labels, len(images))
        if problem:
            raise EspalierError(f"{network.name}: {problem}")
        self.network, self.labels, self.cache_bytes = network, labels, cache_bytes
        self._images = np.ascontiguousarray(np.moveaxis(images.astype(np.float32, copy=False), 0, -1))
        self._cached: tuple[frozenset[str], _Split, list[_Part]] | None = None

    def __call__(self, masks: Mapping[str, LayerMask]) -> float:
        """Return the share of the images (0..1) that the network under `masks` gets wrong.

        Raises
        ------
        EspalierError
            A mask does not fit its layer, or feature maps are pruned that `accel.prune.remove_maps` refuses to prune.
        """
        return float(np.mean(self.predictions(masks) != self.labels))

    def predictions(self, masks: Mapping[str, LayerMask]) -> NDArray[np.intp]:
        """Return the class of each image (N,) under `masks`; a pruned feature map is gone altogether."""
        kept = self._kept_maps(masks)
        weights = {name: self._masked(name, masks) for name in self._changed(masks)}
        split, parts = self._shared(frozenset(weights))
        return np.concatenate([split.scores(part, weights, kept).argmax(axis=0) for part in parts])

    def _kept_maps(self, masks: Mapping[str, LayerMask]) -> dict[str, Mask]:
        """Return the maps that stay, of each tensor of which any go."""
        for name, mask in masks.items():
            layer = self.network[name]
            if not isinstance(layer, Weighted) or mask.kept.shape != layer.lowered_shape:
                raise EspalierError(f"{name}: a mask of shape {mask.kept.shape} does not fit this layer")
        flags = {name: map_flags(name, mask) for name, mask in masks.items() if mask.pattern == str(FeatureMap())}
        return {name: x for name, x in kept_maps(self.network, flags).items() if not x.all()} if flags else {}

    def _changed(self, masks: Mapping[str, LayerMask]) -> set[str]:
        """Return the weighted layers whose outputs masks of these layers may change."""
        names = set(masks)
        for name, mask in masks.items():
            if mask.pattern == str(FeatureMap()):
                names |= self._groups[name]
        return names & {layer.name for layer in self.network.weighted}

    @cached_property
    def _groups(self) -> dict[str, set[str]]:
        return tensor_groups(self.network)

    def _masked(self, name: str, masks: Mapping[str, LayerMask]) -> Array:
        """Return the weights (M, C, T) of a layer, zero where its mask does not keep them."""
        layer = self.network[name]
        assert isinstance(layer, Weighted)  # `_changed` gives no others
        weight = layer.weight.reshape(layer.lowered_shape)
        if name not in masks or masks[name].pattern == str(FeatureMap()):  # `kept` says which rows
            return weight
        return np.where(masks[name].kept, weight, np.float32(0))

    def _shared(self, changed: frozenset[str]) -> tuple["_Split", list["_Part"]]:
        """Return what candidates that change these layers share, computed unless the last candidate had the same."""
        if self._cached is None or self._cached[0] != changed:
            split = _Split(self.network, changed)
            self._cached = changed, split, list(split.parts(self._images, self.cache_bytes))
        return self._cached[1:]


def problem_of_images(network: Network, images: NDArray[np.generic]) -> str | None:
    """Return what keeps `images` from being a batch for `network`, or None."""
    if images.ndim != 4 or images.shape[1:] != network.input_shape or not len(images):
        return f"images must be (N, {', '.join(map(str, network.input_shape))}) with N at least 1, got {images.shape}"
    if not np.issubdtype(images.dtype, np.floating):
        return f"images must be float32 in 0..1, got {images.dtype}"
    return None if np.isfinite([images.min(), images.max()]).all() else "images hold a value that is not finite"


def _problem_of_labels(network: Network, labels: NDArray[np.generic], images: int) -> str | None:
    classes = network.shapes[network.output][0]
    if math.prod(network.shapes[network.output]) != classes:
        return f"its output must be one score for each class, got the shape {network.shapes[network.output]}"
    if labels.shape != (images,) or not np.issubdtype(labels.dtype, np.integer):
        return f"labels must be {images} integers, one for each image, got {labels.dtype} of shape {labels.shape}"
    if labels.min() < 0 or labels.max() >= classes:
        return f"labels must be 0..{classes - 1}, got {labels.min()}..{labels.max()}"
    return None


@dataclass(frozen=True, eq=False)
class _Part:
    """One batch: the tensors that every candidate reads, and the lowered inputs of layers that candidates change."""

    values: Mapping[str, Array]
    lowered: Mapping[str, Array]


class _Split:
    """A network cut in two: layers that no candidate changes, and those from the first on that some may."""

    def __init__(self, network: Network, changed: frozenset[str]) -> None:
        self.network = network
        after: set[str] = set()
        for layer in network.layers:
            if layer.name in changed or after.intersection(layer.inputs):
                after.add(layer.name)
        self.before = [layer for layer in network.layers if layer.name not in after]
        self.after = [layer for layer in network.layers if layer.name in after]
        read = {source for layer in self.after for source in layer.inputs} | {network.output}
        self.frontier = read - after
        self.overwritable = self._overwritable()

    def _overwritable(self) -> set[str]:
        """Return the layers that may write over their input, which nobody else needs."""
        found: set[str] = set()
        own: set[str] = set()  # tensors after the cut whose memory no other tensor shares
        for layer in self.after:
            source = layer.inputs[0]
            free = source in own and len(self.network.consumers(source)) == 1 and source not in layer.inputs[1:]
            if free or not isinstance(layer, Flatten):
                own.add(layer.name)
            if free and isinstance(layer, ReLU | Clip | BatchNorm | Add):
                found.add(layer.name)
        return found

    def parts(self, images: Array, cache_bytes: int) -> Iterator[_Part]:
        """Yield the batches of `images` (maps, height, width, N) with what the layers before the cut make of them."""
        count, left = images.shape[-1], cache_bytes
        size = max(1, min(count, _BATCH_BYTES // self._bytes_of_an_image()))
        edges = np.linspace(0, count, -(-count // size) + 1).astype(int)
        for first, last in pairwise(edges):
            values: dict[str, Array] = {INPUT: np.ascontiguousarray(images[..., first:last])}
            for layer in self.before:
                self._step(layer, values, {}, {}, {})
            lowered = {}
            for layer in self.after:
                if isinstance(layer, Weighted) and layer.inputs[0] in self.frontier:
                    matrix = float_batch.lower(layer, values[layer.inputs[0]])
                    left -= matrix.nbytes
                    if left >= 0:
                        lowered[layer.name] = matrix
            yield _Part({name: values[name] for name in self.frontier}, lowered)

    def scores(self, part: _Part, weights: Mapping[str, Array], kept: Mapping[str, Mask]) -> Array:
        """Return the scores (classes, images) of a batch with other `weights`, only the `kept` maps being there."""
        values = dict(part.values)
        for layer in self.after:
            self._step(layer, values, part.lowered, weights, kept)
        output = values[self.network.output]
        return output.reshape(-1, output.shape[-1])

    def _step(
        self,
        layer: Layer,
        values: dict[str, Array],
        lowered: Mapping[str, Array],
        weights: Mapping[str, Array],
        kept: Mapping[str, Mask],
    ) -> None:
        rows = kept.get(layer.name, _WHOLE)
        if not isinstance(layer, Weighted):
            inputs = [values[source] for source in layer.inputs]
            values[layer.name] = float_batch.apply(layer, inputs, rows, layer.name in self.overwritable)
            return
        weight = weights[layer.name] if layer.name in weights else layer.weight.reshape(layer.lowered_shape)
        grouped = isinstance(layer, Conv2d) and layer.groups > 1  # whose columns are maps of one group
        weight = weight[rows][:, _WHOLE if grouped else kept.get(layer.inputs[0], _WHOLE)]
        matrix = lowered[layer.name] if layer.name in lowered else float_batch.lower(layer, values[layer.inputs[0]])
        flat = weight.reshape(len(weight), -1)
        values[layer.name] = float_batch.multiply(
            layer, flat, layer.bias[rows], matrix, self.network.shapes[layer.name]
        )

    def _bytes_of_an_image(self) -> int:
        """Return the size of the largest matrix that one image is lowered to, with what comes out of it."""
        shapes = self.network.shapes
        floats = [
            math.prod(layer.lowered_shape[1:]) * math.prod(shapes[layer.name][1:]) + math.prod(shapes[layer.name])
            for layer in self.network.weighted
        ]
        return 4 * max(floats, default=math.prod(self.network.input_shape))
