"""What a quantised ONNX file says and no Program computes exactly is refused in one line; nothing is approximated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import Drawing
from support.onnx_quantized import QONNX, Quantized, small

from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import ImportedProgram, import_model

HALF, ZERO = np.float32(0.5), np.int8(0)


def quant(*numbers: float, mode: str = "ROUND", op: str = "Quant", **settings: Any) -> Quantized:
    """Return a convolution and a Quant of these numbers (scale, zero point, bits) after it."""
    g = small(qonnx=True)
    g.qconv(3, 2)
    attributes = {"signed": 1, "narrow": 0, "rounding_mode": mode, "domain": QONNX} | settings
    g.node(op, "", *(g.constant(np.float32(number)) for number in numbers), **attributes)
    return g


def linear(scale: Any = HALF, zero: Any = ZERO, **settings: Any) -> Quantized:
    """Return a convolution and a QuantizeLinear, DequantizeLinear of this scale and zero point after it."""
    g = small()
    g.qconv(3, 2)
    constants = g.constant(scale), g.constant(zero)
    g.node("QuantizeLinear", "", *constants, **settings)
    g.node("DequantizeLinear", "", *constants, **settings)
    return g


def integer(op: str) -> Quantized:
    """Return an operator of integers that reads the codes of the image, and what makes scores of its sums."""
    g = small()
    g.nodes.pop()  # the DequantizeLinear, so that the image's integers are read
    g.last = g.nodes[-1].output[0]
    if op == "MatMulInteger":
        g.node("Flatten")
    shape = (3, 2, 3, 3) if op == "ConvInteger" else (128, 3)
    g.node(op, "", g.constant(g.rng.integers(-7, 8, shape).astype(np.int8)))
    g.node("DequantizeLinear", "", g.constant(HALF))
    return g


def dynamic() -> Quantized:
    """Return a network as it is when onnxruntime quantises each image by its own range."""
    g = Quantized("batch", 2, 8, 8)
    g.node("DynamicQuantizeLinear", outputs=["codes", "scale", "zero"], name="dynamic")
    g.node("ConvInteger", "codes", g.constant(np.ones((3, 2, 3, 3), np.int8)), "zero")
    return g


def microsoft() -> Quantized:
    """Return a network of an operator of onnxruntime's own that is none for images."""
    g = small()
    g.node("QAttention", domain="com.microsoft", name="own")
    return g


def softmax() -> Quantized:
    """Return a network that reads a softmax, quantised, in its middle."""
    g = small()
    g.qconv(3, 2)
    g.quantize(0.5)
    g.node("Softmax", axis=1)
    g.quantize(1 / 256, signed=False)
    g.qconv(2, 3)
    return g


def followed_by(*nodes: tuple[str, dict[str, Any]], step: float = 0.5) -> Quantized:
    """Return a quantised convolution with nodes after it."""
    g = small()
    g.qconv(3, 2)
    g.quantize(step)
    for op, settings in nodes:
        g.node(op, **settings)
    return g


def float_conv() -> Quantized:
    """Return a convolution of weights that nothing quantised."""
    g = small()
    g.conv(3, 2, 3)
    return g


def float_image() -> Quantized:
    """Return a convolution that reads the image itself."""
    g = Quantized(1, 2, 8, 8)
    g.qconv(3, 2)
    g.quantize(0.5)
    return g


def float_bias(quantized: bool = False) -> Quantized:
    """Return a convolution with a bias between the steps of its sums, which leave as they are or are quantised."""
    g = small()
    weight = g.coded(np.ones((3, 2, 3, 3), np.int64), 0.125)
    g.node("Conv", "", weight, g.constant(np.array([0.5, 0.25, 0.3], np.float32)))
    if quantized:
        g.quantize(0.5)
    return g


def lowest_weight(gain: float) -> Quantized:
    """Return a convolution of the lowest 8-bit weights with a product before its quantiser."""
    g = small()
    g.node("Conv", "", g.coded(np.full((3, 2, 3, 3), -128), 0.125))
    g.node("Mul", "", g.constant(np.float32(gain)))
    g.quantize(0.5)
    return g


def pooled(gain: float, offset: float) -> Quantized:
    """Return an average with a product and a sum of constants before its quantiser."""
    g = small()
    g.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    g.node("Mul", "", g.constant(np.float32(gain)))
    g.node("Add", "", g.constant(np.float32(offset)))
    g.quantize(0.5)
    g.qconv(3, 2, reads=0.5)
    return g


