from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.stopping import StopTrainingError, stop_at

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.bars import CLASSES, IMAGES, LABELS, SIDE, STEPS, bars, network, parts, pruned  # noqa: E402
from torch.optim.optimizer import register_optimizer_step_post_hook  # noqa: E402

from accel import archive  # noqa: E402
from accel.errors import EspalierError  # noqa: E402
from accel.layers import Conv2d  # noqa: E402
from accel.network import INPUT, Network  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402
from accel.sparsity import LayerMask  # noqa: E402
from accel.train import NetworkModule, Progress, Recipe, error_rate, fit, initialize  # noqa: E402
from accel.train.checkpoint import KIND, State  # noqa: E402
from accel.train.samples import Samples, flipped, shifted  # noqa: E402
from accel.window import Window  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(epochs=3, batch_size=32, learning_rate=0.05, weight_decay=1e-3, shift_pixels=1, flip=True, seed=3)
RECIPES = {"sgd": RECIPE, "adam": replace(RECIPE, optimizer="adam", learning_rate=0.01, schedule="step")}


def zeros_hold(weight: Any, mask: LayerMask) -> bool:
    """Return whether the pruned entries of a weight are +0.0, to the bit, and the others are not all zero."""
    flat = np.asarray(weight, np.float32).reshape(mask.kept.shape)
    return not flat[~mask.kept].view(np.uint32).any() and bool(flat[mask.kept].any())


@contextmanager
def watched(masks: dict[str, LayerMask], seen: list[bool]) -> Iterator[None]:
    """Note, at every pass forward of any network module, whether its weights obey `masks`."""

    def look(module: Any, inputs: Any) -> None:
        if isinstance(module, NetworkModule):
            weights = {name: module.operation(name).weight.detach().numpy() for name in masks}
            seen.append(all(zeros_hold(weights[name], mask) for name, mask in masks.items()))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


@pytest.fixture(scope="module", params=RECIPES.values(), ids=RECIPES.keys())
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Run a test with each optimizer."""
    return request.param


def test_training_learns_a_separable_problem() -> None:
    """Bars of two directions are told apart: the loss falls, and few images of a validation set are wrong."""
    reports: list[Progress] = []
    start, held_out = PrunedNetwork(network()), bars(200, seed=1)
    recipe = Recipe(epochs=12, batch_size=32, learning_rate=0.05)
    trained = fit(start, *bars(300), recipe, validation=held_out, progress=reports.append)
    ends = [x for x in reports if x.validation_error_rate is not None]
    assert ends[-1].loss < 0.1 * ends[0].loss
    assert ends[-1].error_rate < 0.02
    assert error_rate(trained.network, *held_out) == ends[-1].validation_error_rate < 0.1
    assert error_rate(start.network, *held_out) > 0.4


def test_pruned_training_learns_too(recipe: Recipe) -> None:
    """Under masks, with either optimizer, shifts and mirroring, the loss falls."""
    reports: list[Progress] = []
    fit(pruned(), IMAGES, LABELS, replace(recipe, epochs=8), progress=reports.append)
    assert reports[-1].loss < 0.6 * reports[STEPS - 1].loss


def test_masks_hold_to_the_bit_after_every_step(recipe: Recipe) -> None:
    """Pruned weights are +0.0 whenever the network is used, and in the result; what is kept does change."""
    start, seen = pruned(), list[bool]()
    with watched(dict(start.masks), seen):
        trained = fit(start, IMAGES, LABELS, recipe)
    assert seen == [True] * (STEPS * recipe.epochs)
    for name, mask in start.masks.items():
        old, new = start.network[name].weight, trained.network[name].weight  # type: ignore[attr-defined]
        assert zeros_hold(new, mask)
        assert (old != new)[mask.kept.reshape(old.shape)].mean() > 0.9


def test_optimizer_steps_leave_pruned_weights_alone(recipe: Recipe) -> None:
    """Neither momentum nor decay moves a pruned weight: the masks hold even between the step and the masking."""
    start, seen = pruned(), list[bool]()

    def look(optimizer: Any, *_: Any) -> None:
        moved = {tuple(x.shape): x.detach().numpy() for x in optimizer.param_groups[0]["params"]}
        seen.extend(
            zeros_hold(moved[start.network[name].weight.shape], mask)  # type: ignore[attr-defined]
            for name, mask in start.masks.items()
        )

    handle = register_optimizer_step_post_hook(look)
    fit(start, IMAGES, LABELS, recipe)
    handle.remove()
    assert seen == [True] * (2 * STEPS * recipe.epochs)


def test_the_watch_sees_weights_that_no_mask_holds() -> None:
    """Negative control: without masks in the network, the same zeros are gone after the first step."""
    start, seen = pruned(), list[bool]()
    with watched(dict(start.masks), seen):
        fit(PrunedNetwork(start.network), IMAGES, LABELS, RECIPE)
    assert seen == [True] + [False] * (STEPS * RECIPE.epochs - 1)


def test_what_is_not_trained_stays() -> None:
    """Masks, the pattern, the data's name and the dense sizes come back; the network given is unchanged."""
    start = pruned()
    before = parts(start.network)
    trained = fit(start, IMAGES, LABELS, replace(RECIPE, epochs=1))
    assert parts(start.network) == before
    assert (trained.pattern, trained.data) == ("kernel", "bars")
    assert dict(trained.dense_weights) == dict(start.dense_weights) == dict(trained.dense_macs)
    assert all(trained.masks[name].kept is mask.kept for name, mask in start.masks.items())


