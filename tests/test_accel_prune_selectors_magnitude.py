from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import PATTERNS, Mask, few, group_of, is_legal, legal_masks, shapes, strided_taps
from support.networks import Array, Sketch, chain, networks, residual, scalar_layer

from accel.errors import EspalierError
from accel.network import Network
from accel.prune import Space, map_groups, remove_maps, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.sparsity import parse_pattern

# One unit of a pattern is what goes or stays as a whole: how many units there are, and how many stay.
COUNTED = [pattern for pattern in PATTERNS if pattern not in ("dense", "1:2", "2:4", "3:5") and "ikss" not in pattern]
ratios = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.6])


def blocks(pattern: str, kept: Mask) -> Mask:
    """Return which blocks stay, from the first corner of each."""
    size = int(pattern.removeprefix("block-"))
    return kept.reshape(len(kept), -1)[::size, ::size]


def units(pattern: str, kept: Mask) -> Mask:
    """Return which units of a legal mask stay, one flag for each."""
    if pattern == "feature-map":
        return kept[:, 0, 0]
    if pattern.startswith("kernel"):
        return kept[:: group_of(pattern), :, 0]
    return blocks(pattern, kept) if pattern.startswith("block-") else kept


def taps_that_fit(maps: int, taps: int, rest: bool, most: int) -> int:
    """Return the largest number of taps, at most `most`, that strides and offsets of `maps` maps keep in all."""
    sizes = {len(x) for x in strided_taps(taps, rest)}
    sums = {0}
    for _ in range(maps):
        sums = {total + size for total in sums for size in sizes}
    return max(total for total in sums if total <= most)


def choose(weights: Any, pattern: str, ratio: float) -> Mask:
    """Return the mask that is chosen for one convolution with these weights (M, C, T)."""
    array = np.asarray(weights, float)
    network = scalar_layer(array, (1, array.shape[2]))
    kind = parse_pattern(pattern)
    return select_by_magnitude(Space(network, {"conv": kind}), ratio)["conv"].kept


@st.composite
def weight_arrays(draw: st.DrawFn, taps: tuple[int, ...] = (2, 3, 4, 9)) -> Array:
    """Draw random weights (M, C, T), all different."""
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.sampled_from(taps))
    return np.random.default_rng(draw(st.integers(0))).normal(size=shape)


class TestRatio:
    @pytest.mark.parametrize("pattern", PATTERNS[1:])
    @few
    @given(network=networks(), ratio=ratios)
    def test_masks_are_legal(self, pattern: str, network: Network, ratio: float) -> None:
        """On every layer of a random network the mask is of its pattern, by the definition of the pattern."""
        try:
            masks = select_by_magnitude(Space.of(network, pattern, spare=()), ratio)
        except EspalierError as error:
            assert "would remove the whole layer" in str(error)  # noqa: PT017  # small layers have few units
            return
        for layer in network.weighted:
            if layer.name in masks:
                mask = masks[layer.name]
                assert mask.pattern == pattern
                assert mask.kept.shape == layer.lowered_shape
                assert is_legal(pattern, mask.kept)

    @pytest.mark.parametrize("pattern", COUNTED)
    @few
    @given(weights=weight_arrays(), ratio=ratios)
    def test_the_share_of_units_that_goes(self, pattern: str, weights: Array, ratio: float) -> None:
        """Of n units round(ratio * n) go: what was asked for, to within half a unit."""
        total = units(pattern, np.ones(weights.shape, bool)).size
        if round(ratio * total) == total:  # more than half of the only unit
            with pytest.raises(EspalierError, match="would remove the whole layer"):
                choose(weights, pattern, ratio)
            return
        gone = int((~units(pattern, choose(weights, pattern, ratio))).sum())
        assert gone == round(ratio * total)
        assert abs(gone - ratio * total) <= 0.5

    @pytest.mark.parametrize("pattern", ["ikss", "ikss-rest"])
    @few
    @given(weights=weight_arrays(), ratio=ratios)
    def test_the_share_of_taps_that_goes(self, pattern: str, weights: Array, ratio: float) -> None:
        """No more than round((1 - ratio) * C * T) taps stay, and no strides and offsets keep a number nearer to it."""
        _, maps, taps = weights.shape
        most = taps_that_fit(maps, taps, pattern == "ikss-rest", round((1 - ratio) * maps * taps))
        if most == 0:
            with pytest.raises(EspalierError, match="would remove the whole layer"):
                choose(weights, pattern, ratio)
        else:
            assert choose(weights, pattern, ratio)[0].sum() == most

    @pytest.mark.parametrize("pattern", ["kernel+ikss", "kernel+ikss-rest", "kernel@2+ikss"])
    @few
    @given(weights=weight_arrays(), ratio=ratios)
    def test_the_share_of_weights_of_the_product(self, pattern: str, weights: Array, ratio: float) -> None:
        """Taps keep the root of the density, kernels the rest: no more weights than asked for, and less by no kernel.

        Unless the strides that come nearest to the root leave less by themselves; then all kernels stay.
        """
        outputs, maps, taps = weights.shape
        most = round((1 - ratio) * weights.size)
        by_taps = taps_that_fit(maps, taps, "rest" in pattern, round((1 - ratio) ** 0.5 * maps * taps))
        if by_taps == 0 or most == 0:
            with pytest.raises(EspalierError, match="would remove the whole layer"):
                choose(weights, pattern, ratio)
            return
        try:
            kept = int(choose(weights, pattern, ratio).sum())
        except EspalierError:
            kept = 0  # the best kernel alone has more weights than may stay
        assert kept <= most
        assert kept > most - taps * group_of(pattern) or kept == outputs * by_taps

    @pytest.mark.parametrize("ratio", [0.0, 0.9])
    def test_runs_have_their_own_ratio(self, ratio: float) -> None:
        """2:4 keeps 2 of 4 whatever the ratio says, and all of a last run of 2."""
        kept = choose(np.arange(1, 7).reshape(1, 2, 3), "2:4", ratio)
        assert kept.ravel().astype(int).tolist() == [0, 0, 1, 1, 1, 1]

    def test_a_ratio_for_each_layer(self) -> None:
        """A mapping gives each layer its own: of the 4 kernels of conv1 and the 8 of conv2 a quarter and a half go."""
        sketch = Sketch(2, 5, 5)
        sketch.conv("conv1", 2)
        sketch.conv("conv2", 4)
        space = Space.of(sketch.network(), "kernel", spare=())
        masks = select_by_magnitude(space, {"conv1": 0.25, "conv2": 0.5})
        assert {name: int(mask.kept[:, :, 0].sum()) for name, mask in masks.items()} == {"conv1": 3, "conv2": 4}