def steps_of_inputs() -> Quantized:
    """Return a convolution whose weights have a step for each input map."""
    g = small()
    g.node("Conv", "", g.coded(np.ones((2, 2, 3, 3), np.int64), [0.5, 0.25], axis=1))
    g.quantize(0.5)
    return g


def steps_of_scores() -> Quantized:
    """Return scores whose sums have a step each."""
    g = small()
    g.qconv(2, 2, step=np.array([0.5, 0.25]))
    return g


def two_images() -> Quantized:
    """Return two quantisers of the image."""
    g = Quantized(1, 2, 8, 8)
    left = g.quantize(0.5, source="image")
    right = g.quantize(0.25, source="image")
    g.node("Concat", left, right, axis=1)
    g.qconv(2, 4)
    return g


def two_steps(op: str, left: float, right: float, rounds: bool = True, **settings: Any) -> Quantized:
    """Return two signals of these steps that are added or joined, and then quantised or read by a convolution."""
    g = small()
    source = g.last
    one = [g.qconv(2, 2, source=source), g.quantize(left)][1]
    two = [g.qconv(2, 2, source=source), g.quantize(right)][1]
    g.node(op, one, two, **settings)
    if not rounds:
        g.qconv(2, 4)
    g.quantize(1.0)
    return g


def scaled(gain: Any, offset: Any = 0.0, relu: bool = False) -> Quantized:
    """Return a convolution with a product and a sum of constants before its quantiser."""
    g = small()
    g.qconv(3, 2)
    if relu:
        g.node("Relu")
    g.node("Mul", "", g.constant(np.float32(gain)))
    g.node("Add", "", g.constant(np.float32(offset)))
    g.quantize(0.5)
    return g


def normed() -> Quantized:
    """Return a convolution with a batch norm before its quantiser."""
    g = small()
    g.qconv(3, 2)
    g.norm(3)
    g.quantize(0.5)
    return g


def clipped() -> Quantized:
    """Return codes with a bound between two of them."""
    g = followed_by(step=0.5)
    g.node("Clip", "", g.constant(np.float32(0)), g.constant(np.float32(6.2)))
    return g


def other_scale(scale: float = 0.25, zero: int = 0) -> Quantized:
    """Return codes that are read by another scale than they were made with."""
    g = small()
    g.node("QuantizeLinear", "", g.constant(np.float32(0.5)), g.constant(np.int8(0)))
    g.node("DequantizeLinear", "", g.constant(np.float32(scale)), g.constant(np.int8(zero)))
    g.qconv(2, 2)
    return g


def integers_read() -> Quantized:
    """Return a convolution of integers, which is not one of real values."""
    g = small()
    g.node("QuantizeLinear", "", g.constant(np.float32(0.5)), g.constant(np.int8(0)))
    g.qconv(2, 2)
    return g


def bounds(low: int, high: int) -> Quantized:
    """Return integers that are clipped to a range that no word has."""
    g = small()
    g.qconv(3, 2)
    constants = g.constant(np.float32(0.5)), g.constant(np.int8(0))
    codes = g.node("QuantizeLinear", "", *constants)
    g.node("Clip", codes, g.constant(np.int8(low)), g.constant(np.int8(high)))
    g.node("DequantizeLinear", "", *constants)
    return g


def truncated(*numbers: float, mode: str = "FLOOR", step: float = 0.5) -> Quantized:
    """Return a sum of pixels and a Trunc of these numbers."""
    g = small(qonnx=True)
    g.qconv(3, 2)
    g.quantize(step, 4, signed=False)
    g.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    g.node("Trunc", "", *(g.constant(np.float32(number)) for number in numbers), rounding_mode=mode, domain=QONNX)
    return g


def third() -> Quantized:
    """Return a requantisation by a quotient that no 16-bit multiplier is."""
    g = Quantized(1, 2, 8, 8)
    g.quantize(0.1)
    g.qconv(3, 2, step=0.013, bias=False)
    g.quantize(0.0037, dtype=np.int16)
    return g


def scaled_gemm() -> Quantized:
    """Return a fully connected layer that multiplies its sums."""
    g = small()
    g.node("Flatten")
    g.node("Gemm", "", g.coded(np.ones((3, 128), np.int64), 0.125), transB=1, alpha=0.5)
    return g


