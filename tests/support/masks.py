"""Hypothesis strategies for masks, and what makes a mask legal said once more in plain loops.

Nothing here uses `accel.sparsity`: the tests compare the two.
"""

from itertools import combinations
from typing import TypeVar

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Shape = tuple[int, int, int]
Way = TypeVar("Way")

PATTERNS = (
    "dense",
    "feature-map",
    "kernel",
    "ikss",
    "ikss-rest",
    "kernel+ikss",
    "kernel+ikss-rest",
    "kernel@3",  # which divides few of the matrices below
    "kernel@2+ikss",
    "block-1",
    "block-2",
    "block-3",
    "block-16",  # larger than most of the matrices below
    "irregular",
    "1:2",
    "2:4",
    "3:5",
)

few = settings(max_examples=20, deadline=None)  # for what runs for every pattern; machines may be slow

# Outputs, maps and taps, so small that every edge is met often: one of each, and sizes that no block or run divides.
shapes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 3, 4, 6, 9]))


def unasked(ways: dict[str, Way]) -> dict[str, Way]:
    """Return ways to store a mask, by name, without that which is used only where somebody asks for it."""
    return {name: way for name, way in ways.items() if name != "zero runs"}


def run_words(kept: Mask, bits: int) -> list[list[int]]:
    """Return each row's words of so many bits: zeros are counted, and a full word is written without a weight."""
    found = []
    for row in kept.reshape(len(kept), -1):
        words, zeros = list[int](), 0
        for flag in row:
            if flag:
                words += [2**bits - 1] * (zeros // (2**bits - 1)) + [zeros % (2**bits - 1)]
            zeros = 0 if flag else zeros + 1
        found.append(words)
    return found


def group_of(pattern: str) -> int:
    """Return how many output maps a kernel pattern keeps or prunes together."""
    return int(pattern.split("+")[0].partition("@")[2] or 1)


def strided_taps(taps: int, rest: bool) -> set[tuple[int, ...]]:
    """Return every set of taps that a (stride, offset) keeps: offset < stride <= taps + 1, `rest` keeps the others."""
    found = set()
    for stride in range(1, taps + 2):
        for offset in range(stride):
            named = range(offset, taps, stride)
            found.add(tuple(tap for tap in range(taps) if (tap in named) != rest))
    return found


@st.composite
def legal_masks(draw: st.DrawFn, pattern: str, shape: Shape | None = None) -> Mask:
    """Draw a legal mask (M, C, T) of `pattern`; all pruned and nothing pruned are among them where they are legal."""
    outputs, maps, taps = shape or draw(shapes)
    rows, columns = np.arange(outputs), np.arange(maps * taps)

    def flags(*size: int) -> Mask:
        return draw(st.one_of(st.just(np.zeros(size, bool)), st.just(np.ones(size, bool)), arrays(bool, size)))

    kept = np.ones((outputs, maps, taps), bool)
    if pattern == "feature-map":
        alive = flags(outputs)
        alive[draw(st.integers(0, outputs - 1))] = True  # one map has to stay
        kept &= alive[:, None, None]
    if pattern.startswith("kernel"):
        group = group_of(pattern)
        kept &= flags(-(-outputs // group), maps)[rows // group][:, :, None]
    if "ikss" in pattern:
        choices = sorted(strided_taps(taps, pattern.endswith("rest")))
        for index in range(maps):
            kept[:, index] &= np.isin(np.arange(taps), draw(st.sampled_from(choices)))
    if pattern.startswith("block-"):
        size = int(pattern.removeprefix("block-"))
        grid = flags(-(-outputs // size), -(-columns.size // size))
        kept = grid[np.ix_(rows // size, columns // size)].reshape(kept.shape)
    if pattern == "irregular":
        kept = flags(outputs, maps, taps)
    if ":" in pattern:
        n, m = map(int, pattern.split(":"))
        lowered = np.zeros((outputs, columns.size), bool)
        for first in range(0, columns.size, m):
            run = range(first, min(first + m, columns.size))
            choices = list(combinations(run, min(n, len(run))))
            for row in rows:
                lowered[row, list(draw(st.sampled_from(choices)))] = True
        kept = lowered.reshape(kept.shape)
    return kept


def is_legal(pattern: str, kept: Mask) -> bool:
    """Return whether `kept` is of `pattern`, from the definition of the pattern and by brute force."""
    outputs, maps, taps = kept.shape
    lowered = kept.reshape(outputs, -1)
    kernels = [[tuple(np.flatnonzero(kernel)) for kernel in column] for column in kept.swapaxes(0, 1)]
    if pattern == "dense":
        return bool(kept.all())
    if pattern == "feature-map":
        return all(row.all() or not row.any() for row in lowered) and bool(kept.any())
    if pattern.startswith("kernel"):
        for column in kernels:
            for first in range(0, outputs, group_of(pattern)):
                if len(set(column[first : first + group_of(pattern)])) != 1:
                    return False
    if pattern.startswith("kernel") and "+" not in pattern:
        return all(len(kernel) in (0, taps) for column in kernels for kernel in column)
    if pattern.startswith("ikss"):
        return all(len(set(column)) == 1 and column[0] in strided_taps(taps, "rest" in pattern) for column in kernels)
    if pattern.startswith("kernel"):
        alive = [{kernel for kernel in column if kernel} for column in kernels]
        return all(len(x) <= 1 and x <= strided_taps(taps, "rest" in pattern) for x in alive)
    if pattern.startswith("block-"):
        size = int(pattern.removeprefix("block-"))
        blocks = [
            lowered[row : row + size, column : column + size]
            for row in range(0, outputs, size)
            for column in range(0, maps * taps, size)
        ]
        return all(block.all() or not block.any() for block in blocks)
    if ":" in pattern:
        n, m = map(int, pattern.split(":"))
        runs = [row[first : first + m] for row in lowered for first in range(0, maps * taps, m)]
        return all(run.sum() == min(n, run.size) for run in runs)
    return True