def masks_of(pattern: str, like: Mask) -> Iterator[Mask]:
    """Yield every legal mask of `pattern` that keeps as many units as `like`."""
    outputs, maps, taps = like.shape
    ones = np.ones(like.shape, bool)
    if ":" in pattern:
        m = int(pattern.split(":")[1])
        runs = [(row, first) for row in range(outputs) for first in range(0, maps * taps, m)]
        lowered = like.reshape(outputs, -1)
        sizes = [lowered[row, first : first + m].size for row, first in runs]
        counts = [int(lowered[row, first : first + m].sum()) for row, first in runs]
        for choice in product(*(combinations(range(size), n) for size, n in zip(sizes, counts, strict=True))):
            kept = np.zeros((outputs, maps * taps), bool)
            for (row, first), columns in zip(runs, choice, strict=True):
                kept[row, first + np.array(columns, int)] = True
            yield kept.reshape(like.shape)
        return
    total, stay = units(pattern, ones).shape, int(units(pattern, like).sum())
    for chosen in combinations(range(int(np.prod(total))), stay):
        flags = np.zeros(total, bool)
        flags.ravel()[list(chosen)] = True
        if pattern == "feature-map":
            yield ones & flags[:, None, None]
        elif pattern == "kernel":
            yield ones & flags[:, :, None]
        elif pattern.startswith("block-"):
            size = int(pattern.removeprefix("block-"))
            wide = flags.repeat(size, axis=0).repeat(size, axis=1)
            yield wide[:outputs, : maps * taps].reshape(like.shape)
        else:
            yield flags


