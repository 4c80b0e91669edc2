"""Packed tensors (see `sim.kernels.packed`) in and out, and the layers that have no weights.

Here they are uint8 arrays (blocks, rows, groups of four maps, columns, 64): of each image in turn the four codes. With
each goes its inside, the int64 array (top, left, height, width): rows and columns around it hold code 0. What belongs
to no map or no image is computed too.
"""

from typing import Any

import numpy as np

from sim.kernels.compiled import compiled, inlined
from sim.kernels.repack import AT_ONCE, pack_of_four, pack_of_one, pack_of_three, pack_of_two
from sim.kernels.requantize import finish

TOP, LEFT, HEIGHT, WIDTH = range(4)  # the places of an inside
LINE = 64  # bytes


@compiled
def pack_images(images: Any, order: Any, codes: Any, inside: Any, out: Any) -> bool:
    """Write images (images, maps, height, width) to a packed tensor.

    Parameters
    ----------
    order : int64 array (4 * groups,)
        The map that each place holds, or -1.
    codes : (low, high, zero)
        The range of the codes, and what is added to store them. The result is whether all of them lie in it.
    """
    low, high, zero = codes
    fits = True
    for image in range(images.shape[0]):
        block, lane = image // 16, image % 16
        for place in range(len(order)):
            if order[place] >= 0:
                of_map, at = images[image, order[place]], 4 * lane + place % 4
                for y in range(inside[HEIGHT]):
                    row = out[block, y + inside[TOP], place // 4]
                    for x in range(inside[WIDTH]):
                        code = np.int64(of_map[y, x])
                        fits &= (code >= low) & (code <= high)
                        row[x + inside[LEFT], at] = code + zero
    return fits


@compiled
def pack_bytes(images: Any, order: Any, inside: Any, out: Any) -> None:
    """Write uint8 images (images, maps, height, width), in memory one after the other, to a packed tensor as they are.

    Whatever their codes, they are in range. Lanes without an image repeat the first of their block.
    """
    count, maps, height, width = images.shape
    size, whole, lanes = maps * height * width, width - width % AT_ONCE, np.empty(16, np.int64)
    at = np.empty(4, np.int64)
    for block in range((count + 15) // 16):
        for lane in range(16):
            lanes[lane] = lane * size if 16 * block + lane < count else 0
        base = images.ctypes.data + 16 * block * size
        for group in range(out.shape[2]):
            held = np.count_nonzero(order[4 * group : 4 * group + 4] >= 0)
            for y in range(height):
                for place in range(4):
                    at[place] = base + (max(order[4 * group + place], 0) * height + y) * width
                row = out[block, y + inside[TOP], group]
                line = row.ctypes.data + inside[LEFT] * LINE
                for x in range(0, whole, AT_ONCE):
                    pack_columns(held, lanes.ctypes.data, at[0] + x, at[1] + x, at[2] + x, at[3] + x, line + x * LINE)
                for x in range(whole, width):
                    for lane in range(16):
                        image = 16 * block if lanes[lane] == 0 else 16 * block + lane
                        for place in range(held):
                            row[x + inside[LEFT], 4 * lane + place] = images[image, order[4 * group + place], y, x]


@inlined
def pack_columns(maps: Any, lanes: Any, first: Any, second: Any, third: Any, fourth: Any, out: Any) -> None:
    """Write four lines of a group of `maps` maps (see `sim.kernels.repack`)."""
    if maps == 1:
        pack_of_one(lanes, first, second, third, fourth, out)
    elif maps == 2:
        pack_of_two(lanes, first, second, third, fourth, out)
    elif maps == 3:
        pack_of_three(lanes, first, second, third, fourth, out)
    else:
        pack_of_four(lanes, first, second, third, fourth, out)


@compiled
def unpack(x: Any, order: Any, zero: Any, inside: Any, out: Any) -> None:
    """Write a packed tensor as planes (maps, height, width, images)."""
    for place in range(len(order)):
        if order[place] >= 0:
            for y in range(inside[HEIGHT]):
                for column in range(inside[WIDTH]):
                    lanes = out[order[place], y, column]
                    for image in range(len(lanes)):
                        line = x[image // 16, y + inside[TOP], place // 4, column + inside[LEFT]]
                        lanes[image] = np.int64(line[image % 16 * 4 + place % 4]) - zero


@compiled
def pack_planes(x: Any, order: Any, zero: Any, inside: Any, out: Any) -> None:
    """Write planes (maps, height, width, images) as a packed tensor."""
    for place in range(len(order)):
        if order[place] >= 0:
            for y in range(inside[HEIGHT]):
                for column in range(inside[WIDTH]):
                    lanes = x[order[place], y, column]
                    for image in range(len(lanes)):
                        line = out[image // 16, y + inside[TOP], place // 4, column + inside[LEFT]]
                        line[image % 16 * 4 + place % 4] = lanes[image] + zero


@compiled
def max_pool(x: Any, inside: Any, window: Any, ends: Any, into: Any, out: Any) -> None:
    """Take the largest byte of each window, and bring it between the two `ends`; padding never wins.

    `window` is (kernel height, width, stride down, across, padding above, left). Bytes are in the order of their
    codes, signed or not.
    """
    kernel_height, kernel_width, down, across, above, before = window
    for block in range(x.shape[0]):
        for y in range(into[HEIGHT]):
            rows = range(max(y * down - above, 0), min(y * down - above + kernel_height, inside[HEIGHT]))
            for group in range(x.shape[2]):
                for column in range(into[WIDTH]):
                    best = out[block, y + into[TOP], group, column + into[LEFT]]
                    best[:] = ends[0]
                    left = column * across - before
                    for row in rows:
                        for other in range(max(left, 0), min(left + kernel_width, inside[WIDTH])):
                            larger(best, x[block, row + inside[TOP], group, other + inside[LEFT]])
                    for i in range(LINE):
                        best[i] = min(best[i], ends[1])


@inlined
def larger(best: Any, other: Any) -> None:
    """Replace bytes by the larger ones of another line."""
    for i in range(LINE):
        best[i] = max(best[i], other[i])


@compiled
def avg_pool(x: Any, inside: Any, window: Any, scales: Any, rules: Any, zeros: Any, into: Any, out: Any) -> None:
    """Sum each window and requantise the sum; around the inside lies as much padding as the window reaches.

    `window` is that of `max_pool`, `zeros` what is added to the codes of input and output to store them.
    """
    kernel_height, kernel_width, down, across, above, before = window
    sums, codes = np.empty(LINE, np.int64), np.empty(LINE, np.int32)
    for block in range(x.shape[0]):
        for y in range(into[HEIGHT]):
            top = y * down - above + inside[TOP]
            for group in range(x.shape[2]):
                for column in range(into[WIDTH]):
                    left = column * across - before + inside[LEFT]
                    sums[:] = -zeros[0] * kernel_height * kernel_width
                    for row in range(top, top + kernel_height):
                        for other in range(left, left + kernel_width):
                            sums += x[block, row, group, other]
                    finish(sums, scales[0, 0], scales[0, 1], rules, codes)
                    line = out[block, y + into[TOP], group, column + into[LEFT]]
                    for i in range(LINE):
                        line[i] = codes[i] + zeros[1]


@compiled
def add(
    left: Any, left_inside: Any, right: Any, right_inside: Any, weights: Any, scales: Any, rules: Any,
    zeros: Any, into: Any, out: Any,
) -> None:  # fmt: skip
    """Add two weighted tensors and requantise the sum; `zeros` as in `avg_pool`, of both inputs and the output."""
    sums, codes = np.empty(LINE, np.int64), np.empty(LINE, np.int32)
    for block in range(left.shape[0]):
        for y in range(into[HEIGHT]):
            for group in range(left.shape[2]):
                for column in range(into[WIDTH]):
                    first = left[block, y + left_inside[TOP], group, column + left_inside[LEFT]]
                    second = right[block, y + right_inside[TOP], group, column + right_inside[LEFT]]
                    for i in range(LINE):
                        a, b = np.int64(first[i]) - zeros[0], np.int64(second[i]) - zeros[1]
                        sums[i] = a * weights[0] + b * weights[1]
                    finish(sums, scales[0, 0], scales[0, 1], rules, codes)
                    line = out[block, y + into[TOP], group, column + into[LEFT]]
                    for i in range(LINE):
                        line[i] = codes[i] + zeros[2]
