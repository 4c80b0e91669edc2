import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from typing import Any  # noqa: E402

from accel.errors import EspalierError  # noqa: E402
from accel.train import StepRule  # noqa: E402
from accel.train.learned_steps import LayerSteps  # noqa: E402


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": "guess"}, "steps of weights must be one of keep, refit, learn, got 'guess'"),
        ({"signals": "refit"}, "steps of signals must be one of keep, learn, got 'refit'"),
        ({"rate": 0}, "rate must be above 0, got 0"),
        ({"rate": float("nan")}, "rate must be above 0, got nan"),
        ({"rate": float("inf")}, "rate must be above 0, got inf"),
    ],
)
def test_a_wrong_rule_says_so(wrong: dict[str, Any], message: str) -> None:
    """Each field out of range is named with what would be right."""
    with pytest.raises(EspalierError) as caught:
        StepRule(**wrong)
    assert str(caught.value) == message


def test_steps_are_parameters_that_learn_only_where_asked() -> None:
    """Names may hold dots and slashes; values are float64, and copies."""
    steps = {"/a/b.0": 0.1, "c": np.array([0.25, 0.5])}
    for learned in (False, True):
        held = LayerSteps(steps, learned)
        assert [x.requires_grad for x in held.parameters()] == [learned] * 2
        values = held.values()
        assert {name: value.tolist() for name, value in values.items()} == {"/a/b.0": [0.1], "c": [0.25, 0.5]}
        values["c"][:] = 9
        assert held["c"].tolist() == [0.25, 0.5]


def test_learned_steps_stay_apart_from_zero_and_from_each_other() -> None:
    """None falls below 1/256 of where it began, nor below 1/256 of the largest of its layer, as lowering needs it."""
    held = LayerSteps({"alone": 0.5, "rows": [1.0, 1.0, 1.0], "fine": 2.0}, learned=True)
    with torch.no_grad():
        held["alone"].fill_(-3.0)
        held["rows"].copy_(torch.tensor([2.0, 1e-9, 0.5]))
        held.keep_apart_from_zero()
    found = {name: steps.tolist() for name, steps in held.values().items()}
    assert found == {"alone": [0.5 / 256], "rows": [2.0, 2 / 256, 0.5], "fine": [2.0]}
