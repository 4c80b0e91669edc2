"""Layers, networks and images that do not fit, and the line that says so."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.lenets import ONES, conv, convolution, linear

from accel.errors import EspalierError
from accel.layers import Add, AvgPool, BatchNorm, Flatten, GlobalAvgPool, Layer, Linear, MaxPool, ReLU
from accel.network import Network
from accel.window import Window


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: conv(weight=np.ones((2, 2))), r"c: weight must have 4 dimensions, got \(2, 2\)"),
        (lambda: conv(weight=np.ones((2, 0, 3, 3))), r"c: weight must have 4 dimensions, got \(2, 0, 3, 3\)"),
        (lambda: conv(bias=np.ones(3)), r"c: bias must have shape \(2,\), got \(3,\)"),
        (lambda: conv(window=Window.square(2)), r"c: kernels are \(3, 3\), the window \(2, 2\)"),
        (lambda: conv(bias=[1, np.nan]), "c: bias holds a value that is not finite"),
        (lambda: conv(bias=[1, 1e39]), "c: bias holds a value that is not finite"),  # float32 ends at 3.4e38
        (lambda: Linear("f", (), weight=np.ones((1, 1, 1)), bias=ONES), "f: weight must have 2 dimensions"),
        (lambda: BatchNorm("n", (), ONES, ONES, ONES, np.ones(3)), "n: scale, shift, mean and variance must have one"),
        (lambda: BatchNorm("n", (), *[np.ones((1, 2))] * 4), "n: scale, shift, mean and variance must have one"),
        (lambda: BatchNorm("n", (), ONES, ONES, ONES, -ONES), "n: variance must not be negative"),
        (lambda: BatchNorm("n", (), ONES, ONES, ONES, 0 * ONES, 0.0), r"n: .* variance \+ epsilon must be positive"),
        (lambda: BatchNorm("n", (), ONES, ONES, ONES, ONES, -1.0), "n: epsilon must be 0..1, got -1.0"),
        (lambda: BatchNorm("n", (), ONES, ONES, ONES, ONES, float("nan")), "n: epsilon must be 0..1, got nan"),
    ],
)
def test_a_layer_refuses_what_it_cannot_compute(make: Callable[[], Layer], message: str) -> None:
    """Arrays of a wrong shape or value are refused when the layer is made, with its name and what it got."""
    with pytest.raises(EspalierError, match=message):
        make()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "net: has no layers"),
        ((ReLU("r", ("x",)),), "r: its input 'x' is no earlier layer"),
        ((ReLU("r", ("s",)), ReLU("s", ("input",))), "r: its input 's' is no earlier layer"),
        ((ReLU("r", ("r",)),), "r: its input 'r' is no earlier layer"),
        ((ReLU("r", ("input",)), ReLU("r", ("input",))), "net: two layers are named 'r'"),
        ((ReLU("input", ("input",)),), "net: two layers are named 'input'"),
        ((ReLU("r", ()),), r"r: must have 1 inputs, got \(\)"),
        ((ReLU("r", ("input", "input")),), "r: must have 1 inputs"),
        ((Add("a", ("input",)),), "a: must have 2 inputs"),
        ((convolution("c", "input", 4, 3, 3),), "c: expects 3 input maps, gets 2"),
        ((convolution("c", "input", 4, 2, 6),), r"c: a \(6, 6\) kernel is larger than the padded \(5, 5\) map"),
        ((linear("f", "input", 4, 50),), r"f: expects the input shape \(50,\), gets \(2, 5, 5\)"),
        ((Flatten("t", ("input",)), linear("f", "t", 4, 49)), r"f: expects the input shape \(49,\), gets \(50,\)"),
        ((Flatten("t", ("input",)), convolution("c", "t", 4, 2, 1)), r"c: expects \(maps, height, width\), gets \(50,"),
        ((Flatten("t", ("input",)), GlobalAvgPool("g", ("t",))), r"g: expects \(maps, height, width\), gets \(50,\)"),
        ((MaxPool("p", ("input",), Window.square(6)),), r"p: a \(6, 6\) kernel is larger than the padded \(5, 5\) map"),
        ((AvgPool("p", ("input",), Window.square(6)),), r"p: a \(6, 6\) kernel is larger than the padded \(5, 5\) map"),
        ((MaxPool("p", ("input",), Window.square(2, 1, 2)),), r"p: padding \(2, 2, 2, 2\) must be smaller than the"),
        ((AvgPool("p", ("input",), Window((2, 3), (1, 1), (0, 3, 0, 0))),), r"p: padding \(0, 3, 0, 0\) must be small"),
        ((BatchNorm("n", ("input",), *[np.ones(3)] * 4),), r"n: normalises 3 maps, gets \(2, 5, 5\)"),
        (
            (Flatten("t", ("input",)), Add("a", ("input", "t"))),
            r"a: adds two tensors of one shape, gets \(\(2, 5, 5\),",
        ),
    ],
)
def test_a_network_refuses_what_does_not_fit(layers: tuple[Layer, ...], message: str) -> None:
    """Layers that do not fit together are refused when the network is made, with the layer's name and the shapes."""
    with pytest.raises(EspalierError, match=f"^{message}"):
        Network("net", (2, 5, 5), layers)


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 0), (2, 5, 5, 1)])
def test_images_have_three_dimensions(shape: Any) -> None:
    """The input is (maps, height, width), each at least one."""
    with pytest.raises(EspalierError, match=r"net: input_shape must be \(maps, height, width\), got"):
        Network("net", shape, (ReLU("r", ("input",)),))


@pytest.mark.parametrize("shape", [(2, 5, 5), (1, 3, 5, 5), (1, 2, 5, 6)])
def test_images_must_have_the_shape_of_the_network(shape: tuple[int, ...]) -> None:
    """Images of another shape are refused with both shapes; a batch of the right one is not."""
    network = Network("net", (2, 5, 5), (ReLU("r", ("input",)),))
    with pytest.raises(EspalierError, match=r"net: expects images \(batch, \*\(2, 5, 5\)\), got an array \("):
        network.forward(np.zeros(shape))
    assert network.forward(np.zeros((1, 2, 5, 5)))["r"].shape == (1, 2, 5, 5)
