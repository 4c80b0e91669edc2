"""The innermost loop alone, to measure what the processor can do."""

from typing import Any

from sim.kernels.compiled import compiled
from sim.kernels.dots import LINE_BYTES, sum_products


@compiled
def run(kernel: Any, times: Any, x: Any, places: Any, weights: Any, bias: Any, out: Any) -> None:
    """Sum up one list of all `places` so many times, over a tile whose two runs are two lines apart."""
    for _ in range(times):
        sum_products(
            kernel,
            x.ctypes.data,
            2 * LINE_BYTES,
            LINE_BYTES,
            places.ctypes.data,
            weights.ctypes.data,
            len(places),
            bias.ctypes.data,
            out.ctypes.data,
        )
