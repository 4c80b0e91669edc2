"""Where the cycles of a layer go, and how long the array waits for weights that come from DRAM.

Built on `accel.cost.cycles`, which alone knows how long a layer takes: its cycles are divided; only stalls are added.

Weights that do not fit on the chip are streamed: a unit is what one group of output lanes reads, which all tiles of the
group use again. With two buffers unit g comes while g - 1 runs, so that with C_g cycles from its first step to that of
the next unit, and L_g in which its words come, the core stands still before unit g for ::

    max(0, L_g + STREAM_CYCLES - C_(g-1))

cycles. Words come from where the buffer is free, 6 cycles after the unit before began, and the core stands still 3
after the first step that needs them (`rtl.core.weights`). What has no weights of its own (a pool, an addition) runs
while the unit after it comes; before the first unit of an image it is the last one of the image before that runs. The
very first image waits for its first unit from its start. `tests/test_rtl_stream.py` holds the hardware to it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray, tile_cycles
from accel.cost.counts import Cycles
from accel.cost.cycles import START_CYCLES, Tiles, interval_cycles, layer_cycles, start_cycles, tiles_of, total_cycles
from accel.cost.slots import Slots, slots_of
from accel.demand import constants_of
from accel.fusion import computing
from accel.places import beats_of
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    ConcatLayer,
    MacLayer,
    MaxPoolLayer,
    ProgramLayer,
    ReluLayer,
    TableLayer,
)
from accel.split import splits
from accel.walk import Walk, combined_of, walk_of

Integers = NDArray[np.int64]
STREAM_CYCLES = 3  # by which a unit must be there earlier than it would be missed: a buffer is free late, and read late
KINDS = {
    MacLayer: "mac",
    AddLayer: "add",
    AvgPoolLayer: "avg-pool",
    MaxPoolLayer: "max-pool",
    ReluLayer: "relu",
    ClipLayer: "clip",
    ConcatLayer: "concat",
    TableLayer: "table",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerSchedule:
    """One layer on an array, whatever its word lengths.

    Parameters
    ----------
    name, kind : str
    compute_cycles : int
        Steps: cycles in which the array works.
    drain_cycles : int
        Cycles in which it waits for the rows of the tile before, and for the last rows of the layer.
    fill_cycles : int
        The rest: the pipeline fills, the walk finds the next tile.
    lanes : int
        Multiply-accumulates that the array could do in a cycle.
    macs : int
        Those that are useful.
    slots : Slots
        What becomes of the lanes in these steps.
    tiles : int
    rows : int
        That the drain hands on.
    constants : int
        Words of constants (`accel.demand.constants_of`).
    output_words : int
        Words of signals that it gives.
    signal_reads : int
        Words of signals that are read, a bank's each (`accel.cost.accesses`).
    signal_writes : int
        Words of signals that go to memory, of each row as many as its tile has; 0 where they leave the chip.
    drained : int
        Rows that the drain takes: a word of constants each.
    passes : int
        Tiles of a group, which all read its list.
    weight_words : int
        Words of the array's weight memory, one weight for each output lane.
    weight_reads : int
        Of them, counted as often as a step reads one.
    units : int array (groups,)
        The weight words of each group of output lanes; none where the layer has no weights of its own.
    unit_cycles : int array (groups,)
        The cycles of each group; they sum to those of the layer.
    """

    name: str
    kind: str
    compute_cycles: int
    drain_cycles: int
    fill_cycles: int
    lanes: int
    macs: int
    slots: Slots
    tiles: int
    rows: int
    constants: int
    output_words: int
    signal_reads: int
    signal_writes: int
    drained: int
    passes: int
    weight_words: int
    weight_reads: int
    units: Integers
    unit_cycles: Integers

    @property
    def spent(self) -> Cycles:
        """Where the cycles go, without stalls."""
        return Cycles(compute_cycles=self.compute_cycles, drain_cycles=self.drain_cycles, fill_cycles=self.fill_cycles)

    @property
    def cycles(self) -> int:
        """Cycles from the end of the layer before to the end of this one, without stalls."""
        return self.spent.cycles


def schedule_of(program: Program, array: MacArray) -> tuple[LayerSchedule, ...]:
    """Return the schedule of every layer that takes time, in running order."""
    layers = computing(program, array)
    return tuple(_layer(program, layer, array, final=layer is layers[-1]) for layer in layers)


def _layer(program: Program, layer: ProgramLayer, array: MacArray, *, final: bool) -> LayerSchedule:
    tiles, walk = tiles_of(program, layer, array), walk_of(program, layer, array)
    row = layer_cycles(program, layer, array, tiles)
    steps, outputs = tiles[:, 0], tiles[:, 1]
    before = np.concatenate([[0], outputs[:-1]])
    drain = int(np.maximum(before - steps, 0).sum() + outputs[-1])
    units, unit_cycles = _units(layer, walk.group, steps, before, row.cycles)
    lanes = array.pixel_lanes if splits(program, layer, array) else 1  # of which each has a weight of its own
    return LayerSchedule(
        name=layer.name,
        kind=KINDS[type(layer)],
        compute_cycles=row.steps,
        drain_cycles=drain,
        fill_cycles=row.cycles - row.steps - drain,
        lanes=row.lanes,
        macs=row.macs,
        slots=slots_of(program, layer, array, tiles),
        tiles=len(tiles),
        rows=row.rows,
        constants=constants_of(layer, walk.maps),
        output_words=walk.maps * walk.written,
        signal_reads=_signal_reads(program, layer, array, tiles, walk),
        signal_writes=0 if final else int((outputs.reshape(-1, walk.tiles) @ np.array(walk.words)).sum()),
        drained=int(outputs.sum()),
        passes=walk.tiles,
        weight_words=array.whole_rows(lanes * int(units.sum() if units.size else steps[0])),
        weight_reads=lanes * row.steps,
        units=lanes * units,
        unit_cycles=unit_cycles,
    )


def _signal_reads(program: Program, layer: ProgramLayer, array: MacArray, tiles: Tiles, walk: Walk) -> int:
    """Return the words of signals that are read: of all banks where words of a tile may lie apart, else of half."""
    steps = tiles[:, 0]
    apart = walk.across == 2 or (walk.lines and walk.lines.maps == 2) or combined_of(program, layer, array) is not None
    wide = steps if apart else steps.reshape(-1, walk.tiles)[:, np.array(walk.passing)]
    return array.pixel_lanes * int(steps.sum() + wide.sum())


def load_cycles(bits: Integers, dram_bytes_per_s: float, clock_hz: float) -> Integers:
    """Return the cycles, rounded up, in which `bits` come from DRAM."""
    return np.ceil(bits / 8 / dram_bytes_per_s * clock_hz - 1e-9).astype(np.int64)


def unit_loads(units: Integers, words_per_cycle: Fraction, before: int = 0) -> Integers:
    """Return the cycles in which the words of each unit come, of a stream of which `before` words have come.

    Word n of all comes in cycle ceil(n / `words_per_cycle`) of those in which the array takes words.
    """
    ends = [before, *(before + np.cumsum(units)).tolist()]
    return np.diff([math.ceil(end / words_per_cycle) for end in ends]).astype(np.int64)


def stalls(loads: Integers, runs: Integers) -> Integers:
    """Return how many cycles each unit is waited for, of images one after another.

    Parameters
    ----------
    loads, runs : int array (units,)
        Cycles in which a unit comes, and those from its first step to that of the next unit.
    """
    return np.maximum(loads + STREAM_CYCLES - np.roll(runs, 1), 0)


def unit_stalls(
    schedule: Sequence[LayerSchedule], words_per_cycle: Fraction, between: int = START_CYCLES, before: int = 0
) -> list[int]:
    """Return the stalls of each layer of a schedule, of images one after another.

    Parameters
    ----------
    schedule : sequence of LayerSchedule
    words_per_cycle : Fraction
        That come, 1 at most.
    between : int
        Cycles from an image to the next that are no layer's: `start_cycles`, and those of loading.
    before : int
        Words that have come for other images: where in the stream this one begins.
    """
    units = np.concatenate([layer.units for layer in schedule])
    return load_stalls(schedule, unit_loads(units, words_per_cycle, before), between)


def load_stalls(schedule: Sequence[LayerSchedule], loads: Integers, between: int) -> list[int]:
    """Return the stalls of each layer of a schedule whose units come, one after another, in `loads` cycles each."""
    owners, runs, lead = [], [], between
    for index, layer in enumerate(schedule):
        if layer.units.size:
            owners += [index] * layer.units.size
            runs.append(layer.unit_cycles.copy())
        elif runs:
            runs[-1][-1] += layer.cycles  # runs while the next unit comes
        else:
            lead += layer.cycles
    if not runs:
        return [0] * len(schedule)
    runs[-1][-1] += lead
    waits = stalls(loads, np.concatenate(runs))
    return [int(total) for total in np.bincount(owners, waits, len(schedule))]


def total_interval(program: Program, array: MacArray) -> int:
    """Return the cycles from one start to the next, of images and streamed weights that come as fast as they are taken.

    The receiver is always ready; the very first image of streamed weights takes longer.
    """
    rows, cycles = schedule_of(program, array), total_cycles(program, array)
    written = sum(row.rows for row in rows[:-1])
    interval = interval_cycles(cycles, beats_of(program, array), written, array)
    between = interval - cycles + start_cycles(array)
    return interval + (sum(unit_stalls(rows, Fraction(1), between)) if array.stream_words else 0)


def _units(layer: ProgramLayer, maps: int, steps: Integers, before: Integers, cycles: int) -> tuple[Integers, Integers]:
    """Return steps of a tile and cycles of each group; the last one has what the pipeline adds to the layer."""
    if not isinstance(layer, MacLayer):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    groups = math.ceil(layer.shape[0] / maps)
    units = steps.reshape(groups, -1)[:, 0]  # all tiles of a group read the same words
    runs = tile_cycles(steps, before).reshape(groups, -1).sum(axis=1)
    runs[-1] += cycles - int(runs.sum())
    return units, runs
