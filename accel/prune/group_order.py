"""Output maps in an order in which groups of neighbours want the same kernels, before it is chosen which kernels go.

Where kernels go in groups of output maps (`kernel@G`), it depends on who stands beside whom how much magnitude can be
kept. Output maps may stand in any order if the layers that read them are reordered with them; the network computes the
same. Ours: at a threshold, a group is worth the sum of what its kernels' magnitudes exceed it by. Rows are swapped
between groups as long as that rises (`accel.row_order`), then the threshold becomes that of the ratio again.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from accel.kernel_patterns import Kernel, KernelStrided
from accel.layers import Conv2d
from accel.map_orders import Order, Orders
from accel.prune.genome import locus_of, magnitudes
from accel.prune.remove_maps import graph_of, reindexed
from accel.prune.space import Space
from accel.pruned import PrunedNetwork
from accel.row_order import Floats, climbed

ROUNDS = 8  # of a threshold, at most


def order_for_groups(pruned: PrunedNetwork, space: Space, ratios: Mapping[str, float]) -> PrunedNetwork:
    """Return the network with its output maps in an order in which groups of kernels keep more magnitude at a ratio.

    Parameters
    ----------
    pruned : PrunedNetwork
        Without masks; with masks it stays as it is, for they say which maps stand together.
    space : Space
        Of its network. Layers whose maps an addition adds have one order; the image's, the classes' and those around a
        grouped convolution keep their places.
    ratios : mapping of layer name to float
        Share to prune of each layer of the space.
    """
    if pruned.masks:
        return pruned
    network, orders = pruned.network, dict[str, Order]()
    grouped = [layer for layer in network.weighted if isinstance(layer, Conv2d) and layer.groups > 1]
    for members in graph_of(network).free({name for x in grouped for name in (x.name, x.inputs[0])}):
        if any(_group(space, name) > 1 for name in members):
            order = _best_order(space, members, ratios)
            orders |= {} if order is None else dict.fromkeys(members, order)
    return reordered(pruned, orders) if orders else pruned


def kept_magnitude(space: Space, name: str, ratio: float, order: Order) -> float:
    """Return the sum of |w| that magnitude keeps of a layer whose output maps stand in this order."""
    weights = magnitudes(space, name)[order]
    locus = locus_of(space.patterns[name], np.ones(weights.shape, bool), ratio, name)
    if locus.empty:
        return 0.0
    return float((weights * locus.express(locus.strongest(weights, "sum"), weights.shape)).sum())


def reordered(pruned: PrunedNetwork, orders: Orders) -> PrunedNetwork:
    """Return the same network, without masks, whose layers with weights give their output maps in these orders."""
    of = graph_of(pruned.network).orders(orders)
    layers = tuple(reindexed(layer, of) for layer in pruned.network.layers)
    return replace(pruned, network=replace(pruned.network, layers=layers))


def _best_order(space: Space, members: list[str], ratios: Mapping[str, float]) -> Order | None:
    """Return the order in which layers of one number of outputs keep most together, or None if it is as they stand."""
    grouped = [name for name in members if _group(space, name) > 1]
    size, *others = {_group(space, name) for name in grouped}
    if others:
        return None
    sums = [magnitudes(space, name).sum(axis=2) for name in grouped]
    rows, given = np.hstack(sums), np.arange(len(sums[0]))

    def kept(order: Order) -> float:
        return sum(kept_magnitude(space, name, ratios[name], order) for name in grouped)

    def settled(order: Order) -> Order:
        for _ in range(ROUNDS):
            levels = [_threshold(of[order], size, ratios[name]) for name, of in zip(grouped, sums, strict=True)]
            threshold = np.repeat(levels, [of.shape[1] for of in sums])
            before, (order, _) = order, climbed(rows, order, size, partial(_excess, threshold))
            if (order == before).all():
                break
        return order

    starts = given, np.argsort(-rows.sum(axis=1), kind="stable"), np.argsort(_likeness(rows), kind="stable")
    best = max([given, *map(settled, starts)], key=kept)
    return None if kept(best) <= kept(given) else best


def _excess(threshold: Floats, beside: Floats, rows: Floats) -> Floats:
    """Return what groups (P, C) are worth with each of the rows (M, C): what sums exceed the threshold by, (P, M)."""
    return np.array([np.maximum(group + rows - threshold, 0).sum(axis=1) for group in beside])


def _threshold(sums: Floats, size: int, ratio: float) -> float:
    """Return the least magnitude of a group of kernels that stays, of sums (M, C) of kernels in their order."""
    groups = np.add.reduceat(sums, np.arange(0, len(sums), size), axis=0).ravel()
    stay = max(1, groups.size - round(ratio * groups.size))
    return float(np.partition(groups, groups.size - stay)[groups.size - stay])


def _likeness(rows: Floats) -> Floats:
    """Return where each row stands on the line along which the rows' profiles differ most."""
    centered = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    return np.asarray(centered @ axes[0])


def _group(space: Space, name: str) -> int:
    pattern = space.patterns.get(name)
    return pattern.group if isinstance(pattern, Kernel | KernelStrided) else 1
