"""The golden model against arithmetic done by hand, and against the definition in loops over Python's integers."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.masks import group_of
from support.programs import Codes, batches, every_kind, mac_layer, program, programs, signal
from support.reference_fixedpoint import assign

from accel.errors import EspalierError
from accel.fixedpoint import Overflow, Rounding
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, ProgramLayer, ReluLayer
from accel.signal import Requantize, Signal
from accel.window import Window
from sim import golden

SIGNED = signal(8)
ONE = Requantize([1], 0)

Tensor = dict[tuple[int, ...], int]
"""The codes of one image by position; what is in no position is padding."""


def run(layer: ProgramLayer, codes: Any, reads: Signal = SIGNED, more: tuple[ProgramLayer, ...] = ()) -> Any:
    """Return what golden gives for one image of nested lists (maps, height, width), as nested lists."""
    image = np.array(codes)
    layers = (*more, layer)
    return golden.run(program(layers, image.shape, reads), image[None])[layer.name][0].tolist()


def mac(layer: MacLayer, x: Tensor) -> dict[tuple[int, ...], tuple[int, int]]:
    """Return output map and accumulator for every output position."""
    M, C, T = layer.shape
    matrix = stored_matrix(layer)
    if layer.window is None:
        sums = [sum(matrix[m][c] * x[c,] for c in range(C)) for m in range(M)]
        return {(m,): (m, sums[m] + int(layer.bias[m])) for m in range(M)}
    accumulators = {}
    for m in range(M):
        for y, x0, cells in places(layer.window, x):
            products = (matrix[m][c * T + t] * x.get((c, *cell), 0) for c in range(C) for t, cell in enumerate(cells))
            accumulators[m, y, x0] = m, sum(products) + int(layer.bias[m])
    return accumulators


def stored_matrix(layer: MacLayer) -> list[list[int]]:
    """Return the weights row by row: words are stored column by column of each group of rows that share a list."""
    M, K = layer.shape[0], layer.shape[1] * layer.shape[2]
    size = int(layer.pattern.removeprefix("block-")) if layer.pattern.startswith("block-") else 1
    rows = M if layer.pattern.startswith(("dense", "ikss")) else size
    if layer.pattern.startswith("kernel"):  # a last group that is not full is not filled
        rows = math.gcd(M, group_of(layer.pattern))
    kept, words = layer.kept.reshape(M, K), iter(layer.weights.tolist())
    matrix = [[0] * K for _ in range(M)]
    for first in range(0, M, rows):
        for column in range(-(-K // size) * size):  # a block at the edge has words for what lies outside
            inside = min(column, K - 1) if column // size == (K - 1) // size else column
            if any(kept[row][inside] for row in range(first, min(first + rows, M))):
                for row in range(first, first + rows):
                    word = next(words)
                    if row < M and column < K:
                        matrix[row][column] = word
    assert not list(words)
    return matrix


def places(window: Window, x: Tensor) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """Return every output row and column, with the input positions under its taps, row by row."""
    top, left, bottom, right = window.padding
    rows, columns = (1 + max(key[axis] for key in x) for axis in (1, 2))
    found = []
    for y, first in enumerate(range(-top, rows + bottom - window.kernel[0] + 1, window.stride[0])):
        for x0, column in enumerate(range(-left, columns + right - window.kernel[1] + 1, window.stride[1])):
            taps = [(first + i, column + j) for i in range(window.kernel[0]) for j in range(window.kernel[1])]
            found.append((y, x0, taps))
    return found


def finish(layer: Any, accumulators: dict[tuple[int, ...], tuple[int, int]]) -> Tensor:
    """Return codes from output maps and accumulators: ReLU, the exact quotient, rounding, overflow."""
    codes = {}
    for place, (output, accumulator) in accumulators.items():
        value = max(accumulator, 0) if layer.relu else accumulator
        if layer.requantize is not None:
            multipliers, form = layer.requantize.multipliers.tolist(), layer.output.format
            quotient = Fraction(value * multipliers[output % len(multipliers)], 2**layer.requantize.shift)
            modes = form.rounding.name, form.overflow.name, form.saturation_bits
            value = assign(quotient, form.width, 0, form.signed, *modes)
        codes[place] = value
    return codes


def maximum(layer: MaxPoolLayer, x: Tensor) -> Tensor:
    """Return the largest code under each window, of those that there are."""
    slid = places(layer.window, x)
    maps = {key[0] for key in x}
    return {(c, y, x0): max(x[c, *cell] for cell in cells if (c, *cell) in x) for c in maps for y, x0, cells in slid}


def average(layer: AvgPoolLayer, x: Tensor) -> Tensor:
    """Return the requantised sum under each window."""
    slid = places(layer.window, x)
    maps = {key[0] for key in x}
    sums = {(c, y, x0): (0, sum(x.get((c, *cell), 0) for cell in cells)) for c in maps for y, x0, cells in slid}
    return finish(layer, sums)


def add(layer: AddLayer, left: Tensor, right: Tensor) -> Tensor:
    """Return the requantised weighted sum."""
    a, b = layer.weights
    return finish(layer, {place: (0, a * left[place] + b * right[place]) for place in left})


SLOW: dict[type[ProgramLayer], Callable[..., Tensor]] = {
    MacLayer: lambda layer, x: finish(layer, mac(layer, x)),
    MaxPoolLayer: maximum,
    AvgPoolLayer: average,
    AddLayer: add,
    ReluLayer: lambda layer, x: {place: max(code, 0) for place, code in x.items()},
    FlattenLayer: lambda layer, x: {(i,): x[place] for i, place in enumerate(sorted(x))},
}


def slow_run(of: Program, image: Codes) -> dict[str, Tensor]:
    """Return every tensor of a Program for one image, in loops over Python's integers."""
    tensors = {INPUT: positions(image)}
    for layer in of.layers:
        tensors[layer.name] = SLOW[type(layer)](layer, *(tensors[source] for source in layer.inputs))
    return tensors


