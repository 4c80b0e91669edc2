import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.layers import Add, BatchNorm, Conv2d, GlobalAvgPool, Layer, Linear, MaxPool, ReLU, Weighted
from accel.network import Network
from accel.program import Program
from accel.program_layers import MacLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.window import Window
from sim import golden
from sim.engine import compile_program

Codes = np.ndarray[Any, np.dtype[np.int64]]

# (outputs, inputs, taps, output pixels) of each weighted layer, as the strings of the sources say
LAYERS = {
    # 16C3-32C3-MP2-32C3-MP2-10, padded: 8x8, then 4x4, then 2x2
    "digits": [(16, 1, 9, 64), (32, 16, 9, 64), (32, 32, 9, 16), (10, 32 * 4, 1, 1)],
    # 6C5-MP2-16C5-MP2-120C5-84-10 on 32x32: 28x28, then 10x10, then one position
    "lenet5": [(6, 1, 25, 784), (16, 6, 25, 100), (120, 16, 25, 1), (84, 120, 1, 1), (10, 84, 1, 1)],
    # 784-300-100-10
    "lenet-300-100": [(300, 784, 1, 1), (100, 300, 1, 1), (10, 100, 1, 1)],
    "lenet-300-100-fashion": [(300, 784, 1, 1), (100, 300, 1, 1), (10, 100, 1, 1)],
    # 32C5-MP2-32C5-MP2-64C5-MP2-64-10, padded: 32x32, 16x16, 8x8, and 4x4 to the matrix
    "cifar-quick": [(32, 3, 25, 1024), (32, 32, 25, 256), (64, 32, 25, 64), (64, 64 * 16, 1, 1), (10, 64, 1, 1)],
    # (2x128C3)-MP-(2x128C3)-MP-(2x256C3)-256-10; a pool of 3 with stride 2 makes 15 of 32, and 7 of 15
    "cnn-small": [
        *((128, 3, 9, 1024), (128, 128, 9, 1024)),
        *((128, 128, 9, 225), (128, 128, 9, 225)),
        *((256, 128, 9, 49), (256, 256, 9, 49)),
        *((256, 256 * 49, 1, 1), (10, 256, 1, 1)),
    ],
    # one block a stage; as in resnet20, the two shortcuts that widen are 1x1 and come last in their block
    "resnet8": [
        (16, 3, 9, 1024),
        *[(16, 16, 9, 1024)] * 2,
        *((32, 16, 9, 256), (32, 32, 9, 256), (32, 16, 1, 256)),
        *((64, 32, 9, 64), (64, 64, 9, 64), (64, 32, 1, 64)),
        (10, 64, 1, 1),
    ],
    # n = 3: 6n + 2 = 20 layers; the two shortcuts that widen are 1x1 and come after their block's convolutions
    "resnet20": [
        (16, 3, 9, 1024),
        *[(16, 16, 9, 1024)] * 6,
        *((32, 16, 9, 256), (32, 32, 9, 256), (32, 16, 1, 256)),
        *[(32, 32, 9, 256)] * 4,
        *((64, 32, 9, 64), (64, 64, 9, 64), (64, 32, 1, 64)),
        *[(64, 64, 9, 64)] * 4,
        (10, 64, 1, 1),
    ],
    # 49x10 halved is 25x5; four blocks of a depthwise 3x3 and a 1x1
    "dscnn": [(64, 1, 40, 125), *[(64, 1, 9, 125), (64, 64, 1, 125)] * 4, (12, 64, 1, 1)],
    # 96x96 halved is 48x48; a quarter of Howard et al.'s widths, table 1
    "mobilenet-0.25": [
        (8, 3, 9, 48**2),
        *((8, 1, 9, 48**2), (16, 8, 1, 48**2)),
        *((16, 1, 9, 24**2), (32, 16, 1, 24**2), (32, 1, 9, 24**2), (32, 32, 1, 24**2)),
        *((32, 1, 9, 12**2), (64, 32, 1, 12**2), (64, 1, 9, 12**2), (64, 64, 1, 12**2)),
        *((64, 1, 9, 6**2), (128, 64, 1, 6**2)),
        *[(128, 1, 9, 6**2), (128, 128, 1, 6**2)] * 5,
        *((128, 1, 9, 3**2), (256, 128, 1, 3**2), (256, 1, 9, 3**2), (256, 256, 1, 3**2)),
        (2, 256, 1, 1),
    ],
    # 640-128-128-128-128-8-128-128-128-128-640
    "autoencoder": [
        *((128, 640, 1, 1), *[(128, 128, 1, 1)] * 3, (8, 128, 1, 1)),
        *((128, 8, 1, 1), *[(128, 128, 1, 1)] * 3, (640, 128, 1, 1)),
    ],
}
TOTALS = {  # weights, multiply-accumulates
    "lenet5": (61_470, 416_520),
    "lenet-300-100": (266_200, 266_200),  # 784*300 + 300*100 + 100*10, each weight used once
    "cifar-quick": (145_376, 12_354_176),
    "resnet8": (77_360, 12_501_632),  # MLPerf Tiny: 12.5 M
    "resnet20": (270_896, 40_813_184),  # He et al.: 0.27 M; 40.55 M and 2 * 131,072 for the shortcuts
    "dscnn": (22_016, 2_656_768),  # MLPerf Tiny: 2.7 M
    "mobilenet-0.25": (208_112, 7_489_664),  # 7.5 M
    "autoencoder": (264_192, 264_192),  # 0.26 M
}
KERAS_PARAMETERS = {"resnet8": 78_666, "dscnn": 24_908, "mobilenet-0.25": 221_794, "autoencoder": 269_992}
IMAGES = {
    "digits": (1, 8, 8),
    **dict.fromkeys(("lenet5", "lenet-300-100", "lenet-300-100-fashion"), (1, 28, 28)),
    "dscnn": (1, 49, 10),
    "mobilenet-0.25": (3, 96, 96),
    "autoencoder": (1, 5, 128),
}
OUTPUTS = {"dscnn": 12, "mobilenet-0.25": 2, "autoencoder": 5 * 128}


