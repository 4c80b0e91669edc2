"""Preprocessing as part of a network: pixels of 0..1 give what prepared images gave, in float and on the array."""

import numpy as np
import pytest

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import load
from accel.interchange.zoo.architectures import lenet5
from accel.layers import BatchNorm
from accel.preprocessing import NAME, Preprocessing
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from sim import golden
from sim.engine import compile_program


@pytest.mark.parametrize(
    "before", [Preprocessing(255.0), Preprocessing(255.0, (120.0,), (64.0,)), Preprocessing(1.0, (0.25,), (0.5,))]
)
def test_the_same_scores(before: Preprocessing) -> None:
    """The network of pixels gives what the network gave for prepared images; without it the scores are others."""
    network, pixels = zoo.load("digits").network, load("digits", "test").pixels()[:20]
    scale = network.scores(before.applied(pixels))
    assert np.allclose(before.of(network).scores(pixels), scale, rtol=1e-4, atol=1e-4 * np.abs(scale).max())
    assert not np.allclose(network.scores(pixels), scale, rtol=1e-2)


def test_a_gain_is_free() -> None:
    """A gain alone goes into weights: there are as many layers as before, and no shift at the borders."""
    network = zoo.load("digits").network
    assert len(Preprocessing(255.0).of(network).layers) == len(network.layers)
    shifted = Preprocessing(1.0, (0.5,)).of(network)
    assert isinstance(shifted.layers[0], BatchNorm)
    assert (shifted.layers[0].name, shifted.layers[1].inputs) == (NAME, (NAME,))


def test_as_a_program() -> None:
    """It is quantised, and runs bit for bit, as any other network."""
    pruned, pixels = zoo.load("digits"), load("digits", "test").pixels()[:8]
    made = pruned.with_network(Preprocessing(1.0, (0.5,), (0.25,)).of(pruned.network))
    program = lower(made, Widths(6, 6), pixels)
    codes = program.input_signal.encode(pixels)
    assert np.array_equal(compile_program(program).run(codes).codes, golden.run(program, codes)[program.output])


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0.0,), "full_scale must be above 0, got 0"),
        ((1.0, (np.nan,)), "mean must be finite"),
        ((1.0, (0.0,), (0.5, 0.0)), "std must be above 0"),
        ((1.0, (0.1, 0.2)), "mean: expected 1 number or 1, one for each map, got 2"),
    ],
)
def test_what_cannot_be(numbers: tuple[object, ...], words: str) -> None:
    """Scales are above zero, and there are as many numbers as maps."""
    with pytest.raises(EspalierError, match=words):
        Preprocessing(*numbers).of(lenet5())  # type: ignore[arg-type]


def test_twice() -> None:
    """What has a layer of that name is not given another."""
    shifted = Preprocessing(1.0, (0.5,)).of(PrunedNetwork(lenet5()).network)
    with pytest.raises(EspalierError, match="has a layer called preprocessing already"):
        Preprocessing(1.0, (0.5,)).of(shifted)
