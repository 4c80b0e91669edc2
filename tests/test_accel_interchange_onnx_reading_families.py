"""Whole networks of other people: as large as torchvision and Keras have them, against onnxruntime, then in 8 bits.

Weights are random, statistics of batch norms are those that the network has. VGG-11's images are 32x32, unless
ESPALIER_VGG=224 asks for those of ImageNet, whose first fully connected layer alone has 103 million weights.
"""

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import Drawing, images, keras_like, mobilenet_v2, resnet18, runtime, vgg11

from accel.interchange.onnx.reading.model import import_model
from accel.layers import BatchNorm, Conv2d
from accel.network import INPUT, Network
from accel.program import Program
from accel.program_layers import MacLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.signal import Requantize
from sim import golden
from sim.engine import compile_program

Array = np.ndarray[Any, np.dtype[Any]]
SIZE = 224
VGG = int(os.environ.get("ESPALIER_VGG", "32"))
PARAMETERS = {  # of torchvision's models (https://docs.pytorch.org/vision/stable/models.html)
    "resnet18": 11_689_512,
    "mobilenet_v2": 3_504_872,
    "vgg11": 132_863_336 - 4096 * 512 * (7**2 - (VGG // 32) ** 2),  # 512 maps of 7x7 pixels at 224x224
}
DRAWN: dict[str, Callable[[], Drawing]] = {
    "resnet18": lambda: resnet18(SIZE),
    "mobilenet_v2": lambda: mobilenet_v2(SIZE),
    "vgg11": lambda: vgg11(VGG),
    "keras": lambda: scores_of(keras_like(64, 100, width=32)),
}
# in 8 bits golden multiplies a depthwise layer's zeros too, and a weight takes far more than its four bytes
SMALLER: dict[str, Callable[[], Drawing]] = {
    "mobilenet_v2": lambda: mobilenet_v2(96),
    "vgg11": lambda: vgg11(VGG, head=4096 if VGG == SIZE else 512),
}
CLOSE = 1e-4  # of the largest score: float32 sums in another order
# of all scores, the error that 8 bits in each layer may make; measured: 0.03, of 53 layers with clips 0.07
ROUNDED = {"mobilenet_v2": 0.1}
ROUNDED_BY = 0.05


def scores_of(keras: Drawing) -> Drawing:
    """Return a channels-last network without the softmax at its end, which an import drops."""
    keras.nodes.pop()
    keras.last = keras.nodes[-1].output[0]
    return keras


def saved(drawing: Drawing, path: Path) -> Path:
    """Write a network whose batch norms have the statistics of their inputs; return the path."""
    if not any(node.op_type == "BatchNormalization" for node in drawing.nodes):
        return drawing.save(path)
    network = import_model(drawing.save(path)).result.network
    values, found = {INPUT: images(network.input_shape, 2, seed=3)}, {}
    for layer in network.layers:
        sources = [values[name] for name in layer.inputs]
        if isinstance(layer, BatchNorm):
            mean, variance = sources[0].mean(axis=(0, 2, 3)), sources[0].var(axis=(0, 2, 3))
            layer = found[layer.name] = replace(layer, mean=mean, variance=variance)
        values[layer.name] = layer.forward(*sources)
    constants = {constant.name: constant for constant in drawing.constants}
    for node in drawing.nodes:
        if node.name in found:
            for name, array in zip(node.input[3:], (found[node.name].mean, found[node.name].variance), strict=True):
                constants[name].raw_data = array.tobytes()
    return drawing.save(path)


@pytest.fixture(autouse=True)
def _freed() -> Iterator[None]:
    """Free what a test leaves in cycles of references: hundreds of MiB for each of these networks."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return the function that draws a network once, and gives its file."""
    folder = tmp_path_factory.mktemp("families")

    def file(name: str, drawn: dict[str, Callable[[], Drawing]] = DRAWN) -> Path:
        path = folder / f"{name}{'' if drawn is DRAWN else '.smaller'}.onnx"
        return path if path.is_file() else saved(drawn[name](), path)

    return file


def imported(path: Path) -> PrunedNetwork:
    """Return what a file is imported as."""
    return import_model(path).result


def parameters(network: Network) -> int:
    """Return how many numbers are learned: weights, biases where there are some, scales and shifts."""
    weighted = sum(layer.weight.size + layer.bias.size * bool(layer.bias.any()) for layer in network.weighted)
    return weighted + sum(2 * layer.scale.size for layer in network.layers if isinstance(layer, BatchNorm))


def distance(network: Network, path: Path) -> float:
    """Return how far the network's scores are from onnxruntime's for one image, as a share of the largest."""
    image = images(network.input_shape, 1)
    (expected,) = runtime(path, np.moveaxis(image, 1, -1) if "keras" in path.name else image)
    found = network.scores(image)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


class TestFloat:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", DRAWN)
    def test_scores_are_onnxruntimes(self, name: str, files: Callable[..., Path]) -> None:
        """Networks of torchvision's very sizes, and one that is channels-last, give onnxruntime's scores."""
        network = imported(files(name)).network
        assert parameters(network) == PARAMETERS.get(name, parameters(network))
        assert distance(network, files(name)) <= CLOSE

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
    def test_a_wrong_weight_is_seen(self, name: str, files: Callable[..., Path]) -> None:
        """Negative control: with one weight of the first layer changed the scores are farther away."""
        network = imported(files(name)).network
        first = network.weighted[0]
        weight = np.array(first.weight)
        weight[np.unravel_index(np.abs(weight).argmax(), weight.shape)] *= -1
        assert distance(network.with_weights({first.name: weight}), files(name)) > 10 * CLOSE

    def test_groups_are_kept(self, files: Callable[..., Path]) -> None:
        """A depthwise convolution has one kernel for each map, in the file and the network."""
        network = imported(files("mobilenet_v2")).network
        depthwise = [layer for layer in network.layers if isinstance(layer, Conv2d) and layer.groups > 1]
        assert len(depthwise) == 17
        assert all(layer.groups == len(layer.weight) == layer.input_maps for layer in depthwise)


def quantized(pruned: PrunedNetwork) -> Program:
    """Return the Program of 8 bits."""
    return lower(pruned, Widths(8, 8), images(pruned.network.input_shape, 1, seed=4))


def with_a_wrong_step(program: Program) -> tuple[Program, str]:
    """Return the Program whose layer in the middle gives half of its codes, and the name of that layer."""
    made = [layer for layer in program.layers if isinstance(layer, MacLayer) and layer.requantize is not None]
    layer = made[len(made) // 2]
    scale = layer.requantize
    assert scale is not None
    halved = replace(layer, requantize=Requantize(scale.multipliers, scale.shift + 1))
    return replace(program, layers=tuple(halved if x is layer else x for x in program.layers)), layer.name


class TestEightBits:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", DRAWN)
    def test_codes_and_scores(self, name: str, files: Callable[..., Path]) -> None:
        """Golden and engine agree on every code, and the scores of another image than the calibration's are close.

        Every layer, a depthwise one too, multiplies by its own kernels and by no other.

        Negative control for both: with one step twice as large codes differ from that layer on, and scores by more.
        """
        pruned = imported(files(name, SMALLER if name in SMALLER else DRAWN))
        program = quantized(pruned)
        macs = {layer.name: layer.nest.macs_per_pixel for layer in program.mac_layers}
        assert macs == {layer.name: layer.weight.size for layer in pruned.network.weighted}
        image = images(pruned.network.input_shape, 1)
        codes, expected = program.input_signal.encode(image), pruned.network.scores(image)

        def run(made: Program) -> tuple[dict[str, Array], float]:
            tensors = compile_program(made).run(codes, threads=1, keep_tensors=True).tensors
            scores = made.signals[made.output].decode(tensors[made.output])
            return tensors, float(np.linalg.norm(scores - expected) / np.linalg.norm(expected))

        tensors = golden.run(program, codes)
        found, error = run(program)
        assert [x for x in tensors if not np.array_equal(found[x], tensors[x])] == []
        assert error < ROUNDED.get(name, ROUNDED_BY)
        wrong, layer = with_a_wrong_step(program)
        found, error = run(wrong)
        assert next(x for x in tensors if not np.array_equal(found[x], tensors[x])) == layer
        assert error > ROUNDED.get(name, ROUNDED_BY)
