"""Networks that learn to give their images again: mean squared error in place of classes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from accel.errors import EspalierError
from accel.interchange.data.datasets import MSE, Dataset
from accel.layers import BatchNorm, Flatten, Layer, Linear, ReLU
from accel.network import Network
from accel.pruned import PrunedNetwork
from accel.train import Progress, Recipe, fit, initialize
from reports.workflow.evaluate import float_error_rate

RECIPE = Recipe(epochs=25, batch_size=32, learning_rate=0.03, optimizer="adam", loss=MSE)
NO_LABELS = np.zeros(0, np.int64)
Array = np.ndarray[Any, np.dtype[np.float32]]


def bottleneck(inside: int = 8, outputs: int = 16) -> Network:
    """Return 16-8-16 with batch norm and ReLU inside."""
    ones, zeros = np.ones(inside, np.float32), np.zeros(inside, np.float32)
    layers: tuple[Layer, ...] = (
        Flatten("flatten", ("input",)),
        Linear("fc1", ("flatten",), weight=np.zeros((inside, 16), np.float32), bias=zeros),
        BatchNorm("norm1", ("fc1",), ones, zeros, zeros, ones),
        ReLU("relu1", ("norm1",)),
        Linear("fc2", ("relu1",), weight=np.zeros((outputs, inside), np.float32), bias=np.zeros(outputs, np.float32)),
    )
    return initialize(Network("auto", (1, 4, 4), layers), np.random.default_rng(0))


def patterns(count: int, seed: int = 0) -> Array:
    """Return images that two numbers say: mixtures of two fixed pictures, partly negative."""
    pictures = np.random.default_rng(7).normal(size=(2, 16))
    return (np.random.default_rng(seed).normal(size=(count, 2)) @ pictures).reshape(-1, 1, 4, 4).astype(np.float32)


def test_it_learns_what_there_is() -> None:
    """Two numbers fit through eight units: nearly nothing is missed, of images that it has not seen either.

    What is reported is what `--metric mse` says of the network; on the way it falls.
    """
    said: list[Progress] = []
    images, held = patterns(160), patterns(64, seed=1)
    start = PrunedNetwork(bottleneck())
    trained = fit(start, images, NO_LABELS, RECIPE, validation=(held, NO_LABELS), progress=said.append)
    data = Dataset("patterns", "validation", held, NO_LABELS, 0, 1, MSE)
    rate = float_error_rate(trained, data)
    assert rate < 0.05 < 0.5 < float_error_rate(start, data)
    ends = [x.validation_error_rate for x in said if x.validation_error_rate is not None]
    assert len(ends) == 25
    assert ends[-1] == pytest.approx(rate, abs=1e-5)
    assert ends[0] > 2 * ends[-1]


def test_labels_say_nothing() -> None:
    """The same images with labels of any kind give the same network."""
    short = replace(RECIPE, epochs=1)
    one, other = (
        fit(PrunedNetwork(bottleneck()), patterns(64), labels, short).network["fc2"]
        for labels in (NO_LABELS, np.arange(64))
    )
    assert isinstance(one, Linear)
    assert isinstance(other, Linear)
    assert np.array_equal(one.weight, other.weight)


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """Its checkpoint is of this loss: with another one it is refused."""
    short, start = replace(RECIPE, epochs=1), PrunedNetwork(bottleneck())
    fit(start, patterns(64), np.zeros(64, np.int64), short, checkpoint=tmp_path / "c")
    with pytest.raises(EspalierError, match=r"is of another training \(other loss\)"):
        fit(
            start, patterns(64), np.zeros(64, np.int64), replace(short, loss="cross-entropy"), checkpoint=tmp_path / "c"
        )


def test_what_cannot_be() -> None:
    """A network of scores has no image to give; classes alone have smoothed labels and teachers."""
    with pytest.raises(EspalierError, match=r"^auto: gives 10 numbers for an image of 16; mse needs as many"):
        fit(PrunedNetwork(bottleneck(outputs=10)), patterns(64), NO_LABELS, RECIPE)
    for changed in ({"distillation": 0.5}, {"label_smoothing": 0.1}):
        with pytest.raises(EspalierError, match=r"^a loss of mse knows no classes"):
            replace(RECIPE, **changed)
    with pytest.raises(EspalierError, match=r"^loss must be one of cross-entropy, mse, got 'hinge'"):
        Recipe(loss="hinge")
