from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.masks import few
from support.networks import Array, Sketch, chain, images_for, networks, residual

from accel.errors import EspalierError
from accel.layers import Add, BatchNorm, Concat, Conv2d, Flatten, Weighted
from accel.network import Network
from accel.prune import Evaluator, map_groups, remove_maps
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask, Masks
from accel.window import Window

Flags = Mapping[str, Array]


def map_masks(network: Network, kept: Mapping[str, list[int]]) -> Masks:
    """Return feature-map masks from one 0 or 1 for each output map."""
    shapes = {layer.name: layer.lowered_shape for layer in network.weighted}
    return {
        name: LayerMask("feature-map", np.broadcast_to(np.array(flags, bool)[:, None, None], shapes[name]))
        for name, flags in kept.items()
    }


def silenced_scores(network: Network, flags: Flags, images: Array) -> Array:
    """Return the scores of the network as it is, with every pruned map set to zero wherever it appears.

    `flags` holds one entry for each layer whose maps are pruned; what reads them has the same maps, until weights or a
    flatten make others of them.
    """
    values, alive = {"input": images}, dict(flags)
    for layer in network.layers:
        output = layer.forward(*(values[source] for source in layer.inputs))
        if not isinstance(layer, Weighted | Flatten) and layer.inputs[0] in alive:
            alive[layer.name] = alive[layer.inputs[0]]
        if layer.name in alive:
            keep = alive[layer.name].reshape((-1,) + (1,) * (output.ndim - 2))
            output = np.where(keep, output, np.float32(0))
        values[layer.name] = output
    return values[network.output]


def same(left: Array, right: Array) -> bool:
    """Return whether scores are equal but for the order in which float32 sums are taken."""
    return left.shape == right.shape and bool(np.allclose(left, right, rtol=1e-4, atol=1e-5))


@st.composite
def narrowings(draw: st.DrawFn) -> tuple[Network, dict[str, list[int]]]:
    """Draw a network, and which maps each prunable group of layers keeps: at least one."""
    network = draw(networks())
    groups, kept = map_groups(network), {}
    for layer in network.weighted[:-1]:
        first = min(groups[layer.name])
        if first in kept:
            kept[layer.name] = kept[first]
            continue
        flags = draw(arrays(bool, len(layer.weight)))
        flags[draw(st.integers(0, flags.size - 1))] = True
        kept[first] = kept[layer.name] = flags.astype(int).tolist()
    return network, kept


