"""Sizes that a graph computes of its own tensors: a flatten as exporters write it; no signal is taken apart."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.onnx_graphs import Drawing, images, runtime

from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import import_model
from accel.layers import Flatten


def start(batch: int | str = "batch") -> Drawing:
    """Return a convolution whose output has the shape (batch, 3, 6, 6)."""
    g = Drawing(batch, 2, 8, 8)
    g.conv(3, 2, 3)
    return g


def integers(g: Drawing, *numbers: int) -> str:
    """Add a list of integers to the file."""
    return g.constant(np.array(numbers, np.int64))


def one(g: Drawing, sizes: str, index: int) -> str:
    """Pick one size, as PyTorch's ``x.size(index)``; return it as a list of one."""
    size = g.node("Gather", sizes, g.constant(np.int64(index)), axis=0)
    return g.node("Unsqueeze", size, integers(g, 0))


def viewed(g: Drawing) -> None:
    """``x.view(x.size(0), -1)`` in PyTorch."""
    maps = g.last
    sizes = g.node("Shape")
    g.node("Reshape", maps, g.node("Concat", one(g, sizes, 0), integers(g, -1), axis=0))


def counted(g: Drawing) -> None:
    """``x.reshape(x.shape[0], x.shape[1], -1)`` after a pool of all pixels: the shape that there is."""
    g.node("GlobalAveragePool")
    maps = g.last
    sizes = [one(g, g.node("Shape", maps), index) for index in (0, 1, -2)]
    g.node("Reshape", maps, g.node("Concat", *sizes, integers(g, 1), axis=0), allowzero=1)
    g.node("Squeeze", "", integers(g, 2, 3))


def sliced(g: Drawing) -> None:
    """A flatten of TensorFlow's exporter."""
    maps = g.last
    sizes = g.node("Cast", g.node("Shape"), to=6)
    first = g.node("Slice", sizes, *(integers(g, x) for x in (0, 1, 0, 1)))
    size = g.node("Unsqueeze", g.node("Squeeze", first), integers(g, 0))
    joined = g.node("Concat", size, g.constant(np.array([108], np.int32)), axis=0)
    g.node("Reshape", maps, g.node("Cast", joined, to=7))


def part(g: Drawing) -> None:
    """``Shape`` of some sizes only (opset 15 on)."""
    maps = g.last
    sizes = g.node("Shape", start=0, end=1)
    g.node("Reshape", maps, g.node("Concat", sizes, integers(g, -1), axis=0))


class TestFlatten:
    @pytest.mark.parametrize("batch", ["batch", 2])
    @pytest.mark.parametrize("write", [viewed, counted, sliced, part])
    def test_gives_the_scores_of_onnxruntime(
        self, write: Callable[[Drawing], None], batch: int | str, tmp_path: Path
    ) -> None:
        """However the shape is computed, the features are those of a flatten."""
        g = start(batch)
        write(g)
        g.gemm(4, 3 if write is counted else 108)
        network = import_model(g.save(tmp_path / "model.onnx")).result.network
        (expected,) = runtime(tmp_path / "model.onnx", images((2, 8, 8)))
        np.testing.assert_allclose(network.scores(images((2, 8, 8))), expected, rtol=1e-5, atol=1e-5)
        assert sum(isinstance(layer, Flatten) for layer in network.layers) == 1


def sizes_of(g: Drawing) -> tuple[str, str]:
    """Return the last tensor and its sizes."""
    maps = g.last
    return maps, g.node("Shape", name="shape")


def batch_last(g: Drawing) -> None:
    """The number of images as the number of features."""
    maps, sizes = sizes_of(g)
    g.node("Reshape", maps, g.node("Concat", integers(g, -1), one(g, sizes, 0), axis=0), name="reshape")


def beyond(g: Drawing) -> None:
    """A size that is not there."""
    _, sizes = sizes_of(g)
    g.node("Gather", sizes, g.constant(np.int64(4)), axis=0, name="gather")


def of_a_signal(g: Drawing) -> None:
    """A map picked of a signal."""
    g.node("Gather", "", g.constant(np.int64(0)), axis=1, name="gather")


def as_a_number(g: Drawing) -> None:
    """A size added to a signal."""
    maps, sizes = sizes_of(g)
    g.node("Add", maps, g.node("Cast", sizes, to=1), name="add")


def two(g: Drawing) -> None:
    """More than one size where one is due."""
    _, sizes = sizes_of(g)
    g.node("Squeeze", sizes, name="squeeze")


def backwards(g: Drawing) -> None:
    """A run of sizes from the last to the first."""
    _, sizes = sizes_of(g)
    g.node("Slice", sizes, *(integers(g, x) for x in (3, 0, 0, -1)), name="slice")


class TestRefusals:
    @pytest.mark.parametrize(
        ("write", "words"),
        [
            (batch_last, "Reshape 'reshape': puts the number of images into another size than the first"),
            (beyond, "Gather 'gather': picks the sizes [4] of 4"),
            (
                of_a_signal,
                "Gather 'gather': reads 'conv0_out', expected sizes that a Shape gives: no signal is taken apart",
            ),
            (as_a_number, "Add 'add': reads 'cast2_out', sizes that a Shape gives; expected only a Reshape to"),
            (two, "Squeeze 'squeeze': reads 4 sizes, expected one"),
            (backwards, "Slice 'slice': cuts (3,) to (0,) of the axes (0,), expected one run of a list of sizes"),
        ],
    )
    def test_the_line(self, write: Callable[[Drawing], None], words: str, tmp_path: Path) -> None:
        """Sizes that make no flatten, or no sizes at all, are refused by node."""
        g = start()
        write(g)
        with pytest.raises(EspalierError) as caught:
            import_model(g.save(tmp_path / "model.onnx"))
        assert words in str(caught.value)
