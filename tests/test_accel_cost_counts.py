from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import PATTERNS, few, unasked
from support.networks import Sketch, chain, images_for, networks, residual

from accel.cost import Counts, cost_of
from accel.encoding import index_bits
from accel.interchange.zoo.architectures import lenet5
from accel.layers import Conv2d
from accel.network import INPUT, Network
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer
from accel.prune import Space, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.quantize import Steps, Widths, lower
from accel.sparsity import LayerMask, parse_pattern
from accel.window import Window

LENET = {
    # outputs x maps x taps; times the pixels that come out: 28 x 28, 10 x 10, and one
    "conv1": (6 * 1 * 25, 28 * 28),
    "conv2": (16 * 6 * 25, 10 * 10),
    "conv3": (120 * 16 * 25, 1),
    "fc4": (84 * 120, 1),
    "fc5": (10 * 84, 1),
}


def random_lenet() -> Network:
    """Return LeNet-5 with random weights."""
    rng, network = np.random.default_rng(0), lenet5()
    weights = {x.name: np.float32(rng.normal(0, x.weight[0].size ** -0.5, x.weight.shape)) for x in network.weighted}
    return network.with_weights(weights)


def programmed(network: Network, weight_bits: int = 5, signal_bits: int = 6, pattern: str = "dense") -> Program:
    """Return the Program of a network, half of each layer pruned that may be."""
    masks = {} if pattern == "dense" else select_by_magnitude(Space.of(network, pattern), 0.5)
    return lower(PrunedNetwork(network, masks), Widths(weight_bits, signal_bits), images_for(network, 2))


class TestLeNet:
    program = programmed(random_lenet())
    cost = cost_of(program)

    def test_weights_and_macs(self) -> None:
        """A dense network keeps every weight, and each is multiplied once for every pixel that comes out.

        150 + 2400 + 48000 + 10080 + 840 = 61470 weights; 117600 + 240000 + 48000 + 10080 + 840 = 416520 MACs.
        """
        counts = {layer.name: layer.counts for layer in self.cost.layers}
        for name, (weights, pixels) in LENET.items():
            assert (counts[name].weights, counts[name].dense_weights) == (weights, weights)
            assert (counts[name].macs, counts[name].dense_macs) == (weights * pixels, weights * pixels)
        assert self.cost.total.weights == 61_470
        assert self.cost.total.macs == 416_520
        assert self.cost.total.density == 1
        assert self.cost.total.sparsity == 0

    def test_weight_and_index_memory(self) -> None:
        """61470 weights of 5 bits, and no index."""
        assert self.cost.total.weight_memory_bits == 61_470 * 5
        assert self.cost.total.index_memory_bits == 0
        assert cost_of(programmed(random_lenet(), 4)).total.weight_memory_bits == 61_470 * 4

    def test_bias_memory(self) -> None:
        """6 + 16 + 120 + 84 + 10 biases, each layer's as wide as its largest needs in two's complement."""
        for layer, outputs in zip(self.program.mac_layers, (6, 16, 120, 84, 10), strict=True):
            width = 1
            while not all(-(1 << (width - 1)) <= bias < 1 << (width - 1) for bias in layer.bias.tolist()):
                width += 1
            (cost,) = (x for x in self.cost.layers if x.name == layer.name)
            assert cost.counts.bias_memory_bits == outputs * width

    def test_requantisation_memory(self) -> None:
        """One multiplier and one shift for each of the four layers that requantise; a shift of 0..60 takes 6 bits."""
        for layer in self.program.mac_layers:
            (cost,) = (x for x in self.cost.layers if x.name == layer.name)
            multiplier = int(layer.requantize.multipliers[0]).bit_length() if layer.requantize else 0
            assert cost.counts.requantize_memory_bits == (multiplier + 6 if layer.requantize else 0)
        assert [x.counts.requantize_memory_bits > 6 for x in self.cost.layers if x.counts.weights] == [True] * 4 + [
            False
        ]

    def test_signal_memory(self) -> None:
        """The most is held while conv1 runs: the image, 784 words of 8 bits, and 6 x 14 x 14 words of 6 behind pool1.

        Its own 6 x 28 x 28 words are nowhere: the pool is fused.
        """
        assert self.cost.signal_memory_bits == 784 * 8 + 6 * 14 * 14 * 6 == 13_328
        assert self.cost.peak_layer == "conv1"

    def test_memory_in_all(self) -> None:
        """Weights, biases and requantisation beside the peak of live signals."""
        total = self.cost.total
        assert total.parameter_memory_bits == (61_470 * 5 + 0 + total.bias_memory_bits + total.requantize_memory_bits)
        assert self.cost.memory_bits == total.parameter_memory_bits + 13_328

    def test_words(self) -> None:
        """The words that the counts are made of stand beside them."""
        for layer in self.cost.layers:
            lowered = next(x for x in self.program.layers if x.name == layer.name)
            if isinstance(lowered, MacLayer):
                assert (layer.weight_bits, layer.pattern, layer.encoding) == (5, "dense", "none")
                assert layer.accumulator_bits == lowered.accumulator_bits
                assert layer.signal_bits == (lowered.accumulator_bits if layer.name == "fc5" else 6)
            else:
                assert layer.counts == Counts()
                assert layer.signal_bits == 6


