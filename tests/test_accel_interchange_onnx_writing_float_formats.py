"""Exports to QCDQ and QONNX: other people's runtimes give the engine's codes at every layer, or a line says why not."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.onnx_referees import (
    IMAGES,
    NETWORKS,
    check,
    differing,
    exact_programs,
    expected,
    exportable,
    kinds_of,
    onnxruntime_tensors,
    qonnx_tensors,
    refusal,
    shifted,
    with_one_code_changed,
)
from support.programs import batches, every_kind, mac_layer, program, signal

from accel.errors import EspalierError
from accel.fixedpoint import Overflow, Rounding
from accel.interchange.onnx.writing.formats import WRITERS, export_model
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AvgPoolLayer, ClipLayer, ConcatLayer, MacLayer
from accel.quantize import narrow_accumulators
from accel.signal import Requantize, Signal, integer_format
from accel.window import Window
from sim import golden

Make = Callable[[Program], Program]


def with_layer(made: Program, name: str, **changes: Any) -> Program:
    """Return a Program one layer of which has other fields."""
    return replace(made, layers=tuple(replace(x, **changes) if x.name == name else x for x in made.layers))


def with_output(made: Program, name: str, step: float | None = None, **modes: Any) -> Program:
    """Return a Program in which the output of a layer has another step or format."""
    (layer,) = (x for x in made.mac_layers if x.name == name)
    output = Signal(replace(layer.output.format, **modes), step or layer.output.step)
    return with_layer(made, name, output=output)


class TestReferees:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", NETWORKS)
    @pytest.mark.parametrize("plain", [True, False], ids=["plain", "rewritten"])
    def test_qcdq(self, name: str, plain: bool) -> None:
        """The same codes come from onnxruntime on 500 images, whether it runs the graph as it stands or rewrites it."""
        made = exportable(name)
        codes = expected(made)
        assert len(codes[INPUT]) == IMAGES
        check(made, "qcdq", codes, plain)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", NETWORKS)
    def test_qonnx(self, name: str) -> None:
        """So does qonnx's executor."""
        made = exportable(name)
        check(made, "qonnx", expected(made))

    @pytest.mark.slow
    @pytest.mark.parametrize("pattern", ["kernel", "ikss", "block-4", "2:4", "feature-map+kernel"])
    @pytest.mark.parametrize("form", ["qcdq", "qonnx"])
    def test_patterns(self, form: str, pattern: str) -> None:
        """What is pruned is zeros there."""
        made = exportable("lenet5", 3, 4, pattern)
        check(made, form, expected(made, 50))

    @pytest.mark.slow
    def test_one_wrong_code_is_seen(self) -> None:
        """Negative control: with one weight code lowered, both runtimes give other codes, from that layer on."""
        made, names = exportable("lenet5"), ["conv1", "conv2", "fc5"]
        codes = expected(made)
        images = made.input_signal.decode(codes[INPUT])
        model = with_one_code_changed(export_model(made, "qcdq")[0], "conv2.weight_codes")
        assert differing(made, onnxruntime_tensors(model, names, images), codes, False) == ["conv2", "fc5"]
        step = made.mac_layers[1].weight_steps[0]
        model = with_one_code_changed(export_model(made, "qonnx")[0], "conv2.weight_values", step)
        assert differing(made, qonnx_tensors(model, names, images[:50]), {x: codes[x][:50] for x in names}, False)

    def test_one_wrong_tie_is_seen(self) -> None:
        """Negative control: ties that go up are other codes than those that go to even."""
        made = exportable("lenet5", 4, 5)
        (layer,) = (x for x in made.mac_layers if x.name == "conv2")
        up = with_output(made, "conv2", rounding=Rounding.RND)
        codes = golden.run(up, expected(made, 50)[INPUT])
        assert not np.array_equal(codes["conv2"], expected(made, 50)["conv2"])
        assert layer.output.format.rounding == Rounding.RND_CONV


