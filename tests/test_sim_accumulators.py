"""Accumulators narrower than their sums: every reader adds in the order of the loop nest, and overflows as it goes."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import CASES, PIXEL, Codes, batches, every_kind, mac_layer, program, programs, signal
from reference_fixedpoint import resolve_overflow
from test_equivalence import assert_equivalent, assert_same_codes, difference, engine_tensors, inherited

from accel.array import MacArray
from accel.cost import cost_of
from accel.encoding import encodings
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow
from accel.interchange import datasets, zoo
from accel.network import INPUT, Window
from accel.program import FlattenLayer, MacLayer, Program
from accel.quantize import Widths, lower, narrowed
from accel.signal import Requantize
from accel.sparsity import LoopNest, Mask, parse_pattern
from rtl.assemble import assemble
from sim import golden
from sim.engine import compile_program

WRAP, SAT = MODES = Overflow.WRAP, Overflow.SAT
ZOO = ("dense", "feature-map", "kernel", "ikss", "kernel+ikss", "block-4", "2:4", "irregular")
FLAT = FlattenLayer("flat", (INPUT,))
each_mode = pytest.mark.parametrize("overflow", MODES, ids=lambda mode: mode.name)
each_pattern = pytest.mark.parametrize("pattern", ZOO)
each_kind = pytest.mark.parametrize("convolution", [True, False], ids=["convolution", "fully connected"])


def legal_mask(pattern: str, shape: tuple[int, int, int], rng: np.random.Generator) -> Mask:
    """Return a mask that keeps about two thirds of what `pattern` may prune."""
    outputs, maps, taps = shape
    kept = np.ones(shape, bool)
    if pattern == "feature-map":
        kept[1::3] = False
    if pattern.startswith("kernel"):
        kept &= rng.random((outputs, maps, 1)) < 0.7
    if pattern.endswith("ikss"):
        kept &= (np.arange(taps) % 2 == 0) | (rng.random((1, maps, 1)) < 0.5)
    if pattern == "irregular":
        kept = rng.random(shape) < 0.6
    if pattern == "block-4":
        flags = rng.random((-(-outputs // 4), -(-maps * taps // 4))) < 0.7
        kept = flags.repeat(4, 0).repeat(4, 1)[:outputs, : maps * taps].reshape(shape)
    if pattern == "2:4":
        runs = rng.random((outputs, -(-maps * taps // 4), 4)).argsort(axis=2) < 2
        kept = runs.reshape(outputs, -1)[:, : maps * taps]
        kept[:, maps * taps // 4 * 4 :] = True  # a last run of two columns keeps both
        kept = kept.reshape(shape)
    return kept


def one_layer(pattern: str, convolution: bool, **more: Any) -> Program:
    """Return a Program of one layer of random weights, 6 maps of 5 x 4 or 54 inputs, which hands out its accumulators.

    The weights of a row alternate in sign by chance, so that its sums leave the range on both sides and come back.
    """
    rng = np.random.default_rng([ZOO.index(pattern), convolution])
    shape = (6, 6, 9) if convolution else (7, 54, 1)  # no block of 4 divides the outputs, nor the columns
    kept = legal_mask(pattern, shape, rng)
    store = {"kept": kept, "pattern": pattern, "encoding": encodings(parse_pattern(pattern))[0].name}
    words = {"weight_bits": 5, "bias": rng.integers(-2000, 2000, shape[0]), **store, **more}
    weights = rng.integers(-15, 15, shape, endpoint=True)
    if convolution:
        window = Window((3, 3), (1, 2), (1, 0, 1, 1))
        return program([mac_layer("mac", INPUT, weights, PIXEL, window=window, **words)], (6, 5, 4))
    return program([FLAT, mac_layer("mac", "flat", weights, PIXEL, **words)], (6, 3, 3))


def pixels(of: Program, images: int = 3) -> Codes:
    """Return random input codes."""
    form = of.input_signal.format
    return np.random.default_rng(5).integers(form.min_code, form.max_code, (images, *of.input_shape), endpoint=True)


def accumulators(of: Program, image: Codes) -> dict[tuple[int, ...], int]:
    """Return the accumulators of a Program of `one_layer`: the loops of the design, in Python's integers."""
    (layer,) = of.mac_layers
    bits, mode = layer.accumulator_bits, layer.accumulator_overflow
    nest, sums, height, width = layer.nest, {}, 1, 1
    columns = image.reshape(-1, 1, 1)  # (lowered columns, output height, output width)
    if layer.window:
        top, left, bottom, right = layer.window.padding
        padded = np.pad(image, ((0, 0), (top, bottom), (left, right)))
        (down, across), (_, height, width) = layer.window.stride, of.shapes["mac"]
        taps = [(dy, dx) for dy in range(3) for dx in range(3)]
        columns = np.array(
            [
                padded[c, dy : dy + down * height : down, dx : dx + across * width : across][:height, :width]
                for c in range(len(image))
                for dy, dx in taps
            ]
        )

    def narrow(value: int) -> int:
        return value if mode is None else resolve_overflow(value, bits, True, mode.name, 0)

    for y, x in np.ndindex(height, width):
        for group, outer in enumerate(nest.outer):
            rows = range(group * nest.group_rows, min((group + 1) * nest.group_rows, layer.shape[0]))
            for row in rows:
                sums[row, y, x] = narrow(int(layer.bias[row]))
            for c in outer:
                for t in nest.inner[c]:
                    column = int(c * nest.unit_columns + t)
                    if column < layer.matrix.shape[1]:
                        for row in rows:
                            product = int(layer.matrix[row, column]) * int(columns[column, y, x])
                            sums[row, y, x] = narrow(sums[row, y, x] + product)
    return sums