class TestOutputs:
    @few
    @given(narrowings())
    def test_the_narrow_network_computes_what_the_masked_one_does(
        self, drawn: tuple[Network, dict[str, list[int]]]
    ) -> None:
        """Bias, batch norm, pooling, flattening and additions included; other maps would give other scores."""
        network, kept = drawn
        images = images_for(network)
        flags = {name: np.array(x, bool) for name, x in kept.items()}
        smaller = remove_maps(PrunedNetwork(network), map_masks(network, kept)).network
        assert same(smaller.scores(images), silenced_scores(network, flags, images))
        assert [len(layer.weight) for layer in smaller.weighted[:-1]] == [
            sum(kept[layer.name]) for layer in network.weighted[:-1]
        ]

    @pytest.mark.parametrize("build", [chain, residual])
    def test_losing_a_map_is_noticed(self, build: Callable[[int], Network]) -> None:
        """Negative control: the scores differ from those of the whole network, and of one with other maps gone."""
        network = build(3)
        images = images_for(network)
        kept = {layer.name: [1, 0, *[1] * (len(layer.weight) - 2)] for layer in network.weighted[:-1]}
        other = {name: flags[::-1] for name, flags in kept.items()}
        smaller = remove_maps(PrunedNetwork(network), map_masks(network, kept)).network.scores(images)
        flags, wrong = ({name: np.array(x, bool) for name, x in y.items()} for y in (kept, other))
        assert same(smaller, silenced_scores(network, flags, images))
        assert not same(smaller, silenced_scores(network, wrong, images))
        assert not same(smaller, network.scores(images))

    def test_flatten_takes_every_pixel_of_a_map(self) -> None:
        """conv2 keeps maps 0 and 3 of 5, each 2 x 2 after the flatten: columns 0..3 and 12..15 of fc3."""
        network = chain()
        smaller = remove_maps(PrunedNetwork(network), map_masks(network, {"conv2": [1, 0, 0, 1, 0]})).network
        full, thin = network["fc3"], smaller["fc3"]
        assert isinstance(full, Weighted)
        assert isinstance(thin, Weighted)
        assert np.array_equal(thin.weight, full.weight[:, [0, 1, 2, 3, 12, 13, 14, 15]])
        assert not np.array_equal(thin.weight, full.weight[:, [0, 3, 5, 8, 10, 13, 15, 18]])

    @pytest.mark.parametrize("between", ["relu", "norm"])
    def test_what_follows_a_flatten_is_narrowed_too(self, between: str) -> None:
        """A ReLU or a batch norm of the features stands before the layer that reads them."""
        sketch = Sketch(1, 4, 4)
        sketch.conv("conv", 3)
        sketch.flatten()
        getattr(sketch, between)("between")
        sketch.linear("fc", 2)
        network = sketch.network()
        images, kept = images_for(network), [1, 0, 1]
        smaller = remove_maps(PrunedNetwork(network), map_masks(network, {"conv": kept})).network
        # a batch norm gives a zero feature its shift: silence the features after it
        flags = {"conv": np.array(kept, bool), "between": np.repeat(np.array(kept, bool), 4)}
        assert same(smaller.scores(images), silenced_scores(network, flags, images))
        assert smaller.shapes["between"] == (8,)
        if between == "norm":
            norm, full = smaller["between"], network["between"]
            assert isinstance(norm, BatchNorm)
            assert isinstance(full, BatchNorm)
            assert np.array_equal(norm.mean, full.mean[[0, 1, 2, 3, 8, 9, 10, 11]])


class TestGroups:
    def test_a_chain_has_none(self) -> None:
        """Every layer decides for itself."""
        assert map_groups(chain()) == {name: {name} for name in ("conv1", "conv2", "fc3", "fc4")}

    def test_an_addition_ties_the_layers_after_it(self) -> None:
        """Through batch norms and ReLUs; weights, pools after the addition and the head are not tied."""
        tied = {"conv1", "conv3"}
        groups = {name: {name} for name in ("conv2", "conv4", "fc5")}
        assert map_groups(residual()) == {**groups, "conv1": tied, "conv3": tied}

    def test_additions_one_after_another_tie_everything(self) -> None:
        """conv1 + conv2, and that + conv3: one map in all."""
        sketch = Sketch(2, 4, 4)
        sketch.conv("conv1", 2, padding=1)
        first = sketch.add("add1", "conv1", sketch.conv("conv2", 2, padding=1))
        sketch.add("add2", first, sketch.conv("conv3", 2, padding=1))
        tied = {"conv1", "conv2", "conv3"}
        assert map_groups(sketch.network()) == dict.fromkeys(tied, tied)

    @pytest.mark.parametrize("named", [["conv1"], ["conv3"], ["conv1", "conv3"]])
    def test_layers_that_are_not_named_follow(self, named: list[str]) -> None:
        """Masks of one layer of a group, or of all, give the same network."""
        network = residual()
        kept = {name: [1, 0, 0, 1] for name in named}
        smaller = remove_maps(PrunedNetwork(network), map_masks(network, kept)).network
        assert [smaller.shapes[name][0] for name in ("conv1", "norm1", "conv2", "conv3", "add", "conv4")] == [
            *(2, 2, 3, 2, 2, 6)
        ]
        flags = dict.fromkeys(["conv1", "conv3"], np.array([1, 0, 0, 1], bool))
        images = images_for(network)
        assert same(smaller.scores(images), silenced_scores(network, flags, images))


