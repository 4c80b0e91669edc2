"""ONNX files whose weights have shapes alone, written in three ways: read where no values are needed, else refused."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.onnx_graphs import Drawing

from accel.errors import EspalierError
from accel.interchange.onnx.reading.file import read_graph
from accel.interchange.onnx.reading.model import ImportedNetwork, import_model
from accel.quantize import Calibration

WEIGHTS = ("w1", "b1", "w2")


def drawn() -> Any:
    """Return a model of a convolution with a bias, a clip and a fully connected layer."""
    g = Drawing(1, 3, 8, 8)
    kernels = g.constant(np.ones((4, 3, 3, 3), np.float32), "w1")
    g.node("Conv", "", kernels, g.constant(np.ones(4, np.float32), "b1"), pads=[1, 1, 1, 1])
    g.node("Clip", "", g.constant(np.float32(0)), g.constant(np.float32(6)))
    g.node("Flatten", "")
    g.node("MatMul", "", g.constant(np.ones((256, 5), np.float32), "w2"))
    return g.model()


def without_data(model: Any) -> None:
    """Leave out what the constants hold."""
    for tensor in model.graph.initializer:
        if tensor.name in WEIGHTS:
            tensor.ClearField("raw_data")


def elsewhere(model: Any) -> None:
    """Let the constants lie in a file that is not there."""
    for tensor in model.graph.initializer:
        if tensor.name in WEIGHTS:
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights.bin")


def as_inputs(model: Any) -> None:
    """Make inputs of the graph of the constants."""
    for tensor in [x for x in model.graph.initializer if x.name in WEIGHTS]:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        model.graph.initializer.remove(tensor)


every_way = pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            without_data,
            "tensor 'w1': has a shape and no values; only espalier size, inspect and explore",
        ),
        (elsewhere, "tensor 'w1': its data lie in 'weights.bin', which is no file"),
        (as_inputs, "input 'b1' is weights, whose values are not in the file; only espalier size, inspect and explore"),
    ],
)


def saved(folder: Path, *changes: Any) -> Path:
    """Return the file of the model after changes."""
    model = drawn()
    for change in changes:
        change(model)
    onnx.save(model, folder / "drawn.onnx")
    return folder / "drawn.onnx"


@every_way
def test_shapes_are_enough_where_no_values_are_needed(change: Any, line: str, tmp_path: Path) -> None:
    """The network has the layers and shapes of the whole file, weights that take no memory, and says what it lacks."""
    whole, found = import_model(saved(tmp_path)), import_model(saved(tmp_path, change), valued=False)
    assert isinstance(whole, ImportedNetwork)
    assert isinstance(found, ImportedNetwork)
    assert (whole.result.shapes_alone, found.result.shapes_alone) == (False, True)
    assert found.result.network.shapes == whole.result.network.shapes
    for ours, theirs in zip(found.result.network.weighted, whole.result.network.weighted, strict=True):
        assert ours.weight.shape == theirs.weight.shape
        assert not any(ours.weight.strides)
        assert not ours.weight.any()
        assert theirs.weight.all()  # negative control
    assert found.result.masks == {}


@every_way
def test_they_are_refused_where_values_are_needed(change: Any, line: str, tmp_path: Path) -> None:
    """An import is one of values: a line names the tensor; what was read without does not go to a file or a step."""
    path = saved(tmp_path, change)
    with pytest.raises(EspalierError) as refused:
        import_model(path)
    assert str(refused.value).startswith(f"{path}: {line}")
    found = import_model(path, valued=False).result
    with pytest.raises(EspalierError, match=r"^drawn: has the shapes of its weights and no values, which a file"):
        found.save(tmp_path / "drawn.espalier")
    assert not (tmp_path / "drawn.espalier").exists()
    with pytest.raises(EspalierError, match=r"no values, which quantization needs$"):
        Calibration(found, np.zeros((1, 3, 8, 8), np.float32))  # type: ignore[arg-type]


def test_what_says_sizes_or_codes_needs_values(tmp_path: Path) -> None:
    """Integers without data are refused as ever, and so is a quantised graph with a weight that has a shape alone."""

    def sizes(model: Any) -> None:
        model.graph.initializer.append(onnx.helper.make_tensor("sizes", onnx.TensorProto.INT64, [2], [1, 256]))
        model.graph.initializer[-1].ClearField("int64_data")

    with pytest.raises(EspalierError, match=r"tensor 'sizes': holds 0 elements, its shape \(2,\) says 2"):
        read_graph(saved(tmp_path, sizes), valued=False)
    g = Drawing(1, 2, 4, 4)
    step, zero = g.constant(np.float32(0.1)), g.constant(np.int8(0))
    g.node("QuantizeLinear", "", step, zero)
    g.node("DequantizeLinear", "", step, zero)
    g.node("Conv", "", g.constant(np.ones((2, 2, 1, 1), np.float32), "w1"))
    model = g.model()
    without_data(model)
    onnx.save(model, tmp_path / "quantized.onnx")
    with pytest.raises(EspalierError, match="has the shape of 'w1' and no values, which a quantised graph must have"):
        import_model(tmp_path / "quantized.onnx", valued=False)


def test_two_images_stay_two_images(tmp_path: Path) -> None:
    """An input that something else than weights is read as is none, whatever values the reader needs."""

    def second(model: Any) -> None:
        model.graph.input.append(onnx.helper.make_tensor_value_info("other", 1, [1, 3, 8, 8]))
        model.graph.node.append(onnx.helper.make_node("Relu", ["other"], ["unread"]))

    with pytest.raises(EspalierError, match=r"the graph has 2 inputs \(image, other\), expected one"):
        import_model(saved(tmp_path, second), valued=False)
