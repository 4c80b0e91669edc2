"""Where a kernel or a pool stands on a map."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.limits import MOST_SIDE, MOST_TAPS, check_limit


@dataclass(frozen=True)
class Window:
    """How a kernel or pool slides over a map: sizes and strides as (vertical, horizontal).

    Parameters
    ----------
    kernel : (int, int)
    stride : (int, int)
    padding : (int, int, int, int)
        Rows and columns added at the top, left, bottom and right.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        if (len(self.kernel), len(self.stride), len(self.padding)) != (2, 2, 4):
            raise EspalierError(f"a window has 2 kernel sizes, 2 strides and 4 paddings, got {self}")
        if min(self.kernel) < 1 or min(self.stride) < 1 or min(self.padding) < 0:
            raise EspalierError(f"kernel and stride must be at least 1, padding at least 0, got {self}")
        sizes = (*self.kernel, *self.stride, *self.padding)
        check_limit("a window", "its kernel, stride and padding", max(sizes), MOST_SIDE)
        check_limit("a window", "taps", self.taps, MOST_TAPS)

    @classmethod
    def square(cls, kernel: int, stride: int = 1, padding: int = 0) -> "Window":
        """Return the window with the same numbers in both directions and on all sides."""
        return cls((kernel, kernel), (stride, stride), (padding,) * 4)

    @property
    def taps(self) -> int:
        """Positions in the kernel."""
        return math.prod(self.kernel)

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of a map with its padding."""
        top, left, bottom, right = self.padding
        return height + top + bottom, width + left + right

    def output_size(self, height: int, width: int, where: str = "window") -> tuple[int, int]:
        """Return the size of the map that comes out of one of `height` x `width`; errors name the layer `where`.

        Raises
        ------
        EspalierError
            The kernel is larger than the padded map.
        """
        padded = self.padded_size(height, width)
        if padded[0] < self.kernel[0] or padded[1] < self.kernel[1]:
            raise EspalierError(f"{where}: a {self.kernel} kernel is larger than the padded {padded} map")
        return tuple((size - k) // s + 1 for size, k, s in zip(padded, self.kernel, self.stride, strict=True))  # type: ignore[return-value]

    def pad(self, maps: NDArray[Any], value: float = 0) -> NDArray[Any]:
        """Return (..., height, width) maps with the padding filled with `value`."""
        top, left, bottom, right = self.padding
        widths = [(0, 0)] * (maps.ndim - 2) + [(top, bottom), (left, right)]
        return np.pad(maps, widths, constant_values=value)

    def shifts(self, padded: NDArray[Any]) -> list[NDArray[Any]]:
        """Return, for each tap row-major, the view (..., output height, output width) of padded maps that it meets."""
        patches = self.patches(padded)
        return [patches[..., row, column] for row in range(self.kernel[0]) for column in range(self.kernel[1])]

    def patches(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return the view (..., output height, output width, kernel height, kernel width) of padded maps."""
        view = sliding_window_view(padded, self.kernel, axis=(-2, -1))
        return view[..., :: self.stride[0], :: self.stride[1], :, :]
