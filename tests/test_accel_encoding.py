from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import PATTERNS, Mask, few, group_of, is_legal, legal_masks, run_words, shapes, strided_taps

from accel.encoding import Index, IndexWords, bits_for, cheapest, decode, encodings, index_bits
from accel.errors import EspalierError
from accel.sparsity import FeatureMap, parse_pattern

ZERO_RUNS = "zero runs"  # which are stored where they are asked for
KERNELS = ("kernel flags", "kernel lists")
SCALARS = "bitmap", "csr", ZERO_RUNS
NAMES = {
    "dense": ("none",),
    "feature-map": KERNELS,
    "kernel": KERNELS,
    "ikss": ("stride-offset",),
    "ikss-rest": ("stride-offset",),
    "kernel+ikss": tuple(f"{kernels}+stride-offset" for kernels in KERNELS),
    "kernel+ikss-rest": tuple(f"{kernels}+stride-offset" for kernels in KERNELS),
    "kernel@3": KERNELS,
    "kernel@2+ikss": tuple(f"{kernels}+stride-offset" for kernels in KERNELS),
    "irregular": SCALARS,
    **{pattern: ("block flags", "bsr") for pattern in PATTERNS if pattern.startswith("block-")},
    **{pattern: ("n:m positions", *SCALARS) for pattern in PATTERNS if ":" in pattern},
}
CASES = [(pattern, name) for pattern in PATTERNS for name in NAMES[pattern]]
every_encoding = pytest.mark.parametrize(("pattern", "name"), CASES)


def encode(pattern: str, name: str, kept: Mask) -> Index:
    """Return the index words of the encoding called `name`."""
    (encoding,) = (x for x in encodings(parse_pattern(pattern)) if x.name == name)
    return encoding.encode(kept)


def content(index: Index) -> list[tuple[str, int, list[int]]]:
    """Return all that index words say."""
    return [(words.name, words.word_bits, words.words.tolist()) for words in index]


def ceil_log2(count: int) -> int:
    """Return the bits of a word that tells `count` things apart."""
    bits = 0
    while 2**bits < count:
        bits += 1
    return bits


