"""How the tiles of a layer lie on its output: on the rows of each map, or on one row of all that lies side by side.

A tile is as many neighbouring pixels as there are pixel lanes, and the last tile of a row is seldom full. Words that
lie more than two apart may share a bank (`accel.array.STRIDES`): such a tile is one pixel. Where the
output's rows follow each other in memory as the input's do, and no window meets an edge, nothing tells the end of a row
from its middle: the map is one row. An addition or a ReLU does the same to every word: the tensor is one row.
"""

from accel.array import STRIDES, MacArray
from accel.layers import Shape
from accel.program import Program
from accel.program_layers import AddLayer, ProgramLayer, ReluLayer
from accel.window import Window


def walk_of(program: Program, layer: ProgramLayer, array: MacArray) -> tuple[int, int, int]:
    """Return the maps, the rows of a map and the pixels of a row over which the tiles of a layer go."""
    maps, height, width = maps_of(program.shapes[layer.name])
    if array.flat and isinstance(layer, AddLayer | ReluLayer):
        return 1, 1, maps * height * width
    window, row = getattr(layer, "window", None), maps_of(program.shapes[layer.inputs[0]])[2]
    if array.flat and window and row == width and _steps_down(window, height):
        return maps, 1, height * width
    return maps, height, width


def tile_pixels(program: Program, layer: ProgramLayer, array: MacArray) -> int:
    """Return the neighbouring pixels that a tile of a layer has at most."""
    return array.pixel_lanes if step_across(program, layer) in STRIDES else 1


def step_across(program: Program, layer: ProgramLayer) -> int:
    """Return how many columns the windows of neighbouring pixels lie apart; 1 where a row has one pixel."""
    window, width = getattr(layer, "window", None), maps_of(program.shapes[layer.name])[2]
    return window.stride[1] if window and width > 1 else 1


def maps_of(shape: Shape) -> tuple[int, int, int]:
    """Return a shape as (maps, height, width)."""
    return shape if len(shape) == 3 else (shape[0], 1, 1)


def _steps_down(window: Window, height: int) -> bool:
    """Return whether windows have one column and no padding, and `height` of them lie a row apart."""
    return window.kernel[1] == 1 and not any(window.padding) and (window.stride[0] == 1 or height == 1)
