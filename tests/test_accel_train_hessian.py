import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.bars import IMAGES, LABELS, network  # noqa: E402

from accel.layers import Flatten, Linear, ReLU  # noqa: E402
from accel.network import INPUT, Network  # noqa: E402
from accel.train import curvatures  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def small() -> Network:
    """Return two fully connected layers of 4 and 3 outputs for images of 2x2."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 1, shape).astype(np.float32) for shape in ((4, 4), (3, 4))]
    zeros = [np.zeros(len(x), np.float32) for x in weights]
    layers = (
        Flatten("flat", (INPUT,)),
        Linear("one", ("flat",), weight=weights[0], bias=zeros[0]),
        ReLU("relu", ("one",)),
        Linear("two", ("relu",), weight=weights[1], bias=zeros[1]),
    )
    return Network("small", (1, 2, 2), layers)


def loss(network: Network, images: np.ndarray, labels: np.ndarray, name: str, step: np.ndarray) -> float:
    """Return the mean cross entropy in float64, with `step` added to the weights, or to what the ReLU gives."""
    values = images.reshape(len(images), -1).astype(np.float64)
    for layer in ("one", "two"):
        weight = network[layer].weight.astype(np.float64)  # type: ignore[attr-defined]
        values = values @ (weight + step if layer == name else weight).T
        values = np.maximum(values, 0) if layer == "one" else values
        values = values + step if layer == "one" and name == "relu" else values
    shifted = values - values.max(axis=1, keepdims=True)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]).mean())


def exact(network: Network, images: np.ndarray, labels: np.ndarray, name: str) -> float:
    """Return the mean of the Hessian's diagonal by finite differences."""
    shape = (len(images), 4) if name == "relu" else network[name].weight.shape  # type: ignore[attr-defined]
    second, width = [], 1e-3
    for index in np.ndindex(shape):
        step = np.zeros(shape)
        step[index] = width
        ends = [loss(network, images, labels, name, sign * step) for sign in (1, 0, -1)]
        second.append((ends[0] - 2 * ends[1] + ends[2]) / width**2)
    return float(np.mean(second))


def test_estimates_come_to_the_exact_traces() -> None:
    """Of a network so small that each second derivative can be taken, within 5 % after 2,000 probes."""
    rng = np.random.default_rng(1)
    images, labels = rng.random((20, 1, 2, 2), np.float32), rng.integers(3, size=20)
    found = curvatures(small(), images, labels, np.random.default_rng(2), signals=["relu"], probes=2000)
    expected = {name: exact(small(), images, labels, name) for name in ("one", "two", "relu")}
    assert found.weights | found.signals == pytest.approx(expected, rel=0.05)
    assert expected["one"] != pytest.approx(expected["relu"], rel=0.05)  # negative control: tensors differ


def test_one_generator_gives_the_same_numbers() -> None:
    """Signs come from the generator alone; all layers with weights have a number that is not negative."""
    first, again, other = (
        curvatures(network(), IMAGES[:30], LABELS[:30], np.random.default_rng(seed), probes=2) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert first.weights.keys() == {"first", "second", "scores"}
    assert min(first.weights.values()) >= 0
    assert first.signals == {}
