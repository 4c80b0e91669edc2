"""Sums in accumulators that are too narrow for them: one addition after another, each overflows.

Slower than where accumulators hold every sum, so that it may be added in any order. Callers prove that an accumulator
and a product have at most 61 bits each.
"""

from typing import Any

import numpy as np

from accel.fixedpoint import Overflow
from sim.kernels.compiled import compiled, inlined

BITS, OVERFLOW = range(2)  # of `narrow`, an int64 array (2,): an accumulator's bits, and `Overflow.SAT` or `.WRAP`
_SAT = int(Overflow.SAT)


@compiled
def accumulate(x: Any, origin: Any, columns: Any, weights: Any, narrow: Any, accumulators: Any) -> int:
    """Add every weight times its signals to the lanes' accumulators, which hold the bias; every value overflows."""
    saturates = narrow[OVERFLOW] == _SAT
    low = -(np.int64(1) << (narrow[BITS] - 1))
    overflow(accumulators, low, saturates)
    for i in range(len(columns)):
        weight, signals = weights[i], x[origin + columns[i]]
        for lane in range(len(accumulators)):
            accumulators[lane] += weight * signals[lane]
        overflow(accumulators, low, saturates)
    return len(columns)


@inlined
def overflow(accumulators: Any, low: Any, saturates: Any) -> None:
    """Bring the lanes' accumulators into `low` .. -`low` - 1."""
    if saturates:
        for lane in range(len(accumulators)):
            accumulators[lane] = min(max(accumulators[lane], low), ~low)
    else:
        mask = ~(low << 1)
        for lane in range(len(accumulators)):
            accumulators[lane] = ((accumulators[lane] - low) & mask) + low
