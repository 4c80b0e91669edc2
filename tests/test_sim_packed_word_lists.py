"""`sim.packed.word_lists`: what entries read, by brute force; how few words a pattern needs, in closed form."""

from typing import Any

import numpy as np
import pytest

from sim.kernels.dots import Avx2, Avx512Vnni, AvxVnni, Portable
from sim.packed.tensors import in_fours
from sim.packed.word_lists import Lists, lists_of, order_by_taps, word_codes

SHAPES = [(4, 4, (3, 3)), (5, 3, (5, 5)), (8, 7, (1, 1)), (1, 9, (2, 4)), (6, 4, (1, 5))]
MUCH = [10**6, 1]  # pixels: lists of one output cost nothing
LITTLE = [1, 10**6]


def random_mask(shape: tuple[int, int, tuple[int, int]], density: float, seed: int = 0) -> Any:
    """Return a mask (outputs, maps, taps)."""
    outputs, maps, kernel = shape
    return np.random.default_rng(seed).random((outputs, maps, kernel[0] * kernel[1])) < density


def lists_for(kept: Any, kernel: tuple[int, int], pixels: list[int], pairs: bool = False) -> Lists:
    """Return lists of a mask whose maps and outputs lie in their own order."""
    outputs, maps, _ = kept.shape
    return lists_of(kept, in_fours(np.arange(maps)), in_fours(np.arange(outputs)), kernel, pixels, pairs)


