"""What random layers for the hardware are made of: masks, codes, windows, requantisations."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.fixedpoint import FixedFormat
from accel.signal import Requantize
from accel.window import Window
from support.masks import Mask, strided_taps

Codes = NDArray[np.int64]

KERNELS = ((1, 1), (1, 1), (2, 2), (3, 3), (3, 3), (3, 3), (5, 5), (1, 3), (4, 1), (2, 5), (7, 7), (11, 11))


def legal_mask(rng: np.random.Generator, pattern: str, shape: tuple[int, int, int], density: float = -1) -> Mask:
    """Draw a legal mask (M, C, T); all and nothing pruned are among them where they are legal, or of one `density`."""
    outputs, maps, taps = shape
    density = rng.choice([0, 0.2, 0.5, 0.8, 1]) if density < 0 else density
    kept = np.ones(shape, bool)
    if pattern == "feature-map":
        alive = rng.random(outputs) < density
        alive[rng.integers(outputs)] = True
        kept &= alive[:, None, None]
    if pattern.startswith("kernel"):
        kept &= (rng.random((outputs, maps)) < density)[:, :, None]
    if "ikss" in pattern:
        choices = sorted(strided_taps(taps, pattern.endswith("rest")))
        for index in range(maps):
            kept[:, index] &= np.isin(np.arange(taps), choices[rng.integers(len(choices))])
    if pattern.startswith("block-"):
        size = int(pattern.removeprefix("block-"))
        rows, columns = np.arange(outputs) // size, np.arange(maps * taps) // size
        kept = (rng.random((rows[-1] + 1, columns[-1] + 1)) < density)[np.ix_(rows, columns)].reshape(shape)
    if pattern == "irregular":
        kept = rng.random(shape) < density
    if pattern == "2:4":
        order = rng.random((outputs, maps * taps))
        runs = np.arange(maps * taps) // 4
        ranks = [(order[:, runs == run] > order[:, [place]]).sum(axis=1) for place, run in enumerate(runs)]
        kept = (np.stack(ranks, axis=1) < 2).reshape(shape)
    return kept


def draw_codes(rng: np.random.Generator, lowest: int, highest: int, size: Any) -> Codes:
    """Draw integers in `lowest`..`highest`: any of them, small ones, the two ends alone, or one end everywhere."""
    match rng.integers(8):
        case 0:
            return rng.choice([lowest, highest], size)
        case 1:
            return np.full(size, rng.choice([lowest, highest]), np.int64)
        case 2:
            return rng.integers(max(lowest, -3), min(highest, 3), size, endpoint=True)
    return rng.integers(lowest, highest, size, endpoint=True)


def draw_window(rng: np.random.Generator, size: tuple[int, int], pool: bool) -> Window:
    """Draw a window that fits maps of `size`, with its own padding on each side; that of a pool is less than itself."""
    kernel = KERNELS[rng.integers(len(KERNELS))]
    if pool:
        kernel = min(kernel[0], size[0], 5), min(kernel[1], size[1], 5)
    before, after = np.zeros((2, 2), np.int64)
    if rng.random() < 0.5:
        before, after = rng.integers(0, np.array(kernel) - pool, (2, 2), endpoint=True)
    after = np.maximum(after, np.array(kernel) - size - before)  # a kernel larger than its map needs that much
    stride = rng.choice([1, 1, 2, 2, 3, 5], 2) if rng.random() < 0.5 else np.full(2, rng.integers(1, 3))
    return Window(kernel, tuple(stride.tolist()), (*before.tolist(), *after.tolist()))


def draw_requantize(rng: np.random.Generator, accumulators: Codes, outputs: int, output: FixedFormat) -> Requantize:
    """Draw 1 or `outputs` multipliers, and a shift after which `accumulators` fill `output` and a bit more or less."""
    count, highest = ((1, 1), (1, 1), (1, 4), (1, 65535), (outputs, 4), (outputs, 65535))[rng.integers(6)]
    multipliers = rng.integers(1, highest, count, endpoint=True)
    largest = int(np.abs(accumulators).max()) * int(multipliers.max())
    near = largest.bit_length() - output.width + int(output.signed)
    shift = int(rng.choice([near - 2, near - 1, near, near + 1, 0, 60], p=[0.2, 0.4, 0.2, 0.1, 0.05, 0.05]))
    return Requantize(multipliers, min(60, max(0, shift)))
