"""Accumulators narrower than their sums: every reader adds in the order of the loop nest, and overflows as it goes."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.narrow_sums import (
    MODES,
    SAT,
    WRAP,
    accumulators,
    each_kind,
    each_mode,
    each_pattern,
    fully_connected,
    one_layer,
    pixels,
    scores,
)
from support.programs import CASES, PIXEL, Codes, batches, mac_layer, program, programs
from test_equivalence import assert_equivalent, assert_same_codes, difference, engine_tensors, inherited

from accel.fixedpoint import Overflow
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.network import INPUT
from accel.program import Program
from accel.quantize import Widths, lower, narrow_accumulators
from accel.signal import Requantize
from accel.sparsity import LoopNest
from accel.window import Window
from sim import golden
from sim.engine import compile_program


class TestByHand:
    WEIGHTS = ([100, 100, -100], [100, -100, 100], [-100, 100, 100])  # the same sum, 100, in three orders

    def test_the_order_matters_where_it_saturates(self) -> None:
        """8 bits end at 127: 100 + 100 - 100 is 127 - 100 = 27, and 100 in the orders that stay inside."""
        of = fully_connected(self.WEIGHTS)
        assert scores(narrow_accumulators(of, 8, SAT), 1, 1, 1) == [27, 100, 100]

    def test_the_order_does_not_matter_where_it_wraps(self) -> None:
        """100 + 100 wraps to -56, and -56 - 100 wraps back to 100."""
        of = fully_connected(self.WEIGHTS)
        assert scores(narrow_accumulators(of, 8, WRAP), 1, 1, 1) == [100, 100, 100] == scores(of, 1, 1, 1)

    @pytest.mark.parametrize(("overflow", "score"), [(SAT, 27), (WRAP, 100)])
    def test_the_bias_overflows_first(self, overflow: Overflow, score: int) -> None:
        """A bias of 200 is 127 before the first addition, 127 - 100 = 27; or -56, and -156 wraps to 100."""
        assert scores(narrow_accumulators(fully_connected([[-100]], bias=[200]), 8, overflow), 1) == [score]

    @pytest.mark.parametrize(("overflow", "codes"), [(SAT, [64, 0]), (WRAP, [0, 63])])
    def test_relu_and_requantization_read_what_is_left(self, overflow: Overflow, codes: list[int]) -> None:
        """130 saturates to 127, halved 63.5 -> 64; or wraps to -126, rectified 0. -130: -128 -> 0; or 126 -> 63."""
        half = {"relu": True, "requantize": Requantize([1], 1), "output": PIXEL}
        of = fully_connected([[65, 65], [-65, -65]], **half)
        assert scores(of, 1, 1) == [65, 0]
        assert scores(narrow_accumulators(of, 8, overflow), 1, 1) == codes

    @each_mode
    def test_padding_adds_nothing(self, overflow: Overflow) -> None:
        """One pixel in a frame of padding meets the middle tap alone: 90 + 30 = 120 fits 8 bits, 90 * 9 would not."""
        conv = mac_layer("conv", INPUT, [[[90] * 9]], PIXEL, window=Window.square(3, padding=1), bias=[30])
        assert scores(narrow_accumulators(program([conv], (1, 1, 1)), 8, overflow), 1) == [[[120]]]

    @pytest.mark.parametrize(("overflow", "score"), [(SAT, 27), (WRAP, 100)])
    def test_what_is_pruned_is_not_added(self, overflow: Overflow, score: int) -> None:
        """An output map of which nothing is kept is its bias, and the filling of a block is no input."""
        kept = np.array([[1, 1, 1], [0, 0, 0]], bool)[:, :, None]
        rows = fully_connected(
            [[100, 100, -100]] * 2, bias=[0, 5], kept=kept, pattern="irregular", encoding="csr", weight_bits=8
        )
        assert scores(narrow_accumulators(rows, 8, overflow), 1, 1, 1) == [score, 5]
        block = fully_connected([[100, 100, -100]], pattern="block-4", encoding="bsr")  # 3 of 16 places are real
        assert scores(narrow_accumulators(block, 8, overflow), 1, 1, 1) == [score]


class TestOrder:
    def test_rows_of_a_nest(self) -> None:
        """A row adds the columns of its group's units in turn; what lies outside the matrix is none of them."""
        pairs = [np.array([0, 1])] * 3
        nest = LoopNest((3, 5), 2, 2, (np.array([0, 2]), np.array([1])), tuple(pairs))
        assert [columns.tolist() for columns in nest.row_columns] == [[0, 1, 4], [0, 1, 4], [2, 3]]

    @each_mode
    @each_kind
    @each_pattern
    def test_golden_follows_the_loop_nest(self, pattern: str, convolution: bool, overflow: Overflow) -> None:
        """For c in outer, for t in inner: each product is added, and the sum overflows, before the next."""
        of = narrow_accumulators(one_layer(pattern, convolution), 11, overflow)
        (image,) = pixels(of, 1)
        found = golden.run(of, image[None])["mac"][0].reshape(of.shapes["mac"][0], *(of.shapes["mac"][1:] or (1, 1)))
        expected = accumulators(of, image)
        assert {place: int(code) for place, code in np.ndenumerate(found)} == expected
        assert accumulators(one_layer(pattern, convolution), image) != expected


