"""What onnxruntime's static quantiser writes is imported, as QDQ and QOperator, with any of its zero points.

``ESPALIER_MODELS=DIR`` takes MLPerf Tiny's int8 models from there too.
"""

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import Drawing, images

from accel.demand import array_for
from accel.fixedpoint import FixedFormat
from accel.interchange.data.datasets import Dataset
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.interchange.onnx.reading.seen import Seen
from accel.network import INPUT
from accel.signal import PRODUCT_BITS, UNCHANGED, Signal
from reports.workflow.agreement import Agreement, _File, agreement_of
from sim import golden

pytestmark = pytest.mark.slow
quantization = pytest.importorskip(
    "onnxruntime.quantization", reason="needs onnxruntime: pip install espalier-hw[peers]"
)
FORMATS, SIGNALS = ("QDQ", "QOperator"), ((False, "QInt8"), (True, "QUInt8"), (True, "symmetric"))
NEAR = 2e-4  # of a tie: four roundings of float32, and one to 21 bits of a multiplier, of a number up to 256
MODELS = ("resnet8-mlperf-tiny-int8.onnx", "dscnn-kws-mlperf-tiny-int8.onnx")


def resnet() -> Drawing:
    """Return two residual blocks, one with a convolution beside it, an average, scores and a Softmax."""
    g = Drawing("batch", 3, 16, 16)
    g.conv(8, 3, 3, pads=[1, 1, 1, 1])
    source = g.node("Relu")
    for maps, outputs, stride in ((8, 8, 1), (8, 16, 2)):
        g.conv(outputs, maps, 3, source, strides=[stride, stride], pads=[1, 1, 1, 1])
        g.node("Relu")
        branch = g.conv(outputs, outputs, 3, pads=[1, 1, 1, 1])
        source = g.conv(outputs, maps, 1, source, strides=[2, 2]) if stride == 2 else source
        g.node("Add", branch, source)
        source = g.node("Relu")
    g.node("GlobalAveragePool")
    g.node("Flatten")
    g.gemm(10, 16)
    g.node("Softmax", axis=-1)
    return g


def mobilenet() -> Drawing:
    """Return inverted residuals with clipped ReLUs, whose ends have none."""
    g = Drawing("batch", 3, 16, 16)
    bounds = g.constant(np.float32(0)), g.constant(np.float32(6))
    g.conv(8, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1])
    source = g.node("Clip", "", *bounds)
    for maps, outputs, stride in ((8, 8, 1), (8, 12, 2)):
        g.conv(16, maps, 1, source)
        g.node("Clip", "", *bounds)
        g.conv(16, 16, 3, strides=[stride, stride], pads=[1, 1, 1, 1], group=16)
        g.node("Clip", "", *bounds)
        end = g.conv(outputs, 16, 1)
        source = g.node("Add", end, source) if stride == 1 else end
    g.node("GlobalAveragePool")
    g.node("Flatten")
    g.gemm(10, 12)
    return g


def vgg() -> Drawing:
    """Return convolutions and max pools, and two fully connected layers."""
    g, maps = Drawing("batch", 3, 16, 16), 3
    for outputs in (8, 12, 16):
        g.conv(outputs, maps, 3, pads=[1, 1, 1, 1])
        g.node("Relu")
        g.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        maps = outputs
    g.node("Flatten")
    g.gemm(24, 64)
    g.node("Relu")
    g.gemm(10, 24)
    return g


def relu(g: Drawing, outputs: int, maps: int, kernel: int = 1, source: str = "", **attributes: Any) -> str:
    """Add a convolution and a ReLU."""
    g.conv(outputs, maps, kernel, source, pads=[kernel // 2] * 4, **attributes)
    return g.node("Relu")


def scores(g: Drawing, maps: int) -> Drawing:
    """Add an average of each map and the scores; return the drawing."""
    g.node("GlobalAveragePool")
    g.node("Flatten")
    g.gemm(10, maps)
    return g


def squeezenet() -> Drawing:
    """Return two fire modules, whose halves are joined, and scores that are averages of maps."""
    g, maps = Drawing("batch", 3, 16, 16), 8
    relu(g, 8, 3, 3, strides=[2, 2])
    for each in (6, 8):
        source = relu(g, 4, maps)
        g.node("Concat", relu(g, each, 4, 1, source), relu(g, each, 4, 3, source), axis=1)
        maps = 2 * each
    g.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2])
    relu(g, 10, maps)
    g.node("GlobalAveragePool")
    g.node("Flatten")
    return g


