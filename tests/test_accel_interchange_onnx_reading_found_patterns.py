"""Which pattern the zeros of an array are taken for: the one that stores them in the fewest bits."""

import numpy as np
import pytest

from accel.interchange.onnx.reading.found_patterns import found_patterns, mask_of_zeros

TAPS = 9


def weights(flags: np.ndarray, taps: np.ndarray | None = None) -> np.ndarray:
    """Return weights (M, C, 3, 3) that are not zero in kernels `flags` (M, C), at the `taps` of each map (C, T)."""
    kept = np.broadcast_to(flags[:, :, None], (*flags.shape, TAPS))
    return np.where(kept if taps is None else kept & taps, 2.0, 0.0).reshape(*flags.shape, 3, 3)


def flags_of(outputs: int, group: int) -> np.ndarray:
    """Return which of 6 input maps each output keeps: all outputs of a group the same, other groups others."""
    groups = [[c % 3 == g % 3 for c in range(6)] for g in range(-(-outputs // group))]
    return np.repeat(np.array(groups), group, axis=0)[:outputs]


@pytest.mark.parametrize(("outputs", "group"), [(16, 8), (12, 4), (9, 3), (11, 8), (8, 1)])
def test_groups_of_kernels(outputs: int, group: int) -> None:
    """One flag for each group and input map; a last group that is not full is a group."""
    flags = flags_of(outputs, group)
    best = found_patterns(weights(flags), weight_bits=4)[0]
    assert best.pattern == ("kernel" if group == 1 else f"kernel@{group}")
    stored = 4 * TAPS * int(flags.sum())
    assert best.bits <= stored + -(-outputs // group) * 6
    mask = mask_of_zeros(weights(flags))
    assert (mask.kept == (weights(flags).reshape(outputs, 6, TAPS) != 0)).all()
    assert mask.pattern == best.pattern


def test_the_largest_groups_count() -> None:
    """Groups of 8 are groups of 4 too, with twice the flags; where nothing differs all outputs are one group."""
    assert found_patterns(weights(flags_of(16, 8)))[0].pattern == "kernel@8"
    assert found_patterns(weights(np.array([[True, False, True]] * 12)))[0].pattern == "kernel@12"


def test_groups_of_kernels_and_taps() -> None:
    """Kernels that go in groups and taps that go by input map are both seen."""
    taps = np.zeros((6, TAPS), bool)
    for index in range(6):
        taps[index, index % 2 :: 2] = True
    assert found_patterns(weights(flags_of(16, 8), taps))[0].pattern == "kernel@8+ikss"


def test_a_kernel_apart() -> None:
    """Negative control: one kernel more in one output of a group, and there are no groups of that size."""
    flags = flags_of(16, 8)
    flags[2, 1] = True
    assert not any("@" in found.pattern for found in found_patterns(weights(flags)))


def test_fully_connected() -> None:
    """A matrix has no kernels: columns that neighbours share are none of groups of kernels."""
    matrix = np.repeat(np.eye(4), 8, axis=0)
    assert not any("@" in found.pattern for found in found_patterns(matrix))


def test_few_zeros_are_dense() -> None:
    """Fewer zeros than could pay for any index leave a layer dense; a map of zeros, and as many as pay, do not."""
    weight = np.ones((16, 16, 3, 3))
    weight[3, 4, 1, 1] = 0  # a bit for each of 16 outputs would pay from two words of 8 bits on
    assert mask_of_zeros(weight).pattern == "dense"
    assert mask_of_zeros(weight).kept.all()
    weight[3] = 0
    assert mask_of_zeros(weight).pattern == "feature-map"
    weight = np.ones((16, 16, 1, 1))
    weight[np.arange(16), np.arange(16)] = 0
    best = found_patterns(weight)[0].pattern
    assert mask_of_zeros(weight).pattern == best
