"""Grouped convolutions in a Program: an ordinary layer whose kernels between groups are not kept."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.kernel_patterns import Grouped, Kernel, KernelStrided, Strided
from accel.limits import MOST_WEIGHTS
from accel.pattern import keeps_everything
from accel.sparsity import Dense, FeatureMap, Irregular, LayerMask, Mask, Pattern, parse_pattern


def across_groups(mask: LayerMask, codes: NDArray[Any], groups: int) -> tuple[LayerMask, NDArray[Any]]:
    """Return mask and weights of the layer that reads all maps and keeps those of each output's own group.

    Parameters
    ----------
    mask : LayerMask
        (M, C / groups, T), of any pattern.
    codes : int array (M, C / groups * T)
    groups : int

    Returns
    -------
    LayerMask (M, C, T), int array (M, C * T)
        Of a dense one the groups say all. Else a list of input maps for each output says which kernels there are,
        which is the kernel pattern.

    Raises
    ------
    EspalierError
        The layer would have more weights than a Program's index counts.
    """
    outputs, maps, taps = mask.kept.shape
    shape = outputs, maps * groups, taps
    if math.prod(shape) > MOST_WEIGHTS:
        raise EspalierError(
            f"a convolution of {groups} groups and the shape {shape} has too many kernels for a Program"
        )
    kept = spread_weights(mask.kept, shape).reshape(shape)
    spread = spread_weights(codes.reshape(mask.kept.shape), shape)
    return LayerMask(str(_pattern_across(mask, groups)), kept), spread


def within_groups(kept: Mask) -> int:
    """Return the number of groups, at most, between which a mask (M, C, T) keeps nothing; 1 if it is no grouped one."""
    outputs, maps, _ = kept.shape
    read = np.any(kept, axis=2)
    for groups in range(math.gcd(outputs, maps), 1, -1):
        if outputs % groups or maps % groups:
            continue
        runs = np.any(read.reshape(groups, outputs // groups, groups, maps // groups), axis=(1, 3))
        if not runs[~np.eye(groups, dtype=bool)].any():
            return groups
    return 1


def group_weights(matrix: NDArray[np.int64], shape: tuple[int, int, int], groups: int) -> NDArray[np.int64]:
    """Return the kernels (M, C / groups, T) of the weights (M, C * T) that lie within groups."""
    outputs, maps, _ = shape
    rows = np.arange(outputs)[:, None]
    columns = rows // (outputs // groups) * (maps // groups) + np.arange(maps // groups)
    return matrix.reshape(shape)[rows, columns]


def spread_weights(kernels: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    """Return the weights (M, C * T) of kernels (M, C / groups, T): what `group_weights` reads."""
    outputs, maps, _ = shape
    groups = maps // kernels.shape[1]
    if not groups or (kernels.shape[0], groups * kernels.shape[1], kernels.shape[2]) != shape or outputs % groups:
        raise EspalierError(f"kernels {kernels.shape} are no groups of a layer of shape {shape}")
    rows = np.arange(outputs)[:, None]
    spread = np.zeros(shape, kernels.dtype)
    spread[rows, rows // (outputs // groups) * kernels.shape[1] + np.arange(kernels.shape[1])] = kernels
    return spread.reshape(outputs, -1)


def _pattern_across(mask: LayerMask, groups: int) -> Pattern:
    if groups > 1 and keeps_everything(mask.kept):
        return Grouped(groups)
    match pattern := parse_pattern(mask.pattern):
        case Dense() | FeatureMap() | Kernel():
            return Kernel()
        case Strided() | KernelStrided():
            return KernelStrided(pattern.keep)
    return Irregular()
