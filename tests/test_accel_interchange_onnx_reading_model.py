"""Float ONNX files become networks that compute what onnxruntime computes, or a line that says why not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import Drawing, images, runtime

from accel.interchange.onnx.reading.model import import_model
from accel.layers import Clip
from accel.network import Network

Array = np.ndarray[Any, np.dtype[Any]]


def small(*input_shape: int | str) -> Drawing:
    """Return a drawing for images of 2 maps of 8 x 8, or of another shape."""
    return Drawing(*(input_shape or ("batch", 2, 8, 8)))


def imported(drawing: Drawing, folder: Path) -> Network:
    """Return the network that a drawing is imported as."""
    return import_model(drawing.save(folder / "model.onnx")).result.network


def assert_same_scores(drawing: Drawing, folder: Path) -> Network:
    """Raise AssertionError unless the imported network gives onnxruntime's numbers, to 1e-4 of the largest."""
    network = imported(drawing, folder)
    batch = images(drawing.input_shape[1:])  # type: ignore[arg-type]  # the sizes after the batch are numbers
    (expected,) = runtime(folder / "model.onnx", batch)
    found = network.scores(batch)
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 0.01
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    return network


class TestOperators:
    def check(self, drawing: Drawing, folder: Path) -> Network:
        """Check the drawing against onnxruntime."""
        return assert_same_scores(drawing, folder)

    @pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 2, 0, 1], [2, 0, 1, 2]])
    @pytest.mark.parametrize("strides", [[1, 1], [2, 1], [3, 2]])
    @pytest.mark.parametrize("group", [1, 2, 4])
    def test_conv(self, tmp_path: Path, pads: list[int], strides: list[int], group: int) -> None:
        """Any pads, strides and groups."""
        g = small("batch", 4, 9, 8)
        g.conv(8, 4, 3, pads=pads, strides=strides, group=group)
        self.check(g, tmp_path)

    @pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
    @pytest.mark.parametrize("size", [7, 8])
    def test_auto_pad(self, tmp_path: Path, auto_pad: str, size: int) -> None:
        """Padding that is to be computed."""
        g = small("batch", 2, size, 9)
        g.conv(3, 2, 4, auto_pad=auto_pad, strides=[2, 3])
        self.check(g, tmp_path)

    @pytest.mark.parametrize("ceil_mode", [0, 1])
    @pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 0, 1]])
    def test_max_pool(self, tmp_path: Path, ceil_mode: int, pads: list[int]) -> None:
        """Max pools, of which a last window may reach past the map."""
        g = small("batch", 2, 8, 7)
        g.conv(3, 2, 1)
        g.node("MaxPool", kernel_shape=[3, 2], strides=[2, 2], pads=pads, ceil_mode=ceil_mode)
        self.check(g, tmp_path)

    @pytest.mark.parametrize("settings", [{}, {"pads": [1, 1, 1, 1], "count_include_pad": 1}, {"ceil_mode": 1}])
    def test_average_pool(self, tmp_path: Path, settings: dict[str, Any]) -> None:
        """Average pools whose divisor is the same everywhere."""
        g = small()
        g.conv(3, 2, 1)
        g.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2], **settings)
        self.check(g, tmp_path)

    def test_pads_before_a_pool(self, tmp_path: Path) -> None:
        """Zeros around what a ReLU gave never win; zeros around a mean count."""
        for pool in ("MaxPool", "AveragePool"):
            g = small()
            g.conv(3, 2, 1)
            g.node("Relu")
            g.node("Pad", "", g.constant(np.array([0, 0, 1, 1, 0, 0, 0, 1])))
            g.node(pool, kernel_shape=[3, 3], strides=[2, 2])
            self.check(g, tmp_path)

    @pytest.mark.parametrize("settings", [{"transB": 1}, {"transB": 0}, {"transB": 1, "alpha": 0.5, "beta": 2.0}])
    def test_gemm(self, tmp_path: Path, settings: dict[str, Any]) -> None:
        """A fully connected layer, transposed or not, and scaled."""
        g = small("batch", 6)
        shape = (4, 6) if settings["transB"] else (6, 4)
        weight, bias = g.rng.normal(size=shape).astype(np.float32), g.rng.normal(size=4).astype(np.float32)
        g.node("Gemm", "", g.constant(weight), g.constant(bias), **settings)
        network = imported(g, tmp_path)
        batch = images((6,))
        (expected,) = runtime(tmp_path / "model.onnx", batch)
        np.testing.assert_allclose(network.scores(batch[:, :, None, None]), expected, rtol=1e-5, atol=1e-5)

    def test_constants_for_each_map(self, tmp_path: Path) -> None:
        """Sums and products with a constant for each map, a bias where a convolution stands before."""
        g = small()
        g.conv(3, 2, 1, bias=False)
        for op, shape in (("Add", (3, 1, 1)), ("Mul", (1, 3, 1, 1)), ("Sub", ()), ("Div", (1,))):
            g.node(op, "", g.constant(g.rng.uniform(1, 2, shape).astype(np.float32)))
        self.check(g, tmp_path)

    def test_concat(self, tmp_path: Path) -> None:
        """Three tensors joined on their maps."""
        g = small()
        parts = [g.conv(maps, 2, 1, "image") for maps in (1, 2, 3)]
        g.node("Concat", *parts, axis=1)
        self.check(g, tmp_path)

    def test_clip(self, tmp_path: Path) -> None:
        """A clip from 0 on is a ReLU, one from 0 to 6 has a bound."""
        g = small()
        g.conv(3, 2, 1)
        g.node("Clip", "", g.constant(np.float32(0)), g.constant(np.float32(0.5)))
        network = self.check(g, tmp_path)
        assert isinstance(network.layers[-1], Clip)

    def test_what_moves_nothing(self, tmp_path: Path) -> None:
        """Identity, Dropout, Reshape to (batch, -1), Squeeze, a Softmax at the end."""
        g = small()
        g.conv(3, 2, 3)
        g.node("Identity")
        g.node("GlobalAveragePool")
        g.node("Dropout")
        g.node("Squeeze", "", g.constant(np.array([2, 3])))
        g.node("Reshape", "", g.constant(np.array([0, -1])))
        g.gemm(4, 3)
        self.check(g, tmp_path)
        g.node("Softmax", axis=-1)
        found = import_model(g.save(tmp_path / "model.onnx"))
        assert found.notes == ("Softmax 'softmax7': dropped, the highest score is the same without",)
        assert len(found.result.network.layers) == 4

    @pytest.mark.parametrize("opset", [13, 18, 21])
    def test_opsets(self, tmp_path: Path, opset: int) -> None:
        """Older opsets have axes as attributes."""
        g = Drawing("batch", 2, 8, 8, opset=opset)
        g.conv(3, 2, 3)
        if opset < 18:
            g.node("ReduceMean", axes=[2, 3], keepdims=0)
        else:
            g.node("ReduceMean", "", g.constant(np.array([-1, -2])), keepdims=0)
        self.check(g, tmp_path)

    @pytest.mark.parametrize("name", ["main_graph", "torch_jit", ""])
    def test_a_name_that_says_nothing(self, name: str, tmp_path: Path) -> None:
        """Exporters call every graph the same: then the network has the name of its file; else the graph's."""
        g = small()
        g.conv(3, 2, 3)
        model = g.model()
        assert import_model(g.save(tmp_path / "mine.onnx")).result.network.name == "drawn"
        model.graph.name = name
        (tmp_path / "mine.onnx").write_bytes(model.SerializeToString())
        assert import_model(tmp_path / "mine.onnx").result.network.name == "mine"

    def test_a_dead_branch_is_left_out(self, tmp_path: Path) -> None:
        """What no output depends on is not read, whatever it is."""
        g = small()
        kept = g.conv(3, 2, 3)
        g.node("Sigmoid")
        network = import_model(g.save(tmp_path / "model.onnx", kept)).result.network
        assert [layer.name for layer in network.layers] == ["conv0"]


