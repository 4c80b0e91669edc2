"""Layers whose weights count 1, 2, 3, ..., and Programs of them."""

from typing import Any

import numpy as np

from accel.array import MacArray
from accel.encoding import encodings
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import MacLayer, ProgramLayer
from accel.signal import Requantize, Signal
from accel.sparsity import parse_pattern
from accel.window import Window
from support.masks import Mask
from support.programs import PIXEL, mac_layer, program, signal

ARRAY = MacArray(2, 2, overlap=False)  # groups of two output maps; an image at a time
SIGNED = signal(8)
HALF = {"requantize": Requantize([1], 1), "output": SIGNED}
POINT = Window((1, 1))
POOL = Window.square(2)


def layer(
    kept: Any, pattern: str, window: Window | None = None, name: str = "a", source: str = INPUT, **more: Any
) -> MacLayer:
    """Return a layer that keeps `kept` (outputs, maps, taps) of the weights 1, 2, 3, ... row by row."""
    mask: Mask = np.array(kept, bool)
    mask = mask.reshape(*mask.shape[:2], -1)
    weights = 1 + np.arange(mask.size).reshape(mask.shape)
    encoding = encodings(parse_pattern(pattern))[-1].name
    words = {"window": window, "kept": mask, "pattern": pattern, "encoding": encoding, **more}
    return mac_layer(name, source, weights, words.pop("reads", PIXEL), **words)


def chain(*layers: ProgramLayer, shape: tuple[int, int, int] = (2, 4, 5), reads: Signal = PIXEL) -> Program:
    """Return a Program of layers."""
    return program(layers, shape, reads)


def conv(name: str = "b", source: str = INPUT, reads: Signal = PIXEL, **more: Any) -> MacLayer:
    """Return a dense convolution of 2 maps by 3 outputs and 2 x 2 taps."""
    return layer(np.ones((3, 2, 4)), "dense", more.pop("window", POOL), name, source, reads=reads, **more)


def point(name: str, source: str, output: Signal = SIGNED, reads: Signal = SIGNED, **more: Any) -> MacLayer:
    """Return a 1 x 1 convolution of 2 maps by 2 outputs."""
    words = {"requantize": Requantize([1], 1), "output": output, **more}
    return layer(np.ones((2, 2, 1)), "dense", POINT, name, source, reads=reads, **words)