class TestSizes:
    def test_the_dense_network_is_remembered(self) -> None:
        """Weights and MACs before pruning stay those of the network that came in."""
        dense = PrunedNetwork(chain(), data="digits")
        smaller = remove_maps(dense, map_masks(dense.network, {"conv1": [1, 1, 0, 0], "fc3": [1] * 6 + [0]}))
        assert smaller.dense_weights == dense.dense_weights
        assert smaller.dense_weights == {"conv1": 72, "conv2": 180, "fc3": 140, "fc4": 21}  # M x C x T
        # pixels that come out: 8 x 8 for conv1, 2 x 2 for conv2
        assert smaller.dense_macs == {"conv1": 72 * 64, "conv2": 180 * 4, "fc3": 140, "fc4": 21}
        assert smaller.data == "digits"

    def test_sparsity_counts_kernels_on_both_sides(self) -> None:
        """Half of conv1's maps take half of conv1 and half of conv2; one neuron of fc3 takes a row and a column.

        Kept: 2 x 2 x 9 = 36 of 72, 5 x 2 x 9 = 90 of 180, 6 x 20 = 120 of 140 and 3 x 6 = 18 of 21: 264 of 413.
        """
        dense = PrunedNetwork(chain())
        smaller = remove_maps(dense, map_masks(dense.network, {"conv1": [1, 1, 0, 0], "fc3": [1] * 6 + [0]}))
        assert smaller.kept_weights == 264
        assert smaller.sparsity == pytest.approx(1 - 264 / 413)
        assert smaller.masks == {}
        assert dense.kept_weights == 413

    def test_other_patterns_follow(self) -> None:
        """What is left can be pruned inside: the sparsity is that of both together."""
        dense = PrunedNetwork(chain())
        smaller = remove_maps(dense, map_masks(dense.network, {"conv1": [1, 1, 0, 0]}))
        kernels = LayerMask("kernel", np.broadcast_to(np.eye(5, 2, dtype=bool)[:, :, None], (5, 2, 9)))
        both = PrunedNetwork(smaller.network, {"conv2": kernels}, dense_weights=smaller.dense_weights)
        assert both.kept_weights == 36 + 2 * 9 + 140 + 21
        assert both.sparsity == pytest.approx(1 - 215 / 413)

    def test_nothing_pruned_changes_nothing(self) -> None:
        """No masks, or masks that keep everything."""
        network = residual()
        everything = map_masks(network, {"conv2": [1] * 3, "fc5": [1] * 3})  # of the classes too
        for masks in ({}, everything):
            same_network = remove_maps(PrunedNetwork(network), masks).network
            assert [x.weight.shape for x in same_network.weighted] == [x.weight.shape for x in network.weighted]


def beside_the_input() -> Network:
    """Return a network that adds a convolution's maps to those of the image."""
    sketch = Sketch(2, 4, 4)
    sketch.add("add", "input", sketch.conv("conv", 2, padding=1))
    sketch.flatten()
    sketch.linear("fc", 3)
    return sketch.network()


def beside_features() -> Network:
    """Return a network that adds the 8 features of two maps to those of a fully connected layer."""
    sketch = Sketch(2, 4, 4)
    sketch.conv("conv", 2)
    sketch.flatten()
    sketch.add("add", "flat", sketch.linear("fc1", 8))
    sketch.linear("fc2", 3)
    return sketch.network()


