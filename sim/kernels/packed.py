"""Multiply-accumulates over packed tensors, and what is fused after them: pooling, requantisation, storing.

A packed tensor is an array of lines (see `sim.kernels.dots`), uint32 (lines, 16): for each block of 16 images, row by
row, the words of each group of four maps, column by column. A signed code is stored 128 higher, as 0..255 too. Callers
prove that every place of a list, seen from every tile, lies inside its array: `sum_products` reads by address.
"""

from typing import Any

import numpy as np

from sim.kernels.compiled import compiled, inlined
from sim.kernels.dots import LINE_BYTES, sum_products
from sim.kernels.repack import copy_line, spread_line
from sim.kernels.requantize import finish as finish_any
from sim.kernels.requantize_lines import CONSTANTS, finish_line, finish_pooled

# the places of a band, an int64 array: what is lowered and summed up together
FIRST_LINE, LOWERED_ROWS, FIRST_TILE, END_TILE = range(4)
# and of a layer's sizes
BLOCKS, BLOCK_LINES, PITCH, OUT_BLOCK, OUT_GROUP, POOLED, FLOOR, ZERO, SHIFT = range(9)
SIZES = 9


@compiled
def mac(
    kernel: Any,
    sizes: Any,
    bands: Any,
    tiles: Any,
    lists: Any,
    lowering: Any,
    finishing: Any,
    constants: Any,
    x: Any,
    room: Any,
    out: Any,
) -> int:
    """Run one layer over all blocks; return the multiply-accumulates executed for one image, filling not counted.

    Parameters
    ----------
    kernel : one of `sim.kernels.dots.Kind`
    sizes : int64 array (9,)
        Blocks, lines of a block of `x`, bytes between the lines of a run, lines from one block of `out` to the next
        and from one group of four outputs to the next, whether each two by two pixels are pooled, the lowest code that
        a ReLU after the pool lets through, what is added to a code to store it, and the shift of `constants`.
    bands : int64 array (bands, 4)
    tiles : (int64 (tiles, 2), int64 (tiles, pixels), int64 (tiles,))
        Bytes from the band to the first run and from each to the next; the line of `out` for each (pooled) pixel, -1
        where there is none; how many pixels of the first image of a block a tile has.
    lists : (ends (lists,), places (entries,), weights (entries * rows * words,), bias (outputs,), counts (lists,))
        See `sum_products`; counts are the kept weights of each list.
    lowering : (copied groups of four maps, spread maps, int64 (groups of `x`, columns of `x`, first, last, step))
        See `lower`; if there are none, lists count from `x` itself.
    finishing : (scales (outputs, 2), rules), or None where there are constants
        See `sim.kernels.requantize`.
    constants : int64 array (outputs, 4), or None
        See `sim.kernels.requantize_lines`. What is None is not compiled.
    x : uint32 array (lines, 16)
    room : (lowered uint32 (lines, 16), accumulators int32 (4, pixels, 16), codes (4, pixels, 16) or None)
        To work in.
    out : packed tensor, or int array (maps, lines, 16)
    """
    ends, places, weights, bias, counts = lists
    starts, targets, pixels = tiles
    copied, spread, columns = lowering
    lowered, accumulators, codes = room
    # below, arrays are indexed and none is passed on: numba counts references each time that one is
    sums, row_bytes = accumulators.ctypes.data, accumulators.shape[1] * LINE_BYTES
    entry_bytes = 4 * (len(weights) // max(len(places), 1))
    at = places.ctypes.data, weights.ctypes.data, bias.ctypes.data
    executed = 0
    for block in range(sizes[BLOCKS]):
        for band in range(len(bands)):
            first = block * sizes[BLOCK_LINES] + bands[band, FIRST_LINE]
            base = x.ctypes.data + first * LINE_BYTES
            if len(copied) + len(spread):
                lower(x, first, bands[band, LOWERED_ROWS], copied, spread, columns, lowered)
                base = lowered.ctypes.data
            for tile in range(bands[band, FIRST_TILE], bands[band, END_TILE]):
                run = base + starts[tile, 0], starts[tile, 1], sizes[PITCH]
                begin = 0
                for i in range(len(ends)):
                    size, row = ends[i] - begin, i * kernel.rows
                    into = sums + row % 4 * row_bytes
                    entry = at[0] + 8 * begin, at[1] + entry_bytes * begin
                    sum_products(kernel, run[0], run[1], run[2], entry[0], entry[1], size, at[2] + 4 * row, into)
                    begin = ends[i]
                    if block == 0:
                        executed += counts[i] * pixels[tile]
                    if (row + kernel.rows) % 4:
                        continue
                    group = row // 4
                    if finishing is not None:
                        store(kernel.rows, accumulators, group, block, targets[tile], finishing, sizes, codes, out)
                    if constants is not None:
                        of_group, first_line = constants.ctypes.data + 32 * CONSTANTS * group, out.ctypes.data
                        first_line += (block * sizes[OUT_BLOCK] + group * sizes[OUT_GROUP]) * LINE_BYTES
                        for pixel in range(targets.shape[1]):
                            if targets[tile, pixel] >= 0:
                                line = first_line + targets[tile, pixel] * LINE_BYTES
                                finish(kernel, sizes[POOLED], sums, pixel, of_group, sizes[SHIFT], line)
    return executed


@inlined
def finish(kernel: Any, pooled: Any, sums: Any, pixel: Any, constants: Any, shift: Any, line: Any) -> None:
    """Turn the accumulators of four outputs into the codes of one pixel: what is usual."""
    if pooled:
        finish_pooled(kernel, sums + first_of(pixel, kernel.rows) * LINE_BYTES, constants, shift, line)
    else:
        finish_line(kernel, sums + pixel * LINE_BYTES, constants, shift, line)


@compiled
def lower(x: Any, first: Any, rows: Any, copied: Any, spread: Any, columns: Any, lowered: Any) -> None:
    """Write the lines that the lists of a band read: rows of groups as they are, then maps with their neighbours.

    `columns` are the groups of `x`, its columns, and which of them are taken: from the first to the last in steps. A
    spread map's word holds the code of its own column and those of the next three, in the last three columns of what
    lies after the row, which no weight but 0 meets.
    """
    groups, width, begin, end, step = columns
    out = lowered.ctypes.data
    for row in range(rows):
        source = x.ctypes.data + (first + row * groups * width) * LINE_BYTES
        for group in copied:
            of_group = source + group * width * LINE_BYTES
            for column in range(begin, end, step):
                copy_line(of_group + column * LINE_BYTES, out)
                out += LINE_BYTES
        for c in spread:
            of_group = source + c // 4 * width * LINE_BYTES
            for column in range(begin, end, step):
                spread_line(of_group + column * LINE_BYTES, c % 4 * 8, out)
                out += LINE_BYTES


@inlined
def first_of(window: Any, rows: Any) -> int:
    """Return the first pixel of a window of two by two in a tile."""
    run = 2 if rows == 4 else 4
    return 2 * (window // (run // 2)) * run + 2 * (window % (run // 2))


@compiled
def store(
    rows: Any, accumulators: Any, group: Any, block: Any, targets: Any, finishing: Any, sizes: Any, codes: Any, out: Any
) -> None:
    """Turn the accumulators of four outputs into codes and write those of real pixels."""
    scales, rules = finishing
    pixels = len(targets)
    if sizes[POOLED]:
        pool(rows, accumulators, pixels)
    for j in range(4):
        sums = accumulators[j, :pixels].reshape(-1)
        multiplier, offset = scales[4 * group + j, 0], scales[4 * group + j, 1]
        finish_any(sums, multiplier, offset, rules, codes[j, :pixels].reshape(-1))
    for pixel in range(pixels):
        if targets[pixel] >= 0:
            line = targets[pixel] + block * sizes[OUT_BLOCK] + group * sizes[OUT_GROUP]
            if out.ndim == 2:
                pack(codes[:, pixel], sizes[FLOOR], sizes[ZERO], out[line])
            else:
                for j in range(min(4, out.shape[0] - 4 * group)):
                    for lane in range(16):
                        out[4 * group + j, line, lane] = codes[j, pixel, lane]


@inlined
def pack(codes: Any, floor: Any, zero: Any, out: Any) -> None:
    """Write one line from four codes of each image."""
    byte, low, offset = np.uint32(255), np.int32(floor), np.int32(zero)
    for lane in range(16):
        word = np.uint32(max(codes[0, lane], low) + offset) & byte
        word |= (np.uint32(max(codes[1, lane], low) + offset) & byte) << np.uint32(8)
        word |= (np.uint32(max(codes[2, lane], low) + offset) & byte) << np.uint32(16)
        out[lane] = word | np.uint32(max(codes[3, lane], low) + offset) << np.uint32(24)


@inlined
def pool(rows: Any, accumulators: Any, windows: Any) -> None:
    """Replace the first accumulators by the largest of two by two pixels, two of each run; the rest are left over.

    The largest sum has the largest code, because rounding and saturation keep the order.
    """
    run = 2 if rows == 4 else 4
    for j in range(4):
        for window in range(windows):
            i = first_of(window, rows)
            for lane in range(16):
                upper = max(accumulators[j, i, lane], accumulators[j, i + 1, lane])
                lower = max(accumulators[j, i + run, lane], accumulators[j, i + run + 1, lane])
                accumulators[j, window, lane] = max(upper, lower)
