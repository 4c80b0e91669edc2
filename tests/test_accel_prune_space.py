import pytest
from support.masks import PATTERNS
from support.networks import Sketch, chain, residual

from accel.errors import EspalierError
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.kernel_patterns import Kernel
from accel.network import Network
from accel.prune import Space, default_spare
from accel.sparsity import Block, parse_pattern

TAPS = ("kernel", "ikss", "ikss-rest", "kernel+ikss", "kernel+ikss-rest", "kernel@3", "kernel@2+ikss")


def perceptron() -> Network:
    """Return 8-5-3: no convolution."""
    sketch = Sketch(2, 2, 2)
    sketch.flatten()
    sketch.linear("fc1", 5)
    sketch.linear("fc2", 3)
    return sketch.network("perceptron")


class TestSpare:
    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_first_and_last_stay_dense(self, pattern: str) -> None:
        """Of conv1, conv2, fc3, fc4 the two in the middle are pruned; fc3 only by what needs no kernel of taps."""
        expected = ["conv2"] if pattern in TAPS else ["conv2", "fc3"]
        space = Space.of(chain(), pattern)
        assert {name: str(kind) for name, kind in space.patterns.items()} == dict.fromkeys(expected, pattern)

    def test_a_first_layer_that_is_fully_connected_is_pruned(self) -> None:
        """It holds most of the weights: only a first convolution is spared, and the last layer whatever it is."""
        assert default_spare(perceptron()) == ("fc2",)
        assert [*Space.of(perceptron(), "irregular").patterns] == ["fc1"]
        assert default_spare(chain()) == ("conv1", "fc4")

    def test_one_layer_is_both(self) -> None:
        """A network of one layer with weights has nothing to prune, and it is named once."""
        sketch = Sketch(1, 4, 4)
        sketch.conv("conv1", 2)
        assert default_spare(sketch.network()) == ("conv1",)

    def test_nothing_spared(self) -> None:
        """Whoever spares nothing gets every layer that can have the pattern."""
        assert [*Space.of(chain(), "irregular", spare=()).patterns] == ["conv1", "conv2", "fc3", "fc4"]
        assert [*Space.of(chain(), "kernel", spare=()).patterns] == ["conv1", "conv2"]

    def test_named_layers_spared(self) -> None:
        """Named layers stay dense, the first and the last do not by themselves; a pattern may be an object."""
        assert Space.of(chain(), Block(4), spare=["conv2"]).patterns == dict.fromkeys(["conv1", "fc3", "fc4"], Block(4))

    def test_maps_tied_to_a_spared_layer_stay(self) -> None:
        """In a residual network conv3's maps are added to those of conv1, which is spared: they must stay with it.

        Other patterns prune inside conv3 as they like.
        """
        assert [*Space.of(residual(), "feature-map").patterns] == ["conv2", "conv4"]
        assert [*Space.of(residual(), "feature-map", spare=["conv3", "fc5"]).patterns] == ["conv2", "conv4"]
        assert [*Space.of(residual(), "feature-map", spare=["fc5"]).patterns] == ["conv1", "conv2", "conv3", "conv4"]
        assert [*Space.of(residual(), "irregular").patterns] == ["conv2", "conv3", "conv4"]

    def test_a_kernel_of_one_tap_has_no_kernel_pattern(self) -> None:
        """conv2 of the residual network is 1 x 1: there a kernel is a scalar weight."""
        assert [*Space.of(residual(), "kernel").patterns] == ["conv3", "conv4"]

    @pytest.mark.parametrize("pattern", ["kernel", "kernel@8"])
    def test_kernels_of_separable_convolutions(self, pattern: str) -> None:
        """They are those that mix maps, 1x1; a depthwise convolution has one for each map, which goes with the map."""
        expected = [f"pointwise{block}" for block in range(2, 6)]
        assert [*Space.of(ARCHITECTURES["dscnn"](), pattern).patterns] == expected
        assert [*Space.of(ARCHITECTURES["dscnn"](), "ikss").patterns] == [f"depthwise{x}" for x in range(2, 6)]

    def test_kernels_of_matrices(self) -> None:
        """A network of matrices alone has kernels of one weight, which groups of outputs lose together."""
        assert [*Space.of(perceptron(), "kernel@8").patterns] == ["fc1"]


class TestKinds:
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("kernel/block-4", {"conv2": "kernel", "fc3": "block-4"}),
            ("dense/block-2", {"fc3": "block-2"}),
            ("block-3/dense", {"conv2": "block-3"}),
            ("2:4/2:4", {"conv2": "2:4", "fc3": "2:4"}),
        ],
    )
    def test_convolutions_and_matrices(self, pattern: str, expected: dict[str, str]) -> None:
        """``CONV/FC`` gives each kind of layer its pattern."""
        assert {name: str(kind) for name, kind in Space.of(chain(), pattern).patterns.items()} == expected

    def test_ties_bind_feature_maps_only(self) -> None:
        """conv3's maps stay with those of the spared conv1; where convolutions lose kernels, nothing is tied."""
        assert [*Space.of(residual(), "feature-map/irregular").patterns] == ["conv2", "conv4"]
        assert [*Space.of(residual(), "irregular/feature-map").patterns] == ["conv2", "conv3", "conv4"]


@pytest.mark.parametrize(
    ("network", "pattern", "spare", "message"),
    [
        (chain(), "kernel", ["conv9"], "chain: has no layer 'conv9'; it has conv1, norm1, "),
        (chain(), "kernels", None, "unknown pattern 'kernels'"),
        (chain(), "kernel/kernels", None, "unknown pattern 'kernels'"),
        (chain(), "dense/kernel", None, "chain: no layer can have the pattern dense/kernel; spared: conv1, fc4$"),
        (chain(), "kernel", ["conv2", "conv1"], "chain: no layer can have the pattern kernel; spared: conv1, conv2$"),
        (perceptron(), "ikss", (), "perceptron: no layer can have the pattern ikss; spared: none$"),
        (perceptron(), "block-2/dense", None, "perceptron: no layer can have the pattern block-2/dense; spared: fc2$"),
    ],
)
def test_no_space(network: Network, pattern: str, spare: list[str] | None, message: str) -> None:
    """A layer to spare that is not there, an unknown pattern, or nothing left to prune is said in one line."""
    with pytest.raises(EspalierError, match=f"^{message}"):
        Space.of(network, pattern, spare)


def test_a_network_without_weights_has_no_space() -> None:
    """There is nothing to prune, and nothing to spare."""
    sketch = Sketch(1, 4, 4)
    sketch.relu("relu")
    with pytest.raises(EspalierError, match=r"^net: no layer can have the pattern irregular; spared: none$"):
        Space.of(sketch.network(), "irregular")


@pytest.mark.parametrize(
    ("layer", "pattern", "message"),
    [
        ("fc3", "kernel", "fc3: cannot have the pattern kernel"),
        ("fc3", "ikss", "fc3: cannot have the pattern ikss"),
        ("relu1", "irregular", "relu1: cannot have the pattern irregular"),
        ("conv9", "irregular", "chain: has no layer 'conv9'"),
    ],
)
def test_a_layer_must_be_able_to_have_its_pattern(layer: str, pattern: str, message: str) -> None:
    """Kernel patterns need kernels of several taps, every pattern needs weights; what can have it is accepted."""
    with pytest.raises(EspalierError, match=f"^{message}"):
        Space(chain(), {layer: parse_pattern(pattern)})
    assert Space(chain(), {"conv2": Kernel(), "fc3": Block(2)}).patterns == {"conv2": Kernel(), "fc3": Block(2)}
