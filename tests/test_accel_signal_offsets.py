"""Offsets of a requantisation: ``(accumulator * multiplier + offset) / 2**shift``, the same in all that reads them."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.offsets import with_offsets
from support.programs import batches, every_kind, mac_layer, program, programs, signal, signals
from support.reference_fixedpoint import assign
from test_equivalence import READERS, a_few, assert_equivalent, assert_same_codes, some

from accel.cost import cost_of
from accel.cost.counts import Counts
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.interchange.exactness import check_program, half_even
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import MacLayer
from accel.quantize.lane_order import in_order
from accel.signal import Requantize, Signal
from accel.window import Window
from accel.words import Words
from sim import golden

FORM = FixedFormat(5, 5, rounding=Rounding.RND_CONV, overflow=Overflow.SAT)


def one_layer(
    requantize: Requantize, output: FixedFormat = FORM, reads: Signal | None = None, step: float = 1.0, **more: Any
) -> Program:
    """Return a Program of one 1x1 convolution of three outputs and weights of 1, which reads 8 bits."""
    reads, weights = reads or signal(8), np.ones((3, 1, 1), np.int64)
    made = {"window": Window((1, 1)), "requantize": requantize, "output": Signal(output, step), **more}
    return program([mac_layer("conv", INPUT, weights, reads, **made)], (1, 1, 16), reads)


EVERY_CODE = np.arange(-128, 128).reshape(16, 1, 1, 16)


class TestTheDefinition:
    @settings(max_examples=150, deadline=None)
    @given(data=st.data(), output=signals(), relu=st.booleans())
    def test_apply_is_the_rule_in_exact_numbers(self, data: st.DataObject, output: Signal, relu: bool) -> None:
        """Every code is the exact quotient, a ReLU before it, rounded and overflown; one offset, or one an output."""
        multipliers = data.draw(st.lists(st.integers(1, 1 << 20), min_size=1, max_size=3))
        offsets = [data.draw(st.integers(0, m - 1)) for m in multipliers]
        shift = data.draw(st.integers(0, 40))
        accumulators = data.draw(st.lists(st.integers(-(1 << 40), (1 << 40) - 1), min_size=3, max_size=3))
        found = Requantize(multipliers, shift, offsets).apply(  # type: ignore[arg-type]
            np.tile(np.array(accumulators), (len(multipliers), 1))[None], output.format, relu
        )
        form = output.format
        modes = form.rounding.name, form.overflow.name, form.saturation_bits
        for codes, multiplier, offset in zip(found[0], multipliers, offsets, strict=True):
            products = [max(x * multiplier + offset, 0) if relu else x * multiplier + offset for x in accumulators]
            assert codes.tolist() == [
                assign(Fraction(x, 2**shift), form.width, 0, form.signed, *modes) for x in products
            ]

    def test_a_product_keeps_its_sign_and_its_bits(self) -> None:
        """With the largest offset the lowest and the highest accumulator of 8 bits take 8 + 4 bits times 15."""
        accumulators = np.array([-128, -1, 0, 127])
        scale = Requantize([15], 0, [14])  # type: ignore[arg-type]
        products = scale.apply(accumulators[:, None], FixedFormat(12, 12, overflow=Overflow.SAT_ZERO))
        assert products.ravel().tolist() == [-128 * 15 + 14, -1, 14, 127 * 15 + 14]

    def test_zeros_are_none(self) -> None:
        """Offsets of zeros are none: such a Program has the bytes of one without."""
        with_zeros, without = one_layer(Requantize([3], 2, [0, 0, 0])), one_layer(Requantize([3], 2))  # type: ignore[arg-type]
        assert with_zeros.to_bytes() == without.to_bytes()
        assert b"offsets" not in without.to_bytes()

    @pytest.mark.parametrize(
        ("offsets", "line"),
        [
            ([3, 0, 0], r"offsets must be 0 or more and less than their multipliers, got \[3, 0, 0\]"),
            ([-1, 0, 0], r"offsets must be 0 or more and less than their multipliers, got \[-1, 0, 0\]"),
            ([0, 1], r"3 multipliers have 1 or as many offsets, got \(2,\)"),
            ([[0, 1, 2]], r"3 multipliers have 1 or as many offsets, got \(1, 3\)"),
            ([], r"3 multipliers have 1 or as many offsets, got \(0,\)"),
        ],
    )
    def test_what_is_refused(self, offsets: Any, line: str) -> None:
        """An offset is less than its multiplier: whole steps belong to the bias."""
        with pytest.raises(EspalierError, match=line):
            Requantize([3, 4, 5], 2, offsets)  # type: ignore[arg-type]

    def test_another_number_of_outputs(self) -> None:
        """A layer of three outputs has one offset, or three."""
        one_layer(Requantize([3], 2, [1, 2, 0]))  # type: ignore[arg-type]
        with pytest.raises(EspalierError, match="conv: 3 outputs have 1 or 3 multipliers and offsets"):
            one_layer(Requantize([3], 2, [1, 2]))  # type: ignore[arg-type]


class TestTheEngine:
    @pytest.mark.parametrize("case", a_few([1, 8, 12, 16], [8]))
    @some
    @given(data=st.data())
    def test_every_code_is_goldens(self, case: int, data: st.DataObject) -> None:
        """With offsets wherever there can be any, every kernel gives golden's codes; all roundings and overflows."""
        of = data.draw(programs(every_kind=True, signal_bits=case, weight_bits=case))
        of = with_offsets(of, np.random.default_rng(data.draw(st.integers(0, 1 << 16))))
        assert_equivalent(of, data.draw(batches(of)))

    @pytest.mark.parametrize("rounding", Rounding)
    @pytest.mark.parametrize("relu", [False, True])
    def test_every_accumulator(self, relu: bool, rounding: Rounding) -> None:
        """Each rounding, those included that packed layers do in registers, for each of 256 sums and three offsets."""
        for signed in (False, True):
            form = FixedFormat(4, 4, signed, rounding, Overflow.SAT)
            of = one_layer(Requantize([11, 12, 13], 6, [10, 0, 5]), output=form, relu=relu)  # type: ignore[arg-type]
            assert_equivalent(of, EVERY_CODE)

    def test_an_offset_that_is_left_out_is_seen(self) -> None:
        """Negative control: without its offsets a Program gives other codes."""
        scale = Requantize([11, 12, 13], 4, [10, 11, 12])  # type: ignore[arg-type]
        of, without = one_layer(scale), one_layer(replace(scale, offsets=None))
        (reader, *_) = READERS.values()
        with pytest.raises(AssertionError, match=r"conv: image 6, .* code -16, expected -15"):
            assert_same_codes(golden.run(of, EVERY_CODE), reader(without, EVERY_CODE))


