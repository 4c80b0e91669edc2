from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import PATTERNS, few, legal_masks
from support.networks import Array, Sketch, chain, images_for, networks, residual

from accel.errors import EspalierError
from accel.layers import Weighted
from accel.network import Network
from accel.prune import Evaluator, Space, remove_maps, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask

Masks = dict[str, LayerMask]
MASKING = [pattern for pattern in PATTERNS if pattern not in ("dense", "feature-map")]


def reference(network: Network, masks: Mapping[str, LayerMask], images: Array) -> Array:
    """Return the scores of the network under masks, from the definition: `Network.forward` of what stays."""
    maps = {name: mask for name, mask in masks.items() if mask.pattern == "feature-map"}
    pruned = remove_maps(PrunedNetwork(network), maps) if maps else PrunedNetwork(network, masks)
    return pruned.network.scores(images).reshape(len(images), -1)


def labels_for(network: Network, count: int, seed: int = 3) -> Array:
    """Return random labels."""
    return np.random.default_rng(seed).integers(0, network.shapes[network.output][0], count)


def agrees(network: Network, masks: Masks, **settings: int) -> bool:
    """Return whether an evaluator predicts what the definition does, and counts the errors it finds."""
    images = images_for(network, 23)
    labels = labels_for(network, len(images))
    evaluator = Evaluator(network, images, labels, **settings)
    expected = reference(network, masks, images).argmax(axis=1)
    again = evaluator.predictions(masks)  # the second answer is from what the first one left
    same = np.array_equal(evaluator.predictions(masks), expected) and np.array_equal(again, expected)
    return same and evaluator(masks) == (expected != labels).mean()


class TestPredictions:
    @few
    @given(network=networks(), data=st.data())
    def test_every_pattern_on_every_network(self, network: Network, data: st.DataObject) -> None:
        """Predictions are those of `Network.forward`, whatever the layers are and whichever of them have masks."""
        masks = {}
        for layer in network.weighted:
            if data.draw(st.booleans()):
                pattern = data.draw(st.sampled_from(MASKING))
                masks[layer.name] = LayerMask(pattern, data.draw(legal_masks(pattern, layer.lowered_shape)))
        assert agrees(network, masks)

    @few
    @given(network=networks(), ratio=st.sampled_from([0.0, 0.2, 0.5]), data=st.data())
    def test_feature_maps(self, network: Network, ratio: float, data: st.DataObject) -> None:
        """Pruned maps are gone as in the narrow network, with bias, batch norm and what an addition ties to them."""
        space = Space.of(network, "feature-map", spare=[network.weighted[-1].name])
        chosen = data.draw(st.lists(st.sampled_from(sorted(space.patterns)), unique=True, min_size=1))
        masks = select_by_magnitude(space, ratio)
        assert agrees(network, {name: masks[name] for name in chosen})  # those that are not named follow

    @pytest.mark.parametrize("build", [chain, residual])
    def test_a_mask_is_not_ignored(self, build: Callable[[int], Network]) -> None:
        """Negative control: other masks give other predictions, so that agreement says something."""
        network = build(1)
        images = images_for(network, 200)
        evaluator = Evaluator(network, images, labels_for(network, 200))
        space = Space.of(network, "irregular")
        masks, other = select_by_magnitude(space, 0.5), select_by_magnitude(space, 0.9)
        assert np.array_equal(evaluator.predictions(masks), reference(network, masks, images).argmax(axis=1))
        assert not np.array_equal(evaluator.predictions(masks), evaluator.predictions(other))

    def test_pruned_maps_say_nothing(self) -> None:
        """A map whose bias is large is gone with its bias; were only its kernels zero, class 0 would win everywhere."""
        sketch = Sketch(1, 3, 3)
        sketch.conv("conv1", 2)
        sketch.relu("relu1")
        sketch.flatten("flatten")
        sketch.linear("fc2", 2)
        network = sketch.network()
        conv, matrix = network["conv1"], network["fc2"]
        assert isinstance(conv, Weighted)
        assert isinstance(matrix, Weighted)
        layers = (
            replace(conv, bias=np.float32([100, 1])),
            network["relu1"],
            network["flatten"],
            replace(matrix, weight=np.float32([[1, 0], [0, 50]])),
        )
        network = replace(network, layers=layers)
        kept = np.zeros((2, 1, 9), bool)
        kept[1] = True
        images = np.zeros((3, 1, 3, 3), np.float32)
        evaluator = Evaluator(network, images, np.ones(3, int))
        assert evaluator({"conv1": LayerMask("feature-map", kept)}) == 0
        assert evaluator({"conv1": LayerMask("kernel", kept)}) == 1
        assert evaluator({"conv1": LayerMask("feature-map", ~kept)}) == 1


