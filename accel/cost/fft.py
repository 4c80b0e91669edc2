"""Convolution by FFT: how many real multiplications it takes, with and without pruned kernels.

An input map is cut into tiles of N x N, N a power of two, that overlap by k - 1 (overlap-save), so that each gives
(N - k + 1)^2 outputs. Input tiles are transformed, multiplied with the spectra of the kernels, added up over the input
maps, and transformed back once for each output map. With t tiles a map ::

    multiplications = t ((inputs + outputs) 2 N^2 log2 N  +  pairs 4 N (N / 2 + 1))

A complex radix-2 FFT of n points takes n / 2 log2 n complex multiplications, in two dimensions N^2 log2 N; a real map
takes half; a complex multiplication is four real ones. The spectrum of a real map has N (N / 2 + 1) values that are
not conjugates of others, and each connected (output, input) pair multiplies those. Spectra of the kernels are computed
ahead and stored: `kernel_words`.

Pruned taps change nothing, for a kernel's spectrum is full whatever it keeps. A pruned kernel saves its product; a map
all of whose kernels are gone saves its transforms. A layer with a stride computes all outputs and drops most.

Source: Mathieu, Henaff and LeCun, "Fast Training of Convolutional Networks through FFTs" (ICLR 2014, arXiv 1312.5851),
section 2, for the transforms and products; that transforms of kernels are left out, because inference knows them, that
maps are cut into tiles, and that the cheapest N is taken, are ours.
"""

import math
from dataclasses import dataclass

import numpy as np

from accel.cost.shapes import LayerShape
from accel.program import Program
from accel.program_layers import MacLayer


@dataclass(frozen=True)
class FftCost:
    """Real multiplications of one layer for one image, by FFT of `tile` x `tile`."""

    tile: int
    tiles: int  # of a map
    transform_multiplications: int
    product_multiplications: int
    kernel_words: int  # real numbers of the stored spectra

    @property
    def multiplications(self) -> int:
        """Real multiplications in all: of transforms and of products."""
        return self.transform_multiplications + self.product_multiplications


def fft_cost(shape: LayerShape, inputs: int | None = None, outputs: int | None = None) -> FftCost:
    """Return what a layer takes at the tile that takes the fewest multiplications.

    Parameters
    ----------
    shape : LayerShape
        Its pairs are multiplied.
    inputs, outputs : int, optional
        Maps to transform: those that a connected pair has; all by default.
    """
    kernel = max(shape.kernel)
    size = [(n - 1) * stride + 1 for n, stride in zip(shape.size, shape.stride, strict=True)]
    smallest, largest = (max(1, (n - 1).bit_length()) for n in (kernel, max(size) + kernel - 1))
    maps = (shape.maps if inputs is None else inputs) + (shape.outputs if outputs is None else outputs)
    candidates = (_at(1 << power, kernel, size, maps, shape.pairs) for power in range(smallest, largest + 1))
    return min(candidates, key=lambda cost: cost.multiplications)


def layer_fft(program: Program, layer: MacLayer) -> FftCost:
    """Return what a layer of a Program takes: its surviving pairs, and the maps that have any."""
    inputs, outputs = (int(np.count_nonzero(layer.pairs.any(axis=axis))) for axis in (0, 1))
    return fft_cost(LayerShape.of(program, layer), inputs, outputs)


def _at(tile: int, kernel: int, size: list[int], maps: int, pairs: int) -> FftCost:
    tiles = math.prod(-(-n // (tile - kernel + 1)) for n in size)
    values = tile * (tile // 2 + 1)
    transforms = tiles * maps * 2 * tile**2 * (tile.bit_length() - 1)
    return FftCost(tile, tiles, transforms, tiles * pairs * 4 * values, pairs * 2 * values)
