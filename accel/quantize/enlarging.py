"""Larger maps in a Program: pools with padding, of a row of one pixel and of a map of one row.

The largest of a code and of what pads it, which never wins, is that code; the sum of it and of zeros is it, or where a
window meets padding alone, zero. Maps that are seen as rows of one pixel become wider by that, and maps of one row
higher, and no layer is needed that others do not need too.
"""

import math
from collections.abc import Iterator

import numpy as np

from accel.layers import Shape, Upsample
from accel.program_layers import AvgPoolLayer, FlattenLayer, MaxPoolLayer, ProgramLayer
from accel.signal import Requantize, Signal, sum_bits
from accel.window import Window


def enlarging(layer: Upsample, shape: Shape, signal: Signal) -> Iterator[ProgramLayer]:
    """Yield the layers that make maps of `shape` wider, then higher; the last has the layer's name.

    >>> from accel.signal import integer_format
    >>> signal = Signal(integer_format(4, True), 1.0)
    >>> [x.name for x in enlarging(Upsample("x", ("a",), (2, 1), True), (3, 5, 7), signal)]
    ['x.high.view', 'x.high', 'x']
    """
    (maps, height, width), (down, across), (source,) = shape, layer.factor, layer.inputs
    views = ("wide", (maps, height * width, 1), (1, across)), ("high", (maps * height, 1, width * across), (down, 1))
    for name, view, times in views:
        if times != (1, 1):
            yield FlattenLayer(f"{layer.name}.{name}.view", (source,), view)
            yield _enlarged(f"{layer.name}.{name}", f"{layer.name}.{name}.view", times, layer.repeats, signal)
            source = f"{layer.name}.{name}"
    yield FlattenLayer(layer.name, (source,), (maps, height * down, width * across))


def _enlarged(name: str, source: str, times: tuple[int, int], repeats: bool, signal: Signal) -> ProgramLayer:
    """Return what makes so many rows, or columns, of one."""
    assert math.prod(times) == max(times)  # one direction at a time
    down, across = times[0] - 1, times[1] - 1
    if repeats:
        return MaxPoolLayer(name, (source,), Window(times, (1, 1), (down, across, down, across)))
    bits, one = sum_bits([1], [signal.format]), Requantize(np.ones(1, np.int64), 0)
    return AvgPoolLayer(name, (source,), Window((1, 1), (1, 1), (0, 0, down, across)), bits, False, one, signal)