class TestAnyProgram:
    @pytest.mark.slow
    @pytest.mark.parametrize("form", ["qcdq", "qonnx"])
    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_same_codes_or_a_line(self, form: str, data: st.DataObject) -> None:
        """A Program of any layers, windows, patterns and widths is exported to the very codes, or refused by width."""
        made = data.draw(exact_programs(longest=8 if form == "qcdq" else 16))
        codes = golden.run(made, reached(made, data.draw(batches(made))))
        if (line := refusal(made, form)) is not None:
            assert re.search(r"has \d+ bits|its sums reach \d+|1 bit with a sign", line)
            assume(False)
        check(made, form, codes)

    @settings(max_examples=15, deadline=None)
    @given(rounding=st.sampled_from(Rounding), negative=st.booleans(), data=st.data())
    def test_rounding_in_qonnx(self, rounding: Rounding, negative: bool, data: st.DataObject) -> None:
        """QONNX rounds by each of its modes as we do; RND and RND_MIN_INF it has for values that are not negative."""
        made = program([rounded(rounding, negative)], (1, 1, 16), EVEN)
        codes = golden.run(made, reached(made, data.draw(batches(made))))
        if negative and rounding in (Rounding.RND, Rounding.RND_MIN_INF):
            with pytest.raises(EspalierError, match=f"conv: rounds by {rounding.name}, which QONNX does not"):
                export_model(made, "qonnx")
            return
        check(made, "qonnx", codes)

    def test_clip_and_concat(self) -> None:
        """Clipped ReLUs and joined maps are those of every format."""
        conv = every_kind(np.random.default_rng(0)).layers[0]
        layers = [
            conv,
            ClipLayer("clip", (conv.name,), 5),
            ConcatLayer("both", ("clip", conv.name)),
            ClipLayer("far", ("both",), 1 << 40),
            ClipLayer("below", ("far",), 4, -3),
        ]
        made = shifted(program(layers, (2, 9, 8)))
        codes = golden.run(made, np.random.default_rng(0).integers(0, 256, (20, *made.input_shape)))
        assert codes["clip"].max() == 5
        for form in WRITERS:
            check(made, form, codes)

    @pytest.mark.parametrize("width", [1, 2, 8])
    def test_symmetric_codes(self, width: int) -> None:
        """A symmetric format gives no lowest code, but for one bit, whose lowest code is the only one below zero."""
        form = replace(EVEN.format, width=width, integer_bits=width, overflow=Overflow.SAT_SYM)
        conv = mac_layer("conv", INPUT, [[[1]]], EVEN, window=Window((1, 1)), weight_bits=2,
                         requantize=Requantize([1], 1), output=Signal(form, 2.0))  # fmt: skip
        made = program([conv], (1, 1, 1), EVEN)
        codes = golden.run(made, np.arange(-128, 128)[:, None, None, None])
        assert codes["conv"].min() == {1: -1, 2: -1, 8: -64}[width]
        for target in ("qcdq", "qlinear", *(["qonnx"] if width > 1 else [])):
            check(made, target, codes)

    def test_groups(self) -> None:
        """A mask that keeps nothing between groups is a grouped convolution; of one group it is an ordinary one."""
        kept = np.kron(np.eye(2, dtype=bool), np.ones((2, 3), bool))[:, :, None] & np.ones(4, bool)
        rng = np.random.default_rng(0)
        conv = mac_layer("conv", INPUT, rng.integers(-8, 8, (4, 6, 4)), signal(8), kept=kept, pattern="kernel",
                         encoding="kernel flags", window=Window.square(2))  # fmt: skip
        made = shifted(program([conv], (6, 3, 3), signal(8)))
        codes = golden.run(made, rng.integers(-128, 128, (20, 6, 3, 3)))
        for form in WRITERS:
            check(made, form, codes)
            assert b"group" in export_model(made, form)[0]
            (weights,) = (x for x in stored(export_model(made, form)[0]) if x.dims[:2] == [4, 3])
            assert [*weights.dims] == [4, 3, 2, 2]