def weighted(value: float) -> Quantized:
    """Return a fully connected layer whose weights, one of them `value`, are quantised by QuantizeLinear."""
    g, weight = small(), np.ones((3, 128), np.float32)
    weight[1, 2] = value
    features = g.node("Flatten")
    constants = g.constant(HALF), g.constant(ZERO)
    codes = g.node("QuantizeLinear", g.constant(weight), *constants, name="weight_codes")
    g.node("Gemm", features, g.node("DequantizeLinear", codes, *constants), transB=1)
    return g


REFUSED: list[tuple[str, Callable[[], Drawing], str]] = [
    ("a weight that is none", lambda: weighted(np.nan), "'weight_codes': input 0 holds a value that is not finite"),
    ("an infinite weight", lambda: weighted(np.inf), "'weight_codes': input 0 holds a value that is not finite"),
    ("ConvInteger", lambda: integer("ConvInteger"), "ConvInteger 'convinteger1': gives sums whose scale the file"),
    ("MatMulInteger", lambda: integer("MatMulInteger"), "MatMulInteger 'matmulinteger2': gives sums whose scale"),
    ("a runtime's own", microsoft, "QAttention 'own': is of the domain 'com.microsoft', expected one of ONNX's or"),
    ("a quantised softmax", softmax, "Conv 'conv12': reads what Softmax or ArgMax gives; these may"),
    ("dynamic", dynamic, "DynamicQuantizeLinear 'dynamic': finds another scale for each image, a Program has one;"),
    ("BipolarQuant", lambda: quant(1, op="BipolarQuant"), "BipolarQuant 'bipolarquant4': has the two codes -1 and 1"),
    ("one bit", lambda: quant(1, 0, 1), "Quant 'quant4': has 1 bit with a sign, the codes -1 and 1 and none for zero"),
    ("CEIL", lambda: quant(1, 0, 4, mode="CEIL"), "Quant 'quant4': attribute rounding_mode is CEIL, expected one of"),
    ("UP", lambda: quant(1, 0, 4, mode="UP"), "Quant 'quant4': attribute rounding_mode is UP, expected one of ROUND"),
    ("half a bit", lambda: quant(1, 0, 4.5), "input 3 (bit_width) is 4.5, expected a whole number in 1..32"),
    ("no bits", lambda: quant(1, 0, np.inf), "input 3 (bit_width) is inf, expected a whole number in 1..32"),
    ("a scale of 0", lambda: quant(0, 0, 4), "Quant 'quant4': input 1 (scale) must be positive numbers"),
    ("an odd zero point", lambda: quant(1, 3, 4), "Quant 'quant4': input 2 (zeropt) is 3, which does more than move"),
    ("a range", lambda: bounds(3, 5), "QuantizeLinear 'quantizelinear5': its codes are 3..5, expected zero among them"),
    (
        "a step for each map",
        lambda: linear(np.array([0.5, 0.25, 1], np.float32), np.zeros(3, np.int8), axis=1),
        "QuantizeLinear 'quantizelinear5': attribute y_scale has 3 numbers, expected one: a signal has one step",
    ),
    (
        "a step for each map, QONNX",
        lambda: with_steps_of_maps(),
        "Quant 'quant4': attribute scale has 3 numbers, expected one: a signal has one step",
    ),
    (
        "blocks",
        lambda: linear(block_size=2),
        "QuantizeLinear 'quantizelinear5': attribute block_size is 2, expected 0: no step for each block",
    ),
    ("float weights", float_conv, "Conv 'conv2': its weights are floats, expected quantised"),
    ("a float image", float_image, "Conv 'conv2': reads the image, which no quantiser rounded"),
    (
        "a float bias",
        float_bias,
        "Conv 'conv3': its bias 0.3 is no whole multiple of weight step * input step, 0.03125, and no quantiser",
    ),
    ("steps of input maps", steps_of_inputs, "its weights have a step for each index of axis 1, expected 0"),
    ("steps of scores", steps_of_scores, "Conv 'conv4': has a step for each output and no quantiser after it"),
    ("two images", two_images, "the image is quantised twice"),
    (
        "a sum of two steps",
        lambda: two_steps("Add", 0.1, 0.3),
        "adds steps 0.1 and 0.3, expected a quotient of small integers: one scale for both, or powers of two",
    ),
    (
        "maps of two steps",
        lambda: two_steps("Concat", 0.5, 0.25, False, axis=1),
        "joins maps of the steps 0.5 and 0.25, expected one scale for both",
    ),
    (
        "a weight that cannot be turned",
        lambda: lowest_weight(-1),
        "Conv 'conv3': a batch norm turns its weights round, and 128 does not fit 8 bits; quantise weights",
    ),
    ("a negative gain of a pool", lambda: pooled(-1, 0), "Add 'add4': multiplies by a number that is not positive"),
    ("an offset of a pool", lambda: pooled(1, 0.1), "Add 'add4': adds a number to sums, expected a bias of a layer"),
    (
        "a gain for each map of codes",
        lambda: scaled([[[1]], [[2]], [[3]]], relu=True),
        "Mul 'mul6': multiplies by a number for each map: a signal has one step",
    ),
    (
        "a batch norm",
        normed,
        "its scale: no 16-bit multiplier, offset and shift give the codes of the quotient 0.0902252 for all sums "
        "-8367..8463 plus 0.445772; --multiplier-bits 32 may find some, --nearest takes the nearest",
    ),
    ("a bound between codes", clipped, "its upper bound is 6.2, no whole multiple of the step it reads"),
    (
        "codes of another scale",
        other_scale,
        "DequantizeLinear 'dequantizelinear3': attribute x_scale, x_zero_point is 0.25, 0;",
    ),
    ("integers", integers_read, "Conv 'conv5': reads the integers 'quantizelinear2_out' of a quantiser, expected"),
    (
        "Trunc of another scale",
        lambda: truncated(0.5, 0, 6, 2.0, 4),
        "Trunc 'trunc6': reads multiples of 0.125, expected whole ones of its scale 0.5: it would round twice",
    ),
    ("Trunc with a zero point", lambda: truncated(0.125, 1, 6, 0.5, 4), "Trunc 'trunc6': input 2 (zero_pt) is 1,"),
    ("Trunc of no bits", lambda: truncated(0.125, 0, 4, 6), "Trunc 'trunc6': drops -2 bits of a scale of 0.125"),
    (
        "a quotient",
        third,
        "its scale: no 16-bit multiplier and shift give the codes of the quotient 0.351351 for all sums",
    ),
    ("alpha", scaled_gemm, "Gemm 'gemm4': attribute alpha is 0.5, expected 1"),
    ("alien", lambda: followed_by(("Sigmoid", {})), "Sigmoid 'sigmoid7': is one that a quantised graph has no codes"),
]  # fmt: skip


