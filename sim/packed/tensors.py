"""How the tensors of a packed layer lie in memory: what `sim.kernels.packed` calls lines, places and blocks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.layers import Shape
from accel.signal import Signal
from sim.kernels.dots import LANES, LINE_BYTES

BYTE = 8  # bits of the widest code that is packed
Border = tuple[int, int, int, int]  # rows and columns of zeros: top, left, bottom, right


@dataclass(frozen=True, eq=False)
class Packed:
    """The layout of one packed tensor.

    Parameters
    ----------
    order : int64 array (4 * groups,)
        The map that each place holds, or -1.
    size : (int, int)
        Height and width of a map.
    border : (int, int, int, int)
    zero : int
        What is added to a code to store it: 128 where codes are signed, so that bytes are in their order.
    """

    order: NDArray[np.int64]
    size: tuple[int, int]
    border: Border
    zero: int

    @property
    def groups(self) -> int:
        """How many groups of four maps there are."""
        return len(self.order) // 4

    @property
    def maps(self) -> int:
        """Maps that places hold."""
        return int(np.count_nonzero(self.order >= 0))

    @property
    def rows(self) -> int:
        """Rows of a map with its border."""
        return self.border[0] + self.size[0] + self.border[2]

    @property
    def columns(self) -> int:
        """Columns of a map with its border."""
        return self.border[1] + self.size[1] + self.border[3]

    @property
    def block_lines(self) -> int:
        """Lines of 16 images."""
        return self.rows * self.groups * self.columns

    @property
    def inside(self) -> NDArray[np.int64]:
        """Where a map lies within its border: top, left, height, width."""
        return np.array([*self.border[:2], *self.size], np.int64)

    def line(self, row: int, column: int) -> int:
        """Return the line of a pixel's first group in its block."""
        return (row + self.border[0]) * self.groups * self.columns + column + self.border[1]

    def empty(self, blocks: int, spare_lines: int) -> NDArray[np.uint32]:
        """Return a tensor of zeros with lines after it that a run may read past its end."""
        words = aligned((blocks * self.block_lines + spare_lines, LANES), np.uint32)
        words[:] = self.zero * 0x01010101
        return words

    def bytes_of(self, words: NDArray[np.uint32], blocks: int) -> NDArray[np.uint8]:
        """Return a tensor as `sim.kernels.packed_layers` reads it, (blocks, rows, groups, columns, 64)."""
        shape = (blocks, self.rows, self.groups, self.columns, LINE_BYTES)
        return words[: blocks * self.block_lines].view(np.uint8).reshape(shape)


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array of zeros that starts at a line of the cache."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + LINE_BYTES, np.uint8)
    first = -room.ctypes.data % LINE_BYTES
    return room[first : first + size].view(dtype).reshape(shape)


def zero_of(signal: Signal) -> int:
    """Return what is added to a signal's codes to store them in bytes."""
    return 128 if signal.format.signed else 0


def fits_bytes(signal: Signal) -> bool:
    """Return whether a signal's codes can be packed."""
    return signal.bits <= BYTE


def in_fours(order: NDArray[Any]) -> NDArray[np.int64]:
    """Return places for the maps `order` in whole groups, the last ones empty."""
    return np.concatenate([order, np.full(-len(order) % 4, -1)]).astype(np.int64)


def as_maps(shape: Shape) -> tuple[int, int, int]:
    """Return a tensor's shape as (maps, height, width)."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (shape[0], 1, 1)


def lane_type(signal: Signal) -> type[np.signedinteger]:
    """Return the integer type that tensors of `signal` are kept in where they are not packed."""
    needed = signal.bits + (not signal.format.signed)
    return np.int16 if needed <= 16 else np.int64
