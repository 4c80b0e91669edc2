"""Whole Programs on the hardware: golden's codes on every bit, and the closed form's cycles without a tolerance."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, mac_layer, program, signal
from support.rtl_builds import WORD, write
from support.rtl_programs import ARRAY, SIGNED, SIZES, add, avg, check, images_of, mac

from accel.array import MacArray
from accel.cost import total_cycles, total_interval
from accel.cost.cycles import LAYER_CYCLES, RAW_CYCLES
from accel.demand import array_for
from accel.errors import EspalierError
from accel.fixedpoint import Overflow, Rounding, overflow_code, round_shift
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer, ProgramLayer
from accel.signal import Requantize, Signal
from accel.window import Window
from rtl import simulators
from rtl.assemble import assemble
from rtl.core import accelerator, drain
from rtl.emit import Job
from rtl.layout import Layout, Target
from rtl.simulate import simulate
from sim import golden

PATTERNS = (
    "dense",
    "kernel",
    "ikss",
    "ikss-rest",
    "kernel+ikss",
    "kernel@2",
    "kernel@3+ikss",
    "irregular",
    "block-2",
    "block-3",
    "2:4",
)


def test_the_pipeline() -> None:
    """The constants of the closed form are the stages of the hardware."""
    # 2 cycles to begin the walk, where the layer's words and first entry are there
    assert 2 + accelerator.FETCH_CYCLES + accelerator.LANE_CYCLES + drain.CODES == LAYER_CYCLES
    assert LAYER_CYCLES - (drain.CODES - drain.RECTIFIED) == RAW_CYCLES


class TestPatterns:
    @pytest.mark.slow
    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_a_network(self, pattern: str, rng: np.random.Generator) -> None:
        """A pruned network of two convolutions, a pool and a linear layer, in partial groups and tiles."""
        odd = Window((3, 3), (1, 1), (2, 0, 1, 1))
        layers = [
            mac(rng, "conv1", INPUT, (5, 3, 9), PIXEL, window=odd, pattern=pattern, output=SIGNED),
            mac(rng, "conv2", "conv1", (6, 5, 4), SIGNED, window=Window.square(2, 2), pattern=pattern, output=SIGNED),
            MaxPoolLayer("pool", ("conv2",), Window((2, 1))),
            FlattenLayer("flat", ("pool",)),
            mac(rng, "scores", "flat", (5, 24, 1), SIGNED, pattern=pattern),
        ]
        of = program(layers, (3, 5, 5))
        check(of, images_of(rng, of, 1))

    @pytest.mark.slow
    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_fewer_columns_than_rows(self, pattern: str, rng: np.random.Generator) -> None:
        """A tile whose list is shorter than the rows that the tile before it drains waits for them."""
        layer = mac(rng, "conv", INPUT, (7, 2, 1), SIGNED, window=Window((1, 1)), pattern=pattern, output=SIGNED)
        of = program([layer], (2, 2, 6), SIGNED)
        check(of, images_of(rng, of))

    def test_lists_of_one_entry(self, rng: np.random.Generator) -> None:
        """A group whose list is one tap of one map, and another whose list is another tap."""
        kept = np.zeros((8, 2, 4), bool)
        kept[:4, 1, 2] = kept[4:, 0, 3] = True
        layer = mac(rng, "conv", INPUT, kept.shape, PIXEL, window=Window.square(2), pattern="irregular", kept=kept)
        of = program([layer], (2, 3, 6))
        check(of, images_of(rng, of))

    @pytest.mark.parametrize("all_groups", [True, False])
    def test_nothing_kept(self, all_groups: bool, rng: np.random.Generator) -> None:
        """A group that keeps nothing, or a layer that does, gives its biases."""
        kept = np.zeros((8, 2, 4), bool)
        kept[:4] = not all_groups
        layer = mac(rng, "conv", INPUT, kept.shape, PIXEL, window=Window.square(2), pattern="kernel", kept=kept)
        of = program([layer], (2, 3, 6))
        runs = check(of, images_of(rng, of))
        assert (runs[0].codes[4:] == layer.bias[4:, None, None]).all()

    def test_no_map_in_common(self, rng: np.random.Generator) -> None:
        """Lanes of a group that keep different maps run the union, each with zeros for what it has pruned."""
        kept = np.broadcast_to(np.eye(4, dtype=bool)[:, :, None], (4, 4, 4)).copy()
        layer = mac(rng, "conv", INPUT, kept.shape, PIXEL, window=Window.square(2), pattern="kernel", kept=kept)
        of = program([layer], (4, 3, 5))
        check(of, images_of(rng, of))


class TestWindows:
    @pytest.mark.slow
    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (1, 4), (5, 2), (5, 5)], ids=str)
    def test_kernels_and_strides(self, kernel: Any, stride: int, rng: np.random.Generator) -> None:
        """Every kernel at both strides, with more padding on some sides than on others."""
        window = Window(kernel, (stride, stride), (kernel[0] // 2, kernel[1] - 1, 0, kernel[1]))
        layer = mac(rng, "conv", INPUT, (3, 2, window.taps), PIXEL, window=window)
        of = program([layer], (2, 5, 6))
        check(of, images_of(rng, of, 1))

    @pytest.mark.slow
    @pytest.mark.parametrize("stride", [1, 2])
    def test_a_kernel_of_eleven(self, stride: int, rng: np.random.Generator) -> None:
        """An 11 x 11 kernel on a map that is smaller, all the rest padding."""
        window = Window.square(11, stride, 5)
        layer = mac(rng, "conv", INPUT, (2, 1, 121), PIXEL, window=window, pattern="ikss")
        of = program([layer], (1, 4, 5))
        check(of, images_of(rng, of, 1))

    def test_windows_in_the_padding(self, rng: np.random.Generator) -> None:
        """Windows that meet nothing but padding give the bias."""
        layer = mac(rng, "conv", INPUT, (2, 1, 4), PIXEL, window=Window((2, 2), (1, 1), (3, 4, 2, 5)))
        of = program([layer], (1, 2, 3))
        runs = check(of, images_of(rng, of))
        assert (runs[0].codes[:, 0] == layer.bias[:, None]).all()

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["max", "avg"])
    @pytest.mark.parametrize(
        "window",
        [
            Window.square(2, 2),
            Window.square(3, 2, 1),
            Window((3, 2), (1, 1), (2, 0, 1, 1)),
            Window((1, 1)),
            Window((5, 6)),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("reads", [signal(4), signal(7, signed=False)], ids=lambda s: str(s.format))
    def test_pools(self, kind: str, window: Window, reads: Signal, rng: np.random.Generator) -> None:
        """Pools side by side, overlapping, in asymmetric padding, of one tap, of the whole map, as the last layer."""
        layer = MaxPoolLayer("pool", (INPUT,), window) if kind == "max" else avg("pool", INPUT, window, reads, SIGNED)
        of = program([layer], (3, 5, 6), reads)
        check(of, images_of(rng, of, 1))

    def test_padding_never_wins(self) -> None:
        """The largest of negative codes is negative, beside padding too."""
        of = program([MaxPoolLayer("pool", (INPUT,), Window.square(3, 2, 1))], (1, 4, 5), SIGNED)
        (run,) = check(of, np.full((1, 1, 4, 5), -32))
        assert (run.codes == -32).all()

    def test_a_maximum_is_a_code_already(self) -> None:
        """A max pool hands on the lowest code of a format whose overflow would have saturated to one above it."""
        reads = signal(4, overflow=Overflow.SAT_SYM)
        of = program([MaxPoolLayer("pool", (INPUT,), Window.square(2))], (1, 3, 3), reads)
        (run,) = check(of, np.full((1, 1, 3, 3), -8))
        assert (run.codes == -8).all()

    @pytest.mark.parametrize("kind", ["max", "avg"])
    def test_pools_between_layers(self, kind: str, rng: np.random.Generator) -> None:
        """A pool in the middle, whose output the next layer reads."""
        window, narrow = Window.square(3, 2, 1), signal(5)
        pool = MaxPoolLayer("pool", ("a",), window) if kind == "max" else avg("pool", "a", window, SIGNED, narrow, True)
        layers: list[ProgramLayer] = [
            mac(rng, "a", INPUT, (5, 1, 1), PIXEL, window=Window((1, 1)), output=SIGNED),
            pool,
            mac(rng, "b", "pool", (3, 5, 4), SIGNED if kind == "max" else narrow, window=Window.square(2)),
        ]
        of = program(layers, (1, 5, 6))
        check(of, images_of(rng, of))


class TestNumbers:
    @pytest.mark.slow
    @pytest.mark.parametrize("relu", [False, True])
    @pytest.mark.parametrize("bits", range(3, 9))
    def test_widths(self, bits: int, relu: bool, rng: np.random.Generator) -> None:
        """Signals of 3..8 bits, signed and unsigned, with a ReLU and without, a multiplier for each output."""
        first, second = signal(bits, signed=False), signal(bits)
        layers = [
            mac(rng, "a", INPUT, (5, 2, 4), second, window=Window.square(2), output=first, multipliers=5, relu=relu),
            mac(rng, "b", "a", (4, 5, 1), first, window=Window((1, 1)), output=second, multipliers=4, relu=relu),
            FlattenLayer("flat", ("b",)),
            mac(rng, "c", "flat", (3, 24, 1), second, output=first),
        ]
        of = program(layers, (2, 3, 4), second)
        check(of, images_of(rng, of))

    @pytest.mark.slow
    @pytest.mark.parametrize("overflows", [list(Overflow), list(reversed(Overflow))], ids=["up", "down"])
    def test_formats_in_one_program(self, overflows: list[Overflow], rng: np.random.Generator) -> None:
        """Every rounding and every overflow mode, in one Program; half of all codes saturate, many sums are ties."""
        layers: list[ProgramLayer] = []
        reads, source = signal(6), INPUT
        for index, rounding in enumerate(Rounding):
            output = signal(4 + index % 3, rounding=rounding, overflow=overflows[index % len(overflows)])
            words = {"window": Window((1, 1)), "output": output, "requantize": Requantize([1], 1)}
            layers.append(mac_layer(f"a{index}", source, [[[1], [2]], [[-2], [1]]], reads, **words))
            reads, source = output, f"a{index}"
        of = program(layers, (2, 4, 4), signal(6))
        check(of, images_of(rng, of))

    @pytest.mark.slow
    @pytest.mark.parametrize("rounding", Rounding, ids=lambda mode: mode.name)
    def test_ties_and_saturation(self, rounding: Rounding) -> None:
        """Every code of six bits, halved to four bits: each tie, and saturation on both sides."""
        output = signal(4, rounding=rounding, overflow=Overflow.SAT)
        words = {"window": Window((1, 1)), "output": output, "requantize": Requantize([1], 1)}
        of = program([mac_layer("a", INPUT, [[[1]]], signal(6), **words)], (1, 8, 8), signal(6))
        (run,) = check(of, np.arange(-32, 32).reshape(1, 1, 8, 8))
        assert {int(run.codes.min()), int(run.codes.max())} == {-8, 7}

    @pytest.mark.slow
    @pytest.mark.parametrize("rounding", Rounding, ids=lambda mode: mode.name)
    def test_carries_out_of_a_sign_magnitude_wrap(self, rounding: Rounding) -> None:
        """Three quarters of every code of seven bits, in four: WRAP_SM reads its deleted bit before the carry."""
        output = signal(4, rounding=rounding, overflow=Overflow.WRAP_SM)
        words = {"window": Window((1, 1)), "output": output, "requantize": Requantize([3], 2)}
        of = program([mac_layer("a", INPUT, [[[1]]], signal(7), **words)], (1, 8, 16), signal(7))
        codes = np.arange(-64, 64)
        check(of, codes.reshape(1, 1, 8, 16))
        carried, floor = round_shift(3 * codes, 2, rounding), 3 * codes >> 2
        late = overflow_code(carried, carried, 4, True, Overflow.WRAP_SM, 0)
        early = overflow_code(carried, floor, 4, True, Overflow.WRAP_SM, 0)
        assert (late != early).any() == (rounding != Rounding.TRN)  # the control: some code tells the two apart

    @pytest.mark.parametrize("reads", [signal(8, signed=False), signal(8)], ids=["unsigned", "signed"])
    @pytest.mark.parametrize("weight", [-128, 127])
    def test_extremes(self, weight: int, reads: Signal) -> None:
        """The highest and lowest codes times the highest and lowest weights, in the fewest accumulator bits."""
        layer = mac_layer("a", INPUT, np.full((2, 3, 4), weight), reads, window=Window.square(2), bias=[-999, 999])
        of = program([layer], (3, 2, 3), reads)
        images = [np.full(of.input_shape, code) for code in (reads.format.min_code, reads.format.max_code)]
        check(of, np.stack(images), replace(ARRAY, accumulator_bits=layer.accumulator_bits))

    def test_wide_words(self, rng: np.random.Generator) -> None:
        """Signals and weights of 16 bits, an accumulator of 40."""
        wide = signal(16)
        words = {"window": Window.square(2), "weight_bits": 16, "output": wide, "requantize": Requantize([65535], 33)}
        layer = mac_layer("a", INPUT, rng.integers(-(1 << 15), 1 << 15, (3, 2, 4)), wide, **words)
        of = program([layer], (2, 3, 4), wide)
        check(of, images_of(rng, of), replace(ARRAY, weight_bits=16, signal_bits=16, accumulator_bits=40))

    def test_wide_multipliers(self, rng: np.random.Generator) -> None:
        """Multipliers of 17 to 32 bits, one for each output; an array for the Program has constants as wide."""
        multipliers = [(1 << 32) - 1, (1 << 31) + 12345, 1 << 16]
        words = {"window": Window.square(2), "output": signal(8), "requantize": Requantize(multipliers, 38)}
        layer = mac_layer("a", INPUT, rng.integers(-128, 128, (3, 2, 4)), signal(8), **words)
        of = program([layer], (2, 3, 4), signal(8))
        assert array_for(of, 4, 4).multiplier_bits == 32
        check(of, images_of(rng, of), replace(ARRAY, multiplier_bits=32))
        with pytest.raises(EspalierError, match="a: needs 32 multiplier bits, the array has 16"):
            assemble(of, ARRAY)


def global_average(rng: np.random.Generator) -> Program:
    """Return a convolution, an average over the whole of its 8 x 8 maps with a stride of 8, and scores."""
    layers = [
        mac(rng, "conv", INPUT, (3, 2, 1), PIXEL, window=Window((1, 1)), output=SIGNED),
        avg("mean", "conv", Window.square(8, 8), SIGNED, SIGNED),
        FlattenLayer("flat", ("mean",)),
        mac(rng, "scores", "flat", (5, 3, 1), SIGNED),
    ]
    return program(layers, (2, 8, 8))


class TestStridesOfOnePixel:
    """Where the output is one pixel in a direction, the stride in that direction steps nowhere, whatever it is."""

    def test_a_global_average(self, rng: np.random.Generator) -> None:
        """All of an 8 x 8 map, stride 8."""
        of = global_average(rng)
        check(of, images_of(rng, of))

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("window", "shape"),
        [
            (Window((4, 2), (7, 2)), (2, 4, 12)),  # one row of 6 pixels, two tiles
            (Window((4, 2), (2, 1)), (2, 5, 9)),
            (Window((2, 4), (2, 5), (0, 1, 1, 0)), (2, 7, 5)),  # a column of 4 pixels
            (Window((5, 3), (3, 7), (1, 1, 1, 1)), (2, 4, 3)),  # one pixel, two strides
        ],
    )
    @pytest.mark.parametrize("kind", ["conv", "max"])
    def test_windows(self, kind: str, window: Window, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
        """Convolutions and pools whose output is a row, a column or a pixel, with padding."""
        layers: list[ProgramLayer] = [MaxPoolLayer("a", (INPUT,), window)]
        if kind == "conv":
            layers = [mac(rng, "a", INPUT, (5, 2, window.taps), PIXEL, window=window, output=SIGNED)]
        of = program(layers, shape)
        assert 1 in of.shapes["a"][1:]
        check(of, images_of(rng, of, 1))

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Debian's package verilator")
    def test_in_verilator(self, rng: np.random.Generator, tmp_path: Path) -> None:
        """The emitted Verilog gives the same codes in the same cycles; a bit of a tap's place, and it does not."""
        of = global_average(rng)
        codes = images_of(rng, of)
        job = Job(of, codes, golden.run(of, codes)[of.output], total_cycles(of, ARRAY), total_interval(of, ARRAY))
        build = write(tmp_path, [job], ARRAY, "verilator")
        assert simulators.run(tmp_path, "verilator") == build.expected
        (tmp_path / "wrong").mkdir()
        place = Layout(ARRAY).tap["words"].offset
        line = build.line_of_word(0, Target.TAPS) + 1  # the average's first
        build.edit(tmp_path / "wrong", "load.hex", line, lambda word: word ^ 1 << WORD + place)
        assert simulators.run(tmp_path / "wrong", "verilator").errors


