"""A layer of each kind, and Programs of few layers on one 3x3 map."""

from typing import Any

import numpy as np

from accel.encoding import IndexWords
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, FlattenLayer, MacLayer, ProgramLayer
from accel.signal import Requantize, Signal
from accel.window import Window
from support.programs import PIXEL, mac_layer, program, signal

SIGNED = signal(8)
ONE = Requantize([1], 0)
FLAT = FlattenLayer("flat", (INPUT,))
CONV = mac_layer("conv", INPUT, np.ones((2, 1, 4)), PIXEL, window=Window.square(2), requantize=ONE, output=SIGNED)
POOL = AvgPoolLayer("avg", ("conv",), Window.square(2), 10, False, Requantize([1], 2), SIGNED)
ADD = AddLayer("add", ("conv", "conv"), (2, 3), 11, False, Requantize([3], 2), SIGNED)
SCORES = mac_layer("scores", "flat", np.ones((3, 4)), PIXEL)


def small(*layers: ProgramLayer, shape: Any = (1, 3, 3), reads: Signal = PIXEL) -> Program:
    """Return a Program of `layers` on one 3x3 map."""
    return program(layers, shape, reads)


def sparse_scores(pattern: str = "irregular", encoding: str = "csr") -> MacLayer:
    """Return a fully connected layer 2 x 4 without its weights 1 and 6."""
    kept = np.array([[1, 0, 1, 1], [1, 1, 0, 1]], bool)[:, :, None]
    return mac_layer("scores", "flat", np.ones((2, 4)), PIXEL, kept=kept, pattern=pattern, encoding=encoding)


def words(name: str, bits: int, *values: int) -> IndexWords:
    """Return index words."""
    return IndexWords(name, bits, np.array(values))
