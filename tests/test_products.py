"""Products of two signals, and of maps by a signal with a number for each; the array has none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.programs import program, signal

from accel.cost import cost_of
from accel.demand import array_for
from accel.errors import EspalierError
from accel.layers import Activation, Conv2d, GlobalAvgPool, Mul
from accel.network import INPUT, Network
from accel.program import Program
from accel.program_layers import AvgPoolLayer, MulLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.signal import Requantize, Signal, integer_format, product_bits
from accel.window import Window
from sim import golden
from sim.engine import compile_program

Array = np.ndarray[Any, np.dtype[Any]]
SHAPE = (3, 4, 5)


def squeezed(reads: Signal, output: Signal) -> Program:
    """Return maps times the nearest mean of each."""
    taps = 20
    mean = AvgPoolLayer("mean", (INPUT,), Window((4, 5)), 16, False, Requantize(np.array([3277]), 16), reads)
    assert round(65536 / taps) == 3277
    bits = product_bits(reads.format, reads.format)
    return program((mean, MulLayer("x", (INPUT, "mean"), bits, False, Requantize(np.ones(1), 3), output)), SHAPE, reads)


def codes_of(form: Any, rng: np.random.Generator, count: int = 5) -> Array:
    """Return images of any codes."""
    return rng.integers(form.min_code, form.max_code, (count, *SHAPE), endpoint=True)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("signed", [False, True])
def test_codes(bits: int, signed: bool, rng: np.random.Generator) -> None:
    """Golden and engine give floor(maps * means / 8 + 1/2), saturated, at every width."""
    reads = Signal(integer_format(bits, signed), 0.5)
    of = squeezed(reads, Signal(integer_format(6, True), 0.25))
    codes = codes_of(reads.format, rng)
    tensors = golden.run(of, codes)
    products = codes * tensors["mean"]
    assert np.array_equal(tensors["x"], np.clip((products + 4) // 8, -32, 31))
    found = compile_program(of).run(codes, keep_tensors=True).tensors
    assert np.array_equal(found["x"], tensors["x"])


def test_of_two_signals_and_of_features(rng: np.random.Generator) -> None:
    """Tensors of one shape are multiplied number by number; the engine sees a wrong one (negative control)."""
    reads = signal(5)
    one = Requantize(np.ones(1), 0)
    layer = MulLayer("x", (INPUT, INPUT), product_bits(reads.format, reads.format), False, one, signal(10))
    of = program((layer,), SHAPE, reads)
    codes = codes_of(reads.format, rng)
    expected = codes**2
    assert np.array_equal(golden.run(of, codes)["x"], expected)
    assert np.array_equal(compile_program(of).run(codes).codes, expected)
    assert not np.array_equal(compile_program(of).run(codes[::-1].copy()).codes, expected)


def excited() -> PrunedNetwork:
    """Return a network with squeeze-and-excitation."""
    rng = np.random.default_rng(5)

    def conv(name: str, source: str, outputs: int, maps: int, kernel: int) -> Conv2d:
        weight = rng.normal(0, 0.5, (outputs, maps, kernel, kernel))
        window = Window.square(kernel, 1, kernel // 2)
        return Conv2d(name, (source,), weight=weight, bias=np.zeros(outputs), window=window)

    layers = (
        conv("maps", INPUT, 4, 3, 3), GlobalAvgPool("mean", ("maps",)), conv("gate", "mean", 4, 4, 1),
        Activation("sigmoid", ("gate",), "sigmoid"), Mul("scaled", ("maps", "sigmoid")),
        conv("last", "scaled", 2, 4, 1),
    )  # fmt: skip
    return PrunedNetwork(Network("excited", SHAPE, layers))


def test_lowered(tmp_path: Path) -> None:
    """A network in 8 bits is near its floats; its file holds the product, and the cost model counts its constants."""
    pruned, images = excited(), np.random.default_rng(6).normal(0, 1, (8, *SHAPE)).astype(np.float32)
    of = lower(pruned, Widths(8, 8), images)
    tensors = golden.run(of, of.input_signal.encode(images))
    scores, floats = of.signals[of.output].decode(tensors[of.output]), pruned.network.scores(images)
    assert np.linalg.norm(scores - floats) < 0.05 * np.linalg.norm(floats)
    of.save(tmp_path / "x.espalier")
    again = Program.load(tmp_path / "x.espalier")
    assert again.to_bytes() == of.to_bytes()
    (scaled,) = (layer for layer in again.layers if isinstance(layer, MulLayer))
    cost = next(layer for layer in cost_of(of).layers if layer.name == "scaled")
    assert cost.counts.requantize_memory_bits == scaled.requantize.bits
    assert cost.accumulator_bits == scaled.accumulator_bits == 16
    pruned.save(tmp_path / "x")
    assert np.array_equal(PrunedNetwork.load(tmp_path / "x").network.scores(images), floats)


def test_no_array() -> None:
    """The array refuses it by name and says why."""
    of = squeezed(signal(5), signal(6))
    line = r"^x: the array runs no MulLayer yet: its multipliers take a weight of the Program on one side"
    with pytest.raises(EspalierError, match=line):
        array_for(of, 4, 4)


def test_refusals() -> None:
    """Shapes that do not fit and accumulators that are too narrow are refused with both numbers."""
    layer = squeezed(signal(5), signal(6)).layers[1]
    with pytest.raises(EspalierError, match=r"^x: multiplies equal shapes, or maps by a factor for each, gets"):
        layer.output_shape(SHAPE, (1, 4, 5))
    assert isinstance(layer, MulLayer)
    with pytest.raises(EspalierError, match=r"^x: accumulator_bits must be at least 10, got 9$"):
        replace(layer, accumulator_bits=9).output_signal(signal(5), signal(5))