def test_one_seed_gives_the_same_bytes(recipe: Recipe) -> None:
    """Two runs of one recipe agree to the bit, whatever the state of the global generators; another seed does not."""
    first = fit(pruned(), IMAGES, LABELS, recipe)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - the point: nobody may read it
    assert parts(fit(pruned(), IMAGES, LABELS, recipe).network) == parts(first.network)
    other = fit(pruned(), IMAGES, LABELS, replace(recipe, seed=4))
    assert parts(other.network) != parts(first.network)


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 2, 3 * STEPS], ids=["first", "epoch end", "inside", "last"])
def test_a_resumed_run_equals_an_uninterrupted_one(recipe: Recipe, step: int, tmp_path: Path) -> None:
    """Stopped anywhere, the same call goes on after the last whole epoch and ends in the same bytes."""
    expected = parts(fit(pruned(), IMAGES, LABELS, recipe).network)
    path, reports = tmp_path / "run.checkpoint", list[Progress]()
    with pytest.raises(StopTrainingError):
        fit(pruned(), IMAGES, LABELS, recipe, checkpoint=path, progress=stop_at(step))
    assert path.exists() == (step >= STEPS)
    resumed = fit(pruned(), IMAGES, LABELS, recipe, checkpoint=path, progress=reports.append)
    assert parts(resumed.network) == expected
    done = step // STEPS * STEPS
    assert [x.step for x in reports] == list(range(done + 1, 3 * STEPS + 1))
    assert [x.name for x in tmp_path.iterdir()] == ["run.checkpoint"]


def test_the_comparison_sees_a_lost_optimizer_state(recipe: Recipe, tmp_path: Path) -> None:
    """Negative control: resuming without the optimizer's averages gives other bytes."""
    expected = parts(fit(pruned(), IMAGES, LABELS, recipe).network)
    path = tmp_path / "run.checkpoint"
    with pytest.raises(StopTrainingError):
        fit(pruned(), IMAGES, LABELS, recipe, checkpoint=path, progress=stop_at(STEPS))
    state = archive.load(path, KIND, (State,))
    archive.save(path, KIND, replace(state, averages=({},) * len(state.averages)))
    assert parts(fit(pruned(), IMAGES, LABELS, recipe, checkpoint=path).network) != expected


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    """A recipe, weights, masks or images other than those of the checkpoint are named, and the file stays."""
    path, short = tmp_path / "run.checkpoint", replace(RECIPE, epochs=1)
    fit(pruned(), IMAGES, LABELS, short, checkpoint=path)
    before, start = path.read_bytes(), pruned()
    other_weights = start.with_network(initialize(start.network, np.random.default_rng(7)))
    other_masks = replace(start, masks={"second": start.masks["second"]}, network=start.network)
    for arguments, names in (
        ((start, IMAGES, LABELS, replace(short, epochs=2, seed=1)), "epochs, seed"),
        ((other_weights, IMAGES, LABELS, short), "network"),
        ((other_masks, IMAGES, LABELS, short), "masks"),
        ((start, IMAGES[::-1], LABELS, short), "data"),
        ((start, IMAGES[:-1], LABELS[:-1], short), "data"),
        ((start, IMAGES, LABELS, replace(short, distillation=0.5), start.network), "distillation, teacher"),
    ):
        teacher = arguments[4] if len(arguments) > 4 else None
        with pytest.raises(EspalierError, match=rf"is of another training \(other {names}\): delete it"):
            fit(*arguments[:4], teacher=teacher, checkpoint=path)
    assert path.read_bytes() == before
    assert parts(fit(start, IMAGES, LABELS, short, checkpoint=path).network) == parts(
        fit(start, IMAGES, LABELS, short).network
    )


