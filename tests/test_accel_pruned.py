from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import PATTERNS, few, legal_masks

from accel.errors import EspalierError
from accel.layers import Conv2d, Flatten, Linear, ReLU
from accel.network import Network
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask
from accel.window import Window

SHAPES = {"conv": (3, 2, 4), "scores": (5, 12, 1)}  # outputs, maps, taps


def network(seed: int = 0) -> Network:
    """Return a 2 x 2 convolution of 3 x 3 images and a linear layer, no weight of them zero."""
    generator = np.random.default_rng(seed)
    layers = (
        Conv2d("conv", ("input",), weight=generator.uniform(1, 2, (3, 2, 2, 2)), bias=[1, 2, 3], window=Window((2, 2))),
        ReLU("relu", ("conv",)),
        Flatten("flat", ("relu",)),
        Linear("scores", ("flat",), weight=generator.uniform(1, 2, (5, 12)), bias=np.zeros(5)),
    )
    return Network("net", (2, 3, 3), layers)


def kernels(*kept: tuple[int, int]) -> LayerMask:
    """Return a kernel mask of the convolution that keeps the (output, input) pairs."""
    mask = np.zeros(SHAPES["conv"], bool)
    for output, index in kept:
        mask[output, index] = True
    return LayerMask("kernel", mask)


@st.composite
def pruned_networks(draw: st.DrawFn) -> PrunedNetwork:
    """Draw a network with a legal mask of some pattern for some of its layers."""
    masks = {}
    for name, shape in SHAPES.items():
        pattern = draw(st.sampled_from(PATTERNS))
        if draw(st.booleans()):
            masks[name] = LayerMask(pattern, draw(legal_masks(pattern, shape)))
    dense = draw(st.sampled_from([{}, {"conv": 100, "scores": 200}]))
    return PrunedNetwork(network(), masks, "some", draw(st.sampled_from(["", "mnist"])), dense)


def content(pruned: PrunedNetwork) -> list[Any]:
    """Return all that a pruned network says, each array with its type and shape."""

    def plain(item: Any) -> Any:
        if isinstance(item, np.ndarray):
            return item.dtype.str, item.shape, item.tobytes()
        if isinstance(item, tuple | list):
            return [plain(x) for x in item]
        if hasattr(item, "items"):
            return [(key, plain(value)) for key, value in sorted(item.items())]
        if hasattr(item, "__dataclass_fields__"):
            return type(item).__name__, [plain(getattr(item, name)) for name in item.__dataclass_fields__]
        return item

    result: list[Any] = plain(pruned)[1]
    return result


class TestMasks:
    @few
    @given(pruned=pruned_networks())
    def test_what_is_not_kept_is_zero(self, pruned: PrunedNetwork) -> None:
        """Weights are zero exactly where a mask says so, and as they were elsewhere; biases stay."""
        for layer, before in zip(pruned.network.weighted, network().weighted, strict=True):
            kept = pruned.layer_mask(layer.name).kept.reshape(layer.weight.shape)
            assert np.array_equal(layer.weight, np.where(kept, before.weight, 0))
            assert np.array_equal(layer.weight != 0, kept)
            assert np.array_equal(layer.bias, before.bias)

    def test_the_network_that_was_given_stays(self) -> None:
        """Pruning makes a new network."""
        before = network()
        after = PrunedNetwork(before, {"conv": kernels((0, 0))}).network
        assert np.count_nonzero(before.weighted[0].weight) == 24
        assert np.count_nonzero(after.weighted[0].weight) == 4

    def test_a_layer_that_is_not_named_is_dense(self) -> None:
        """Its mask is all true, with the shape that the layer has."""
        pruned = PrunedNetwork(network(), {"conv": kernels((0, 0))})
        assert pruned.layer_mask("conv") is pruned.masks["conv"]
        assert pruned.layer_mask("scores").pattern == "dense"
        assert pruned.layer_mask("scores").kept.shape == (5, 12, 1)
        assert pruned.layer_mask("scores").kept.all()

    @pytest.mark.parametrize(("name", "message"), [("relu", "relu: has no weights to mask"), ("x", "has no layer 'x'")])
    def test_a_layer_without_weights_has_no_mask(self, name: str, message: str) -> None:
        """Asking for the mask of something else is refused."""
        with pytest.raises(EspalierError, match=message):
            PrunedNetwork(network()).layer_mask(name)

    @pytest.mark.parametrize(
        ("name", "shape", "message"),
        [
            ("conv", (3, 2, 3), r"conv: a mask of shape \(3, 2, 3\) does not fit this layer"),
            ("conv", (3, 2, 1), r"conv: a mask of shape \(3, 2, 1\) does not fit this layer"),
            ("conv", (6, 1, 4), r"conv: a mask of shape \(6, 1, 4\) does not fit this layer"),  # as many, otherwise
            ("scores", (5, 3, 4), r"scores: a mask of shape \(5, 3, 4\) does not fit this layer"),
            ("relu", (3, 2, 4), r"relu: a mask of shape \(3, 2, 4\) does not fit this layer"),
            ("x", (3, 2, 4), "net: has no layer 'x'; it has conv, relu, flat, scores"),
        ],
    )
    def test_a_mask_must_fit_its_layer(self, name: str, shape: tuple[int, int, int], message: str) -> None:
        """A mask of another shape, or of a layer without weights or not there, is refused; a fitting one is not."""
        with pytest.raises(EspalierError, match=message):
            PrunedNetwork(network(), {name: LayerMask("irregular", np.ones(shape, bool))})
        PrunedNetwork(network(), {"conv": LayerMask("irregular", np.ones(SHAPES["conv"], bool))})

    def test_masks_cannot_be_changed(self) -> None:
        """Neither the mapping nor what was given as one leads back into the network."""
        given_masks = {"conv": kernels((0, 0))}
        pruned = PrunedNetwork(network(), given_masks)
        given_masks.clear()
        assert list(pruned.masks) == ["conv"]
        with pytest.raises(TypeError):
            pruned.masks["conv"] = kernels()  # type: ignore[index]  # that is the point

    def test_other_weights_are_masked_too(self) -> None:
        """After retraining, what was pruned is still gone, and the sizes before pruning are still known."""
        pruned = PrunedNetwork(network(), {"conv": kernels((1, 1))}, "kernel", "mnist", {"conv": 100, "scores": 60})
        again = pruned.with_network(network(seed=1))
        assert not np.array_equal(again.network.weighted[0].weight, pruned.network.weighted[0].weight)
        assert np.array_equal(again.network.weighted[0].weight != 0, pruned.network.weighted[0].weight != 0)
        assert (again.dense_weights, again.pattern, again.data) == (pruned.dense_weights, "kernel", "mnist")