def fully_connected(weights: list[list[int]], **more: Any) -> Program:
    """Return a Program whose scores are sums of its input codes, times `weights`."""
    inputs = len(weights[0])
    return program([FLAT, mac_layer("fc", "flat", weights, PIXEL, **more)], (inputs, 1, 1))


def scores(of: Program, *codes: int) -> list[int]:
    """Return the scores of one image, from both readers."""
    batch = np.array(codes).reshape(1, -1, 1, 1)
    assert_equivalent(of, batch)
    return golden.run(of, batch)[of.output][0].tolist()


class TestByHand:
    WEIGHTS = ([100, 100, -100], [100, -100, 100], [-100, 100, 100])  # the same sum, 100, in three orders

    def test_the_order_matters_where_it_saturates(self) -> None:
        """8 bits end at 127: 100 + 100 - 100 is 127 - 100 = 27, and 100 in the orders that stay inside."""
        of = fully_connected(self.WEIGHTS)
        assert scores(narrowed(of, 8, SAT), 1, 1, 1) == [27, 100, 100]

    def test_the_order_does_not_matter_where_it_wraps(self) -> None:
        """100 + 100 wraps to -56, and -56 - 100 wraps back to 100."""
        of = fully_connected(self.WEIGHTS)
        assert scores(narrowed(of, 8, WRAP), 1, 1, 1) == [100, 100, 100] == scores(of, 1, 1, 1)

    @pytest.mark.parametrize(("overflow", "score"), [(SAT, 27), (WRAP, 100)])
    def test_the_bias_overflows_first(self, overflow: Overflow, score: int) -> None:
        """A bias of 200 is 127 before the first addition, 127 - 100 = 27; or -56, and -156 wraps to 100."""
        assert scores(narrowed(fully_connected([[-100]], bias=[200]), 8, overflow), 1) == [score]

    @pytest.mark.parametrize(("overflow", "codes"), [(SAT, [64, 0]), (WRAP, [0, 63])])
    def test_relu_and_requantization_read_what_is_left(self, overflow: Overflow, codes: list[int]) -> None:
        """130 saturates to 127, halved 63.5 -> 64; or wraps to -126, rectified 0. -130: -128 -> 0; or 126 -> 63."""
        half = {"relu": True, "requantize": Requantize([1], 1), "output": PIXEL}
        of = fully_connected([[65, 65], [-65, -65]], **half)
        assert scores(of, 1, 1) == [65, 0]
        assert scores(narrowed(of, 8, overflow), 1, 1) == codes

    @each_mode
    def test_padding_adds_nothing(self, overflow: Overflow) -> None:
        """One pixel in a frame of padding meets the middle tap alone: 90 + 30 = 120 fits 8 bits, 90 * 9 would not."""
        conv = mac_layer("conv", INPUT, [[[90] * 9]], PIXEL, window=Window.square(3, padding=1), bias=[30])
        assert scores(narrowed(program([conv], (1, 1, 1)), 8, overflow), 1) == [[[120]]]

    @pytest.mark.parametrize(("overflow", "score"), [(SAT, 27), (WRAP, 100)])
    def test_what_is_pruned_is_not_added(self, overflow: Overflow, score: int) -> None:
        """An output map of which nothing is kept is its bias, and the filling of a block is no input."""
        kept = np.array([[1, 1, 1], [0, 0, 0]], bool)[:, :, None]
        rows = fully_connected(
            [[100, 100, -100]] * 2, bias=[0, 5], kept=kept, pattern="irregular", encoding="csr", weight_bits=8
        )
        assert scores(narrowed(rows, 8, overflow), 1, 1, 1) == [score, 5]
        block = fully_connected([[100, 100, -100]], pattern="block-4", encoding="bsr")  # 3 of 16 places are real
        assert scores(narrowed(block, 8, overflow), 1, 1, 1) == [score]


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
        of = narrowed(one_layer(pattern, convolution), 11, overflow)
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
            narrow = narrowed(of, bits, overflow)
            assert narrow.mac_layers[0].accumulator_bits == bits < layer.accumulator_bits
            assert_equivalent(narrow, batch)
            assert compile_program(narrow).run(batch[:1]).macs == macs
            assert difference(of, narrow, batch).startswith("mac: image ")

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
        assert_equivalent(narrowed(of, widths, overflow), data.draw(batches(of)))

    @settings(max_examples=4, deadline=None, suppress_health_check=inherited)
    @given(data=st.data())
    @pytest.mark.parametrize("case", CASES, ids="/".join)
    def test_every_encoding(self, case: tuple[str, str], data: st.DataObject) -> None:
        """However the index is stored, the order is that of the loop nest."""
        of = data.draw(programs(case=case))
        assert_equivalent(narrowed(of, 9, data.draw(st.sampled_from(MODES))), data.draw(batches(of)))

    @each_mode
    @pytest.mark.parametrize("pattern", zoo.patterns("digits"))
    def test_a_network_of_the_zoo(self, pattern: str, overflow: Overflow) -> None:
        """In a whole trained network of any pattern the two agree at 6, 8 and 10 bits, where its codes are others."""
        of, batch = digits(pattern)
        for bits in (6, 8, 10):
            narrow = narrowed(of, bits, overflow)
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
            said = difference(narrowed(of, 11, right), narrowed(of, 11, wrong), pixels(of))
            assert said.startswith("mac: image 0, position [")

    @each_mode
    def test_a_width_that_is_wrong_by_one(self, overflow: Overflow) -> None:
        """One bit more or less is found."""
        of = one_layer("irregular", True)
        for bits in (10, 12):
            assert difference(narrowed(of, 11, overflow), narrowed(of, bits, overflow), pixels(of))

    @each_mode
    def test_one_corrupted_code(self, overflow: Overflow) -> None:
        """One code that is wrong by one is found, and named."""
        of = narrowed(one_layer("kernel", True), 11, overflow)
        expected = golden.run(of, pixels(of))
        found = engine_tensors(of, pixels(of))
        assert_same_codes(expected, found)
        found["mac"][2, 3, 1, 0] ^= 1
        with pytest.raises(AssertionError, match=r"mac: image 2, position \[3, 1, 0\]: code "):
            assert_same_codes(expected, found)

    def test_two_weights_that_change_places(self) -> None:
        """The same products in another order are the same wrapped sum, and another saturated one."""
        of = [fully_connected([[100, 100, -100]]), fully_connected([[100, -100, 100]])]
        wrapped, saturated = ([narrowed(x, 8, mode) for x in of] for mode in (WRAP, SAT))
        ones = np.ones((1, 3, 1, 1), np.int64)
        assert_same_codes(golden.run(wrapped[0], ones), engine_tensors(wrapped[1], ones))
        assert difference(*saturated, ones) == "fc: image 0, position [0]: code 100, expected 27"


