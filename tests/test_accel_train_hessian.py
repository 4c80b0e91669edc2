import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.bars import IMAGES, LABELS, network  # noqa: E402

from accel.layers import Flatten, Linear, ReLU  # noqa: E402
from accel.network import INPUT, Network  # noqa: E402
from accel.train import hessian_traces  # noqa: E402

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


def exact(network: Network, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the means of the Hessian's diagonal by finite differences of the loss, in float64."""

    def loss(name: str, weight: np.ndarray) -> float:
        values = images.reshape(len(images), -1).astype(np.float64)
        for layer in ("one", "two"):
            values = values @ (weight if layer == name else network[layer].weight.astype(np.float64)).T  # type: ignore[attr-defined]
            values = np.maximum(values, 0) if layer == "one" else values
        shifted = values - values.max(axis=1, keepdims=True)
        of_label = shifted[np.arange(len(labels)), labels]
        return float((np.log(np.exp(shifted).sum(axis=1)) - of_label).mean())

    found, width = {}, 1e-4
    for name in ("one", "two"):
        weight = network[name].weight.astype(np.float64)  # type: ignore[attr-defined]
        second = []
        for index in np.ndindex(weight.shape):
            step = np.zeros_like(weight)
            step[index] = width
            second.append((loss(name, weight + step) - 2 * loss(name, weight) + loss(name, weight - step)) / width**2)
        found[name] = float(np.mean(second))
    return found


def test_estimates_come_to_the_exact_traces() -> None:
    """Of a network so small that each second derivative can be taken, within 5 % after 2,000 probes."""
    rng = np.random.default_rng(1)
    images, labels = rng.random((20, 1, 2, 2), np.float32), rng.integers(3, size=20)
    found = hessian_traces(small(), images, labels, np.random.default_rng(2), probes=2000)
    expected = exact(small(), images, labels)
    assert found == pytest.approx(expected, rel=0.05)
    assert found["one"] != pytest.approx(found["two"], rel=0.05)  # negative control: layers differ


def test_one_generator_gives_the_same_numbers() -> None:
    """Signs come from the generator alone; all layers with weights have a number that is not negative."""
    first, again, other = (
        hessian_traces(network(), IMAGES[:30], LABELS[:30], np.random.default_rng(seed), probes=2) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert first.keys() == {"first", "second", "scores"}
    assert min(first.values()) >= 0
