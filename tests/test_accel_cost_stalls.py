"""Where cycles go, and how long weights are waited for: by hand, and against buffers simulated cycle by cycle."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs import PIXEL, mac_layer, program, programs, signal

from accel.array import MacArray
from accel.cost.cycles import LAYER_CYCLES, RAW_CYCLES, START_CYCLES, cycles_of, total_cycles
from accel.cost.slots import Slots
from accel.cost.stalls import LayerSchedule, load_cycles, schedule_of, stalls, unit_stalls
from accel.network import INPUT
from accel.program_layers import AddLayer, FlattenLayer, MaxPoolLayer
from accel.signal import Requantize
from accel.window import Window

ARRAY = MacArray(4, 4)
CODES = {"requantize": Requantize([1], 4), "output": signal(8)}
WINDOW = Window.square(3, 1, 1)
cycle_counts = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=8)


def waited(loads: list[int], runs: list[int], buffers: int) -> list[int]:
    """Simulate: one DRAM fills one buffer at a time, the array runs unit after unit, a buffer is free when it ran."""
    loaded, waits, filling, running, left, done = 0, [0] * len(loads), 0, 0, 0, 0
    while done < len(loads):
        while loaded < len(loads) and loaded - done < buffers and filling == loads[loaded]:
            loaded, filling = loaded + 1, 0
        if not left and running < loaded:
            left, running = runs[running], running + 1
        if not left:
            waits[running] += 1
        if loaded < len(loads) and loaded - done < buffers:
            filling += 1
        if left:
            left -= 1
            done += not left
    return waits


class TestDivision:
    def test_dense_convolution(self) -> None:
        """20 tiles of 18 steps, which hide the rows of the tile before; the last 2 rows drain; then the pipeline."""
        layer = mac_layer("conv", INPUT, np.ones((6, 2, 9)), PIXEL, window=WINDOW, **CODES)  # type: ignore[arg-type]
        (row,) = schedule_of(program([layer], (2, 5, 6)), replace(ARRAY, flat=False))
        assert (row.kind, row.tiles, row.weight_words) == ("mac", 20, 2 * 18)
        assert (row.compute_cycles, row.drain_cycles, row.fill_cycles) == (360, 2, LAYER_CYCLES)
        assert row.units.tolist() == [18, 18]
        assert row.unit_cycles.tolist() == [180, 180 + 2 + LAYER_CYCLES]

    def test_waiting_for_rows(self) -> None:
        """2 steps a tile after 4 rows: the array waits 2 cycles for each of them; the walk is part of the filling."""
        layer = mac_layer("conv", INPUT, np.ones((6, 2, 1)), PIXEL, window=Window((1, 1)))
        of = program([layer], (2, 5, 6))
        array = replace(ARRAY, flat=False)
        (row,), (whole,) = schedule_of(of, array), cycles_of(of, array)
        # group 0: 9 tiles wait 4 - 2; group 1: the first waits 4 - 2, the others for 2 rows, not at all; 2 rows remain
        assert (row.compute_cycles, row.drain_cycles) == (40, 9 * 2 + 2 + 2)
        assert row.fill_cycles == whole.cycles - 40 - 22 == RAW_CYCLES + 1 + 9  # the walk: one tile, and 9 of group 1
        assert row.cycles == whole.cycles

    def test_layers_without_weights(self) -> None:
        """A pool has a word of weights for each tap, and no unit to load."""
        (row,) = schedule_of(program([MaxPoolLayer("pool", (INPUT,), Window.square(3, 2, 1))], (2, 5, 6)), ARRAY)
        assert (row.kind, row.weight_words, row.units.size, row.macs) == (
            "max-pool",
            12,
            0,
            0,
        )  # 9 taps, in rows of 4 banks
        add = AddLayer("add", (INPUT, INPUT), (128, 3), 24, False, Requantize([1], 3), signal(8))
        (row,) = schedule_of(program([add], (2, 5, 6)), ARRAY)
        assert (row.kind, row.weight_words) == ("add", 4)  # 128 = 127 + 1, and 3: a row of 4 banks

    @settings(max_examples=40, deadline=None)
    @given(programs())
    def test_the_parts_are_the_whole(self, of: object) -> None:
        """Compute, drain and fill sum to the cycles that the hardware takes, and the units' cycles to the layer's."""
        for array in (ARRAY, MacArray(1, 1), MacArray(3, 8)):
            rows = schedule_of(of, array)  # type: ignore[arg-type]
            assert [row.cycles for row in rows] == [row.cycles for row in cycles_of(of, array)]  # type: ignore[arg-type]
            assert START_CYCLES + sum(row.cycles for row in rows) == total_cycles(of, array)  # type: ignore[arg-type]
            for row in rows:
                assert min(row.compute_cycles, row.drain_cycles, row.fill_cycles) > 0
                assert not row.units.size or row.unit_cycles.sum() == row.cycles
                assert not row.units.size or row.unit_cycles.min() > 0


class TestStalls:
    def test_by_hand(self) -> None:
        """Loads of 5, 4 and 9 before runs of 6, 2 and 3: 5 in full, 4 hides behind 6, of 9 stay 7 behind 2."""
        loads, runs = np.array([5, 4, 9]), np.array([6, 2, 3])
        assert stalls(loads, runs).tolist() == [5, 0, 7]
        assert stalls(loads, runs, buffers=1).tolist() == [5, 4, 9]

    @settings(max_examples=200, deadline=None)
    @given(units=cycle_counts, buffers=st.sampled_from([1, 2]))
    def test_two_buffers_simulated(self, units: list[tuple[int, int]], buffers: int) -> None:
        """The closed form is what a DRAM and one or two buffers do, cycle by cycle."""
        loads, runs = [load for load, _ in units], [run for _, run in units]
        assert stalls(np.array(loads), np.array(runs), buffers).tolist() == waited(loads, runs, buffers)

    def test_the_simulation_can_tell(self) -> None:
        """Negative control: with one buffer more is waited."""
        assert waited([2, 2], [3, 3], 2) == [2, 0] != waited([2, 2], [3, 3], 1)

    def test_what_has_no_weights_hides_loads(self) -> None:
        """Two units of 10 and 20 cycles, a pool of 7 after them: the next layer's load of 30 waits 30 - 27."""
        words = np.array([1, 1])
        conv = LayerSchedule(
            name="conv",
            kind="mac",
            compute_cycles=20,
            drain_cycles=5,
            fill_cycles=5,
            lanes=16,
            macs=9,
            slots=Slots(useful_slots=9),
            tiles=2,
            rows=8,
            constants=8,
            output_words=8,
            weight_words=2,
            weight_reads=20,
            units=words,
            unit_cycles=np.array([10, 20]),
        )
        pool = replace(conv, name="pool", kind="max-pool", units=words[:0], unit_cycles=words[:0], compute_cycles=2)
        pool = replace(pool, drain_cycles=1, fill_cycles=4)
        fc = replace(conv, name="fc", units=words[:1], unit_cycles=np.array([30]))
        loads = [np.array([4, 12]), np.zeros(0, np.int64), np.array([30])]
        assert unit_stalls([conv, pool, fc], loads) == [4 + (12 - 10), 0, 30 - (20 + 7)]
        assert unit_stalls([conv, fc], [loads[0], loads[2]]) == [6, 10]  # negative control: without the pool
        assert conv.unit_cycles.tolist() == [10, 20]  # and nothing was changed
        assert unit_stalls([pool], [np.zeros(0, np.int64)]) == [0]

    def test_loading(self) -> None:
        """800 bits at 10 bytes a second and 2 Hz: 20 cycles; a part of a cycle is a whole one."""
        assert load_cycles(np.array([800, 0, 1]), 10, 2).tolist() == [20, 0, 1]
        assert load_cycles(np.array([8 * 3]), 1e9, 1e9).tolist() == [3]


def test_a_flatten_takes_no_time() -> None:
    """It has no row in the schedule."""
    layer = mac_layer("fc", "flat", np.ones((10, 60, 1)), PIXEL)
    assert [row.name for row in schedule_of(program([FlattenLayer("flat", (INPUT,)), layer], (2, 5, 6)), ARRAY)] == [
        "fc"
    ]