class TestEdges:
    @pytest.mark.slow
    @pytest.mark.parametrize("lanes", [(1, 1), (2, 1), (1, 2), (2, 2), (3, 4), (5, 2), (4, 8)], ids=str)
    def test_arrays(self, lanes: tuple[int, int], rng: np.random.Generator) -> None:
        """Arrays of any number of output lanes and 1..8 pixel lanes, larger and smaller than the layers."""
        layers = [
            mac(rng, "a", INPUT, (4, 2, 9), PIXEL, window=Window.square(3, 2, 1), pattern="ikss", output=SIGNED),
            MaxPoolLayer("pool", ("a",), Window.square(2)),
            FlattenLayer("flat", ("pool",)),
            mac(rng, "b", "flat", (5, 16, 1), SIGNED, pattern="block-2"),
        ]
        of = program(layers, (2, 5, 5))
        check(of, images_of(rng, of, 1), MacArray(*lanes, **SIZES))

    @pytest.mark.parametrize("raw", [True, False])
    def test_one_of_everything(self, raw: bool, rng: np.random.Generator) -> None:
        """One map of one pixel, one weight, one output."""
        layer = mac(rng, "a", INPUT, (1, 1, 1), PIXEL, window=Window((1, 1)), output=None if raw else SIGNED)
        of = program([layer])
        check(of, images_of(rng, of))

    def test_a_memory_that_is_full(self, rng: np.random.Generator) -> None:
        """A Program that leaves no word of any memory free, in sizes that are no powers of two."""
        layers = [
            mac(rng, "a", INPUT, (2, 1, 3), PIXEL, window=Window((1, 3), (1, 1), (0, 1, 0, 1)), output=SIGNED),
            mac(
                rng, "b", "a", (2, 2, 3), SIGNED, window=Window((3, 1)), pattern="kernel", kept=np.ones((2, 2, 3), bool)
            ),
        ]
        of = program(layers, (1, 3, 8))
        check(of, images_of(rng, of), MacArray(2, 4, 5, 8, 24, 72, 3 + 6, 1, 6, 4, 2, split=False, overlap=False))

    @pytest.mark.slow
    @pytest.mark.parametrize("last", ["conv", "avg", "max"])
    def test_a_flatten_at_the_end(self, last: str, rng: np.random.Generator) -> None:
        """A flatten after the last layer moves nothing."""
        window = Window.square(2)
        layer = {
            "conv": mac(rng, "a", INPUT, (5, 2, 4), PIXEL, window=window),
            "avg": avg("a", INPUT, window, PIXEL, SIGNED),
            "max": MaxPoolLayer("a", (INPUT,), window),
        }[last]
        of = program([layer, FlattenLayer("flat", ("a",))], (2, 3, 6))
        check(of, images_of(rng, of))

    def test_a_tensor_that_is_read_again(self, rng: np.random.Generator) -> None:
        """A layer may read what an earlier one left, long after; each reads its own sign."""
        words = {"window": Window((1, 1)), "output": SIGNED}
        layers = [
            mac(rng, "a", INPUT, (3, 2, 1), PIXEL, **words),
            mac(rng, "b", "a", (2, 3, 1), SIGNED, **words),
            mac(rng, "c", INPUT, (2, 2, 1), PIXEL, **words),
            mac(rng, "d", "a", (2, 3, 1), SIGNED, **words),
        ]
        of = program(layers, (2, 3, 4))
        check(of, images_of(rng, of))