# One convolution of 2 maps to 2 with 2 x 2 kernels on 3 x 3 maps: 16 weights, 4 output pixels, a 2 x 8 matrix.
# Words of 5 bits. For each mask: weights kept, words stored, bits of every encoding (the first of the fewest is taken).
TINY = [
    ("dense", [[[1, 1, 1, 1], [1, 1, 1, 1]]] * 2, 16, 16, {"none": 0}),
    # flags: 2 x 2 kernels; lists: 2 ends that count up to 4 kernels (3 bits), and 1 bit for each of 2 columns
    ("feature-map", [[[1, 1, 1, 1]] * 2, [[0, 0, 0, 0]] * 2], 8, 8, {"kernel flags": 4, "kernel lists": 6 + 2}),
    (
        "kernel",
        [[[1, 1, 1, 1], [0, 0, 0, 0]], [[1, 1, 1, 1], [1, 1, 1, 1]]],
        *(12, 12, {"kernel flags": 4, "kernel lists": 6 + 3}),
    ),
    # two taps of map 0, one of map 1, for both outputs; stride - 1 and offset of each map, 0..4: 3 bits
    ("ikss", [[[1, 0, 1, 0], [0, 0, 0, 1]]] * 2, 6, 6, {"stride-offset": 2 * 2 * 3}),
    ("ikss-rest", [[[0, 1, 0, 1], [1, 1, 1, 0]]] * 2, 10, 10, {"stride-offset": 2 * 2 * 3}),
    (
        "kernel+ikss",
        [[[1, 0, 1, 0], [0, 0, 0, 0]], [[1, 0, 1, 0], [0, 0, 0, 1]]],
        *(5, 5, {"kernel flags+stride-offset": 4 + 12, "kernel lists+stride-offset": 6 + 3 + 12}),
    ),
    (
        "kernel+ikss-rest",
        [[[0, 1, 0, 1], [0, 0, 0, 0]], [[0, 1, 0, 1], [1, 1, 1, 0]]],
        *(7, 7, {"kernel flags+stride-offset": 4 + 12, "kernel lists+stride-offset": 6 + 3 + 12}),
    ),
    # both outputs are one group of 3, which is not full: a flag for each of 2 maps; 1 end up to 2 (2 bits) and 1 bit
    ("kernel@3", [[[1, 1, 1, 1], [0, 0, 0, 0]]] * 2, 8, 8, {"kernel flags": 2, "kernel lists": 2 + 1}),
    (
        "kernel@2+ikss",
        [[[1, 0, 1, 0], [0, 0, 0, 0]]] * 2,
        *(4, 4, {"kernel flags+stride-offset": 2 + 12, "kernel lists+stride-offset": 2 + 1 + 12}),
    ),
    # sixteen blocks of one weight: 2 ends up to 16 (5 bits), columns of 3 bits
    ("block-1", [[[1, 0, 0, 1], [0, 0, 1, 0]], [[0] * 4] * 2], 3, 3, {"block flags": 16, "bsr": 10 + 3 * 3}),
    # four blocks of 2 x 2, the outer two kept; bsr: 1 end up to 4 (3 bits), 2 columns of 2 bits
    ("block-2", [[[1, 1, 0, 0], [0, 0, 1, 1]]] * 2, 8, 8, {"block flags": 4, "bsr": 3 + 2 * 2}),
    # three blocks of 3 x 3, the first and the last kept: 2 x 3 and 2 x 2 weights, but two whole blocks of words;
    # bsr: 1 end up to 3 (2 bits), 2 columns of 2 bits
    ("block-3", [[[1, 1, 1, 0], [0, 0, 1, 1]]] * 2, 10, 18, {"block flags": 3, "bsr": 2 + 2 * 2}),
    # one block of 16 x 16 for 16 weights, no column to tell apart: 1 bit either way
    ("block-16", [[[1, 1, 1, 1], [1, 1, 1, 1]]] * 2, 16, 256, {"block flags": 1, "bsr": 1}),
    # bitmap: one bit for each weight; csr: 2 ends up to 16 (5 bits), 3 bits for each column; runs: words of 2 bits, of
    # which one more comes with 3 zeros or more
    (
        "irregular",
        [[[1, 0, 0, 1], [0, 0, 1, 0]], [[0, 0, 0, 0], [0, 1, 0, 1]]],
        *(5, 5, {"bitmap": 16, "csr": 10 + 5 * 3, "zero runs": 10 + 6 * 2}),
    ),
    (
        "irregular",
        [[[0, 0, 0, 0], [0, 0, 1, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]],
        *(1, 1, {"csr": 10 + 3, "bitmap": 16, "zero runs": 10 + 3}),
    ),
    # 2 of every 4: 2 bits say where in its run each of 8 weights stands
    (
        "2:4",
        [[[1, 0, 0, 1], [0, 1, 1, 0]], [[1, 1, 0, 0], [0, 1, 0, 1]]],
        *(8, 8, {"n:m positions": 8 * 2, "bitmap": 16, "csr": 10 + 8 * 3, "zero runs": 10 + 9 * 2}),
    ),
    (
        "1:2",
        [[[1, 0, 0, 1], [0, 1, 1, 0]]] * 2,
        *(8, 8, {"n:m positions": 8, "bitmap": 16, "csr": 10 + 8 * 3, "zero runs": 10 + 8 * 2}),
    ),
    # 3 of every 5, and all of the last run of 3: 6 of each row, 3 bits each
    (
        "3:5",
        [[[1, 1, 1, 0], [0, 1, 1, 1]]] * 2,
        *(12, 12, {"bitmap": 16, "n:m positions": 12 * 3, "csr": 10 + 12 * 3, "zero runs": 10 + 12 * 2}),
    ),
]


def tiny(pattern: str, kept: list[list[list[int]]]) -> Program:
    """Return the Program of the convolution above under a mask, and of a layer after it."""
    weight = np.float32(np.random.default_rng(0).uniform(0.5, 1, (2, 2, 2, 2)))
    conv = Conv2d("conv", (INPUT,), weight=weight, bias=np.zeros(2, np.float32), window=Window.square(2))
    pruned = PrunedNetwork(Network("tiny", (2, 3, 3), (conv,)), {"conv": LayerMask(pattern, np.array(kept, bool))})
    return lower(pruned, Widths(5, 6), images_for(pruned.network))


class TestPatterns:
    @pytest.mark.parametrize(("pattern", "kept", "weights", "words", "bits"), TINY)
    def test_by_hand(
        self, pattern: str, kept: list[list[list[int]]], weights: int, words: int, bits: dict[str, int]
    ) -> None:
        """Weights, MACs (4 pixels), words of memory and index bits of one layer, counted on paper."""
        (layer,) = cost_of(tiny(pattern, kept)).layers
        assert layer.counts.weights == weights
        assert layer.counts.macs == weights * 4
        assert (layer.counts.dense_weights, layer.counts.dense_macs) == (16, 64)
        assert layer.counts.weight_memory_bits == words * 5
        assert layer.encoding_bits == bits
        assert (layer.encoding, layer.counts.index_memory_bits) == min(unasked(bits).items(), key=lambda item: item[1])
        assert layer.counts.density == weights / 16

    def test_every_pattern_is_there(self) -> None:
        """No pattern is forgotten above."""
        assert {pattern for pattern, *_ in TINY} == set(PATTERNS)

    def test_another_mask_costs_something_else(self) -> None:
        """Negative control: one kernel more is four weights, sixteen MACs and twenty bits more."""
        less = cost_of(tiny("kernel", [[[1] * 4, [0] * 4], [[1] * 4, [0] * 4]])).total
        more = cost_of(tiny("kernel", [[[1] * 4, [0] * 4], [[1] * 4, [1] * 4]])).total
        assert (more.weights - less.weights, more.macs - less.macs) == (4, 16)
        assert more.weight_memory_bits - less.weight_memory_bits == 20

    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_index_bits_are_those_of_the_chosen_encoding(self, pattern: str) -> None:
        """Every layer is charged the bits of the encoding that is stored, the least of its pattern."""
        program = programmed(chain(), pattern=pattern)
        for layer, cost in zip(
            program.mac_layers, (x for x in cost_of(program).layers if x.counts.weights), strict=True
        ):
            bits = index_bits(parse_pattern(layer.pattern), layer.kept)
            assert cost.encoding_bits == bits
            assert cost.counts.index_memory_bits == bits[cost.encoding] == min(unasked(bits).values())

    def test_a_narrower_network_is_compared_with_what_it_was(self) -> None:
        """Sizes before pruning are those that the Program carries, not those of what is left."""
        program = tiny("dense", [[[1] * 4] * 2] * 2)
        (layer,) = program.mac_layers
        wide = replace(program, layers=(replace(layer, dense_weights=64, dense_macs=256),))
        total = cost_of(wide).total
        assert (total.dense_weights, total.dense_macs, total.density, total.sparsity) == (64, 256, 0.25, 0.75)


def counts(*values: int) -> Counts:
    """Return counts by the order of their fields."""
    return Counts(**dict(zip((field.name for field in fields(Counts)), values, strict=True)))


class TestCounts:
    one = counts(1, 2, 3, 4, 5, 6, 7, 8)
    ten = counts(10, 20, 30, 40, 50, 60, 70, 80)

    def test_they_add_up(self) -> None:
        """``+`` and ``sum()`` add field by field; nothing is nothing."""
        assert self.one + self.ten == counts(11, 22, 33, 44, 55, 66, 77, 88) == sum([self.one, self.ten])
        assert self.one + Counts() == self.one != self.one + self.one
        assert sum([self.one] * 10, Counts()) == self.ten

    def test_they_add_to_no_number(self) -> None:
        """Only the 0 that ``sum()`` starts from."""
        with pytest.raises(TypeError):
            1 + self.one

    def test_parameter_memory(self) -> None:
        """Weights, index, biases and requantisation."""
        assert self.one.parameter_memory_bits == 5 + 6 + 7 + 8

    def test_nothing_is_dense(self) -> None:
        """Where there are no weights the density is 1."""
        assert (Counts().density, Counts().sparsity) == (1, 0)
        assert Counts(dense_weights=4, weights=1).density == 0.25

    @pytest.mark.parametrize("network", [chain(), residual()])
    @pytest.mark.parametrize("pattern", ["dense", "kernel", "block-3"])
    def test_the_total_is_the_sum_of_the_layers(self, network: Network, pattern: str) -> None:
        """Every layer of the Program is there, in running order, and none is counted twice."""
        program = programmed(network, pattern=pattern)
        cost = cost_of(program)
        assert [layer.name for layer in cost.layers] == [layer.name for layer in program.layers]
        assert cost.total == sum(layer.counts for layer in cost.layers)
        assert cost.total != sum(layer.counts for layer in cost.layers[1:])
        assert cost.total.weights == sum(int(layer.kept.sum()) for layer in program.mac_layers)

    def test_pools_and_additions_store_their_requantisation(self) -> None:
        """They hold a multiplier and a shift, and multiply no weights."""
        program = programmed(residual())
        for layer, cost in zip(program.layers, cost_of(program).layers, strict=True):
            if isinstance(layer, AvgPoolLayer | AddLayer):
                bits = int(layer.requantize.multipliers[0]).bit_length() + 6
                assert cost.counts == Counts(requantize_memory_bits=bits)
                assert cost.accumulator_bits == layer.accumulator_bits

    def test_shifts(self) -> None:
        """With powers of two every multiplier is 1, one bit beside the shift's six."""
        network = chain()
        program = lower(PrunedNetwork(network), Widths(4, 4), images_for(network), Steps(power_of_two=True))
        stored = {x.name: x.counts.requantize_memory_bits for x in cost_of(program).layers}
        assert stored == {"conv1": 7, "pool1": 0, "conv2": 7, "flat": 0, "fc3": 7, "fc4": 0}

    def test_one_multiplier_for_each_output(self) -> None:
        """With a step for each output map every map stores a multiplier, as wide as the layer's largest."""
        network = chain()
        program = lower(PrunedNetwork(network), Widths(4, 4), images_for(network), Steps(per_output=True))
        stored = {x.name: x.counts.requantize_memory_bits for x in cost_of(program).layers if x.counts.weights}
        assert stored == {"conv1": 4 * 16 + 6, "conv2": 5 * 16 + 6, "fc3": 7 * 16 + 6, "fc4": 0}


class TestBits:
    @few
    @given(networks(), st.integers(2, 9), st.integers(2, 9))
    def test_memory_never_falls_when_bits_rise(self, network: Network, weight_bits: int, signal_bits: int) -> None:
        """One bit more for the weights is one bit for each stored word, and live signals grow with theirs.

        Biases are counted in finer steps, so that all memory together grows too.
        """
        cost, finer, wider = (
            cost_of(programmed(network, *bits))
            for bits in ((weight_bits, signal_bits), (weight_bits + 1, signal_bits), (weight_bits, signal_bits + 1))
        )
        weights = sum(layer.weight.size for layer in network.weighted)
        assert finer.total.weight_memory_bits == cost.total.weight_memory_bits + weights
        assert wider.total.weight_memory_bits == cost.total.weight_memory_bits
        assert wider.signal_memory_bits >= cost.signal_memory_bits
        assert finer.memory_bits > cost.memory_bits

    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_in_all(self, pattern: str) -> None:
        """From 2 to 9 bits of everything the memory of a small network rises at each."""
        sketch = Sketch(3, 8, 8)
        sketch.conv("conv1", 8)
        sketch.relu("relu1")
        sketch.conv("conv2", 8)
        sketch.relu("relu2")
        sketch.conv("conv3", 4)
        memory = [cost_of(programmed(sketch.network(), bits, bits, pattern)).memory_bits for bits in range(2, 10)]
        assert memory == sorted(set(memory))
