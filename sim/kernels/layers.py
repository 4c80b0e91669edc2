"""One loop nest for each kind of layer, over tensors (positions, lanes): a lane is an image of the batch.

With the images side by side in memory a weight is a scalar that multiplies a whole vector, so every pattern, down to
single weights, skips what was pruned at no cost. Callers prove that no accumulator leaves its type.
"""

from typing import Any

import numpy as np

from sim.kernels import narrow_accumulators
from sim.kernels.compiled import compiled
from sim.kernels.requantize import finish


@compiled
def mac(
    x: Any,
    ends: Any,
    columns: Any,
    weights: Any,
    bias: Any,
    geometry: Any,
    narrow: Any,
    scales: Any,
    rules: Any,
    accumulators: Any,
    out: Any,
) -> int:
    """Multiply and accumulate what is kept, in the order of `columns`; return the MACs executed for one image.

    Parameters
    ----------
    x : int array (padded positions, lanes)
    ends : int array (outputs,)
        Where the kept weights of each output end in `columns` and `weights`.
    columns : uint64 array (kept,)
        Position in `x` of each weight's signal, seen from output pixel (0, 0).
    weights : int32 or int64 array (kept,)
        Of the accumulators' type.
    bias : int64 array (outputs,)
    geometry : (output height, output width, positions between output rows, and between output columns)
    narrow : int64 array (0,) or (2,)
        Empty where an accumulator holds every sum; else what becomes of it after each addition, of accumulators in
        int64: see `sim.kernels.narrow_accumulators`.
    scales : int64 array (outputs, 2)
        Each output's multiplier and offset.
    rules : int64 array
        See `sim.kernels.requantize`; empty where accumulators are handed out.
    accumulators : int32 or int64 array (lanes,)
        Room to work in.
    out : int array (output positions, lanes)
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
                kept, codes = columns[first:end], weights[first:end]
                if len(narrow):
                    executed += narrow_accumulators.accumulate(x, origin, kept, codes, narrow, accumulators)
                else:
                    executed += accumulate(x, origin, kept, codes, accumulators)
                position = (output * height + y) * width + x0
                finish(accumulators, scales[output, 0], scales[output, 1], rules, out[position])
        first = end
    return executed


@compiled
def accumulate(x: Any, origin: Any, columns: Any, weights: Any, accumulators: Any) -> int:
    """Add every weight times its signals to the lanes' accumulators; four at a time, to spare loads and stores."""
    lanes = len(accumulators)
    whole = len(columns) // 4 * 4
    executed = 0
    for i in range(0, whole, 4):
        w0, w1, w2, w3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        x0, x1 = x[origin + columns[i]], x[origin + columns[i + 1]]
        x2, x3 = x[origin + columns[i + 2]], x[origin + columns[i + 3]]
        for lane in range(lanes):
            accumulators[lane] += w0 * x0[lane] + w1 * x1[lane] + w2 * x2[lane] + w3 * x3[lane]
        executed += 4
    for i in range(whole, len(columns)):
        w0, x0 = weights[i], x[origin + columns[i]]
        for lane in range(lanes):
            accumulators[lane] += w0 * x0[lane]
        executed += 1
    return executed


@compiled
def max_pool(x: Any, kernel: Any, stride: Any, out: Any) -> None:
    """Take the largest code of each window of `x` (maps, padded height, padded width, lanes)."""
    for c in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x0 in range(out.shape[2]):
                best = out[c, y, x0]
                best[:] = x[c, y * stride[0], x0 * stride[1]]
                for dy in range(kernel[0]):
                    for dx in range(kernel[1]):
                        codes = x[c, y * stride[0] + dy, x0 * stride[1] + dx]
                        for lane in range(len(best)):
                            best[lane] = max(best[lane], codes[lane])


@compiled
def avg_pool(x: Any, kernel: Any, stride: Any, scales: Any, rules: Any, out: Any) -> None:
    """Sum each window of `x` (maps, padded height, padded width, lanes) and requantise the sum."""
    accumulators = np.empty(out.shape[3], np.int64)
    for c in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x0 in range(out.shape[2]):
                accumulators[:] = 0
                for dy in range(kernel[0]):
                    for dx in range(kernel[1]):
                        accumulators += x[c, y * stride[0] + dy, x0 * stride[1] + dx]
                finish(accumulators, scales[0, 0], scales[0, 1], rules, out[c, y, x0])


@compiled
def add(left: Any, right: Any, weights: Any, scales: Any, rules: Any, out: Any) -> None:
    """Add two weighted signals (positions, lanes) and requantise the sum."""
    accumulators = np.empty(out.shape[1], np.int64)
    for position in range(out.shape[0]):
        for lane in range(out.shape[1]):
            accumulators[lane] = left[position, lane] * weights[0] + right[position, lane] * weights[1]
        finish(accumulators, scales[0, 0], scales[0, 1], rules, out[position])


@compiled
def multiply(left: Any, right: Any, scales: Any, rules: Any, out: Any) -> None:
    """Multiply two signals (positions, lanes) and requantise the product; one of `right` may serve a run of `left`."""
    accumulators = np.empty(out.shape[1], np.int64)
    run = len(left) // len(right)
    for position in range(out.shape[0]):
        factor = position // run
        for lane in range(out.shape[1]):
            accumulators[lane] = np.int64(left[position, lane]) * right[factor, lane]
        finish(accumulators, scales[0, 0], scales[0, 1], rules, out[position])
