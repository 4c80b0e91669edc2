"""What becomes of an array's multiply slots: a slot is one multiplier in one cycle, and most arrays waste many.

A group of output lanes runs the union of what its lanes keep, at every output pixel once. With rows_g output maps and
u_g columns of the union in group g, on O x P lanes, the K_j steps of its tiles have ::

    P sum_j K_j rows_j          slots with an output map                             (the rest: lanes without one)
    pixels sum_g rows_g u_g     slots with an output map and a pixel, or a column    (the rest: lanes without one)
    macs                        slots with a weight that is kept                     (the rest: pruned weights)

however pixels are laid out in tiles and columns in steps.
"""

import math
from dataclasses import dataclass, fields

from accel.array import MacArray
from accel.cost.cycles import Tiles
from accel.cost.summed import Summed
from accel.program import Program
from accel.program_layers import MacLayer, ProgramLayer


@dataclass(frozen=True, kw_only=True)
class Slots(Summed):
    """Multiply slots of a layer, lanes x cycles, by what came of them; ``+`` and ``sum()`` add layers up."""

    useful_slots: int = 0  # a kept weight met a signal
    pruned_slots: int = 0  # the weight is pruned, a neighbouring lane keeps its own
    no_map_slots: int = 0  # the output lane has no output map
    no_pixel_slots: int = 0  # the pixel lane has no pixel, and no column of a split sum
    pool_slots: int = 0  # pools, additions and ReLUs have no weights
    drain_slots: int = 0  # the array waits for rows to leave
    fill_slots: int = 0  # the pipeline, and what starts an image
    stall_slots: int = 0  # it waits for weights from DRAM

    @property
    def slots(self) -> int:
        """All of them."""
        return sum(getattr(self, field.name) for field in fields(self))


def working_slots(program: Program, layer: ProgramLayer, array: MacArray, tiles: Tiles) -> Slots:
    """Return what becomes of the slots of a layer while the array works, tile by tile: its steps x lanes."""
    steps, rows = tiles[:, 0], tiles[:, 1]
    if not isinstance(layer, MacLayer):
        return Slots(pool_slots=int(steps.sum()) * array.macs_per_cycle)
    pixels, lanes = math.prod(program.shapes[layer.name][1:]), array.output_lanes
    outputs = program.shapes[layer.name][0]
    unions = (columns.size for columns in layer.lane_columns[lanes])
    met = pixels * sum(min(lanes, outputs - group * lanes) * union for group, union in enumerate(unions))
    mapped = array.pixel_lanes * int((steps * rows).sum())
    useful = pixels * layer.nest.macs_per_pixel
    return Slots(
        useful_slots=useful,
        pruned_slots=met - useful,
        no_map_slots=int(steps.sum()) * array.macs_per_cycle - mapped,
        no_pixel_slots=mapped - met,
    )