class TestSmallestSums:
    @pytest.mark.parametrize(
        ("pattern", "shape", "ratio"),
        [
            ("feature-map", (5, 2, 2), 0.4),
            ("kernel", (3, 3, 4), 0.5),
            ("block-2", (3, 2, 3), 0.5),
            ("block-3", (4, 2, 4), 0.4),
            ("irregular", (3, 2, 2), 0.6),
            ("1:2", (1, 2, 4), 0.0),
            ("2:4", (1, 3, 4), 0.0),
            ("3:5", (1, 2, 4), 0.0),
        ],
    )
    @pytest.mark.parametrize("seed", [0, 1])
    def test_no_other_mask_loses_less(self, pattern: str, shape: tuple[int, int, int], ratio: float, seed: int) -> None:
        """Among all legal masks that keep as many units, listed one by one, the chosen one loses the least of |w|.

        It is the only one that does: numbers drawn at random have no two sums that are equal.
        """
        weights = np.random.default_rng(seed).normal(size=shape)
        kept = choose(weights, pattern, ratio)
        lost = sorted((float(np.abs(weights)[~other].sum()), other.tolist()) for other in masks_of(pattern, kept))
        assert len(lost) > 1
        assert kept.tolist() == lost[0][1]
        assert lost[1][0] > lost[0][0]

    @pytest.mark.parametrize("pattern", ["ikss", "ikss-rest"])
    @pytest.mark.parametrize(
        ("maps", "taps", "ratio"), [(3, 4, 0.3), (3, 4, 0.6), (2, 9, 0.5), (2, 9, 0.8), (4, 3, 0.5)]
    )
    def test_the_knapsack_is_optimal(self, pattern: str, maps: int, taps: int, ratio: float) -> None:
        """Of all strides and offsets of all maps together, those that keep as many taps keep no more of |w|."""
        weights = np.random.default_rng(maps * taps).normal(size=(2, maps, taps))
        kept = choose(weights, pattern, ratio)
        sums = np.abs(weights).sum(axis=0)
        found = sorted(
            sum(float(sums[index, list(tap)].sum()) for index, tap in enumerate(choice))
            for choice in product(strided_taps(taps, pattern == "ikss-rest"), repeat=maps)
            if sum(map(len, choice)) == kept[0].sum()
        )
        assert float(sums[kept[0]].sum()) == pytest.approx(found[-1], rel=1e-12)
        assert found[-2] < found[-1] * (1 - 1e-9)

    @few
    @given(weights=weight_arrays(), ratio=ratios)
    def test_the_product_drops_the_kernels_that_weigh_least(self, weights: Array, ratio: float) -> None:
        """Among the taps that the strides leave, no kernel that goes has a larger mean |w| than one that stays."""
        try:
            kept = choose(weights, "kernel+ikss", ratio)
        except EspalierError:
            return
        taps = choose(weights, "ikss", 1 - (1 - ratio) ** 0.5)
        means = np.where(taps, np.abs(weights), 0).sum(axis=2) / np.maximum(taps.sum(axis=2), 1)
        stays, goes = kept.any(axis=2), taps.any(axis=2) & ~kept.any(axis=2)
        assert np.array_equal(kept, taps & stays[:, :, None])
        assert not goes.any() or means[goes].max() < means[stays].min()

    @pytest.mark.parametrize("pattern", [*COUNTED, "1:2", "2:4", "3:5", "ikss", "ikss-rest"])
    @few
    @given(data=st.data())
    def test_what_was_planted_is_found(self, pattern: str, data: st.DataObject) -> None:
        """Where the weights of a legal mask are a thousand times as large as all others, that mask is chosen.

        Were the largest weights elsewhere, another one would be (if strides and runs leave a choice).
        """
        shape = data.draw(shapes.filter(lambda shape: shape[2] > 1))  # a kernel of one tap has no kernel pattern
        planted = data.draw(legal_masks(pattern, shape).filter(lambda kept: bool(kept.any())))
        noise = np.random.default_rng(data.draw(st.integers(0))).uniform(0.9, 1.1, shape)
        flags = planted[0] if "ikss" in pattern else planted if ":" in pattern else units(pattern, planted)
        ratio = 1 - float(flags.mean())
        assert np.array_equal(choose(np.where(planted, 1.0, 0.001) * noise, pattern, ratio), planted)
        if not planted.all() and ":" not in pattern and "ikss" not in pattern:
            assert not np.array_equal(choose(np.where(planted, 0.001, 1.0) * noise, pattern, ratio), planted)

    def test_a_planted_product_is_found(self) -> None:
        """Half of the taps and half of the kernels, large among small: a quarter of the weights is them."""
        kernels = np.array([[1, 0], [0, 1]], bool)[:, :, None]
        taps = np.array([[1, 0, 1, 0], [0, 1, 0, 1]], bool)[None]
        weights = np.where(kernels & taps, 1.0, 0.01)
        assert np.array_equal(choose(weights, "kernel+ikss", 0.75), kernels & taps)
        assert not np.array_equal(choose(weights, "kernel+ikss", 0.5), kernels & taps)

    def test_equal_weights_go_in_order(self) -> None:
        """Ties are broken by position, so that the same network always gives the same mask."""
        kept = choose(np.ones((2, 3, 2)), "kernel", 0.5)
        assert kept[:, :, 0].astype(int).tolist() == [[0, 0, 0], [1, 1, 1]]

    @pytest.mark.parametrize("pattern", PATTERNS[1:])
    def test_the_same_masks_again(self, pattern: str) -> None:
        """Nothing is drawn at random: two calls agree; another network gives other masks."""
        masks, again, other = (
            select_by_magnitude(Space.of(network, pattern), 0.5) for network in (chain(0), chain(0), chain(1))
        )
        assert all(np.array_equal(masks[name].kept, again[name].kept) for name in masks)
        if pattern != "block-16":  # one block of which half stays: all
            assert not all(np.array_equal(masks[name].kept, other[name].kept) for name in masks)


