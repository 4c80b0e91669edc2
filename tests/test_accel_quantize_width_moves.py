import re

import pytest

from accel.errors import EspalierError
from accel.quantize import Operand, Sensitivity
from accel.quantize.width_moves import Prediction, greedy_path, moves_down, neighbors

A, B = Operand("weights", "conv1"), Operand("signals", "conv1")
C = Operand("signals", "fc2")


def measured(operand: Operand, *rates: float) -> list[Sensitivity]:
    """Return the error rates of an operand at 4, 3 and 2 bits."""
    return [Sensitivity(operand, bits, rate) for bits, rate in zip((4, 3, 2), rates, strict=True)]


def test_predictions_add_up() -> None:
    """Above its own rate at the highest bits each operand costs what it cost alone."""
    predicted = Prediction([A, B], measured(A, 0.25, 0.375, 0.5) + measured(B, 0.125, 0.125, 0.25), 2, 4)
    assert [predicted(bits) for bits in ((4, 4), (3, 4), (2, 3), (2, 2))] == [0, 0.125, 0.25, 0.375]


def test_fewer_bits_never_cost_less() -> None:
    """A rate that happens to fall with the bits counts as that of more bits."""
    predicted = Prediction([A], measured(A, 0.25, 0.5, 0.375), 2, 4)
    assert [predicted((bits,)) for bits in (4, 3, 2)] == [0, 0.25, 0.25]


def test_a_group_that_was_not_measured() -> None:
    """Named, with the bits that are missing."""
    with pytest.raises(EspalierError, match=f"^{re.escape('the sensitivities lack the signals of conv1 at 4 bits')}$"):
        Prediction([A, B], measured(A, 0, 0, 0), 2, 4)


def test_moves_down() -> None:
    """One bit of one operand, and one bit of all signals, as there are two of them; none below the lowest."""
    assert list(moves_down([A, B, C], (4, 3, 3), 2)) == [(3, 3, 3), (4, 2, 3), (4, 3, 2), (4, 2, 2)]
    assert list(moves_down([A, B, C], (2, 2, 3), 2)) == [(2, 2, 2), (2, 2, 2)]


def test_neighbors() -> None:
    """Steps down, one or two bits up, and those with one or two bits less of the other; all within 2..4."""
    swaps = {(3, 3), (3, 2), (4, 3), (4, 2)}
    assert set(neighbors([A, B], (2, 4), 2, 4)) == {(2, 3), (3, 4), (4, 4)} | swaps
    assert set(neighbors([A, B], (4, 4), 2, 4)) == {(3, 4), (4, 3)}


def test_the_path() -> None:
    """Each step is that of the least rise for a saved bit; A's bit saves 10, B's 1.

    From 4 to 3 bits A pays 0.01 for each, B 0.02; from 3 to 2 A pays 0.05, B nothing, but 3 come first.
    """
    predicted = Prediction([A, B], measured(A, 0, 0.1, 0.6) + measured(B, 0, 0.02, 0.02), 2, 4)
    path = greedy_path([A, B], predicted, lambda bits: 10 * bits[0] + bits[1], 2, 4)
    assert path == [(4, 4), (3, 4), (3, 3), (3, 2), (2, 2)]


def test_a_step_that_saves_nothing_is_the_last() -> None:
    """B takes no memory: its bits go when nothing else is left, though they cost no error."""
    predicted = Prediction([A, B], measured(A, 0, 0.5, 0.5) + measured(B, 0, 0, 0), 2, 4)
    path = greedy_path([A, B], predicted, lambda bits: bits[0], 2, 4)
    assert path == [(4, 4), (3, 4), (2, 4), (2, 3), (2, 2)]
