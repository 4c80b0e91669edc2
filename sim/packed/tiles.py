"""How one packed layer of multiply-accumulates is cut up for `sim.kernels.packed`: lists, tiles and bands.

A tile is what a list is summed over with all accumulators in registers. For lists of four outputs it is two runs of two
pixels, which lie side by side, or below each other where they are pooled two by two; for lists of one output it is a
square of four by four pixels, because neighbours meet the same lines::

    lists of four     (y, x) (y, x+1) | (y, x+2) (y, x+3)        pooled     (y,   x) (y,   x+1)
                          first run   |    second run                       (y+1, x) (y+1, x+1)

A band is a number of rows whose tiles run together, because the lines that they read are lowered together.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel.program_layers import MacLayer
from accel.window import Window
from sim.kernels.dots import LINE_BYTES, ROWS, RUN, RUNS
from sim.packed.tensors import Packed
from sim.packed.word_lists import Lists

Integers = NDArray[np.int64]
Tile = tuple[tuple[int, int], list[int], int]
"""Bytes from the band to the first run and from each to the next; lines of the output, or -1; pixels of an image."""

BESIDE = 3  # lines after a tensor that spreading its last columns reads
BAND_BYTES = 1 << 18  # of lowered lines: a part of the second-level cache


@dataclass(frozen=True)
class Fused:
    """What is fused after a layer's requantisation."""

    pooled: bool = False
    relu: bool = False


