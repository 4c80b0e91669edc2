"""Multiply-accumulates whose accumulator is too narrow for its sums: one addition after another, each overflows.

Slower than `sim.kernels.layers.mac`, which may add in any order because its accumulators hold every sum. Callers prove
that an accumulator and a product have at most 61 bits each.
"""

from typing import Any

import numpy as np

from accel.fixedpoint import Overflow
from sim.kernels.compiled import compiled, inlined
from sim.kernels.requantize import finish

BITS, OVERFLOW = range(2)  # the places of a rule, an int64 array
_SAT = int(Overflow.SAT)


@compiled
def mac(
    x: Any,
    ends: Any,
    columns: Any,
    weights: Any,
    bias: Any,
    geometry: Any,
    rule: Any,
    multipliers: Any,
    rules: Any,
    accumulators: Any,
    out: Any,
) -> int:
    """Multiply and accumulate what is kept, in the order of `columns`; return the MACs executed for one image.

    Parameters are those of `sim.kernels.layers.mac`, with int64 weights and accumulators, and

    rule : int64 array (2,)
        Bits of the accumulators, and whether they saturate or wrap (`Overflow.SAT`, else `Overflow.WRAP`).
    """
    height, width, row_pitch, column_pitch = geometry
    executed = 0
    first = 0
    for output in range(len(ends)):
        end = ends[output]
        for y in range(height):
            for x0 in range(width):
                origin = np.uint64(y * row_pitch + x0 * column_pitch)
                accumulators[:] = bias[output]
                executed += accumulate(x, origin, columns[first:end], weights[first:end], rule, accumulators)
                position = (output * height + y) * width + x0
                finish(accumulators, multipliers[output], rules, out[position])
        first = end
    return executed


@compiled
def accumulate(x: Any, origin: Any, columns: Any, weights: Any, rule: Any, accumulators: Any) -> int:
    """Add every weight times its signals to the lanes' accumulators, which hold the bias; every value overflows."""
    saturates = rule[OVERFLOW] == _SAT
    low = -(np.int64(1) << (rule[BITS] - 1))
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