def sum_by_lists(lists: Lists, matrix: Any, x: Any, maps: int, pixel: int) -> Any:
    """Return every output's sum over a window of `x` (maps, height, width + 8), read as the lists say.

    `pixel` 1 is the right one of a pair: its window starts one column on.
    """
    places = in_fours(np.arange(maps))
    sums, begin = np.zeros(len(lists.outputs), np.int64), 0
    weights = lists.weights(matrix)
    for item, end in enumerate(lists.ends):
        for entry in range(begin, end):
            view, (down, across) = lists.views[entry], lists.taps[entry]
            if view < len(places) // 4:
                of_maps = places[4 * view : 4 * view + 4]
                codes = [x[c, down, across] if c >= 0 else 0 for c in of_maps]
            else:
                codes = x[places[view - len(places) // 4], down, across : across + 4]
            for row in range(lists.rows):
                sums[item * lists.rows + row] += int(np.dot(weights[entry, row, pixel], codes))
        begin = end
    return sums[: len(matrix)]


class TestSums:
    @pytest.mark.parametrize("pixels", [MUCH, LITTLE], ids=["one output", "four outputs"])
    @pytest.mark.parametrize("pairs", [False, True])
    @pytest.mark.parametrize("density", [0.1, 0.5, 1.0])
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_every_weight_meets_its_code(self, shape: Any, density: float, pairs: bool, pixels: list[int]) -> None:
        """Whatever the words: the sums are those of the matrix, for both pixels where they share words."""
        (outputs, maps, kernel), kept = shape, random_mask(shape, density)
        rng = np.random.default_rng(1)
        matrix = np.where(kept, rng.integers(1, 100, kept.shape), 0).reshape(outputs, -1)
        x = rng.integers(1, 256, (maps, kernel[0], kernel[1] + 8))
        lists = lists_for(kept, kernel, pixels, pairs)
        for pixel in range(1 + lists.paired):
            window = x[:, :, pixel : pixel + kernel[1]].reshape(-1)
            assert np.array_equal(sum_by_lists(lists, matrix, x, maps, pixel), matrix @ window)

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_counts_are_the_kept_weights(self, shape: Any) -> None:
        """Kept weights are counted once, in the list of their output, a weight of 0 too; what fills words is not."""
        kept = random_mask(shape, 0.4)
        for pixels, pairs in ((MUCH, True), (MUCH, False), (LITTLE, False)):
            lists = lists_for(kept, shape[2], pixels, pairs)
            flags = kept.reshape(len(kept), -1)
            expected = np.append(flags.sum(axis=1), 0)[lists.outputs].reshape(-1, lists.rows).sum(axis=1)
            assert lists.counts(flags).tolist() == expected.tolist()
            flags = flags.copy()
            flags[tuple(np.argwhere(flags)[0])] = False  # one kept weight less is one less
            assert lists.counts(flags).sum() == expected.sum() - 1


class TestFewWords:
    def test_dense(self) -> None:
        """Nothing pruned: four maps a word, so a quarter of the weights of an output, four outputs a list."""
        lists = lists_for(np.ones((8, 8, 9), bool), (3, 3), [1, 1])
        assert (lists.rows, lists.paired, lists.sizes.tolist()) == (4, False, [8 * 9 // 4] * 2)

    @pytest.mark.parametrize(("width", "words"), [(1, 1), (3, 1), (4, 2), (5, 2), (7, 2), (8, 3)])
    def test_a_single_kernel_of_pairs(self, width: int, words: int) -> None:
        """Two pixels meet width + 1 columns, four of which are a word, in each row."""
        kept = np.zeros((1, 8, 2 * width), bool)
        kept[0, 5] = True
        lists = lists_for(kept, (2, width), MUCH, pairs=True)
        assert (lists.rows, lists.paired, lists.sizes.tolist()[0]) == (1, True, 2 * words)

    def test_strided_kernels_of_four_maps_each(self) -> None:
        """Maps that meet the same taps lie together: each four needs one word for each tap, with nothing in vain."""
        kept = np.zeros((4, 8, 9), bool)
        kept[:, ::2, 0::4] = True  # taps 0, 4, 8
        kept[:, 1::2, 1::3] = True  # taps 1, 4, 7
        order = order_by_taps(kept)
        lists = lists_of(kept, order, np.arange(4), (3, 3), [1, 10**6])
        assert lists.sizes.tolist() == [3 + 3]
        unordered = lists_for(kept, (3, 3), [1, 10**6])
        assert unordered.sizes.tolist() == [2 * 5]  # taps 0, 1, 4, 7, 8 for each four: the order is what helps

    def test_a_pruned_output_reads_nothing(self) -> None:
        """A list without weights has no entries."""
        kept = np.ones((2, 4, 1), bool)
        kept[0] = False
        assert lists_for(kept, (1, 1), MUCH).sizes.tolist() == [0, 1, 0, 0]


class TestOrder:
    def test_of_maps_that_are_alike_is_their_own(self) -> None:
        """A dense layer's maps stay where they are."""
        assert order_by_taps(np.ones((2, 5, 9), bool)).tolist() == [0, 1, 2, 3, 4]

    def test_whole_fours_come_first(self) -> None:
        """Five maps of one kind and four of another: two whole fours, then the one that is left over."""
        kept = np.zeros((1, 9, 4), bool)
        kept[:, [0, 2, 4, 6, 8], :2] = True
        kept[:, [1, 3, 5, 7], 3] = True
        assert order_by_taps(kept).tolist() == [0, 2, 4, 6, 1, 3, 5, 7, 8]

    def test_is_a_permutation(self) -> None:
        """Every map once, whatever the mask."""
        for seed in range(20):
            order = order_by_taps(random_mask((3, 11, (2, 2)), 0.3, seed))
            assert sorted(order.tolist()) == list(range(11))


class TestWords:
    @pytest.mark.parametrize("kernel", [Avx512Vnni, AvxVnni])
    def test_four_bytes(self, kernel: Any) -> None:
        """Where the processor multiplies bytes, four signed ones are a word, the first lowest."""
        words = word_codes(np.array([[[1, -1, 127, -128]]]), kernel)
        assert [hex(word) for word in words] == ["0x807fff01"]

    @pytest.mark.parametrize("kernel", [Avx2, Portable])
    def test_two_pairs(self, kernel: Any) -> None:
        """Where it multiplies 16-bit numbers: bytes 0 and 2, then 1 and 3."""
        words = word_codes(np.array([[[1, -1, 127, -128]]]), kernel)
        assert [hex(word) for word in words] == ["0x7f0001", "0xff80ffff"]
