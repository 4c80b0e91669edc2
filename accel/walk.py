"""How the tiles of a layer lie on its output: along the rows of each map, or on past their ends.

A tile is as many neighbouring pixels as there are pixel lanes, and the last tile of a row is seldom full. Words that
lie more than two apart may share a bank (`accel.array.STRIDES`): such a tile is one pixel. Where the output's rows
follow each other in memory as the input's do, and no window meets an edge, nothing tells the end of a row from its
middle: the map is one row. An addition, a ReLU or a clip does the same to every word: the tensor is one row. So is what
a concatenation copies, or each piece of it (`pieces_of`).

Elsewhere a tile may still pass the end of a row: the lanes behind it read words that lie a `gap` further. One gap is
all that a tile has, and no two of its words may lie in one bank: those behind the gap must lie in the banks after those
before it, as many as there are.

Where the drain pools (`accel.fusion`), tiles come in pairs: each tile on an even row is followed by that on the same
columns of the row below, and then half as many words are written as a tile has pixels; what follows a row is the next
but one. Where the last tile is half full or less, that of both rows is one, if their distance is a gap that it may
have. Odd rows and columns at the end, which the pool drops, are not computed.

Of a depthwise convolution a tile has several rows (`accel.lines`), of an addition several segments (`accel.segments`).

Where a step reads two maps (`accel.combined`) the second one takes the banks that words behind a gap would: its tiles
pass the ends of rows only where no words are left out. A layer reads two maps if it takes fewer cycles so.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from accel.array import STRIDES, MacArray, tile_cycles
from accel.combined import Combined, combined, pays
from accel.fusion import fused_pools, written
from accel.layers import Shape
from accel.lines import Lines, layout_of, lines_of, spreads, uses_of
from accel.program import Program
from accel.program_layers import AddLayer, ClipLayer, ConcatLayer, MacLayer, ProgramLayer, ReluLayer, TableLayer
from accel.segments import Segments, segments_of
from accel.split import splits
from accel.window import Window

POINT = Window((1, 1))


@dataclass(frozen=True, kw_only=True)
class Walk:
    """The tiles of a map, one after the other.

    Parameters
    ----------
    maps, rows, width : int
        Of the output as tiles see it: `width` pixels of each row are computed; where the drain pools, of both of each
        pair of rows.
    lanes : int
        Pixels of a tile.
    row_words : int
        Words of a row of the input.
    down, across : int
        Rows and columns from a pixel's window to that of its neighbour below and beside it.
    joined : bool
        Whether rows that lie side by side are one.
    pool : bool
        Whether tiles come in pairs, of which the drain writes what is largest.
    flat : bool
        Whether tiles pass the ends of rows.
    merged : bool
        Whether the last two tiles, of each row or of the map if tiles pass their ends, are one.
    group : int
        Maps of a tile at most.
    lines : Lines, Segments or None
        Of a depthwise convolution whose tiles have several rows, more than are apart where some give nothing, and of an
        addition whose tiles have several segments.
    """

    maps: int
    rows: int
    width: int
    lanes: int
    row_words: int
    down: int = 1
    across: int = 1
    joined: bool = False
    pool: bool = False
    flat: bool = False
    merged: bool = False
    group: int = 1
    lines: Lines | Segments | None = None

    @property
    def heights(self) -> int:
        """Rows of pixels in each of `rows`."""
        return 2 if self.pool else 1

    @property
    def line(self) -> int:
        """Pixels over which tiles go before they begin anew."""
        return self.width * self.rows if self.flat else self.width

    @property
    def places(self) -> int:
        """Where in a line tiles begin."""
        return math.ceil(self.line / self.lanes)

    @property
    def tail(self) -> int:
        """Pixels of a line's last tile, on each row."""
        return (self.line - 1) % self.lanes + 1

    @property
    def gap(self) -> int:
        """Words that are left out where a tile passes the end of a row."""
        return self.heights * self.down * self.row_words - self.width

    @property
    def pair_gap(self) -> int:
        """Words that are left out between the two halves of a merged tile."""
        return self.down * self.row_words - self.lanes // 2

    @property
    def tiles(self) -> int:
        """Tiles of a map."""
        return len(self.words)

    @property
    def pixels(self) -> int:
        """Pixels of a map that are computed."""
        return self.width * (self.lines.output_rows if self.lines else self.rows * self.heights)

    @property
    def written(self) -> int:
        """Words of a map that are written, with those below its last row."""
        return self.width * self.lines.written if self.lines else sum(self.words)

    @cached_property
    def words(self) -> tuple[int, ...]:
        """The words of a map that are written after each of its tiles, side by side; none after the first of a pair."""
        pixels = [self.lanes] * (self.places - 1) + [self.tail]
        line = [words for count in pixels for words in (0, count // 2)] if self.pool else pixels
        if self.merged:
            del line[-2]
        return tuple(line) * (self.rows * self.width // self.line)

    @cached_property
    def passing(self) -> tuple[bool, ...]:
        """Whether each tile of a map has fewer pixels in its row than a whole one, so that others may lie elsewhere."""
        starts = np.arange(0, self.line, self.lanes) % self.width
        line = [self.flat and self.width - start < self.lanes for start in starts.tolist() for _ in range(self.heights)]
        if self.merged:
            line[-2:] = [True]
        return tuple(line) * (self.rows * self.width // self.line)

    @property
    def legal(self) -> bool:
        """Whether no tile has more than one gap, and none two words in one bank."""
        gaps = []
        if self.flat:
            rows = np.arange(0, self.line, self.lanes) // self.width  # in which tiles begin
            if np.diff(rows, append=self.rows - 1).max() > 1:
                return False
            gaps.append((self.gap, min(self.lanes, self.line)))
        if self.merged:
            if self.tail > self.lanes // 2:
                return False
            gaps.append((self.pair_gap, self.lanes // 2 + self.tail))
        return all(pixels + gap % (2 * self.lanes) <= 2 * self.lanes for gap, pixels in gaps)

    @property
    def gapless(self) -> bool:
        """Whether the words of a tile are all side by side."""
        return not (self.flat and self.gap) and not (self.merged and self.pair_gap)


def walk_of(program: Program, layer: ProgramLayer, array: MacArray) -> Walk:
    """Return over what the tiles of a layer go: of the walks that it can take, one of the fewest tiles."""
    return _walk(program, layer, array, gapless=combined_of(program, layer, array) is not None)


@lru_cache(maxsize=128)  # asked for by every part of an estimate
def combined_of(program: Program, layer: ProgramLayer, array: MacArray) -> Combined | None:
    """Return the steps of a layer that reads two maps in each, or None where it takes as many cycles otherwise."""
    if not isinstance(layer, MacLayer) or not pays(layer, array) or splits(program, layer, array):
        return None
    if lines_of(program, layer, array) or not _comes_apart(program, layer.inputs[0], array):
        return None
    ways = [_walk(program, layer, array, gapless=gapless) for gapless in (False, True)]
    if ways[0].across == 2:
        return None
    lanes, outputs = array.output_lanes, layer.shape[0]
    rows = [min(lanes, outputs - first) for first in range(0, outputs, lanes)]

    def cycles(walk: Walk, groups: Iterable[NDArray[np.int64]]) -> int:
        return walk.tiles * int(tile_cycles([len(columns) for columns in groups], rows).sum())

    found = combined(layer, lanes, array.weights_per_multiplier)
    return found if cycles(ways[1], found.columns) < cycles(ways[0], layer.lane_columns[lanes]) else None


def _comes_apart(program: Program, name: str, array: MacArray) -> bool:
    """Return whether maps of a tensor lie half a turn of the banks apart, beyond whole turns, or may do so."""
    apart = math.prod(program.shapes[name][1:]) % array.banks == array.pixel_lanes
    return apart or spreads(program, name, uses_of(program, array), array)


def _walk(program: Program, layer: ProgramLayer, array: MacArray, *, gapless: bool) -> Walk:
    lanes, pool = array.pixel_lanes, fused_pools(program, array).get(layer.name)
    maps, height, width = maps_of(program.shapes[layer.name])
    row = maps_of(program.shapes[layer.inputs[0]])[2]
    walk = Walk(maps=maps, rows=height, width=width, lanes=lanes, row_words=row, group=_group(layer, array))
    if lines := lines_of(program, layer, array):
        across = lines.window.stride[1] // lines.phases if width > 1 else 1
        down, lanes = lines.rows * lines.window.stride[0], lanes if across in STRIDES else 1
        return replace(walk, rows=lines.tall, lanes=lanes, down=down, across=across, group=lines.maps, lines=lines)
    if parts := segments_of(program, layer, array):
        return replace(walk, maps=parts.maps, rows=parts.tall, width=lanes, down=0, group=parts.maps, lines=parts)
    if written(program, layer, array) in layout_of(program, array).phased:  # a row is every second word of a map
        return replace(walk, rows=2, width=height * width // 2, down=0, across=2, joined=True)
    if isinstance(layer, ConcatLayer):
        pieces, words = pieces_of(program, layer)
        return replace(walk, maps=len(pieces), rows=1, width=words, joined=True)
    if array.flat and isinstance(layer, AddLayer | ReluLayer | ClipLayer | TableLayer):
        return replace(walk, maps=1, rows=1, width=maps * height * width, joined=True)
    window = getattr(layer, "window", None) or POINT
    if array.flat and not pool and row == width and _steps_down(window, height):
        return replace(walk, rows=1, width=height * width, joined=True)
    down, across = window.stride[0] if height > 1 else 1, window.stride[1] if width > 1 else 1
    if pool:
        _, rows, columns = program.shapes[pool.name]
        walk = replace(walk, rows=rows, width=2 * columns, pool=True)
    walk = replace(walk, lanes=lanes if across in STRIDES else 1, down=down, across=across)
    return _shortest(walk, array, gapless=gapless)


def pieces_of(program: Program, layer: ConcatLayer) -> tuple[list[tuple[str, int]], int]:
    """Return what a concatenation copies: pieces of equal size, as tensors and their words from where each begins.

    Returns
    -------
    pieces : list of (str, int)
        In the order in which they are written side by side.
    words : int
        Of each: one piece is all of a tensor where only that is copied.
    """
    copied = program.reads(layer)
    sizes = [math.prod(program.shapes[source]) for source in copied]
    words = math.gcd(*sizes)
    parts = zip(copied, sizes, strict=True)
    return [(source, first) for source, size in parts for first in range(0, size, words)], words


def _shortest(walk: Walk, array: MacArray, *, gapless: bool) -> Walk:
    """Return a walk of the fewest tiles, of those along rows and those past their ends; of those without gaps alone."""
    walks = [walk]
    if array.flats and walk.across == 1:
        walks += [replace(walk, flat=True)] * (walk.rows > 1)
        walks += [replace(one, merged=True) for one in walks if walk.pool and array.merges]
    legal = (one for one in walks if one is walk or (one.legal and (one.gapless or not gapless)))
    return min(legal, key=lambda one: one.tiles)


def _group(layer: ProgramLayer, array: MacArray) -> int:
    return array.output_lanes if isinstance(layer, MacLayer) else 1


def maps_of(shape: Shape) -> tuple[int, int, int]:
    """Return a shape as (maps, height, width)."""
    return shape if len(shape) == 3 else (shape[0], 1, 1)


def _steps_down(window: Window, height: int) -> bool:
    """Return whether windows have one column and no padding, and `height` of them lie a row apart."""
    return window.kernel[1] == 1 and not any(window.padding) and (window.stride[0] == 1 or height == 1)