class TestDenseOnly:
    """An array without index entries runs what a counter makes, and nothing else."""

    array = replace(ARRAY, list_entries=0)

    @pytest.mark.slow
    @pytest.mark.parametrize("pattern", ["dense", "feature-map"])
    def test_counted_layers(self, pattern: str, rng: np.random.Generator) -> None:
        """Dense and feature-map layers, pools and vectors."""
        alive = np.zeros((6, 3, 9), bool)
        alive[::2] = True  # of each group of four some
        kept = {"kept": alive} if pattern == "feature-map" else {}
        layers = [
            mac(
                rng, "a", INPUT, (6, 3, 9), PIXEL, window=Window.square(3, 1, 1), pattern=pattern, output=SIGNED, **kept
            ),
            MaxPoolLayer("pool", ("a",), Window.square(2, 2)),
            FlattenLayer("flat", ("pool",)),
            mac(rng, "b", "flat", (5, 24, 1), SIGNED),
        ]
        of = program(layers, (3, 4, 5))
        check(of, images_of(rng, of), self.array)

    @pytest.mark.slow
    def test_stored_lists_are_refused(self, rng: np.random.Generator) -> None:
        """A layer with lists, and an addition, which is a list of two, are refused in one line."""
        listed = mac(rng, "a", INPUT, (4, 3, 9), PIXEL, window=Window.square(3), pattern="ikss")
        for layer in (listed, add("a", (INPUT, INPUT), (1, 1), (PIXEL, PIXEL), SIGNED)):
            of = program([layer], (3, 3, 4))
            need = 3 if layer is listed else 2
            with pytest.raises(EspalierError, match=rf"^test: needs {need} words of entries, list_entries are 0$"):
                simulate(of, self.array, images_of(rng, of))
            check(of, images_of(rng, of, 1), replace(self.array, list_entries=need))


