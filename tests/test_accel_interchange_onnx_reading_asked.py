"""Files as they come: opsets of years, constants that the graph computes, open sizes, networks that are cut."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.commandline import espalier
from support.onnx_graphs import Drawing, images, runtime

from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import import_model
from accel.interchange.onnx.reading.opsets import OLDEST

CLOSE = 1e-4  # of the largest score
NEWEST = min(onnx.defs.onnx_opset_version(), 23)  # what the onnxruntime beside it runs


def listed(g: Drawing, op: str, since: int, **lists: list[int]) -> None:
    """Add a node whose lists are attributes before opset `since` and inputs from then on."""
    if g.opset < since:
        g.node(op, **lists)
    else:
        g.node(op, "", *(g.constant(np.array(numbers, np.int64)) for numbers in lists.values()))


def of_opset(opset: int) -> Drawing:
    """Return a network of operators that were written otherwise in older opsets, in those of `opset`."""
    g = Drawing("batch", 2, 8, 8, opset=opset)
    listed(g, "Pad", 11, pads=[0, 0, 1, 1, 0, 0, 0, 1])
    g.conv(4, 2, 3)
    g.norm(4)
    if opset < 11:
        g.node("Clip", min=0.0, max=1.5)
    else:
        g.node("Clip", "", g.constant(np.float32(0)), g.constant(np.float32(1.5)))
    g.node("Dropout")
    listed(g, "Unsqueeze", 13, axes=[1])
    listed(g, "Squeeze", 13, axes=[1])
    listed(g, "ReduceMean", 18, axes=[2, 3])
    g.node("Flatten")
    g.gemm(3, 4)
    return g


class TestOpsets:
    @pytest.mark.parametrize("opset", range(OLDEST, NEWEST + 1))
    def test_scores_are_onnxruntimes(self, opset: int, tmp_path: Path) -> None:
        """From opset 7 to the newest the same network comes out, which gives onnxruntime's scores."""
        path = of_opset(opset).save(tmp_path / "model.onnx")
        network = import_model(path).result.network
        given = images((2, 8, 8), 3)
        (expected,) = runtime(path, given)
        assert np.abs(network.scores(given) - expected).max() <= CLOSE * np.abs(expected).max()
        assert np.abs(network.scores(-given) - expected).max() > CLOSE * np.abs(expected).max()

    def test_a_softmax_of_an_old_opset(self, tmp_path: Path) -> None:
        """Before opset 13 the axis of a Softmax that says none was 1, which is that of the classes."""
        g = of_opset(12)
        g.node("Softmax")
        found = import_model(g.save(tmp_path / "model.onnx"))
        assert found.notes == ("Softmax 'softmax10': dropped, the highest score is the same without",)

    def test_one_that_is_older(self, tmp_path: Path) -> None:
        """Opset 6 is refused: its operators were broadcast otherwise."""
        g = Drawing("batch", 2, 8, 8, opset=6)
        g.conv(3, 2, 3)
        with pytest.raises(EspalierError, match="is of ONNX opset 6, expected 7 or later"):
            import_model(g.save(tmp_path / "model.onnx"))


def padded_as_exported(g: Drawing) -> None:
    """Pad as PyTorch's exporter of TorchScript writes ``F.pad(x, (1, 2, 0, 1))``: its widths are computed."""

    def integers(*numbers: int) -> str:
        return g.constant(np.array(numbers, np.int64))

    maps = g.last
    zeros = g.node("ConstantOfShape", integers(4), value=onnx.numpy_helper.from_array(np.array([0], np.int64)))
    widths = g.node("Concat", integers(1, 2, 0, 1), zeros, axis=0)
    pairs = g.node("Reshape", widths, integers(-1, 2))
    least = np.iinfo(np.int64).min + 1
    turned = g.node("Slice", pairs, integers(-1), integers(least), integers(0), integers(-1))
    order = g.node("Cast", g.node("Reshape", g.node("Transpose", turned, perm=[1, 0]), integers(-1)), to=7)
    g.node("Pad", maps, order, g.constant(np.float32(0)))


def divided_size(g: Drawing) -> None:
    """A Reshape to a size that the graph divides: ``x.view(n, c // 2, -1)`` and back."""
    maps = g.last
    sizes = g.node("Shape", maps)
    half = g.node("Div", g.node("Gather", sizes, g.constant(np.array([1])), axis=0), g.constant(np.array([2])))
    first = g.node("Gather", sizes, g.constant(np.array([0])), axis=0)
    g.node("Reshape", maps, g.node("Concat", first, half, g.constant(np.array([-1])), axis=0))
    g.node("Reshape", "", sizes)


