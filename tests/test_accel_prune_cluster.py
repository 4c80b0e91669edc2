"""Clustering: another order of output maps, the same network."""

import numpy as np
import pytest
from support.networks import chain, images_for, residual

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.prune import Space, cluster, select_by_magnitude
from accel.prune.cluster import clustered_order, union_columns
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from sim import golden


def columns(pruned: PrunedNetwork, lanes: int) -> dict[str, int]:
    """Return how many columns the lane groups of each layer read."""
    return {
        layer.name: union_columns(pruned.layer_mask(layer.name).kept.reshape(len(layer.weight), -1), lanes)
        for layer in pruned.network.weighted
    }


def test_rows_that_agree_come_together():
    """Two kinds of rows in turn: in groups of two each kind stands apart, 4 + 4 columns less than 8 + 8."""
    kinds = np.array([[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]], bool)
    rows = kinds[[0, 1, 0, 1]]
    order = clustered_order(rows, 2)
    assert sorted(order) == [0, 1, 2, 3]
    assert union_columns(rows, 2) == 16
    assert union_columns(rows[order], 2) == 8


@pytest.mark.parametrize("seed", range(8))
def test_never_worse(seed):
    """Whatever the rows, the order is a permutation and the groups read no more columns than before."""
    rng = np.random.default_rng(seed)
    rows = rng.random((rng.integers(1, 20), 12)) < 0.3
    order = clustered_order(rows, 4)
    assert sorted(order) == list(range(len(rows)))
    assert union_columns(rows[order], 4) <= union_columns(rows, 4)


@pytest.mark.parametrize("pattern", ["kernel", "irregular", "kernel+ikss", "block-3", "2:4"])
@pytest.mark.parametrize("make", [chain, residual])
def test_the_network_computes_the_same(make, pattern):
    """Scores stay but for the order of float sums, the Program's class scores to the bit; masks move along."""
    network, images = make(), images_for(make())
    pruned = PrunedNetwork(network, select_by_magnitude(Space.of(network, pattern), 0.6), pattern)
    ordered = cluster(pruned, 4)
    assert np.allclose(ordered.network.scores(images), pruned.network.scores(images), atol=1e-5)
    before, after = (lower(x, Widths(6, 6), images) for x in (pruned, ordered))
    codes = before.input_signal.encode(images)
    assert (golden.run(before, codes)[before.output] == golden.run(after, codes)[after.output]).all()
    assert ordered.sparsity == pruned.sparsity
    assert all(columns(ordered, 4)[name] <= count for name, count in columns(pruned, 4).items())


def test_it_pays_on_a_pruned_network():
    """On the zoo's kernel-pruned digits the groups of 8 lanes read fewer columns; dense layers stay as they are."""
    pruned = zoo.load("digits", "kernel")
    before, after = columns(pruned, 8), columns(cluster(pruned, 8), 8)
    assert after["conv2"] < before["conv2"]
    assert after["conv3"] < before["conv3"]
    assert after["fc4"] == before["fc4"]


def test_another_order_of_one_tensor_is_noticed():
    """Reordering a layer without its readers changes the scores: the equality above can fail."""
    network, images = chain(), images_for(chain())
    layer = network.weighted[0]
    swapped = network.with_weights({layer.name: layer.weight[::-1].copy()})
    assert not np.allclose(swapped.scores(images), network.scores(images), atol=1e-5)


def test_lanes_are_positive():
    """No lanes, no groups."""
    with pytest.raises(EspalierError, match="lanes must be at least 1, got 0"):
        cluster(PrunedNetwork(chain()), 0)
