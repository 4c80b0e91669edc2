import pytest

from accel.budget import Budget, Judge, Spent
from accel.errors import EspalierError
from accel.progress import Progress


def test_each_is_asked_for_once() -> None:
    """A second question about the same is answered from memory, also when the budget is spent; a new one is not."""
    asked: list[int] = []
    judge: Judge[int] = Judge(lambda key: asked.append(key) or key / 10, 2)  # type: ignore[func-returns-value]
    assert [judge(3), judge(5), judge(3)] == [0.3, 0.5, 0.3]
    with pytest.raises(Spent):
        judge(7)
    assert judge(5) == 0.5
    assert asked == list(judge.rates) == [3, 5]


def test_progress() -> None:
    """After each evaluation: how many, of how many, and the lowest so far."""
    seen: list[Progress] = []
    judge: Judge[int] = Judge(lambda key: key / 10, 9, seen.append)
    for key in (5, 3, 5, 4):
        judge(key)
    assert seen == [Progress(1, 9, 0.5), Progress(2, 9, 0.3), Progress(3, 9, 0.3)]


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_an_error_rate_that_is_none(rate: float) -> None:
    """An error rate is a share of the images."""
    judge: Judge[int] = Judge(lambda key: rate, 9)
    with pytest.raises(EspalierError, match=rf"^an error rate must be 0..1, got {rate}$"):
        judge(0)
    assert not judge.rates


def test_no_budget() -> None:
    """At least one evaluation is needed."""
    with pytest.raises(EspalierError, match=r"^budget must be at least 1 evaluation, got 0$"):
        Judge(lambda key: 0.0, 0)


class TestBudget:
    def test_it_is_spent(self) -> None:
        """Each evaluation counts, the lowest rate is remembered, and after the last there is none."""
        budget = Budget(3)
        assert [budget.spend(lambda rate=rate: rate) for rate in (0.5, 0.25, 1.0)] == [0.5, 0.25, 1.0]
        assert (budget.spent, budget.left, budget.lowest) == (3, 0, 0.25)
        with pytest.raises(Spent):
            budget.spend(lambda: 0.0)

    @pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
    def test_what_is_no_error_rate_costs_nothing(self, rate: float) -> None:
        """It is refused, and not counted."""
        budget = Budget(3)
        with pytest.raises(EspalierError, match=r"^an error rate must be 0\.\.1, got"):
            budget.spend(lambda: rate)
        assert (budget.spent, budget.left) == (0, 3)

    @pytest.mark.parametrize("total", [0, -1, 2.5, True])
    def test_a_total_that_is_none(self, total: float) -> None:
        """There is at least one evaluation, and a whole number of them."""
        with pytest.raises(EspalierError, match=r"^budget must be at least 1 evaluation, got"):
            Budget(total)  # type: ignore[arg-type]