def ds_cnn() -> Drawing:
    """Return depthwise separable convolutions, and an average pool over all pixels."""
    g = Drawing("batch", 3, 16, 16)
    relu(g, 8, 3, 3, strides=[2, 2])
    for _ in range(2):
        relu(g, 8, 8, 3, group=8)
        relu(g, 8, 8)
    g.node("AveragePool", kernel_shape=[8, 8])
    g.node("Reshape", "", g.constant(np.array([-1, 8])))
    g.gemm(10, 8)
    return g


def inception() -> Drawing:
    """Return three branches that are joined at once, and an average pool."""
    g = Drawing("batch", 3, 16, 16)
    source = relu(g, 8, 3, 3, strides=[2, 2])
    one, three = relu(g, 4, 8, 1, source), relu(g, 6, 4, 3, relu(g, 4, 8, 1, source))
    g.node("MaxPool", source, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    g.node("Concat", one, three, relu(g, 4, 8), axis=1)
    g.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    relu(g, 16, 14, 3)
    return scores(g, 16)


def densenet() -> Drawing:
    """Return layers each of which reads all before it."""
    g = Drawing("batch", 3, 16, 16)
    source, maps = relu(g, 8, 3, 3, strides=[2, 2]), 8
    for _ in range(3):
        grown = relu(g, 4, 8, 3, relu(g, 8, maps, 1, source))
        source, maps = g.node("Concat", source, grown, axis=1), maps + 4
    relu(g, 12, maps)
    g.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    return scores(g, 12)


NETWORKS = {x.__name__: x for x in (resnet, mobilenet, vgg, squeezenet, ds_cnn, inception, densenet)}
CASES = [
    (name, form, *signals)
    for name in NETWORKS
    for form in FORMATS
    for signals in (SIGNALS if name in ("resnet", "mobilenet") else SIGNALS[:2])
]


def quantized(name: str, form: str, per_channel: bool, activation: str, folder: Path) -> Path:
    """Return the file that onnxruntime's quantiser makes of a network, calibrated on some images."""
    path = NETWORKS[name]().save(folder / "float.onnx")
    kinds, feed = quantization.QuantType, iter([{"image": images((3, 16, 16), 32, seed)} for seed in (1, 2)])
    reader = type("Reader", (quantization.CalibrationDataReader,), {"get_next": lambda self: next(feed, None)})
    settings: dict[str, Any] = {"per_channel": per_channel, "weight_type": kinds.QInt8}
    settings["activation_type"] = kinds.QUInt8 if activation == "QUInt8" else kinds.QInt8
    settings["extra_options"] = {"ActivationSymmetric": activation == "symmetric"}
    logging.disable(logging.WARNING)
    try:
        form_of = quantization.QuantFormat[form]
        quantization.quantize_static(path, folder / "int8.onnx", reader(), quant_format=form_of, **settings)
    finally:
        logging.disable(logging.NOTSET)
    return folder / "int8.onnx"


def compared(path: Path, pixels: np.ndarray[Any, Any], **settings: Any) -> tuple[ImportedProgram, Agreement]:
    """Return the Program of a file, and how they agree."""
    found = import_model(path, **settings)
    assert isinstance(found, ImportedProgram)
    return found, agreement_of(path, found, Dataset("random", "test", pixels, np.empty(0, np.int64), 0, 1))


@pytest.mark.parametrize(("name", "form", "per_channel", "activation"), CASES)
def test_static_quantizer(tmp_path: Path, name: str, form: str, per_channel: bool, activation: str) -> None:
    """Multipliers of 32 bits have its codes but for what float32 rounds; those of 16 are near; an array runs both.

    Seven networks in both formats, per tensor and per map, and the first two with other signals too. In QDQ a mean of
    four codes is a tie in one of four cases, on either side of which float32 may fall. Codes differ by 2 only behind
    layers that read other codes: each layer by itself differs by 1 at most, and at ties alone.
    """
    path, pixels = quantized(name, form, per_channel, activation, tmp_path), images((3, 16, 16), 64, 3)
    exact, found = compared(path, pixels, multiplier_bits=32)
    assert not any(note.startswith("nearest") for note in exact.notes)
    assert found.agreeing >= 63
    assert share(found) >= (0.99 if form == "QDQ" else 0.999)
    assert max(row.largest for row in found.tensors) <= 2
    assert all(wrong in (-1, 1) and tie < NEAR for wrong, tie in alone(path, exact, pixels[:32]))
    nearest, found = compared(path, pixels, nearest=True)
    assert any(note.startswith("nearest: ") for note in nearest.notes)
    assert found.agreeing >= 60
    assert share(found) >= 0.99
    assert all(row.equal >= 0.8 * row.words for row in found.tensors)
    for of in (exact, nearest):
        assert array_for(of.result, 8, 8).multiplier_bits == max(16, *(_bits(x) for x in of.result.layers))


def alone(path: Path, found: ImportedProgram, pixels: np.ndarray[Any, Any]) -> list[tuple[int, float]]:
    """Return by how much each layer's codes differ that reads onnxruntime's, and how far its numbers are from a tie.

    A layer without sums of its own, such as a clip, is run behind the one that has them.
    """
    program, file = found.result, _File(path, found)
    codes, feed = file.fed(program, pixels)
    theirs, have, ties = file.run(feed)[1], {INPUT: codes}, dict[str, Any]()
    differ: list[tuple[int, float]] = []
    for layer in program.layers:
        sources = [have[name] for name in layer.inputs]
        ours = have[layer.name] = golden.codes_of(layer, *sources)
        scaled = getattr(layer, "requantize", None)
        ties[layer.name] = from_tie(layer, sources) if scaled else ties.get(layer.inputs[0])
        if layer.name in theirs:
            have[layer.name] = found.seen[layer.name].ours(theirs[layer.name], ours.shape[1:])
            where = np.nonzero(have[layer.name] != ours)
            if where[0].size:
                wrong = (have[layer.name] - ours)[where].tolist()
                differ += zip(wrong, ties[layer.name][where].tolist(), strict=True)
    return differ


def from_tie(layer: Any, sources: list[Any]) -> np.ndarray[Any, Any]:
    """Return how far the numbers that a layer rounds are from the middle between two codes."""
    wide = Signal(FixedFormat(PRODUCT_BITS, PRODUCT_BITS), 1.0)
    sums = golden.codes_of(replace(layer, requantize=UNCHANGED, output=wide, relu=False), *sources)
    multipliers, offsets = layer.requantize.of_outputs(layer.requantize.outputs).T.reshape(
        2, -1, *[1] * (sums.ndim - 2)
    )
    one = 1 << layer.requantize.shift
    return np.abs((sums * multipliers + offsets) % one / one - 0.5)


def share(found: Agreement) -> float:
    """Return the share of equal codes, of all tensors."""
    return sum(row.equal for row in found.tensors) / sum(row.words for row in found.tensors)


def test_a_wrong_code_is_seen(tmp_path: Path) -> None:
    """Negative control: with one multiplier twice as large less than nine of ten codes are equal, and not at ties."""
    path, pixels = quantized("vgg", "QOperator", False, "QUInt8", tmp_path), images((3, 16, 16), 8, 3)
    found, _ = compared(path, pixels, nearest=True)
    first = found.result.mac_layers[0]
    assert first.requantize is not None
    scale = replace(first.requantize, shift=first.requantize.shift - 1)
    layers = tuple(replace(x, requantize=scale) if x is first else x for x in found.result.layers)
    wrong = replace(found, result=replace(found.result, layers=layers))
    other = agreement_of(path, wrong, Dataset("random", "test", pixels, np.empty(0, np.int64), 0, 1))
    assert share(other) < 0.9
    assert max(tie for _, tie in alone(path, wrong, pixels)) > 0.1


def _bits(layer: Any) -> int:
    scale = getattr(layer, "requantize", None)
    return scale.multiplier_bits if scale else 1


def check_model(path: Path, rng: np.random.Generator) -> None:
    """Raise AssertionError unless a file that takes integers is exact with multipliers of 32 bits, and near with 16."""
    for settings, least in (({"multiplier_bits": 32}, 0.99), ({"nearest": True}, 0.9)):
        found = import_model(path, **settings)  # type: ignore[arg-type]
        assert isinstance(found, ImportedProgram)
        image = found.seen[INPUT]
        assert isinstance(image, Seen)
        assert image.ends is not None
        codes = rng.integers(image.ends[0], image.ends[1] + 1, (16, *found.result.input_shape))
        pixels = (codes * found.result.input_signal.step).astype(np.float32)
        _, agreement = compared(path, pixels, **settings)
        equal, words = (sum(getattr(row, count) for row in agreement.tensors) for count in ("equal", "words"))
        assert equal >= least * words
        assert agreement.agreeing >= 14


if FOLDER := os.environ.get("ESPALIER_MODELS"):

    @pytest.mark.parametrize("name", MODELS)
    def test_models(name: str) -> None:
        """MLPerf Tiny's files are exact with multipliers of 32 bits, but for what float32 rounds, and near with 16."""
        check_model(Path(FOLDER) / name, np.random.default_rng(0))