class TestConstants:
    @pytest.mark.parametrize("write", [padded_as_exported, divided_size])
    def test_that_the_graph_computes(self, write: Callable[[Drawing], None], tmp_path: Path) -> None:
        """What comes of constants alone, sizes among them, is computed once, as onnxruntime computes it."""
        g = Drawing("batch", 2, 8, 8)
        write(g)
        g.conv(3, 2, 3)
        path = g.save(tmp_path / "model.onnx")
        given = images((2, 8, 8), 2)
        (expected,) = runtime(path, given)
        found = import_model(path).result.network.scores(given)
        np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * np.abs(expected).max())

    @pytest.mark.parametrize(
        ("op", "arrays"),
        [
            ("ConstantOfShape", [np.array([1 << 20, 1 << 20])]),
            ("Tile", [np.ones(1 << 10, np.float32), np.array([1 << 30])]),
            ("Expand", [np.ones(1, np.float32), np.array([1 << 40])]),
            ("Range", [np.float32(0), np.float32(1), np.float32(1e-12)]),
            ("Add", [np.ones((1 << 16, 1), np.float32), np.ones(1 << 16, np.float32)]),
            ("MatMul", [np.ones((1 << 16, 1), np.float32), np.ones((1, 1 << 16), np.float32)]),
        ],
    )
    def test_too_many_are_refused_before_they_are_made(self, op: str, arrays: list[object], tmp_path: Path) -> None:
        """A few bytes that ask for gigabytes end in a line."""
        g = Drawing("batch", 2, 8, 8)
        g.conv(3, 2, 3)
        maps = g.last
        g.node("Mul", maps, g.node(op, *map(g.constant, arrays)))
        with pytest.raises(EspalierError, match=f"{op} '.*': numbers that it makes of constants must be at most"):
            import_model(g.save(tmp_path / "model.onnx"))

    def test_that_cannot_be_computed(self, tmp_path: Path) -> None:
        """Shapes that do not fit are refused by node."""
        g = Drawing("batch", 2, 8, 8)
        g.conv(3, 2, 3)
        maps = g.last
        g.node("Mul", maps, g.node("Add", *(g.constant(np.ones(size, np.float32)) for size in (2, 3)), name="sum"))
        with pytest.raises(EspalierError, match="Add 'sum': cannot be computed of its constants"):
            import_model(g.save(tmp_path / "model.onnx"))


def branched() -> Drawing:
    """Return a network of open size with two outputs."""
    g = Drawing("batch", 2, "height", "width")
    g.conv(3, 2, 3, name="early")
    g.node("Relu", name="middle")
    g.conv(2, 3, 3, name="late")
    g.extra = ["early_out", "late_out"]
    return g


class TestAsked:
    @pytest.mark.parametrize(("outputs", "count"), [(("late_out",), 3), (("late",), 3), (("early",), 1)])
    def test_a_size_and_an_end(self, outputs: tuple[str, ...], count: int, tmp_path: Path) -> None:
        """Open sizes are given, and a graph is cut where a tensor or a node is named."""
        path = branched().save(tmp_path / "model.onnx", "early_out", "late_out")
        network = import_model(path, input_shape=(2, 9, 7), outputs=outputs).result.network
        assert network.input_shape == (2, 9, 7)
        assert len(network.layers) == count
        given = images((2, 9, 7), 2)
        expected = runtime(path, given)[0 if count == 1 else 1]
        np.testing.assert_allclose(network.scores(given), expected, rtol=0, atol=CLOSE * np.abs(expected).max())

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--outputs", "late"], "input 'image' has the shape (None, 2, None, None), expected (batch, maps, height"),
            (["--input-shape", "3,9,7"], "--input-shape: 3,9,7 does not fit the image of input 'image': (2, ?, ?)"),
            (["--input-shape", "9,7"], "--input-shape: 9,7 does not fit the image of input 'image': (2, ?, ?)"),
            (["--input-shape", "2,9,-7"], "--input-shape: '2,9,-7' is no list of sizes, such as 3,224,224"),
            (
                ["--outputs", "x"],
                "--outputs: no node gives 'x'; the last ones are 'early_out', 'middle_out',",
            ),
        ],
    )
    def test_refusals(self, options: list[str], words: str, tmp_path: Path) -> None:
        """What is missing, or fits nothing, is said in one line with the option that helps."""
        path = branched().save(tmp_path / "model.onnx", "early_out", "late_out")
        done = espalier("import", path, *options, "-o", tmp_path / "made")
        assert (done.status, done.out) == (2, "")
        assert words in done.err
        assert not (tmp_path / "made").exists()