class TestCounts:
    @few
    @given(pruned=pruned_networks())
    def test_kept_weights(self, pruned: PrunedNetwork) -> None:
        """As many as there are weights that are not zero, since none was zero before."""
        assert pruned.kept_weights == sum(np.count_nonzero(x.weight) for x in pruned.network.weighted)

    def test_sparsity(self) -> None:
        """Of 24 + 60 weights, 2 kernels of 4 and 60 are left: 68 of 84. Nothing pruned is a sparsity of 0."""
        pruned = PrunedNetwork(network(), {"conv": kernels((0, 0), (2, 1))})
        assert pruned.kept_weights == 2 * 4 + 60
        assert pruned.sparsity == 1 - 68 / 84
        assert PrunedNetwork(network()).sparsity == 0
        everything = {name: LayerMask("irregular", np.zeros(shape, bool)) for name, shape in SHAPES.items()}
        assert PrunedNetwork(network(), everything).sparsity == 1

    def test_sparsity_counts_what_a_narrower_layer_lost(self) -> None:
        """A convolution that had 48 weights before maps went has lost 24 without any mask: 84 of 108 are left."""
        pruned = PrunedNetwork(network(), dense_weights={"conv": 48, "scores": 60})
        assert pruned.sparsity == 1 - 84 / 108

    def test_dense_sizes_by_default(self) -> None:
        """Those of the network: 3 x 2 x 4 and 5 x 12 weights; the convolution's are used for 2 x 2 pixels."""
        pruned = PrunedNetwork(network(), {"conv": kernels()})
        assert pruned.dense_weights == {"conv": 24, "scores": 60}
        assert pruned.dense_macs == {"conv": 24 * 4, "scores": 60}

    @pytest.mark.parametrize(
        ("sizes", "message"),
        [
            ({"dense_weights": {"conv": 24}}, "net: dense_weights must be at least"),
            ({"dense_weights": {"conv": 24, "scores": 60, "relu": 1}}, "net: dense_weights must be at least"),
            ({"dense_weights": {"conv": 23, "scores": 60}}, r"got \{'conv': 23, 'scores': 60\}"),
            (
                {"dense_macs": {"conv": 95, "scores": 60}},
                r"net: dense_macs must be at least \{'conv': 96, 'scores': 60\}",
            ),
            ({"dense_macs": {"a": 96, "b": 60}}, "net: dense_macs must be at least"),
        ],
    )
    def test_a_network_does_not_grow_when_it_is_pruned(self, sizes: dict[str, dict[str, int]], message: str) -> None:
        """Sizes before pruning that name other layers, or are below what there is now, are refused."""
        with pytest.raises(EspalierError, match=message):
            PrunedNetwork(network(), **sizes)

    def test_a_network_without_weights_cannot_be_pruned(self) -> None:
        """There is nothing to count, and no sparsity."""
        with pytest.raises(EspalierError, match=r"net: dense_weights must be at least \{\}"):
            PrunedNetwork(Network("net", (1, 2, 2), (ReLU("relu", ("input",)),)))


class TestFile:
    @few
    @given(pruned=pruned_networks())
    def test_what_is_saved_is_loaded(self, tmp_path_factory: pytest.TempPathFactory, pruned: PrunedNetwork) -> None:
        """Array for array and number for number the same; one changed weight is another network."""
        path = tmp_path_factory.getbasetemp() / "net.espalier"
        pruned.save(path)
        again = PrunedNetwork.load(path)
        assert content(again) == content(pruned)
        bias = again.network.weighted[0].bias.copy()
        bias[0] += 1
        object.__setattr__(again.network.weighted[0], "bias", bias)
        assert content(again) != content(pruned)

    def test_a_loaded_network_is_masked_and_computes_the_same(self, tmp_path: Path) -> None:
        """Scores are equal bit for bit; those of the network before pruning are not."""
        pruned, images = PrunedNetwork(network(), {"conv": kernels((0, 1))}), np.ones((2, 2, 3, 3), np.float32)
        pruned.save(tmp_path / "a")
        scores = PrunedNetwork.load(tmp_path / "a").network.scores(images)
        assert np.array_equal(scores, pruned.network.scores(images))
        assert not np.array_equal(scores, network().scores(images))

    def test_a_file_with_a_mask_that_does_not_fit_is_refused(self, tmp_path: Path) -> None:
        """What the class refuses, the file is refused for, with its name in front."""
        pruned = PrunedNetwork(network(), {"conv": kernels((0, 1))})
        object.__setattr__(pruned, "masks", {"scores": kernels()})
        pruned.save(tmp_path / "a")
        with pytest.raises(EspalierError, match=r"a: scores: a mask of shape \(3, 2, 4\) does not fit this layer"):
            PrunedNetwork.load(tmp_path / "a")
