"""Every way to store a layer: closed forms against words, no way below its bound, and from where on it pays."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import PATTERNS, Mask, few, legal_masks

from accel.cost.storage import (
    bound_bits,
    break_even,
    break_even_table,
    forms,
    run_length,
    run_length_share,
    shares,
    storages,
    stored_index_bits,
)
from accel.encoding import encodings
from accel.encoding import index_bits as index_bits_of_words
from accel.errors import EspalierError
from accel.sparsity import Irregular, parse_pattern

SCALAR = ("bitmap", "csr", "csc")  # store any mask, by its single weights


def index_bits(pattern: str, name: str, kept: Mask) -> int:
    """Return the bits of the index words that the encoding called `name` makes."""
    (encoding,) = (x for x in encodings(parse_pattern(pattern)) if x.name == name)
    return sum(words.bits for words in encoding.encode(kept))


def runs_of(kept: Mask, run_bits: int) -> list[list[tuple[int, bool]]]:
    """Return EIE's code word for word: for each column (zeros before, whether the weight is real) of every entry."""
    code = []
    for column in kept.reshape(len(kept), -1).T:
        entries, zeros = [], 0
        for flag in column:
            if flag:
                entries.append((zeros, True))
                zeros = 0
            elif zeros == (1 << run_bits) - 1:
                entries.append((zeros, False))  # a padding zero, stored in this place
                zeros = 0
            else:
                zeros += 1
        while entries and not entries[-1][1]:
            entries.pop()  # nothing follows: the column ends with its last weight
        code.append(entries)
    return code


class TestClosedForms:
    @pytest.mark.parametrize("pattern", PATTERNS)
    @few
    @given(data=st.data())
    def test_they_equal_the_words(self, pattern: str, data: st.DataObject) -> None:
        """What a Program can hold takes the bits of its index words, and as many weights as the loop nest stores."""
        kept = data.draw(legal_masks(pattern))
        ways = {way.name: way for way in storages(parse_pattern(pattern), kept)}
        held = [x.name for x in encodings(parse_pattern(pattern)) if x.name != "none"]
        words = index_bits_of_words(parse_pattern(pattern), kept)
        assert list(stored_index_bits(parse_pattern(pattern), kept).items()) == list(words.items())
        assert [way.name for way in ways.values() if way.stored] == (["dense"] if pattern == "dense" else held)
        for name in held:
            assert ways[name].index_bits == index_bits(pattern, name, kept)
            if name not in SCALAR:
                assert ways[name].words == parse_pattern(pattern).nest(kept).stored_words
            assert ways[name].index_bits + 1 != index_bits(pattern, name, kept)  # negative control

    @pytest.mark.parametrize("pattern", PATTERNS)
    @few
    @given(data=st.data())
    def test_single_weights_store_any_mask(self, pattern: str, data: st.DataObject) -> None:
        """A bitmap is a bit for each weight; CSC is CSR of the transposed matrix; dense has no index."""
        kept = data.draw(legal_masks(pattern))
        ways = {way.name: way for way in storages(parse_pattern(pattern), kept)}
        assert (ways["dense"].words, ways["dense"].index_bits) == (kept.size, 0)
        assert (ways["bitmap"].words, ways["bitmap"].index_bits) == (kept.sum(), kept.size)
        turned = kept.reshape(len(kept), -1).T[:, :, None]
        for name, mask in (("csr", kept), ("csc", turned)):
            assert ways[name].words == kept.sum()
            assert ways[name].index_bits == index_bits("irregular", "csr", mask)

    @pytest.mark.parametrize("run_bits", [1, 2, 4])
    @few
    @given(kept=legal_masks("irregular"))
    def test_run_length_is_the_code(self, run_bits: int, kept: Mask) -> None:
        """Entries are those of EIE's code written out, padding zeros included, and a pointer for each column."""
        way, code = run_length(kept, run_bits), runs_of(kept, run_bits)
        entries = sum(map(len, code))
        pointers = len(code) * math.ceil(math.log2(kept.size + 1))
        assert (way.words, way.index_bits) == (entries, pointers + run_bits * entries)

    def test_a_long_run(self) -> None:
        """17 zeros before a weight: a padding zero after 15, then 1 more; 16 zeros: a padding zero and 0 more."""
        for zeros, words in ((15, 1), (16, 2), (31, 2), (32, 3)):
            kept = np.zeros((zeros + 2, 1, 1), bool)
            kept[zeros] = True
            assert run_length(kept).words == words == sum(map(len, runs_of(kept, 4)))

    def test_a_run_has_a_bit(self) -> None:
        """A run of no bits is refused."""
        with pytest.raises(EspalierError, match="run_bits must be at least 1, got 0"):
            run_length(np.ones((1, 1, 1), bool), 0)