def positions(codes: Codes) -> Tensor:
    """Return the codes of one image by position."""
    return {place: int(code) for place, code in np.ndenumerate(codes)}


class TestConvolution:
    def test_one_by_one(self) -> None:
        """A 1x1 convolution weighs the maps of each pixel and adds the bias."""
        layer = mac_layer("conv", INPUT, [[[2], [-3]], [[0], [1]]], SIGNED, window=Window((1, 1)), bias=[10, 0])
        maps = [[[1, 2], [3, 4]], [[5, 6], [7, -8]]]
        # map 0: 2*1 - 3*5 + 10 = -3, 2*2 - 3*6 + 10 = -4, 2*3 - 3*7 + 10 = -5, 2*4 + 3*8 + 10 = 42; map 1: the second
        assert run(layer, maps) == [[[-3, -4], [-5, 42]], [[5, 6], [7, -8]]]

    def test_two_by_two_with_padding_and_stride(self) -> None:
        """The kernel is not mirrored; a row of zeros above and a column of zeros on the right; a stride of 2 and 1."""
        window = Window((2, 2), (2, 1), (1, 0, 0, 1))
        layer = mac_layer("conv", INPUT, [[[1, 2, 3, 4]]], SIGNED, window=window, bias=[100])
        # the padded map      0 0 0      kernel  1 2      rows 0-1: 100 + 3*5 + 4*6 = 139   100 + 3*6 + 0 = 118
        #                     5 6 0              3 4      rows 2-3: 100 + 1*7 + 2*8 = 123   100 + 1*8     = 108
        #                     7 8 0                          plus   3*9 + 4*10 = 67 -> 190  3*10          = 30 -> 138
        #                     9 10 0
        assert run(layer, [[[5, 6], [7, 8], [9, 10]]]) == [[[139, 118], [190, 138]]]

    def test_asymmetric_padding(self) -> None:
        """Padding is (top, left, bottom, right)."""
        layer = mac_layer("conv", INPUT, [[[1]]], SIGNED, window=Window((1, 1), padding=(0, 1, 2, 0)))
        assert run(layer, [[[7]]]) == [[[0, 7], [0, 0], [0, 0]]]

    def test_pruned_weights_are_zeros(self) -> None:
        """With stride 2 and offset 1 (IKSS) a kernel of four taps has its taps 1 and 3, and no others."""
        kept = np.array([[[False, True, False, True]]])
        store = {"kept": kept, "pattern": "ikss", "encoding": "stride-offset"}
        layer = mac_layer("conv", INPUT, [[[50, 2, 60, 4]]], SIGNED, window=Window((2, 2)), **store)
        assert layer.weights.tolist() == [2, 4]
        assert run(layer, [[[1, 10], [3, 5]]]) == [[[2 * 10 + 4 * 5]]]

    @pytest.mark.parametrize(("group", "words"), [(2, [1, 3, 2, 4, 5, 7, 6, 8]), (3, [1, 2, 3, 4, 5, 6, 7, 8])])
    def test_words_of_kernels_that_go_together(self, group: int, words: list[int]) -> None:
        """Maps that keep kernels together lie side by side, column by column; 4 maps fall into no groups of 3."""
        kept = np.ones((4, 2, 1), bool)
        store = {"kept": kept, "pattern": f"kernel@{group}", "encoding": "kernel flags"}
        layer = mac_layer(
            "conv", INPUT, [[[1], [2]], [[3], [4]], [[5], [6]], [[7], [8]]], SIGNED, window=Window((1, 1)), **store
        )
        assert layer.weights.tolist() == words
        assert stored_matrix(layer) == [[1, 2], [3, 4], [5, 6], [7, 8]]
        assert run(layer, [[[1]], [[10]]]) == [[[21]], [[43]], [[65]], [[87]]]


