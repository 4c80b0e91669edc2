from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import PATTERNS, few, group_of, is_legal, strided_taps
from support.networks import chain, networks, residual, scalar_layer

from accel.errors import EspalierError
from accel.network import Network
from accel.prune import Genome, Space, select_by_magnitude
from accel.prune.genome import Genes
from accel.prune.strides import Sums
from accel.sparsity import LayerMask, parse_pattern

CHOSEN = [pattern for pattern in PATTERNS if pattern != "dense"]
ratios = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
seeds = st.integers(0, 2**32 - 1)


def layer_genome(pattern: str, shape: tuple[int, int, int], ratio: float, seed: int = 0) -> Genome:
    """Return the genome of one convolution of random weights."""
    weights = np.random.default_rng(seed).normal(size=shape)
    network = scalar_layer(weights, (1, shape[2]))
    return Genome.of(Space(network, {"conv": parse_pattern(pattern)}), ratio)


def sizes(genome: Genome, genes: Genes) -> dict[str, int]:
    """Return how many weights each layer keeps."""
    return {name: int(mask.kept.sum()) for name, mask in genome.masks(genes).items()}


class TestMasks:
    @pytest.mark.parametrize("pattern", CHOSEN)
    @few
    @given(network=networks(), ratio=ratios, seed=seeds)
    def test_all_are_legal_and_prune_as_much(self, pattern: str, network: Network, ratio: float, seed: int) -> None:
        """Drawn, crossed or mutated: of its pattern by definition, with as many units as magnitude keeps.

        Blocks and groups at an edge are smaller and products keep all they may of kernels that differ in size, so that
        weights are compared to within a unit: one block, group or kernel.
        """
        space = Space.of(network, pattern, spare=())
        rng = np.random.default_rng(seed)
        try:
            genome, chosen = Genome.of(space, ratio), select_by_magnitude(space, ratio)
            drawn = [genome.draw(rng), genome.draw(rng)]
            family = [*drawn, genome.cross(*drawn, rng), genome.mutate(drawn[0], 0.2, rng)]
            everyone = [genome.masks(genes) for genes in family]
        except EspalierError as error:
            assert "would remove the whole layer" in str(error)  # noqa: PT017  # small layers have few units
            return
        for masks in everyone:
            assert masks.keys() == chosen.keys()
            for name, mask in masks.items():
                assert is_legal(pattern, mask.kept)
                assert mask.kept.any()
                if pattern.startswith("block-") or pattern == "kernel@3":
                    count = parse_pattern(pattern).flags  # type: ignore[attr-defined]
                    assert count(mask.kept).sum() == count(chosen[name].kept).sum()
                elif "+" not in pattern:
                    assert mask.kept.sum() == chosen[name].kept.sum()

    @pytest.mark.parametrize("pattern", ["kernel+ikss", "kernel+ikss-rest", "kernel@2+ikss"])
    @few
    @given(ratio=st.sampled_from([0.2, 0.5, 0.8]), seed=seeds)
    def test_products_keep_all_they_may(self, pattern: str, ratio: float, seed: int) -> None:
        """No more weights than the ratio leaves, and less by no kernel or group: the taps of one map at most."""
        shape = (6, 5, 9)
        genome, rng = layer_genome(pattern, shape, ratio), np.random.default_rng(seed)
        drawn = [genome.draw(rng), genome.draw(rng)]
        most = round((1 - ratio) * 6 * 5 * 9)
        for genes in [*drawn, genome.cross(*drawn, rng), genome.mutate(drawn[0], 0.3, rng)]:
            kept = genome.masks(genes)["conv"].kept
            taps = kept.any(axis=0)
            whole = bool((kept.any(axis=2) | ~taps.any(axis=1)).all())  # strides alone prune enough
            assert kept.sum() <= most
            assert kept.sum() > most - 9 * group_of(pattern) or whole

    @pytest.mark.parametrize("pattern", CHOSEN)
    def test_the_same_seed(self, pattern: str) -> None:
        """The same seed gives the same masks, another one others."""
        genome = Genome.of(Space.of(chain(), pattern), 0.5)
        first, again, other = (genome.masks(genome.draw(np.random.default_rng(seed))) for seed in (1, 1, 2))
        assert all(np.array_equal(first[name].kept, again[name].kept) for name in first)
        if pattern not in ("block-16", "kernel@2+ikss"):  # of one or two blocks, half; of few taps in few groups
            assert not all(np.array_equal(first[name].kept, other[name].kept) for name in first)

    def test_tied_maps_are_drawn_once(self) -> None:
        """conv1 and conv3 of the residual network lose the same maps, drawn, crossed or mutated."""
        genome = Genome.of(Space.of(residual(), "feature-map", spare=["fc5"]), 0.5)
        rng = np.random.default_rng(0)
        drawn = [genome.draw(rng), genome.draw(rng)]
        for genes in [*drawn, genome.cross(*drawn, rng), genome.mutate(drawn[0], 0.5, rng)]:
            masks = genome.masks(genes)
            assert np.array_equal(masks["conv1"].kept.any(axis=(1, 2)), masks["conv3"].kept.any(axis=(1, 2)))