class TestBounds:
    @pytest.mark.parametrize("pattern", PATTERNS)
    @few
    @given(data=st.data())
    def test_no_encoding_beats_its_bound(self, pattern: str, data: st.DataObject) -> None:
        """All masks that keep as much have indices of one length, so that it is at least log2 of their number.

        The pattern's own encodings tell apart the masks of the pattern, those of single weights all masks.
        """
        rule, kept = parse_pattern(pattern), data.draw(legal_masks(pattern))
        own = {form.name for form in forms(rule, kept.shape)} - set(SCALAR)
        for way in storages(rule, kept):
            if way.name in own and not (pattern.startswith("kernel") and "+" in pattern):
                assert way.index_bits >= bound_bits(rule, kept.shape, way.words) - 1e-9
            elif way.name in own:  # by kernel and by stride: at least the kernels are told apart
                kernels = int(kept.any(axis=2).sum()) * kept.shape[2]
                assert way.index_bits >= bound_bits(rule, kept.shape, kernels) - 1e-9
            elif way.name in SCALAR:
                assert way.index_bits >= bound_bits(Irregular(), kept.shape, way.words) - 1e-9

    def test_a_bit_less_would_beat_it(self) -> None:
        """Negative control: 1:2 takes exactly its bound; so do 1 x 2 flags, of which one is set, up to a bit."""
        kept = np.array([[[True, False, False, True]]])
        (way,) = (x for x in storages(parse_pattern("1:2"), kept) if x.name == "n:m positions")
        assert way.index_bits == 2 == bound_bits(parse_pattern("1:2"), kept.shape, 2)
        assert way.index_bits - 1 < bound_bits(parse_pattern("1:2"), kept.shape, 2)

    @pytest.mark.parametrize("shape", [(2, 2, 2), (3, 1, 2), (1, 2, 3)])
    @pytest.mark.parametrize(
        "pattern", ["kernel", "kernel@2", "ikss", "ikss-rest", "feature-map", "block-2", "irregular", "1:2"]
    )
    def test_the_bound_counts_masks(self, pattern: str, shape: tuple[int, int, int]) -> None:
        """2 to the bound is how many masks keep as much: all masks written out."""
        rule = parse_pattern(pattern)
        counts: dict[int, int] = {}
        for bits in product((False, True), repeat=math.prod(shape)):
            kept = np.reshape(bits, shape)
            if rule.problem(kept) is None:
                words = rule.nest(kept).stored_words if "block" in pattern else int(kept.sum())
                counts[words] = counts.get(words, 0) + 1
        for words, count in counts.items():
            assert 2 ** bound_bits(rule, shape, words) == pytest.approx(count)

    @pytest.mark.parametrize("run_bits", [1, 2])
    def test_run_length(self, run_bits: int) -> None:
        """Its length differs from mask to mask: among all that keep as much, the longest is at least their bound.

        A padding zero is known by its stored word, of which one bit is counted.
        """
        lengths: dict[int, list[int]] = {}
        for bits in product((False, True), repeat=8):
            way = run_length(np.reshape(bits, (4, 2, 1)), run_bits)
            lengths.setdefault(sum(bits), []).append(way.bits(1))
        for kept, found in lengths.items():
            assert max(found) >= math.log2(len(found)) == pytest.approx(bound_bits(Irregular(), (4, 2, 1), kept))