def test_progress_counts_steps_and_epochs() -> None:
    """Each step is reported once; epochs count from 1; validation comes with an epoch's last step alone."""
    reports: list[Progress] = []
    recipe = replace(RECIPE, epochs=2)
    fit(pruned(), IMAGES, LABELS, recipe, validation=bars(20, seed=1), progress=reports.append)
    assert [(x.epoch, x.step) for x in reports] == [(1 + i // STEPS, i + 1) for i in range(2 * STEPS)]
    assert {(x.epochs, x.steps) for x in reports} == {(2, 2 * STEPS)}
    assert [x.step for x in reports if x.validation_error_rate is not None] == [STEPS, 2 * STEPS]
    assert all(0 <= x.error_rate <= 1 and x.loss > 0 for x in reports)


def test_validation_changes_nothing(recipe: Recipe) -> None:
    """Looking at validation images leaves the result as it is, to the bit."""
    alone = fit(pruned(), IMAGES, LABELS, recipe)
    watched = fit(pruned(), IMAGES, LABELS, recipe, validation=bars(20, seed=1))
    assert parts(alone.network) == parts(watched.network)


def test_error_rate_counts_what_the_network_counts() -> None:
    """The share of wrong images is that of `Network.scores`; for labels that are the answers it is 0."""
    images, labels = bars(1100, seed=2)  # more than two batches of the evaluation
    answers = network().scores(images).argmax(axis=1)
    assert error_rate(network(), images, labels) == (answers != labels).mean()
    assert error_rate(network(), images, answers) == 0
    assert error_rate(network(), images, (answers + 1) % CLASSES) == 1


def test_each_epoch_deals_every_image_once_in_batches_of_nearly_one_size() -> None:
    """150 images in batches of at most 32 make five of 30; the order differs from epoch to epoch."""
    images = np.arange(150, dtype=np.float32)[:, None, None, None].repeat(SIDE, 2).repeat(SIDE, 3)
    samples = Samples.checked(network(), images, np.arange(150) % CLASSES, torch.device("cpu"))
    plain = replace(RECIPE, shift_pixels=0, flip=False)
    epochs = [list(samples.batches(plain, epoch)) for epoch in (0, 1)]
    orders = [np.concatenate([x[:, 0, 0, 0].numpy() for x, _ in epoch]) for epoch in epochs]
    assert [len(x) for x, _ in epochs[0]] == [30] * 5
    assert all(sorted(order) == list(range(150)) for order in orders)
    assert (orders[0] != orders[1]).any()
    assert all((x[:, 0, 0, 0] % CLASSES == y).all() for epoch in epochs for x, y in epoch)


def test_shifts_and_mirrors_move_pixels_where_they_say() -> None:
    """A move of (1, -2) takes pixel (2, 3) to (3, 1), zeros moving in; a mirror takes column 0 to the last."""
    images = torch.zeros(2, 1, 4, 5)
    images[:, 0, 2, 3] = 1
    images[:, 0, 3, 0] = 2
    moved = shifted(images, torch.tensor([1, 0]), torch.tensor([-2, 0]), 2)
    assert np.argwhere(moved[0, 0].numpy()).tolist() == [[3, 1]]
    assert torch.equal(moved[1], images[1])
    mirrored = flipped(images, torch.tensor([True, False]))
    assert mirrored[0, 0, 3].tolist() == [0, 0, 0, 0, 2]
    assert torch.equal(mirrored[1], images[1])


def test_schedules_take_their_values() -> None:
    """Closed forms at 0, 1/2, 3/4 of the run."""
    rates = {
        name: [Recipe(learning_rate=1, schedule=name).rate(x) for x in (0, 0.5, 0.75)] for name in ("constant", "step")
    }
    assert rates == {"constant": [1, 1, 1], "step": [1, 0.1, 0.01]}
    cosine = [Recipe(learning_rate=1).rate(x) for x in (0, 0.5, 0.75, 1)]
    assert cosine == pytest.approx([1, 0.5, (1 - 0.5**0.5) / 2, 0])
    cycle = [Recipe(learning_rate=1, schedule="onecycle").rate(x) for x in (0, 0.15, 0.3, 0.65, 1)]
    assert cycle == pytest.approx([1 / 25, (1 + 1 / 25) / 2, 1, 0.5, 0])  # half way up, the top, half way down


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be an integer of at least 1, got 2.5"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"threads": 0}, "threads must be an integer of at least 1, got 0"),
        ({"threads": 1025}, "threads must be at most 1024, got 1025"),
        ({"shift_pixels": -1}, "shift_pixels must be an integer of at least 0, got -1"),
        ({"learning_rate": 0}, "learning_rate must be above 0, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0, got nan"),
        ({"momentum": 1}, "momentum must be at least 0 and below 1, got 1"),
        ({"label_smoothing": -0.1}, "label_smoothing must be at least 0 and below 1, got -0.1"),
        ({"precision": "float16"}, "precision must be one of float32, bfloat16, got 'float16'"),
        ({"norms_frozen": 1.5}, "norms_frozen must be at least 0 and at most 1, got 1.5"),
        ({"weight_decay": float("inf")}, "weight_decay must be at least 0, got inf"),
        ({"optimizer": "lamb"}, "optimizer must be one of sgd, adam, got 'lamb'"),
        ({"schedule": "linear"}, "schedule must be one of constant, cosine, step, onecycle, got 'linear'"),
        ({"distillation": 1.5}, "distillation must be at least 0 and at most 1, got 1.5"),
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
    ],
)
def test_a_wrong_recipe_says_so(wrong: dict[str, Any], message: str) -> None:
    """Each field out of range is named with what would be right."""
    with pytest.raises(EspalierError) as caught:
        Recipe(**wrong)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:0], LABELS[:0], r"images must be \(N, 1, 8, 8\) with N at least 1, got \(0, 1, 8, 8\)"),
        (IMAGES[:, 0], LABELS, r"images must be \(N, 1, 8, 8\) .*, got \(150, 8, 8\)"),
        (IMAGES[..., 1:], LABELS, r"images must be \(N, 1, 8, 8\) .*, got \(150, 1, 8, 7\)"),
        ((IMAGES * 255).astype(np.uint8), LABELS, r"images must be float32 in 0\.\.1, got uint8"),
        (np.where(IMAGES > 0.9, np.nan, IMAGES), LABELS, "images hold a value that is not finite"),
        (IMAGES, LABELS[1:], r"labels must be 150 integers, one for each image, got int64 of shape \(149,\)"),
        (IMAGES, LABELS / 2, r"labels must be 150 integers, one for each image, got float64"),
        (IMAGES, LABELS + 1, r"labels must be 0\.\.2, got 1\.\.3"),
        (IMAGES, LABELS - 1, r"labels must be 0\.\.2, got -1\.\.1"),
    ],
)
def test_data_that_do_not_fit_say_so(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    """Training, validating and evaluating refuse the same data in the same words, in one line."""
    for use in (
        lambda: fit(pruned(), images, labels, RECIPE),
        lambda: fit(pruned(), IMAGES, LABELS, RECIPE, validation=(images, labels)),
        lambda: error_rate(network(), images, labels),
    ):
        with pytest.raises(EspalierError, match=f"^tiny: {message}") as caught:
            use()
        assert "\n" not in str(caught.value)


def test_a_network_without_class_scores_is_refused() -> None:
    """Maps are no scores: the last layer must give one number for each class."""
    maps = Network("maps", (1, SIDE, SIDE), network().layers[:1])
    with pytest.raises(EspalierError, match=r"its output must be one score for each class, got the shape \(6, 8, 8\)"):
        error_rate(maps, IMAGES, LABELS)


def test_batch_norm_refuses_batches_of_one() -> None:
    """One image has no variance over the batch."""
    with pytest.raises(EspalierError, match="tiny: batch norm needs at least 2 images in each batch"):
        fit(pruned(), IMAGES, LABELS, replace(RECIPE, batch_size=1))


def test_divergence_is_an_error_that_names_the_remedy() -> None:
    """A learning rate far too high ends in one line, not in a network of NaN."""
    with pytest.raises(EspalierError, match=r"the training diverged in epoch \d .*lower the learning_rate"):
        fit(PrunedNetwork(network()), IMAGES, LABELS, replace(RECIPE, learning_rate=1e30, schedule="constant"))


def test_an_unusable_device_is_named() -> None:
    """A device that PyTorch does not know gives one line."""
    with pytest.raises(EspalierError, match="device 'abacus' cannot be used"):
        error_rate(network(), IMAGES, LABELS, device="abacus")


def test_a_layer_that_leads_nowhere_is_left_alone() -> None:
    """A masked layer whose output nobody reads has no gradient: it keeps its weights, and the rest learns."""
    side = Conv2d("side", (INPUT,), weight=np.ones((1, 1, 1, 1)), bias=np.zeros(1), window=Window.square(1))
    both = Network("tiny", (1, SIDE, SIDE), (side, *network().layers))
    start = PrunedNetwork(both, {"side": LayerMask("kernel", np.ones((1, 1, 1), bool))})
    trained = fit(start, IMAGES, LABELS, replace(RECIPE, epochs=1))
    assert trained.network["side"].weight.item() == 1  # type: ignore[attr-defined]
