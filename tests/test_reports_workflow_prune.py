from collections.abc import Mapping

import numpy as np
import pytest
from support.commandline import untrained_lenet5

from accel.errors import EspalierError
from accel.layers import Weighted
from accel.prune import Space, chooser, remove_maps, select_by_magnitude
from accel.pruned import PrunedNetwork
from reports.workflow.prune import DEFAULT_MAP_RATIO, DEFAULT_RATIO, prune, stages


@pytest.fixture(scope="module")
def dense() -> PrunedNetwork:
    """Return a LeNet-5 of random weights."""
    return untrained_lenet5()


def kept(pruned: PrunedNetwork) -> dict[str, int]:
    """Return how many weights each layer keeps."""
    layers = pruned.network.weighted
    return {layer.name: int(pruned.layer_mask(layer.name).kept.sum()) for layer in layers}


def same(left: PrunedNetwork, right: PrunedNetwork) -> bool:
    """Return whether two networks have the same weights, masks and label."""
    pairs = list(zip(left.network.weighted, right.network.weighted, strict=True))
    return left.pattern == right.pattern and all(
        np.array_equal(x.weight, y.weight)
        and np.array_equal(left.layer_mask(x.name).kept, right.layer_mask(x.name).kept)
        for x, y in pairs
    )


class TestStages:
    @pytest.mark.parametrize(
        ("label", "expected"),
        [
            ("dense", []),
            ("kernel", ["kernel"]),
            ("2:4", ["2:4"]),
            ("feature-map", ["feature-map"]),
            ("kernel+ikss", ["kernel+ikss"]),  # one pattern, whose masks are a product
            ("feature-map+kernel", ["feature-map", "kernel"]),  # two stages
            ("feature-map+kernel+ikss", ["feature-map", "kernel+ikss"]),
            ("feature-map+kernel@8", ["feature-map", "kernel@8"]),
            ("feature-map+kernel@8+ikss", ["feature-map", "kernel@8+ikss"]),
            ("kernel@8/block-4", ["kernel@8/block-4"]),
            ("feature-map+block-4", ["feature-map", "block-4"]),
            ("kernel/block-4", ["kernel/block-4"]),  # convolutions, fully connected layers
            ("dense/block-4", ["dense/block-4"]),
            ("kernel+ikss/2:4", ["kernel+ikss/2:4"]),
            ("feature-map/block-4", ["feature-map/dense", "dense/block-4"]),
            ("feature-map+kernel/block-4", ["feature-map/dense", "kernel/block-4"]),
            ("kernel/feature-map+block-4", ["dense/feature-map", "kernel/block-4"]),
            ("feature-map+ikss/feature-map+block-4", ["feature-map", "ikss/block-4"]),
            ("feature-map/feature-map", ["feature-map"]),
        ],
    )
    def test_order(self, label: str, expected: list[str]) -> None:
        """Feature maps go first, because they leave for good; other combinations are patterns of their own."""
        assert stages(label) == expected

    @pytest.mark.parametrize(
        "label",
        [
            "",
            "krnel",
            "kernel+feature-map",
            "feature-map+",
            "kernel+",
            "5:4",
            "block-0",
            "kernel/",
            "/",
            "kernel/krnel",
            "kernel/ikss/dense",
            "dense/dense",
        ],
    )
    def test_unknown(self, label: str) -> None:
        """A label that names no pattern is refused, before anything is pruned."""
        with pytest.raises(EspalierError):
            stages(label)


