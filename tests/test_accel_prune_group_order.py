"""The order of output maps before kernels go in groups: more magnitude is kept, the network computes the same."""

import numpy as np
import pytest
from support.networks import Sketch, chain, images_for, mobile, residual, scalar_layer

from accel.interchange import zoo
from accel.network import Network
from accel.prune import Space, order_for_groups, prune_in_rounds, select_by_magnitude
from accel.prune.group_order import kept_magnitude, reordered
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask


def planted(seed: int = 0) -> Network:
    """Return a network whose conv1 has two kinds of output maps in turn: some read maps 0 and 1, the others 2 and 3."""
    sketch = Sketch(4, 6, 6, seed=seed)
    sketch.conv("conv1", 8, padding=1)
    sketch.relu("relu1")
    sketch.conv("conv2", 5)
    sketch.flatten()
    sketch.linear("fc3", 3)
    network = sketch.network("planted")
    strong = (np.arange(8)[:, None] + np.arange(4) // 2) % 2 == 0
    weight = np.where(strong[:, :, None, None], 1.0, 0.01) * np.ones((8, 4, 3, 3))
    return network.with_weights({"conv1": weight.astype(np.float32)})


def test_the_planted_order_is_found() -> None:
    """Groups of four of one kind keep all that is strong; as they stand, half of it."""
    network = planted()
    space, strong = Space.of(network, "kernel@4", spare=["conv2", "fc3"]), 8 * 2 * 9
    found = order_for_groups(PrunedNetwork(network), space, {"conv1": 0.5})
    as_given, ordered = (
        kept_magnitude(Space.of(x, "kernel@4", spare=["conv2", "fc3"]), "conv1", 0.5, np.arange(8))
        for x in (network, found.network)
    )
    assert as_given == pytest.approx(strong / 2 * 1.01, rel=1e-3)
    assert ordered == pytest.approx(strong, rel=1e-6)


@pytest.mark.parametrize("pattern", ["kernel@2", "kernel@3", "kernel@2+ikss"])
@pytest.mark.parametrize("make", [planted, chain, residual, mobile])
def test_the_network_computes_the_same(make, pattern: str) -> None:
    """Scores are the same but for the order of float sums, through additions, concatenations and flattening."""
    network = make()
    space = Space.of(network, pattern, spare=())
    ratios = dict.fromkeys(space.patterns, 0.5)
    found = order_for_groups(PrunedNetwork(network), space, ratios).network
    images = images_for(network)
    np.testing.assert_allclose(found.scores(images), network.scores(images), rtol=1e-4, atol=1e-5)
    again = Space.of(found, pattern, spare=())
    for name, ratio in ratios.items():
        order = np.arange(len(network[name].weight))  # type: ignore[attr-defined]
        kept = [kept_magnitude(x, name, ratio, order) for x in (space, again)]
        assert name in ("conv1", "conv3") or kept[1] >= kept[0] * (1 - 1e-9)  # of tied layers, the sum


def test_something_moves() -> None:
    """The claim above is not one of nothing; the weights of a layer and of its reader without it are other scores."""
    network, images = planted(), images_for(planted())
    found = order_for_groups(
        PrunedNetwork(network), Space.of(network, "kernel@4", spare=()), {"conv1": 0.5, "conv2": 0}
    )
    assert (found.network["conv1"].weight != network["conv1"].weight).any()  # type: ignore[attr-defined]
    alone = network.with_weights({"conv1": found.network["conv1"].weight})  # type: ignore[attr-defined]
    assert not np.allclose(alone.scores(images), network.scores(images), atol=1e-3)


def test_what_is_added_moves_together() -> None:
    """conv1 and conv3 of the residual network have one order, and what they keep together does not fall."""
    network = residual(3)
    space = Space.of(network, "kernel@2", spare=())
    ratios = dict.fromkeys(space.patterns, 0.5)
    found = order_for_groups(PrunedNetwork(network), space, ratios).network
    again = Space.of(found, "kernel@2", spare=())
    sums = [sum(kept_magnitude(x, name, 0.5, np.arange(4)) for name in ("conv1", "conv3")) for x in (space, again)]
    assert sums[1] >= sums[0]


def test_classes_and_groups_of_others_keep_their_places() -> None:
    """Maps around a grouped convolution stay, and so do those of the output; one layer alone cannot move at all."""
    network = mobile()
    found = order_for_groups(
        PrunedNetwork(network), Space.of(network, "kernel@2", spare=()), {"conv1": 0.5, "conv2": 0.5, "conv4": 0.5}
    ).network
    for name in ("conv1", "conv2", "fc5"):
        kept = network[name], found[name]
        assert (kept[0].bias == kept[1].bias).all()  # type: ignore[attr-defined]
    one = PrunedNetwork(scalar_layer(np.random.default_rng(0).normal(size=(6, 4, 4)), (2, 2)))
    assert order_for_groups(one, Space.of(one.network, "kernel@2", spare=()), {"conv": 0.5}) is one


def test_masks_say_who_stands_together() -> None:
    """A network with masks stays as it is: a later round keeps within what an earlier one left."""
    network = planted()
    kept = LayerMask("kernel@4", np.ones((8, 4, 9), bool))
    pruned = PrunedNetwork(network, {"conv1": kept})
    assert order_for_groups(pruned, Space.of(network, "kernel@4", spare=()), {"conv1": 0.5, "conv2": 0.5}) is pruned
    dense = PrunedNetwork(network)
    assert order_for_groups(dense, Space.of(network, "kernel", spare=()), {"conv1": 0.5, "conv2": 0.5}) is dense


def test_a_schedule_orders_before_it_chooses() -> None:
    """`prune_in_rounds` prunes what is in order, in one round or two, and the classes come out as they are."""
    for rounds in (1, 2):
        found = prune_in_rounds(
            PrunedNetwork(planted()), "kernel@4", 0.5, select_by_magnitude, rounds=rounds, spare=["conv2", "fc3"]
        )
        kept = found.masks["conv1"].kept
        assert np.abs(found.network["conv1"].weight).sum() == pytest.approx(8 * 2 * 9, rel=1e-6)  # type: ignore[attr-defined]
        assert kept.sum() == 8 * 2 * 9
    orders = {"conv1": np.arange(8)[::-1]}
    images = images_for(planted())
    turned = reordered(PrunedNetwork(planted()), orders).network
    np.testing.assert_allclose(turned.scores(images), planted().scores(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("pattern", "gain"), [("kernel@4", 0.04), ("kernel@8", 0.03), ("kernel@8+ikss", 0.03)])
def test_it_pays_on_a_trained_network(pattern: str, gain: float) -> None:
    """Of conv2 and conv3 of the zoo's digits, 70 % pruned, the groups keep so much more magnitude."""
    dense = zoo.load("digits")
    space = Space.of(dense.network, pattern)
    ratios = dict.fromkeys(space.patterns, 0.7)
    again = Space.of(order_for_groups(dense, space, ratios).network, pattern)
    for name, ratio in ratios.items():
        before, after = (kept_magnitude(x, name, ratio, np.arange(32)) for x in (space, again))
        assert after > before * (1 + gain)