class TestTiedMaps:
    def tied(self, first: list[float], second: list[float], kernel: int = 3) -> Network:
        """Return a network that adds conv1 (1 x 1) and conv2, whose maps have these sums of |w|."""
        sketch = Sketch(2, 5, 5)
        sketch.conv("conv1", len(first), kernel=1)
        sketch.conv("conv2", len(second), kernel=kernel, padding=kernel // 2)
        sketch.add("add", "conv1", "conv2")
        network = sketch.network()
        shares = {}
        for layer, sums in zip(network.weighted, (first, second), strict=True):
            each = np.array(sums) / np.prod(layer.weight.shape[1:])
            shares[layer.name] = np.float32(np.ones(layer.weight.shape) * each[:, None, None, None])
        return network.with_weights(shares)

    def test_maps_that_are_added_are_scored_together(self) -> None:
        """conv1 alone would lose map 0, conv2 alone map 1; their sums are 7, 6 and 5, so that both lose map 2."""
        network = self.tied([1, 5, 2], [6, 1, 3])
        masks = select_by_magnitude(Space.of(network, "feature-map", spare=()), 1 / 3)
        assert [masks[name].kept[:, 0, 0].tolist() for name in ("conv1", "conv2")] == [[True, True, False]] * 2
        irregular = select_by_magnitude(Space.of(network, "irregular", spare=()), 1 / 3)
        assert not irregular["conv1"].kept[0].any()  # each layer by itself

    @few
    @given(seed=st.integers(0), ratio=ratios)
    def test_they_agree(self, seed: int, ratio: float) -> None:
        """Whatever the sizes of the kernels, tied layers choose the same maps, and narrowing takes them."""
        network = residual(seed)
        masks = select_by_magnitude(Space.of(network, "feature-map", spare=["fc5"]), ratio)
        for name in masks:
            for member in map_groups(network)[name]:
                assert np.array_equal(masks[member].kept[:, 0, 0], masks[name].kept[:, 0, 0])
        smaller = remove_maps(PrunedNetwork(network), masks).network
        assert smaller.shapes["add"][0] == 4 - round(ratio * 4)

    def test_features_that_are_added_are_scored_together(self) -> None:
        """Fully connected layers may be tied too."""
        sketch = Sketch(2, 2, 2)
        sketch.flatten()
        trunk = sketch.linear("fc1", 4)
        sketch.add("add", trunk, sketch.linear("fc2", 4))
        sketch.linear("fc3", 2)
        masks = select_by_magnitude(Space.of(sketch.network(), "feature-map", spare=["fc3"]), 0.5)
        assert np.array_equal(masks["fc1"].kept[:, 0], masks["fc2"].kept[:, 0])
        assert masks["fc1"].kept[:, 0].sum() == 2


@pytest.mark.parametrize(
    ("pattern", "ratio", "message"),
    [
        ("kernel", -0.1, "conv2: ratio must be at least 0 and less than 1, got -0.1"),
        ("kernel", 1.0, "conv2: ratio must be at least 0 and less than 1, got 1.0"),
        ("kernel", float("nan"), "conv2: ratio must be at least 0 and less than 1, got nan"),
        ("irregular", {"conv2": 0.5}, "fc3: ratio must be at least 0 and less than 1, got nan"),
        ("kernel", 0.99, "conv2: pruning 99% as kernel would remove the whole layer"),  # 20 kernels
        ("feature-map", 0.95, "conv2: pruning 95% as feature-map would remove the whole layer"),  # 5 maps
        ("block-16", 0.8, "fc3: pruning 80% as block-16 would remove the whole layer"),  # 1 x 2 blocks
        ("ikss", 0.99, "conv2: pruning 99% as ikss would remove the whole layer"),  # 36 taps
        ("kernel+ikss", 0.999, r"conv2: pruning 100% as kernel\+ikss would remove the whole layer"),
        ("dense", 0.5, "conv2: there is nothing to choose in masks of the pattern dense"),
    ],
)
def test_what_cannot_be_asked_for(pattern: str, ratio: float | dict[str, float], message: str) -> None:
    """A ratio that is none, is missing, or leaves nothing of a layer is refused in one line."""
    with pytest.raises(EspalierError, match=f"^{message}$"):
        select_by_magnitude(Space.of(chain(), pattern), ratio)
