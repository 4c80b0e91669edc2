from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lenets import Array, convolution, lenet, linear, numbers

from accel.errors import EspalierError
from accel.layers import Add, AvgPool, BatchNorm, Conv2d, Flatten, GlobalAvgPool, Layer, Linear, MaxPool, ReLU
from accel.network import Network, reading
from accel.window import Window


def windows_of(image: Array, window: Window, fill: float) -> dict[tuple[int, int], Array]:
    """Return what each output pixel of one (C, H, W) image sees, pixel by pixel: (C, k, k), `fill` in the padding."""
    channels, height, width = image.shape
    top, left, bottom, right = window.padding
    seen = {}
    for y, x in product(range(0, height + top + bottom), range(0, width + left + right)):
        below, beyond = y + window.kernel[0], x + window.kernel[1]
        fits = below <= height + top + bottom and beyond <= width + left + right
        if y % window.stride[0] or x % window.stride[1] or not fits:
            continue
        patch = np.full((channels, *window.kernel), float(fill))
        for c, i, j in product(range(channels), range(y, below), range(x, beyond)):
            if 0 <= i - top < height and 0 <= j - left < width:
                patch[c, i - y, j - x] = image[c, i - top, j - left]
        seen[y // window.stride[0], x // window.stride[1]] = patch
    return seen


def slide(images: Array, window: Window, outputs: int, fill: float, pixel: Callable[[Array], Any]) -> Array:
    """Return (batch, outputs, height, width): `pixel` of every window of every image, in float64."""
    results = []
    for image in images:
        seen = windows_of(image, window, fill)
        height, width = (1 + max(place[axis] for place in seen) for axis in (0, 1))
        result = np.zeros((outputs, height, width))
        for (y, x), patch in seen.items():
            result[:, y, x] = pixel(patch)
        results.append(result)
    return np.array(results)


WINDOWS = [
    Window.square(1),
    Window.square(3),
    Window.square(3, 1, 1),
    Window.square(3, 2, 1),  # the last row and column of 6 x 7 are seen by no second step
    Window.square(2, 3),  # pixels between the windows are skipped
    Window((3, 2), (1, 2), (2, 0, 1, 1)),  # everything different in every direction
    Window((2, 4), (2, 1), (0, 3, 1, 0)),
    Window((6, 7)),  # one position
]


class TestWindow:
    @pytest.mark.parametrize("window", WINDOWS)
    def test_output_size(self, window: Window) -> None:
        """The output is as large as the number of places where the kernel fits, counted one by one."""
        seen = windows_of(np.zeros((1, 6, 7)), window, 0)
        assert len(seen) == np.prod(window.output_size(6, 7))
        assert max(seen) == tuple(size - 1 for size in window.output_size(6, 7))

    def test_square(self) -> None:
        """One number stands for both directions, or all four sides."""
        assert Window.square(3, 2, 1) == Window((3, 3), (2, 2), (1, 1, 1, 1))
        assert Window.square(3, 2, 1) != Window((3, 3), (2, 2), (1, 1, 1, 0))
        assert Window((3, 2)).taps == 6

    @pytest.mark.parametrize(
        "sizes",
        [((0, 1),), ((1, 1), (1, 0)), ((1, 1), (1, 1), (0, 0, -1, 0)), ((1,),), ((1, 1, 1),), ((1, 1), (1, 1), (0, 0))],
    )
    def test_sizes_are_checked(self, sizes: Any) -> None:
        """A window of no size, no step, less than no padding or another number of them is refused with itself."""
        with pytest.raises(EspalierError, match=r"got Window\(kernel="):
            Window(*sizes)

    def test_a_kernel_must_fit(self) -> None:
        """A kernel that is larger than the padded map has no place at all; one that just fits has one."""
        assert Window.square(7, 1, 1).output_size(5, 5) == (1, 1)
        with pytest.raises(EspalierError, match=r"pool: a \(7, 7\) kernel is larger than the padded \(6, 7\) map"):
            Window.square(7, 1, 1).output_size(4, 5, "pool")


class TestForward:
    """Each layer against loops that follow its definition pixel by pixel, in float64."""

    images = numbers(2, 3, 6, 7, seed=5)

    def check(self, layer: Layer, *inputs: Array, expected: Array) -> None:
        """Compare a layer's output with `expected`; then change one input, and the comparison must fail."""
        output = layer.forward(*inputs)
        assert output.dtype == np.float32
        assert output.shape[1:] == layer.output_shape(*(x.shape[1:] for x in inputs))
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
        first = inputs[0].copy()
        first[:, ..., :1] += 10
        assert not np.allclose(layer.forward(first, *inputs[1:]), expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("window", WINDOWS)
    def test_conv2d(self, window: Window) -> None:
        """Cross-correlation: the kernel is not flipped, the padding is zeros, the bias is added once."""
        weight, bias = numbers(4, 3, *window.kernel, seed=1), numbers(4, seed=2)
        expected = slide(
            self.images, window, 4, 0, lambda patch: [(patch * weight[m]).sum() + float(bias[m]) for m in range(4)]
        )
        self.check(Conv2d("c", ("input",), weight=weight, bias=bias, window=window), self.images, expected=expected)

    @pytest.mark.parametrize("window", WINDOWS)
    def test_max_pool(self, window: Window) -> None:
        """The largest pixel that is there: padding does not win where all pixels are negative."""
        images = self.images - 100
        expected = slide(images, window, 3, -np.inf, lambda patch: patch.max(axis=(1, 2)))
        assert expected.max() < 0
        self.check(MaxPool("p", ("input",), window), images, expected=expected)

    @pytest.mark.parametrize("window", WINDOWS)
    def test_avg_pool(self, window: Window) -> None:
        """The sum of what is there over the size of the whole window: padding counts as zeros."""
        expected = slide(self.images, window, 3, 0, lambda patch: patch.sum(axis=(1, 2)) / window.taps)
        self.check(AvgPool("p", ("input",), window), self.images, expected=expected)

    def test_linear(self) -> None:
        """Every output is its row times the features, and its bias."""
        features, weight, bias = numbers(4, 5), numbers(3, 5, seed=1), numbers(3, seed=2)
        expected = np.array(
            [[sum(map(float, w * x)) + float(b) for w, b in zip(weight, bias, strict=True)] for x in features]
        )
        self.check(Linear("f", ("input",), weight=weight, bias=bias), features, expected=expected)

    @pytest.mark.parametrize("shape", [(2, 3, 6, 7), (2, 3)])
    def test_batch_norm(self, shape: tuple[int, ...]) -> None:
        """(x - mean) / sqrt(variance + epsilon) * scale + shift, map by map, for maps and for features."""
        x, (scale, shift, mean), variance = numbers(*shape), numbers(3, 3, seed=1), np.array([0.5, 0, 2], np.float32)
        expected = np.array(x, np.float64)
        for c in range(3):
            root = (float(variance[c]) + 0.25) ** 0.5
            expected[:, c] = (x[:, c] - float(mean[c])) / root * float(scale[c]) + float(shift[c])
        self.check(BatchNorm("n", ("input",), scale, shift, mean, variance, 0.25), x, expected=expected)

    def test_relu(self) -> None:
        """What is negative becomes zero."""
        expected = np.array([x if x > 0 else 0 for x in self.images.ravel()]).reshape(self.images.shape)
        self.check(ReLU("r", ("input",)), self.images, expected=expected)

    def test_global_avg_pool(self) -> None:
        """One mean for each map."""
        expected = [[[[sum(map(float, c.ravel())) / 42]] for c in image] for image in self.images]
        self.check(GlobalAvgPool("g", ("input",)), self.images, expected=np.array(expected))

    def test_flatten(self) -> None:
        """Map by map, row by row."""
        expected = [[image[c, y, x] for c in range(3) for y in range(6) for x in range(7)] for image in self.images]
        self.check(Flatten("f", ("input",)), self.images, expected=np.array(expected))

    def test_add(self) -> None:
        """Pixel by pixel."""
        other = numbers(2, 3, 6, 7, seed=9)
        expected = [float(a) + float(b) for a, b in zip(self.images.ravel(), other.ravel(), strict=True)]
        self.check(Add("a", ("input", "b")), self.images, other, expected=np.array(expected).reshape(other.shape))


class TestLeNet:
    def test_shapes(self) -> None:
        """28 + 2*2 - 5 + 1 = 28, halved to 14, - 4 = 10, halved to 5, - 4 = 1."""
        shapes = lenet().shapes
        assert [shapes[name] for name in ("input", "c1", "s2", "c3", "s4", "c5", "flat", "f6", "f7")] == [
            (1, 28, 28),
            (6, 28, 28),
            (6, 14, 14),
            (16, 10, 10),
            (16, 5, 5),
            (120, 1, 1),
            (120,),
            (84,),
            (10,),
        ]

    def test_dense_macs(self) -> None:
        """Outputs x inputs x taps for every pixel that comes out."""
        assert lenet().dense_macs() == {
            "c1": 117_600,  # 6 maps x 1 map x 25 taps x 28 x 28 pixels
            "c3": 240_000,  # 16 x 6 x 25 x 10 x 10
            "c5": 48_000,  # 120 x 16 x 25 x 1 x 1
            "f6": 10_080,  # 84 x 120
            "f7": 840,  # 10 x 84
        }

    def test_weighted_layers(self) -> None:
        """The layers with weights, in order, with the shape that their masks have: outputs, maps, taps."""
        assert {layer.name: layer.lowered_shape for layer in lenet().weighted} == {
            "c1": (6, 1, 25),
            "c3": (16, 6, 25),
            "c5": (120, 16, 25),
            "f6": (84, 120, 1),
            "f7": (10, 84, 1),
        }

    def test_scores_do_not_depend_on_the_batch(self) -> None:
        """Scores come image by image, whatever fits in memory at a time; no images give no scores."""
        network, images = lenet(), np.abs(numbers(5, 1, 28, 28))
        scores = network.forward(images)["f7"]
        assert network.output == "f7"
        np.testing.assert_allclose(network.scores(images, batch=2), scores, rtol=1e-4, atol=1e-3)
        assert not np.allclose(network.scores(images[::-1], batch=2), scores, rtol=1e-4, atol=1e-3)
        assert network.scores(images[:0]).shape == (0, 10)

    def test_forward_returns_every_activation(self) -> None:
        """Every layer's output is there by name, with the shape that was promised."""
        network = lenet()
        values = network.forward(np.zeros((3, 1, 28, 28)))
        assert {name: value.shape for name, value in values.items()} == {
            name: (3, *shape) for name, shape in network.shapes.items()
        }


class TestGraph:
    def test_lookup_and_consumers(self) -> None:
        """A layer is found by its name; those that read an output are found by what they read."""
        conv, relu, add = convolution("c", "input", 2, 2, 1), ReLU("r", ("c",)), Add("a", ("c", "r"))
        network = Network("n", (2, 3, 3), (conv, relu, add))
        assert network["r"] is relu
        assert network.consumers("c") == (relu, add)
        assert network.consumers("input") == (conv,)
        assert network.consumers("a") == ()

    def test_with_weights(self) -> None:
        """The named layers get the new arrays, nothing else changes, and the network that was there stays."""
        network = lenet()
        changed = network.with_weights({"f7": np.zeros((10, 84), np.float32)})
        assert not changed.weighted[-1].weight.any()
        assert network.weighted[-1].weight.any()
        assert [a is b for a, b in zip(changed.layers, network.layers, strict=True)] == [True] * 11 + [False]

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ({"f8": np.zeros((10, 84))}, "lenet: has no layer 'f8'; it has c1, r1, s2"),
            ({"r6": np.zeros((10, 84))}, "r6: has no weights"),
            ({"f7": np.zeros((10, 83))}, r"f7: expects the input shape \(83,\), gets \(84,\)"),
        ],
    )
    def test_weights_must_have_their_layer(self, weights: dict[str, Array], message: str) -> None:
        """New weights for a layer that is not there, holds none or does not fit are refused."""
        with pytest.raises(EspalierError, match=message):
            lenet().with_weights(weights)

    def test_arrays_are_float32_copies_that_nobody_writes_to(self) -> None:
        """A layer keeps its own float32 copy of what it was given, read-only."""
        weight = np.zeros((2, 3))
        layer = Linear("f", ("input",), weight=weight, bias=[0, 1])  # type: ignore[arg-type]  # a list is one too
        weight[0, 0] = 5
        assert (layer.weight.dtype, layer.weight[0, 0], layer.bias.tolist()) == (np.float32, 0, [0, 1])
        with pytest.raises(ValueError, match="read-only"):
            layer.weight[0, 0] = 5

    def test_a_layer_reads_something_else(self) -> None:
        """With other inputs it has the same arrays, no copies of them, and the one that was there stays."""
        layer = linear("f", "input", 2, 3)
        other = reading(layer, ("g",))
        assert (other.inputs, layer.inputs, other.name) == (("g",), ("input",), "f")
        assert isinstance(other, Linear)
        assert other.weight is layer.weight
        assert other.bias is layer.bias


