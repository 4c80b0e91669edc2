from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import few, is_legal
from support.networks import chain, images_for, residual

from accel.errors import EspalierError
from accel.prune import SELECTORS, Choose, Ratio, Space, Trial, prune_in_rounds, remove_maps, select_by_magnitude
from accel.prune.rounds import shares
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask


def bound(name: str, seed: int = 0) -> Choose:
    """Return a selector that needs no error rate."""
    rng, network = np.random.default_rng(seed), chain()
    return lambda space, ratio: SELECTORS[name](space, ratio, Trial(generator=rng, images=images_for(network)))


class Trainer:
    """Changes the weights as training would, masks held, and remembers what it saw."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(4)
        self.seen: list[PrunedNetwork] = []

    def __call__(self, pruned: PrunedNetwork) -> PrunedNetwork:
        weights = {
            x.name: np.float32(x.weight + self.rng.normal(0, 0.3, x.weight.shape)) for x in pruned.network.weighted
        }
        trained = pruned.with_network(pruned.network.with_weights(weights))
        self.seen.append(trained)
        return trained


class TestShares:
    @few
    @given(st.floats(0, 0.99), st.integers(1, 8), st.sampled_from(["geometric", "linear", "cubic"]))
    def test_they_rise_to_the_ratio(self, ratio: float, rounds: int, steps: str) -> None:
        """As many as rounds, never falling, and the last is exactly what was asked for."""
        found = shares(rounds, steps)(ratio)
        assert len(found) == rounds
        assert found[-1] == ratio
        assert all(0 <= a <= b + 1e-12 for a, b in pairwise(found))

    def test_equal_steps(self) -> None:
        """Geometric: of what is left, a half each time; linear: a quarter of the whole; cubic: 1 - (2/3)^3 at first."""
        assert shares(3)(0.875) == pytest.approx([0.5, 0.75, 0.875])
        assert shares(3, "linear")(0.75) == pytest.approx([0.25, 0.5, 0.75])
        assert shares(3, "cubic")(0.54) == pytest.approx([0.38, 0.52, 0.54])  # 19, 26 and 27 of 27 parts

    @pytest.mark.parametrize(
        ("rounds", "steps", "message"),
        [
            (0, "linear", "rounds must be at least 1, got 0"),
            (1.5, "linear", "rounds must be at least 1, got 1.5"),
            (2, "square", "steps must be one of geometric, linear, cubic, got 'square'"),
        ],
    )
    def test_bad_input(self, rounds: int, steps: str, message: str) -> None:
        """Less than a round, and steps of another name, are refused."""
        with pytest.raises(EspalierError, match=f"^{message}$"):
            shares(rounds, steps)


class TestOneShot:
    @pytest.mark.parametrize("pattern", ["kernel", "kernel/block-2", "2:4"])
    def test_the_selectors_masks(self, pattern: str) -> None:
        """One round is the selector's choice, then one retraining under it."""
        dense, trainer = PrunedNetwork(chain()), Trainer()
        pruned = prune_in_rounds(dense, pattern, 0.5, select_by_magnitude, trainer)
        expected = select_by_magnitude(Space.of(dense.network, pattern), 0.5)
        assert pruned.masks.keys() == expected.keys()
        assert all(np.array_equal(pruned.masks[name].kept, expected[name].kept) for name in expected)
        assert len(trainer.seen) == 1

    def test_feature_maps_leave(self) -> None:
        """One round of feature maps is narrowing by the selector's choice."""
        dense = PrunedNetwork(residual())
        pruned = prune_in_rounds(dense, "feature-map", 0.5, select_by_magnitude)
        expected = remove_maps(dense, select_by_magnitude(Space.of(dense.network, "feature-map"), 0.5))
        images = images_for(dense.network)
        assert np.array_equal(pruned.network.scores(images), expected.network.scores(images))
        assert not np.array_equal(pruned.network.scores(images), dense.network.scores(images))  # negative control