class TestWidths:
    @each_kind
    @each_pattern
    def test_a_wrapped_sum_is_the_exact_one_modulo_the_width(self, pattern: str, convolution: bool) -> None:
        """Two's complement: the code differs from the exact sum by a multiple of 2**bits, at every width."""
        of = one_layer(pattern, convolution)
        exact = golden.run(of, pixels(of))["mac"]
        for bits in range(2, of.mac_layers[0].accumulator_bits):
            wrapped = compile_program(narrowed(of, bits, WRAP)).run(pixels(of)).codes
            assert np.array_equal(wrapped, (exact + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1))

    @each_mode
    @each_kind
    @each_pattern
    def test_a_wide_enough_accumulator_is_exact(self, pattern: str, convolution: bool, overflow: Overflow) -> None:
        """With the proven bits nothing overflows, neither on the way nor at the end: every code is the exact one."""
        of = one_layer(pattern, convolution)
        layers = tuple(replace(x, accumulator_overflow=overflow) if isinstance(x, MacLayer) else x for x in of.layers)
        same = replace(of, layers=layers)
        assert_equivalent(same, pixels(of))
        assert_same_codes(golden.run(of, pixels(of)), engine_tensors(same, pixels(of)))

    @each_mode
    def test_layers_that_need_no_more_bits_stay_as_they_are(self, overflow: Overflow) -> None:
        """At the widest proven width the Program is the exact one; one bit less, and one layer is narrow."""
        of = every_kind(np.random.default_rng(0))
        widest = max(of.mac_layers, key=lambda layer: layer.accumulator_bits)
        assert narrowed(of, widest.accumulator_bits, overflow).layers == of.layers
        bits = widest.accumulator_bits - 1
        changed = [x for x, y in zip(narrowed(of, bits, overflow).layers, of.layers, strict=True) if x is not y]
        assert [layer.accumulator_overflow for layer in changed] == [overflow] * len(changed)
        assert {layer.name for layer in changed} == {x.name for x in of.mac_layers if x.accumulator_bits > bits}

    def test_spare_bits_go_before_the_sums_do(self) -> None:
        """An accumulator that is wider than proven loses what it does not need, and is exact still."""
        of = fully_connected([[100, 100]], spare_bits=9)  # 255 * 200 = 51000 needs 17 bits
        assert of.mac_layers[0].accumulator_bits == 26
        for bits, left in ((30, 26), (20, 20), (17, 17)):
            (layer,) = narrowed(of, bits, SAT).mac_layers
            assert (layer.accumulator_bits, layer.accumulator_overflow, layer.output.bits) == (left, None, left)
        assert narrowed(of, 16, SAT).mac_layers[0].accumulator_overflow == SAT

    def test_a_narrow_program_can_be_narrowed_again(self) -> None:
        """What counts is the last width and overflow that were asked for; at the proven width it is exact again."""
        of = fully_connected([[100, 100]])
        again = narrowed(narrowed(of, 8, SAT), 12, WRAP).mac_layers[0]
        assert (again.accumulator_bits, again.accumulator_overflow) == (12, WRAP)
        (exact,) = narrowed(narrowed(of, 8, SAT), 17, WRAP).mac_layers
        assert (exact.accumulator_bits, exact.accumulator_overflow) == (17, None)
        assert exact.output.format == FixedFormat(17, 17)

    def test_some_layers(self) -> None:
        """A mapping gives each layer a width of its own, a list of names one width to these; others stay exact."""
        of = every_kind(np.random.default_rng(0))
        names = "conv1", "conv2", "scores"

        def found(narrow: Program) -> list[int | None]:
            return [None if x.accumulator_overflow is None else x.accumulator_bits for x in narrow.mac_layers]

        assert [layer.name for layer in of.mac_layers] == [*names]
        assert found(narrowed(of, {"conv2": 7, "scores": 5}, SAT)) == [None, 7, 5]
        assert found(narrowed(of, 6, WRAP, ["conv1"])) == [6, None, None]
        assert found(narrowed(of, np.int64(6), WRAP, names[:2])) == [6, 6, None]
        assert found(narrowed(of, {}, WRAP)) == [None, None, None]

    @each_mode
    def test_accumulators_that_are_handed_out(self, overflow: Overflow) -> None:
        """The output of the last layer is its accumulator: its format has the width and the overflow."""
        of = fully_connected([[100, 100]])
        narrow = narrowed(of, 8, overflow)
        assert narrow.signals["fc"].format == FixedFormat(8, 8, overflow=overflow)
        assert narrow.signals["fc"].step == of.signals["fc"].step

    def test_a_layer_that_reads_narrow_accumulators(self) -> None:
        """Accumulators of 8 bits need fewer bits of the layer behind: 8 bits times 3, less one for 2's complement."""
        first = mac_layer("a", "flat", [[100, 100]], PIXEL)
        second = mac_layer("b", "a", [[3]], first.output, requantize=Requantize([1], 0), output=signal(16))
        of = program([FLAT, first, second], (2, 1, 1))
        narrow = narrowed(of, {"a": 8, "b": 10}, SAT)
        assert [x.accumulator_overflow for x in narrow.mac_layers] == [SAT, None]  # -128 * 3 = -384 fits 10 bits
        assert scores(narrow, 1, 0) == [300]
        assert scores(narrow, 1, 1) == [381]

    @pytest.mark.parametrize(("overflow", "score"), [(SAT, 2**60 - 1), (WRAP, 0)])
    def test_the_widest_words_do_not_leave_int64(self, overflow: Overflow, score: int) -> None:
        """40 products of 2**59, the largest there are: 2**60 - 1 if it saturates; 40 * 2**59 is 10 * 2**61, so 0."""
        wide = signal(45)
        weights = np.full((1, 40, 1), -(2**15))
        half = {"weight_bits": 16, "requantize": Requantize([1], 0), "output": signal(8)}
        exact = mac_layer("fc", "flat", weights, wide, **half)
        assert exact.accumulator_bits == 66
        fc = replace(exact, accumulator_bits=61, accumulator_overflow=overflow, requantize=None, output=signal(61))
        of = program([FLAT, fc], (40, 1, 1), wide)
        lowest = np.full((1, 40, 1, 1), -(2**44))
        assert_equivalent(of, lowest)
        assert golden.run(of, lowest)["fc"].tolist() == [[score]]
        with pytest.raises(EspalierError, match=r"^fc: a weight times a signal needs more than 61 bits$"):
            program([FLAT, fc], (40, 1, 1), signal(46))


