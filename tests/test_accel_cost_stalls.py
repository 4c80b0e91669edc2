"""Where cycles go, and how long weights are waited for: by hand, and against buffers simulated cycle by cycle."""

from dataclasses import replace
from fractions import Fraction

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
cycle_counts = st.lists(st.tuples(st.integers(1, 20), st.integers(3, 20)), min_size=1, max_size=8)


def waited(loads: list[int], runs: list[int], images: int) -> list[int]:
    """Follow two buffers event by event; return how long each unit of the last image is waited for.

    A unit's words come when those of the unit before have come, and its buffer is free: 6 cycles after the unit before
    began. It is waited for 3 cycles after it begins.
    """
    begun, came, waits = 0, 0, list[int]()
    free = 0  # when the buffer of the next unit can take words
    for unit in range(images * len(loads)):
        came = max(came, free) + loads[unit % len(loads)]
        waits.append(max(0, came - (begun + 3)))
        begun += waits[-1]
        free = begun + 6
        begun += runs[unit % len(runs)]
    return waits[-len(loads) :]


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
    @settings(max_examples=200, deadline=None)
    @given(units=cycle_counts)
    def test_two_buffers_simulated(self, units: list[tuple[int, int]]) -> None:
        """The closed form is what a stream and two buffers do, image after image."""
        loads, runs = [load for load, _ in units], [run for _, run in units]
        assert stalls(np.array(loads), np.array(runs)).tolist() == waited(loads, runs, 3)

    def test_what_has_no_weights_hides_loads(self) -> None:
        """Two units of 10 and 20 cycles, a pool of 7 after them: the next layer's 30 words wait 30 + 3 - 27."""
        words = np.array([4, 12])
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
            signal_reads=80,
            signal_writes=8,
            drained=8,
            passes=1,
            weight_words=2,
            weight_reads=20,
            units=words,
            unit_cycles=np.array([10, 20]),
        )
        pool = replace(conv, name="pool", kind="max-pool", units=words[:0], unit_cycles=words[:0], compute_cycles=2)
        pool = replace(pool, drain_cycles=1, fill_cycles=4)
        fc = replace(conv, name="fc", units=np.array([30]), unit_cycles=np.array([30]))
        # before the first unit the last one runs, and an image starts: 4 + 3 - (30 + 2)
        assert unit_stalls([conv, pool, fc], Fraction(1)) == [12 + 3 - 10, 0, 30 + 3 - (20 + 7)]
        assert unit_stalls([conv, fc], Fraction(1)) == [5, 0, 13][::2]  # negative control: without the pool
        assert unit_stalls([conv, pool, fc], Fraction(1, 2))[2] == 60 + 3 - 27
        assert conv.unit_cycles.tolist() == [10, 20]  # and nothing was changed
        assert unit_stalls([pool], Fraction(1)) == [0]

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
