"""Orders of rows: groups read fewer columns, never more, and what is equal or free of choice stays as it is."""

from itertools import permutations

import numpy as np
import pytest

from accel.row_order import climbed, lane_order, union_columns


def kinds(count: int) -> np.ndarray:
    """Return rows of `count` kinds in turn, four of each; a kind reads four columns of its own."""
    return np.tile(np.eye(count, dtype=bool).repeat(4, axis=1), (4, 1))


def test_rows_that_agree_come_together() -> None:
    """Three kinds of rows in turn: in groups of four each kind stands apart, 3 x 4 columns less than 3 x 12."""
    rows = kinds(3)
    order = lane_order(rows, 4)
    assert sorted(order) == list(range(12))
    assert union_columns(rows, 4) == 36
    assert union_columns(rows[order], 4) == 12


@pytest.mark.parametrize("seed", range(4))
def test_the_best_of_all(seed: int) -> None:
    """Of six rows in groups of two, which can be tried out, the least there is."""
    rows = np.random.default_rng(seed).random((6, 8)) < 0.4
    least = min(union_columns(rows[list(order)], 2) for order in permutations(range(6)))
    assert union_columns(rows[lane_order(rows, 2)], 2) == least
    assert least < max(union_columns(rows[list(order)], 2) for order in permutations(range(6)))  # there is a choice


@pytest.mark.parametrize("seed", range(8))
def test_never_worse(seed: int) -> None:
    """Whatever the rows, the last group of which is not full: a permutation that reads no more than before."""
    rng = np.random.default_rng(seed)
    rows, costs = rng.random((rng.integers(5, 20), 12)) < 0.3, rng.integers(1, 9, 12).astype(float)
    order = lane_order(rows, 4, costs)
    assert sorted(order) == list(range(len(rows)))
    assert union_columns(rows[order], 4, costs) <= union_columns(rows, 4, costs)


def test_columns_count_as_much_as_they_cost() -> None:
    """Rows agree in one column with one neighbour and in another with the other; the dearer one decides."""
    rows = np.array([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]], bool)
    first, last = np.array([9.0, 9, 1, 1]), np.array([1.0, 1, 9, 9])
    for costs, column in ((first, 0), (last, 2)):
        shuffled = rows[[0, 3, 1, 2]]
        ordered = shuffled[lane_order(shuffled, 2, costs)]
        assert ordered[0, column] == ordered[1, column] != ordered[2, column]


@pytest.mark.parametrize(
    ("rows", "lanes"),
    [(np.ones((12, 5), bool), 4), (kinds(3), 1), (kinds(3), 12), (kinds(3), 64)],
    ids=["equal rows", "a lane", "as many lanes", "more lanes"],
)
def test_where_no_order_is_better(rows: np.ndarray, lanes: int) -> None:
    """All rows read the same, each group has one row, or there is one group: nothing moves."""
    assert lane_order(rows, lanes).tolist() == list(range(12))


def test_the_same_again() -> None:
    """Nothing is drawn: the same rows have the same order."""
    rows = np.random.default_rng(5).random((40, 30)) < 0.4
    assert (lane_order(rows, 8) == lane_order(rows, 8)).all()
    assert (lane_order(rows, 8) != lane_order(rows[::-1], 8)).any()


def test_a_climb_ends_where_no_swap_gains() -> None:
    """With a run worth the square of its sum, the largest rows come together; no work, no swap."""
    rows = np.array([[1.0], [5.0], [2.0], [6.0]])

    def square(beside: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return (beside + rows.T) ** 2

    order, work = climbed(rows, np.arange(4), 2, square)
    assert sorted(map(sorted, rows[order].reshape(2, 2).tolist())) == [[1.0, 2.0], [5.0, 6.0]]
    assert work == 2 * 4 * 4  # places x rows x columns: the swap, and that there is no other
    assert climbed(rows, np.arange(4), 2, square, most=15)[0].tolist() == [0, 1, 2, 3]
