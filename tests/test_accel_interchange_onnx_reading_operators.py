"""Operators one at a time: the scores of onnxruntime, then codes in which golden, engine and the array agree."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.onnx_graphs import Array, Drawing, images, runtime
from support.rtl_programs import ARRAY, check

from accel.cost import cost_of
from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import import_model
from accel.layers import Activation, Conv2d, Flatten, GlobalAvgPool
from accel.quantize import Widths, lower
from sim import golden
from sim.engine import compile_program

CLOSE = 1e-4  # of the largest score: float32 sums in another order


def integers(g: Drawing, *numbers: int) -> str:
    """Add a list of integers to the file."""
    return g.constant(np.array(numbers, np.int64))


def drawing(*shape: int) -> Drawing:
    """Return a drawing for images of 2 maps of 7 x 6 pixels, or of another shape."""
    return Drawing("batch", *(shape or (2, 7, 6)))


def norm_alone() -> Drawing:
    """A batch norm of the image, and one of what a ReLU gives."""
    g = drawing()
    g.norm(2)
    g.conv(3, 2, 3)
    g.node("Relu")
    g.norm(3)
    g.node("Flatten")
    g.gemm(4, 60)
    return g


def norm_of_features() -> Drawing:
    """A batch norm of features, which the matrix after it takes in."""
    g = drawing()
    g.conv(3, 2, 3)
    g.node("Relu")
    g.node("GlobalAveragePool")
    g.node("Flatten")
    g.norm(3)
    g.gemm(4, 3)
    return g


def sum_of_four() -> Drawing:
    """Three signals and a constant in one Sum."""
    g = drawing()
    parts = [g.conv(3, 2, 3, "image") for _ in range(3)]
    g.node("Sum", parts[0], g.constant(np.ones((3, 1, 1), np.float32)), *parts[1:])
    return g


def difference() -> Drawing:
    """A signal from another, and from a constant."""
    g = drawing()
    left = g.conv(3, 2, 3, "image")
    g.node("Sub", left, g.conv(3, 2, 3, "image"))
    g.node("Sub", g.constant(np.float32(0.5)), "")
    return g


def one_direction() -> Drawing:
    """Conv1d, BatchNorm1d, MaxPool1d, AvgPool1d, Pad and a mean over time."""
    g = drawing(4, 30)
    weight = g.rng.normal(0, 0.3, (6, 4, 5)).astype(np.float32)
    g.node("Conv", "", g.constant(weight), strides=[2], pads=[2, 1], dilations=[2])
    g.norm(6)
    g.node("Relu")
    g.node("Pad", "", integers(g, 0, 0, 1, 0, 0, 1))
    g.node("MaxPool", kernel_shape=[3], strides=[1])
    g.node("Conv", "", g.constant(g.rng.normal(0, 0.5, (6, 1, 3)).astype(np.float32)), group=6)
    g.node("AveragePool", kernel_shape=[2], strides=[2])
    g.node("ReduceMean", "", integers(g, 2), keepdims=0)
    g.gemm(3, 6)
    return g


def rectangles() -> Drawing:
    """A kernel, strides, padding and dilation of its own in each direction."""
    g = drawing()
    weight = g.rng.normal(0, 0.3, (3, 2, 2, 3)).astype(np.float32)
    g.node("Conv", "", g.constant(weight), strides=[2, 1], pads=[0, 2, 3, 1], dilations=[3, 2])
    g.node("MaxPool", kernel_shape=[1, 3], strides=[1, 2])
    return g


def pads_anywhere() -> Drawing:
    """Zeros before a ReLU, before a max pool of negative values, around maps, and at the end."""
    g = drawing()
    g.conv(3, 2, 3)
    g.node("Pad", "", integers(g, 0, 0, 1, 0, 0, 0, 0, 2))
    g.node("Relu")
    g.conv(3, 3, 3)
    g.node("Pad", "", integers(g, 0, 0, 1, 1, 0, 0, 1, 1))
    g.node("MaxPool", kernel_shape=[2, 2])
    g.node("Pad", "", integers(g, 0, 1, 0, -1, 0, 2, 1, 0))
    g.node("Pad", "", integers(g, 1, 1), g.constant(np.float32(0)), integers(g, -1))
    return g


def cuts() -> Drawing:
    """Every other row, a run of columns, some maps, and both halves of them joined the other way round."""
    g = drawing()
    g.conv(4, 2, 3, pads=[1, 1, 1, 1])
    g.node("Slice", "", *(integers(g, *x) for x in ((1, 1), (1 << 60, -1), (2, 3), (2, 1))))
    whole = g.node("Relu")
    g.node("Split", whole, outputs=["first", "second"], axis=1, num_outputs=2)
    g.node("Concat", "second", "first", axis=1)
    g.node("Slice", "", *(integers(g, x) for x in (0, 4, 1, 3)))
    return g


def focus() -> Drawing:
    """Four images of every other pixel as maps (YOLO's first layer)."""
    g = drawing(1, 6, 8)
    parts = [
        g.node("Slice", "image", *(integers(g, *x) for x in ((row, column), (99, 99), (2, 3), (2, 2))))
        for row in (0, 1)
        for column in (0, 1)
    ]
    g.node("Concat", *parts, axis=1)
    g.conv(2, 4, 3)
    return g


def mean_of_merged_pixels() -> Drawing:
    """A mean over height and width as one axis."""
    g = drawing()
    g.conv(3, 2, 3)
    g.node("Reshape", "", integers(g, 0, 3, -1))
    g.node("ReduceMean", "", integers(g, -1), keepdims=0)
    g.gemm(2, 3)
    return g


def shuffled(g: Drawing, height: int, width: int, source: str = "") -> str:
    """Shuffle 6 maps of two groups."""
    g.node("Reshape", source, integers(g, 0, 2, 3, height, width))
    g.node("Transpose", perm=[0, 2, 1, 3, 4])
    return g.node("Reshape", "", integers(g, 0, 6, height, width))


def shuffled_maps() -> Drawing:
    """Grouped convolutions and channel shuffles (ShuffleNet): before another, before a split and at the end."""
    g = drawing()
    g.conv(6, 2, 3, group=2)
    shuffled(g, 5, 4)
    g.conv(6, 6, 3, group=6)
    halves = shuffled(g, 3, 2), "left", "right"
    g.node("Split", halves[0], outputs=list(halves[1:]), axis=1, num_outputs=2)
    shuffled(g, 3, 2, g.node("Concat", "right", "left", axis=1))
    return g


def cast_signals() -> Drawing:
    """A signal as a double and back."""
    g = drawing()
    g.conv(3, 2, 3)
    g.node("Cast", to=11)
    g.node("Cast", to=1)
    g.node("Relu")
    return g


def activations() -> Drawing:
    """Every function of one signal, one after the other, SiLU as PyTorch writes it."""
    g = drawing()
    g.conv(4, 2, 3, pads=[1, 1, 1, 1])
    g.node("LeakyRelu", alpha=0.2)
    g.conv(4, 4, 1)
    signal = g.last
    g.node("Mul", signal, g.node("Sigmoid", signal))
    g.conv(4, 4, 1)
    g.node("HardSwish")
    g.conv(4, 4, 1)
    signal = g.last
    g.node("Mul", g.node("HardSigmoid", signal, alpha=0.25), signal)
    g.conv(4, 4, 1)
    g.node("Tanh")
    g.conv(4, 4, 1)
    g.node("Elu", alpha=0.5)
    g.node("Softplus")
    g.conv(4, 4, 1)
    return g


def gaussian_units() -> Drawing:
    """GELU, exact and by a hyperbolic tangent, and a Sigmoid that is read."""
    g = drawing()
    g.conv(3, 2, 3)
    g.node("Gelu")
    g.conv(3, 3, 1)
    g.node("Gelu", approximate="tanh")
    g.conv(3, 3, 1)
    g.node("Sigmoid")
    g.conv(2, 3, 1)
    return g


def slopes() -> Drawing:
    """PRelu with one slope, then with one for each map."""
    g = drawing()
    g.conv(3, 2, 3)
    g.node("PRelu", "", g.constant(np.full((3, 1, 1), 0.25, np.float32)))
    g.conv(3, 3, 1)
    g.node("PRelu", "", g.constant(np.array([0.1, 0.5, -0.3], np.float32).reshape(3, 1, 1)))
    g.conv(2, 3, 1)
    return g


DRAWN = [
    activations, gaussian_units, slopes,
    norm_alone, norm_of_features, sum_of_four, difference, one_direction, rectangles, pads_anywhere, cuts, focus,
    mean_of_merged_pixels, shuffled_maps, cast_signals,
]  # fmt: skip


def given_for(g: Drawing, count: int = 2) -> tuple[Array, Array]:
    """Return images as the graph takes them and as the network does."""
    given = images([size for size in g.input_shape[1:] if isinstance(size, int)], count)
    return given, given[..., None] if given.ndim == 3 else given


class TestOperators:
    @pytest.mark.slow
    @pytest.mark.parametrize("draw", DRAWN)
    def test_scores_then_codes(self, draw: Callable[[], Drawing], tmp_path: Path) -> None:
        """Scores are onnxruntime's; of the Program golden and engine give the same codes, the cost model the MACs.

        Negative controls: scores of a negated layer are others, and so are the codes of other images.
        """
        g = draw()
        pruned = import_model(g.save(tmp_path / "model.onnx")).result
        given, ours = given_for(g)
        (expected,) = runtime(tmp_path / "model.onnx", given)
        found = pruned.network.scores(ours).reshape(expected.shape)
        close = CLOSE * np.abs(expected).max()
        assert np.abs(found - expected).max() <= close
        first = pruned.network.weighted[0]
        wrong = pruned.network.with_weights({first.name: -first.weight})
        assert np.abs(wrong.scores(ours).reshape(expected.shape) - expected).max() > close
        program = lower(pruned, Widths(8, 8), ours)
        codes = program.input_signal.encode(ours)
        tensors = golden.run(program, codes)
        result = compile_program(program).run(codes, threads=1, keep_tensors=True)
        assert [x for x in tensors if not np.array_equal(result.tensors[x], tensors[x])] == []
        assert not np.array_equal(golden.run(program, codes[::-1])[program.output], tensors[program.output])
        folded = pruned.network.folded().weighted
        rounded = program.signals[program.output].decode(tensors[program.output])
        assert np.abs(rounded.reshape(expected.shape) - expected).max() <= 0.1 * np.abs(expected).max()
        kept = {
            layer.name: np.count_nonzero(layer.weight) * np.prod(program.shapes[layer.name][1:]) for layer in folded
        }
        assert {layer.name: layer.counts.macs for layer in cost_of(program).layers if layer.name in kept} == kept

    def test_a_sigmoid_at_the_end(self, tmp_path: Path) -> None:
        """It is dropped, as a Softmax is, for it keeps the order of scores; of maps it stays."""
        g = drawing()
        g.conv(3, 2, 3)
        maps = g.node("Sigmoid")
        g.node("GlobalAveragePool")
        g.node("Flatten")
        g.node("Sigmoid")
        found = import_model(g.save(tmp_path / "model.onnx"))
        assert found.notes == ("Sigmoid 'sigmoid4': dropped, the highest score is the same without",)
        assert [type(layer) for layer in found.result.network.layers] == [Conv2d, Activation, GlobalAvgPool, Flatten]
        alone = import_model(tmp_path / "model.onnx", outputs=[maps])
        assert [type(layer) for layer in alone.result.network.layers] == [Conv2d, Activation]

    @pytest.mark.slow
    @pytest.mark.parametrize("draw", [norm_alone, one_direction, rectangles, pads_anywhere, difference, slopes])
    def test_the_array(self, draw: Callable[[], Drawing], tmp_path: Path) -> None:
        """The array gives golden's codes in as many cycles as the closed form says."""
        g = draw()
        pruned = import_model(g.save(tmp_path / "model.onnx")).result
        _, ours = given_for(g, 1)
        program = lower(pruned, Widths(8, 8), ours)
        check(program, program.input_signal.encode(ours), replace(ARRAY, signal_words=2048, table_words=1024))


def mirrored() -> Drawing:
    """A Pad by reflection."""
    g = drawing()
    g.node("Pad", "", integers(g, 0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    g.conv(3, 2, 3)
    return g


def one(op: str, *constants: Array, **attributes: object) -> Callable[[], Drawing]:
    """Return a drawing of a convolution and one node."""

    def draw() -> Drawing:
        g = drawing()
        g.conv(3, 2, 3)
        g.node(op, "", *map(g.constant, constants), **attributes)
        return g

    return draw


def attention() -> Drawing:
    """Products of features with themselves."""
    g = drawing()
    g.conv(3, 2, 3)
    maps = g.node("Reshape", "", integers(g, 0, 3, -1))
    g.node("MatMul", maps, g.node("Transpose", maps, perm=[0, 2, 1]), name="scores")
    return g


class TestRefusals:
    @pytest.mark.parametrize(
        ("draw", "words"),
        [
            (attention, "MatMul 'scores': is attention, which multiplies two signals; a Program has no layer for it"),
            (one("LayerNormalization", np.ones(4, np.float32)), "normalises each image by numbers of its own, which a"),
            (one("LSTM", np.ones(4, np.float32)), "LSTM 'lstm1': keeps a state from step to step"),
            (
                one("Resize"),
                "Resize 'resize1': makes maps (1.0, 1.0) times as large, expected known sizes, whole",
            ),
            (mirrored, "Pad 'pad0': pads by mode 'reflect', expected zeros"),
            (
                one("Pad", np.array([1, 0, 0, 0, 0, 0, 0, 0])),
                "Pad 'pad1': attribute pads is (1, 0, 0, 0, 0, 0, 0, 0): adds",
            ),
            (one("Pad", np.array([0, 0, -5, 0, 0, 0, 0, 0])), "Pad 'pad1': leaves nothing of (3, 5, 4)"),
            (one("Pad", np.array([0, 0, 1 << 40, 0, 0, 0, 0, 0])), "expected at most 16384 each"),
            (one("Slice", *np.array([[0], [9], [0], [2]])), "Slice 'slice1': cuts the images of a batch"),
            (one("Slice", *np.array([[3], [3], [1], [1]])), "Slice 'slice1': leaves nothing of (3, 5, 4)"),
            (one("Slice", *np.array([[3], [0], [1], [-1]])), "Slice 'slice1': cuts (3,) to (0,)"),
            (one("Split", np.array([2, 2]), axis=1, outputs=["a", "b"]), "Split 'split1': splits 3 into (2, 2)"),
            (one("ReduceMean", np.array([1])), "ReduceMean 'reducemean1': attribute axes is (1,), expected (2, 3)"),
        ],
    )
    def test_the_line(self, draw: Callable[[], Drawing], words: str, tmp_path: Path) -> None:
        """What moves images, or is no zeros, is refused by node."""
        with pytest.raises(EspalierError) as caught:
            import_model(draw().save(tmp_path / "model.onnx"))
        assert words in str(caught.value)
