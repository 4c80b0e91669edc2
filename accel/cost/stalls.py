"""Where the cycles of a layer go, and how long the array waits for weights that come from DRAM.

Built on `accel.cost.cycles`, which alone knows how long a layer takes: its cycles are divided; only stalls are added.

Weights that do not fit on the chip are streamed: a unit is what one group of output lanes reads, which all tiles of the
group use again. With two buffers unit g loads while g - 1 runs, so that with L_g cycles to load and C_g to run ::

    cycles = L_0 + sum over g >= 1 of max(C_(g-1), L_g) + C_last

and with one buffer nothing overlaps: the sum of all L_g + C_g. What has no weights (a pool, an addition) runs while the
unit after it loads. The first unit is waited for in full: an image starts with nothing on the chip.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.array import TILE_CYCLES, MacArray
from accel.cost.counts import Cycles
from accel.cost.cycles import layer_cycles, tiles_of
from accel.cost.slots import Slots, slots_of
from accel.fusion import computing
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer, MaxPoolLayer, ProgramLayer, ReluLayer
from accel.split import splits
from accel.walk import walk_of

Integers = NDArray[np.int64]
KINDS = {MacLayer: "mac", AddLayer: "add", AvgPoolLayer: "avg-pool", MaxPoolLayer: "max-pool", ReluLayer: "relu"}


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
        Words of constants: one for each map over which the tiles go.
    output_words : int
        Words of signals that it writes.
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
    return tuple(_layer(program, layer, array) for layer in computing(program, array))


def _layer(program: Program, layer: ProgramLayer, array: MacArray) -> LayerSchedule:
    tiles, walk = tiles_of(program, layer, array), walk_of(program, layer, array)
    row = layer_cycles(program, layer, array, tiles)
    steps, outputs = tiles[:, 0], tiles[:, 1]
    waits = np.maximum(np.concatenate([[0], outputs[:-1]]) - steps, 0)
    drain = int(waits.sum() + outputs[-1])
    units, unit_cycles = _units(layer, walk.group, steps, waits, row.cycles)
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
        constants=walk.maps,
        output_words=walk.maps * walk.written,
        weight_words=array.whole_rows(lanes * int(units.sum() if units.size else steps[0])),
        weight_reads=lanes * row.steps,
        units=lanes * units,
        unit_cycles=unit_cycles,
    )


def load_cycles(bits: Integers, dram_bytes_per_s: float, clock_hz: float) -> Integers:
    """Return the cycles, rounded up, in which `bits` come from DRAM."""
    return np.ceil(bits / 8 / dram_bytes_per_s * clock_hz - 1e-9).astype(np.int64)


def stalls(loads: Integers, runs: Integers, buffers: int = 2) -> Integers:
    """Return how many cycles each unit is waited for.

    Parameters
    ----------
    loads, runs : int array (units,)
        Cycles to load a unit, and to run it.
    buffers : int
        2: a unit loads while the one before runs. 1: it does not.
    """
    if buffers == 1 or not loads.size:
        return loads
    return np.concatenate([loads[:1], np.maximum(loads[1:] - runs[:-1], 0)])


def unit_stalls(schedule: Sequence[LayerSchedule], loads: Sequence[Integers], buffers: int = 2) -> list[int]:
    """Return the stalls of each layer of a schedule; `loads` are the cycles of its units."""
    owners, runs = [], []
    for index, layer in enumerate(schedule):
        if layer.units.size:
            owners += [index] * layer.units.size
            runs.append(layer.unit_cycles.copy())
        elif runs:
            runs[-1][-1] += layer.cycles  # runs while the next unit loads
    if not runs:
        return [0] * len(schedule)
    waits = stalls(np.concatenate(loads), np.concatenate(runs), buffers)
    return [int(total) for total in np.bincount(owners, waits, len(schedule))]


def _units(layer: ProgramLayer, maps: int, steps: Integers, waits: Integers, cycles: int) -> tuple[Integers, Integers]:
    """Return steps of a tile and cycles of each group; the last one has what the pipeline adds to the layer."""
    if not isinstance(layer, MacLayer):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    groups = math.ceil(layer.shape[0] / maps)
    units = steps.reshape(groups, -1)[:, 0]  # all tiles of a group read the same words
    runs = np.maximum(steps + waits, TILE_CYCLES).reshape(groups, -1).sum(axis=1)
    runs[-1] += cycles - int(runs.sum())
    return units, runs