class TestRounds:
    @pytest.mark.parametrize("name", ["magnitude", "random"])
    @pytest.mark.parametrize("pattern", ["kernel", "irregular", "block-2", "ikss", "ikss-rest", "kernel+ikss", "2:4"])
    @pytest.mark.parametrize("steps", ["geometric", "linear", "cubic"])
    def test_later_masks_are_subsets(self, name: str, pattern: str, steps: str) -> None:
        """Nothing that a round pruned comes back, whoever chooses, though weights are trained in between."""
        trainer = Trainer()
        prune_in_rounds(PrunedNetwork(chain()), pattern, 0.75, bound(name), trainer, rounds=3, steps=steps)
        assert len(trainer.seen) == 3
        before: Mapping[str, LayerMask] = {}
        for pruned in trainer.seen:
            for layer, mask in pruned.masks.items():
                assert is_legal(pattern, mask.kept)
                assert layer not in before or not (mask.kept & ~before[layer].kept).any()
            before = pruned.masks
        first, last = trainer.seen[0].kept_weights, trainer.seen[-1].kept_weights
        assert last < first or pattern == "2:4"

    @pytest.mark.parametrize("pattern", ["kernel", "irregular", "block-2"])
    def test_the_ratio_is_of_the_whole_layer(self, pattern: str) -> None:
        """Three rounds prune as many units as one shot."""
        dense = PrunedNetwork(chain())
        once, thrice = (prune_in_rounds(dense, pattern, 0.6, select_by_magnitude, rounds=n) for n in (1, 3))
        assert thrice.kept_weights == once.kept_weights

    def test_rounds_see_trained_weights(self) -> None:
        """Pruning little by little is not pruning at once: the second round ranks what the first retraining made."""
        dense = PrunedNetwork(chain())
        once = prune_in_rounds(dense, "irregular", 0.6, select_by_magnitude, Trainer())
        thrice = prune_in_rounds(dense, "irregular", 0.6, select_by_magnitude, Trainer(), rounds=3)
        assert any((once.masks[name].kept != thrice.masks[name].kept).any() for name in once.masks)

    @pytest.mark.parametrize("name", ["magnitude", "random", "activation-sum"])
    def test_maps_go_by_and_by(self, name: str) -> None:
        """Of 5 and 7 maps, 60 % in three geometric rounds: 4, 3, 2 and 5, 4, 3 stay, as of the whole network."""
        trainer = Trainer()
        choose = bound(name)
        if name == "activation-sum":
            choose = lambda space, ratio: SELECTORS[name](space, ratio, Trial(images=images_for(space.network)))  # noqa: E731
        prune_in_rounds(PrunedNetwork(chain()), "feature-map", 0.6, choose, trainer, rounds=3)
        widths = [(x.network.shapes["conv2"][0], x.network.shapes["fc3"][0]) for x in trainer.seen]
        # 1 - 0.4 ** (1/3) = 26 %, 46 %, 60 %: round(1.3), round(2.3), round(3.0) of 5; round(1.8), (3.2), (4.2) of 7
        assert widths == [(4, 5), (3, 4), (2, 3)]

    def test_ratios_of_layers(self) -> None:
        """Each layer has its own, from a mapping or from a function of the space."""
        ratio = {"conv2": 0.5, "fc3": 0.25}
        asked: list[Ratio] = [ratio, lambda space: {name: ratio[name] for name in space.patterns}]  # type: ignore[list-item]
        for given_ratio in asked:
            pruned = prune_in_rounds(PrunedNetwork(chain()), "irregular", given_ratio, select_by_magnitude, rounds=2)
            assert pruned.masks["conv2"].kept.mean() == 0.5
            assert pruned.masks["fc3"].kept.mean() == 0.75

    def test_stages_one_after_another(self) -> None:
        """Kernels first, then strides within what is left; a pattern for other layers leaves the first masks alone."""
        kernels = prune_in_rounds(PrunedNetwork(chain()), "kernel/dense", 0.4, select_by_magnitude)
        product = prune_in_rounds(kernels, "kernel+ikss/dense", 0.75, select_by_magnitude)
        assert not (product.masks["conv2"].kept & ~kernels.masks["conv2"].kept).any()
        assert product.masks["conv2"].kept.sum() <= 45
        blocks = prune_in_rounds(product, "dense/block-2", 0.5, select_by_magnitude)
        assert {name: mask.pattern for name, mask in blocks.masks.items()} == {"conv2": "kernel+ikss", "fc3": "block-2"}


@pytest.mark.parametrize(
    ("pattern", "ratio", "rounds", "message"),
    [
        ("kernel", 1.0, 3, "conv2: ratio must be at least 0 and less than 1, got 1.0"),
        ("feature-map", 0.95, 1, "conv2: pruning 95% as feature-map would remove the whole layer"),
        ("feature-map", 0.95, 3, "conv2: pruning 100% as feature-map would remove the whole layer"),
        ("kernel", 0.99, 2, "conv2: pruning 99% as kernel would remove the whole layer"),
        ("feature-map/block-2", 0.5, 1, "chain: prune feature maps first, then other patterns inside what is left"),
        ("kernel/dense/x", 0.5, 1, "unknown pattern 'dense/x'"),
        ("dense/kernel", 0.5, 1, "chain: no layer can have the pattern dense/kernel; spared: conv1, fc4"),
    ],
)
def test_bad_input(pattern: str, ratio: float, rounds: int, message: str) -> None:
    """What cannot be asked for is said in one line."""
    with pytest.raises(EspalierError, match=f"^{message}"):
        prune_in_rounds(PrunedNetwork(chain()), pattern, ratio, select_by_magnitude, rounds=rounds)
