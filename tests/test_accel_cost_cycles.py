"""Cycles in closed form, derived by hand; `tests/test_rtl_core_accelerator.py` holds the hardware to them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from support.programs import PIXEL, mac_layer, program, programs, signal

from accel.array import MacArray
from accel.cost.cycles import (
    LAYER_CYCLES,
    POOL_CYCLES,
    RAW_CYCLES,
    START_CYCLES,
    LayerCycles,
    cycles_of,
    tiles_of,
    total_cycles,
)
from accel.fusion import computing
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, ProgramLayer, ReluLayer
from accel.signal import Requantize
from accel.window import Window

ARRAY = MacArray(4, 4)
ROWS = replace(ARRAY, flat=False)  # tiles end with their row, whatever the window
CODES = {"requantize": Requantize([1], 4), "output": signal(8)}
WINDOW = Window.square(3, 1, 1)


def conv(**words: object) -> MacLayer:
    """Return a 3 x 3 convolution of 2 maps by 6 outputs that keeps the size of its maps."""
    return mac_layer("conv", INPUT, np.ones((6, 2, 9)), PIXEL, window=WINDOW, **words)  # type: ignore[arg-type]


def of_one(layer: ProgramLayer) -> Program:
    """Return a Program of one layer on 2 maps of 5 x 6."""
    return program([layer], (2, 5, 6))


class TestByHand:
    def test_the_pipeline(self) -> None:
        """A layer of one step and one row is what the pipeline takes and the walk of its one tile: 3 and 1 cycles."""
        # 2 to begin the walk, 8 to the lanes, 5 through them, 13 to drain; raw rows skip 9; a start waits for words
        assert (LAYER_CYCLES, RAW_CYCLES, START_CYCLES) == (2 + 8 + 5 + 13, 2 + 8 + 5 + 13 - 9, 2 + 4)
        for words, cycles in ((CODES, 3 + 1 + 28), ({}, 3 + 1 + 19)):
            layer = mac_layer("conv", INPUT, [[[2]]], PIXEL, window=Window((1, 1)), **words)  # type: ignore[arg-type]
            assert total_cycles(program([layer]), ARRAY) == START_CYCLES + cycles

    def test_dense_convolution(self) -> None:
        """Every tile takes a step for each of K = C x T columns, and is never held up by the rows before it."""
        # groups of 4 and 2 outputs; 5 rows of 2 tiles (4 and 2 pixels) each: 2 x 10 tiles of K = 2 x 9 = 18 steps
        # the last tile's 2 rows drain after it
        (row,) = cycles_of(of_one(conv(**CODES)), ROWS)
        expected = LayerCycles(
            name="conv", steps=20 * 18, cycles=20 * 18 + 2 + LAYER_CYCLES, macs=6 * 18 * 5 * 6, lanes=16, rows=60
        )
        assert row == expected
        assert row.utilization == 6 * 18 * 30 / (16 * (362 + LAYER_CYCLES))
        assert row != replace(expected, cycles=expected.cycles + 1)  # negative control

    def test_accumulators_leave_earlier(self) -> None:
        """A final layer that is not requantised ends as many cycles earlier as its rows leave."""
        (row,) = cycles_of(of_one(conv()), ROWS)
        assert row.cycles == 20 * 18 + 2 + RAW_CYCLES

    def test_pruned_kernels(self) -> None:
        """A group runs the maps that any of its outputs keeps; MACs count what each output keeps."""
        kept = np.zeros((6, 2, 9), bool)
        kept[0, 0] = kept[1, 1] = kept[4:, 1] = True
        # group 0 keeps both maps: 18 steps; group 1 map 1 alone: 9 steps; 10 tiles each
        (row,) = cycles_of(of_one(conv(kept=kept, pattern="kernel", encoding="kernel flags")), ROWS)
        assert (row.steps, row.cycles) == (270, 10 * 18 + 10 * 9 + 2 + RAW_CYCLES)
        assert row.macs == 4 * 9 * 30

    def test_waiting_for_the_drain(self) -> None:
        """A tile of fewer steps than the rows of the tile before it ends as many cycles after it as it had rows."""
        layer = mac_layer("conv", INPUT, np.ones((6, 2, 1)), PIXEL, window=Window((1, 1)))
        # K = 2; group 0 (4 rows) has 10 tiles: the walk's 3, then 9 x max(2, 4); group 1 (2 rows): the first
        # max(2, 4) as it follows 4 rows, then 9 x max(2, 2) but the walk takes 3; 2 rows drain at the end
        (row,) = cycles_of(of_one(layer), ROWS)
        assert (row.steps, row.cycles) == (40, 3 + 9 * 4 + 4 + 9 * 3 + 2 + RAW_CYCLES)

    @pytest.mark.parametrize(("columns", "cycles"), [(1, 3), (2, 3), (3, 3), (4, 4)])
    def test_waiting_for_the_walk(self, columns: int, cycles: int) -> None:
        """A tile takes three cycles at least, however few its steps and rows: the next one's place takes as long."""
        layer = mac_layer("conv", INPUT, np.ones((1, columns, 1)), PIXEL, window=Window((1, 1)))
        (row,) = cycles_of(program([layer], (columns, 5, 6)), ROWS)  # 5 rows of 2 tiles, 1 row drains each
        assert (row.steps, row.cycles) == (10 * columns, 10 * cycles + 1 + RAW_CYCLES)

    def test_a_group_that_keeps_nothing(self) -> None:
        """It takes one step a tile."""
        kept = np.zeros((6, 2, 9), bool)
        kept[:4] = True
        (row,) = cycles_of(of_one(conv(kept=kept, pattern="kernel", encoding="kernel flags")), ROWS)
        # 10 x 18; the first tile of group 1 waits for 4 rows, the other 9 for the walk; MACs of group 0 alone
        assert (row.steps, row.cycles) == (180 + 10, 180 + 4 + 9 * 3 + 2 + RAW_CYCLES)
        assert row.macs == 4 * 18 * 30

    @pytest.mark.parametrize("kind", ["max", "avg"])
    def test_pools(self, kind: str) -> None:
        """A pool takes a map at a time: one step for each tap, one row; it multiplies nothing."""
        window = Window.square(3, 2, 1)  # 3 x 3 pixels: one tile a row
        average = AvgPoolLayer("pool", (INPUT,), window, 13, False, Requantize([1], 3), signal(8))
        (row,) = cycles_of(of_one(average if kind == "avg" else MaxPoolLayer("pool", (INPUT,), window)), ARRAY)
        assert row == LayerCycles(
            name="pool", steps=2 * 3 * 9, cycles=2 * 3 * 9 + 1 + LAYER_CYCLES, macs=0, lanes=16, rows=2 * 3
        )
        assert row.utilization == 0

    @pytest.mark.parametrize(("weights", "steps"), [((1, 1), 2), ((127, 3), 2), ((128, 3), 3), ((300, 127 * 4), 7)])
    def test_addition(self, weights: tuple[int, int], steps: int) -> None:
        """All words of the tensors are one row: a step for each word of 127 or less that a weight is the sum of."""
        add = AddLayer("add", (INPUT, INPUT), weights, 24, False, Requantize([1], 3), signal(8))
        of = of_one(add)
        for array, tiles in ((ARRAY, 15), (ROWS, 20)):  # 60 words; 2 maps, 5 rows, 2 tiles
            (row,) = cycles_of(of, array)
            cycles = tiles * max(3, steps) + 1 + LAYER_CYCLES
            assert row == LayerCycles(name="add", steps=tiles * steps, cycles=cycles, macs=0, lanes=16, rows=tiles)

    def test_narrow_words_for_an_addition(self) -> None:
        """On an array of 4-bit weights, a weight of 15 is 7 + 7 + 1."""
        add = AddLayer("add", (INPUT, INPUT), (15, 7), 24, False, Requantize([1], 3), signal(8))
        assert tiles_of(of_one(add), add, MacArray(4, 4, weight_bits=4)).tolist() == [[3 + 1, 1]] * 15

    def test_relu(self) -> None:
        """A ReLU that no layer takes in is one step a tile, all words one row: the walk's three cycles."""
        (row,) = cycles_of(of_one(ReluLayer("relu", (INPUT,))), ARRAY)
        assert row == LayerCycles(name="relu", steps=15, cycles=15 * 3 + 1 + LAYER_CYCLES, macs=0, lanes=16, rows=15)

    def test_a_map_that_is_one_row(self) -> None:
        """30 pixels of a 1 x 1 convolution are 8 tiles of 4, the last of 2; row by row they are 5 x 2."""
        layer = mac_layer("conv", INPUT, np.ones((6, 2, 1)), PIXEL, window=Window((1, 1)))
        assert tiles_of(of_one(layer), layer, ARRAY).tolist() == [[2, 4]] * 8 + [[2, 2]] * 8
        assert tiles_of(of_one(layer), layer, ROWS).tolist() == [[2, 4]] * 10 + [[2, 2]] * 10

    def test_tiles_past_the_ends_of_rows(self) -> None:
        """30 pixels of a convolution that keeps the size are 8 tiles of 4; behind the end of a row follows the next."""
        assert tiles_of(of_one(conv()), conv(), ARRAY).tolist() == [[18, 4]] * 8 + [[18, 2]] * 8

    def test_a_fused_pool(self) -> None:
        """Of 5 x 6 pixels 4 x 6 are computed: 3 tiles for each pair of rows, of which the last has both."""
        of = program([conv(**CODES), MaxPoolLayer("pool", ("conv",), Window.square(2, 2))], (2, 5, 6))
        (row,) = cycles_of(of, ARRAY)
        assert tiles_of(of, of.layers[0], ARRAY).tolist() == [[18, 4]] * 6 + [[18, 2]] * 6
        assert (row.cycles, row.macs) == (12 * 18 + 2 + LAYER_CYCLES + POOL_CYCLES, 6 * 18 * 24)
        assert len(cycles_of(of, replace(ARRAY, pool=False))) == 2

    def test_linear(self) -> None:
        """A vector is one pixel: a tile for each group of outputs."""
        layer = mac_layer("fc", "flat", np.ones((10, 60, 1)), PIXEL)
        of = program([FlattenLayer("flat", (INPUT,)), layer], (2, 5, 6))
        (row,) = cycles_of(of, replace(ARRAY, split=False))  # groups of 4, 4 and 2; the flatten takes no time
        assert row == LayerCycles(name="fc", steps=180, cycles=3 * 60 + 2 + RAW_CYCLES, macs=600, lanes=16, rows=10)

    @pytest.mark.parametrize(("inputs", "steps"), [(60, 15), (61, 16), (2, 1), (257, 2 * 33), (1023, 4 * 65)])
    def test_split_sums(self, inputs: int, steps: int) -> None:
        """Four lanes share a vector: a step for every 4 words begun, of each piece of about 64 steps."""
        layer = mac_layer("fc", "flat", np.ones((10, inputs, 1)), PIXEL)
        of = program([FlattenLayer("flat", (INPUT,)), layer], (inputs, 1, 1))
        (row,) = cycles_of(of, ARRAY)
        first, others = max(3, steps), 2 * max(4, steps)  # the walk; the 4 rows of the group before
        assert (row.steps, row.cycles) == (3 * steps, first + others + 2 + RAW_CYCLES)

    def test_lanes(self) -> None:
        """An array of other lanes has other tiles: 3 outputs at a time, 8 pixels of a row."""
        # 2 groups of 3, 5 rows of 1 tile
        assert tiles_of(of_one(conv()), conv(), MacArray(3, 8)).tolist() == [[18, 3]] * 10


@settings(max_examples=60, deadline=None)
@given(programs())
def test_the_sum_is_the_total(of: Program) -> None:
    """The layers' cycles and the start are those of an image; no layer uses more lanes than there are."""
    for array in (ARRAY, MacArray(1, 1), MacArray(3, 8)):
        rows = cycles_of(of, array)
        assert [row.name for row in rows] == [x.name for x in computing(of, array)]
        assert total_cycles(of, array) == START_CYCLES + sum(row.cycles for row in rows)
        for row in rows:
            assert 0 <= row.utilization < 1
            assert row.steps < row.cycles


def test_one_lane_is_busy_with_what_is_kept() -> None:
    """On an array of one lane every step of a dense layer is useful: utilization tends to 1."""
    (row,) = cycles_of(of_one(conv()), MacArray(1, 1))
    assert row.steps == row.macs == 6 * 18 * 30
    assert row.cycles == row.steps + 1 + RAW_CYCLES