class TestSharing:
    @pytest.mark.parametrize("cache_bytes", [0, 1 << 12, 1 << 30])
    @pytest.mark.parametrize("build", [chain, residual])
    def test_what_is_kept_does_not_matter(
        self, build: Callable[[int], Network], cache_bytes: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With nothing, a part or all of the lowered inputs kept, in one batch or many, answers are the same."""
        network = build(2)
        masks = select_by_magnitude(Space.of(network, "irregular"), 0.6)
        assert agrees(network, masks, cache_bytes=cache_bytes)
        monkeypatch.setattr("accel.prune.evaluate._BATCH_BYTES", 1 << 14)
        assert agrees(network, masks, cache_bytes=cache_bytes)

    def test_candidates_in_any_order(self) -> None:
        """Masks of other layers than the last candidate's, or of none, are judged from the right prefix."""
        network = residual(5)
        images = images_for(network)
        evaluator = Evaluator(network, images, labels_for(network, len(images)))
        whole = select_by_magnitude(Space.of(network, "irregular", spare=()), 0.7)
        maps = select_by_magnitude(Space.of(network, "feature-map", spare=["fc5"]), 0.5)
        candidates: list[Masks] = [{}, *({name: mask} for name, mask in whole.items()), maps, whole, {}]
        for masks in candidates:
            assert np.array_equal(evaluator.predictions(masks), reference(network, masks, images).argmax(axis=1))

    def test_layers_in_front_run_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """For masks of conv2 alone, conv1 runs for the first candidate only, and no input of conv2 is lowered again."""
        from accel.prune import float_batch

        network, lowered = chain(), []
        lower = float_batch.lower
        monkeypatch.setattr(
            float_batch, "lower", lambda layer, maps: (lowered.append(layer.name), lower(layer, maps))[1]
        )
        images = images_for(network)
        evaluator = Evaluator(network, images, labels_for(network, len(images)))
        for ratio in (0.2, 0.5, 0.8):
            evaluator(select_by_magnitude(Space.of(network, "kernel"), ratio))
        assert sorted(lowered) == ["conv1", "conv2", "fc3", "fc3", "fc3", "fc4", "fc4", "fc4"]

    def test_the_images_stay(self) -> None:
        """What is computed in place is never what the next candidate reads."""
        sketch = Sketch(2, 4, 4)
        sketch.relu("relu0")
        sketch.conv("conv1", 3)
        twice = sketch.relu("relu1")
        sketch.norm("norm1")
        sketch.add("add", twice, sketch.last)
        sketch.flatten()
        sketch.relu("relu2")
        sketch.linear("fc2", 3)
        network = sketch.network()
        assert agrees(network, select_by_magnitude(Space.of(network, "irregular", spare=()), 0.5))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((4, 1, 8, 8), np.float32), np.zeros(4, int), r"images must be \(N, 2, 8, 8\) with N at least 1, got"),
        (np.zeros((0, 2, 8, 8), np.float32), np.zeros(0, int), r"images must be \(N, 2, 8, 8\) with N at least 1, got"),
        (np.zeros((4, 2, 8, 8), np.uint8), np.zeros(4, int), "images must be float32 in 0..1, got uint8"),
        (np.full((4, 2, 8, 8), np.nan, np.float32), np.zeros(4, int), "images hold a value that is not finite"),
        (np.zeros((4, 2, 8, 8), np.float32), np.zeros(3, int), r"labels must be 4 integers, .* of shape \(3,\)"),
        (np.zeros((4, 2, 8, 8), np.float32), np.zeros(4), "labels must be 4 integers, .* got float64"),
        (np.zeros((4, 2, 8, 8), np.float32), np.full(4, 3), r"labels must be 0\.\.2, got 3\.\.3"),
    ],
)
def test_data_of_the_wrong_shape(images: Array, labels: Array, message: str) -> None:
    """Images that the network does not take, and labels that do not fit, are refused in one line."""
    with pytest.raises(EspalierError, match=f"^chain: {message}"):
        Evaluator(chain(), images, labels)


def test_masks_must_fit() -> None:
    """A mask of another layer's shape, of a layer without weights, or that prunes the classes is refused."""
    network = chain()
    evaluator = Evaluator(network, images_for(network), labels_for(network, 20))
    mask = LayerMask("feature-map", np.ones((3, 7, 1), bool))
    for name in ("conv2", "relu1"):
        with pytest.raises(EspalierError, match=rf"^{name}: a mask of shape \(3, 7, 1\) does not fit this layer$"):
            evaluator({name: mask})
    with pytest.raises(EspalierError, match=r"^fc4: its maps are the network's output$"):
        evaluator({"fc4": LayerMask("feature-map", np.arange(21).reshape(3, 7, 1) < 14)})
    assert 0 <= evaluator({"fc4": mask}) <= 1
