"""What becomes of multiply slots: every one is counted once, and those of each kind are what they are called."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from support.programs import PIXEL, every_kind, mac_layer, program, programs

from accel.array import MacArray
from accel.cost import Invariants, Limits, Slots, estimate_of, load_technology
from accel.cost.cycles import START_CYCLES
from accel.cost.stalls import LayerSchedule, schedule_of
from accel.demand import array_for
from accel.lines import Lines, lines_of
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import MacLayer, MaxPoolLayer
from accel.signal import Requantize
from accel.split import splits
from accel.walk import combined_of
from accel.window import Window

POINT = Window((1, 1))


def rows_of(made: Program, lanes: tuple[int, int] = (4, 4)) -> tuple[LayerSchedule, ...]:
    """Return the layers of a Program on so many lanes."""
    return schedule_of(made, MacArray(*lanes))


class TestByHand:
    def test_lanes_without_maps_and_pixels(self) -> None:
        """6 output maps of 1 x 6 pixels on 4 x 4 lanes: 2 lanes of 4 in the second group, 2 of 4 in the second tile."""
        layer = mac_layer("conv", INPUT, np.ones((6, 3, 1)), PIXEL, window=POINT)
        (row,) = rows_of(program([layer], (3, 1, 6)))
        # 3 steps for each of 2 groups x 2 tiles
        expected = Slots(
            useful_slots=3 * 6 * 6,
            no_map_slots=3 * 2 * 2 * 4,  # steps x tiles x missing maps x pixel lanes
            no_pixel_slots=3 * 6 * 2,  # steps x maps x missing pixels
        )
        assert row.slots == expected
        assert row.slots.slots == 16 * 3 * 4 == 16 * row.compute_cycles
        assert row.slots != Slots(useful_slots=row.slots.slots)  # negative control

    def test_pruned_weights(self) -> None:
        """Two lanes that keep different columns both run both: half of what they multiply is zero."""
        for kept, useful, pruned in (([[1, 0], [0, 1]], 8, 8), ([[1, 0], [1, 0]], 8, 0)):
            store = {"kept": np.array(kept, bool)[..., None], "pattern": "kernel", "encoding": "kernel flags"}
            layer = mac_layer("conv", INPUT, np.ones((2, 2, 1)), PIXEL, window=POINT, **store)
            (row,) = rows_of(program([layer], (2, 2, 2)), (2, 2))
            assert (row.slots.useful_slots, row.slots.pruned_slots) == (useful, pruned)

    def test_padding_that_is_not_read(self) -> None:
        """A 3 x 3 kernel on one padded row reads that row alone: 3 steps of 3 kept weights, not of 9."""
        codes = {"requantize": Requantize([1], 8), "output": PIXEL, "window": POINT}
        own = np.repeat(np.eye(2, dtype=bool)[:, :, None], 9, axis=2)
        depthwise = codes | {"window": Window.square(3, padding=1), "kept": own, "pattern": "kernel"}
        layers = [
            mac_layer("conv", INPUT, np.ones((2, 1, 1)), PIXEL, **codes),
            mac_layer("own", "conv", own, PIXEL, encoding="kernel flags", **depthwise),
            mac_layer("last", "own", np.ones((1, 2, 1)), PIXEL, window=POINT),
        ]
        row = rows_of(program(layers, (1, 1, 8)))[1]
        assert (row.slots.useful_slots, row.slots.pruned_slots) == (2 * 8 * 3, 0)

    def test_pools_have_no_weights(self) -> None:
        """All that a pool runs is counted as its own, though one row of lanes does the work."""
        pool = MaxPoolLayer("pool", (INPUT,), Window.square(2, 2))
        first, last = rows_of(program([pool, mac_layer("fc", "pool", [[[1]]], PIXEL, window=POINT)], (1, 2, 2)))
        assert first.slots == Slots(pool_slots=16 * first.compute_cycles)
        assert last.slots.pool_slots == 0


def _met(made: Program, layer: MacLayer, array: MacArray) -> NDArray[np.bool_]:
    """Return which taps (taps,) of a layer meet a word: those of a split sum that lie in the padding are not run."""
    if not splits(made, layer, array) or layer.window is None:
        return np.ones(layer.shape[2], bool)
    (rows, columns), (top, left, *_) = layer.window.kernel, layer.window.padding
    _, height, width = made.shapes[layer.inputs[0]]
    row, column = np.indices((rows, columns)) - np.array([top, left])[:, None, None]
    return ((row >= 0) & (row < height) & (column >= 0) & (column < width)).ravel()


def counted(made: Program, layer: MacLayer, array: MacArray) -> tuple[int, int]:
    """Return kept weights that meet a pixel, and pruned ones whose column a neighbouring lane keeps, one by one."""
    if lines := lines_of(made, layer, array):
        return _counted_on_lines(made, layer, lines)
    kept = (layer.kept & _met(made, layer, array)).reshape(layer.shape[0], -1)
    pixels, useful, pruned = math.prod(made.shapes[layer.name][1:]), 0, 0
    for first in range(0, len(kept), array.output_lanes):
        group = kept[first : first + array.output_lanes]
        union = np.flatnonzero(group.any(axis=0))
        for lane, column in product(range(len(group)), union if union.size else [0]):  # a list holds something
            useful += pixels * int(group[lane, column])
            pruned += pixels * int(not group[lane, column])
    return useful, pruned


def _counted_on_lines(made: Program, layer: MacLayer, lines: Lines) -> tuple[int, int]:
    """Return the same of a depthwise layer: in each step the lane of a row has a kept weight of its kernel or none."""
    assert layer.window is not None
    maps, height, width = made.shapes[layer.name]
    (down, across), useful = layer.window.kernel, 0
    kernels = layer.kept[range(maps), range(maps)].reshape(maps, down, across)
    read = {
        int(row) for row in lines.taps(made.shapes[layer.inputs[0]][2])[:, 0]
    }  # of a tile, with the first padded one
    for row, tap in product(range(height), range(down)):
        if row % lines.rows * layer.window.stride[0] + tap in read:
            useful += width * int(kernels[:, tap].sum())
    return useful, maps * height * width * lines.steps - useful


class TestAnyProgram:
    @settings(max_examples=40, deadline=None)
    @given(programs())
    def test_each_is_counted_once(self, made: Program) -> None:
        """They sum to lanes x steps, none is negative, and kept and pruned weights are as counted one by one."""
        array = MacArray(4, 4)
        layers = {layer.name: layer for layer in made.mac_layers}
        for row in schedule_of(made, array):
            slots = row.slots
            assert slots.slots == array.macs_per_cycle * row.compute_cycles
            assert min(vars(slots).values()) >= 0
            if row.name in layers:
                useful, pruned = counted(made, layers[row.name], array)
                assert slots.useful_slots == useful
                assert slots.useful_slots != useful + 1  # negative control
                if combined_of(made, layers[row.name], array):  # fewer steps, of which some are of two maps
                    assert slots.pruned_slots < pruned
                elif splits(made, layers[row.name], array):  # windows hold columns too that no lane keeps
                    assert slots.pruned_slots >= pruned
                else:
                    assert slots.pruned_slots == pruned

    @pytest.mark.parametrize("limits", [Limits(), Limits(dram_bytes_per_s=1e6, stream=True)])
    def test_of_an_image(self, limits: Limits) -> None:
        """They are those of its layers, whether or not weights are waited for, and what is useful is a share of all."""
        made = every_kind(np.random.default_rng(0))
        invariants = Invariants(made)
        array = array_for(made, 4, 4)
        e = estimate_of(invariants, invariants.words, array, load_technology(), limits)
        assert e.slots.slots == 16 * e.spent.compute_cycles
        assert e.utilization == e.slots.useful_slots / (16 * e.cycles)
        assert e.utilization == pytest.approx(sum(x.utilization * x.cycles for x in e.layers) / e.cycles)
        assert e.cycles > e.spent.compute_cycles + START_CYCLES
        assert bool(e.spent.stall_cycles) == limits.stream