class TestSharedMultipliers:
    """Where two weights and a signal have 18 bits or less, two output lanes share a multiplier."""

    @pytest.mark.parametrize("lanes", [1, 2, 3, 5])
    def test_a_network(self, lanes: int, rng: np.random.Generator) -> None:
        """Even and odd numbers of lanes, in partial groups; pools and an addition use lane 0 of a pair alone."""
        array = MacArray(lanes, 2, weight_bits=4, **SIZES)
        assert array.weights_per_multiplier == 2
        words = {"output": SIGNED, "weight_bits": 4}
        layers = [
            mac(rng, "a", INPUT, (3, 2, 9), PIXEL, window=Window.square(3, 1, 1), pattern="irregular", **words),
            mac(rng, "b", "a", (3, 3, 1), SIGNED, window=Window((1, 1)), pattern="kernel", **words),
            add("sum", ("b", "a"), (9, 2), (SIGNED, SIGNED), SIGNED),
            MaxPoolLayer("pool", ("sum",), Window.square(2, 2)),
            avg("mean", "pool", Window((2, 1)), SIGNED, SIGNED),
            FlattenLayer("flat", ("mean",)),
            mac(rng, "c", "flat", (4, 6, 1), SIGNED, weight_bits=4),
        ]
        of = program(layers, (2, 4, 5))
        check(of, images_of(rng, of, 1), array)

    @pytest.mark.parametrize("weight_bits", [4, 5])
    @pytest.mark.parametrize("reads", [signal(8, signed=False), signal(8)], ids=["unsigned", "signed"])
    def test_extremes(self, weight_bits: int, reads: Signal) -> None:
        """The highest and lowest weights side by side at the highest and lowest codes; 5 + 5 + 8 bits are all of 18."""
        high = (1 << (weight_bits - 1)) - 1
        low = -high - 1 if weight_bits == 4 else -high
        weights = np.array([(low, high), (high, low), (low, low), (high, high)]).repeat(2, axis=1)[:, :, None]
        layer = mac_layer("a", INPUT, weights, reads, window=Window((1, 1)), weight_bits=weight_bits)
        of = program([layer], (4, 1, 3), reads)
        images = [np.full(of.input_shape, code) for code in (reads.format.min_code, reads.format.max_code)]
        check(of, np.stack(images), replace(ARRAY, weight_bits=weight_bits))

    def test_the_lowest_weight_has_no_room(self) -> None:
        """At exactly 18 bits the lowest weight is refused by name, with the need and the limit; no code gives it."""
        layer = mac_layer("a", INPUT, [[[-16]], [[15]]], PIXEL, window=Window((1, 1)), weight_bits=5)
        of = program([layer], (1, 1, 3))
        with pytest.raises(EspalierError, match=r"^a: needs 16 as the size of a weight, the array has 15$"):
            simulate(of, replace(ARRAY, weight_bits=5), np.zeros((1, *of.input_shape), int))
        check(of, np.full((1, *of.input_shape), 255), replace(ARRAY, weight_bits=6))  # a multiplier for each lane
