"""What becomes of an array's multiply slots while it works: a slot is one multiplier in one cycle, and many are lost.

A group of output lanes runs the union of what its lanes keep, at every output pixel once; of a split sum, and of a
depthwise layer whose tiles have all rows of a map, what of it meets no padding; where steps read two maps
(`accel.combined`), less than that. With rows_g output maps and u_g such columns, or steps of two maps, in group g, on
O x P lanes, the K_j steps of its tiles have ::

    P sum_j K_j rows_j          slots with an output map                             (the rest: lanes without one)
    pixels sum_g rows_g u_g     slots with an output map and a pixel, or a column    (the rest: lanes without one)
    pixels sum_g kept_g         slots with a weight that is kept                     (the rest: pruned weights)

however pixels are laid out in tiles and columns in steps.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.cost.cycles import Tiles
from accel.cost.summed import Summed
from accel.lines import Lines, lines_of
from accel.pattern import keeps_everything
from accel.program import Program
from accel.program_layers import MacLayer, ProgramLayer
from accel.runs import steps_of
from accel.split import splits
from accel.walk import combined_of, walk_of


@dataclass(frozen=True, kw_only=True)
class Slots(Summed):
    """Multiply slots of a layer, lanes x steps, by what came of them; ``+`` and ``sum()`` add layers up.

    While the array waits (`Cycles` says for what) all of its lanes do.
    """

    useful_slots: int = 0  # a kept weight met a signal
    pruned_slots: int = 0  # the weight is pruned: another lane keeps its own, or neighbours in a window keep theirs
    no_map_slots: int = 0  # the output lane has no output map
    no_pixel_slots: int = 0  # the pixel lane has no pixel, and no column of a split sum
    pool_slots: int = 0  # pools, additions and ReLUs have no weights

    @property
    def slots(self) -> int:
        """The sum of all kinds."""
        return sum(getattr(self, field.name) for field in fields(self))


def slots_of(program: Program, layer: ProgramLayer, array: MacArray, tiles: Tiles) -> Slots:
    """Return what becomes of the slots of a layer whose `tiles` (steps and rows of each) are known."""
    steps, rows = tiles[:, 0], tiles[:, 1]
    if not isinstance(layer, MacLayer):
        return Slots(pool_slots=int(steps.sum()) * array.macs_per_cycle)
    pixels, lanes, kept = walk_of(program, layer, array).pixels, array.output_lanes, _matrix(layer)
    met = useful = 0
    lines = lines_of(program, layer, array)
    if lines:  # every pixel has a lane for all steps of its tile
        met, useful = pixels * layer.shape[0] * lines.steps, _of_lines(layer, lines, pixels)
    dense = not lines and keeps_everything(layer.kept) and not splits(program, layer, array)
    if dense:  # every group reads every column, each once
        met = useful = pixels * layer.kept.size
    pairs = combined_of(program, layer, array) is not None  # a map is read in one step or in several
    for group, columns in enumerate(() if lines or dense else steps_of(program, layer, array)):
        run = columns[columns >= 0]  # a window of a split sum may have lanes without a column
        weights = kept[group * lanes : (group + 1) * lanes]
        met += pixels * len(weights) * (len(columns) if pairs else run.size)
        run = np.unique(run)
        useful += pixels * int(np.count_nonzero(weights[:, run]))
    mapped = array.pixel_lanes * int((steps * rows).sum())
    return Slots(
        useful_slots=useful,
        pruned_slots=met - useful,
        no_map_slots=int(steps.sum()) * array.macs_per_cycle - mapped,
        no_pixel_slots=mapped - met,
    )


def _of_lines(layer: MacLayer, lines: Lines, pixels: int) -> int:
    """Return how often a kept weight of a depthwise layer meets a word; a tile of all rows leaves out padded ones."""
    own = np.diagonal(layer.kept).T
    if lines.tall > 1:
        return pixels * int(np.count_nonzero(own))
    met = lines.weights(own.astype(np.int64), lines.maps * lines.lanes)
    return pixels // lines.output_rows * int(np.count_nonzero(met))


def _matrix(layer: MacLayer) -> NDArray[np.bool_]:
    """Return what a layer keeps of its lowered weights (outputs, columns)."""
    return layer.kept.reshape(layer.shape[0], -1)
