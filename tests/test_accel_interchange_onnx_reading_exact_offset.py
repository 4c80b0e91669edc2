"""Sums with a fraction of a step added to them: the file's code for every sum, or no such integers exist."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.onnx_quantized import Quantized

from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.interchange.onnx.reading import exact_offset
from accel.interchange.onnx.reading.exact_offset import exact_with_offsets
from accel.interchange.onnx.reading.exact_scale import Scale, Sums, rounded, threshold
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.program_layers import MacLayer
from accel.signal import Requantize, integer_format
from sim import golden

Integers = np.ndarray
MODES = st.sampled_from([Rounding.RND_CONV, Rounding.RND_CONV, *Rounding])


def codes_of(sums: Sums, form: FixedFormat) -> list[int]:
    """Return the code of every accumulator, in exact numbers."""
    lowest = form.min_code | 1 if form.overflow == Overflow.SAT_SYM and form.signed else form.min_code
    numbers = ((x + sums.offset) * sums.ratio for x in range(sums.low, sums.high + 1))
    return [min(max(rounded(x, form.rounding), lowest), form.max_code) for x in numbers]


def codes_by(scale: Scale, sums: Sums, form: FixedFormat, output: int = 0) -> list[int]:
    """Return the code of every accumulator as a Program with these numbers has it."""
    accumulators = np.arange(sums.low, sums.high + 1) + scale.steps[output]
    one = scale.requantize.of_outputs(len(scale.steps))[output]
    return Requantize(one[:1], scale.requantize.shift, one[1:]).apply(accumulators[:, None], form).ravel().tolist()


def any_numbers(sums: Sums, form: FixedFormat, largest: int, shifts: range) -> bool:
    """Return whether integers give every code, by trying all multipliers, and all offsets within a step."""
    accumulators, expected = np.arange(sums.low, sums.high + 1), np.array(codes_of(sums, form))
    for shift in shifts:
        for multiplier in range(1, largest + 1):
            offsets = np.arange(-multiplier, 2 * multiplier)
            products = (accumulators[None, :] * multiplier + offsets[:, None])[None]
            codes = form.convert(products, FixedFormat(61, 61 - shift))[0]
            if (codes == expected).all(axis=1).any():
                return True
    return False


drawn: dict[str, Any] = {
    "ratio": st.fractions(Fraction(1, 400), 2, max_denominator=10**6),
    "offset": st.fractions(0, Fraction(999_999, 10**6), max_denominator=10**6),
    "low": st.integers(-120, 60),
    "size": st.integers(0, 120),
    "bits": st.integers(1, 5),
    "mode": MODES,
    "overflow": st.sampled_from([Overflow.SAT, Overflow.SAT_SYM]),
    "signed": st.booleans(),
}


class TestExactWithOffsets:
    @settings(max_examples=100, deadline=None)
    @given(**drawn)
    def test_every_sum(self, ratio: Fraction, offset: Fraction, low: int, size: int, **how: Any) -> None:
        """What is found gives the code of each sum that there can be; with 32 bits something always is."""
        form = integer_format(how["bits"], how["signed"], how["mode"], how["overflow"])
        sums = Sums(ratio, low, low + size, offset)
        found = exact_with_offsets([sums], form, (1 << 32) - 1)
        assert found is not None
        assert codes_by(found, sums, form) == codes_of(sums, form)

    @settings(max_examples=60, deadline=None)
    @given(**drawn | {"size": st.integers(0, 60)})
    def test_what_is_not_found_is_not_there(
        self, ratio: Fraction, offset: Fraction, low: int, size: int, **how: Any
    ) -> None:
        """With 4-bit multipliers: if nothing is found no integers do, and none with a smaller shift than was found."""
        form = integer_format(how["bits"], how["signed"], how["mode"], how["overflow"])
        sums = Sums(ratio, low, low + size, offset)
        found = exact_with_offsets([sums], form, 15)
        assert not any_numbers(sums, form, 15, range(11 if found is None else found.requantize.shift))
        assert found is None or any_numbers(sums, form, 15, range(found.requantize.shift, found.requantize.shift + 1))

    def test_one_more_is_wrong(self) -> None:
        """Negative control: where an offset has one value alone the next ones give another code somewhere."""
        sums, form = Sums(Fraction(3, 7), -40, 40, Fraction(2, 5)), integer_format(6, True, Rounding.RND_CONV)
        found = exact_with_offsets([sums], form, 255)
        assert found is not None
        assert codes_by(found, sums, form) == codes_of(sums, form)
        ((multiplier, offset),) = found.requantize.of_outputs(1).tolist()
        others = [x for x in range(multiplier) if x != offset]
        right = [
            x
            for x in others
            if codes_by(Scale(Requantize([multiplier], found.requantize.shift, [x]), (0,)), sums, form)  # type: ignore[arg-type]
            == codes_of(sums, form)
        ]
        assert len(right) < len(others)

    def test_outputs_share_a_shift(self) -> None:
        """Each output has numbers of its own; one shift is the least for which all have some."""
        form = integer_format(4, False, Rounding.RND_CONV)
        parts = [Sums(Fraction(1, 4), 0, 99, Fraction(1, 3)), Sums(Fraction(3, 100), -50, 600, Fraction(5, 7))]
        found = exact_with_offsets(parts, form, (1 << 16) - 1)
        assert found is not None
        assert found.requantize.outputs == 2
        for output, sums in enumerate(parts):
            assert codes_by(found, sums, form, output) == codes_of(sums, form)
        alone = [exact_with_offsets([sums], form, (1 << 16) - 1) for sums in parts]
        assert found.requantize.shift == max(one.requantize.shift for one in alone if one)

    def test_a_whole_step_is_no_offset(self) -> None:
        """A number that is all but a whole step becomes one, for the bias, where no code tells the two apart."""
        form = integer_format(3, True, Rounding.RND_CONV)
        found = exact_with_offsets([Sums(Fraction(1, 5), -30, 30, 1 - Fraction(1, 10**9))], form, 1 << 16)
        assert found is not None
        assert (found.steps, found.requantize.offsets) == ((1,), None)

    def test_wide_codes_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """More thresholds than can be looked at, here 4,096, are refused, not waited for."""
        monkeypatch.setattr(exact_offset, "MOST_FACTS", 1 << 12)
        form = integer_format(40, True, Rounding.RND_CONV)
        assert exact_with_offsets([Sums(Fraction(1, 3), 0, 1 << 50, Fraction(1, 2))], form, 1 << 16) is None

    @pytest.mark.parametrize("mode", Rounding)
    def test_thresholds(self, mode: Rounding) -> None:
        """A threshold is the first sum that gives the code; the one before gives less."""
        for ratio in (Fraction(1, 8), Fraction(3, 10), Fraction(7, 4)):
            for offset in (Fraction(0), Fraction(1, 2), Fraction(2, 3)):
                for code in range(-3, 4):
                    at = threshold(code, ratio, mode, offset)
                    assert rounded((at + offset) * ratio, mode) >= code > rounded((at - 1 + offset) * ratio, mode)


SCALE, SHIFT = np.array([0.9, -1.7, 0, 1.1], np.float32), np.array([0.3, -0.21, 0.77, -0.05], np.float32)
MEAN, VARIANCE = np.array([0.11, -0.2, 0.3, 0.7], np.float32), np.array([0.5, 1.5, 2, 0.1], np.float32)
WEIGHTS = np.array([[3, -2], [1, 7], [5, 5], [-7, 4]])
STEPS = np.array([0.07, 0.031, 0.05, 0.11], np.float32)


def drawing(relu: bool, bits: int, zero: int = 0) -> Quantized:
    """Return a 1x1 convolution of 3-bit codes with a bias of floats, and a batch norm, a gain of which is negative."""
    g = Quantized(1, 2, 8, 8)
    g.quantize(0.3, 3, signed=True)
    g.node(
        "Conv",
        "",
        g.coded(WEIGHTS.reshape(4, 2, 1, 1), STEPS, 4),
        g.constant(np.array([0.1, 0.2, 0, -0.4], np.float32)),
    )
    g.node("BatchNormalization", "", *map(g.constant, (SCALE, SHIFT, MEAN, VARIANCE)), epsilon=1e-5)
    if relu:
        g.node("Relu")
    g.quantize(0.043, bits, signed=not relu, zero=zero)
    return g


def expected(relu: bool, bits: int, a: int, b: int) -> list[int]:
    """Return the codes for a pixel of two codes: the file's numbers, exact but for the square root of 17 digits."""
    found = []
    bias = np.array([0.1, 0.2, 0, -0.4], np.float32)
    for row in range(4):
        number = Fraction(float(STEPS[row])) * Fraction(float(np.float32(0.3))) * int(WEIGHTS[row] @ [a, b])
        gain = float(SCALE[row]) / math.sqrt(float(VARIANCE[row]) + float(np.float32(1e-5)))
        offset = float(SHIFT[row]) - float(MEAN[row]) * gain
        number = (number + Fraction(float(bias[row]))) * Fraction(gain) + Fraction(offset)
        code = rounded(
            (max(number, Fraction(0)) if relu else number) / Fraction(float(np.float32(0.043))), Rounding.RND_CONV
        )
        lowest, highest = (0, (1 << bits) - 1) if relu else (-1 << bits - 1, (1 << bits - 1) - 1)
        found.append(min(max(code, lowest), highest))
    return found


