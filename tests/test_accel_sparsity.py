import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import PATTERNS, Mask, few, is_legal, legal_masks, strided_taps

from accel.errors import EspalierError
from accel.kernel_patterns import Kernel, KernelStrided, Strided
from accel.sparsity import Block, FeatureMap, LayerMask, NOfM, parse_pattern

every_pattern = pytest.mark.parametrize("pattern", PATTERNS)


def flip(kept: Mask, place: tuple[int, int, int]) -> Mask:
    """Return the mask with one bit changed."""
    changed = kept.copy()
    changed[place] = not kept[place]
    return changed


@st.composite
def flipped_masks(draw: st.DrawFn, pattern: str) -> tuple[Mask, tuple[int, int, int]]:
    """Draw a legal mask with one bit changed, and which one."""
    kept = draw(legal_masks(pattern))
    output, index, tap = (draw(st.integers(0, size - 1)) for size in kept.shape)
    return flip(kept, (output, index, tap)), (output, index, tap)


def names_the_place(problem: str, pattern: str, kept: Mask, place: tuple[int, int, int]) -> bool:
    """Return whether `problem` names what is broken in a mask that is broken at `place` and nowhere else."""
    output, index, tap = place
    column = index * kept.shape[2] + tap
    if pattern == "dense":
        return problem == "1 weights are pruned"
    if pattern == "feature-map":
        return f"output map {output} " in problem if kept.any() else problem == "no output map is left"
    if pattern == "kernel":
        return f"kernel (output {output}, input {index}) " in problem
    if pattern.startswith("kernel@") and "ikss" not in pattern:
        group = int(pattern.removeprefix("kernel@"))
        first = output // group * group
        return f"(outputs {first}..{min(first + group, len(kept)) - 1}, input {index}) " in problem
    if "ikss" in pattern:
        return f"input map {index} " in problem or f"input {index}) " in problem
    if pattern.startswith("block-"):
        size = int(pattern.removeprefix("block-"))
        return f"block (row {output // size}, column {column // size}) " in problem
    m = int(pattern.split(":")[1])
    first = column // m * m
    run = kept[output].ravel()[first : first + m]
    return problem == f"row {output} keeps {run.sum()} of the columns {first}..{first + run.size - 1}"


