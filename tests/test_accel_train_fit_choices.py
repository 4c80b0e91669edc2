"""What a training learns from beside labels, and which of its epochs is kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.stopping import StopTrainingError, stop_at

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.bars import CLASSES, IMAGES, LABELS, SIDE, STEPS, bars, network, parts, pruned  # noqa: E402

from accel.errors import EspalierError  # noqa: E402
from accel.network import Network  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402
from accel.train import Progress, Recipe, error_rate, fit, initialize  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(epochs=3, batch_size=32, learning_rate=0.05, weight_decay=1e-3, shift_pixels=1, flip=True, seed=3)
RESTLESS = Recipe(epochs=6, batch_size=32, learning_rate=0.2, schedule="constant", seed=3)  # ends worse than it was


def without_norm(network: Network) -> Network:
    """Return the network without its batch norm, whose statistics move whatever is learned."""
    kept = [x if x.name != "relu1" else replace(x, inputs=("first",)) for x in network.layers if x.name != "norm"]
    return replace(network, layers=tuple(kept))


def test_the_best_epoch_is_kept_if_that_is_asked_for() -> None:
    """The network has the lowest of the epochs' validation error rates; else that of the last epoch."""
    held_out = bars(100, seed=1)
    for best in (True, False):
        rates: list[float] = []

        def listen(at: Progress, rates: list[float] = rates) -> None:
            rates += [] if at.validation_error_rate is None else [at.validation_error_rate]

        recipe = replace(RESTLESS, best=best)
        found = fit(pruned(), IMAGES, LABELS, recipe, validation=held_out, progress=listen).network
        assert min(rates) < rates[-1]
        assert error_rate(found, *held_out) == (min(rates) if best else rates[-1])


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_a_resumed_run_keeps_the_same_best_epoch(epoch: int, tmp_path: Path) -> None:
    """Stopped early or late, before the best epoch or after it: the bytes of the run that nobody stopped."""
    path, recipe, held_out = tmp_path / "run.checkpoint", replace(RESTLESS, best=True), bars(100, seed=1)
    expected = parts(fit(pruned(), IMAGES, LABELS, recipe, validation=held_out).network)
    stop = stop_at(epoch * STEPS)
    with pytest.raises(StopTrainingError):
        fit(pruned(), IMAGES, LABELS, recipe, validation=held_out, checkpoint=path, progress=stop)
    assert parts(fit(pruned(), IMAGES, LABELS, recipe, validation=held_out, checkpoint=path).network) == expected
    with pytest.raises(EspalierError, match=r"of another training \(other validation\)"):
        fit(pruned(), IMAGES, LABELS, recipe, validation=bars(100, seed=2), checkpoint=path)


def test_the_best_epoch_needs_validation_images() -> None:
    """Nothing could choose it without them."""
    with pytest.raises(EspalierError, match="tiny: the best epoch is chosen by validation images; there are none"):
        fit(pruned(), IMAGES, LABELS, replace(RECIPE, best=True))


def test_what_a_teacher_says_is_learned_and_labels_are_not_where_it_has_all_of_the_loss() -> None:
    """Other labels give the same bytes, another teacher others; and a network learns nothing from itself."""
    alone = PrunedNetwork(without_norm(network()))
    recipe = replace(RECIPE, epochs=1, weight_decay=0, distillation=1.0)
    teachers = [initialize(alone.network, np.random.default_rng(seed)) for seed in (7, 8)]

    def taught(teacher: Network, labels: np.ndarray = LABELS) -> Network:
        return fit(alone, IMAGES, labels, recipe, teacher=teacher).network

    found = [taught(teacher) for teacher in (*teachers, alone.network)]
    assert parts(taught(teachers[0], (LABELS + 1) % CLASSES)) == parts(found[0])
    assert parts(found[0]) != parts(found[1])
    moved = [
        max(np.abs(x.weight - y.weight).max() for x, y in zip(z.weighted, alone.network.weighted, strict=True))
        for z in found
    ]
    assert moved[2] < 1e-5 < 1e-2 < min(moved[:2])


def test_a_students_probabilities_come_to_its_teachers() -> None:
    """What a trained network knows is learned from it alone: in the end both take nearly all images for the same."""
    knowing = fit(PrunedNetwork(network()), *bars(300), Recipe(epochs=12, batch_size=32, learning_rate=0.05)).network
    recipe = Recipe(epochs=12, batch_size=32, learning_rate=0.05, distillation=1.0)
    start = initialize(network(), np.random.default_rng(9))
    images, nonsense = bars(300)[0], np.zeros(300, np.int64)
    found = fit(PrunedNetwork(start), images, nonsense, recipe, teacher=knowing).network
    agreeing = [np.mean(x.scores(images).argmax(1) == knowing.scores(images).argmax(1)) for x in (start, found)]
    assert agreeing[0] < 0.6
    assert agreeing[1] > 0.95


@pytest.mark.parametrize(
    ("teacher", "share", "message"),
    [
        (None, 0.5, "tiny: distillation is 0.5, but there is no teacher"),
        (network(), 0.0, "tiny: a teacher goes with a share of the loss, and distillation is 0.0"),
        (
            replace(network(), input_shape=(1, SIDE, SIDE), layers=network().layers[:-1]),
            0.5,
            r"tiny: the teacher tiny takes images \(1, 8, 8\) and gives 32 scores, expected \(1, 8, 8\) and 3",
        ),
    ],
)
def test_a_teacher_must_fit(teacher: Network | None, share: float, message: str) -> None:
    """It goes with a share of the loss, and takes the same images to as many scores."""
    with pytest.raises(EspalierError, match=message):
        fit(PrunedNetwork(network()), IMAGES, LABELS, replace(RECIPE, distillation=share), teacher=teacher)


def test_products_of_bfloat16_learn_nearly_what_those_of_float32_do() -> None:
    """The first step ends within what seven bits of a product are, other than that of float32; the last knows bars.

    Weights keep float32's precision: a step smaller than a bfloat16 could take is taken.
    """
    one = replace(RECIPE, epochs=1, batch_size=len(IMAGES))
    exact, near = (
        fit(pruned(), IMAGES, LABELS, replace(one, precision=precision)).network
        for precision in ("float32", "bfloat16")
    )
    start = pruned().network
    moves = [
        np.concatenate([(x.weight - y.weight).ravel() for x, y in zip(z.weighted, start.weighted, strict=True)])
        for z in (exact, near)
    ]
    apart = np.linalg.norm(moves[0] - moves[1]) / np.linalg.norm(moves[0])
    assert 0 < apart < 0.05
    weight = near.weighted[0].weight
    assert not np.array_equal(weight, torch.tensor(weight).bfloat16().float().numpy())
    recipe = Recipe(epochs=12, batch_size=32, learning_rate=0.05, precision="bfloat16")
    known = fit(PrunedNetwork(network()), *bars(300), recipe).network
    assert error_rate(known, *bars(200, seed=1)) < 0.05
    assert parts(fit(PrunedNetwork(network()), *bars(300), recipe).network) == parts(known)
