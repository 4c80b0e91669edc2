"""From a Program to memory words: what every pattern's index becomes, and where signals lie."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from support.programs import PIXEL, program, programs
from support.rtl_images import ARRAY, POINT, POOL, SIGNED, chain, conv, layer, point

from accel.array import MacArray
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, ReluLayer
from accel.runs import steps_of
from accel.signal import Requantize, Signal
from accel.split import splits, windows_of
from accel.window import Window
from rtl.assemble import assemble
from rtl.image import Image

UNSPLIT = replace(ARRAY, split=False)


def image_of(made: MacLayer, array: MacArray = UNSPLIT) -> Image:
    """Return the memory contents for one layer on maps of 4 x 5, or on a vector."""
    array = replace(array, weight_bits=made.weight_bits)
    if made.window:
        return assemble(program([made], (made.shape[1], 4, 5)), array)
    layers = [FlattenLayer("flat", (INPUT,)), replace(made, inputs=("flat",))]
    return assemble(program(layers, (made.shape[1], 1, 1)), array)


def columns_and_rows(words: list[tuple[int, ...]]) -> list[list[int]]:
    """Return the first lane's weights, row by row of two banks."""
    return [[first[0], second[0]] for first, second in zip(words[::2], words[1::2], strict=True)]


def entries_of(image: Image) -> list[tuple[int, int, int, int, int]]:
    """Return the entries as (base, offset, stride, count, left)."""
    return [(x.base, x.offset, x.stride, x.count, x.left) for x in image.entries]