class TestShapes:
    def test_all_are_here(self) -> None:
        """Every network has its layers stated in this file."""
        assert set(LAYERS) == set(ARCHITECTURES)

    @pytest.mark.parametrize("name", ARCHITECTURES)
    def test_weights_and_macs(self, name: str) -> None:
        """Each weighted layer has the size that the network's string says, and the network its own name."""
        network = ARCHITECTURES[name]()
        assert network.name == name
        assert network.input_shape == IMAGES.get(name, (3, 32, 32))
        assert network.shapes[network.output] == (OUTPUTS.get(name, 10),)
        found = [(*x.lowered_shape, math.prod(network.shapes[x.name][1:])) for x in network.weighted]
        assert found == LAYERS[name]
        assert list(network.dense_macs().values()) == [math.prod(sizes) for sizes in LAYERS[name]]
        assert not any(x.weight.any() or x.bias.any() for x in network.weighted)

    @pytest.mark.parametrize("name", TOTALS)
    def test_totals(self, name: str) -> None:
        """The sizes that the literature gives for the network."""
        network = ARCHITECTURES[name]()
        assert (sum(x.weight.size for x in network.weighted), sum(network.dense_macs().values())) == TOTALS[name]

    @pytest.mark.parametrize("name", KERAS_PARAMETERS)
    def test_parameters_of_mlperf_tiny(self, name: str) -> None:
        """Keras counts as many parameters of MLPerf Tiny's model: weights, biases, and four for each normalized map."""
        layers = ARCHITECTURES[name]().layers
        weights = sum(x.weight.size + x.bias.size for x in layers if isinstance(x, Weighted))
        assert weights + sum(4 * len(x.scale) for x in layers if isinstance(x, BatchNorm)) == KERAS_PARAMETERS[name]

    @pytest.mark.parametrize("name", ARCHITECTURES)
    def test_scores_are_not_rectified_and_all_else_is(self, name: str) -> None:
        """Between two layers with weights there is a ReLU, after the last there is none."""
        network = ARCHITECTURES[name]()
        assert network.output == network.weighted[-1].name
        for layer in network.weighted[:-1]:
            readers = list(network.consumers(layer.name))
            while not any(isinstance(reader, ReLU) for reader in readers):
                assert not any(isinstance(reader, Weighted) for reader in readers), f"{layer.name}: no ReLU follows"
                readers = [after for reader in readers for after in network.consumers(reader.name)]
                assert readers, f"{layer.name}: no ReLU follows"

    def test_two_data_sets_have_one_architecture(self) -> None:
        """The network for Fashion-MNIST is that for MNIST, under a name of its own."""
        one, other = ARCHITECTURES["lenet-300-100"](), ARCHITECTURES["lenet-300-100-fashion"]()
        assert [(x.name, x.inputs, type(x)) for x in one.layers] == [(x.name, x.inputs, type(x)) for x in other.layers]


class TestCnnSmall:
    def test_pools_overlap(self) -> None:
        """Max pools are 3x3 with stride 2; every layer with weights but the last has a batch norm after it."""
        network = ARCHITECTURES["cnn-small"]()
        pools = [layer for layer in network.layers if isinstance(layer, MaxPool)]
        assert [pool.window for pool in pools] == [Window.square(3, 2)] * 2
        assert [network.shapes[pool.name] for pool in pools] == [(128, 15, 15), (128, 7, 7)]
        for layer in network.weighted[:-1]:
            assert [type(reader) for reader in network.consumers(layer.name)] == [BatchNorm]


class TestResnet8:
    def test_kinds(self) -> None:
        """7 convolutions of 3x3 and a matrix are the 8 layers; the two shortcuts with weights have no batch norm."""
        network = ARCHITECTURES["resnet8"]()
        assert Counter(x.window.kernel for x in network.weighted if isinstance(x, Conv2d)) == {(3, 3): 7, (1, 1): 2}
        kinds = Counter(type(layer) for layer in network.layers)
        assert (kinds[Linear], kinds[Add], kinds[GlobalAvgPool], kinds[BatchNorm], kinds[ReLU]) == (1, 3, 1, 7, 7)
        sums = [x.inputs for x in network.layers if isinstance(x, Add)]
        assert sums == [("norm1_1b", "relu1"), ("norm2_1b", "conv2_1s"), ("norm3_1b", "conv3_1s")]


