"""Lowering without values: what is sized is what any values take, at most, and nothing is made for weights."""

from collections.abc import Callable

import numpy as np
import pytest
from support.mobile import ds_cnn, mobilenet, resnet8

from accel.cost import cost_of
from accel.cost.stalls import schedule_of
from accel.demand import array_for
from accel.errors import EspalierError
from accel.layers import BatchNorm, Conv2d, Flatten, Layer, Linear, Weighted
from accel.network import INPUT, Network
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower, lower_shapes
from accel.signal import proven_accumulator_bits, signed_bits
from accel.window import Window

NETWORKS: dict[str, Callable[[np.random.Generator], Network]] = {
    "mobilenet": lambda rng: mobilenet(rng, side=32, blocks=2),
    "ds-cnn": lambda rng: ds_cnn(rng, maps=8, blocks=2),
    "resnet8": resnet8,
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def without_values(network: Network) -> PrunedNetwork:
    """Return a network of the same shapes."""
    shapes = {x.name: np.broadcast_to(np.float32(0), x.weight.shape) for x in network.weighted}
    return PrunedNetwork(network.with_weights(shapes), shapes_alone=True)


@every_network
@pytest.mark.parametrize("bits", [(8, 8), (3, 4)])
def test_nothing_is_smaller_than_of_any_values(name: str, bits: tuple[int, int]) -> None:
    """Weights, index, work and signals are those of every network of these shapes; what depends on values is more."""
    rng = np.random.default_rng(3)
    network = NETWORKS[name](rng)
    found = lower_shapes(without_values(network), Widths(*bits))
    drawn = lower(PrunedNetwork(network), Widths(*bits), rng.random((2, *network.input_shape), np.float32))
    assert [(x.name, type(x), found.shapes[x.name]) for x in found.layers] == [
        (x.name, type(x), drawn.shapes[x.name]) for x in drawn.layers
    ]
    ours, theirs = cost_of(found), cost_of(drawn)
    assert (ours.peak_layer, ours.signal_memory_bits) == (theirs.peak_layer, theirs.signal_memory_bits)
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        for count in ("dense_weights", "weights", "macs", "weight_memory_bits", "index_memory_bits"):
            assert getattr(mine.counts, count) == getattr(other.counts, count)
        assert (mine.pattern, mine.encoding) == (other.pattern, other.encoding)
        assert mine.accumulator_bits >= other.accumulator_bits or not mine.pattern  # an addition's depend on its steps
        assert mine.counts.bias_memory_bits >= other.counts.bias_memory_bits
        assert mine.counts.requantize_memory_bits >= other.counts.requantize_memory_bits
    arrays = array_for(found, 8, 8), array_for(drawn, 8, 8)
    cycles = [
        {x.name: x.compute_cycles for x in schedule_of(program, array) if x.kind == "mac"}
        for program, array in zip((found, drawn), arrays, strict=True)
    ]
    assert cycles[0] == cycles[1] != {}


@every_network
def test_weights_take_no_memory(name: str) -> None:
    """Every one is the same zero, in the network and in the Program."""
    pruned = without_values(NETWORKS[name](np.random.default_rng(0)))
    for layer in lower_shapes(pruned, Widths(8, 8)).mac_layers:
        assert layer.weights.strides == (0,)
        assert layer.weights.size == layer.nest.stored_words
        assert not layer.weights.any()


def test_accumulators_hold_the_largest_sums_and_no_more() -> None:
    """12 weights of 4 bits times signals of 3 and a bias as large: 2 x 12 x 7 x 7; a bit less holds them not."""
    layer = Linear("fc", ("flat",), weight=np.zeros((2, 12)), bias=np.zeros(2))
    shapes = PrunedNetwork(Network("one", (3, 2, 2), (Flatten("flat", (INPUT,)), layer)), shapes_alone=True)
    (made,) = lower_shapes(shapes, Widths(4, 8, input_bits=3)).mac_layers
    bias = np.array([12 * 7 * 7, -12 * 7 * 7])
    assert made.bias_bits == signed_bits(bias[0])
    largest = np.array([[7] * 12, [-7] * 12])
    source = lower_shapes(shapes, Widths(4, 8, input_bits=3)).input_signal.format
    assert made.accumulator_bits == proven_accumulator_bits(largest, bias, source)


def test_batch_norms_are_folded_and_words_too_wide_refused() -> None:
    """A batch norm without values goes where it went; sums that no accumulator holds are refused, by their layer."""
    ones, zeros, window = np.ones(4), np.zeros(4), Window.square(3)
    layers: list[Layer] = [
        Conv2d("conv", (INPUT,), weight=np.zeros((4, 3, 3, 3)), bias=zeros, window=window),
        BatchNorm("norm", ("conv",), ones, zeros, zeros, ones),
        Conv2d("last", ("norm",), weight=np.zeros((2, 4, 6, 6)), bias=np.zeros(2), window=Window.square(6)),
    ]
    pruned = PrunedNetwork(Network("norms", (3, 8, 8), tuple(layers)), shapes_alone=True)
    assert [x.name for x in lower_shapes(pruned, Widths(8, 8)).layers] == ["conv", "last"]
    assert all(isinstance(x, Weighted) for x in pruned.folded().network.layers)
    flat = Flatten("flat", (INPUT,)), Linear("wide", ("flat",), weight=np.zeros((1, 6400)), bias=np.zeros(1))
    wide = PrunedNetwork(Network("wide", (1, 80, 80), flat), shapes_alone=True)
    with pytest.raises(EspalierError, match=r"^wide: its sums may need 46 bits, of at most 45 that can be requantised"):
        lower_shapes(wide, Widths(16, 16, input_bits=16))
