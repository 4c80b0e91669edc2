"""Pruned feature maps leave the network for good, with the kernels that lead to them and read them.

Maps that a residual addition adds are one map, and so are what a depthwise convolution reads and what it makes of it,
so that layers fall into groups that keep the same maps. Source: Anwar et al. (a pruned map takes its incoming and
outgoing kernels along; what is left is dense); the groups are ours.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.layers import BatchNorm, Concat, Conv2d, Flatten, Layer, Linear, Weighted
from accel.map_orders import Graph
from accel.network import INPUT, Network
from accel.pruned import PrunedNetwork
from accel.sparsity import FeatureMap, LayerMask, Mask, Masks


def map_groups(network: Network) -> dict[str, frozenset[str]]:
    """Return, for each weighted layer, the weighted layers whose output maps must be kept or pruned together."""
    groups = tensor_groups(network)
    weighted = {layer.name for layer in network.weighted}
    return {name: frozenset(groups[name] & weighted) for name in weighted}


def remove_maps(pruned: PrunedNetwork, masks: Masks) -> PrunedNetwork:
    """Return the network without the feature maps that `masks` prune.

    Parameters
    ----------
    pruned : PrunedNetwork
        Without masks of its own: prune feature maps first, then inside what is left.
    masks : mapping of layer name to LayerMask
        Of the pattern feature-map. Layers of one group (`map_groups`) that are not named follow those that are.

    Returns
    -------
    PrunedNetwork
        Its outputs equal those of the network whose pruned maps are zero; dense sizes are those of `pruned`.

    Raises
    ------
    EspalierError
        A mask is of another pattern, layers of a group disagree, or the maps are the image's or the classes'.
    """
    network = pruned.network
    if pruned.masks:
        raise EspalierError(f"{network.name}: prune feature maps before other patterns; it has masks already")
    _ = PrunedNetwork(network, masks)  # refuses masks that do not fit their layers
    kept = kept_maps(network, {name: map_flags(name, mask) for name, mask in masks.items()})
    orders = {name: np.flatnonzero(flags) for name, flags in kept.items()}
    layers = tuple(reindexed(layer, orders) for layer in network.layers)
    return replace(pruned, network=replace(network, layers=layers))


def map_flags(name: str, mask: LayerMask) -> Mask:
    """Return which output maps the feature-map mask of the layer `name` keeps (M,); another pattern is refused."""
    if mask.pattern != str(FeatureMap()):
        raise EspalierError(f"{name}: to remove maps takes feature-map masks, got {mask.pattern}")
    return np.asarray(mask.kept.any(axis=(1, 2)))


def graph_of(network: Network) -> Graph:
    """Return how the maps of the network's tensors hang together."""
    through = frozenset(layer.name for layer in network.layers if _is_depthwise(layer))
    return Graph(network.layers, network.shapes, Weighted, Flatten, Concat, through)


def tensor_groups(network: Network) -> dict[str, set[str]]:
    """Return, for each tensor, the tensors that have the same maps, itself included."""
    return graph_of(network).groups()


def tied_maps(network: Network) -> dict[str, Layer]:
    """Return the tensors whose maps have their places, and the layer that says so.

    A grouped convolution cuts the maps that it reads and gives into runs, unless each is a map; a concatenation counts
    those of two tensors.
    """
    groups = tensor_groups(network)
    tied: dict[str, Layer] = {}
    for layer in network.layers:
        runs = isinstance(layer, Conv2d) and layer.groups > 1 and not layer.depthwise
        if isinstance(layer, Concat) or runs:
            tied |= {member: layer for tensor in (*layer.inputs, layer.name) for member in groups[tensor]}
    return tied


def kept_maps(network: Network, asked: Mapping[str, Mask]) -> dict[str, Mask]:
    """Return which entries of the first dimension of every tensor stay, if weighted layers keep the maps `asked`."""
    groups, tied = tensor_groups(network), tied_maps(network)
    for name, flags in asked.items():
        if name in tied and not flags.all():
            kind = "concatenation" if isinstance(tied[name], Concat) else "grouped convolution"
            raise EspalierError(f"{name}: the maps around the {kind} {tied[name].name} cannot be pruned")
        for fixed in (INPUT, network.output):
            if fixed in groups[name] and not flags.all():
                raise EspalierError(f"{name}: its maps are the network's {'input' if fixed == INPUT else 'output'}")
    kept = {INPUT: np.ones(network.input_shape[0], bool)}
    for layer in network.layers:
        if isinstance(layer, Weighted):
            named = layer.name if layer.name in asked else min(groups[layer.name] & asked.keys(), default="")
            flags = asked.get(named, np.ones(network.shapes[layer.name][0], bool))
            if _is_depthwise(layer) and (kept[layer.inputs[0]] != flags).any():
                raise EspalierError(f"{layer.name}: reads {layer.inputs[0]}, and both must keep the same maps")
        elif isinstance(layer, Flatten):
            flags = np.repeat(kept[layer.inputs[0]], math.prod(network.shapes[layer.inputs[0]][1:]))
        elif isinstance(layer, Concat):
            flags = np.concatenate([kept[source] for source in layer.inputs])
        else:
            flags = kept[layer.inputs[0]]
            if any((kept[source] != flags).any() for source in layer.inputs):
                raise EspalierError(f"{layer.name}: reads {' and '.join(layer.inputs)}, which must keep the same maps")
        kept[layer.name] = flags
    return kept


def _is_depthwise(layer: Layer) -> bool:
    return isinstance(layer, Conv2d) and layer.depthwise


def reindexed(layer: Layer, orders: Mapping[str, NDArray[np.intp]]) -> Layer:
    """Return `layer` with the maps of each tensor picked, in the order of `orders` (tensor name to indices)."""
    rows = orders[layer.name]
    if isinstance(layer, Conv2d | Linear):
        if isinstance(layer, Conv2d) and layer.groups > 1:  # whose maps keep their places, or are its groups
            groups = len(rows) if layer.depthwise else layer.groups
            return replace(layer, weight=layer.weight[rows], bias=layer.bias[rows], groups=groups)
        columns = orders[layer.inputs[0]]
        return replace(layer, weight=layer.weight[rows][:, columns], bias=layer.bias[rows])
    if isinstance(layer, BatchNorm):
        arrays = {name: getattr(layer, name)[rows] for name in ("scale", "shift", "mean", "variance")}
        return replace(layer, **arrays)
    return layer
