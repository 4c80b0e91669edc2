"""How output lanes share a depthwise convolution: they are neighbouring rows of one map, or of two.

A map that reads itself alone would keep one output lane busy. Instead the lanes of a tile are rows of that map: row
`r` of them meets, at a step that reads row `u` and column `j` of all their windows, the weight at `(u - r * stride, j)`
or a zero where that lies outside its window, so that a tile of R rows takes ::

    K = ((R - 1) * stride + kernel rows) * kernel columns

steps; fewer where a tile has all rows of its map, since rows of padding need none.

The banks deliver twice as many words as there are pixel lanes. Where neighbouring pixels are neighbouring words the
second half of them is the same row of the next map: half of the lanes take it, and a tile is rows of two maps. For that
maps lie `pixel lanes` words apart, beyond whole turns of the banks (`accel.places`). Where windows lie two columns
apart, a 1 x 1 convolution before them writes the even columns of a map first and then the odd ones (`Lines.phases`), so
that their pixels are neighbouring words too, if that saves more than the shorter rows of the convolution cost.

What a tile's lanes give below the last row of a map is written behind it, where nothing lies.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.array import MOST_TAPS, STRIDES, MacArray, tile_cycles
from accel.fusion import computing, fused_pools, written
from accel.pattern import keeps_everything
from accel.program import Program
from accel.program_layers import AvgPoolLayer, MacLayer, MaxPoolLayer, ProgramLayer
from accel.split import splits
from accel.window import Window

Integers = NDArray[np.int64]


class Uses(NamedTuple):
    """For each tensor in memory the layer that computes it, and for each tensor those that read it, flattens too."""

    writers: Mapping[str, ProgramLayer]
    readers: Mapping[str, list[ProgramLayer]]


@dataclass(frozen=True, kw_only=True)
class Lines:
    """The tiles of a depthwise convolution.

    Parameters
    ----------
    window : Window
    maps : int
        Of a tile: 1 or 2.
    lanes : int
        Output lanes of each map; those after the first `rows` give nothing.
    rows : int
        Output rows of a map from one tile to the next.
    tall : int
        Tiles, one below the other, that make a map.
    height, output_rows : int
        Rows of an input map, and of an output map.
    phases : int
        2 where the even columns of the input come first, then the odd ones.
    """

    window: Window
    maps: int
    lanes: int
    rows: int
    tall: int
    height: int
    output_rows: int
    phases: int = 1

    @property
    def steps(self) -> int:
        """Steps of a tile: rows and columns that its windows meet."""
        return len(self._met) * self.window.kernel[1]

    @property
    def reach(self) -> int:
        """Rows from the first that windows of a tile have to the last."""
        return (self.rows - 1) * self.window.stride[0] + self.window.kernel[0]

    @property
    def _met(self) -> range:
        """The rows that windows of a tile meet, from the first one's; without padding if it has all rows of the map."""
        if self.tall > 1:
            return range(self.reach)
        first = min(self.window.padding[0], self.reach - 1)
        return range(first, max(first + 1, min(self.reach, self.window.padding[0] + self.height)))

    @property
    def written(self) -> int:
        """Rows of a map that are written, with those below its last."""
        return (self.tall - 1) * self.rows + self.lanes

    @property
    def left(self) -> int:
        """Columns by which the first window begins left of the map, in columns of one phase."""
        return -(-self.window.padding[1] // self.phases)

    def taps(self, width: int) -> Integers:
        """Return how many rows, columns and words each step lies from the first window's corner (steps, 3)."""
        rows, columns = (x.ravel() for x in np.meshgrid(self._met, range(self.window.kernel[1]), indexing="ij"))
        places = columns - self.window.padding[1]
        phase, across = places % self.phases, places // self.phases + self.left
        row_words = width // self.phases
        return np.stack([rows, across, phase * self.height * row_words + rows * row_words + across], axis=1)

    def weights(self, kernels: Integers, output_lanes: int) -> Integers:
        """Return the weights of each step of each group of maps (groups, steps, output lanes) from kernels (M, T)."""
        (down, across), step = self.window.kernel, self.window.stride[0]
        groups = -(-len(kernels) // self.maps)
        spread = np.zeros((groups * self.maps, self.reach, across, self.lanes), np.int64)
        for row in range(self.rows):
            spread[: len(kernels), row * step : row * step + down, :, row] = kernels.reshape(-1, down, across)
        found = np.zeros((groups, self.steps, output_lanes), np.int64)
        met = spread[:, self._met.start : self._met.stop]
        words = met.reshape(groups, self.maps, self.steps, self.lanes).transpose(0, 2, 1, 3)
        found[:, :, : self.maps * self.lanes] = words.reshape(groups, self.steps, -1)
        return found


@dataclass(frozen=True, eq=False)
class Layout:
    """Which layers of a Program have rows of maps on the output lanes of an array, and which maps lie in phases for it.

    Parameters
    ----------
    lines : mapping of layer name to Lines
        The depthwise convolutions whose rows share the lanes.
    phased : frozenset of tensor names
        Those whose even columns come first.
    """

    lines: Mapping[str, Lines] = field(default_factory=dict)
    phased: frozenset[str] = frozenset()


def lines_of(program: Program, layer: ProgramLayer, array: MacArray) -> Lines | None:
    """Return how the output lanes share a layer that is a depthwise convolution, or None where they do not."""
    return layout_of(program, array).lines.get(layer.name)


@lru_cache(maxsize=8)  # asked for by every part of an estimate
def layout_of(program: Program, array: MacArray) -> Layout:
    """Return which output lanes of `array` are rows of maps of `program`."""
    if not array.lines:
        return Layout()
    outputs = {x.name: written(program, x, array) for x in program.mac_layers if _is_depthwise(x)}
    leaving = {name for name, target in outputs.items() if target == program.roots[program.output]}
    stored = outputs.keys() - leaving - fused_pools(program, array).keys()
    depthwise = [x for x in program.mac_layers if x.name in stored]
    if not depthwise:
        return Layout()
    uses = uses_of(program, array)
    lines = {x.name: _quickest(program, x, array, _ways(program, x, uses, array, 1)) for x in depthwise}
    phased: set[str] = set()
    for name in dict.fromkeys(x.inputs[0] for x in depthwise):
        by_two = [x for x in depthwise if x.inputs[0] == name and _steps_by_two(program, x)]
        if len(by_two) != len(uses.readers[name]) or not _phases(program, name, uses, array):
            continue
        ways = {x.name: _quickest(program, x, array, _ways(program, x, uses, array, 2)) for x in by_two}
        gain = sum(_cycles(program, x, array, lines[x.name]) - _cycles(program, x, array, ways[x.name]) for x in by_two)
        if all(ways.values()) and gain > _phasing(program, name, uses, array):
            lines, phased = lines | ways, phased | {name}
    return Layout({name: found for name, found in lines.items() if found}, frozenset(phased))


def _is_depthwise(layer: MacLayer) -> bool:
    outputs, maps, _ = layer.shape
    if layer.window is None or outputs != maps or (maps > 1 and keeps_everything(layer.kept)):
        return False
    return not bool(np.any(layer.kept, axis=2)[~np.eye(maps, dtype=bool)].any())


def _steps_by_two(program: Program, layer: MacLayer) -> bool:
    return layer.window is not None and layer.window.stride[1] == 2 and program.shapes[layer.name][2] > 1


def uses_of(program: Program, array: MacArray) -> Uses:
    """Return which layers write and read the tensors of a Program."""
    writers = {written(program, layer, array): layer for layer in computing(program, array)}
    readers: dict[str, list[ProgramLayer]] = {name: [] for name in program.shapes}
    for layer in program.layers:
        for source in layer.inputs:
            readers[source].append(layer)
    return Uses(writers, readers)


def spreads(program: Program, name: str, uses: Uses, array: MacArray) -> bool:
    """Return whether words may lie between the maps of a tensor: each of its readers, and its writer, goes by maps."""
    writer = uses.writers.get(name)
    if name == program.roots[program.output] or len(program.shapes[name]) != 3:
        return False
    if not isinstance(writer, MacLayer | MaxPoolLayer | AvgPoolLayer):
        return False
    by_maps = [isinstance(x, MacLayer) and x.window and not splits(program, x, array) for x in uses.readers[name]]
    return bool(by_maps) and all(by_maps)


def _phases(program: Program, name: str, uses: Uses, array: MacArray) -> bool:
    """Return whether the even columns of a tensor can be written first: its writer goes by pixels, not by rows."""
    writer = uses.writers.get(name)
    if not isinstance(writer, MacLayer) or writer.window != Window((1, 1)) or _is_depthwise(writer):
        return False
    if writer.name in fused_pools(program, array) or splits(program, writer, array):
        return False
    return program.shapes[name][2] % 2 == 0 and spreads(program, name, uses, array)


def _quickest(program: Program, layer: MacLayer, array: MacArray, ways: Iterator[Lines]) -> Lines | None:
    """Return the quickest way to run a depthwise layer; None where that is the one of all other layers."""
    return min([None, *ways], key=lambda lines: _cycles(program, layer, array, lines))


def _ways(program: Program, layer: MacLayer, uses: Uses, array: MacArray, phases: int) -> Iterator[Lines]:
    (name,), window = layer.inputs, layer.window
    assert window is not None
    maps, height, width = program.shapes[layer.name]
    apart = window.stride[1] // phases if width > 1 else 1
    paired = array.half_lanes and maps > 1 and apart == 1 and spreads(program, name, uses, array)
    below = spreads(program, written(program, layer, array), uses, array)
    for beside, lanes in ((1, array.output_lanes), *([(2, array.half_lanes)] if paired else [])):
        for rows in range(1, min(lanes, height) + 1):
            tall = -(-height // rows)
            found = Lines(
                window=window,
                maps=beside,
                lanes=rows if beside == 1 else lanes,
                rows=rows,
                tall=tall,
                phases=phases,
                height=program.shapes[name][1],
                output_rows=height,
            )
            if (below or found.written == height) and found.reach <= MOST_TAPS:
                yield found


def _cycles(program: Program, layer: MacLayer, array: MacArray, lines: Lines | None) -> int:
    """Return the cycles of a depthwise layer, but for what the pipeline adds; of any other way where there is none."""
    maps, height, width = program.shapes[layer.name]
    window = layer.window
    assert window is not None
    pixels = array.pixel_lanes if width == 1 or window.stride[1] // (lines.phases if lines else 1) in STRIDES else 1
    if lines:
        tiles = -(-maps // lines.maps) * lines.tall * -(-width // pixels)
        return tiles * int(tile_cycles(lines.steps, lines.maps * lines.lanes))
    if splits(program, layer, array):
        return 0  # nothing is quicker
    tiles = _joined(height * width, array) if window == Window((1, 1)) else height * -(-width // pixels)
    return tiles * _group_cycles(layer, array)


def _phasing(program: Program, name: str, uses: Uses, array: MacArray) -> int:
    """Return the cycles that it takes to write the even columns of a tensor before the odd ones."""
    writer = uses.writers[name]
    assert isinstance(writer, MacLayer)
    words = math.prod(program.shapes[name][1:])
    more = 2 * -(-words // 2 // array.pixel_lanes) - _joined(words, array)
    return more * _group_cycles(writer, array)


def _group_cycles(layer: MacLayer, array: MacArray) -> int:
    """Return the cycles of a tile of each group of output lanes."""
    steps = [len(columns) for columns in layer.lane_columns[array.output_lanes]]
    return int(tile_cycles(steps, min(layer.shape[0], array.output_lanes)).sum())


def _joined(words: int, array: MacArray) -> int:
    """Return the tiles of a map that is one row; without `MacArray.flat` there are more."""
    return -(-words // array.pixel_lanes)