class TestOperators:
    @pytest.mark.parametrize("pattern", CHOSEN)
    def test_a_child_has_what_both_parents_have(self, pattern: str) -> None:
        """Crossing a gene with itself gives it back; weights that both parents keep or lose are kept or lost."""
        genome = layer_genome(pattern, (6, 4, 4), 0.5)
        rng = np.random.default_rng(3)
        left, right = genome.draw(rng), genome.draw(rng)
        a, b = (genome.masks(genes)["conv"].kept for genes in (left, right))
        child = genome.masks(genome.cross(left, right, rng))["conv"].kept
        same = genome.masks(genome.cross(left, left, rng))["conv"].kept
        if "+" not in pattern:  # a product's taps and kernels come from either parent by themselves
            assert not (child & ~(a | b)).any()
            assert not (a & b & ~child).any()
            assert np.array_equal(same, a)

    @pytest.mark.parametrize("pattern", [pattern for pattern in CHOSEN if pattern != "block-16"])
    def test_mutation_moves(self, pattern: str) -> None:
        """At least one swap happens, however small the rate, and few do: most of the mask stays."""
        genome = layer_genome(pattern, (8, 6, 4), 0.5)
        rng = np.random.default_rng(0)
        genes = genome.draw(rng)
        before = genome.masks(genes)["conv"].kept
        changes = [(genome.masks(genome.mutate(genes, 0.0, rng))["conv"].kept != before).sum() for _ in range(20)]
        assert max(changes) > 0
        assert np.median(changes) <= before.size / 3
        if "ikss" not in pattern:  # two maps may draw what they had
            assert min(changes) > 0

    def test_no_choice_no_mutation(self) -> None:
        """Where nothing is pruned there is one gene, and it stays."""
        genome = layer_genome("kernel", (3, 3, 4), 0.0)
        genes = genome.draw(np.random.default_rng(0))
        assert genome.mutate(genes, 0.5, np.random.default_rng(0)) is genes


