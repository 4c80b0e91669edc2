from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.networks import mobile  # noqa: E402

from accel.errors import EspalierError  # noqa: E402
from accel.layers import (  # noqa: E402
    Activation,
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool,
    ReLU,
)
from accel.network import INPUT, Network  # noqa: E402
from accel.train import initialize, to_module, to_network  # noqa: E402
from accel.window import Window  # noqa: E402

MAPS, HEIGHT, WIDTH = 2, 7, 9
INPUT_SHAPE = (MAPS, HEIGHT, WIDTH)
TOLERANCE = 1e-4  # float32 sums of some 100 products of size 1, in another order


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    """Return standard normal float32 values: negative ones too, so that padding and ReLU matter."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def conv(name: str, source: str, outputs: int, inputs: int, window: Window) -> Conv2d:
    """Return a convolution with random weights and biases."""
    weight = draw(outputs, inputs, *window.kernel, seed=len(name))
    return Conv2d(name, (source,), weight=weight, bias=draw(outputs, seed=1), window=window)


def batch_norm(name: str, source: str, maps: int) -> BatchNorm:
    """Return a batch norm with random arrays."""
    variance = np.abs(draw(maps, seed=4)) + np.float32(0.5)
    return BatchNorm(name, (source,), draw(maps, seed=2), draw(maps, seed=3), draw(maps, seed=5), variance, 1e-3)


def residual() -> Network:
    """Return a network that holds every kind of layer, with names as ONNX files have them."""
    layers = (
        conv("/stem/Conv.0", INPUT, 4, MAPS, Window.square(3, 1, 1)),
        batch_norm("/stem/norm", "/stem/Conv.0", 4),
        ReLU("relu", ("/stem/norm",)),
        MaxPool("pool", ("relu",), Window((3, 3), (2, 2), (0, 0, 1, 1))),
        conv("inner", "pool", 4, 4, Window.square(3, 1, 1)),
        Add("sum", ("inner", "pool")),
        AvgPool("mean", ("sum",), Window((2, 2), (1, 1), (1, 0, 0, 1))),
        GlobalAvgPool("global", ("mean",)),
        Flatten("flat", ("global",)),
        Linear("scores", ("flat",), weight=draw(3, 4, seed=6), bias=draw(3, seed=7)),
    )
    return Network("residual", INPUT_SHAPE, layers)


LAYERS: dict[str, Layer] = {
    "3x3, same padding": conv("x", INPUT, 4, MAPS, Window.square(3, 1, 1)),
    "rectangular kernel and strides": conv("x", INPUT, 3, MAPS, Window((2, 5), (3, 2))),
    "another padding on each side": conv("x", INPUT, 3, MAPS, Window((3, 3), (2, 1), (0, 1, 2, 3))),
    "padding that differs by direction": conv("x", INPUT, 3, MAPS, Window((3, 3), (1, 1), (2, 0, 2, 0))),
    "batch norm of maps": batch_norm("x", INPUT, MAPS),
    "ReLU": ReLU("x", (INPUT,)),
    "2x2 max pool": MaxPool("x", (INPUT,), Window.square(2, 2)),
    "overlapping 3x3/2 max pool": MaxPool("x", (INPUT,), Window.square(3, 2)),
    "max pool padded beyond half its kernel": MaxPool("x", (INPUT,), Window((3, 3), (2, 2), (2, 0, 1, 2))),
    "average pool whose padding counts": AvgPool("x", (INPUT,), Window((3, 2), (2, 1), (1, 0, 2, 1))),
    "global average pool": GlobalAvgPool("x", (INPUT,)),
    "flatten": Flatten("x", (INPUT,)),
    "sum": Add("x", (INPUT, INPUT)),
    "clip": Clip("x", (INPUT,), 0.7),
    "function": Activation("x", (INPUT,), "hard_sigmoid", (0.3, 0.5), times_input=True),
    "leaky ReLU": Activation("x", (INPUT,), "leaky_relu", (0.1,)),
    "sigmoid": Activation("x", (INPUT,), "sigmoid"),
    "normal probability": Activation("x", (INPUT,), "normal_probability", times_input=True),
    "nearly normal probability": Activation("x", (INPUT,), "nearly_normal_probability", times_input=True),
    "hyperbolic tangent": Activation("x", (INPUT,), "tanh"),
    "exponential unit": Activation("x", (INPUT,), "elu", (0.7,)),
    "soft plus": Activation("x", (INPUT,), "softplus"),
    "concatenation": Concat("x", (INPUT, INPUT)),
    "depthwise": Conv2d(
        "x", (INPUT,), weight=draw(MAPS, 1, 3, 3), bias=draw(MAPS), window=Window.square(3, 1, 1), groups=MAPS
    ),
}


def agrees(module: torch.nn.Module, network: Network, images: np.ndarray | None = None) -> bool:
    """Return whether module and network give the same activations, layer by layer."""
    images = draw(5, *INPUT_SHAPE, seed=9) if images is None else images
    with torch.no_grad():
        got = {name: value.numpy() for name, value in module.activations(torch.tensor(images)).items()}
    expected = network.forward(images)
    assert got.keys() == expected.keys()
    assert all(got[name].shape == expected[name].shape for name in expected)
    return all(np.allclose(got[name], expected[name], rtol=TOLERANCE, atol=TOLERANCE) for name in expected)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_a_layer_of_each_kind_computes_what_the_network_computes(layer: Layer) -> None:
    """Every kind of layer, and every window that it accepts, gives the activations of `Network.forward`."""
    network = Network("one layer", INPUT_SHAPE, (layer,))
    assert agrees(to_module(network), network)


@pytest.mark.parametrize("name", ["clip1", "clip4", "join", "conv2"])
def test_a_network_from_elsewhere_agrees(name: str) -> None:
    """Clips, a concatenation and a depthwise convolution in one network; with one of them changed it does not."""
    network, images = mobile(), draw(5, 2, 8, 8, seed=9)
    assert agrees(to_module(network), network, images)
    layer = network[name]
    match layer:
        case Clip():
            changed: Layer = replace(layer, highest=layer.highest * 1.5)
        case Concat():
            changed = replace(layer, inputs=layer.inputs[::-1])
        case _:
            changed = replace(layer, bias=np.roll(layer.bias, 1))  # type: ignore[attr-defined]
    layers = tuple(changed if x is layer else x for x in network.layers)
    assert not agrees(to_module(network), replace(network, layers=layers), images)


def test_linear_and_batch_norm_of_features() -> None:
    """A fully connected layer, and a batch norm after it, act on (batch, features)."""
    features = MAPS * HEIGHT * WIDTH
    linear = Linear("fc", ("flat",), weight=draw(4, features) / 10, bias=draw(4))
    network = Network("fc", INPUT_SHAPE, (Flatten("flat", (INPUT,)), linear, batch_norm("norm", "fc", 4)))
    assert agrees(to_module(network), network)


def test_a_residual_network_agrees_and_its_output_is_the_scores() -> None:
    """A graph with a branch runs in the network's order; calling the module gives the scores alone."""
    network, images = residual(), draw(5, *INPUT_SHAPE, seed=9)
    assert agrees(to_module(network), network)
    with torch.no_grad():
        np.testing.assert_allclose(
            to_module(network)(torch.tensor(images)), network.scores(images), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("name", ["/stem/Conv.0", "inner", "scores"])
def test_the_comparison_sees_one_changed_weight(name: str) -> None:
    """Negative control: `agrees` fails when a single weight is off by a hundredth."""
    network = residual()
    weight = network[name].weight.copy()  # type: ignore[attr-defined]
    weight.flat[0] += 0.01
    assert not agrees(to_module(network.with_weights({name: weight})), network)


def test_there_and_back_gives_the_same_bytes() -> None:
    """`to_network` inverts `to_module`: same structure, same arrays."""
    network = residual()
    back = to_network(to_module(network))
    assert [(type(x), x.name, x.inputs) for x in back.layers] == [(type(x), x.name, x.inputs) for x in network.layers]
    for old, new in zip(network.layers, back.layers, strict=True):
        for item in ("weight", "bias", "scale", "shift", "mean", "variance"):
            if hasattr(old, item):
                assert getattr(old, item).tobytes() == getattr(new, item).tobytes()
        assert getattr(old, "window", None) == getattr(new, "window", None)
        assert getattr(old, "epsilon", None) == getattr(new, "epsilon", None)


def test_batch_norm_follows_the_statistics_and_brings_them_back() -> None:
    """In training mode running statistics move a tenth of the way to those of the batch; `to_network` returns them."""
    norm = BatchNorm("norm", (INPUT,), *(np.full(MAPS, x, np.float32) for x in (1, 0, 0, 1)))
    module = to_module(Network("norm", INPUT_SHAPE, (norm,)))
    images = draw(5, *INPUT_SHAPE) * 3 + 2
    module.train()(torch.tensor(images))
    back = to_network(module)["norm"]
    maps = images.swapaxes(0, 1).reshape(MAPS, -1)
    np.testing.assert_allclose(back.mean, 0.1 * maps.mean(axis=1), rtol=1e-4)  # type: ignore[attr-defined]
    np.testing.assert_allclose(back.variance, 0.9 + 0.1 * maps.var(axis=1, ddof=1), rtol=1e-4)  # type: ignore[attr-defined]


def test_everything_but_the_statistics_is_learned() -> None:
    """Weights, biases, scales and shifts get a gradient; mean and variance are no parameters."""
    module = to_module(residual()).train()
    module(torch.tensor(draw(5, *INPUT_SHAPE))).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    names = {name.split(".")[-1] for name, _ in module.named_parameters()}
    assert names == {"weight", "bias", "scale", "shift"}


def test_a_module_owns_its_values() -> None:
    """Training a module leaves the network that it came from, and a network taken from it earlier, as they are."""
    network = residual()
    before = network["scores"].weight.copy()  # type: ignore[attr-defined]
    module = to_module(network)
    taken = to_network(module)
    with torch.no_grad():
        module.operation("scores").weight.add_(1)
    np.testing.assert_array_equal(network["scores"].weight, before)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(taken["scores"].weight, before)  # type: ignore[attr-defined]


def test_a_diverged_module_is_no_network() -> None:
    """A weight that is not finite is refused by the layer's name."""
    module = to_module(residual())
    with torch.no_grad():
        module.operation("inner").weight.fill_(float("nan"))
    with pytest.raises(EspalierError, match="inner: weight holds a value that is not finite"):
        to_network(module)


def test_a_layer_of_an_unknown_kind_is_named() -> None:
    """A layer that has no operation in PyTorch is refused by name and kind."""

    class Sine(ReLU):
        pass

    class Cube(Layer):
        def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
            return shapes[0]

        def forward(self, *inputs: np.ndarray) -> np.ndarray:
            return inputs[0] ** 3

    images = torch.zeros(1, *INPUT_SHAPE)
    to_module(Network("known by its base", INPUT_SHAPE, (Sine("x", (INPUT,)),)))(images)
    with pytest.raises(EspalierError, match="x: a Cube layer cannot be trained"):
        to_module(Network("unknown", INPUT_SHAPE, (Cube("x", (INPUT,)),)))(images)


def test_initial_weights_have_the_variance_of_he_and_the_rest_is_neutral() -> None:
    """Weights have variance 2 / fan-in; biases are 0; a batch norm is the identity; one seed gives the same bytes."""
    layers = (conv("conv", INPUT, 128, 64, Window.square(3)), batch_norm("norm", "conv", 128))
    wide = Network("wide", (64, 3, 3), layers)
    layer, norm = initialize(wide, np.random.default_rng(1)).layers
    assert layer.weight.var() == pytest.approx(2 / (64 * 9), rel=0.02)  # 73728 draws: a deviation of 0.5 %
    assert not layer.bias.any()
    assert [set(x.tolist()) for x in (norm.scale, norm.shift, norm.mean, norm.variance)] == [{1}, {0}, {0}, {1}]
    again = initialize(wide, np.random.default_rng(1)).layers[0]
    assert layer.weight.tobytes() == again.weight.tobytes()
