"""Making a network: what comes before masks that follow the weights, and whose scores teach."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from accel.interchange import zoo
from accel.interchange.data.datasets import load
from accel.pruned import PrunedNetwork
from reports.workflow.making import Maker
from reports.workflow.recipes import ENTRIES, Lasso

ENTRY = replace(ENTRIES["digits"], retrain=replace(ENTRIES["digits"].retrain, epochs=2), gradual=0.5)


def _norms(pruned: PrunedNetwork) -> dict[str, float]:
    """Return the norm of each layer's weights that are pruned."""
    return {name: float((pruned.network[name].weight ** 2).sum()) for name in pruned.masks}  # type: ignore[attr-defined]


def test_a_group_lasso_comes_before_masks_that_follow_the_weights(tmp_path: Path) -> None:
    """It has a checkpoint of its own and leaves weaker weights; as many are gone with it as without."""
    splits = {split: load("digits", split).take(64) for split in ("train", "validation")}
    made = {}
    for what, lassos in (("plain", {}), ("gathered", {"block-4": Lasso(3, 2.0)})):
        folder = tmp_path / what
        folder.mkdir()
        maker = Maker("digits", replace(ENTRY, lassos=lassos), splits, checkpoints=folder)
        made[what] = maker.pruned(zoo.load("digits"), "block-4", {"block-4": 0.8})
    assert {path.name for path in (tmp_path / "plain").iterdir()} == {"block-4.checkpoint"}
    assert {path.name for path in (tmp_path / "gathered").iterdir()} == {"block-4-0.checkpoint", "block-4.checkpoint"}
    plain, gathered = made["plain"], made["gathered"]
    assert gathered.pattern == plain.pattern == "block-4"
    assert {name: mask.kept.sum() for name, mask in gathered.masks.items()} == {
        name: mask.kept.sum() for name, mask in plain.masks.items()
    }
    weaker, whole = _norms(gathered), _norms(plain)
    assert all(weaker[name] < whole[name] for name in whole)


@pytest.mark.parametrize("gradual", [None, 0.5])
def test_what_is_pruned_learns_from_the_teacher_that_is_given_or_else_from_the_dense_network(
    gradual: float | None,
) -> None:
    """Another network teaches other weights; without distillation in the recipe none does."""
    splits = {split: load("digits", split).take(64) for split in ("train", "validation")}
    dense, other = zoo.load("digits"), zoo.load("digits", "kernel")

    def made(distillation: float, teacher: PrunedNetwork | None = None) -> dict[str, float]:
        recipe = replace(ENTRY.retrain, distillation=distillation)
        maker = Maker("digits", replace(ENTRY, retrain=recipe, gradual=gradual), splits)
        return _norms(maker.pruned(dense, "block-4", {"block-4": 0.8}, teacher and teacher.network))

    assert made(0.5) == made(0.5, dense) != made(0.5, other)
    assert made(0.0) == made(0.0, other)