def pruned_conv(kept: Array) -> Drawing:
    """Return one convolution of 8 outputs and 4 maps that keeps the weights of a mask."""
    g = small("batch", 4, 8, 8)
    weight = g.rng.uniform(0.5, 1, (8, 4, 3, 3)) * kept
    g.node("Conv", "", g.constant(weight.astype(np.float32)), name="conv")
    return g


class TestZeros:
    def test_patterns_are_found(self, tmp_path: Path) -> None:
        """Zeros of whole kernels, of strided taps, of blocks become the mask of their pattern."""
        taps = np.zeros((8, 4, 3, 3), bool)
        taps.reshape(8, 4, 9)[:, :, ::4] = True
        kernels = np.random.default_rng(0).random((8, 4, 1, 1)) < 0.4
        blocks = np.kron(np.random.default_rng(0).random((2, 9)) < 0.3, np.ones((4, 4))).reshape(8, 4, 3, 3) > 0
        for kept, pattern in ((taps, "ikss"), (kernels & np.ones((3, 3), bool), "kernel"), (blocks, "block-4")):
            pruned = import_model(pruned_conv(kept).save(tmp_path / "model.onnx")).result
            assert pruned.pattern == pattern
            assert np.array_equal(pruned.layer_mask("conv").kept, kept.reshape(8, 4, 9))
            assert pruned.kept_weights == kept.sum()

    def test_without_zeros_it_is_dense(self, tmp_path: Path) -> None:
        """Negative control: a network without zeros has no mask."""
        pruned = import_model(pruned_conv(np.ones((8, 4, 3, 3), bool)).save(tmp_path / "model.onnx")).result
        assert pruned.pattern == "dense"
        assert not pruned.masks