class TestFullyConnected:
    def test_a_matrix_times_the_flattened_maps(self) -> None:
        """Maps are flattened map by map and row by row, then weighed; the last layer hands out accumulators."""
        layer = mac_layer("fc", "flat", [[1, 10, 100], [-1, 0, 2]], SIGNED, bias=[0, 5])
        flat = FlattenLayer("flat", (INPUT,))
        # 1*3 + 10*4 + 100*-5 = -457; -3 + 0 - 10 + 5 = -8
        assert run(layer, [[[3]], [[4]], [[-5]]], more=(flat,)) == [-457, -8]

    def test_flatten_is_row_major(self) -> None:
        """Column moves fastest, then row, then map."""
        assert run(FlattenLayer("flat", (INPUT,)), [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]) == [1, 2, 3, 4, 5, 6, 7, 8]


class TestPooling:
    def test_max_of_overlapping_windows(self) -> None:
        """A 3x3 window at stride 2 with padding 1: padding never wins, not even over negative codes."""
        maps = [[[-1, -2, -3], [-4, -5, -6], [-7, -8, -9]]]
        # windows start at -1 and 1: {-1 -2 / -4 -5}, {-2 -3 / -5 -6}, {-4 -5 / -7 -8}, {-5 -6 / -8 -9}
        assert run(MaxPoolLayer("max", (INPUT,), Window.square(3, 2, 1)), maps) == [[[-1, -2], [-4, -5]]]

    @pytest.mark.parametrize(
        ("rounding", "expected"),
        [
            (Rounding.RND, [1, 2, -1, 0]),  # up
            (Rounding.RND_ZERO, [0, 1, -1, 0]),  # towards zero
            (Rounding.RND_MIN_INF, [0, 1, -2, -1]),  # down
            (Rounding.RND_INF, [1, 2, -2, -1]),  # away from zero
            (Rounding.RND_CONV, [0, 2, -2, 0]),  # to the even neighbor
            (Rounding.TRN, [0, 1, -2, -1]),  # floor
            (Rounding.TRN_ZERO, [0, 1, -1, 0]),  # the integer part
        ],
    )
    def test_average_with_ties(self, rounding: Rounding, expected: list[int]) -> None:
        """A 2x2 average divides the sum by 4; sums of 2, 6, -6 and -2 lie halfway: 0.5, 1.5, -1.5 and -0.5."""
        layer = AvgPoolLayer(
            "avg", (INPUT,), Window.square(2, 2), 11, False, Requantize([1], 2), signal(8, rounding=rounding)
        )
        maps = [[[1, 0, 3, 3, -3, -3, -1, -1], [0, 1, 0, 0, 0, 0, 0, 0]]]
        assert run(layer, maps) == [[expected]]

    def test_padding_of_an_average_counts_as_zeros(self) -> None:
        """A corner window of three paddings and an 8 sums up to 8, and the divisor stays 4."""
        layer = AvgPoolLayer("avg", (INPUT,), Window.square(2, 1, 1), 10, False, Requantize([1], 2), SIGNED)
        assert run(layer, [[[8]]]) == [[[2, 2], [2, 2]]]

    def test_global_average_by_a_multiplier(self) -> None:
        """A third: 5461 / 2**14 = 0.33331; 1 + 2 + 4 = 7 gives 38227 / 16384 = 2.33 -> 2, and 8 gives 2.67 -> 3."""
        third = Requantize([5461], 14)
        layer = AvgPoolLayer("avg", (INPUT,), Window((1, 3)), 10, False, third, signal(8, rounding=Rounding.RND))
        assert run(layer, [[[1, 2, 4]], [[1, 2, 5]]]) == [[[2]], [[3]]]