@pytest.mark.parametrize(
    ("network", "kept", "message"),
    [
        (
            residual(),
            {"conv1": [1, 0, 1, 1], "conv3": [1, 1, 0, 1]},
            "add: reads relu1 and norm3, which must keep the same",
        ),
        (beside_the_input(), {"conv": [1, 0]}, "conv: its maps are the network's input"),
        (chain(), {"fc4": [1, 0, 1]}, "fc4: its maps are the network's output"),
        # the same number goes on both sides, but not the same features
        (beside_features(), {"conv": [1, 0], "fc1": [1, 0] * 4}, "add: reads flat and fc1, which must keep the same"),
        (beside_features(), {"conv": [1, 0]}, "add: reads flat and fc1, which must keep the same maps"),
        (beside_features(), {"fc1": [1, 0] * 4}, "add: reads flat and fc1, which must keep the same maps"),
    ],
)
def test_maps_that_must_stay(network: Network, kept: dict[str, list[int]], message: str) -> None:
    """Maps that are added agree, those of the image and of the classes stay; otherwise one line says where."""
    assert any(isinstance(layer, Add) for layer in network.layers) or "output" in message
    with pytest.raises(EspalierError, match=f"^{message}"):
        remove_maps(PrunedNetwork(network), map_masks(network, kept))


def test_features_that_agree_are_narrowed() -> None:
    """Negative control of the refusals above: with the same four features gone on both sides it goes through."""
    network, images = beside_features(), images_for(beside_features())
    kept = {"conv": [1, 0], "fc1": [1] * 4 + [0] * 4}
    smaller = remove_maps(PrunedNetwork(network), map_masks(network, kept)).network
    flags = {name: np.array(x, bool) for name, x in kept.items()}
    assert same(smaller.scores(images), silenced_scores(network, flags, images))


@pytest.mark.parametrize("pattern", ["dense", "kernel", "irregular"])
def test_only_feature_maps_are_removed(pattern: str) -> None:
    """A mask of another pattern is refused, even one that removes whole maps."""
    masks = {"conv2": LayerMask(pattern, np.ones((5, 4, 9), bool))}
    with pytest.raises(EspalierError, match=f"^conv2: to remove maps takes feature-map masks, got {pattern}$"):
        remove_maps(PrunedNetwork(chain()), masks)


def test_feature_maps_go_first() -> None:
    """A network that has masks already is refused: they would no longer fit."""
    masked = PrunedNetwork(chain(), {"conv2": LayerMask("kernel", np.ones((5, 4, 9), bool))})
    with pytest.raises(EspalierError, match=r"^chain: prune feature maps before other patterns; it has masks already$"):
        remove_maps(masked, map_masks(masked.network, {"conv1": [1, 0, 1, 1]}))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("conv9", (4, 2, 9), "chain: has no layer 'conv9'"),
        ("relu1", (4, 2, 9), r"relu1: a mask of shape \(4, 2, 9\) does not fit this layer"),
        ("conv1", (5, 2, 9), r"conv1: a mask of shape \(5, 2, 9\) does not fit this layer"),
    ],
)
def test_masks_must_fit(name: str, shape: tuple[int, int, int], message: str) -> None:
    """A mask for a layer that is not there, holds no weights or has another shape is refused."""
    with pytest.raises(EspalierError, match=f"^{message}"):
        remove_maps(PrunedNetwork(chain()), {name: LayerMask("feature-map", np.ones(shape, bool))})


def separable() -> Network:
    """Return a network whose second convolution is depthwise, with batch norm and ReLU around it."""
    sketch = Sketch(2, 6, 6)
    source = sketch.conv("conv1", 5, padding=1)
    sketch.norm("norm1")
    source = sketch.relu("relu1")
    weight, bias = (np.float32(sketch.rng.normal(size=size)) for size in ((5, 1, 3, 3), 5))
    sketch.put(Conv2d("depthwise2", (source,), weight=weight, bias=bias, window=Window.square(3), groups=5))
    sketch.relu("relu2")
    sketch.conv("pointwise2", 4, kernel=1)
    sketch.flatten()
    sketch.linear("fc3", 3)
    return sketch.network()


