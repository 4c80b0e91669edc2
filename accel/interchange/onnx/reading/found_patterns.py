"""Which of our patterns the zeros of an array already are."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd, prod

import numpy as np
from numpy.typing import ArrayLike

from accel import encoding
from accel.kernel_patterns import Kernel, KernelStrided, Strided
from accel.limits import WIDEST
from accel.sparsity import Block, Dense, FeatureMap, Irregular, LayerMask, Mask, NOfM, Pattern

# from the one with the simplest index to that with the least regular; the first of those that tie is taken
CANDIDATES: tuple[Pattern, ...] = (
    Dense(),
    FeatureMap(),
    Strided(),
    Kernel(),
    KernelStrided(),
    *(Block(size) for size in (32, 16, 8, 4, 2)),
    *(NOfM(n, m) for n, m in ((1, 4), (2, 4), (1, 2), (4, 8), (2, 8))),
    Irregular(),
)


@dataclass(frozen=True)
class Found:
    """A pattern whose masks cover every weight that is not zero."""

    pattern: str
    encoding: str
    density: float  # kept / all
    bits: int  # of the stored weights at a given width, and of the index


def found_patterns(weight: ArrayLike, weight_bits: int = 8) -> tuple[Found, ...]:
    """Return the patterns that the zeros of `weight` (M, C, ...) already are, the one with the fewest bits first.

    Dense is always one of them. `weight_bits` are those of a stored weight.
    """
    kept = _lowered(weight)
    found = []
    for pattern in (*CANDIDATES, *_of_groups(kept)):
        mask = np.ones_like(kept) if isinstance(pattern, Dense) else kept
        if mask.any() and pattern.problem(mask) is None and not (mask.all() and not isinstance(pattern, Dense)):
            name, index = encoding.cheapest(pattern, mask)
            bits = pattern.nest(mask).stored_words * weight_bits + sum(words.bits for words in index)
            found.append(Found(str(pattern), name, float(mask.mean()), bits))
    return tuple(sorted(found, key=lambda candidate: candidate.bits))


def found_dense(shape: tuple[int, int, int], weight_bits: int = 8) -> Found:
    """Return what there is to find of weights (M, C, T) without values."""
    return Found(str(Dense()), encoding.Nothing.name, 1.0, prod(shape) * weight_bits)


def mask_of_zeros(weight: ArrayLike, weight_bits: int = 8) -> LayerMask:
    """Return the mask of the pattern that stores `weight` (M, C, ...) in the fewest bits."""
    kept = _lowered(weight)
    if _is_dense(kept, weight_bits):
        return LayerMask(str(Dense()), np.ones_like(kept))
    best = found_patterns(weight, weight_bits)[0].pattern
    return LayerMask(best, np.ones_like(kept) if best == str(Dense()) else kept)


def _is_dense(kept: Mask, weight_bits: int) -> bool:
    """Return whether no pattern can pay: the bits of the zeros are fewer than any index has.

    Whole maps need none. What is kept in any other way is said for each output or for each input map at least.
    """
    zeros = kept.size - np.count_nonzero(kept)
    whole = kept.any(axis=(1, 2)).all() and kept.any(axis=(0, 2)).all()
    return zeros == 0 or bool(whole and zeros * weight_bits < min(kept.shape[:2]))


def _of_groups(kept: Mask) -> Iterator[Pattern]:
    """Yield the patterns of kernels of the largest groups of output maps that keep the same input maps, if any do.

    Where a map keeps others than the one before, a group begins: groups are as large as divides all of these places.
    """
    flags = np.asarray(np.any(kept, axis=2))
    begins = 1 + np.flatnonzero((flags[1:] != flags[:-1]).any(axis=1))
    group = gcd(*begins.tolist()) or len(kept)
    if 1 < group <= WIDEST and kept.shape[2] > 1:
        yield from (Kernel(group), KernelStrided(group=group))


def _lowered(weight: ArrayLike) -> Mask:
    array = np.asarray(weight)
    return (array != 0).reshape(*array.shape[:2], -1)
