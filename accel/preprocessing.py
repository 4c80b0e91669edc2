"""What is done to an image before a network sees it, as part of the network: pixels go in as data sets have them.

Trainings scale and shift pixels: ``(full_scale * pixel - mean) / std`` for each map. A network that was exported
without that takes it in here, so that commands, Programs and hardware all begin with pixels of 0..1. A gain alone goes
into the weights of the convolutions that read the image and costs nothing; a shift is a layer of its own, for zeros
that a convolution pads its image with are zeros after it, not before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.layers import Array, BatchNorm, Conv2d, Layer
from accel.network import INPUT, Network

NAME = "preprocessing"  # of the layer


@dataclass(frozen=True)
class Preprocessing:
    """How pixels of 0..1 become what a network was trained on.

    Parameters
    ----------
    full_scale : float
        What a pixel of 1 is there: 255 where bytes were taken as they are.
    mean, std : sequence of float
        Of each map, or one for all, in units of that scale.

    Raises
    ------
    EspalierError
        A number is not finite, or a scale or a standard deviation not above 0.
    """

    full_scale: float = 1.0
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.full_scale) and self.full_scale > 0):
            raise EspalierError(f"full_scale must be above 0, got {self.full_scale}")
        if not np.isfinite(self.mean).all():
            raise EspalierError(f"mean must be finite, got {list(self.mean)}")
        if not (np.isfinite(self.std).all() and min(self.std) > 0):
            raise EspalierError(f"std must be above 0, got {list(self.std)}")

    def __str__(self) -> str:
        mean, std = (" ".join(f"{x:g}" for x in numbers) for numbers in (self.mean, self.std))
        return f"pixels of 0..1 are taken times {self.full_scale:g}, less {mean}, over {std}"

    def applied(self, pixels: Array) -> Array:
        """Return images (batch, maps, height, width) of 0..1 as the network was trained on them."""
        gain, offset = (x[:, None, None] for x in self._gain_and_offset(pixels.shape[1]))
        return (pixels * gain + offset).astype(np.float32)

    def of(self, network: Network) -> Network:
        """Return the network that takes pixels of 0..1 and computes what `network` does of what they become.

        Raises
        ------
        EspalierError
            Means or deviations are neither one nor as many as the image has maps, or a layer has the name `NAME`.
        """
        maps = network.input_shape[0]
        gain, offset = self._gain_and_offset(maps)
        readers = network.consumers(INPUT)
        if not offset.any() and all(isinstance(x, Conv2d) and x.groups == 1 for x in readers):
            weights = {x.name: x.weight * gain[:, None, None] for x in readers if isinstance(x, Conv2d)}
            return network.with_weights({name: weight.astype(np.float32) for name, weight in weights.items()})
        if any(layer.name == NAME for layer in network.layers):
            raise EspalierError(f"{network.name}: has a layer called {NAME} already")
        zeros, ones = np.zeros(maps, np.float32), np.ones(maps, np.float32)
        norm = BatchNorm(NAME, (INPUT,), gain.astype(np.float32), offset.astype(np.float32), zeros, ones, epsilon=0.0)
        return replace(network, layers=(norm, *map(_behind, network.layers)))

    def _gain_and_offset(self, maps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what each map of an image is multiplied by, and what is added then."""
        mean, std = (self._each(name, maps) for name in ("mean", "std"))
        return self.full_scale / std, -mean / std

    def _each(self, name: str, maps: int) -> NDArray[np.float64]:
        numbers = np.asarray(getattr(self, name), np.float64)
        if numbers.size not in (1, maps):
            raise EspalierError(f"{name}: expected 1 number or {maps}, one for each map, got {numbers.size}")
        return np.broadcast_to(numbers, maps)


def _behind(layer: Layer) -> Layer:
    """Return a layer that reads what preprocessing gives where it read the image."""
    return replace(layer, inputs=tuple(NAME if source == INPUT else source for source in layer.inputs))