class TestAdd:
    def test_two_weights(self) -> None:
        """Each signal is weighed by its integer, the sum divided by 4 and floored."""
        relu = ReluLayer("relu", (INPUT,))
        layer = AddLayer("add", ("relu", INPUT), (3, 2), 12, False, Requantize([1], 2), SIGNED)
        # 3*5 + 2*5 = 25 -> 6.25 -> 6; 3*0 + 2*-7 = -14 -> -3.5 -> -4; 0 -> 0
        assert run(layer, [[[5, -7, 0]]], more=(relu,)) == [[[6, -4, 0]]]


class TestRequantization:
    @pytest.mark.parametrize(
        ("output", "expected"),
        [
            (signal(4, overflow=Overflow.SAT), [-8, -8, -1, 7, 7]),
            (signal(4, overflow=Overflow.SAT_SYM), [-7, -7, -1, 7, 7]),  # -8 moves too
            (signal(4, overflow=Overflow.SAT_ZERO), [0, -8, -1, 7, 0]),
            (signal(4, overflow=Overflow.WRAP), [7, -8, -1, 7, -8]),  # -9 + 16, 8 - 16
            (signal(4, overflow=Overflow.WRAP, saturation_bits=1), [-1, -8, -1, 7, 0]),  # the sign stays: 1 111, 0 000
            (signal(4, overflow=Overflow.WRAP_SM), [-8, -8, -1, 7, 7]),  # the table of the design, section 3
            (signal(4, False, overflow=Overflow.SAT), [0, 0, 0, 7, 8]),
            (signal(3, False, overflow=Overflow.SAT), [0, 0, 0, 7, 7]),
            (signal(3, False, overflow=Overflow.WRAP), [7, 0, 7, 7, 0]),  # modulo 8
        ],
        ids=lambda value: str(value.format) if isinstance(value, Signal) else "",
    )
    def test_overflow_on_both_sides(self, output: Signal, expected: list[int]) -> None:
        """What becomes of -9, -8, -1, 7 and 8, in every overflow mode."""
        layer = mac_layer("conv", INPUT, [[[1]]], SIGNED, window=Window((1, 1)), requantize=ONE, output=output)
        assert run(layer, [[[-9, -8, -1, 7, 8]]]) == [[expected]]

    def test_rounding_comes_before_overflow(self) -> None:
        """15 / 2 rounds to 8, which four bits wrap to -8; 14 / 2 = 7 stays."""
        output = signal(4, rounding=Rounding.RND, overflow=Overflow.WRAP)
        half = {"requantize": Requantize([1], 1), "output": output}
        layer = mac_layer("conv", INPUT, [[[1]]], SIGNED, window=Window((1, 1)), **half)
        assert run(layer, [[[14, 15]]]) == [[[7, -8]]]

    def test_relu_comes_before_rounding_and_overflow(self) -> None:
        """-100 becomes 0 and not what would wrap to -4 or round to a negative code."""
        finish_ = {"requantize": ONE, "output": signal(5, overflow=Overflow.WRAP)}
        plain = mac_layer("conv", INPUT, [[[1]]], SIGNED, window=Window((1, 1)), **finish_)
        relu = mac_layer("conv", INPUT, [[[1]]], SIGNED, window=Window((1, 1)), relu=True, **finish_)
        codes = [[[-100, -20, -1, 3]]]
        assert run(plain, codes) == [[[-4, 12, -1, 3]]]  # -100 + 96, -20 + 32
        assert run(relu, codes) == [[[0, 0, 0, 3]]]

    def test_one_multiplier_for_each_output(self) -> None:
        """Output maps have multipliers of their own and share the shift: 12 * 3 / 8 = 4.5 -> 4, 12 * 8 / 8 = 12."""
        finish_ = {"requantize": Requantize([3, 8], 3), "output": SIGNED}
        layer = mac_layer("conv", INPUT, [[[1]], [[1]]], SIGNED, window=Window((1, 1)), **finish_)
        assert run(layer, [[[12]]]) == [[[4]], [[12]]]

    def test_a_shift_that_leaves_nothing(self) -> None:
        """At the largest shift the floor of a negative accumulator is -1, and nothing else is left."""
        last = {"requantize": Requantize([1], 60), "output": SIGNED}
        layer = mac_layer("conv", INPUT, [[[1]]], SIGNED, window=Window((1, 1)), **last)
        assert run(layer, [[[-128, -1, 0, 127]]]) == [[[-1, -1, 0, 0]]]

    def test_relu_alone(self) -> None:
        """Negative codes become 0."""
        assert run(ReluLayer("relu", (INPUT,)), [[[-128, -1, 0, 1, 127]]]) == [[[0, 0, 0, 1, 127]]]