class TestOtherReaders:
    def test_a_file(self, tmp_path: Path) -> None:
        """A narrow Program comes back from a file with its widths and overflows, and gives the same codes."""
        of = every_kind(np.random.default_rng(0))
        narrow = narrowed(of, {"conv1": 7, "scores": 8}, SAT)
        narrow.save(tmp_path / "narrow.espalier")
        loaded = Program.load(tmp_path / "narrow.espalier")
        assert [(x.accumulator_bits, x.accumulator_overflow) for x in loaded.mac_layers] == [
            (7, SAT),
            (of.mac_layers[1].accumulator_bits, None),
            (8, SAT),
        ]
        assert_same_codes(golden.run(narrow, pixels(of)), engine_tensors(loaded, pixels(of)))
        assert difference(of, loaded, pixels(of))

    def test_the_file_of_an_exact_program_is_what_it_was(self, tmp_path: Path) -> None:
        """Where every accumulator is exact the file does not speak of overflow, as before there was such a thing."""
        of = every_kind(np.random.default_rng(0))
        of.save(tmp_path / "exact")
        narrowed(of, 7, SAT).save(tmp_path / "narrow")
        says = [b"accumulator_overflow" in (tmp_path / name).read_bytes() for name in ("exact", "narrow")]
        assert says == [False, True]
        assert [x.accumulator_overflow for x in Program.load(tmp_path / "exact").mac_layers] == [None] * 3

    def test_the_cost_model(self) -> None:
        """The accumulator's bits are those of the Program, and so is the memory of scores; nothing else changes."""
        of = fully_connected([[100, 100]])  # 17 bits
        exact, narrow = cost_of(of), cost_of(narrowed(of, 8, SAT))
        assert [cost.layers[-1].accumulator_bits for cost in (exact, narrow)] == [17, 8]
        assert narrow.total == exact.total
        assert [cost.signal_memory_bits for cost in (exact, narrow)] == [16 + 17, 16 + 8]  # two pixels and a score

    @each_mode
    def test_the_hardware_refuses(self, overflow: Overflow) -> None:
        """The array's accumulators hold every sum: a Program whose accumulators do not is refused, by layer."""
        conv = {"window": Window((1, 1)), "requantize": Requantize([1], 1), "output": PIXEL}
        layers = [
            mac_layer("conv1", INPUT, [[[9]]], PIXEL, **conv),
            mac_layer("conv2", "conv1", [[[9]]], PIXEL, **conv),
        ]
        of, array = program(layers), MacArray(2, 2, weight_bits=8)
        assert assemble(of, array).layers
        with pytest.raises(EspalierError) as refused:
            assemble(narrowed(of, {"conv2": 8}, overflow), array)
        what = f"conv2: its accumulators overflow at 8 bits ({overflow.name}), those of the array hold every sum"
        assert str(refused.value) == what


