"""Functions of one signal as tables: the nearest code of the function for every code that is read."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.fixedpoint import Overflow, Rounding
from accel.layers import Activation
from accel.program_layers import TABLE_BITS, TableLayer
from accel.signal import Signal

FINEST = 2.0**-60  # a step that no power of two which is found falls below


def values_of(layer: Activation, reads: Signal) -> NDArray[np.float64]:
    """Return what the function gives for each code of the signal that it reads, from the lowest on.

    Raises
    ------
    EspalierError
        There are too many.
    """
    form = reads.format
    if form.width > TABLE_BITS:
        raise EspalierError(
            f"{layer.name}: a table of {layer.function} reads at most {TABLE_BITS} bits, got {form.width}"
        )
    return layer.of(np.arange(form.min_code, form.max_code + 1, dtype=np.float64) * reads.step)


def table_of(layer: Activation, reads: Signal, output: Signal) -> TableLayer:
    """Return the table of a function between two signals; a value in the middle between two codes goes to the even."""
    nearest = replace(output.format, rounding=Rounding.RND_CONV, overflow=Overflow.SAT)
    table = nearest.encode(values_of(layer, reads) / output.step)
    return TableLayer(layer.name, layer.inputs, table, reads.format.min_code, output)
