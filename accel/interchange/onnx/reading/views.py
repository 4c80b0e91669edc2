"""How a tensor of the graph shows a tensor of ours: the same numbers under other axes, the batch left out.

An axis of the graph is a run of factors, (size, stride in our tensor) from the slowest on; factors of one element are
left out. Channels-last maps are ``((height, width),), ((width, 1),), ((maps, height * width),)``. A transposition
orders axes anew and a reshape deals the factors out again, so that nothing is moved.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Factor = tuple[int, int]
Axis = tuple[Factor, ...]
View = tuple[Axis, ...]


def plain(shape: Sequence[int]) -> View:
    """Return the view of a tensor as it is.

    >>> plain((3, 1, 5))
    (((3, 5),), (), ((5, 1),))
    """
    strides = [math.prod(shape[index + 1 :]) for index in range(len(shape))]
    return tuple(((size, stride),) if size > 1 else () for size, stride in zip(shape, strides, strict=True))


def channels_last(shape: Sequence[int]) -> View:
    """Return the view (height, width, maps) of maps of `shape`."""
    maps, *pixels = plain(shape)
    return (*pixels, maps)


def shape_of(view: View) -> tuple[int, ...]:
    """Return the sizes of the axes."""
    return tuple(math.prod(size for size, _ in axis) for axis in view)


def reshaped(view: View, shape: Sequence[int]) -> View | None:
    """Return the view with its factors dealt out to axes of these sizes; None if an axis would cut one in pieces.

    >>> reshaped(channels_last((2, 3, 3)), (18,))
    (((9, 1), (2, 9)),)
    >>> reshaped(plain((6, 5)), (2, 3, 5)) == plain((2, 3, 5))
    True
    >>> reshaped(channels_last((2, 3, 3)), (6, 3)) is None
    True
    """
    left = list(_merged([factor for axis in view for factor in axis]))
    axes: list[Axis] = []
    for wanted in shape:
        axis: list[Factor] = []
        while wanted > 1 and left:
            size, stride = left.pop(0)
            taken = math.gcd(size, wanted)
            if taken == 1 or taken not in (size, wanted):
                return None
            axis.append((taken, stride * (size // taken)))
            if taken < size:
                left.insert(0, (size // taken, stride))
            wanted //= taken
        if wanted != 1:
            return None
        axes.append(tuple(_merged(axis)))
    return None if left else tuple(axes)


def resized(view: View, asked: Sequence[int]) -> View | None:
    """Return what a Reshape to `asked` gives, a 0 for the size that there is, at most one -1 for the rest.

    >>> resized(plain((4, 3)), (0, -1, 1))
    (((4, 3),), ((3, 1),), ())
    """
    before = shape_of(view)
    sizes = [size if size else before[index] if index < len(before) else 0 for index, size in enumerate(asked)]
    if sizes.count(-1) == 1 and (known := -math.prod(sizes)) > 0:
        sizes[sizes.index(-1)] = math.prod(before) // known
    return reshaped(view, sizes) if sizes and min(sizes) > 0 else None


def permuted(view: View, order: Sequence[int]) -> View | None:
    """Return what a Transpose gives; `order` counts the batch, which has to stay the first axis."""
    fits = sorted(order) == list(range(len(view) + 1)) and order[0] == 0
    return tuple(view[axis - 1] for axis in order[1:]) if fits else None


def squeezed(view: View, axes: Sequence[int]) -> View | None:
    """Return the view without axes of one element; they are counted with the batch, from the end too."""
    gone = {axis % (len(view) + 1) for axis in axes}
    fits = all(axis and not view[axis - 1] for axis in gone)
    return tuple(axis for index, axis in enumerate(view, start=1) if index not in gone) if fits else None


def unsqueezed(view: View, axes: Sequence[int]) -> View | None:
    """Return the view with more axes of one element, which are counted as in `squeezed`, those among them.

    >>> unsqueezed(plain((5,)), (1, -1))
    ((), ((5, 1),), ())
    """
    rank = len(view) + 1 + len(axes)
    new, left = {axis % rank for axis in axes}, iter(view)
    fits = 0 not in new and len(new) == len(axes)
    return tuple(() if index in new else next(left) for index in range(1, rank)) if fits else None


def is_in_order(axis: Axis) -> bool:
    """Return whether neighbours on an axis are neighbours in our tensor too.

    >>> is_in_order(((6, 1),)), is_in_order(((2, 1), (3, 2))), is_in_order(())
    (True, False, True)
    """
    return len(axis) == 0 or (len(axis) == 1 and axis[0][1] == 1)


def order_of(axis: Axis) -> NDArray[np.intp]:
    """Return where in our tensor each element of an axis lies, from its first one on.

    >>> order_of(((2, 1), (3, 2))).tolist()
    [0, 2, 4, 1, 3, 5]
    """
    order = np.zeros(1, np.intp)
    for size, stride in axis:
        order = (order[:, None] + np.arange(size, dtype=np.intp) * stride).ravel()
    return order


def _merged(axis: Sequence[Factor]) -> Iterator[Factor]:
    """Yield the factors, neighbours that are one run in our tensor as one."""
    before: Factor | None = None
    for size, stride in axis:
        if before is not None and before[1] == size * stride:
            before = before[0] * size, stride
            continue
        if before is not None:
            yield before
        before = size, stride
    if before is not None:
        yield before