def closed_form_bits(pattern: str, name: str, kept: Mask) -> int:
    """Return the bits of an encoding from what it stores: one term for each kind of word."""
    M, C, T = kept.shape
    K, kept_weights = C * T, int(kept.sum())
    if name.endswith("+stride-offset"):
        kernels = np.repeat(kept.any(axis=2)[:, :, None], T, axis=2)
        alone = pattern.split("+")[0], name.removesuffix("+stride-offset")
        return closed_form_bits(*alone, kernels) + 2 * C * ceil_log2(T + 1)
    if name == "none":
        return 0
    group = group_of(pattern) if pattern.startswith("kernel") else 1
    groups = -(-M // group)
    if name == "kernel flags":
        return groups * C
    if name == "kernel lists":
        return groups * ceil_log2(groups * C + 1) + int(kept[::group, :, 0].sum()) * ceil_log2(C)
    if name == "stride-offset":
        return 2 * C * ceil_log2(T + 1)  # stride - 1 is 0..T, offset too
    if name == "bitmap":
        return M * K
    if name == "csr":
        return M * ceil_log2(M * K + 1) + kept_weights * ceil_log2(K)
    if name == ZERO_RUNS:
        return M * ceil_log2(M * K + 1) + min(bits * sum(map(len, run_words(kept, bits))) for bits in range(2, 9))
    if name == "n:m positions":
        return kept_weights * ceil_log2(int(pattern.split(":")[1]))
    size = int(pattern.removeprefix("block-"))
    rows, columns = -(-M // size), -(-K // size)
    blocks = int(kept.reshape(M, K)[::size, ::size].sum())
    return (
        rows * columns if name == "block flags" else rows * ceil_log2(rows * columns + 1) + blocks * ceil_log2(columns)
    )


def mask_count(pattern: str, M: int, C: int, T: int) -> int:
    """Return how many masks of a pattern there are."""
    if pattern == "dense":
        return 1
    if pattern == "feature-map":
        return 2**M - 1
    if pattern in ("kernel", "kernel@3"):
        return 2 ** (-(-M // group_of(pattern)) * C)
    taps = strided_taps(T, pattern.endswith("rest"))
    if pattern.startswith("ikss"):
        return len(taps) ** C
    if pattern.startswith("kernel"):
        # for each map: all kernels lost, or a set of taps that is not empty and at least one group that keeps it
        return (1 + len(taps - {()}) * (2 ** -(-M // group_of(pattern)) - 1)) ** C
    if pattern == "block-2":
        return 2 ** (-(-M // 2) * -(-C * T // 2))
    return {"irregular": 2 ** (M * C * T), "1:2": 2 ** (M * C * T // 2)}[pattern]


class TestRoundTrip:
    @every_encoding
    @few
    @given(data=st.data())
    def test_decode_gives_the_mask_back(self, pattern: str, name: str, data: st.DataObject) -> None:
        """Every encoding of every pattern: the words say exactly which weights are kept."""
        kept = data.draw(legal_masks(pattern))
        decoded = decode(parse_pattern(pattern), name, encode(pattern, name, kept), kept.shape)
        assert decoded.dtype == bool
        assert np.array_equal(decoded, kept)

    @every_encoding
    @few
    @given(data=st.data())
    def test_two_masks_have_two_indices(self, pattern: str, name: str, data: st.DataObject) -> None:
        """Words are equal exactly if masks are: nothing is lost, and nothing is said in two ways."""
        shape = data.draw(shapes)
        masks = [data.draw(legal_masks(pattern, shape)) for _ in range(2)]
        words = [content(encode(pattern, name, kept)) for kept in masks]
        assert (words[0] == words[1]) == np.array_equal(*masks)

    @pytest.mark.parametrize("shape", [(2, 2, 2), (1, 2, 4), (2, 1, 4), (3, 2, 1), (1, 1, 6)])
    @pytest.mark.parametrize(
        "pattern", [p for p in PATTERNS if p not in ("block-1", "block-3", "block-16", "2:4", "3:5")]
    )
    def test_all_masks_have_their_own_index(self, pattern: str, shape: tuple[int, int, int]) -> None:
        """There are as many masks as counted by hand, as many indices, and no index of fixed length is shorter.

        To tell N masks apart, words whose number does not depend on the mask need at least log2 N bits.
        """
        every = (np.reshape(bits, shape).astype(bool) for bits in product((0, 1), repeat=int(np.prod(shape))))
        masks = [kept for kept in every if is_legal(pattern, kept)]
        assert len(masks) == mask_count(pattern, *shape)
        for name in NAMES[pattern]:
            assert len({str(content(encode(pattern, name, kept))) for kept in masks}) == len(masks)
            if not any(variable in name for variable in ("lists", "csr", "bsr", "runs")):
                assert min(closed_form_bits(pattern, name, kept) for kept in masks) >= ceil_log2(len(masks))

    @every_encoding
    @few
    @given(data=st.data())
    def test_a_corrupted_word_is_another_mask_or_refused(self, pattern: str, name: str, data: st.DataObject) -> None:
        """No word can change unseen: the index then says another mask, or none."""
        kept = data.draw(legal_masks(pattern))
        index = list(encode(pattern, name, kept))
        spots = [(i, j) for i, words in enumerate(index) for j in range(words.words.size) if words.word_bits]
        if not spots:
            return
        i, j = data.draw(st.sampled_from(spots))
        words = index[i].words.astype(np.int64)
        words[j] ^= data.draw(st.integers(1, (1 << index[i].word_bits) - 1))
        index[i] = replace(index[i], words=words)
        try:
            decoded = decode(parse_pattern(pattern), name, tuple(index), kept.shape)
        except EspalierError:
            return
        assert not np.array_equal(decoded, kept)

    @every_encoding
    @few
    @given(data=st.data())
    def test_a_word_too_many_or_too_few_is_refused(self, pattern: str, name: str, data: st.DataObject) -> None:
        """The number of words, their names, their widths and their arrays are part of the encoding."""
        kept = data.draw(legal_masks(pattern))
        index = encode(pattern, name, kept)
        extra = IndexWords("flags", 1, np.zeros(1, np.int64))
        damaged = [(*index, extra)]
        for i, words in enumerate(index):
            others = (index[:i], index[i + 1 :])
            damaged.append((*others[0], *others[1]))
            damaged.append((*others[0], replace(words, name="x"), *others[1]))
            damaged.append((*others[0], replace(words, word_bits=words.word_bits + 1), *others[1]))
            damaged.append((*others[0], replace(words, words=np.append(words.words, 0)), *others[1]))
            if words.words.size:
                damaged.append((*others[0], replace(words, words=words.words[:-1]), *others[1]))
        for wrong in damaged:
            with pytest.raises(EspalierError):
                decode(parse_pattern(pattern), name, wrong, kept.shape)


class TestBits:
    @pytest.mark.parametrize("pattern", PATTERNS)
    @few
    @given(data=st.data())
    def test_bits_are_the_closed_form(self, pattern: str, data: st.DataObject) -> None:
        """Every encoding takes the bits that its words take, and no encoding is missing."""
        kept = data.draw(legal_masks(pattern))
        assert index_bits(parse_pattern(pattern), kept) == {
            name: closed_form_bits(pattern, name, kept) for name in NAMES[pattern]
        }

    @pytest.mark.parametrize("pattern", PATTERNS)
    @few
    @given(data=st.data())
    def test_cheapest_is_the_least(self, pattern: str, data: st.DataObject) -> None:
        """The name, the words and the bits of the one with the fewest bits; of two that tie, the first."""
        kept = data.draw(legal_masks(pattern))
        name, index = cheapest(parse_pattern(pattern), kept)
        bits = [closed_form_bits(pattern, x, kept) for x in NAMES[pattern] if x != ZERO_RUNS]
        assert name == NAMES[pattern][bits.index(min(bits))]
        assert content(index) == content(encode(pattern, name, kept))
        assert sum(words.bits for words in index) == min(bits)

    def test_it_depends_on_the_mask_which_is_cheapest(self) -> None:
        """Of 8 x 8 kernels, 64 flags against 8 ends of 7 bits and 3 bits for each kernel that is kept."""
        kept = np.zeros((8, 8, 9), bool)
        kept[0, :2] = True  # 56 + 6 < 64
        assert cheapest(parse_pattern("kernel"), kept)[0] == "kernel lists"
        kept[0, :3] = True  # 56 + 9 > 64
        assert cheapest(parse_pattern("kernel"), kept)[0] == "kernel flags"

    @pytest.mark.parametrize(
        ("pattern", "kept", "name", "words"),
        [
            # two outputs have a flag, and a list, together; the third has its own
            ("kernel@2", [[[1, 1], [0, 0]]] * 2 + [[[0, 0], [1, 1]]], "kernel flags", [("flags", 1, [1, 0, 0, 1])]),
            (
                "kernel@2",
                [[[1, 1], [0, 0]]] * 2 + [[[0, 0], [1, 1]]],
                *("kernel lists", [("ends", 3, [1, 2]), ("columns", 1, [0, 1])]),
            ),
            ("dense", [[[1, 1]]], "none", []),
            ("kernel", [[[1, 1], [0, 0]], [[1, 1], [1, 1]]], "kernel flags", [("flags", 1, [1, 0, 1, 1])]),
            # rows end after 1 and 3 of at most 4 kernels: 3 bits; two maps: 1 bit
            (
                "kernel",
                [[[1, 1], [0, 0]], [[1, 1], [1, 1]]],
                "kernel lists",
                [("ends", 3, [1, 3]), ("columns", 1, [0, 0, 1])],
            ),
            # stride - 1 and offset are 0..3: 2 bits; no tap is (4, 3), all are (1, 0)
            (
                "ikss",
                [[[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]]],
                "stride-offset",
                [("strides", 2, [1, 1, 3, 0]), ("offsets", 2, [0, 1, 3, 0])],
            ),
            (
                "ikss-rest",
                [[[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]]],
                "stride-offset",
                [("strides", 2, [1, 1, 0, 3]), ("offsets", 2, [1, 0, 0, 3])],
            ),
            (
                "kernel+ikss",
                [[[1, 0], [0, 0]], [[1, 0], [0, 1]]],
                "kernel flags+stride-offset",
                [("flags", 1, [1, 0, 1, 1]), ("strides", 2, [1, 1]), ("offsets", 2, [0, 1])],
            ),
            ("irregular", [[[1, 0, 1]], [[0, 1, 0]]], "bitmap", [("flags", 1, [1, 0, 1, 0, 1, 0])]),
            ("irregular", [[[1, 0, 1]], [[0, 1, 0]]], "csr", [("ends", 3, [2, 3]), ("columns", 2, [0, 2, 1])]),
            # no zero, then 1; a full word of 2 bits is 3 zeros, and 3 are a full word and none
            ("irregular", [[[1, 0, 1]], [[0, 1, 0]]], ZERO_RUNS, [("ends", 3, [2, 3]), ("runs", 2, [0, 1, 1])]),
            ("irregular", [[[0, 0, 0, 1, 1, 0]]], ZERO_RUNS, [("ends", 3, [3]), ("runs", 2, [3, 0, 0])]),
            # blocks of 2 in a 3 x 3 matrix: (0, 1) and (1, 0) of 2 x 2
            ("block-2", [[[0, 0, 1]], [[0, 0, 1]], [[1, 1, 0]]], "block flags", [("flags", 1, [0, 1, 1, 0])]),
            ("block-2", [[[0, 0, 1]], [[0, 0, 1]], [[1, 1, 0]]], "bsr", [("ends", 3, [1, 2]), ("columns", 1, [1, 0])]),
            ("2:4", [[[0, 1, 0, 1, 1, 1]]], "n:m positions", [("positions", 2, [1, 3, 0, 1])]),
        ],
    )
    def test_the_words(
        self, pattern: str, kept: list[list[list[int]]], name: str, words: list[tuple[str, int, list[int]]]
    ) -> None:
        """One mask of each pattern, word for word."""
        assert content(encode(pattern, name, np.array(kept, bool))) == words


class TestRefusals:
    @pytest.mark.parametrize(
        ("pattern", "name", "shape", "words", "message"),
        [
            ("kernel", "csr", (1, 1, 1), [], "kernel is not stored as 'csr'"),
            (
                "dense",
                "none",
                (1, 1, 1),
                [("flags", 1, [1])],
                "the none index is not the one that its mask is stored as",
            ),
            ("kernel", "kernel flags", (1, 2, 9), [("flag", 1, [1, 0])], "the index has no flags"),
            ("kernel", "kernel flags", (1, 2, 9), [("flags", 1, [1, 0, 1])], "the index has 3 flags, expected 2"),
            ("kernel", "kernel lists", (2, 2, 9), [("ends", 3, [1]), ("columns", 1, [0])], "has 1 ends, expected 2"),
            (
                "kernel",
                "kernel lists",
                (2, 2, 9),
                [("ends", 3, [1, 2]), ("columns", 1, [0])],
                "ends of the kernel lists",
            ),
            (
                "kernel",
                "kernel lists",
                (2, 2, 9),
                [("ends", 3, [2, 1]), ("columns", 1, [0])],
                "do not divide its 1 col",
            ),
            ("kernel", "kernel lists", (1, 3, 9), [("ends", 2, [1]), ("columns", 2, [3])], "has column 3 of only 3"),
            (
                "kernel",
                "kernel lists",
                (1, 3, 9),
                [("ends", 2, [2]), ("columns", 2, [1, 0])],
                "is not the one",
            ),  # order
            (
                "kernel",
                "kernel lists",
                (1, 3, 9),
                [("ends", 2, [2]), ("columns", 2, [1, 1])],
                "is not the one",
            ),  # twice
            (
                "ikss",
                "stride-offset",
                (1, 1, 3),
                [("strides", 2, [0]), ("offsets", 2, [1])],
                "not smaller than its stride",
            ),
            (
                "ikss",
                "stride-offset",
                (1, 1, 3),
                [("strides", 2, [3]), ("offsets", 2, [1])],
                "is not the one",
            ),  # (2, 1) is
            (
                "ikss",
                "stride-offset",
                (1, 2, 3),
                [("strides", 2, [0]), ("offsets", 2, [0])],
                "has 1 strides, expected 2",
            ),
            ("kernel+ikss", "kernel flags+stride-offset", (1, 1, 1), [("flags", 1, [1])], "the index has no flags"),
            # the map keeps no tap, so none of its kernels is kept
            (
                "kernel+ikss",
                "kernel flags+stride-offset",
                (1, 1, 1),
                [("flags", 1, [1]), ("strides", 1, [1]), ("offsets", 1, [1])],
                "is not the one",
            ),
            (
                "3:5",
                "n:m positions",
                (1, 2, 3),
                [("positions", 3, [0, 1, 2, 4])],
                "3:5 position is past the last column, 5",
            ),
            ("2:4", "n:m positions", (1, 1, 4), [("positions", 2, [1, 1])], "is not the one"),
            ("2:4", "n:m positions", (1, 1, 4), [("positions", 2, [1])], "the index has 1 positions, expected 2"),
            ("dense", "none", (1 << 20, 1 << 20, 9), [], "outputs must be at most 262144, got 1048576"),
        ],
    )
    def test_words_that_are_no_index(
        self,
        pattern: str,
        name: str,
        shape: tuple[int, int, int],
        words: list[tuple[str, int, list[int]]],
        message: str,
    ) -> None:
        """Words that hardware could not follow in the order of the stored weights are refused, with the reason."""
        index = tuple(IndexWords(what, bits, np.array(values)) for what, bits, values in words)
        with pytest.raises(EspalierError, match=message):
            decode(parse_pattern(pattern), name, index, shape)

    @pytest.mark.parametrize(
        ("word_bits", "words", "message"),
        [
            (1, [0, 2], "index words flags: a word does not fit 1 bits"),
            (3, [-1], "index words flags: a word does not fit 3 bits"),
            (0, [1], "index words flags: a word does not fit 0 bits"),
            (64, [0], "index words flags: expected one dimension and 0..63 bits"),
            (-1, [], "index words flags: expected one dimension and 0..63 bits"),
            (3, [[1]], "index words flags: expected one dimension and 0..63 bits"),
        ],
    )
    def test_words_must_fit_their_width(self, word_bits: int, words: list[int], message: str) -> None:
        """A word is unsigned and no wider than it says."""
        with pytest.raises(EspalierError, match=message):
            IndexWords("flags", word_bits, np.array(words))

    @pytest.mark.parametrize("word_bits", [0, 1, 31, 32, 33, 62, 63])
    def test_the_widest_word_fits(self, word_bits: int) -> None:
        """Of n bits, 2**n - 1; the array is a copy, unsigned, and read-only."""
        given_words = np.array([(1 << word_bits) - 1, 0])
        words = IndexWords("flags", word_bits, given_words)
        assert words.words.tolist() == [(1 << word_bits) - 1, 0]
        assert words.bits == 2 * word_bits
        assert words.words.dtype.kind == "u"
        with pytest.raises(ValueError, match="read-only"):
            words.words[0] = 0
        given_words[0] = 0
        assert words.words[0] == (1 << word_bits) - 1


def test_a_feature_map_mask_is_stored_as_kernels() -> None:
    """The mask is an intermediate step; until the maps are removed, its kernels are what is flagged."""
    kept = np.array([[[True]] * 3, [[False]] * 3])
    assert index_bits(FeatureMap(), kept) == index_bits(parse_pattern("kernel"), kept)
    assert index_bits(FeatureMap(), kept) != index_bits(parse_pattern("irregular"), kept)


@given(st.integers(0, 1 << 62))
def test_bits_for(highest: int) -> None:
    """The fewest bits: `highest` fits, and does not fit one bit less."""
    bits = bits_for(highest)
    assert highest < 1 << bits
    assert bits == 0 or highest >= 1 << (bits - 1)
