"""Which weights go together, so that a group lasso can make whole units of a pattern weak."""

import numpy as np
from numpy.typing import NDArray

from accel.kernel_patterns import KernelStrided, Strided
from accel.prune.space import Space
from accel.pruned import Groups
from accel.sparsity import Pattern


def lasso_groups(space: Space) -> Groups:
    """Return, for each layer of `space` whose pattern has units, the number of each weight's unit (M, C, T).

    Units are maps, kernels or groups of them, blocks or single weights; for strided patterns, a tap of an input map in
    all kernels that read it, since these share their taps, and with kernels that go as well, a kernel or group. N:M
    patterns have none. Wen et al. have filters, channels and shapes of filters for units; groups of kernels, blocks and
    taps are ours.
    """
    found, shapes = {}, {layer.name: layer.lowered_shape for layer in space.network.weighted}
    for name, pattern in space.patterns.items():
        numbers = _numbers(pattern, shapes[name])
        if numbers is not None:
            found[name] = numbers
    return found


def _numbers(pattern: Pattern, shape: tuple[int, int, int]) -> NDArray[np.int64] | None:
    if isinstance(pattern, Strided):
        outputs, *inner = shape
        return np.broadcast_to(np.arange(np.prod(inner)).reshape(inner), (outputs, *inner))
    units = (pattern.kernel if isinstance(pattern, KernelStrided) else pattern).units()
    if units is None:
        return None
    flags = units.flags(np.ones(shape, bool))
    return units.expand(np.arange(flags.size).reshape(flags.shape), shape)
