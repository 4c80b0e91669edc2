"""Clustering: put outputs with similar lists side by side, so that the lanes of an array's group agree.

An array's group of output lanes reads the union of what its lanes keep. Output maps may stand in any order if the
layers that read them are reordered with them; the network computes the same. The greedy rule is ours.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.layers import Concat, Conv2d, Flatten, Weighted
from accel.network import INPUT, Network
from accel.prune.remove_maps import reindexed, tensor_groups, tied_maps
from accel.pruned import PrunedNetwork
from accel.sparsity import Block, LayerMask, NOfM, parse_pattern

Order = NDArray[np.intp]


def cluster(pruned: PrunedNetwork, lanes: int) -> PrunedNetwork:
    """Return the same network with its output maps in an order that suits groups of `lanes`.

    Layers whose maps are added to another's, and those of which blocks or N:M runs depend on the order, stay.

    Raises
    ------
    EspalierError
        `lanes` is less than 1.
    """
    if lanes < 1:
        raise EspalierError(f"lanes must be at least 1, got {lanes}")
    network = pruned.network
    free = _free_layers(pruned)
    orders: dict[str, Order] = {INPUT: np.arange(network.input_shape[0])}
    for layer in network.layers:
        source = orders[layer.inputs[0]]
        if isinstance(layer, Weighted):
            rows = pruned.layer_mask(layer.name).kept.reshape(len(layer.weight), -1)
            orders[layer.name] = clustered_order(rows, lanes) if layer.name in free else np.arange(len(rows))
        elif isinstance(layer, Flatten):
            pixels = math.prod(network.shapes[layer.inputs[0]][1:])
            orders[layer.name] = (source[:, None] * pixels + np.arange(pixels)).ravel()
        else:
            orders[layer.name] = np.arange(network.shapes[layer.name][0]) if isinstance(layer, Concat) else source
    masks = {
        name: LayerMask(mask.pattern, mask.kept[orders[name]][:, _columns(network, name, orders)])
        for name, mask in pruned.masks.items()
    }
    layers = tuple(reindexed(layer, orders) for layer in network.layers)
    return replace(pruned, network=replace(network, layers=layers), masks=masks)


def _columns(network: Network, name: str, orders: dict[str, Order]) -> Order:
    """Return the order of the input maps of a layer's mask; a grouped convolution's keep their places."""
    layer = network[name]
    if isinstance(layer, Conv2d) and layer.groups > 1:
        return np.arange(layer.weight.shape[1])
    return orders[layer.inputs[0]]


def clustered_order(rows: NDArray[np.bool_], lanes: int) -> Order:
    """Return an order of `rows` (outputs, columns) in which groups of `lanes` have small unions, or the given one.

    Greedy: a group begins with the fullest row that is left and takes the row that adds the fewest columns.
    """
    left = list(range(len(rows)))
    order: list[int] = []
    while left:
        first = max(left, key=lambda row: (int(rows[row].sum()), -row))
        group, union = [first], rows[first].copy()
        left.remove(first)
        while left and len(group) < lanes:
            chosen = left[int(np.argmin([np.count_nonzero(rows[row] & ~union) for row in left]))]
            group.append(chosen)
            union |= rows[chosen]
            left.remove(chosen)
        order += group
    found, given = np.array(order, np.intp), np.arange(len(rows))
    return found if union_columns(rows[found], lanes) < union_columns(rows, lanes) else given


def union_columns(rows: NDArray[np.bool_], lanes: int) -> int:
    """Return how many columns the groups of `lanes` rows read in all."""
    return sum(int(rows[first : first + lanes].any(axis=0).sum()) for first in range(0, len(rows), lanes))


def _free_layers(pruned: PrunedNetwork) -> set[str]:
    """Return the weighted layers whose outputs may be reordered."""
    network, groups, tied = pruned.network, tensor_groups(pruned.network), tied_maps(pruned.network)
    fixed = {x.name for x in network.weighted if _ordered(pruned, x.name)}
    weighted = {layer.name for layer in network.weighted}
    free = set()
    for name in weighted - fixed - tied.keys():
        shared = groups[name] & (weighted | {INPUT, network.output}) - {name}
        if not shared and name != network.output and not _readers(network, name) & fixed:
            free.add(name)
    return free


def _ordered(pruned: PrunedNetwork, name: str) -> bool:
    return isinstance(parse_pattern(pruned.layer_mask(name).pattern), Block | NOfM)


def _readers(network: Network, name: str) -> set[str]:
    """Return the weighted layers that read the maps of `name`, through pools, additions and flattening."""
    readers: set[str] = set()
    for layer in network.consumers(name):
        readers |= {layer.name} if isinstance(layer, Weighted) else _readers(network, layer.name)
    return readers
