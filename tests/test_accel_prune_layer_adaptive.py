import numpy as np
import pytest

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.layers import Flatten, Linear, ReLU
from accel.network import INPUT, Network
from accel.prune import Space, layer_ratios, select_by_magnitude
from accel.pruned import PrunedNetwork


def matrices(first: list[list[float]], second: list[list[float]]) -> Network:
    """Return two fully connected layers with these weights, and one with ones behind them that is spared."""
    weights = [np.array(x, np.float32) for x in (first, second)]
    layers = (
        Flatten("flat", (INPUT,)),
        Linear("one", ("flat",), weight=weights[0], bias=np.zeros(len(weights[0]))),
        ReLU("relu", ("one",)),
        Linear("two", ("relu",), weight=weights[1], bias=np.zeros(len(weights[1]))),
        Linear("scores", ("two",), weight=np.ones((2, len(weights[1]))), bias=np.zeros(2)),
    )
    return Network("small", (1, 1, weights[0].shape[1]), layers)


NETWORK = matrices([[1, 2], [3, 4]], [[100, 200], [300, 400]])


def test_a_weight_is_worth_its_share_of_what_is_no_smaller() -> None:
    """1/30, 4/29, 9/25, 1 in both layers, whatever their scale: half of all 12 weights are the three least of each."""
    space = Space.of(NETWORK, "irregular")
    assert layer_ratios(space, 0.5) == {"one": 0.75, "two": 0.75}
    assert layer_ratios(space, 2 / 12) == {"one": 0.25, "two": 0.25}
    assert layer_ratios(space, 0.0) == {"one": 0, "two": 0}


def test_layers_whose_weights_are_alike_keep_more() -> None:
    """Of four equal weights the least is worth 1/4 of its layer, and 1/7 of one whose three others are large."""
    space = Space.of(matrices([[1, 1], [1, 1]], [[1, 9], [9, 9]]), "irregular")
    assert layer_ratios(space, 1 / 12) == {"one": 0, "two": 0.25}


def test_magnitude_in_one_layer_alone_would_choose_others() -> None:
    """Negative control: by plain magnitude all that goes would be of the first layer."""
    plain = np.sort(np.concatenate([NETWORK[name].weight.ravel() for name in ("one", "two")]))  # type: ignore[attr-defined]
    assert plain[3] == 4 < plain[4] == 100


@pytest.mark.parametrize(("pattern", "share"), [("irregular", 0.95), ("kernel/block-4", 0.9), ("kernel@8", 0.8)])
def test_so_much_of_all_weights_goes(pattern: str, share: float) -> None:
    """Of lenet5 the masks that magnitude makes of the ratios take that share of all weights, to a unit of a layer."""
    network = zoo.load("lenet5").network
    space = Space.of(network, pattern)
    found = PrunedNetwork(network, select_by_magnitude(space, layer_ratios(space, share)))
    largest = 8 * 25 if pattern == "kernel@8" else 25  # of a unit
    assert found.sparsity == pytest.approx(share, abs=len(space.patterns) * largest / sum(found.dense_weights.values()))


def test_what_cannot_go() -> None:
    """A unit of each layer and the spared layers stay; feature maps and 2:4 have ratios of their own."""
    space = Space.of(NETWORK, "irregular")
    with pytest.raises(EspalierError, match=r"small: 60\.0% of all weights cannot go, at most 50\.0% can"):
        layer_ratios(space, 0.6)
    with pytest.raises(EspalierError, match=r"at least 0 and less than 1, got 1\.0"):
        layer_ratios(space, 1.0)
    for pattern in ("feature-map", "2:4"):
        with pytest.raises(EspalierError, match=f"{pattern} has no share of all weights; give each layer a ratio"):
            layer_ratios(Space.of(zoo.load("lenet5").network, pattern), 0.5)
