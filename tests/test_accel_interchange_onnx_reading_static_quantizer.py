"""What onnxruntime's static quantiser writes is imported, as QDQ and QOperator, with any of its zero points.

``ESPALIER_MODELS=DIR`` takes MLPerf Tiny's int8 models from there too.
"""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import Drawing, images

from accel.demand import array_for
from accel.interchange.data.datasets import Dataset
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.interchange.onnx.reading.seen import Seen
from accel.network import INPUT
from reports.workflow.agreement import Agreement, agreement_of

pytestmark = pytest.mark.slow
quantization = pytest.importorskip(
    "onnxruntime.quantization", reason="needs onnxruntime: pip install espalier-hw[peers]"
)
FORMATS, SIGNALS = ("QDQ", "QOperator"), ((False, "QInt8"), (True, "QUInt8"), (True, "symmetric"))
CASES = [(name, form, *signals) for name in ("resnet", "mobilenet") for form in FORMATS for signals in SIGNALS]
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


def quantized(name: str, form: str, per_channel: bool, activation: str, folder: Path) -> Path:
    """Return the file that onnxruntime's quantiser makes of a network, calibrated on some images."""
    path = {"resnet": resnet, "mobilenet": mobilenet}[name]().save(folder / "float.onnx")
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
    """Multipliers of 32 bits have its codes but for what float32 rounds; those of 16 are near; an array runs both."""
    path, pixels = quantized(name, form, per_channel, activation, tmp_path), images((3, 16, 16), 64, 3)
    exact, found = compared(path, pixels, multiplier_bits=32)
    assert not any(note.startswith("nearest") for note in exact.notes)
    assert found.agreeing >= 63
    assert all(row.equal >= 0.99 * row.words for row in found.tensors)
    nearest, found = compared(path, pixels, nearest=True)
    assert any(note.startswith("nearest: ") for note in nearest.notes)
    assert found.agreeing >= 60
    assert all(row.equal >= 0.8 * row.words for row in found.tensors)
    for of in (exact, nearest):
        assert array_for(of.result, 8, 8).multiplier_bits == max(16, *(_bits(x) for x in of.result.layers))


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
