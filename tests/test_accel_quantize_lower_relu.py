from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lowering import decoded
from support.masks import few
from support.networks import Sketch, images_for

from accel.layers import ReLU
from accel.network import Network
from accel.program_layers import AddLayer, AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, ReluLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.signal import Requantize
from sim import golden


def plain(*, relu_last: bool) -> Network:
    """Return conv - ReLU - max pool - flatten - linear, or with the ReLU after the pool and the flatten."""
    sketch = Sketch(2, 6, 6, seed=4)
    sketch.conv("conv", 3)
    if not relu_last:
        sketch.relu("relu")
    sketch.max_pool("pool", size=3, stride=2, padding=1)
    sketch.flatten()
    if relu_last:
        sketch.relu("relu")
    sketch.linear("fc", 2)
    return sketch.network()


class TestRelu:
    @few
    @given(seed=st.integers(0), bits=st.integers(1, 8))
    def test_absorbed_through_a_max_pool(self, seed: int, bits: int) -> None:
        """Codes are those of the definition that takes nothing in: pool the accumulators, then ReLU, then requantise.

        The largest of a window does not change when all are made non-negative, and requantising keeps order.
        """
        network = plain(relu_last=True)
        images = images_for(network, seed=seed)
        program = lower(PrunedNetwork(network), Widths(4, bits), images)
        (conv, pool) = program.layers[:2]
        assert isinstance(conv, MacLayer)
        assert isinstance(pool, MaxPoolLayer)
        assert conv.relu
        assert conv.requantize
        tensors = golden.run(program, program.input_signal.encode(images))
        accumulators = golden.mac(replace_requantize(conv, None), tensors["input"])
        pooled = golden.max_pool(pool, accumulators)
        expected = conv.requantize.apply(np.maximum(pooled, 0), conv.output.format)
        assert (pooled < 0).any()
        assert np.array_equal(tensors["pool"], expected)
        assert not np.array_equal(tensors["pool"], conv.requantize.apply(np.abs(pooled), conv.output.format))

    def test_before_or_after_the_pool_is_one_program(self) -> None:
        """A ReLU after the pool and the flatten gives the same codes as one in front of them."""
        images = images_for(plain(relu_last=True))
        first, last = (
            golden.run(program, program.input_signal.encode(images))
            for program in (lower(PrunedNetwork(plain(relu_last=x)), Widths(4, 4), images) for x in (False, True))
        )
        assert first.keys() == last.keys() == {"input", "conv", "pool", "flat", "fc"}
        assert all(np.array_equal(first[name], last[name]) for name in first)
        without = network_without_relu(plain(relu_last=True))
        bare = lower(PrunedNetwork(without), Widths(4, 4), images)
        assert not np.array_equal(golden.run(bare, bare.input_signal.encode(images))["fc"], last["fc"])

    def test_one_that_cannot_be_absorbed(self) -> None:
        """The convolution is read twice, as it is and through a ReLU: it keeps its sign, and the ReLU is a layer."""
        sketch = Sketch(2, 5, 5, seed=1)
        conv = sketch.conv("conv", 3)
        sketch.add("add", conv, sketch.relu("relu"))
        sketch.flatten()
        sketch.linear("fc", 3)
        network = sketch.network()
        images = images_for(network)
        program = lower(PrunedNetwork(network), Widths(8, 8), images)
        assert [type(layer) for layer in program.layers] == [MacLayer, ReluLayer, AddLayer, FlattenLayer, MacLayer]
        assert not program.mac_layers[0].relu
        assert program.signals["relu"] == program.signals["conv"]
        tensors = golden.run(program, program.input_signal.encode(images))
        assert (tensors["conv"] < 0).any()
        assert np.array_equal(tensors["relu"], np.maximum(tensors["conv"], 0))
        values, scores = decoded(program, images), network.scores(images)
        assert np.abs(values["fc"] - scores).max() < 0.05 * np.abs(scores).max()

    def test_of_the_image_or_twice(self) -> None:
        """After the image, or after another ReLU, there is no accumulator to take it in: it stays a layer."""
        sketch = Sketch(2, 4, 4)
        sketch.relu("first")
        sketch.conv("conv", 3)
        sketch.relu("second")
        sketch.relu("third")
        program = lower(PrunedNetwork(sketch.network()), Widths(4, 4), images_for(sketch.network()))
        assert [layer.name for layer in program.layers] == ["first", "conv", "third"]

    @pytest.mark.parametrize("pool", ["avg_pool", "global_pool"])
    def test_after_an_average(self, pool: str) -> None:
        """The average has an accumulator of its own and takes the ReLU in; the convolution before it keeps its sign."""
        sketch = Sketch(2, 6, 6)
        sketch.conv("conv", 3)
        getattr(sketch, pool)("pool")
        sketch.relu("relu")
        sketch.flatten()
        sketch.linear("fc", 2)
        conv, average = lower(PrunedNetwork(sketch.network()), Widths(4, 4), images_for(sketch.network())).layers[:2]
        assert isinstance(conv, MacLayer)
        assert isinstance(average, AvgPoolLayer)
        assert (conv.relu, average.relu) == (False, True)
        assert (conv.output.format.signed, average.output.format.signed) == (True, False)


def replace_requantize(layer: MacLayer, requantize: Requantize | None) -> MacLayer:
    """Return the layer with its accumulators as they are: no ReLU, no requantisation."""
    return replace(layer, requantize=requantize, relu=False)


def network_without_relu(network: Network) -> Network:
    """Return the network in which every ReLU is skipped."""
    renamed: dict[str, str] = {}
    layers = []
    for layer in network.layers:
        inputs = tuple(renamed.get(source, source) for source in layer.inputs)
        if isinstance(layer, ReLU):
            renamed[layer.name] = inputs[0]
        else:
            layers.append(replace(layer, inputs=inputs))
    return replace(network, layers=tuple(layers))
