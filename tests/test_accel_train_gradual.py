from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.stopping import StopTrainingError, stop_at

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.bars import IMAGES, LABELS, STEPS, bars, network, parts, pruned  # noqa: E402

from accel.errors import EspalierError  # noqa: E402
from accel.network import Network  # noqa: E402
from accel.prune import Space, select_by_magnitude  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402
from accel.sparsity import LayerMask, Masks  # noqa: E402
from accel.train import Gradual, Progress, Recipe, error_rate, fit  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(epochs=6, batch_size=32, learning_rate=0.05, shift_pixels=1, flip=True, seed=3)
RATIO = 0.5


def by_magnitude(network: Network, done: float) -> Masks:
    """Return masks of the second layer without its weakest kernels, half of them in the end."""
    return select_by_magnitude(Space.of(network, "kernel", spare=("first", "scores")), RATIO * done)


GRADUAL = Gradual(by_magnitude, "weakest kernels, half", frozen=0.5)


class Watching:
    """Masks by magnitude, and what they were at each time."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, LayerMask]] = []

    def __call__(self, network: Network, done: float) -> Masks:
        masks = by_magnitude(network, done)
        self.seen.append((done, masks["second"]))
        return masks


def kernels(mask: LayerMask) -> np.ndarray[Any, Any]:
    """Return which kernels stay."""
    return mask.kept.any(axis=2)


def trained(gradual: Gradual | None = GRADUAL, **more: Any) -> PrunedNetwork:
    """Return the small network trained while kernels of its second layer go."""
    return fit(PrunedNetwork(network()), IMAGES, LABELS, RECIPE, gradual=gradual, **more)


def test_masks_follow_until_they_are_frozen() -> None:
    """Of six epochs the first three choose anew, the fourth for the last time; what is gone is zero in the result."""
    watching = Watching()
    result = trained(replace(GRADUAL, masks=watching))
    assert [done for done, _ in watching.seen] == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])  # once to know the layers
    last = watching.seen[-1][1]
    assert kernels(last).mean() == 1 - RATIO
    assert (result.masks["second"].kept == last.kept).all()
    weight: Any = result.network["second"].weight  # type: ignore[attr-defined]
    assert not weight.reshape(last.kept.shape)[~last.kept].any()


def test_what_was_gone_comes_back_with_its_value() -> None:
    """A kernel that is forced out while masks follow keeps its weights, and learns again when nothing forces it."""
    calls = []

    def forced(network: Network, done: float) -> Mapping[str, LayerMask]:
        kept = np.ones((8, 6, 9), bool)
        kept[0, 0] = done == 1  # out until the last choice
        calls.append(network["second"].weight[0, :2].copy())  # type: ignore[attr-defined]
        return {"second": LayerMask("kernel", kept)}

    result = trained(Gradual(forced, "one", 0.5))
    begun = network()["second"].weight[0, 0]  # type: ignore[attr-defined]
    assert all((found[0] == begun).all() for found in calls)
    assert (result.network["second"].weight[0, 0] != begun).all()  # type: ignore[attr-defined]
    assert (calls[-1][1] != calls[0][1]).all()  # negative control: its neighbour learned all the time


def test_the_network_computes_without_what_is_gone() -> None:
    """Error rates told while masks follow are those of the pruned network, and not those of all weights."""
    reports: list[Progress] = []
    held_out = bars(200, seed=1)
    nothing = Gradual(lambda network, done: {"second": LayerMask("kernel", np.zeros((8, 6, 9), bool))}, "all", 0.9)
    trained(nothing, validation=held_out, progress=reports.append)
    told = [x.validation_error_rate for x in reports if x.validation_error_rate is not None]
    assert min(told) > 0.3  # nothing of an image comes through
    reports.clear()
    trained(None, validation=held_out, progress=reports.append)
    assert reports[-1].validation_error_rate is not None
    assert reports[-1].validation_error_rate < 0.3  # negative control


def test_result_is_what_was_reported() -> None:
    """The last report's error rate is the result's own."""
    reports: list[Progress] = []
    held_out = bars(200, seed=1)
    result = trained(validation=held_out, progress=reports.append)
    assert reports[-1].validation_error_rate == error_rate(result.network, *held_out)


@pytest.mark.parametrize("step", [STEPS, 2 * STEPS + 1, 4 * STEPS, 6 * STEPS])
def test_a_resumed_run_equals_an_uninterrupted_one(step: int, tmp_path: Path) -> None:
    """Stopped before, at and after the epoch in which masks are frozen, or at the end: the same bytes and masks."""
    expected, path = trained(), tmp_path / "run.checkpoint"
    with pytest.raises(StopTrainingError):
        trained(checkpoint=path, progress=stop_at(step))
    found = trained(checkpoint=path)
    assert parts(found.network) == parts(expected.network)
    assert (found.masks["second"].kept == expected.masks["second"].kept).all()
    with pytest.raises(EspalierError, match=r"of another training \(other gradual\)"):
        trained(replace(GRADUAL, frozen=0.6), checkpoint=path)


def test_best_epoch_is_one_with_all_gone() -> None:
    """The best network is one after masks are frozen, however good one before was."""
    recipe = replace(RECIPE, best=True)
    result = fit(PrunedNetwork(network()), IMAGES, LABELS, recipe, gradual=GRADUAL, validation=bars(50, seed=1))
    assert kernels(result.masks["second"]).mean() == 1 - RATIO
    assert result.sparsity > 0.3


def test_what_cannot_be() -> None:
    """A layer with a mask, one epoch alone, and a share out of its range are refused in a line each."""
    with pytest.raises(EspalierError, match="second: has a mask already"):
        fit(pruned(), IMAGES, LABELS, RECIPE, gradual=GRADUAL)
    with pytest.raises(EspalierError, match="need at least 2 epochs"):
        fit(PrunedNetwork(network()), IMAGES, LABELS, replace(RECIPE, epochs=1), gradual=GRADUAL)
    with pytest.raises(EspalierError, match=r"above 0 and below 1: 1\.0"):
        replace(GRADUAL, frozen=1.0)