class TestLegality:
    @every_pattern
    @few
    @given(data=st.data())
    def test_a_legal_mask_passes(self, pattern: str, data: st.DataObject) -> None:
        """Masks that are of the pattern by its definition have no problem."""
        kept = data.draw(legal_masks(pattern))
        assert is_legal(pattern, kept)
        assert parse_pattern(pattern).problem(kept) is None
        parse_pattern(pattern).check(kept, "layer")

    @every_pattern
    @few
    @given(data=st.data())
    def test_one_changed_bit_is_judged_by_the_definition(self, pattern: str, data: st.DataObject) -> None:
        """A flipped bit breaks the mask exactly where the definition says so, and the message names the place."""
        kept, place = data.draw(flipped_masks(pattern))
        problem = parse_pattern(pattern).problem(kept)
        assert (problem is None) == is_legal(pattern, kept)
        assert problem is None or names_the_place(problem, pattern, kept, place)

    @every_pattern
    @few
    @given(data=st.data())
    def test_a_random_mask_is_judged_by_the_definition(self, pattern: str, data: st.DataObject) -> None:
        """Masks of other patterns are legal exactly where the definitions meet."""
        kept = data.draw(st.sampled_from(PATTERNS).flatmap(legal_masks))
        assert (parse_pattern(pattern).problem(kept) is None) == is_legal(pattern, kept)

    @pytest.mark.parametrize("pattern", [p for p in PATTERNS if p not in ("irregular", "block-1")])
    def test_every_pattern_but_the_irregular_forbids_something(self, pattern: str) -> None:
        """Negative control: a corner that is kept in one output and lost in the other fits no regular pattern."""
        kept = np.ones((2, 2, 4), bool)
        kept[0, 0, 0] = kept[0, 0, 3] = kept[1, 1, 1] = False
        with pytest.raises(EspalierError, match=rf"^conv1: mask breaks the pattern {pattern.replace('+', '.')}: "):
            parse_pattern(pattern).check(kept, "conv1")

    @pytest.mark.parametrize(
        ("pattern", "kept", "problem"),
        [
            ("dense", [[[1, 0, 0]]], "2 weights are pruned"),
            ("feature-map", [[[1, 1]], [[1, 0]]], "output map 1 is pruned in part"),
            ("feature-map", [[[0, 0]], [[0, 0]]], "no output map is left"),
            ("kernel", [[[1, 1], [0, 0]], [[1, 1], [0, 1]]], "kernel (output 1, input 1) is pruned in part"),
            (
                "kernel@2",
                [[[1, 1], [1, 1]], [[1, 1], [0, 0]]],
                "the kernels (outputs 0..1, input 1) are pruned in part",
            ),
            ("kernel@2", [[[1]], [[1]], [[0]], [[1]]], "the kernels (outputs 2..3, input 0) are pruned in part"),
            ("kernel@4", [[[1]], [[0]]], "the kernels (outputs 0..1, input 0) are pruned in part"),
            ("kernel@2+ikss", [[[1, 1]], [[0, 0]]], "kernel (output 1, input 0) keeps other taps than its neighbours"),
            ("ikss", [[[1, 0]], [[0, 1]]], "the kernels that leave input map 0 keep different taps"),
            ("ikss", [[[1, 1], [0, 1]], [[1, 1], [1, 1]]], "the kernels that leave input map 1 keep different taps"),
            ("ikss", [[[1, 1, 1], [0, 1, 1]]], "the taps [1, 2] of input map 1 have no (stride, offset)"),
            ("ikss-rest", [[[1, 1, 1], [1, 0, 0]]], "the taps [0] of input map 1 have no (stride, offset)"),
            ("kernel+ikss", [[[1, 1]], [[0, 1]]], "kernel (output 1, input 0) keeps other taps than its neighbours"),
            ("kernel+ikss", [[[0, 1, 1]], [[0, 0, 0]]], "the taps [1, 2] of input map 0 have no (stride, offset)"),
            ("block-2", [[[1, 1, 1]], [[1, 1, 0]], [[0, 0, 0]]], "block (row 0, column 1) is pruned in part"),
            ("2:4", [[[1, 1, 0, 0, 1, 1]], [[1, 1, 0, 0, 1, 0]]], "row 1 keeps 1 of the columns 4..5"),
            ("2:4", [[[1, 1, 1, 0]]], "row 0 keeps 3 of the columns 0..3"),
        ],
    )
    def test_what_is_said(self, pattern: str, kept: list[list[list[int]]], problem: str) -> None:
        """Each problem in words, with the first place that is wrong."""
        assert parse_pattern(pattern).problem(np.array(kept, bool)) == problem

    @pytest.mark.parametrize("kept", [np.ones((2, 2), bool), np.ones((1, 2, 0), bool), np.ones((1, 2, 3), int)])
    def test_a_mask_is_boolean_in_three_dimensions(self, kept: Mask) -> None:
        """Anything else is refused with its type and shape, and the layer's name."""
        with pytest.raises(EspalierError, match=r"^conv1: a mask is boolean \(outputs, maps, taps\), got \w+ \("):
            parse_pattern("irregular").check(kept, "conv1")