class TestBreakEven:
    shape = (16, 16, 9)

    def test_closed_forms(self) -> None:
        """Each from its own equation, at 4-bit weights; N = 2304, K = 144, ends take 12 bits, rows 8, columns 4."""
        assert break_even(parse_pattern("irregular"), self.shape, 4) == pytest.approx(
            {
                "bitmap": 1 - 1 / 4,
                "csr": (2304 * 4 - 16 * 12) / (2304 * (4 + 8)),
                "csc": (2304 * 4 - 144 * 12) / (2304 * (4 + 4)),
                "run-length": run_length_break_even(self.shape, 4),
            },
            abs=1e-4,
        )
        kernel = break_even(parse_pattern("kernel"), self.shape, 4)
        assert kernel["kernel flags"] == pytest.approx(1 - 1 / (9 * 4))
        assert kernel["kernel lists"] == pytest.approx((9216 - 16 * 9) / (2304 * (4 + 4 / 9)))
        assert break_even(parse_pattern("2:4"), self.shape, 4)["n:m positions"] == pytest.approx(4 / (4 + 2))
        assert break_even(parse_pattern("ikss"), self.shape, 4)["stride-offset"] == pytest.approx(1 - 128 / 9216)

    @pytest.mark.parametrize("pattern", ["irregular", "kernel", "block-2", "block-4"])
    @pytest.mark.parametrize("weight_bits", [2, 3, 5, 8])
    def test_below_it_pays_and_above_it_does_not(self, pattern: str, weight_bits: int) -> None:
        """Fewer bits than dense storage exactly where the density is below: at every number of units kept."""
        rule, shape = parse_pattern(pattern), (8, 8, 4)
        limits = break_even(rule, shape, weight_bits)
        unit = {"irregular": 1, "kernel": 4, "block-2": 4, "block-4": 16}[pattern]
        for form in forms(rule, shape):
            for words in range(0, 256 + 1, unit):
                bits = form.index_bits(words) + words * weight_bits
                assert (bits < 256 * weight_bits) == (words / 256 < limits[form.name] - 1e-12)

    def test_one_bit_more_a_weight_pays_longer(self) -> None:
        """The wider a word, the less its index weighs; the table has a row for each encoding of each pattern."""
        table = break_even_table(["irregular", "kernel", "block-4", "2:4"], self.shape, range(2, 9))
        assert set(table["kernel"]) == {"kernel flags", "kernel lists", "bitmap", "csr", "csc", "run-length"}
        for rows in table.values():
            for densities in rows.values():
                assert list(densities) == list(range(2, 9))
                assert sorted(densities.values()) == list(densities.values())
                assert 0 <= min(densities.values()) <= max(densities.values()) <= 1

    def test_run_length_of_a_random_mask(self) -> None:
        """The expected share is what random masks take, within 2 %; 8 columns of 65536 rows."""
        rng = np.random.default_rng(0)
        for density in (0.02, 0.1, 0.5):
            kept = rng.random((1 << 16, 8, 1)) < density
            measured = run_length(kept).bits(4) / (kept.size * 4)
            assert run_length_share(kept.shape, 4, density) == pytest.approx(measured, rel=0.02)

    def test_shares(self) -> None:
        """The lines of the figure meet 1 where the table says, and end at the index alone."""
        rule = parse_pattern("irregular")
        for name, limit in break_even(rule, self.shape, 4).items():
            ends, meets = shares(rule, self.shape, 4, [0.0, limit])[name]
            assert meets == pytest.approx(1)
            assert ends < 1
        assert shares(rule, self.shape, 4, [0.0])["bitmap"] == [1 / 4]


def run_length_break_even(shape: tuple[int, int, int], weight_bits: int) -> float:
    """Return where the expected share is 1, to 1e-4, by walking."""
    densities = np.arange(1, 10_000) / 10_000
    return float(densities[[run_length_share(shape, weight_bits, float(d)) < 1 for d in densities]][-1])