class TestImport:
    @pytest.mark.parametrize("relu", [False, True])
    @pytest.mark.parametrize("bits", [3, 8])
    def test_every_pixel(self, tmp_path: Path, relu: bool, bits: int) -> None:
        """All 64 pixels of two codes give the file's codes: gains above and below zero and none, biases of floats."""
        found = import_model(drawing(relu, bits).save(tmp_path / "model.onnx"), multiplier_bits=32)
        assert isinstance(found, ImportedProgram)
        pixels = np.array([(a, b) for a in range(-4, 4) for b in range(-4, 4)])
        codes = golden.run(found.result, pixels.T.reshape(1, 2, 8, 8))[found.result.output]
        right = np.array([expected(relu, bits, *pixel) for pixel in pixels.tolist()]).T.reshape(1, 4, 8, 8)
        assert np.array_equal(codes, right)
        (note,) = (note for note in found.notes if "fraction of a step" in note)
        assert note.startswith("1 of 1 layers adds a fraction of a step to its sums")
        (layer,) = found.result.layers
        assert isinstance(layer, MacLayer)
        assert layer.requantize is not None
        without = replace(layer, requantize=replace(layer.requantize, offsets=None))
        other = golden.run(replace(found.result, layers=(without,)), pixels.T.reshape(1, 2, 8, 8))[layer.name]
        assert not np.array_equal(other, right)  # the control