ISSUE_ORDER = [
    # pattern, mask (outputs, maps, taps), (row, column) of every stored weight in the order in which they run
    ("dense", [[[1, 1]], [[1, 1]]], [(0, 0), (1, 0), (0, 1), (1, 1)]),  # one group: all rows for each column
    ("feature-map", [[[1, 1]], [[0, 0]], [[1, 1]]], [(0, 0), (0, 1), (2, 0), (2, 1)]),
    ("kernel", [[[0, 0], [1, 1]], [[1, 1], [1, 1]]], [(0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)]),
    ("ikss", [[[1, 0, 1], [0, 1, 0]]] * 2, [(0, 0), (1, 0), (0, 2), (1, 2), (0, 4), (1, 4)]),
    ("ikss-rest", [[[1, 0, 1], [0, 0, 0]]] * 2, [(0, 0), (1, 0), (0, 2), (1, 2)]),
    ("kernel+ikss", [[[0, 0, 0], [0, 1, 0]], [[1, 0, 1], [0, 1, 0]]], [(0, 4), (1, 0), (1, 2), (1, 4)]),
    # a list for two output maps, whose weights lie side by side; where the last has none beside it, one by one
    (
        "kernel@2",
        [[[0, 0], [1, 1]]] * 2 + [[[1, 1], [0, 0]]] * 2,
        [(0, 2), (1, 2), (0, 3), (1, 3), (2, 0), (3, 0), (2, 1), (3, 1)],
    ),
    ("kernel@2", [[[0, 0], [1, 1]]] * 2 + [[[1, 1], [0, 0]]], [(0, 2), (0, 3), (1, 2), (1, 3), (2, 0), (2, 1)]),
    ("kernel@2+ikss", [[[0, 0, 0], [0, 1, 0]]] * 2, [(0, 4), (1, 4)]),
    # blocks (0, 1) and (1, 0) of a 3 x 3 matrix: column 3 and row 3 are filling
    (
        "block-2",
        [[[0, 0, 1]], [[0, 0, 1]], [[1, 1, 0]]],
        [(0, 2), (1, 2), (0, 3), (1, 3), (2, 0), (3, 0), (2, 1), (3, 1)],
    ),
    ("irregular", [[[1, 0, 1]], [[0, 1, 0]]], [(0, 0), (0, 2), (1, 1)]),
    ("2:4", [[[0, 1, 0, 1, 1, 1]]], [(0, 1), (0, 3), (0, 4), (0, 5)]),
]


def closed_form_words(pattern: str, kept: Mask) -> int:
    """Return how many words of weights a mask needs, written once more."""
    outputs, maps, taps = kept.shape
    if pattern == "dense":
        return outputs * maps * taps
    if pattern == "feature-map":
        return sum(map(bool, kept[:, 0, 0])) * maps * taps
    if pattern.startswith("kernel") and "+" not in pattern:
        return int(kept[:, :, 0].sum()) * taps
    if pattern.startswith("ikss"):
        return outputs * sum(int(kept[0, index].sum()) for index in range(maps))
    if pattern.startswith("block-"):
        size = int(pattern.removeprefix("block-"))
        corners = kept.reshape(outputs, -1)[::size, ::size]  # a block keeps all or nothing
        return int(corners.sum()) * size * size
    if ":" in pattern:
        n, m = map(int, pattern.split(":"))
        runs, rest = divmod(maps * taps, m)
        return outputs * (runs * n + min(n, rest))
    return int(kept.sum())


