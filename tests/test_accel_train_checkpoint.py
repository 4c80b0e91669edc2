"""Files of stopped trainings: believed whole and by the same training, or refused in a line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.retraining import IMAGES, LABELS, pruned  # noqa: E402

from accel import archive  # noqa: E402
from accel.errors import EspalierError  # noqa: E402
from accel.network import Network  # noqa: E402
from accel.train import Progress, Recipe, fit  # noqa: E402
from accel.train.checkpoint import KIND, State  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 3  # of an epoch: 80 images in batches of at most 32
RECIPE = Recipe(epochs=2, batch_size=32, learning_rate=0.05, weight_decay=1e-3, seed=3)
RECIPES = {"sgd": RECIPE, "adam": replace(RECIPE, optimizer="adam", learning_rate=0.01)}


@pytest.fixture(params=RECIPES.values(), ids=RECIPES.keys())
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Run a test with each optimizer."""
    return request.param


def parts(network: Network) -> list[bytes]:
    """Return every weight of a network as bytes."""
    return [layer.weight.tobytes() for layer in network.weighted]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other", "folder"])
def test_a_file_that_is_no_checkpoint_is_refused(damage: str, tmp_path: Path) -> None:
    """A file that was cut, or is something else, gives one line and not a traceback of the reader."""
    path = tmp_path / "run.checkpoint"
    if damage == "folder":
        path.mkdir()
    elif damage == "other":
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        fit(pruned(), IMAGES, LABELS, replace(RECIPE, epochs=1), checkpoint=path)
        path.write_bytes({"cut": path.read_bytes()[:-100], "empty": b"", "text": b"hello\n"}[damage])
    with pytest.raises(EspalierError, match=r"checkpoint .*run\.checkpoint cannot be read: [^\n]*$"):
        fit(pruned(), IMAGES, LABELS, RECIPE, checkpoint=path)


def test_every_byte_of_a_checkpoint_counts(tmp_path: Path) -> None:
    """Another bit anywhere, or an end that is missing, is refused in one line; the file itself is not."""
    path, rng = tmp_path / "run.checkpoint", np.random.default_rng(0)
    short = replace(RECIPE, epochs=1)
    fit(pruned(), IMAGES, LABELS, short, checkpoint=path)
    whole = path.read_bytes()
    for index in rng.integers(len(whole), size=100):
        flipped_bit = whole[index] ^ 1 << int(rng.integers(8))
        for damaged in (whole[:index], whole[:index] + bytes([flipped_bit]) + whole[index + 1 :]):
            path.write_bytes(damaged)
            with pytest.raises(EspalierError, match=r"checkpoint .*run\.checkpoint cannot be read: [^\n]*$"):
                fit(pruned(), IMAGES, LABELS, short, checkpoint=path)
    path.write_bytes(whole)
    fit(pruned(), IMAGES, LABELS, short, checkpoint=path)


def test_a_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    """A right digest over arrays of another shape or number is one line too, and not PyTorch's list of them."""
    path, short = tmp_path / "run.checkpoint", replace(RECIPE, epochs=1)
    fit(pruned(), IMAGES, LABELS, short, checkpoint=path)
    state = archive.load(path, KIND, (State,))
    name, array = next(iter(state.module.items()))
    for wrong in (
        replace(state, module={**state.module, name: array[:1]}),
        replace(state, module={**state.module, name: array.astype(np.float64)}),
        replace(state, module={"other": array}),
        replace(state, averages=state.averages[1:]),
        replace(state, averages=({"momentum_buffer": np.zeros(1, np.float32)}, *state.averages[1:])),
    ):
        archive.save(path, KIND, wrong)
        with pytest.raises(EspalierError, match="does not fit the training: delete it to start anew"):
            fit(pruned(), IMAGES, LABELS, short, checkpoint=path)


def test_the_number_of_threads_is_part_of_the_recipe(recipe: Recipe, tmp_path: Path) -> None:
    """Whatever PyTorch is set to, before and after, the bytes are the same; another recipe's checkpoint is refused."""
    path, found = tmp_path / "run.checkpoint", []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(parts(fit(pruned(), IMAGES, LABELS, recipe).network))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)
    assert found == found[:1] * 3
    fit(pruned(), IMAGES, LABELS, recipe, checkpoint=path)
    with pytest.raises(EspalierError, match=r"is of another training \(other threads\): delete it to start anew"):
        fit(pruned(), IMAGES, LABELS, replace(recipe, threads=2), checkpoint=path)


def test_a_training_runs_on_the_threads_of_its_recipe() -> None:
    """Negative control of the above: what PyTorch computes with while it trains is what the recipe says."""
    seen: list[int] = []
    for threads in (1, 2):
        recipe = replace(RECIPE, epochs=1, threads=threads)
        fit(pruned(), IMAGES, LABELS, recipe, progress=lambda at: seen.append(torch.get_num_threads()))
    assert seen == [1] * STEPS + [2] * STEPS


def test_a_checkpoint_needs_a_folder(tmp_path: Path) -> None:
    """A folder that is not there is found before the first epoch, not after it."""
    reports: list[Progress] = []
    with pytest.raises(EspalierError, match="there is no folder"):
        fit(pruned(), IMAGES, LABELS, RECIPE, checkpoint=tmp_path / "no" / "x", progress=reports.append)
    assert not reports
