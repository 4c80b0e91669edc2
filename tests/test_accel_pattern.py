import numpy as np
import pytest

from accel.pattern import everything, keeps_everything, kept_weights
from accel.sparsity import LayerMask, parse_pattern


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


@pytest.mark.parametrize("pattern", ["dense", "block-8", "irregular"])
def test_large_matrices_are_gathered_as_small_ones(pattern: str) -> None:
    """Of more rows and columns than are turned at a time each word is where the loop nest says."""
    matrix = np.random.default_rng(0).integers(-99, 99, (72, 1100))
    nest = parse_pattern(pattern).nest(everything((72, 1100, 1)))
    words, places = nest.gather(matrix), nest.positions
    inside = places[1] < 1100
    assert words[inside].tolist() == matrix[places[0][inside], places[1][inside]].tolist()
    assert words[inside].tolist() != matrix[places[0][inside], places[1][inside] - 1].tolist()
