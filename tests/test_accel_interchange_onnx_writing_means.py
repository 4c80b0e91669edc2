"""Exports of 8-bit networks whole: means of any number of codes, and sums that float32 does not hold."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import depthwise_separable, images, mobilenet_v2, resnet18
from support.onnx_referees import check, differing, onnxruntime_tensors
from support.programs import mac_layer, program

from accel.errors import EspalierError
from accel.fixedpoint import Rounding
from accel.interchange.exactness import FLOAT_BITS, divides, largest_sum, mean_divisor, saturating_sum
from accel.interchange.onnx.reading.model import import_model
from accel.interchange.onnx.writing.formats import export_model
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AvgPoolLayer, FlattenLayer
from accel.quantize import Steps, Widths, lower
from accel.scales import requantization
from accel.signal import Requantize, Signal, integer_format, sum_bits
from accel.window import Window
from sim import golden

FORMS = ("qcdq", "qonnx", "qlinear")
WINDOWS = (Window((3, 3)), Window((7, 7)), Window((5, 25)), Window((3, 3), (2, 2), (1, 1, 1, 1)))
BYTE = Signal(integer_format(8, True, Rounding.RND_CONV), 0.25)
PIXEL = Signal(integer_format(8, False, Rounding.RND_CONV), 0.25)  # of products of signed bytes some kernels saturate


def mean(window: Window, relu: bool = False) -> Program:
    """Return an average pool of codes of 8 bits."""
    form = integer_format(8, not relu, Rounding.RND_CONV)
    scale = requantization(np.array([2 / window.taps]), "mean")
    output = Signal(form, 0.125)
    pool = AvgPoolLayer("mean", (INPUT,), window, sum_bits([window.taps], [BYTE.format]), relu, scale, output)
    return program((pool,), (2, 7, 25), BYTE)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("relu", [False, True])
def test_every_sum_of_a_mean(window: Window, relu: bool) -> None:
    """Some float32 divides every sum of codes to the code that the multiplier gives, and another one does not."""
    of = mean(window, relu)
    (pool,) = of.layers
    assert isinstance(pool, AvgPoolLayer)
    divisor = mean_divisor(of, pool)
    assert divisor == pytest.approx(window.taps / 2, rel=1e-4)
    wrong = replace(pool, requantize=Requantize(pool.requantize.multipliers, pool.requantize.shift - 1))
    assert mean_divisor(of, wrong) != divisor


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("window", WINDOWS)
def test_means_are_exported(form: str, window: Window, rng: np.random.Generator) -> None:
    """Means of 9, 49 and 125 codes, which have no power of two for a step, are the referee's code for code."""
    of = mean(window)
    check(of, form, golden.run(of, rng.integers(-128, 128, (20, *of.input_shape))))


def wide(shift: int) -> Program:
    """Return a layer of sums of up to 1,100 x 127 x 255, more than 2**24, whose codes saturate sooner."""
    weights = np.full((2, 1100, 1), 127)
    weights[1, ::3], weights[1, 1::3] = -127, -90
    output = Signal(BYTE.format, 0.25 * 2.0**shift)
    scale = {"requantize": Requantize(np.ones(1), shift), "output": output}
    layer = mac_layer("wide", INPUT, weights, PIXEL, window=Window((1, 1)), **scale)
    flat = FlattenLayer("flat", ("wide",))
    last = mac_layer("last", "flat", np.eye(2), output)
    return program((layer, flat, last), (1100, 1, 1), PIXEL)


def wide_codes(of: Program, rng: np.random.Generator) -> dict[str, Any]:
    """Return what images give of which some have the largest sums, and some small ones."""
    codes = rng.integers(0, 255, (12, *of.input_shape), endpoint=True)
    codes[:3] = np.array([255, 100, 3])[:, None, None, None]
    codes[3, 2::3] = 0
    return golden.run(of, codes)


def test_wide_sums(rng: np.random.Generator) -> None:
    """Sums in words of 32 bits are cut where their codes saturate, and float32 holds what is left."""
    of = wide(16)
    layer = of.mac_layers[0]
    assert largest_sum(of, layer) == 1100 * 127 * 255 > 1 << FLOAT_BITS
    assert saturating_sum(layer) == 129 << 16
    codes = wide_codes(of, rng)
    assert {-128, 127} <= {*codes["wide"].ravel().tolist()}
    check(of, "qlinear", codes)


def test_wide_sums_are_refused_where_floats_hold_them() -> None:
    """QCDQ and QONNX say what to do instead; so does QLinear where codes do not saturate in time."""
    for form in ("qcdq", "qonnx"):
        line = "^wide: its sums reach 35623500, float32 holds integers up to 16777216; export as qlinear, whose sums"
        with pytest.raises(EspalierError, match=line):
            export_model(wide(16), form)
    with pytest.raises(EspalierError, match=r"^wide: its sums reach 35623500, float32 .* quantise with fewer"):
        export_model(wide(17), "qlinear")


def test_a_wrong_divisor_is_seen(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a mean that is divided by another number gives other codes."""
    of = mean(WINDOWS[0])
    codes = golden.run(of, rng.integers(-128, 128, (4, *of.input_shape)))
    monkeypatch.setattr("accel.interchange.onnx.writing.qlinear.mean_divisor", lambda program, layer: 4.0)
    model = export_model(of, "qlinear")[0]
    found = onnxruntime_tensors(model, [*of.shapes], of.input_signal.decode(codes[INPUT]))
    assert differing(of, found, codes, True) == ["mean"]


NETWORKS = {
    "resnet18": lambda: resnet18(96, 10, 8),
    "mobilenet_v2": lambda: mobilenet_v2(96, 10, 8),
    "ds_cnn": depthwise_separable,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, tmp_path: Any) -> None:
    """ResNet-18, MobileNetV2 and DS-CNN in 8 bits, with means of 9 and 26 pixels, give the engine's codes."""
    pruned = import_model(NETWORKS[name]().save(tmp_path / "x.onnx")).result
    batch = np.abs(images(pruned.network.input_shape, 2))
    steps = replace(Steps(), power_of_two=True)
    of = lower(pruned, Widths(8, 8), batch, steps, rounding=Rounding.RND_CONV)
    assert any(map(divides, of.layers))
    check(of, "qlinear", golden.run(of, of.input_signal.encode(batch)))