class TestEquivalence:
    @each_mode
    @each_kind
    @each_pattern
    def test_every_pattern(self, pattern: str, convolution: bool, overflow: Overflow) -> None:
        """Golden and engine agree at every narrow width, and about the MACs; at no width is that exact by chance."""
        of = one_layer(pattern, convolution)
        (layer,) = of.mac_layers
        batch = pixels(of, 70)  # two chunks of the engine
        macs = compile_program(of).run(batch[:1]).macs
        for bits in (2, 3, 8, 11, 13):
            narrow = narrow_accumulators(of, bits, overflow)
            assert narrow.mac_layers[0].accumulator_bits == bits < layer.accumulator_bits
            assert_equivalent(narrow, batch)
            assert compile_program(narrow).run(batch[:1]).macs == macs
            assert difference(of, narrow, batch).startswith("mac: image ")

    @pytest.mark.slow
    @settings(max_examples=40, deadline=None, suppress_health_check=inherited)
    @given(data=st.data())
    @each_mode
    def test_every_program(self, overflow: Overflow, data: st.DataObject) -> None:
        """Golden and engine agree whatever the Program, with a width of its own for every layer."""
        of = data.draw(programs())
        widths = {
            layer.name: data.draw(st.integers(2, layer.accumulator_bits))
            for layer in of.mac_layers
            if layer.accumulator_bits > 1
        }
        assert_equivalent(narrow_accumulators(of, widths, overflow), data.draw(batches(of)))

    @pytest.mark.slow
    @settings(max_examples=4, deadline=None, suppress_health_check=inherited)
    @given(data=st.data())
    @pytest.mark.parametrize("case", CASES, ids="/".join)
    def test_every_encoding(self, case: tuple[str, str], data: st.DataObject) -> None:
        """However the index is stored, the order is that of the loop nest."""
        of = data.draw(programs(case=case))
        assert_equivalent(narrow_accumulators(of, 9, data.draw(st.sampled_from(MODES))), data.draw(batches(of)))

    @pytest.mark.slow
    @each_mode
    @pytest.mark.parametrize("pattern", zoo.patterns("digits"))
    def test_a_network_of_the_zoo(self, pattern: str, overflow: Overflow) -> None:
        """In a whole trained network of any pattern the two agree at 6, 8 and 10 bits, where its codes are others."""
        of, batch = digits(pattern)
        for bits in (6, 8, 10):
            narrow = narrow_accumulators(of, bits, overflow)
            assert_equivalent(narrow, batch)
            difference(of, narrow, batch)


@cache
def digits(pattern: str) -> tuple[Program, Codes]:
    """Return a network of the zoo with 4-bit weights and 6-bit signals, and some images for it."""
    train, test = (datasets.load("digits", split) for split in ("train", "test"))
    of = lower(zoo.load("digits", pattern), Widths(4, 6), train.take(64).pixels())
    return of, of.input_signal.encode(test.take(20).pixels())


class TestNegativeControls:
    @each_kind
    @each_pattern
    def test_the_other_overflow(self, pattern: str, convolution: bool) -> None:
        """An engine that wraps where it should saturate is found, and the other way around."""
        of = one_layer(pattern, convolution)
        for right, wrong in (MODES, MODES[::-1]):
            said = difference(narrow_accumulators(of, 11, right), narrow_accumulators(of, 11, wrong), pixels(of))
            assert said.startswith("mac: image 0, position [")

    @each_mode
    def test_a_width_that_is_wrong_by_one(self, overflow: Overflow) -> None:
        """One bit more or less is found."""
        of = one_layer("irregular", True)
        for bits in (10, 12):
            assert difference(
                narrow_accumulators(of, 11, overflow), narrow_accumulators(of, bits, overflow), pixels(of)
            )

    @each_mode
    def test_one_corrupted_code(self, overflow: Overflow) -> None:
        """One code that is wrong by one is found, and named."""
        of = narrow_accumulators(one_layer("kernel", True), 11, overflow)
        expected = golden.run(of, pixels(of))
        found = engine_tensors(of, pixels(of))
        assert_same_codes(expected, found)
        found["mac"][2, 3, 1, 0] ^= 1
        with pytest.raises(AssertionError, match=r"mac: image 2, position \[3, 1, 0\]: code "):
            assert_same_codes(expected, found)

    def test_two_weights_that_change_places(self) -> None:
        """The same products in another order are the same wrapped sum, and another saturated one."""
        of = [fully_connected([[100, 100, -100]]), fully_connected([[100, -100, 100]])]
        wrapped, saturated = ([narrow_accumulators(x, 8, mode) for x in of] for mode in (WRAP, SAT))
        ones = np.ones((1, 3, 1, 1), np.int64)
        assert_same_codes(golden.run(wrapped[0], ones), engine_tensors(wrapped[1], ones))
        assert difference(*saturated, ones) == "fc: image 0, position [0]: code 100, expected 27"
