"""Cycles of a Program on a MacArray: a closed form, equal to what the hardware takes.

The array works tile by tile: a group of output lanes at neighbouring pixels of a row (`accel.walk`), one a pixel lane.
Tile j takes K_j steps, one a cycle (one lowered column each; of a split sum a window of them, one for each pixel lane:
`accel.split`), and leaves D_j rows (one output map each) that drain one a cycle while the next tile runs. The parts of
a split sum are added up while a row waits for its constants, so that no term below is another. The
last step of a tile waits for two things: until the shadow is free, D_(j-1) cycles after the last step of the tile
before; and for the walk to the next tile, which takes TILE_CYCLES. Hence the last steps lie at ::

    e_j = e_(j-1) + max(K_j, D_(j-1), TILE_CYCLES),    e_0 = D_0 = 0

and a layer that ends when its last row is back in memory takes ::

    cycles = sum_j max(K_j, D_(j-1), TILE_CYCLES) + D_last + LAYER_CYCLES

with LAYER_CYCLES to begin, and for the pipeline from the first step to the memory. The layer's words and its first
entry are there by then, fetched while the rows of the layer before drained; an image waits for those of its first
layer, and an array without `prefetch` for those of each. The final layer ends when its last row is taken from the
output stream: codes leave where others are written, raw accumulators earlier. `tests/test_rtl_core_accelerator.py`
holds the hardware to this formula without a tolerance.

Images follow each other. Where the next is loaded while one runs, a beat of the load waits while the drain writes one
of the W rows of the layers before the final one, and the core never waits for the load. Of L beats then C - W find room
in the C cycles of an image, and the rest comes before the next start; where nothing overlaps all of them do ::

    from a start to the next = max(C, L + W),    or L + C

`tests/test_rtl_load.py` holds the hardware to it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray, tile_cycles
from accel.demand import not_on_array
from accel.fusion import computing, looks_up
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
from accel.runs import steps_of
from accel.split import splits
from accel.walk import walk_of

FIRST_CYCLES = 4  # to read a layer's words, and its first entry, where nothing has done so while another layer ran
START_CYCLES = 2 + FIRST_CYCLES  # 1 from start to the first layer, 1 for the last row to reach the output stream
LAYER_CYCLES = 28  # 2 to begin the walk, 8 from the last step to the lanes, 5 through them, 13 to drain
Tiles = NDArray[np.int64]  # (tiles, 2): steps and rows of each
POOL_CYCLES = 2  # more where the drain pools
TABLE_CYCLES = 2  # more where it looks codes up
RAW_CYCLES = 19  # the same for accumulators, which leave 9 cycles before codes


@dataclass(frozen=True, kw_only=True)
class LayerCycles:
    """Cycles of one layer.

    Parameters
    ----------
    name : str
    steps : int
        Cycles in which the array works: the sum of K_j.
    cycles : int
        From the end of the layer before to the end of this one.
    macs : int
        Multiply-accumulates that are useful: of kept weights, at output pixels that exist.
    lanes : int
        Multiply-accumulates that the array could do in a cycle.
    rows : int
        That the drain hands on, one a cycle: to the memory of signals, or as output; of a pair that it pools, one.
    """

    name: str
    steps: int
    cycles: int
    macs: int
    lanes: int
    rows: int

    @property
    def utilization(self) -> float:
        """Useful multiply-accumulates / (lanes x cycles), 0..1."""
        return self.macs / (self.lanes * self.cycles)


def cycles_of(program: Program, array: MacArray) -> tuple[LayerCycles, ...]:
    """Return the cycles of every layer; `start_cycles` and their sum are those of one image, from start to last row."""
    layers = computing(program, array)
    return tuple(layer_cycles(program, layer, array, tiles_of(program, layer, array)) for layer in layers)


def layer_cycles(program: Program, layer: ProgramLayer, array: MacArray, tiles: Tiles) -> LayerCycles:
    """Return the cycles of a layer whose `tiles` are known."""
    steps, rows = tiles[:, 0], tiles[:, 1]
    issue = tile_cycles(steps, np.concatenate([[0], rows[:-1]]))
    raw, walk = isinstance(layer, MacLayer) and layer.requantize is None, walk_of(program, layer, array)
    pipeline = RAW_CYCLES if raw else LAYER_CYCLES + (POOL_CYCLES if walk.pool else 0)
    pipeline += TABLE_CYCLES if looks_up(program, layer, array) else 0
    pipeline += 0 if array.prefetch else FIRST_CYCLES
    return LayerCycles(
        name=layer.name,
        steps=int(steps.sum()),
        cycles=int(issue.sum() + rows[-1]) + pipeline,
        macs=layer.nest.macs_per_pixel * walk.pixels if isinstance(layer, MacLayer) else 0,
        lanes=array.macs_per_cycle,
        rows=walk.maps * int(np.count_nonzero(walk.words)) if walk.pool else int(rows.sum()),
    )


def total_cycles(program: Program, array: MacArray) -> int:
    """Return the cycles of one image, from start to the last output row taken, without stalls."""
    return start_cycles(array) + sum(layer.cycles for layer in cycles_of(program, array))


def start_cycles(array: MacArray) -> int:
    """Return the cycles of an image that are no layer's."""
    return START_CYCLES - (0 if array.prefetch else FIRST_CYCLES)


def interval_cycles(cycles: int, load: int, written: int, array: MacArray) -> int:
    """Return the cycles from one start to the next, of images that come as fast as they are taken.

    Parameters
    ----------
    cycles : int
        Of one image.
    load : int
        Beats of one image.
    written : int
        Rows that the drain writes to the memory of signals: those of all layers but the last.
    array : MacArray
    """
    return max(cycles, load + written) if array.overlap else load + cycles


def tiles_of(program: Program, layer: ProgramLayer, array: MacArray) -> Tiles:
    """Return steps and rows of every tile of a layer (tiles, 2), in running order."""
    walk = walk_of(program, layer, array)
    outputs = walk.maps
    if lines := walk.lines:
        groups = -(-outputs // lines.maps)
        tiles = np.tile(np.array([lines.steps, lines.maps * lines.lanes], np.int64), (groups * walk.tiles, 1))
        tiles[-walk.tiles :, 1] = ((outputs - 1) % lines.maps + 1) * lines.lanes
        return tiles
    if isinstance(layer, MacLayer):
        lanes = array.output_lanes
        steps = [len(steps) for steps in steps_of(program, layer, array)]
        rows = [min(lanes, outputs - first) for first in range(0, outputs, lanes)]
        return np.repeat(np.array([steps, rows], np.int64).T, walk.tiles, axis=0)
    if isinstance(layer, AddLayer):  # as many steps for a weight as it takes words of the array
        alone = sum(math.ceil(weight / array.largest_weight) for weight in layer.weights)
    elif isinstance(layer, AvgPoolLayer) and splits(program, layer, array):
        alone = math.ceil(layer.window.taps / array.pixel_lanes)
    elif isinstance(layer, MaxPoolLayer | AvgPoolLayer):
        alone = layer.window.taps
    elif isinstance(layer, ReluLayer | ClipLayer | TableLayer | ConcatLayer):
        alone = 1
    else:
        raise not_on_array(layer)
    return np.tile(np.array([alone, 1], np.int64), (outputs * walk.tiles, 1))