class TestOtherReaders:
    def test_the_file_and_its_bits(self) -> None:
        """Three offsets of 4 bits come back from the file, and are charged beside multipliers of 4 and a shift of 6."""
        of = one_layer(Requantize([11, 12, 13], 4, [10, 0, 9]))  # type: ignore[arg-type]
        again = Program.from_bytes(of.to_bytes())
        assert again.to_bytes() == of.to_bytes()
        assert again.mac_layers[0].requantize.offsets.tolist() == [10, 0, 9]  # type: ignore[union-attr]
        assert cost_of(of).total.requantize_memory_bits == 3 * 4 + 3 * 4 + 6
        assert cost_of(one_layer(Requantize([11], 4, [9, 0, 1]))).total.requantize_memory_bits == 4 + 3 * 4 + 6  # type: ignore[arg-type]
        assert isinstance(cost_of(of).total, Counts)
        words = Words.of(of)
        assert (words.offset_bits, words.scaled(4, 4).offset_bits) == (4, 4)

    def test_an_offset_that_is_not_less_in_a_file(self) -> None:
        """A file whose offset is its multiplier is refused."""
        of = one_layer(Requantize([8], 4, [7, 7, 7]))  # type: ignore[arg-type]
        object.__setattr__(of.mac_layers[0].requantize, "multipliers", np.array([7], np.uint32))
        with pytest.raises(EspalierError, match="offsets must be 0 or more and less than their multipliers"):
            Program.from_bytes(of.to_bytes())

    def test_another_order_of_outputs(self) -> None:
        """Offsets move with their outputs; one for all stays."""
        of = one_layer(Requantize([11], 4, [10, 0, 9]))  # type: ignore[arg-type]
        moved = in_order(of, {"conv": np.array([2, 0, 1])})
        assert moved.mac_layers[0].requantize.offsets.tolist() == [9, 10, 0]  # type: ignore[union-attr]
        expected = golden.run(of, EVERY_CODE)["conv"][:, [2, 0, 1]]
        assert np.array_equal(golden.run(moved, EVERY_CODE)["conv"], expected)
        of = one_layer(Requantize([11], 4, [10]))  # type: ignore[arg-type]
        assert in_order(of, {"conv": np.array([2, 0, 1])}).mac_layers[0].requantize.offsets.tolist() == [10]  # type: ignore[union-attr]

    def test_training_sees_them(self) -> None:
        """Its emulation gives golden's codes of every kind of layer."""
        pytest.importorskip("torch", reason="training needs PyTorch (extra train)")
        from accel.train import emulate

        rng = np.random.default_rng(3)
        of = with_offsets(every_kind(rng), rng)
        codes = rng.integers(0, 256, (4, *of.input_shape))
        assert_same_codes(golden.run(of, codes), emulate(of, codes))

    def test_no_onnx_file_has_them(self) -> None:
        """An export ends in a line that says what to do, where the quotient alone would do."""
        scale = Requantize([8], 5, [3])  # type: ignore[arg-type]
        of = one_layer(scale, reads=signal(8, rounding=Rounding.RND_CONV, overflow=Overflow.SAT), step=4.0)
        check_program(replace_scale(of, Requantize([8], 5)), "qcdq", half_even)
        with pytest.raises(EspalierError, match="conv: adds a fraction of a step to its sums, which qcdq does not"):
            check_program(of, "qcdq", half_even)


def replace_scale(of: Program, scale: Requantize) -> Program:
    """Return a Program whose one layer requantises otherwise."""
    assert isinstance(of.layers[0], MacLayer)
    return replace(of, layers=(replace(of.layers[0], requantize=scale),))
