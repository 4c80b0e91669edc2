"""How one packed layer of multiply-accumulates is cut up for `sim.kernels.packed`: lists, tiles and bands.

A tile is what a list is summed over with all accumulators in registers: two runs of pixels, which lie side by side, or
below each other where they are pooled two by two. A band is a number of rows whose tiles run together, because the
lines that they read are lowered together.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel.network import Window
from accel.program import MacLayer
from sim.kernels.dots import LINE_BYTES, ROWS, RUN
from sim.lists import Lists
from sim.storage import Packed

Integers = NDArray[np.int64]
Tile = tuple[tuple[int, int], list[int], int]
"""Bytes from the band to the first run and from there to the second; lines of the output, or -1; pixels of an image."""

BESIDE = 3  # lines behind a tensor that spreading its last columns reads
BAND_BYTES = 1 << 18  # of lowered lines: a part of the second-level cache


@dataclass(frozen=True)
class Behind:
    """What is fused behind a layer's requantisation."""

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
    behind: Behind
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
        """Pixels in each of a tile's two runs."""
        return RUN[self.lists.rows]

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
        """Lines from one row, view and column to the next."""
        return self.views * self.source.columns, self.source.columns, 1

    @cached_property
    def places(self) -> Integers:
        """Bytes from a pixel's line to that of each entry."""
        row, view, column = self.pitches
        views, (down, across) = self.lists.views, self.lists.taps.T
        if self.spread.size:
            views = np.searchsorted([*self.copied, *(self.spread + self.source.groups)], views)
        return (down * row + views * view + across * column) * LINE_BYTES

    @cached_property
    def origin(self) -> tuple[int, int]:
        """Row and column of the source where the first window starts."""
        (top, left), padding = self.source.border[:2], self.window.padding
        return top - padding[0], left - padding[1]

    @cached_property
    def band_rows(self) -> int:
        """Rows of sums that are lowered together; even, because pooling takes pairs."""
        if self.alone or not self.spread.size:
            return self.sums[0]
        per_row = self.pitches[0] * LINE_BYTES * self.window.stride[0]
        return min(self.sums[0], max(2, (BAND_BYTES // per_row - self.window.kernel[0]) // 2 * 2))

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
        """Return the tiles of a band: two runs side by side or below each other, or pooled pairs of rows."""
        if self.behind.pooled:
            runs = [((y, x), (y + 1, x)) for y in rows[::2] for x in range(0, self.sums[1], self.run)]
        else:
            one = [(y, x) for y in rows for x in range(0, self.sums[1], self.run)]
            runs = list(zip(one[::2], [*one[1::2], (0, self.sums[1])][: len(one[::2])], strict=True))
        return [self.tile(rows[0], *pair) for pair in runs]

    def tile(self, first: int, one: tuple[int, int], two: tuple[int, int]) -> Tile:
        """Return a tile: bytes to its runs, lines of the output, pixels; a run past the last column is none."""
        inside = [max(0, min(self.run, self.sums[1] - x)) for _, x in (one, two)]
        start = [self.start(y - first, x) for y, x in (one, two)]
        if not inside[1]:
            start[1] = start[0]
        if self.behind.pooled:
            pixels = [(one[0] // 2, (one[1] + i) // 2, i < inside[0]) for i in range(0, self.run, 2)]
        else:
            pixels = [
                (y, x + i, i < count) for (y, x), count in zip((one, two), inside, strict=True) for i in range(self.run)
            ]
        return (
            (start[0], start[1] - start[0]),
            [self.target(y, x) if real else -1 for y, x, real in pixels],
            sum(inside),
        )

    def start(self, row: int, column: int) -> int:
        """Return the bytes from a band to a pixel of sums."""
        across = self.origin[1] + column * self.window.stride[1]
        return (row * self.window.stride[0] * self.pitches[0] + across) * LINE_BYTES

    def target(self, row: int, column: int) -> int:
        """Return the line of the output for a pixel of the first block."""
        if self.output.packed:
            return self.output.packed.line(row, column)
        return (row * self.output.size[1] + column) * self.blocks

    def tiles_alone(self) -> list[Tile]:
        """Return tiles whose pixels are the blocks."""
        first = (self.origin[0] * self.pitches[0] + self.origin[1]) * LINE_BYTES
        step, tiles = self.out_step, []
        for block in range(0, self.blocks, 2 * self.run):
            found = [
                self.target(0, 0) + b * step if b < self.blocks else -1 for b in range(block, block + 2 * self.run)
            ]
            far = self.run * self.pitch if block + self.run < self.blocks else 0
            tiles.append(((first + block * self.pitch, far), found, int(block == 0)))
        return tiles

    @cached_property
    def pitch(self) -> int:
        """Bytes from a pixel of a run to the next."""
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
        reach = (self.run - 1) * self.pitch + int(self.places.max(initial=0)) + LINE_BYTES
        far = max(
            int(band[0]) * (not self.spread.size)
            + (int((starts[band[2] : band[3], 0] + np.maximum(starts[band[2] : band[3], 1], 0)).max()) + reach)
            // LINE_BYTES
            for band in bands
        )
        if self.spread.size:
            return self.blocks * self.source.block_lines + BESIDE, max(far, int(bands[:, 1].max()) * self.pitches[0])
        return far + (0 if self.alone else (self.blocks - 1) * self.source.block_lines), 0


def summed_pixels(source: Packed, window: Window, blocks: int) -> list[int]:
    """Return for how many pixels the tiles for each of `ROWS` sum up, those that are no pixels counted too."""
    height, width = window.output_size(*source.size)
    if (height, width) == (1, 1):
        return [-(-blocks // (2 * RUN[rows])) * 2 * RUN[rows] for rows in ROWS]
    return [blocks * height * -(-width // RUN[rows]) * RUN[rows] for rows in ROWS]