class TestNest:
    @pytest.mark.parametrize(("pattern", "kept", "order"), ISSUE_ORDER)
    def test_issue_order(self, pattern: str, kept: list[list[list[int]]], order: list[tuple[int, int]]) -> None:
        """Group by group, kept column by kept column, all rows of the group for each."""
        nest = parse_pattern(pattern).nest(np.array(kept, bool))
        assert list(zip(*(x.tolist() for x in nest.positions), strict=True)) == order
        assert nest.stored_words == len(order)
        assert [len(columns) * nest.group_rows for columns in nest.group_columns] == [
            sum(row // nest.group_rows == group for row, _ in order) for group in range(len(nest.outer))
        ]

    @every_pattern
    @few
    @given(data=st.data())
    def test_the_nest_visits_what_is_kept_once(self, pattern: str, data: st.DataObject) -> None:
        """The positions inside the matrix are those of the mask, each once; a mask less one is not visited so."""
        kept = data.draw(legal_masks(pattern))
        nest = parse_pattern(pattern).nest(kept)
        places = list(zip(*(x.tolist() for x in nest.positions), strict=True))
        lowered = kept.reshape(len(kept), -1)
        inside = [(row, column) for row, column in places if row < lowered.shape[0] and column < lowered.shape[1]]
        assert len(set(places)) == len(places) == nest.stored_words
        assert set(inside) == set(map(tuple, np.argwhere(lowered).tolist()))
        assert nest.macs_per_pixel == len(inside) == kept.sum()
        if inside:
            row, column = data.draw(st.sampled_from(inside))
            broken = lowered.copy()
            broken[row, column] = False
            assert set(inside) != set(map(tuple, np.argwhere(broken).tolist()))

    @every_pattern
    @few
    @given(data=st.data())
    def test_stored_words(self, pattern: str, data: st.DataObject) -> None:
        """As many words as the closed form says, the filling of blocks included and nothing else."""
        kept = data.draw(legal_masks(pattern))
        assert parse_pattern(pattern).nest(kept).stored_words == closed_form_words(pattern, kept)

    @every_pattern
    @few
    @given(data=st.data())
    def test_gather_and_scatter_are_inverse(self, pattern: str, data: st.DataObject) -> None:
        """Scattered words are the matrix where it is kept and zero elsewhere; filling is gathered as zero."""
        kept = data.draw(legal_masks(pattern))
        nest = parse_pattern(pattern).nest(kept)
        lowered = kept.reshape(len(kept), -1)
        matrix = np.arange(1, lowered.size + 1).reshape(lowered.shape)  # no two entries alike, none zero
        words = nest.gather(matrix)
        assert words.shape == (nest.stored_words,)
        assert np.count_nonzero(words) == kept.sum()
        assert np.array_equal(nest.scatter(words), np.where(lowered, matrix, 0))
        assert np.array_equal(nest.gather(nest.scatter(words)), words)
        sums = nest.row_sums(words)
        assert sums.tolist() == np.where(lowered, matrix, 0).sum(axis=1).tolist()
        assert not words.any() or sums.tolist() != nest.row_sums(words + 1).tolist()
        columns = nest.column_sums(words)
        assert columns.tolist() == np.where(lowered, matrix, 0).sum(axis=0).tolist()
        assert not words.any() or columns.tolist() != nest.column_sums(words + 1).tolist()
        height, width = len(nest.outer) * nest.group_rows, len(nest.inner) * nest.unit_columns
        assert nest.fills == (math.prod(nest.shape) < height * width)
        if np.unique(words[words > 0]).size > 1:
            assert not np.array_equal(nest.scatter(np.roll(words, 1)), np.where(lowered, matrix, 0))

    @every_pattern
    @few
    @given(data=st.data())
    def test_one_loop_nest_runs_them_all(self, pattern: str, data: st.DataObject) -> None:
        """The two loops of the design, spelled out, give the masked matrix times the signal."""
        kept = data.draw(legal_masks(pattern))
        nest = parse_pattern(pattern).nest(kept)
        rows, columns = nest.shape
        matrix, signal = np.arange(rows * columns).reshape(rows, columns) - 5, np.arange(columns) + 1
        words, sums = iter(nest.gather(matrix)), [0] * rows
        for group, units in enumerate(nest.outer):
            for unit in units:
                for tap in nest.inner[unit]:
                    for lane in range(nest.group_rows):
                        row, column, word = group * nest.group_rows + lane, unit * nest.unit_columns + tap, next(words)
                        if row < rows and column < columns:
                            sums[row] += word * signal[column]
        assert next(words, None) is None
        assert sums == (np.where(kept.reshape(rows, -1), matrix, 0) @ signal).tolist()


class TestStrided:
    @pytest.mark.parametrize(
        ("stride", "offset", "strided"),
        [
            (1, 0, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
            (2, 0, [0, 2, 4, 6, 8]),
            (2, 1, [1, 3, 5, 7]),
            (3, 1, [1, 4, 7]),
            (4, 3, [3, 7]),
            (9, 4, [4]),
            (10, 9, []),
        ],
    )
    def test_both_readings(self, stride: int, offset: int, strided: list[int]) -> None:
        """Of the nine taps of a 3 x 3 kernel, row by row, (stride, offset) names offset, offset + stride, ...

        One reading keeps the taps that are named, the other those that are not.
        """
        rest = [tap for tap in range(9) if tap not in strided]
        assert np.flatnonzero(Strided().taps(stride, offset, 9)).tolist() == strided
        assert np.flatnonzero(Strided("rest").taps(stride, offset, 9)).tolist() == rest
        assert strided != rest

    @pytest.mark.parametrize("keep", ["strided", "rest"])
    @pytest.mark.parametrize("taps", [1, 2, 4, 9])
    def test_every_stride_and_offset_is_legal(self, taps: int, keep: str) -> None:
        """1 + 2 + ... + (taps + 1) pairs, and a mask made of any two of them passes."""
        pattern = Strided(keep)
        choices = pattern.choices(taps)
        assert len(set(choices)) == (taps + 1) * (taps + 2) // 2
        for first in choices:
            for second in choices:
                maps = np.array([pattern.taps(*first, taps), pattern.taps(*second, taps)])
                assert pattern.problem(np.stack([maps, maps])) is None

    @pytest.mark.parametrize("keep", ["strided", "rest"])
    @pytest.mark.parametrize("taps", [1, 2, 3, 4, 9, 10])
    def test_the_smallest_stride_is_found(self, taps: int, keep: str) -> None:
        """Every set of taps: the first (stride, offset), counted up, that keeps it, or none if no pair does."""
        pattern = Strided(keep)
        fits = 0
        for number in range(1 << taps):
            kept = (number >> np.arange(taps)) & 1 == 1
            first = next((c for c in pattern.choices(taps) if np.array_equal(pattern.taps(*c, taps), kept)), None)
            assert pattern.choice(kept) == first
            fits += first is not None
        assert fits == len(strided_taps(taps, keep == "rest")) <= 1 << taps

    def test_strides_and_offsets(self) -> None:
        """One pair for each input map, the same for all its outgoing kernels."""
        maps = [[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]]
        strides, offsets = Strided().strides_and_offsets(np.array([maps, maps], bool))
        assert list(zip(strides.tolist(), offsets.tolist(), strict=True)) == [(2, 0), (4, 3), (5, 4), (1, 0)]

    def test_a_large_kernel_is_no_trouble(self) -> None:
        """A kernel of 32 x 32 taps has half a million pairs, which nobody lists."""
        kept = np.zeros((1, 3, 1024), bool)
        kept[:, 0, 5::7], kept[:, 1] = True, True
        strides, offsets = Strided().strides_and_offsets(kept)
        assert (strides.tolist(), offsets.tolist()) == ([7, 1, 1025], [5, 0, 1024])

    def test_there_are_two_readings(self) -> None:
        """Anything else is refused."""
        with pytest.raises(EspalierError, match="keep must be 'strided' or 'rest', got 'all'"):
            Strided("all")


class TestKernelStrided:
    def test_kernels_that_stay_keep_the_taps_of_their_map(self) -> None:
        """The mask is the product of a kernel mask and a tap mask, and both are found again."""
        kernels = np.array([[1, 0], [1, 1]], bool)[:, :, None]
        taps = np.array([[1, 0, 1], [0, 1, 0]], bool)[None]
        pattern = KernelStrided()
        found = pattern.factors(kernels & taps)
        assert np.array_equal(found[0], np.broadcast_to(kernels, (2, 2, 3)))
        assert np.array_equal(found[1], np.broadcast_to(taps, (2, 2, 3)))
        assert pattern.problem(kernels & taps) is None
        assert parse_pattern("ikss").problem(kernels & taps) is not None
        assert parse_pattern("kernel").problem(kernels & taps) is not None

    @few
    @given(data=st.data())
    def test_the_factors_multiply_to_the_mask(self, data: st.DataObject) -> None:
        """For every legal mask, and for none that is broken inside a kernel whose map others use."""
        kept = data.draw(legal_masks("kernel+ikss"))
        kernels, taps = KernelStrided().factors(kept)
        assert np.array_equal(kernels & taps, kept)
        broken = np.array([[[1, 0]], [[0, 1]]], bool)
        kernels, taps = KernelStrided().factors(broken)
        assert not np.array_equal(kernels & taps, broken)


class TestBlock:
    def test_edges_are_padded(self) -> None:
        """A 3 x 5 matrix has 2 x 3 blocks of 2; flags and masks are turned into each other."""
        block, flags = Block(2), np.array([[1, 0, 1], [0, 1, 1]], bool)
        assert block.grid((3, 5, 1)) == (2, 3)
        kept = block.expand(flags, (3, 5, 1))
        assert kept[:, :, 0].astype(int).tolist() == [[1, 1, 0, 0, 1], [1, 1, 0, 0, 1], [0, 0, 1, 1, 1]]
        assert np.array_equal(block.flags(kept), flags)
        assert block.tiles(kept[:, :, 0], False)[1, 2].astype(int).tolist() == [[1, 0], [0, 0]]


class TestNames:
    @every_pattern
    def test_a_pattern_is_its_name(self, pattern: str) -> None:
        """The name in a file or on the command line gives the pattern, and the pattern its name."""
        assert str(parse_pattern(pattern)) == pattern
        assert parse_pattern(str(parse_pattern(pattern))) == parse_pattern(pattern)
        assert [other for other in PATTERNS if parse_pattern(other) == parse_pattern(pattern)] == [pattern]

    @few
    @given(st.integers(1, 1024), st.integers(1, 1023))
    def test_sizes_are_read(self, size: int, n: int) -> None:
        """Blocks and runs of every size that hardware could have."""
        assert parse_pattern(f"block-{size}") == Block(size) != Block(size % 1024 + 1)
        assert parse_pattern(f"{n}:1024") == NOfM(n, 1024) != NOfM(n % 1023 + 1, 1024)
        group = n + 1
        assert parse_pattern(f"kernel@{group}") == Kernel(group) != Kernel(n)
        assert parse_pattern(f"kernel@{group}+ikss-rest") == KernelStrided("rest", group) != KernelStrided("rest")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "unknown pattern ''"),
            (
                "kernels",
                "unknown pattern 'kernels': expected one of dense, feature-map, kernel, ikss, .*block-B or N:M",
            ),
            ("Kernel", "unknown pattern 'Kernel'"),
            ("kernel ", "unknown pattern 'kernel '"),
            ("block", "unknown pattern 'block'"),
            ("block--1", "unknown pattern"),
            ("block-1.5", "unknown pattern"),
            ("block-²", "unknown pattern"),
            ("block-" + "9" * 5000, "unknown pattern"),
            ("2:4:6", "unknown pattern"),
            ("block-0", "block size must be 1..1024, got 0"),
            ("block-1025", "block size must be 1..1024, got 1025"),
            ("block-100000000", "block size must be 1..1024, got 100000000"),
            ("block-04", "the pattern block-04 is written block-4"),
            ("kernel@0", "a group of kernels must have 1..1024 output maps, got 0"),
            ("kernel@-1", "a group of kernels must have 1..1024 output maps, got -1"),
            ("kernel@1025", "a group of kernels must have 1..1024 output maps, got 1025"),
            ("kernel@0+ikss", "a group of kernels must have 1..1024 output maps, got 0"),
            ("kernel@x", "'kernel@x': a group of kernels must have 1..1024 output maps, got 'x'"),
            ("kernel@", "'kernel@': a group of kernels must have 1..1024 output maps, got ''"),
            ("kernel@1", "the pattern kernel@1 is written kernel"),
            ("kernel@1+ikss", "the pattern kernel@1[+]ikss is written kernel[+]ikss"),
            ("kernel@08", "the pattern kernel@08 is written kernel@8"),
            ("kernel@8+taps", "unknown pattern 'kernel@8[+]taps': expected one of dense, .*, kernel@G, "),
            ("0:4", "N:M needs 1 <= N < M <= 1024, got 0:4"),
            ("4:4", "N:M needs 1 <= N < M <= 1024, got 4:4"),
            ("4:1025", "N:M needs 1 <= N < M <= 1024, got 4:1025"),
        ],
    )
    def test_other_names_are_refused(self, text: str, message: str) -> None:
        """What names no pattern is said, and what would."""
        with pytest.raises(EspalierError, match=f"^{message}"):
            parse_pattern(text)


