"""Cycles of a Program on a MacArray: a closed form, equal to what the hardware takes.

The array works tile by tile: a group of output lanes at a row of pixel lanes. Tile j takes K_j steps, one a cycle (one
lowered column each), and leaves D_j rows (one output map each) that drain one a cycle while the next tile runs. The
only wait is for the shadow: the last step of a tile comes D_(j-1) cycles or more after that of the tile before. Hence
the last steps lie at ::

    e_1 = K_1,    e_j = e_(j-1) + max(K_j, D_(j-1))

and a layer that ends when its last row is back in memory takes ::

    cycles = K_1 + sum_{j >= 2} max(K_j, D_(j-1)) + D_last + LAYER_CYCLES

with LAYER_CYCLES for reading the layer's words, the first entry, and the pipeline to the memory. The final layer ends
when its last row is taken from the output stream: codes leave where others are written, raw accumulators earlier.
`tests/test_rtl_accelerator.py` holds the hardware to this formula without a tolerance.
"""

import math
from dataclasses import dataclass

from accel.array import MacArray
from accel.errors import EspalierError
from accel.program import AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, Program, ProgramLayer

START_CYCLES = 1  # from start to the first layer
LAYER_CYCLES = 13  # 2 to read the layer's words, 1 for the first entry, 10 from the last step to memory
RAW_CYCLES = 10  # the same for accumulators that leave before they are requantised


@dataclass(frozen=True)
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
    """

    name: str
    steps: int
    cycles: int
    macs: int
    lanes: int

    @property
    def utilization(self) -> float:
        """Useful multiply-accumulates / (lanes x cycles), 0..1."""
        return self.macs / (self.lanes * self.cycles)


def cycles_of(program: Program, array: MacArray) -> tuple[LayerCycles, ...]:
    """Return the cycles of every layer; START_CYCLES and their sum are those of one image, from start to last row.

    Raises
    ------
    EspalierError
        A layer is of a kind that the array does not run.
    """
    rows = []
    for layer in program.layers:
        if isinstance(layer, FlattenLayer):
            continue
        tiles = tiles_of(program, layer, array)
        issue = tiles[0][0] + sum(max(steps, tiles[j][1]) for j, (steps, _) in enumerate(tiles[1:]))
        raw = isinstance(layer, MacLayer) and layer.requantize is None
        cycles = issue + tiles[-1][1] + (RAW_CYCLES if raw else LAYER_CYCLES)
        rows.append(
            LayerCycles(layer.name, sum(k for k, _ in tiles), cycles, _macs(program, layer), array.macs_per_cycle)
        )
    return tuple(rows)


def total_cycles(program: Program, array: MacArray) -> int:
    """Return the cycles of one image, from start to the last output row taken, without stalls."""
    return START_CYCLES + sum(layer.cycles for layer in cycles_of(program, array))


def tiles_of(program: Program, layer: ProgramLayer, array: MacArray) -> list[tuple[int, int]]:
    """Return (steps, rows) of every tile of a layer in running order."""
    shape = program.shapes[layer.name]
    outputs, height, width = shape if len(shape) == 3 else (shape[0], 1, 1)
    pixel_tiles = height * math.ceil(width / array.pixel_lanes)
    if isinstance(layer, MacLayer):
        lanes = array.output_lanes
        columns = layer.lane_columns(lanes)
        rows = [min(lanes, outputs - first) for first in range(0, outputs, lanes)]
        return [(c.size, d) for c, d in zip(columns, rows, strict=True) for _ in range(pixel_tiles)]
    if isinstance(layer, MaxPoolLayer | AvgPoolLayer):
        return [(layer.window.taps, 1)] * (outputs * pixel_tiles)
    raise EspalierError(f"{layer.name}: no array runs {type(layer).__name__}")


def _macs(program: Program, layer: ProgramLayer) -> int:
    if not isinstance(layer, MacLayer):
        return 0
    return layer.nest.macs_per_pixel * math.prod(program.shapes[layer.name][1:])