class TestSums:
    @few
    @given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=1, max_size=4), st.integers(0, 12))
    def test_the_largest_and_the_best(self, lists: list[list[int]], most: int) -> None:
        """Against all choices one by one: the largest sum, and the most valuable choice that has it."""
        sums = Sums([np.array(x) for x in lists], most)
        choices = list(product(*(range(len(x)) for x in lists)))
        totals = [sum(x[i] for x, i in zip(lists, choice, strict=True)) for choice in choices]
        reached = [total for total in totals if total <= most]
        assert sums.largest == max(reached, default=-1)
        if reached:
            values = [np.random.default_rng(i).random(len(x)) for i, x in enumerate(lists)]
            worth = {
                choice: sum(v[i] for v, i in zip(values, choice, strict=True))
                for choice, total in zip(choices, totals, strict=True)
                if total == sums.largest
            }
            assert tuple(sums.best(values, sums.largest)) == max(worth, key=lambda choice: worth[choice])

    def test_every_choice_is_equally_likely(self) -> None:
        """Of the three ways to a sum of 4 each is drawn a third of the times, to within five standard deviations."""
        sums = Sums([np.array([0, 1, 2, 2]), np.array([1, 2, 3])], 4)
        rng = np.random.default_rng(0)
        counts = Counter(tuple(sums.draw(4, rng).tolist()) for _ in range(3_000))
        assert counts.keys() == {(1, 2), (2, 1), (3, 1)}  # 1 + 3, and 2 + 2 in two ways
        assert all(abs(count - 1_000) < 5 * (3_000 * 2 / 9) ** 0.5 for count in counts.values())

    def test_many_maps_do_not_overflow(self) -> None:
        """256 maps with more than 16 choices each: more ways than a float counts."""
        genome = layer_genome("ikss", (1, 256, 16), 0.8)
        kept = genome.masks(genome.draw(np.random.default_rng(0)))["conv"].kept
        assert kept.sum() == round(0.2 * 256 * 16)


class TestWithin:
    @pytest.mark.parametrize("pattern", CHOSEN)
    @few
    @given(seed=seeds)
    def test_nothing_comes_back(self, pattern: str, seed: int) -> None:
        """Within the masks of an earlier round every gene, and magnitude's, keeps a subset, and meets the new ratio."""
        network, rng = chain(), np.random.default_rng(seed)
        before = Genome.of(Space.of(network, pattern), 0.3)
        masks = before.masks(before.draw(rng))
        space = Space.of(network, pattern, within=masks)
        genome = Genome.of(space, 0.5)
        drawn = [genome.draw(rng), genome.draw(rng)]
        family = [*drawn, genome.cross(*drawn, rng), genome.mutate(drawn[0], 0.2, rng), genome.strongest()]
        for genes in family:
            for name, mask in genome.masks(genes).items():
                assert not (mask.kept & ~masks[name].kept).any()
                assert is_legal(pattern, mask.kept)
                if pattern in ("kernel", "irregular", "feature-map"):
                    assert mask.kept.any(axis=(1, 2)).any()
                    expected = select_by_magnitude(Space.of(network, pattern), 0.5)[name].kept.sum()
                    assert mask.kept.sum() == expected

    def test_strides_widen(self) -> None:
        """A map that keeps the taps 1, 3, 5, 7 may then keep two of them, or one, or none, but not 0 or 2."""
        taps = np.isin(np.arange(9), [1, 3, 5, 7])
        space = Space.of(chain(), "ikss", within={"conv2": LayerMask("ikss", np.broadcast_to(taps, (5, 4, 9)))})
        seen = set()
        for seed in range(30):
            genome = Genome.of(space, 0.75)
            kept = genome.masks(genome.draw(np.random.default_rng(seed)))["conv2"].kept[0]
            seen |= {tuple(np.flatnonzero(row).tolist()) for row in kept}
            assert kept.sum() == 9
        subsets = {x for x in strided_taps(9, rest=False) if set(x) <= {1, 3, 5, 7}}
        assert seen <= subsets
        assert len(seen) > 5

    def test_too_little_for_runs(self) -> None:
        """2:4 cannot be met where an earlier round left one of four."""
        kept = np.zeros((5, 4, 9), bool)
        kept[..., ::4] = True
        space = Space.of(chain(), "2:4", spare=["conv1", "fc3", "fc4"], within={"conv2": LayerMask("irregular", kept)})
        with pytest.raises(EspalierError, match=r"^conv2: earlier rounds left too little to keep 2:4$"):
            Genome.of(space, 0.5)

    def test_a_mask_must_fit(self) -> None:
        """Masks of another network are refused."""
        within = {"conv2": LayerMask("kernel", np.ones((5, 3, 9), bool))}
        with pytest.raises(EspalierError, match=r"^conv2: a mask of shape \(5, 3, 9\) does not fit this layer$"):
            Space.of(chain(), "kernel", within=within)