class TestPrune:
    def test_dense(self, dense: PrunedNetwork) -> None:
        """Nothing to do gives the network as it was."""
        assert same(prune(dense, "dense"), dense)
        assert not same(prune(dense, "kernel"), dense)  # negative control

    @pytest.mark.parametrize("label", ["kernel", "ikss", "block-4", "irregular", "2:4"])
    def test_one_stage(self, dense: PrunedNetwork, label: str) -> None:
        """One pattern is the magnitude selector's choice at the usual ratio, under the pattern's label."""
        pruned = prune(dense, label)
        assert pruned.pattern == label
        masks = select_by_magnitude(Space.of(dense.network, label), DEFAULT_RATIO)
        assert pruned.masks.keys() == masks.keys()
        assert all(np.array_equal(pruned.masks[name].kept, masks[name].kept) for name in masks)

    def test_sparsity(self, dense: PrunedNetwork) -> None:
        """Each pruned layer loses the share that was asked for; the first and the last lose nothing."""
        counts = kept(prune(dense, "irregular", {"irregular": 0.25}))
        # weights of LeNet-5: 6 x 25, 16 x 150, 120 x 400, 84 x 120, 10 x 84
        assert counts == {"conv1": 150, "conv2": 1_800, "conv3": 36_000, "fc4": 7_560, "fc5": 840}
        assert prune(dense, "irregular", {"irregular": 0.25}).sparsity == pytest.approx(15_120 / 61_470)

    def test_feature_maps(self, dense: PrunedNetwork) -> None:
        """Feature maps leave physically, with the kernels that read them; sparsity is against the dense network."""
        pruned = prune(dense, "feature-map", {"feature-map": 0.5})
        assert not pruned.masks
        shapes = {layer.name: layer.weight.shape for layer in pruned.network.weighted}
        # the first and the last are spared: 6 maps read by 8 of 16, those by 60 of 120, those by 42 of 84, by 10
        assert shapes["conv2"] == (8, 6, 5, 5)
        assert shapes["conv3"] == (60, 8, 5, 5)
        assert (shapes["fc4"], shapes["fc5"]) == ((42, 60), (10, 42))
        assert pruned.sparsity == pytest.approx(1 - (150 + 1_200 + 12_000 + 2_520 + 420) / 61_470)

    def test_two_stages(self, dense: PrunedNetwork) -> None:
        """Feature maps first, then kernels of what is left, each at its ratio."""
        pruned = prune(dense, "feature-map+kernel", {"feature-map": 0.5, "kernel": 0.25})
        maps = select_by_magnitude(Space.of(dense.network, "feature-map"), 0.5)
        narrower = remove_maps(dense, maps)
        kernels = select_by_magnitude(Space.of(narrower.network, "kernel"), 0.25)
        assert same(pruned, PrunedNetwork(narrower.network, kernels, "feature-map+kernel", "mnist"))
        assert kept(pruned)["conv3"] == 60 * 8 * 25 * 3 // 4
        swapped = prune(dense, "feature-map+kernel", {"feature-map": 0.25, "kernel": 0.5})
        assert not same(pruned, swapped)  # negative control

    def test_blocks_after_convolutions(self, dense: PrunedNetwork) -> None:
        """Each kind of layer has its own pattern and ratio; maps leave first, so that blocks are of what is left."""
        pruned = prune(dense, "feature-map+kernel/block-4", {"feature-map": 0.5, "kernel": 0.25, "block-4": 0.8})
        patterns = {name: mask.pattern for name, mask in pruned.masks.items()}
        assert patterns == {"conv2": "kernel", "conv3": "kernel", "fc4": "block-4"}
        # 8 of 16 and 60 of 120 maps; 12 of 48 and 120 of 480 kernels go; 21 x 15 blocks, of which 252 go
        assert kept(pruned) == {"conv1": 150, "conv2": 36 * 25, "conv3": 360 * 25, "fc4": 63 * 16, "fc5": 840}
        assert pruned.pattern == "feature-map+kernel/block-4"

    def test_groups_of_kernels(self, dense: PrunedNetwork) -> None:
        """Maps first, then kernels in groups of what is left: 11 and 96 maps, of which groups of 8 make 2 and 12."""
        label, maps = "feature-map+kernel@8", {"conv2": 5 / 16, "conv3": 0.2, "fc4": 0.0}
        pruned = prune(dense, label, {"feature-map": maps, "kernel@8": {"conv2": 0.5, "conv3": 0.75}})
        masks = {name: mask.kept for name, mask in pruned.masks.items()}
        assert {name: kept.shape for name, kept in masks.items()} == {"conv2": (11, 6, 25), "conv3": (96, 11, 25)}
        groups = {
            name: np.array([kept[first].any(axis=1) for first in range(0, len(kept), 8)])
            for name, kept in masks.items()
        }
        assert {name: (flags.sum(), flags.size) for name, flags in groups.items()} == {
            "conv2": (6, 12),
            "conv3": (33, 132),
        }
        for name, flags in groups.items():  # the last group of conv2 has 3 maps
            assert (masks[name] == flags.repeat(8, axis=0)[: len(masks[name]), :, None]).all()
        alone = prune(dense, label, {"feature-map": maps, "kernel@8": 0.5})
        assert not same(pruned, alone)  # negative control

    def test_ratios_of_layers(self, dense: PrunedNetwork) -> None:
        """A pattern may have a ratio for each layer."""
        counts = kept(prune(dense, "kernel", {"kernel": {"conv2": 0.5, "conv3": 0.75}}))
        assert (counts["conv2"], counts["conv3"]) == (1_200, 12_000)
        with pytest.raises(EspalierError, match=r"^conv3: has no ratio; those of kernel are for conv2$"):
            prune(dense, "kernel", {"kernel": {"conv2": 0.5}})

    def test_layers_to_spare(self, dense: PrunedNetwork) -> None:
        """Whoever spares others gets others."""
        pruned = prune(dense, "kernel", {"kernel": 0.5}, spare=["conv3"])
        assert sorted(pruned.masks) == ["conv1", "conv2"]

    def test_another_selector_in_rounds(self, dense: PrunedNetwork) -> None:
        """Any selector may choose, and each stage may take several rounds, retrained after each."""
        trained: list[PrunedNetwork] = []

        def retrain(pruned: PrunedNetwork) -> PrunedNetwork:
            trained.append(pruned)
            return pruned

        images, rng = np.random.default_rng(0).random((40, 1, 28, 28), np.float32), np.random.default_rng(0)
        choose = chooser("particle-filter", images, np.arange(40) % 10, rng, budget=3)
        asked = {"feature-map": 0.5, "kernel": 0.6}
        pruned = prune(dense, "feature-map+kernel", asked, retrain, choose=choose, rounds=2)
        assert [x.network.shapes["conv2"][0] for x in trained] == [11, 8, 8, 8]  # 1 - 0.5 ** 0.5 = 29 % of 16, a half
        expected = prune(dense, "feature-map+kernel", asked)
        assert kept(pruned) == kept(expected)
        assert not same(pruned, expected)

    def test_a_ratio_for_nothing(self, dense: PrunedNetwork) -> None:
        """A ratio for a pattern that the label does not have is a mistake."""
        with pytest.raises(EspalierError, match=r"^a ratio is given for krnel, which is no part of kernel$"):
            prune(dense, "kernel", {"krnel": 0.5})

    def test_usual_ratios(self, dense: PrunedNetwork) -> None:
        """Where nobody says otherwise, half of the maps and 70 % of everything else go."""
        assert (DEFAULT_MAP_RATIO, DEFAULT_RATIO) == (0.5, 0.7)
        asked = {"feature-map": 0.5, "irregular": 0.7}
        assert same(prune(dense, "feature-map+irregular"), prune(dense, "feature-map+irregular", asked))
        assert not same(
            prune(dense, "feature-map+irregular", {"irregular": 0.6}), prune(dense, "feature-map+irregular")
        )

    def test_retrained_after_each_stage(self, dense: PrunedNetwork) -> None:
        """The way to retrain is called after each stage, and the next stage prunes what it returned."""
        seen: list[Mapping[str, object]] = []

        def retrain(pruned: PrunedNetwork) -> PrunedNetwork:
            seen.append(dict(pruned.masks))
            flipped = {x.name: x.weight[::-1] for x in pruned.network.weighted}
            return pruned.with_network(pruned.network.with_weights(flipped))

        pruned = prune(dense, "feature-map+kernel", retrain=retrain)
        assert [sorted(masks) for masks in seen] == [[], ["conv2", "conv3"]]
        narrower = retrain(remove_maps(dense, select_by_magnitude(Space.of(dense.network, "feature-map"), 0.5)))
        expected = select_by_magnitude(Space.of(narrower.network, "kernel"), 0.7)["conv3"].kept
        assert np.array_equal(pruned.masks["conv3"].kept, expected)
        other = prune(dense, "feature-map+kernel").masks["conv3"].kept  # negative control: without retraining
        assert not np.array_equal(other, expected)

    @pytest.mark.parametrize("first", ["kernel", "feature-map"])
    @pytest.mark.parametrize("second", ["kernel", "feature-map", "dense"])
    def test_a_pruned_network_is_refused(self, dense: PrunedNetwork, first: str, second: str) -> None:
        """Pruning starts from a dense network: masks, or maps that are gone, would be counted under another label."""
        with pytest.raises(EspalierError, match=rf"lenet5: is pruned already \({first}\)"):
            prune(prune(dense, first), second)

    @pytest.mark.parametrize("label", ["krnel", "feature-map+krnel"])
    def test_an_unknown_label_is_refused(self, dense: PrunedNetwork, label: str) -> None:
        """Nothing is pruned, let alone retrained, for a label that is wrong at its end."""
        with pytest.raises(EspalierError, match="unknown pattern 'krnel'"):
            prune(dense, label, retrain=lambda pruned: pytest.fail("the work has begun"))

    def test_the_network_itself_stays(self, dense: PrunedNetwork) -> None:
        """The network that was given is not changed."""
        before = {layer.name: layer.weight.copy() for layer in dense.network.weighted}
        prune(dense, "feature-map+kernel")
        for name, weight in before.items():
            layer = dense.network[name]
            assert isinstance(layer, Weighted)
            assert np.array_equal(layer.weight, weight)
            assert weight.any()
