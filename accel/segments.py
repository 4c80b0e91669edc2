"""How output lanes share a residual addition: they are segments of the tensor, which lie one after the other.

An addition of tensors alone would keep one output lane busy, two steps for a row of words and three cycles for each
tile. Instead a tile has a row of words for each output lane: a step reads the words of one segment in one operand, and
the lane of that segment has its weight, all others a zero. Where the banks' second half of words goes to the upper half
of the lanes (`accel.lines`), a step reads two segments, so that a tile of S segments takes S steps for both operands:
as long as its rows take to drain. Segments follow each other without a gap; a tensor that is no whole number of tiles
is added by fewer lanes, or a row at a time.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.fusion import written
from accel.program import Program
from accel.program_layers import AddLayer, ProgramLayer

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Segments:
    """The tiles of an addition; the names are those of `accel.lines.Lines`, as if a half of the lanes were a map.

    Parameters
    ----------
    maps : int
        Segments that a step reads: 1 or 2.
    lanes : int
        Steps for one word of a weight: output lanes of each half.
    tall : int
        Tiles.
    words : int
        Words of a segment: pixel lanes.
    weights : tuple of int
        Words in which the weight of each operand is added, one after the other.
    """

    maps: int
    lanes: int
    tall: int
    words: int
    weights: tuple[int, ...]

    @property
    def steps(self) -> int:
        """Steps of a tile."""
        return self.lanes * sum(self.weights)

    @property
    def written(self) -> int:
        """Segments that each half of the lanes gives."""
        return self.lanes * self.tall

    @property
    def output_rows(self) -> int:
        """Segments that each half of the lanes gives and that count: all of them."""
        return self.written

    @property
    def apart(self) -> int:
        """Words from a segment to that of the next lane."""
        return self.maps * self.words

    def taps(self) -> Integers:
        """Return how many rows, columns and words from a tile's first word each step of an operand reads (lanes, 3)."""
        return np.arange(self.lanes)[:, None] * np.array([0, 0, self.apart])

    def unit(self, word: int, output_lanes: int) -> Integers:
        """Return the weights of the steps that add one `word` of a weight (lanes, output lanes)."""
        found = np.zeros((self.lanes, output_lanes), np.int64)
        for half in range(self.maps):
            found[:, half * self.lanes :][:, : self.lanes] += word * np.eye(self.lanes, dtype=np.int64)
        return found


def segments_of(program: Program, layer: ProgramLayer, array: MacArray) -> Segments | None:
    """Return how the output lanes share an addition, or None where they do not: the quickest way that fills its tiles.

    What leaves the chip goes row by row.
    """
    if not (array.flat and array.lines and isinstance(layer, AddLayer)):
        return None
    if written(program, layer, array) == program.roots[program.output]:
        return None
    size, words = math.prod(program.shapes[layer.name]), array.pixel_lanes
    ways = [(2, array.half_lanes)] * (array.half_lanes > 0)
    ways += [(1, lanes) for lanes in range(array.output_lanes, 1, -1)]
    weights = tuple(math.ceil(weight / array.largest_weight) for weight in layer.weights)
    for maps, lanes in ways:
        tall, rest = divmod(size, maps * lanes * words)
        if not rest:
            return Segments(maps=maps, lanes=lanes, tall=tall, words=words, weights=weights)
    return None