def reached(made: Program, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return input codes without those that no image becomes: the lowest of a symmetric format."""
    return made.input_signal.encode(made.input_signal.decode(codes))


def stored(model: bytes) -> Any:
    """Return the constants of a model."""
    return onnx.load_from_string(model).graph.initializer


EVEN = Signal(replace(signal(8).format, rounding=Rounding.RND_CONV, overflow=Overflow.SAT), 1.0)


def rounded(rounding: Rounding, negative: bool) -> MacLayer:
    """Return a layer that halves its input twice and rounds by a mode."""
    output = Signal(replace(signal(6).format, rounding=rounding, overflow=Overflow.SAT), 4.0)
    return mac_layer(
        "conv",
        INPUT,
        [[[1]]],
        signal(8),
        window=Window((1, 1)),
        weight_bits=2,
        requantize=Requantize([1], 2),
        output=output,
        relu=not negative,
    )


REFUSED: dict[str, tuple[Make, str]] = {
    "a step": (
        lambda p: replace(p, input_signal=replace(p.input_signal, step=1 / 255)),
        r"input: its step 0.00392157 is no power of two; quantise with power-of-two steps \(espalier quantize --power",
    ),
    "a weight step": (
        lambda p: with_layer(p, "conv1", weight_steps=np.array([0.3])),
        "conv1: its step .* is no power of two; quantise with power-of-two steps",
    ),
    "the rounding": (
        lambda p: with_output(p, "conv2", rounding=Rounding.TRN),
        "conv2: rounds by TRN, which {target} does not; quantise with --rounding RND_CONV",
    ),
    "the overflow": (
        lambda p: with_output(p, "conv2", overflow=Overflow.WRAP),
        "conv2: its codes overflow by WRAP, {target} saturates; quantise with --overflow SAT",
    ),
    "an accumulator": (
        lambda p: narrow_accumulators(p, 9, Overflow.WRAP),
        "conv1: its accumulator overflows at 9 bits, those of {target} hold every sum; quantise without --accumulator",
    ),
    "sums beyond 2**24": (
        lambda p: with_layer(p, "conv1", bias=np.full(6, 1 << 31), bias_bits=33, accumulator_bits=34),
        r"conv1: its sums reach \d+, float32 holds integers up to 16777216; .*quantise with fewer bits of weights",
    ),
    "a multiplier": (
        lambda p: with_layer(p, "conv1", requantize=Requantize([3], 4)),
        "conv1: its multipliers are not the quotient of its steps; quantise with power-of-two steps",
    ),
    "two layers of one name": (
        lambda p: replace(p, layers=(replace(p.layers[0], name="image"), *(x_of(p, "conv1", "image")))),
        "image: two tensors would have this name; rename the layer",
    ),
}


def x_of(made: Program, name: str, new: str) -> Any:
    """Return all layers but the first, reading `new` where they read `name`."""
    return (replace(x, inputs=tuple(new if y == name else y for y in x.inputs)) for x in made.layers[1:])


class TestRefusals:
    @pytest.mark.parametrize("form", WRITERS)
    @pytest.mark.parametrize("case", REFUSED)
    def test_the_line(self, form: str, case: str) -> None:
        """What is not provably equal is refused with the layer and what to change."""
        change, words = REFUSED[case]
        if form == "qonnx" and case == "the rounding":
            return  # has that mode: `test_rounding_in_qonnx`
        with pytest.raises(EspalierError, match=words.format(target=WRITERS[form].target)):
            export_model(change(exportable("lenet5", 4, 5)), form)

    def test_what_was_changed_was_exact_before(self) -> None:
        """Negative control: the same Program, unchanged, is exported."""
        assert all(export_model(exportable("lenet5", 4, 5), form) for form in WRITERS)

    @pytest.mark.slow
    def test_words_longer_than_a_byte(self) -> None:
        """QCDQ has bytes; QONNX has any width."""
        made = exportable("lenet5", 9, 9)
        with pytest.raises(EspalierError, match="conv1: a weight has 9 bits, QCDQ has at most 8; quantise with fewer"):
            export_model(made, "qcdq")
        check(made, "qonnx", expected(made, 20))

    def test_a_mean_that_is_cut(self) -> None:
        """A mean of three codes that is cut to whole ones, where a target rounds to the nearest, is refused."""
        cut = Signal(integer_format(8, True, Rounding.TRN), 0.5)
        mean = AvgPoolLayer("mean", (INPUT,), Window((1, 3)), 10, False, Requantize([21845], 16), cut)
        with pytest.raises(EspalierError, match=r"mean: no float32 divides sums of 3 codes so that QCDQ gives every"):
            export_model(program([mean], (1, 3, 3), EVEN), "qcdq")

    def test_an_unknown_format(self) -> None:
        """There are three."""
        with pytest.raises(EspalierError, match="unknown format 'tflite': expected one of qonnx, qcdq, qlinear"):
            export_model(exportable("lenet5", 4, 5), "tflite")


def test_quantisers_stand_at_every_boundary() -> None:
    """The input and each layer with an accumulator have one; weights and biases are integers in QCDQ."""
    made = exportable("lenet5", 4, 5)
    found = kinds_of(export_model(made, "qcdq")[0])
    assert found["QuantizeLinear"] == 5  # the input, conv1, conv2, conv3, fc4; fc5 hands out its accumulators
    assert found["DequantizeLinear"] == 5 + 2 * 5
    assert kinds_of(export_model(made, "qonnx")[0])["Quant"] == 5 + 2 * 5