@dataclass(frozen=True, eq=False)
class Place:
    """Where a layer's output goes: a packed tensor, or planes of `maps` maps."""

    name: str
    packed: Packed | None
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class MacPlan:
    """One layer of multiply-accumulates, laid out; `blocks` are those of a worker's buffers.

    Where a map is one pixel, the blocks take the part of the pixels, so that a tile is full.
    """

    layer: MacLayer
    lists: Lists
    source: Packed
    output: Place
    fused: Fused
    blocks: int

    @cached_property
    def window(self) -> Window:
        """The layer's window; a fully connected layer's is the whole map."""
        return self.layer.window or Window(self.source.size)

    @cached_property
    def sums(self) -> tuple[int, int]:
        """Rows and columns of accumulators."""
        return self.window.output_size(*self.source.size)

    @cached_property
    def alone(self) -> bool:
        """Whether a map is one pixel."""
        return self.sums == (1, 1)

    @cached_property
    def run(self) -> int:
        """Pixels in each of a tile's runs."""
        return RUN[self.lists.rows]

    @cached_property
    def runs(self) -> int:
        """Runs of a tile."""
        return RUNS[self.lists.rows]

    @cached_property
    def beside(self) -> int:
        """Pixels that share a line."""
        return 2 if self.lists.paired else 1

    @cached_property
    def columns(self) -> Integers:
        """Groups and columns of the source, and what is lowered of the columns: from the first to the last in steps."""
        begin = self.origin[1] if self.lists.paired else 0
        return np.array([self.source.groups, self.source.columns, begin, self.source.columns, self.beside], np.int64)

    @cached_property
    def copied(self) -> Integers:
        """Groups of four maps that are lowered as they are; none where the lists read nothing else."""
        groups = np.unique(self.lists.views[self.lists.views < self.source.groups])
        return groups if self.spread.size else groups[:0]

    @cached_property
    def spread(self) -> Integers:
        """Places of maps whose rows are spread."""
        return np.unique(self.lists.views[self.lists.views >= self.source.groups]) - self.source.groups

    @cached_property
    def views(self) -> int:
        """Rows of lines for one row of pixels."""
        return len(self.copied) + len(self.spread) if self.spread.size else self.source.groups

    @cached_property
    def pitches(self) -> tuple[int, int, int]:
        """Lines from one row and view to the next, and columns of a line."""
        columns = len(range(*self.columns[2:])) if self.spread.size else self.source.columns
        return self.views * columns, columns, self.beside

    @cached_property
    def places(self) -> Integers:
        """Bytes from a pixel's line to that of each entry."""
        row, view, beside = self.pitches
        views, (down, across) = self.lists.views, self.lists.taps.T
        if self.spread.size:
            views = np.searchsorted([*self.copied, *(self.spread + self.source.groups)], views)
        return (down * row + views * view + across // beside) * LINE_BYTES

    @cached_property
    def origin(self) -> tuple[int, int]:
        """Row and column of the source where the first window starts."""
        (top, left), padding = self.source.border[:2], self.window.padding
        return top - padding[0], left - padding[1]

    @cached_property
    def band_rows(self) -> int:
        """Rows of sums that are lowered together: whole tiles."""
        if self.alone or not self.spread.size:
            return self.sums[0]
        per_row = self.pitches[0] * LINE_BYTES * self.window.stride[0]
        return min(self.sums[0], max(4, (BAND_BYTES // per_row - self.window.kernel[0]) // 4 * 4))

    def lowered_rows(self, rows: int) -> int:
        """Return how many rows of the source a band of `rows` rows of sums meets."""
        return (rows - 1) * self.window.stride[0] + self.window.kernel[0]

    @cached_property
    def layout(self) -> tuple[Integers, Integers, Integers, Integers]:
        """Bands (bands, 4), and the tiles' starts, targets and pixels."""
        bands: list[list[int]] = []
        tiles: list[Tile] = []
        for first in range(0, self.sums[0], self.band_rows):
            rows = range(first, min(first + self.band_rows, self.sums[0]))
            row = self.origin[0] + first * self.window.stride[0]
            lowered = self.lowered_rows(len(rows)) if not self.alone else self.blocks * self.source.rows
            line = 0 if self.alone else row * self.source.groups * self.source.columns
            begin = len(tiles)
            tiles += self.tiles_alone() if self.alone else self.tiles_of(rows)
            bands.append([line, lowered, begin, len(tiles)])
        starts, targets, pixels = (np.array(part, np.int64) for part in zip(*tiles, strict=True))
        return np.array(bands, np.int64), starts, targets, pixels

    def tiles_of(self, rows: range) -> list[Tile]:
        """Return the tiles of a band: runs side by side, or below each other."""
        width = self.sums[1]
        if self.runs == 2 and not self.fused.pooled:
            one = [(y, x) for y in rows for x in range(0, width, self.run)]
            pairs = zip(one[::2], [*one[1::2], (rows[0], width)][: len(one[::2])], strict=True)
            return [self.tile(rows, list(pair)) for pair in pairs]
        corners = [(y, x) for y in rows[:: self.runs] for x in range(0, width, self.run)]
        return [self.tile(rows, [(y + i, x) for i in range(self.runs)]) for y, x in corners]

    def tile(self, rows: range, firsts: list[tuple[int, int]]) -> Tile:
        """Return a tile from the first pixel of each run; what is outside the band or the map is no pixel."""
        pixels = [(y, x + i) for y, x in firsts for i in range(self.run)]
        inside = [y in rows and x < self.sums[1] for y, x in pixels]
        starts = [self.start(y - rows[0], x) for y, x in firsts[:2]]
        step = starts[1] - starts[0] if firsts[1][1] < self.sums[1] else 0
        if self.fused.pooled:
            corners = [(2 * y * self.run) + 2 * x for y in range(self.runs // 2) for x in range(self.run // 2)]
            targets = [self.target(pixels[i][0] // 2, pixels[i][1] // 2) if inside[i] else -1 for i in corners]
        else:
            targets = [self.target(*pixel) if real else -1 for pixel, real in zip(pixels, inside, strict=True)]
        return (starts[0], step), targets, sum(inside)

    def start(self, row: int, column: int) -> int:
        """Return the bytes from a band to a pixel of sums."""
        across = self.origin[1] + column * self.window.stride[1]
        if self.lists.paired:
            across = column // self.beside  # the first line is that of the first window
        return (row * self.window.stride[0] * self.pitches[0] + across) * LINE_BYTES

    def target(self, row: int, column: int) -> int:
        """Return the line of the output for a pixel of the first block."""
        if self.output.packed:
            return self.output.packed.line(row, column)
        return (row * self.output.size[1] + column) * self.blocks

    def tiles_alone(self) -> list[Tile]:
        """Return tiles whose pixels are the blocks."""
        first = (self.origin[0] * self.pitches[0] + self.origin[1]) * LINE_BYTES
        step, tiles, size = self.out_step, [], self.runs * self.run
        for block in range(0, self.blocks, size):
            found = [self.target(0, 0) + b * step if b < self.blocks else -1 for b in range(block, block + size)]
            far = self.run * self.pitch if block + self.run < self.blocks else 0
            tiles.append(((first + block * self.pitch, far), found, int(block == 0)))
        return tiles

    @cached_property
    def pitch(self) -> int:
        """Bytes from a line of a run to the next."""
        lines = self.source.rows * self.pitches[0] if self.alone else self.window.stride[1]
        return lines * LINE_BYTES

    @cached_property
    def out_step(self) -> int:
        """Lines of the output from one block to the next."""
        return self.output.packed.block_lines if self.output.packed else 1

    @cached_property
    def lines_read(self) -> tuple[int, int]:
        """Lines that must lie in the source, and in the lowered rows, for the reads of every tile to stay inside."""
        bands, starts, _, _ = self.layout
        reach = (self.run // self.beside - 1) * self.pitch + int(self.places.max(initial=0)) + LINE_BYTES
        ends = starts[:, 0] + np.maximum(starts[:, 1], 0) * (self.runs - 1) + reach
        far = max(
            int(first) * (not self.spread.size) + int(ends[begin:end].max()) // LINE_BYTES
            for first, _, begin, end in bands
        )
        if self.spread.size:
            return self.blocks * self.source.block_lines + BESIDE, max(far, int(bands[:, 1].max()) * self.pitches[0])
        return far + (0 if self.alone else (self.blocks - 1) * self.source.block_lines), 0


def summed_pixels(source: Packed, window: Window, blocks: int) -> list[int]:
    """Return for how many pixels the tiles for each of `ROWS` sum up, those that are no pixels counted too."""
    height, width = window.output_size(*source.size)
    sizes = [(rows, RUN[rows], RUNS[rows]) for rows in ROWS]
    if (height, width) == (1, 1):
        return [-(-blocks // (run * runs)) * run * runs for _, run, runs in sizes]
    down = [height if rows == 4 else -(-height // runs) * runs for rows, _, runs in sizes]
    return [blocks * lines * -(-width // run) * run for (_, run, _), lines in zip(sizes, down, strict=True)]
