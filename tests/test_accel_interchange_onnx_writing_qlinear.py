"""Exports to integer operators: onnxruntime gives the engine's codes at every layer, from bytes and int32 sums."""

import re

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
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
    reference_tensors,
    refusal,
    shifted,
    with_one_code_changed,
)
from support.programs import batches, mac_layer, program, signal

from accel.errors import EspalierError
from accel.interchange.onnx.writing.formats import export_model
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer, ReluLayer
from accel.signal import Requantize
from accel.window import Window
from sim import golden

FORM = "qlinear"


class TestReferee:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", NETWORKS)
    @pytest.mark.parametrize("plain", [True, False], ids=["plain", "rewritten"])
    def test_networks(self, name: str, plain: bool) -> None:
        """The same codes come from onnxruntime on 500 images, whether it runs the graph as it stands or rewrites it."""
        made = exportable(name)
        codes = expected(made)
        assert len(codes[INPUT]) == IMAGES
        check(made, FORM, codes, plain)

    @pytest.mark.parametrize("pattern", ["kernel", "ikss", "block-4", "2:4", "feature-map+kernel"])
    def test_patterns(self, pattern: str) -> None:
        """What is pruned is zeros there."""
        made = exportable("lenet5", 3, 4, pattern)
        check(made, FORM, expected(made, 50))

    @pytest.mark.slow
    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_any_program(self, data: st.DataObject) -> None:
        """A Program of any layers, windows, patterns and widths is exported to the very codes, or refused by width."""
        made = data.draw(exact_programs(longest=8))
        codes = data.draw(batches(made))
        codes = golden.run(made, made.input_signal.encode(made.input_signal.decode(codes)))
        if (line := refusal(made, FORM)) is not None:
            assert re.search(r"has \d+ bits|its sums reach \d+|reads the accumulators of", line)
            assume(False)
        check(made, FORM, codes)

    @pytest.mark.parametrize("layer", ["conv2", "fc5"])
    def test_one_wrong_code_is_seen(self, layer: str) -> None:
        """Negative control: with one weight code lowered, other codes come from that layer on, and only there."""
        made, names = exportable("lenet5"), ["conv1", "conv2", "fc4", "fc5"]
        codes = expected(made)
        images = made.input_signal.decode(codes[INPUT])
        model = export_model(made, FORM)[0]
        assert differing(made, onnxruntime_tensors(model, names, images), codes, True) == []
        liveliest = int(codes["fc4"].mean(axis=0).argmax()) * 10  # of the rows of fc5, which reads fc4
        wrong = with_one_code_changed(model, f"{layer}.weight_codes", place=liveliest if layer == "fc5" else None)
        found = onnxruntime_tensors(wrong, names, images)
        assert differing(made, found, codes, True) == names[names.index(layer) :]


def conv(output_signed: bool, largest: int, last: bool = False) -> Program:
    """Return one convolution of signed bytes, whose largest weight is given; a second one reads what it gives."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-8, 9, (3, 2, 9))
    weights[0, 0, 0] = largest
    finish = {"requantize": Requantize([1], 4), "output": signal(8, output_signed)}
    first = mac_layer("conv", INPUT, weights, signal(8), window=Window.square(3), **({} if last else finish))
    return shifted(program([first], (2, 6, 6), signal(8)))


class TestOperators:
    @pytest.mark.parametrize(
        ("output_signed", "largest", "op", "dtype"),
        [
            (True, 64, "QLinearConv", np.int8),
            (True, 65, "ConvInteger", np.uint8),  # QLinearConv of signed bytes has signed weights
            (True, -128, "ConvInteger", np.uint8),
            (False, 64, "ConvInteger", np.int8),  # and signed outputs
        ],
    )
    def test_the_operator_and_its_weights(self, output_signed: bool, largest: int, op: str, dtype: type) -> None:
        """Where signs agree it is QLinearConv; weights above 64 have no sign, so that no sum in 16 bits saturates."""
        made = conv(output_signed, largest)
        model = export_model(made, FORM)[0]
        assert kinds_of(model).get(op) == 1
        (weights,) = (x for x in onnx.load_from_string(model).graph.initializer if x.name == "conv.weight_codes")
        array = numpy_helper.to_array(weights)
        assert array.dtype == dtype
        offset = 128 if dtype == np.uint8 else 0
        assert np.array_equal(array.astype(int).reshape(3, -1) - offset, made.mac_layers[0].matrix)
        codes = np.random.default_rng(0).integers(-128, 128, (50, 2, 6, 6))
        if op == "ConvInteger":  # whose pairs of products onnxruntime saturates on x86 processors without VNNI
            found = reference_tensors(model, [*made.shapes], made.input_signal.decode(codes))
            assert differing(made, found, golden.run(made, codes), holds_codes=True) == []
        else:
            check(made, FORM, golden.run(made, codes))

    def test_sums_are_int32(self) -> None:
        """What the last layer hands out are its accumulators, and its scores their real values."""
        made = conv(True, 64, last=True)
        codes = np.random.default_rng(0).integers(-128, 128, (50, 2, 6, 6))
        expected_codes = golden.run(made, codes)["conv"]
        found = onnxruntime_tensors(
            export_model(made, FORM)[0], ["conv.codes", "conv"], made.input_signal.decode(codes)
        )
        assert found["conv.codes"].dtype == np.int32
        assert np.array_equal(found["conv.codes"], expected_codes)
        assert np.array_equal(found["conv"], expected_codes * made.signals["conv"].step)

    def test_lenet5(self) -> None:
        """Convolutions that read and give unsigned bytes are QLinearConv, fully connected layers MatMulInteger."""
        found = kinds_of(export_model(exportable("lenet5"), FORM)[0])
        assert {op: found[op] for op in ("QLinearConv", "MatMulInteger", "MaxPool")} == {
            "QLinearConv": 3,
            "MatMulInteger": 2,
            "MaxPool": 2,
        }
        assert not {"Conv", "Gemm", "MatMul"} & found.keys()


class TestRefusals:
    def test_accumulators_in_the_middle(self) -> None:
        """Sums that are not requantised may only be handed out, through a flatten or a ReLU."""
        made = conv(True, 64, last=True)
        pooled = Program("test", "mixed", "none", made.input_shape, made.input_signal, (*made.layers, pool()))
        with pytest.raises(EspalierError, match="pool: reads the accumulators of conv, QLinear reads bytes; only a"):
            export_model(pooled, FORM)
        moved = (*made.layers, ReluLayer("relu", ("conv",)), FlattenLayer("flat", ("relu",)))
        made = Program("test", "mixed", "none", made.input_shape, made.input_signal, moved)
        codes = np.random.default_rng(0).integers(-128, 128, (50, 2, 6, 6))
        check(made, FORM, golden.run(made, codes))

    def test_words_longer_than_a_byte(self) -> None:
        """Weights and signals are bytes."""
        with pytest.raises(
            EspalierError, match="conv1: a weight has 9 bits, QLinear has at most 8; quantise with fewer"
        ):
            export_model(exportable("lenet5", 9, 8), FORM)
        with pytest.raises(
            EspalierError, match="conv1: a signal has 9 bits, QLinear has at most 8; quantise with fewer"
        ):
            export_model(exportable("lenet5", 8, 9), FORM)


def pool() -> MaxPoolLayer:
    """Return a pool of what a layer called conv gives."""
    return MaxPoolLayer("pool", ("conv",), Window.square(2))