class TestLayerMask:
    def test_it_is_a_copy_that_nobody_writes_to(self) -> None:
        """A mask does not change after it was checked."""
        kept = np.ones((2, 1, 2), bool)
        mask = LayerMask("dense", kept)
        kept[0] = False
        assert mask.kept.all()
        with pytest.raises(ValueError, match="read-only"):
            mask.kept[0] = False

    def test_it_is_legal(self) -> None:
        """A mask that breaks its pattern, or a pattern that is none, is refused."""
        with pytest.raises(EspalierError, match="layer mask: mask breaks the pattern dense: 1 weights are pruned"):
            LayerMask("dense", np.array([[[True, False]]]))
        with pytest.raises(EspalierError, match="unknown pattern 'sparse'"):
            LayerMask("sparse", np.ones((1, 1, 1), bool))

    def test_feature_maps_all_gone(self) -> None:
        """A layer without outputs is no layer: the one pattern that may not prune everything."""
        nothing = np.zeros((2, 1, 1), bool)
        assert FeatureMap().problem(nothing) == "no output map is left"
        assert [pattern for pattern in PATTERNS if parse_pattern(pattern).problem(nothing) is None] == [
            p for p in PATTERNS if p not in ("dense", "feature-map", "1:2", "2:4", "3:5")
        ]
