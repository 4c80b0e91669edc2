"""Axes by other names: reshapes, transposes and squeezes that move nothing are read as what they are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.onnx_graphs import Array, Drawing, depthwise_separable, images, runtime

from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import ImportedNetwork, import_model
from accel.interchange.onnx.reading.views import channels_last, order_of, permuted, plain, reshaped
from accel.quantize import Widths, lower
from sim import golden
from sim.engine import compile_program

CLOSE = 1e-4  # of the largest score: float32 sums in another order


def integers(g: Drawing, *numbers: int) -> str:
    """Add a list of integers to the file."""
    return g.constant(np.array(numbers, np.int64))


def renamed_input() -> Drawing:
    """(n, 9, 7) images that an Unsqueeze makes maps of."""
    g = Drawing("batch", 9, 7)
    g.node("Unsqueeze", "", integers(g, 1))
    g.conv(3, 1, 3)
    g.node("Flatten")
    g.gemm(4, 105)
    return g


def flat_input() -> Drawing:
    """(n, 63) features that a Reshape makes maps of."""
    g = Drawing("batch", 63)
    g.node("Reshape", "", integers(g, -1, 1, 9, 7))
    g.conv(3, 1, 3)
    g.node("Flatten")
    g.gemm(4, 105)
    return g


def width_first() -> Drawing:
    """(n, width, height, maps) images: TensorFlow's, turned."""
    g = Drawing("batch", 7, 9, 2)
    g.node("Transpose", perm=[0, 3, 2, 1])
    g.conv(3, 2, 3)
    g.node("GlobalAveragePool")
    g.node("Squeeze", "", integers(g, 2, 3))
    g.gemm(4, 3)
    return g


def merged_pixels() -> Drawing:
    """Height and width as one axis, maps last, then features in that order: (n, 63, 3), then (n, 189)."""
    g = Drawing("batch", 2, 9, 7)
    g.conv(3, 2, 3, pads=[1, 1, 1, 1])
    g.node("Reshape", "", integers(g, 0, 3, 63))
    g.node("Transpose", perm=[0, 2, 1])
    g.node("Relu")
    g.node("Mul", "", g.constant(np.array([1, 2, 3], np.float32)))
    g.node("Reshape", "", integers(g, 0, -1))
    g.gemm(4, 189)
    return g


def shuffled() -> Drawing:
    """Maps in another order (a channel shuffle), which the weights of the matrix take up."""
    g = Drawing("batch", 2, 9, 7)
    g.conv(6, 2, 3)
    g.node("Reshape", "", integers(g, -1, 2, 3, 7, 5))
    g.node("Transpose", perm=[0, 2, 1, 3, 4])
    g.node("Reshape", "", integers(g, -1, 6, 7, 5))
    g.node("Add", "", g.constant(np.arange(6, dtype=np.float32).reshape(6, 1, 1)))
    g.node("Flatten")
    g.gemm(4, 210)
    return g


def unchanged(g: Drawing) -> Array:
    """Return images of the graph's own shape."""
    return images([size for size in g.input_shape[1:] if isinstance(size, int)], 3)


def as_ours(given: Array, found: ImportedNetwork) -> Array:
    """Return the images as the network takes them."""
    if given.ndim == 4 and found.last:
        return np.moveaxis(given, -1, 1)
    return given.transpose(0, 3, 2, 1) if given.ndim == 4 else given.reshape(-1, *found.result.network.input_shape)


DRAWN: dict[str, Callable[[], Drawing]] = {
    "ds-cnn": depthwise_separable,
    "unsqueezed image": renamed_input,
    "flat image": flat_input,
    "turned image": width_first,
}
MAPS_FIRST: dict[str, Callable[[], Drawing]] = {"merged pixels": merged_pixels, "shuffled maps": shuffled}


class TestScores:
    @pytest.mark.parametrize("name", [*DRAWN, *MAPS_FIRST])
    def test_are_onnxruntimes(self, name: str, tmp_path: Path) -> None:
        """Whatever the axes are called, scores are those of the graph; one weight changed, they are not."""
        g = (DRAWN | MAPS_FIRST)[name]()
        found = import_model(g.save(tmp_path / "model.onnx"))
        assert isinstance(found, ImportedNetwork)
        given = unchanged(g)
        (expected,) = runtime(tmp_path / "model.onnx", given)
        ours = given if name in MAPS_FIRST else as_ours(given, found)
        network = found.result.network
        close = CLOSE * np.abs(expected).max()
        assert np.abs(network.scores(ours) - expected).max() <= close
        first = network.weighted[0]
        wrong = network.with_weights({first.name: -first.weight})
        assert np.abs(wrong.scores(ours) - expected).max() > close

    def test_weights_stored_as_integers_are_a_float_network(self, tmp_path: Path) -> None:
        """DequantizeLinear of constants alone makes no quantised network: it is quantised here, as any other."""
        found = import_model(depthwise_separable().save(tmp_path / "model.onnx"))
        assert isinstance(found, ImportedNetwork)
        assert found.result.network.input_shape == (1, 25, 5)
        assert found.last

    @pytest.mark.parametrize("bits", [8, 4])
    def test_codes_of_golden_and_engine(self, bits: int, tmp_path: Path) -> None:
        """A DS-CNN is quantised, and golden and engine give the same codes; from another image, others."""
        pruned = import_model(depthwise_separable().save(tmp_path / "model.onnx")).result
        given = images((1, 25, 5), 3)
        program = lower(pruned, Widths(bits, bits), given)
        codes = program.input_signal.encode(given)
        found = compile_program(program).run(codes, threads=1, keep_tensors=True).tensors[program.output]
        np.testing.assert_array_equal(golden.run(program, codes)[program.output], found)
        assert not np.array_equal(golden.run(program, codes[::-1])[program.output], found)


class TestView:
    def test_of_a_shuffle(self) -> None:
        """A shuffle of 6 maps in 2 groups reads map 0, 3, 1, 4, 2, 5; each has its 5 pixels side by side."""
        cut = reshaped(plain((6, 5)), (2, 3, 5))
        assert cut is not None
        turned = permuted(cut, (0, 2, 1, 3))
        assert turned is not None
        joined = reshaped(turned, (6, 5))
        assert joined is not None
        assert (order_of(joined[0]) // 5).tolist() == [0, 3, 1, 4, 2, 5]
        assert order_of(joined[1]).tolist() == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("sizes", [(4, 3), (5,), (2, 3, 3)])
    def test_no_axis_is_cut_in_pieces_that_it_has_not(self, sizes: tuple[int, ...]) -> None:
        """Of (height, width, maps) = (3, 3, 2) no (4, 3) can be made, nor fewer numbers, nor (2, 3, 3)."""
        assert reshaped(channels_last((2, 3, 3)), sizes) is None

    def test_a_reshape_that_moves_numbers_is_refused(self, tmp_path: Path) -> None:
        """Channels-last maps read as if they were channels-first are no axes by other names."""
        g = Drawing("batch", 2, 9, 7)
        g.conv(3, 2, 3)
        g.node("Transpose", perm=[0, 2, 3, 1])
        g.node("Reshape", "", integers(g, -1, 3, 7, 5), name="cut")
        with pytest.raises(EspalierError, match=r"Reshape 'cut': gives the shape \(-1, 3, 7, 5\) from \(7, 5, 3\)"):
            import_model(g.save(tmp_path / "model.onnx"))