class TestEntries:
    """Words of a map lie side by side: map 1 of 4 x 5 maps begins at word 20."""

    def test_dense_stores_nothing(self) -> None:
        """A dense convolution is counted: maps of 20 words, all taps of each."""
        image = image_of(layer(np.ones((3, 2, 4)), "dense", POOL))
        assert image.entries == []
        words = image.layers[0]
        assert [words[name] for name in ("counter", "maps_behind", "taps", "input_map")] == [1, 1, 4, 20]

    @pytest.mark.parametrize(("inputs", "after", "taps"), [(100, 1, 50), (64, 0, 64), (67, 66, 1), (12, 0, 12)])
    def test_a_dense_vector_stores_nothing(self, inputs: int, after: int, taps: int) -> None:
        """A dense linear layer is counted: runs of one length, the longest up to 64 words."""
        image = image_of(layer(np.ones((3, inputs, 1)), "dense", weight_bits=10))
        assert image.entries == []
        words = image.layers[0]
        assert [words[name] for name in ("counter", "maps_behind", "taps", "input_map")] == [1, after, taps, taps]

    def test_everything_kept_stores_nothing(self) -> None:
        """A layer of any pattern that prunes nothing is counted too."""
        assert image_of(layer(np.ones((3, 2, 4)), "kernel", POOL)).entries == []

    def test_kernel(self) -> None:
        """A group runs all taps of the maps that any of its outputs keeps; a pruned kernel's lanes hold zeros."""
        kept = np.zeros((3, 3, 4))
        kept[0, 0] = kept[1, 2] = kept[2, 1] = 1
        image = image_of(layer(kept, "kernel", POOL))
        assert entries_of(image) == [(0, 0, 1, 4, 1), (40, 0, 1, 4, 0), (20, 0, 1, 4, 0)]
        first, second = [(tap, 0) for tap in (1, 2, 3, 4)], [(0, 12 + 8 + tap) for tap in (1, 2, 3, 4)]
        assert image.weights == [*first, *second, *[(24 + 4 + tap, 0) for tap in (1, 2, 3, 4)]]

    def test_ikss(self) -> None:
        """One entry a map, of its offset and stride, shared by all groups; a map that keeps no tap has none."""
        kept = np.zeros((4, 4, 9))
        kept[:, 0, 1::3] = kept[:, 1, 4::5] = kept[:, 3, 8:] = 1
        image = image_of(layer(kept, "ikss", Window.square(3), weight_bits=9))
        assert entries_of(image) == [(0, 1, 3, 3, 2), (20, 4, 1, 1, 1), (60, 8, 1, 1, 0)]
        assert image.layers[0]["shared"] == 1

    def test_ikss_rest(self) -> None:
        """What is left beside a stride is cut into as few runs as follow from left to right."""
        kept = np.ones((2, 1, 9))
        kept[:, 0, 2::4] = 0  # 2 and 6 go: 0 1, 3 4 5, 7 8
        image = image_of(layer(kept, "ikss-rest", Window.square(3)))
        assert entries_of(image) == [(0, 0, 1, 2, 2), (0, 3, 1, 3, 1), (0, 7, 1, 2, 0)]

    def test_irregular(self) -> None:
        """Runs of any stride: 0 2 4, then 5 8, then what is left; the next map begins anew."""
        kept = np.zeros((2, 2, 9))
        kept[0, 0, [0, 4, 5]] = kept[1, 0, [2, 8]] = kept[1, 1, [0, 1]] = 1
        image = image_of(layer(kept, "irregular", Window.square(3)))
        assert entries_of(image) == [(0, 0, 2, 3, 2), (0, 5, 3, 2, 1), (20, 0, 1, 2, 0)]
        assert image.weights[:2] == [(1, 0), (0, 18 + 3)]

    def test_block(self) -> None:
        """Blocks of a linear layer are runs of a vector; a group of more rows than a block runs the union."""
        kept = np.kron([[1, 0, 0, 1], [0, 0, 1, 0]], np.ones((2, 2)))[:, :, None]
        assert entries_of(image_of(layer(kept, "block-2"))) == [(0, 0, 1, 2, 1), (0, 6, 1, 2, 0), (0, 4, 1, 2, 0)]
        wide = image_of(layer(kept, "block-2"), replace(UNSPLIT, output_lanes=4))
        assert entries_of(wide) == [(0, 0, 1, 2, 1), (0, 4, 1, 4, 0)]

    def test_a_vector_longer_than_a_run(self) -> None:
        """A run names 64 words of a vector at most: a longer one goes on in the next entry."""
        kept = np.zeros((2, 150, 1))
        kept[:, 61:130] = 1
        image = image_of(layer(kept, "irregular", weight_bits=10))
        assert entries_of(image) == [(0, 61, 1, 3, 2), (64, 0, 1, 64, 1), (128, 0, 1, 2, 0)]
        assert [tap["words"] for tap in image.taps] == list(range(64))

    def test_a_shared_list_is_stored_once(self) -> None:
        """Groups with the same list share it; as soon as one differs, each has its own."""
        kept = np.zeros((6, 2, 4))
        kept[:, 1] = 1
        image = image_of(layer(kept, "kernel", POOL))
        assert (entries_of(image), image.layers[0]["shared"]) == ([(20, 0, 1, 4, 0)], 1)
        kept[5, 0] = 1
        image = image_of(layer(kept, "kernel", POOL))
        assert (len(image.entries), image.layers[0]["shared"]) == (4, 0)

    def test_a_group_that_keeps_nothing(self) -> None:
        """It runs one tap with zeros for weights, because a tile has a step."""
        kept = np.zeros((4, 2, 4))
        kept[:2, 1] = 1
        image = image_of(layer(kept, "kernel", POOL))
        assert entries_of(image) == [(20, 0, 1, 4, 0), (0, 0, 1, 1, 0)]
        assert image.weights[-1] == (0, 0)

    def test_left(self) -> None:
        """Every entry says how many follow it in its list, 3 for more than that; the next list begins anew."""
        kept = np.zeros((4, 6, 1))
        kept[:2], kept[2:, [1, 3, 4]] = 1, 1
        image = image_of(layer(kept, "irregular", POINT))
        assert [(x.base // 20, x.left) for x in image.entries[:6]] == list(enumerate([3, 3, 3, 2, 1, 0]))
        assert [(x.base // 20, x.left) for x in image.entries[6:]] == [(1, 2), (3, 1), (4, 0)]

    @given(programs())
    @settings(max_examples=30, deadline=None)
    def test_every_kept_column_once(self, of: Program) -> None:
        """The entries of a group name exactly the columns that its lanes keep, ascending, with their weights."""
        for made in of.mac_layers:
            matrix, groups = made.matrix, made.lane_columns[ARRAY.output_lanes]
            only = replace(made, inputs=(INPUT,))
            size = of.shapes[made.inputs[0]]
            if len(size) == 1:
                only, size = replace(made, inputs=("flat",)), (*size, 1, 1)
            first = [] if made.window else [FlattenLayer("flat", (INPUT,))]
            if made.window and (made.window.stride[0] != made.window.stride[1] or max(made.window.stride) > 2):
                only = replace(only, window=replace(made.window, stride=(1, 1)))
            array = MacArray(2, 2, 16, 16, 61, split=False, combine=False, multiplier_bits=32)
            reads = of.signals[made.inputs[0]]
            if reads.bits > 16 or (made.output.bits > 16 and made.requantize):
                continue
            image = assemble(program([*first, only], size, reads), array)
            found = columns_of(image, math.prod(size[1:]) if made.window else None, made.shape[2], len(groups))
            assert [x.tolist() for x in groups] == found
            words = [tuple(np.pad(matrix[g * 2 : g * 2 + 2, c], (0, 2))[:2]) for g, x in enumerate(groups) for c in x]
            assert image.weights == words


def columns_of(image: Image, map_words: int | None, taps: int, groups: int) -> list[list[int]]:
    """Return the lowered columns of each group that a walk over the entries gives; a vector's words are its columns."""
    words = image.layers[0]
    if words["counter"]:
        steps = [(place * words["input_map"], 0, 1, words["taps"]) for place in range(words["maps_behind"] + 1)]
        lists = [steps] * groups
    else:
        lists = [[]]
        for entry in image.entries:
            lists[-1].append((entry.base, entry.offset, entry.stride, entry.count))
            if entry.left == 0:
                lists.append([])
        lists = lists[:1] * groups if words["shared"] else lists[:-1]

    def column(base: int, tap: int) -> int:
        return base + tap if map_words is None else base // map_words * taps + tap

    return [[column(b, o + s * i) for b, o, s, count in steps for i in range(count)] for steps in lists]


class TestSplitSums:
    """Windows of two words on two pixel lanes: a tap is a window, weights come in rows of two banks."""

    GEOMETRY = ("split", "height", "width", "top", "left", "origin", "advance")

    def test_a_dense_vector(self) -> None:
        """Five words are three windows; the last one ends with the vector, its first word has a weight of zero."""
        image = image_of(layer(np.ones((2, 5, 1)), "dense"), ARRAY)
        (words,) = image.layers
        assert [words[name] for name in self.GEOMETRY] == [1, 1, 2, 0, 0, 0, 2]
        assert [words[name] for name in ("counter", "maps_behind", "taps")] == [1, 0, 3]
        assert image.taps == [{"rows": 0, "columns": 0, "words": word, "signed": 0} for word in (0, 2, 3)]
        assert image.weights == [(1, 6), (2, 7), (3, 8), (4, 9), (0, 0), (5, 10)]

    def test_a_vector_of_several_pieces(self) -> None:
        """Three pieces of 103, 103 and 104 words, or rather all of 104: 52 windows each, one word is read twice."""
        image = image_of(layer(np.ones((1, 310, 1)), "dense", weight_bits=10), replace(ARRAY, accumulator_bits=32))
        (words,) = image.layers
        assert [words[name] for name in ("input_map", "maps_behind", "taps")] == [103, 2, 52]
        weights = columns_and_rows(image.weights)
        assert weights[:2] + weights[51:54] == [[1, 2], [3, 4], [103, 104], [0, 105], [106, 107]]
        assert sorted(x for row in weights for x in row if x) == list(range(1, 311))

    def test_a_vector_shorter_than_the_lanes(self) -> None:
        """Lanes beyond its end read nothing that counts: the map ends there."""
        array = replace(ARRAY, pixel_lanes=4)
        image = image_of(layer(np.ones((1, 3, 1)), "dense"), array)
        assert (image.layers[0]["width"], image.layers[0]["taps"]) == (3, 1)
        assert [word[0] for word in image.weights] == [1, 2, 3, 0]

    def test_lists_are_the_fewest_windows(self) -> None:
        """Kept words 1 4 5 7 | 0: windows at 1, 4 and 7 - 1, two that touch one entry; what a window had is zero."""
        kept = np.zeros((4, 8, 1))
        kept[0, [1, 4]] = kept[1, [5, 7]] = kept[2, 0] = 1
        image = image_of(layer(kept, "irregular"), ARRAY)
        assert entries_of(image) == [(1, 0, 1, 1, 1), (4, 0, 1, 2, 0), (0, 0, 1, 1, 0)]
        assert [tap["words"] for tap in image.taps] == [0, 2]
        assert columns_and_rows(image.weights) == [[2, 0], [5, 0], [0, 0], [17, 0]]
        assert image.weights[2:6] == [(5, 0), (0, 14), (0, 0), (0, 16)]

    def test_a_run_of_windows_has_64_at_most(self) -> None:
        """A list of 130 words is 64 windows and one more."""
        kept = np.zeros((2, 140, 1))
        kept[:, 3:133] = 1
        image = image_of(layer(kept, "irregular", weight_bits=10), replace(ARRAY, accumulator_bits=32))
        assert entries_of(image) == [(3, 0, 1, 64, 1), (131, 0, 1, 1, 0)]
        assert (len(image.taps), image.layers[0]["shared"]) == (64, 1)

    def test_a_kernel_that_covers_its_map(self) -> None:
        """Taps in the padding meet nothing and are left out: 2 maps of 1 x 2 words under 2 x 3 kernels."""
        made = layer(np.ones((1, 2, 6)), "dense", Window((2, 3), (1, 1), (1, 1, 0, 0)))
        image = assemble(program([made], (2, 1, 2)), ARRAY)
        assert image.layers[0]["split"] == 1
        assert columns_and_rows(image.weights) == [[5, 6], [11, 12]]

    @pytest.mark.parametrize(
        ("window", "size"), [(Window.square(2), (3, 3)), (Window.square(2, 2), (3, 3)), (Window.square(1, 2), (2, 2))]
    )
    def test_what_is_not_split(self, window: Window, size: tuple[int, int]) -> None:
        """Several pixels, and one pixel whose window passes by a part of its map, run as on an array that cannot."""
        of = program([layer(np.ones((2, 2, window.taps)), "dense", window)], (2, *size))
        image, other = assemble(of, ARRAY), assemble(of, UNSPLIT)
        assert "split" not in image.layers[0]
        assert (image.layers, image.taps) == (other.layers, other.taps)
        assert image.weights == other.weights

    @given(programs())
    @settings(max_examples=30, deadline=None)
    def test_every_kept_weight_once(self, of: Program) -> None:
        """In the words that they meet, the weights of split sums are those of the matrix, each once."""
        array = MacArray(3, 4, 16, 16, 61)
        for made in of.mac_layers:
            if not splits(of, made, array):
                continue
            matrix, groups = np.zeros_like(made.matrix), steps_of(of, made, array)
            for group, columns in enumerate(groups):
                places = columns[columns >= 0]
                assert np.unique(places).size == places.size
                rows = slice(3 * group, 3 * group + 3)
                matrix[rows, places] = made.matrix[rows, places]
            inside = np.zeros(made.matrix.shape[1], bool)
            inside[windows_of(of, made, array).columns] = True
            assert (matrix == np.where(inside, made.matrix, 0)).all()


class TestOneMapAtATime:
    """Pools, a ReLU and an addition that leaves run on lane 0, a tile a map, by positive weights."""

    @pytest.mark.parametrize("maximum", [True, False])
    def test_pool(self, maximum: bool) -> None:
        """A pool weights each tap of its window by 1 and counts its entry: one map, the next for the next group."""
        average = AvgPoolLayer("a", (INPUT,), POOL, 11, False, Requantize([3], 2), SIGNED)
        pool = MaxPoolLayer("a", (INPUT,), POOL) if maximum else average
        image = assemble(chain(pool, shape=(3, 4, 5)), ARRAY)
        (words,) = image.layers
        names = ("single", "maximum", "counter", "maps_behind", "taps", "output_map", "group_turn", "output_turn")
        # the last of 6 tiles begins 2 rows of 5 words and 2 columns after the first, the next map 20 words
        assert [words[name] for name in names] == [1, int(maximum), 1, 0, 4, 12, 20 - 12, 2]
        assert image.weights == [(1, 0)] * 4
        constant = {"bias": -256, "multiplier": 1} if maximum else {"bias": 0, "multiplier": 3}
        # one for all maps; what is largest is kept as its distance from the lowest code
        assert (image.constants, words["uniform"]) == ([constant], 1)

    def test_relu(self) -> None:
        """A ReLU alone is a maximum over one tap that the drain rectifies."""
        image = assemble(chain(ReluLayer("a", (INPUT,)), reads=SIGNED), ARRAY)
        (words,) = image.layers
        assert [words[name] for name in ("single", "maximum", "relu", "taps", "shift")] == [1, 1, 1, 1, 0]
        assert image.taps == [{"rows": 0, "columns": 0, "words": 0, "signed": 1}]
        assert image.weights == [(1, 0), (0, 0)]  # a whole row of the two banks

    def test_addition(self) -> None:
        """Two entries that stay on one tap each, which knows the sign; a weight is a sum of the array's words."""
        words = {"requantize": Requantize([5], 2), "output": SIGNED}
        add = AddLayer("b", ("a", INPUT), (300, 1), 20, True, **words)
        of = chain(point("a", INPUT, reads=PIXEL), add)
        image = assemble(of, ARRAY)
        assert entries_of(image) == [(40, 0, 0, 3, 1), (0, 1, 0, 1, 0)]
        assert image.weights[2:] == [(127, 0), (127, 0), (46, 0), (1, 0)]  # 300 = 127 + 127 + 46
        assert [tap["signed"] for tap in image.taps[1:]] == [1, 0]
        assert image.constants[2:] == [{"bias": 0, "multiplier": 5}]
        layer_words = image.layers[1]
        assert [layer["uniform"] for layer in image.layers] == [0, 1]
        names = ("single", "maximum", "counter", "shared", "relu", "list", "tap")
        assert [layer_words.get(name, 0) for name in names] == [1, 0, 0, 1, 1, 0, 1]

    @pytest.mark.parametrize(("weight", "words"), [(7, [7]), (8, [7, 1]), (14, [7, 7]), (15, [7, 7, 1])])
    def test_words_of_a_weight(self, weight: int, words: list[int]) -> None:
        """As few words as hold it: the largest of the array's, then the rest; none is 0."""
        add = AddLayer("b", (INPUT, INPUT), (weight, 1), 20, False, Requantize([1], 1), SIGNED)
        image = assemble(chain(add), replace(UNSPLIT, weight_bits=4))
        assert image.weights == [(word, 0) for word in [*words, 1]]


class TestSigns:
    @pytest.mark.parametrize("reads", [PIXEL, SIGNED], ids=["unsigned", "signed"])
    def test_every_tap_knows_the_sign(self, reads: Signal) -> None:
        """The taps of a convolution, of a vector and of a pool say whether the codes that they read are signed."""
        flat = FlattenLayer("flat", (INPUT,))
        vector = layer(np.ones((3, 40, 1)), "dense", None, "b", "flat", reads=reads, weight_bits=8)
        for layers in ([conv(reads=reads)], [flat, vector], [MaxPoolLayer("a", (INPUT,), POOL)]):
            taps = assemble(chain(*layers, reads=reads), ARRAY).taps
            assert {tap["signed"] for tap in taps} == {int(reads.format.signed)}