class TestFolding:
    def network(self, *, extra: tuple[Layer, ...] = ()) -> Network:
        """Return conv - norm - norm - relu - flatten - linear - norm."""

        def norm(name: str, source: str, maps: int, seed: int) -> BatchNorm:
            scale, shift, mean = numbers(3, maps, seed=seed)
            return BatchNorm(name, (source,), scale, shift, mean, np.abs(numbers(maps, seed=seed + 1)))

        layers = (
            convolution("c", "input", 4, 2, 3, padding=1),
            norm("n1", "c", 4, 1),
            norm("n2", "n1", 4, 3),
            ReLU("r", ("n2",)),
            Flatten("flat", ("r",)),
            linear("f", "flat", 5, 4 * 36),
            *extra,
            norm("n3", "f", 5, 5),
        )
        return Network("n", (2, 6, 6), layers)

    def test_the_folded_network_computes_the_same(self) -> None:
        """No batch norm is left, and the scores are equal to 1e-5 of the largest."""
        network, images = self.network(), numbers(3, 2, 6, 6, seed=8)
        folded = network.folded()
        assert [layer.name for layer in folded.layers] == ["c", "r", "flat", "f"]
        expected = network.scores(images)
        tolerance = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(folded.scores(images), expected, rtol=0, atol=tolerance)
        other = folded.with_weights({"c": network.weighted[0].weight})  # one layer as it was before
        assert not np.allclose(other.scores(images), expected, rtol=0, atol=tolerance)

    def test_a_network_without_batch_norm_stays_as_it_is(self) -> None:
        """Nothing to fold, nothing changed."""
        network = lenet()
        folded = network.folded()
        assert [x.name for x in folded.layers] == [x.name for x in network.layers]
        assert all(np.array_equal(x.weight, y.weight) for x, y in zip(folded.weighted, network.weighted, strict=True))

    def test_the_scores_stay_the_scores(self) -> None:
        """A last batch norm that is folded leaves its layer last, whatever stood between them."""
        network = self.network(extra=(ReLU("aside", ("flat",)),))
        assert network.folded().output == "f"
        assert self.network().folded().output == "f"

    def same(self, network: Network, kinds: list[type[Layer]]) -> None:
        """Check that the folded network has layers of these kinds and gives the same scores; negated it does not."""
        folded, images = network.folded(), numbers(3, *network.input_shape, seed=8)
        assert [type(layer) for layer in folded.layers] == kinds
        expected = network.scores(images)
        tolerance = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(folded.scores(images), expected, rtol=0, atol=tolerance)
        last = folded.weighted[-1]
        other = folded.with_weights({last.name: -last.weight})
        assert not np.allclose(other.scores(images), expected, rtol=0, atol=tolerance)

    @pytest.mark.parametrize("shared", ["c", "n1"])
    def test_an_output_that_is_used_elsewhere_keeps_its_layer(self, shared: str) -> None:
        """A layer, or a batch norm before, that something else reads too stays, and one of its own follows it."""
        layers = self.network().layers[:3]
        network = Network("n", (2, 6, 6), (*layers, Add("a", ("n2", shared))))
        self.same(network, [Conv2d, Conv2d, Add])

    @pytest.mark.parametrize("source", ["input", "r"])
    def test_a_batch_norm_of_something_else_becomes_a_convolution(self, source: str) -> None:
        """After the image or a ReLU there are no weights that take it in: it is one with a weight for each map."""
        norm = BatchNorm("n", (source,), [2, -3], [1, 0], [0.5, 0.25], [4, 1])  # type: ignore[arg-type]
        network = Network("n", (2, 3, 3), (ReLU("r", ("input",)), norm))
        self.same(network, [ReLU, Conv2d])
        (alone,) = network.folded().weighted
        assert isinstance(alone, Conv2d)
        assert (alone.groups, alone.weight.shape) == (2, (2, 1, 1, 1))

    def test_a_batch_norm_of_features_goes_into_the_matrix_after_it(self) -> None:
        """A linear layer takes a normalisation of its inputs in; nothing else is left of it."""
        scale, shift, mean = numbers(3, 18, seed=3)
        norm = BatchNorm("n", ("flat",), scale, shift, mean, np.ones(18, np.float32))
        before = ReLU("r", ("input",)), Flatten("flat", ("r",)), norm
        self.same(Network("n", (2, 3, 3), (*before, linear("f", "n", 4, 18))), [ReLU, Flatten, Linear])
        twice = (*before, linear("f", "n", 18, 18), Add("a", ("n", "f")))
        self.same(Network("n", (2, 3, 3), twice), [ReLU, Flatten, Linear, Linear, Add])


def test_a_list_of_sizes_is_a_shape() -> None:
    """An input shape that a file or a user gives as a list is the same."""
    assert Network("net", [2, 5, 5], [ReLU("r", ("input",))]).shapes["r"] == (2, 5, 5)  # type: ignore[arg-type]


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3))
def test_patches_are_as_many_as_promised(size: int, kernel: int, stride: int, padding: int) -> None:
    """`output_size` and `patches` agree for every window that fits."""
    window = Window.square(kernel, stride, padding)
    if size + 2 * padding >= kernel:
        patches = window.patches(window.pad(np.zeros((2, size, size + 1))))
        assert patches.shape == (2, *window.output_size(size, size + 1), kernel, kernel)