class TestBadInput:
    OF = fully_connected([[100, 100]])

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            ((1, SAT), "fc: accumulator_bits must be at least 2, got 1"),
            (({"fc": 0}, WRAP), "fc: accumulator_bits must be at least 2, got 0"),
            ((8, WRAP, ["fc", "fc2"]), "test: has no layer 'fc2' with weights, expected fc"),
            (({"flat": 8}, WRAP), "test: has no layer 'flat' with weights, expected fc"),
            (({"fc": 8}, SAT, ["fc"]), "test: a mapping of accumulator bits names its layers itself"),
            ((8, Overflow.SAT_SYM), "test: an accumulator's overflow must be WRAP or SAT, got SAT_SYM"),
            ((40, Overflow.WRAP_SM), "test: an accumulator's overflow must be WRAP or SAT, got WRAP_SM"),
            ((8, "sat"), "test: an accumulator's overflow must be WRAP or SAT, got 'sat'"),
            ((8, None), "test: an accumulator's overflow must be WRAP or SAT, got None"),
        ],
    )
    def test_narrowed(self, arguments: Any, line: str) -> None:
        """A width, a layer or an overflow that cannot be is refused in one line."""
        with pytest.raises(EspalierError) as refused:
            narrowed(self.OF, *arguments)
        assert str(refused.value) == line

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"accumulator_bits": 8, "output": signal(8)}, "fc: accumulator_bits must be at least 17, got 8"),
            (
                {"accumulator_bits": 1, "output": signal(1), "accumulator_overflow": SAT},
                "fc: accumulator_bits must be at least 2, got 1",
            ),
            (
                {"accumulator_bits": 8, "accumulator_overflow": SAT},
                "fc: without requantisation the output is the signed accumulator",
            ),
            ({"accumulator_overflow": Overflow.SAT_ZERO}, "fc: accumulator_overflow must be WRAP or SAT, got SAT_ZERO"),
            ({"accumulator_overflow": 3}, "fc: accumulator_overflow must be WRAP or SAT, got 3"),
        ],
    )
    def test_a_layer(self, changes: dict[str, Any], line: str) -> None:
        """A layer is narrow only where it says what becomes of the sums that do not fit."""
        layers = self.OF.layers
        with pytest.raises(EspalierError) as refused:
            replace(self.OF, layers=(layers[0], replace(layers[1], **changes)))
        assert str(refused.value) == line