def with_steps_of_maps() -> Quantized:
    """Return a signal with a step for each of its maps."""
    g = small(qonnx=True)
    g.qconv(3, 2)
    numbers = np.array([0.5, 0.25, 1], np.float32).reshape(1, 3, 1, 1), np.float32(0), np.float32(4)
    g.node("Quant", "", *map(g.constant, numbers), signed=1, narrow=0, rounding_mode="ROUND", domain=QONNX)
    return g


class TestRefusals:
    @pytest.mark.parametrize(("draw", "words"), [x[1:] for x in REFUSED], ids=[x[0] for x in REFUSED])
    def test_the_line(self, tmp_path: Path, draw: Callable[[], Drawing], words: str) -> None:
        """The line names the node, what is wrong with it, and what would be right."""
        path = draw().save(tmp_path / "model.onnx")
        with pytest.raises(EspalierError) as caught:
            import_model(path)
        assert words in str(caught.value)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "draw",
        [
            lambda: quant(1, 0, 4),
            lambda: weighted(2),
            linear,
            lambda: scaled(2, 0.125),
            lambda: scaled(1, 0.1),
            lambda: scaled(-1),
            lambda: float_bias(quantized=True),
            lambda: lowest_weight(1),
            lambda: pooled(2, 0),
            lambda: scaled([[[1]], [[2]], [[4]]]),
            lambda: truncated(0.125, 0, 6, 0.5, 4),
            lambda: two_steps("Add", 0.1, 0.3 / 3),
            lambda: bounds(-8, 7),
            lambda: quant(1, 2, 4),
            lambda: quant(1, 0, 4, signed=0, narrow=1),
            lambda: linear(zero=np.int8(3)),
            lambda: bounds(-3, 5),
            lambda: two_steps("Concat", 0.5, 0.25, axis=1),
        ],
    )
    def test_what_stands_beside_it_is_read(self, tmp_path: Path, draw: Callable[[], Drawing]) -> None:
        """Negative control: the same graphs with numbers that a Program has are imported."""
        assert isinstance(import_model(draw().save(tmp_path / "model.onnx")), ImportedProgram)
