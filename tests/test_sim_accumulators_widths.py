"""Programs narrowed: what a width means, what every other reader makes of them, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.narrow_sums import (
    FLAT,
    SAT,
    WRAP,
    each_kind,
    each_mode,
    each_pattern,
    fully_connected,
    one_layer,
    pixels,
    scores,
)
from support.programs import PIXEL, every_kind, mac_layer, program, signal
from test_equivalence import assert_equivalent, assert_same_codes, difference, engine_tensors

from accel.array import MacArray
from accel.cost import cost_of
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import MacLayer
from accel.quantize import narrow_accumulators
from accel.signal import Requantize
from accel.window import Window
from rtl.assemble import assemble
from sim import golden
from sim.engine import compile_program


class TestWidths:
    @each_kind
    @each_pattern
    def test_a_wrapped_sum_is_the_exact_one_modulo_the_width(self, pattern: str, convolution: bool) -> None:
        """Two's complement: the code differs from the exact sum by a multiple of 2**bits, at every width."""
        of = one_layer(pattern, convolution)
        exact = golden.run(of, pixels(of))["mac"]
        for bits in range(2, of.mac_layers[0].accumulator_bits):
            wrapped = compile_program(narrow_accumulators(of, bits, WRAP)).run(pixels(of)).codes
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
        assert narrow_accumulators(of, widest.accumulator_bits, overflow).layers == of.layers
        bits = widest.accumulator_bits - 1
        changed = [
            x for x, y in zip(narrow_accumulators(of, bits, overflow).layers, of.layers, strict=True) if x is not y
        ]
        assert [layer.accumulator_overflow for layer in changed] == [overflow] * len(changed)
        assert {layer.name for layer in changed} == {x.name for x in of.mac_layers if x.accumulator_bits > bits}

    def test_spare_bits_go_before_the_sums_do(self) -> None:
        """An accumulator that is wider than proven loses what it does not need, and is exact still."""
        of = fully_connected([[100, 100]], spare_bits=9)  # 255 * 200 = 51000 needs 17 bits
        assert of.mac_layers[0].accumulator_bits == 26
        for bits, left in ((30, 26), (20, 20), (17, 17)):
            (layer,) = narrow_accumulators(of, bits, SAT).mac_layers
            assert (layer.accumulator_bits, layer.accumulator_overflow, layer.output.bits) == (left, None, left)
        assert narrow_accumulators(of, 16, SAT).mac_layers[0].accumulator_overflow == SAT

    def test_a_narrow_program_can_be_narrowed_again(self) -> None:
        """What counts is the last width and overflow that were asked for; at the proven width it is exact again."""
        of = fully_connected([[100, 100]])
        again = narrow_accumulators(narrow_accumulators(of, 8, SAT), 12, WRAP).mac_layers[0]
        assert (again.accumulator_bits, again.accumulator_overflow) == (12, WRAP)
        (exact,) = narrow_accumulators(narrow_accumulators(of, 8, SAT), 17, WRAP).mac_layers
        assert (exact.accumulator_bits, exact.accumulator_overflow) == (17, None)
        assert exact.output.format == FixedFormat(17, 17)

    def test_some_layers(self) -> None:
        """A mapping gives each layer a width of its own, a list of names one width to these; others stay exact."""
        of = every_kind(np.random.default_rng(0))
        names = "conv1", "conv2", "scores"

        def found(narrow: Program) -> list[int | None]:
            return [None if x.accumulator_overflow is None else x.accumulator_bits for x in narrow.mac_layers]

        assert [layer.name for layer in of.mac_layers] == [*names]
        assert found(narrow_accumulators(of, {"conv2": 7, "scores": 5}, SAT)) == [None, 7, 5]
        assert found(narrow_accumulators(of, 6, WRAP, ["conv1"])) == [6, None, None]
        assert found(narrow_accumulators(of, np.int64(6), WRAP, names[:2])) == [6, 6, None]
        assert found(narrow_accumulators(of, {}, WRAP)) == [None, None, None]

    @each_mode
    def test_accumulators_that_are_handed_out(self, overflow: Overflow) -> None:
        """The output of the last layer is its accumulator: its format has the width and the overflow."""
        of = fully_connected([[100, 100]])
        narrow = narrow_accumulators(of, 8, overflow)
        assert narrow.signals["fc"].format == FixedFormat(8, 8, overflow=overflow)
        assert narrow.signals["fc"].step == of.signals["fc"].step

    def test_a_layer_that_reads_narrow_accumulators(self) -> None:
        """Accumulators of 8 bits need fewer bits of the next layer: 8 bits times 3, less one for 2's complement."""
        first = mac_layer("a", "flat", [[100, 100]], PIXEL)
        second = mac_layer("b", "a", [[3]], first.output, requantize=Requantize([1], 0), output=signal(16))
        of = program([FLAT, first, second], (2, 1, 1))
        narrow = narrow_accumulators(of, {"a": 8, "b": 10}, SAT)
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
        narrow = narrow_accumulators(of, {"conv1": 7, "scores": 8}, SAT)
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
        narrow_accumulators(of, 7, SAT).save(tmp_path / "narrow")
        says = [b"accumulator_overflow" in (tmp_path / name).read_bytes() for name in ("exact", "narrow")]
        assert says == [False, True]
        assert [x.accumulator_overflow for x in Program.load(tmp_path / "exact").mac_layers] == [None] * 3

    def test_the_cost_model(self) -> None:
        """The accumulator's bits are those of the Program, and so is the memory of scores; nothing else changes."""
        of = fully_connected([[100, 100]])  # 17 bits
        exact, narrow = cost_of(of), cost_of(narrow_accumulators(of, 8, SAT))
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
            assemble(narrow_accumulators(of, {"conv2": 8}, overflow), array)
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
            narrow_accumulators(self.OF, *arguments)
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
