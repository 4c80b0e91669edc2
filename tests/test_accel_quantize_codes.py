"""Codes of weights and biases: the formula of arXiv 1511.06488, value by value, however many are worked out at once."""

import math

import numpy as np
import pytest

from accel.errors import EspalierError
from accel.layers import Linear
from accel.pattern import everything
from accel.quantize import codes
from accel.quantize.codes import bias_codes, weight_codes


@pytest.mark.parametrize("bits", [2, 4, 8, 12])
@pytest.mark.parametrize("each", [False, True])
def test_weights_are_the_nearest_of_the_levels(monkeypatch: pytest.MonkeyPatch, bits: int, each: bool) -> None:
    """Q(w) / step = sgn(w) min(floor(|w| / step + 1/2), 2**(bits - 1) - 1), 0 where nothing is kept."""
    monkeypatch.setattr(codes, "_AT_ONCE", 12)  # two rows at a time, of five
    rng = np.random.default_rng(0)
    weights, kept = rng.normal(size=(5, 6)).astype(np.float32), rng.random((5, 6)) < 0.7
    steps = np.array([0.11, 0.2, 0.31, 0.4, 0.5]) if each else np.array([0.23])
    highest = 2 ** (bits - 1) - 1

    def code(row: int, column: int) -> float:
        weight, step = float(weights[row, column]), float(steps[row if each else 0])
        return math.copysign(min(math.floor(abs(weight) / step + 0.5), highest), weight) * kept[row, column]

    found = weight_codes(weights, kept, steps, bits)
    assert found.tolist() == [[code(row, column) for column in range(6)] for row in range(5)]
    assert found.dtype == (np.int8 if bits <= 8 else np.int16)
    dense = weight_codes(weights, everything((5, 6)), steps, bits)
    assert dense[~kept].any()  # negative control: what is not kept would have codes
    assert (dense * kept == found).all()


def test_biases_are_whole_steps_of_the_accumulator() -> None:
    """The nearest, ties upwards; one that no accumulator holds is refused, and the layer is named."""
    layer = Linear("fc", ("input",), weight=np.ones((3, 2), np.float32), bias=np.array([0.5, -0.5, 2.4], np.float32))
    assert bias_codes(layer, np.array([1.0])).tolist() == [1, 0, 2]
    assert bias_codes(layer, np.array([1.0, 0.25, 0.1])).tolist() == [1, -2, 24]
    with pytest.raises(EspalierError, match=r"^fc: no accumulator holds its biases"):
        bias_codes(layer, np.array([1e-20]))