class TestResnet20:
    def test_kinds(self) -> None:
        """19 convolutions of 3x3 and a matrix are the 20 layers; 9 additions, 2 shortcuts with weights of stride 2."""
        network = ARCHITECTURES["resnet20"]()
        assert Counter(x.window.kernel for x in network.weighted if isinstance(x, Conv2d)) == {(3, 3): 19, (1, 1): 2}
        kinds = Counter(type(layer) for layer in network.layers)
        assert (kinds[Linear], kinds[Add], kinds[GlobalAvgPool]) == (1, 9, 1)
        assert (kinds[BatchNorm], kinds[ReLU]) == (21, 19)  # after each convolution; a shortcut has no ReLU
        strided = [x.name for x in network.weighted if isinstance(x, Conv2d) and x.window.stride == (2, 2)]
        assert strided == ["conv2_1a", "conv2_1s", "conv3_1a", "conv3_1s"]

    def test_a_sum_is_of_a_block_and_what_it_read(self) -> None:
        """Seven shortcuts are the block's input itself, two its projection; a ReLU follows the sum."""
        network = ARCHITECTURES["resnet20"]()
        sums = [layer for layer in network.layers if isinstance(layer, Add)]
        assert [x.inputs for x in sums][:4] == [
            ("norm1_1b", "relu1"),
            ("norm1_2b", "relu1_1"),
            ("norm1_3b", "relu1_2"),
            ("norm2_1b", "norm2_1s"),
        ]
        assert sum(isinstance(network[x.inputs[1]], ReLU) for x in sums) == 7
        assert all(isinstance(network.consumers(x.name)[0], ReLU) for x in sums)


def drawn(network: Network, seed: int = 0) -> Network:
    """Return the network with random weights and batch norms, signals of one size from layer to layer."""
    rng = np.random.default_rng(seed)

    def of(layer: Layer) -> Layer:
        if isinstance(layer, Weighted):
            weight = rng.standard_normal(layer.weight.shape, np.float32) * np.float32((2 / layer.weight[0].size) ** 0.5)
            return replace(layer, weight=weight, bias=np.float32(rng.normal(0, 0.1, layer.bias.shape)))
        if isinstance(layer, BatchNorm):
            scale, variance = rng.uniform(0.5, 1.5, (2, len(layer.scale)))
            shift, mean = rng.normal(0, 0.2, (2, len(layer.scale)))
            return replace(layer, scale=scale, shift=shift, mean=mean, variance=variance)
        return layer

    return replace(network, layers=tuple(map(of, network.layers)))


def lowered(name: str) -> tuple[Program, Codes]:
    """Return the Program of an untrained network at 4 bits, and the codes of one random image."""
    network = drawn(ARCHITECTURES[name]())
    image = np.random.default_rng(1).random((1, *network.input_shape), np.float32)
    program = lower(PrunedNetwork(network), Widths(weight_bits=4, signal_bits=5), image)
    return program, program.input_signal.encode(image)


def differing(expected: dict[str, Codes], of: Program, batch: Codes) -> list[str]:
    """Return the tensors in which the engine's codes are not the expected ones."""
    found = compile_program(of).run(batch, keep_tensors=True).tensors
    assert list(found) == list(expected)
    return [name for name, codes in expected.items() if not np.array_equal(found[name], codes)]


class TestPrograms:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", ARCHITECTURES)
    def test_the_engine_gives_goldens_codes(self, name: str) -> None:
        """Every network lowers to a Program, batch norms folded; every tensor is golden's, and every layer is alive."""
        program, codes = lowered(name)
        macs = [layer for layer in program.layers if isinstance(layer, MacLayer)]
        assert [(layer.shape[0], layer.shape[2], layer.dense_weights) for layer in macs] == [
            (sizes[0], sizes[2], math.prod(sizes[:3])) for sizes in LAYERS[name]
        ]  # a depthwise layer reads all maps, and has weights for its own
        expected = golden.run(program, codes)
        assert differing(expected, program, codes) == []
        assert all(len(np.unique(tensor)) > 1 for tensor in expected.values())

    def test_another_weight_is_seen(self) -> None:
        """The comparison is none if a wrong weight in a shortcut of the residual network passes it."""
        program, codes = lowered("resnet20")
        (shortcut,) = (x for x in program.layers if isinstance(x, MacLayer) and x.name == "conv3_1s")
        wrong = replace(shortcut, weights=-shortcut.weights)
        other = replace(program, layers=tuple(wrong if x is shortcut else x for x in program.layers))
        found = differing(golden.run(program, codes), other, codes)
        assert "conv3_1s" in found
        assert "conv2_1s" not in found