class TestDepthwise:
    KEPT: ClassVar = [1, 0, 1, 1, 0]

    def test_a_map_goes_with_its_kernel(self) -> None:
        """Maps 1 and 4 leave conv1, the depthwise convolution and what reads it: as if they were zero everywhere."""
        network, images = separable(), images_for(separable(), 4)
        tied = {"conv1", "depthwise2"}
        assert map_groups(network) == {**dict.fromkeys(tied, tied), "pointwise2": {"pointwise2"}, "fc3": {"fc3"}}
        for named in (["conv1"], ["depthwise2"], ["conv1", "depthwise2"]):
            smaller = remove_maps(PrunedNetwork(network), map_masks(network, dict.fromkeys(named, self.KEPT))).network
            depthwise = smaller["depthwise2"]
            assert isinstance(depthwise, Conv2d)
            assert (depthwise.groups, depthwise.weight.shape) == (3, (3, 1, 3, 3))
            flags = dict.fromkeys(tied, np.array(self.KEPT, bool))
            assert same(smaller.scores(images), silenced_scores(network, flags, images))
            assert not same(smaller.scores(images), network.scores(images))

    def test_a_candidate_is_judged_as_what_it_becomes(self) -> None:
        """An evaluator predicts what the smaller network does."""
        network, images = separable(), images_for(separable(), 40)
        masks = map_masks(network, {"conv1": self.KEPT})
        expected = remove_maps(PrunedNetwork(network), masks).network.scores(images).argmax(axis=1)
        evaluator = Evaluator(network, images, expected)
        assert evaluator(masks) == 0
        assert evaluator({}) > 0

    def test_both_must_agree(self) -> None:
        """Different masks before and behind a depthwise convolution are refused."""
        masks = map_masks(separable(), {"conv1": self.KEPT, "depthwise2": self.KEPT[::-1]})
        with pytest.raises(EspalierError, match=r"^depthwise2: reads relu1, and both must keep the same maps"):
            remove_maps(PrunedNetwork(separable()), masks)


class TestMapsThatAreTied:
    def tied(self, groups: int, join: bool) -> Network:
        """Return a network with a grouped convolution or a concatenation, and a layer whose maps are free after it."""
        sketch = Sketch(2, 6, 6)
        source = sketch.conv("conv1", 4)
        weight = np.float32(sketch.rng.normal(size=(4, 4 // groups, 1, 1)))
        window, bias = Window.square(1), np.zeros(4, np.float32)
        sketch.put(Conv2d("conv2", (source,), weight=weight, bias=bias, window=window, groups=groups))
        if join:
            sketch.put(Concat("join", (source, sketch.last)))
        sketch.conv("conv3", 6, kernel=1)
        sketch.relu("relu3")
        sketch.flatten()
        sketch.linear("fc4", 3)
        return sketch.network()

    @pytest.mark.parametrize(("groups", "join"), [(2, False), (1, True), (2, True)])
    def test_they_stay_and_others_go(self, groups: int, join: bool) -> None:
        """Maps around a grouped convolution or a concatenation keep their places; those that follow are pruned."""
        network = self.tied(groups, join)
        kind = "concatenation join" if join else "grouped convolution conv2"
        for name in ("conv1", "conv2"):
            kept = np.ones(network[name].lowered_shape, bool)  # type: ignore[attr-defined]
            kept[1] = False
            with pytest.raises(EspalierError, match=f"{name}: the maps around the {kind} cannot be pruned"):
                remove_maps(PrunedNetwork(network), {name: LayerMask("feature-map", kept)})
        kept = np.ones((6, 8 if join else 4, 1), bool)
        kept[[1, 4]] = False
        found = remove_maps(PrunedNetwork(network), {"conv3": LayerMask("feature-map", kept)}).network
        images = np.float32(np.random.default_rng(0).random((3, 2, 6, 6)))
        zero = np.array(network["conv3"].weight)  # type: ignore[attr-defined]
        bias = np.array(network["conv3"].bias)  # type: ignore[attr-defined]
        zero[[1, 4]], bias[[1, 4]] = 0, 0
        layers = tuple(replace(x, weight=zero, bias=bias) if x.name == "conv3" else x for x in network.layers)
        expected = replace(network, layers=layers).scores(images)
        assert found.shapes["conv3"] == (4, 4, 4)
        np.testing.assert_allclose(found.scores(images), expected, rtol=1e-4, atol=1e-5)
