"""Groups of weights for the group lasso: which weights they hold, and what shrinking them does."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from accel.errors import EspalierError  # noqa: E402
from accel.interchange.zoo.architectures import ARCHITECTURES  # noqa: E402
from accel.layers import Flatten, Linear  # noqa: E402
from accel.network import INPUT, Network  # noqa: E402
from accel.prune import Space, lasso_groups, prune_in_rounds, select_by_magnitude  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402
from accel.sparsity import parse_pattern  # noqa: E402
from accel.train import Recipe, fit  # noqa: E402
from accel.train.group_lasso import Grouped  # noqa: E402

UNITS = {  # of lenet5's conv2: 16 maps of 6 x 25 taps
    "feature-map": 16,
    "kernel": 16 * 6,
    "kernel+ikss": 16 * 6,
    "kernel@8": 2 * 6,
    "kernel@6": 3 * 6,  # 6, 6 and 4 maps
    "kernel@8+ikss": 2 * 6,
    "ikss": 6 * 25,
    "block-4": 4 * 38,
    "irregular": 16 * 6 * 25,
}


@pytest.mark.parametrize("label", UNITS)
def test_units_of_every_pattern(label: str) -> None:
    """Groups are as many as units, and a mask that drops one whole group is one that the pattern allows."""
    space = Space.of(ARCHITECTURES["lenet5"](), label)
    numbers = lasso_groups(space)["conv2"]
    assert numbers.shape == (16, 6, 25)
    assert len(np.unique(numbers)) == UNITS[label]
    if label in ("ikss", "feature-map"):  # a tap alone is no stride; a map that goes makes its reader narrower
        rows, columns = numbers.reshape(16, -1)[0], numbers.reshape(16, -1)[:, 0]
        assert len(np.unique(rows)) == (150 if label == "ikss" else 1)
        assert len(np.unique(columns)) == (1 if label == "ikss" else 16)
        return
    pattern = parse_pattern(label)
    assert pattern.problem(numbers != numbers[3, 2, 7]) is None
    if label != "irregular":
        torn = numbers != numbers[3, 2, 7]
        torn[3, 2, 7] = True  # negative control
        assert pattern.problem(torn) is not None or label == "kernel+ikss"


def test_n_of_m_has_no_units() -> None:
    """What a ratio inside every run fixes has nothing that could go as a whole."""
    assert lasso_groups(Space.of(ARCHITECTURES["lenet5"](), "2:4")) == {}


def test_shrinking_literally() -> None:
    """The norm of a group loses step x the root of its size, and ends at zero."""
    weight = torch.tensor([[3.0, 4.0], [0.1, 0.0]])
    grouped = Grouped.of(weight, np.array([7, 7, 2, 2]).reshape(2, 1, 2))
    grouped.shrink(1 / np.sqrt(2))  # norms 5 and 0.1 lose 1
    np.testing.assert_allclose(weight.numpy(), [[2.4, 3.2], [0, 0]], rtol=1e-6)


def problem() -> tuple[PrunedNetwork, np.ndarray, np.ndarray, Recipe]:
    """Return a matrix to train of which only the first 4 of 16 columns see anything but noise."""
    rng = np.random.default_rng(3)
    layers = (
        Flatten("flat", (INPUT,)),
        Linear("fc", ("flat",), weight=0.3 * rng.standard_normal((4, 16)), bias=np.zeros(4)),
    )
    images = rng.standard_normal((512, 16, 1, 1)).astype(np.float32)
    recipe = Recipe(epochs=8, batch_size=32, learning_rate=0.02, optimizer="adam", group_lasso=0.2)
    return PrunedNetwork(Network("planted", (16, 1, 1), layers)), images, images[:, :4, 0, 0].argmax(axis=1), recipe


def test_what_is_not_needed_goes() -> None:
    """Blocks that see noise shrink by far more than those that see the classes, and without the lasso they do not."""
    pruned, images, labels, recipe = problem()
    groups = lasso_groups(Space.of(pruned.network, "block-4", spare=()))

    def strengths(changed: Recipe) -> np.ndarray:
        weight = fit(pruned, images, labels, changed, groups=groups).network["fc"].weight
        return np.abs(weight).reshape(4, 4, 4).sum(axis=(0, 2))

    needed, *noise = strengths(recipe)
    assert max(noise) < 0.06 * needed
    plain, *left = strengths(replace(recipe, group_lasso=0.0))
    assert min(left) > 0.06 * plain


def test_sparsified_before_each_choice() -> None:
    """A schedule trains with the groups of its space before it chooses, so that the planted answer is found."""
    pruned, images, labels, recipe = problem()
    seen = []

    def sparsify(start: PrunedNetwork, groups: dict[str, np.ndarray]) -> PrunedNetwork:
        seen.append(groups)
        return fit(start, images, labels, recipe, groups=groups)

    found = prune_in_rounds(
        pruned, "block-4", 0.75, select_by_magnitude, rounds=2, spare=(), sparsify=sparsify
    ).layer_mask("fc")
    assert [list(groups) for groups in seen] == [["fc"], ["fc"]]
    np.testing.assert_array_equal(found.kept[:, :, 0].any(axis=0), np.arange(16) < 4)


def test_a_wrong_strength_says_so() -> None:
    """The strength is checked when the recipe is made."""
    with pytest.raises(EspalierError, match=r"group_lasso must be at least 0, got -1"):
        Recipe(group_lasso=-1)
