import numpy as np

from accel.pattern import everything, keeps_everything, kept_weights
from accel.sparsity import LayerMask


def test_a_dense_mask_takes_no_memory() -> None:
    """Every weight of it is one flag; it is told from a mask that keeps all but one, and counts like any."""
    kept = everything((3, 2, 4))
    assert (kept.strides, kept.all()) == ((0, 0, 0), True)
    assert LayerMask("dense", np.ones((3, 2, 4), bool)).kept.strides == (0, 0, 0)
    assert keeps_everything(kept)
    assert keeps_everything(np.ones((3, 2, 4), bool))
    assert not keeps_everything(np.broadcast_to(np.False_, (3, 2, 4)))
    assert kept_weights(kept) == 24
    less = np.ones((3, 2, 4), bool)
    less[1, 1, 1] = False
    assert not keeps_everything(less)
    assert kept_weights(less) == 23
