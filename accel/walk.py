"""How the tiles of a layer lie on its output: on the rows of each map, or on one row of all that lies side by side.

A tile is as many neighbouring pixels as there are pixel lanes, and the last tile of a row is seldom full. Words that
lie more than two apart may share a bank (`accel.array.STRIDES`): such a tile is one pixel. Where the output's rows
follow each other in memory as the input's do, and no window meets an edge, nothing tells the end of a row from its
middle: the map is one row. An addition or a ReLU does the same to every word: the tensor is one row.

Where the drain pools (`accel.fusion`), tiles come in pairs: each tile on an even row is followed by that on the same
columns of the row below, and then half as many words are written as a tile has pixels. Odd rows and columns at the end,
which the pool drops, are not computed. Of a depthwise convolution a tile has several rows (`accel.lines`).
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

from accel.array import STRIDES, MacArray
from accel.fusion import fused_pools
from accel.layers import Shape
from accel.lines import Lines, layout_of, lines_of
from accel.program import Program
from accel.program_layers import AddLayer, MacLayer, ProgramLayer, ReluLayer
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
    down, across : int
        Rows and columns from a pixel's window to that of its neighbour below and beside it.
    joined : bool
        Whether rows that lie side by side are one.
    pool : bool
        Whether tiles come in pairs, of which the drain writes what is largest.
    group : int
        Maps of a tile at most.
    lines : Lines or None
        Of a depthwise convolution whose tiles have several rows, more than are apart where some give nothing.
    """

    maps: int
    rows: int
    width: int
    lanes: int
    down: int = 1
    across: int = 1
    joined: bool = False
    pool: bool = False
    group: int = 1
    lines: Lines | None = None

    @property
    def heights(self) -> int:
        """Rows of pixels in each of `rows`."""
        return 2 if self.pool else 1

    @property
    def places(self) -> int:
        """Where in a row tiles begin."""
        return math.ceil(self.width / self.lanes)

    @property
    def tiles(self) -> int:
        """Tiles of a map."""
        return self.rows * self.places * self.heights

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
        row = [min(self.lanes, self.width - first) for first in range(0, self.width, self.lanes)]
        if self.pool:
            row = [words for pixels in row for words in (0, pixels // 2)]
        return tuple(row) * self.rows


def walk_of(program: Program, layer: ProgramLayer, array: MacArray) -> Walk:
    """Return over what the tiles of a layer go."""
    lanes, pool = array.pixel_lanes, fused_pools(program, array).get(layer.name)
    maps, height, width = maps_of(program.shapes[layer.name])
    walk = Walk(maps=maps, rows=height, width=width, lanes=lanes, group=_group(layer, array))
    if lines := lines_of(program, layer, array):
        across = lines.window.stride[1] // lines.phases if width > 1 else 1
        down, lanes = lines.rows * lines.window.stride[0], lanes if across in STRIDES else 1
        return replace(walk, rows=lines.tall, lanes=lanes, down=down, across=across, group=lines.maps, lines=lines)
    if layer.name in layout_of(program, array).phased:  # a row is one phase, every second word of a map
        return replace(walk, rows=2, width=height * width // 2, down=0, across=2, joined=True)
    if array.flat and isinstance(layer, AddLayer | ReluLayer):
        return replace(walk, maps=1, rows=1, width=maps * height * width, joined=True)
    window, row = getattr(layer, "window", None) or POINT, maps_of(program.shapes[layer.inputs[0]])[2]
    if array.flat and not pool and row == width and _steps_down(window, height):
        return replace(walk, rows=1, width=height * width, joined=True)
    down, across = window.stride[0] if height > 1 else 1, window.stride[1] if width > 1 else 1
    if pool:
        _, rows, columns = program.shapes[pool.name]
        return replace(walk, rows=rows, width=2 * columns, down=down, across=across, pool=True)
    return replace(walk, lanes=lanes if across in STRIDES else 1, down=down, across=across)


def _group(layer: ProgramLayer, array: MacArray) -> int:
    return array.output_lanes if isinstance(layer, MacLayer) else 1


def maps_of(shape: Shape) -> tuple[int, int, int]:
    """Return a shape as (maps, height, width)."""
    return shape if len(shape) == 3 else (shape[0], 1, 1)


def _steps_down(window: Window, height: int) -> bool:
    """Return whether windows have one column and no padding, and `height` of them lie a row apart."""
    return window.kernel[1] == 1 and not any(window.padding) and (window.stride[0] == 1 or height == 1)
