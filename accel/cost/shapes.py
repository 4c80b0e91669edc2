"""A layer of multiply-accumulates as numbers alone: what FFTs, other people's arrays and published tables need."""

import math
from dataclasses import dataclass

import numpy as np

from accel.errors import EspalierError
from accel.program import Program
from accel.program_layers import MacLayer


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """The shape of a layer of multiply-accumulates.

    Parameters
    ----------
    name : str
    outputs, maps : int
        Of all groups.
    kernel, stride : (int, int)
        Vertical, horizontal.
    size : (int, int)
        Height and width of an output map.
    pairs : int
        (output, input) pairs that are connected: outputs x maps, less where kernels are pruned or there are groups.
    """

    name: str
    outputs: int
    maps: int
    kernel: tuple[int, int]
    size: tuple[int, int]
    pairs: int
    stride: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if min(self.outputs, self.maps, *self.kernel, *self.size, *self.stride) < 1:
            raise EspalierError(f"{self.name}: all sizes must be at least 1, got {self}")
        if not 0 <= self.pairs <= self.outputs * self.maps:
            raise EspalierError(f"{self.name}: pairs must be 0..{self.outputs * self.maps}, got {self.pairs}")

    @classmethod
    def of(cls, program: Program, layer: MacLayer) -> "LayerShape":
        """Return the shape of a layer of a Program; a pair that keeps any tap is connected."""
        size = program.shapes[layer.name][1:] or (1, 1)
        kernel, stride = (layer.window.kernel, layer.window.stride) if layer.window else ((1, 1), (1, 1))
        pairs = int(np.count_nonzero(layer.pairs))
        return cls(
            name=layer.name,
            outputs=layer.shape[0],
            maps=layer.shape[1],
            kernel=kernel,
            size=(size[0], size[1]),
            pairs=pairs,
            stride=stride,
        )

    @classmethod
    def square(
        cls, name: str, outputs: int, maps: int, kernel: int, size: int, groups: int = 1, stride: int = 1
    ) -> "LayerShape":
        """Return the shape of a square convolution whose outputs and maps fall into `groups`."""
        return cls(
            name=name,
            outputs=outputs,
            maps=maps,
            kernel=(kernel, kernel),
            size=(size, size),
            pairs=outputs * maps // groups,
            stride=(stride, stride),
        )

    @property
    def weights(self) -> int:
        """Weights of the connected pairs."""
        return self.pairs * math.prod(self.kernel)

    @property
    def pixels(self) -> int:
        """Pixels of an output map."""
        return math.prod(self.size)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image, computed directly."""
        return self.weights * self.pixels