class TestDefinition:
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def test_random_programs(self, data: st.DataObject) -> None:
        """Every tensor is what loops over Python's integers and exact fractions give."""
        of = data.draw(programs())
        (image,) = data.draw(batches(of, images=1))
        found = {name: positions(codes[0]) for name, codes in golden.run(of, image[None]).items()}
        assert found == slow_run(of, image)

    def test_every_kind_of_layer(self) -> None:
        """The same for a residual network; and one other pixel is not the same."""
        of = every_kind(np.random.default_rng(3))
        image = np.random.default_rng(4).integers(0, 256, of.input_shape)
        expected = slow_run(of, image)
        assert {name: positions(codes[0]) for name, codes in golden.run(of, image[None]).items()} == expected
        image[0, 4, 4] ^= 128
        assert positions(golden.run(of, image[None])[of.output][0]) != expected[of.output]

    def test_every_image_of_a_batch(self) -> None:
        """A batch is its images one by one; an empty batch has the shapes of one."""
        of = every_kind(np.random.default_rng(3))
        batch = np.random.default_rng(5).integers(0, 256, (3, *of.input_shape))
        together = golden.run(of, batch)
        for name, codes in together.items():
            assert np.array_equal(codes, np.concatenate([golden.run(of, batch[i : i + 1])[name] for i in range(3)]))
            assert golden.run(of, batch[:0])[name].shape == (0, *of.shapes[name])


class TestBadInput:
    def test_codes_that_do_not_fit(self) -> None:
        """Codes outside the input's format, of another shape or no integers are refused."""
        of, shape = program([ReluLayer("relu", (INPUT,))], (1, 2, 2), signal(8, signed=False)), (1, 1, 2, 2)
        for batch, problem in (
            (np.full(shape, 256), r"code 256 is outside ap_ufixed<8,8>: 0\.\.255"),
            (np.full(shape, -1), "code -1 is outside"),
            (np.zeros((1, 1, 2, 3), int), r"test: expects images of shape \(1, 2, 2\), got \(1, 2, 3\)"),
            (np.zeros(shape), "expected integers, got an array of float64"),
        ):
            with pytest.raises(EspalierError, match=problem):
                golden.run(of, batch)
