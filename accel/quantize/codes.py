"""The codes of weights and biases: real numbers as whole steps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.layers import Weighted
from accel.pattern import Mask
from accel.program_layers import code_type
from accel.signal import PRODUCT_BITS, nearest_steps

_AT_ONCE = 1 << 18  # weights that become codes: what is worked out on the way stays near the processor


def weight_codes(weights: NDArray[Any], kept: Mask, steps: NDArray[np.float64], bits: int) -> NDArray[Any]:
    """Return the codes (M, K) of the weights (M, K) that are kept, ``2**bits - 1`` levels around zero.

    Parameters
    ----------
    weights : float array (M, K)
    kept : bool array (M, K)
    steps : float array (1,) or (M,)
    bits : int

    Source: Q(w) = sgn(w) * step * min(floor(|w| / step + 0.5), (levels - 1) / 2) of arXiv 1511.06488.
    """
    codes, few = np.empty(weights.shape, code_type(bits)), max(1, _AT_ONCE // weights.shape[1])
    for first in range(0, len(weights), few):
        rows = slice(first, first + few)
        part, step = weights[rows], steps[rows, None] if steps.size > 1 else steps
        sizes = np.minimum(nearest_steps(np.abs(part), step), 2 ** (bits - 1) - 1)
        codes[rows] = np.copysign(sizes, part) * kept[rows]
    return codes


def bias_codes(layer: Weighted, accumulator_steps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the codes (M,) of a layer's biases in the steps (1,) or (M,) of its accumulators.

    Raises
    ------
    EspalierError
        No accumulator holds them.
    """
    codes = np.floor(layer.bias / accumulator_steps + 0.5)
    if np.abs(codes).max() >= 1 << PRODUCT_BITS:
        raise EspalierError(f"{layer.name}: no accumulator holds its biases, its weights are too small beside them")
    return codes.astype(np.int64)
