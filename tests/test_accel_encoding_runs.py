"""What each output brings of an index, and runs of zeros, which are stored where they are asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import Mask, few, group_of, legal_masks, run_words
from support.programs import CASES

from accel.encoding import IndexWords, cheapest, decode, encoding_called, index_bits
from accel.errors import EspalierError
from accel.sparsity import parse_pattern

ZERO_RUNS = "zero runs"


@pytest.mark.parametrize(("pattern", "name"), CASES)
@few
@given(data=st.data())
def test_each_output_brings_its_words(pattern: str, name: str, data: st.DataObject) -> None:
    """Outputs bring all bits between them; what is said of a row of units comes with the first of its outputs.

    So the first outputs bring what the index of their rows alone takes, ends and columns of the same width.
    """
    kept = data.draw(legal_masks(pattern))
    encoding = encoding_called(parse_pattern(pattern), name)
    brought = encoding.output_bits(kept)
    assert brought.shape == kept.shape[:1]
    assert brought.sum() == encoding.index_bits(kept) == sum(words.bits for words in encoding.encode(kept))
    height = int(pattern.removeprefix("block-")) if pattern.startswith("block-") else group_of(pattern)
    assert not brought[1:][np.arange(1, len(kept)) % height > 0].any()
    for first in range(0, len(kept), height):
        rows = np.zeros_like(kept)
        rows[first : first + height] = kept[first : first + height]
        if name == ZERO_RUNS:
            (ends, runs) = encoding.encode(kept)
            assert brought[first] == ends.word_bits + runs.word_bits * len(run_words(kept, runs.word_bits)[first])
        if name in ("csr", "bsr", "kernel lists"):  # of the matrix with these rows alone all ends are stored
            words = {x.name: x for x in encoding.encode(rows)}
            assert brought[first] == words["ends"].word_bits + words["columns"].bits


@few
@given(kept=legal_masks("irregular"))
def test_zero_runs_are_asked_for(kept: Mask) -> None:
    """They are stored where they are asked for and take the fewest bits, the others where they do not."""
    bits = index_bits(parse_pattern("irregular"), kept)
    name, index = cheapest(parse_pattern("irregular"), kept, zero_runs=True)
    assert bits[name] == min(bits.values()) == sum(words.bits for words in index)
    assert cheapest(parse_pattern("irregular"), kept)[0] != ZERO_RUNS


def test_zero_runs_of_a_sparse_layer(rng: np.random.Generator) -> None:
    """Where a tenth of the weights is kept a run takes 4 bits, some a full word before; a bitmap has a bit each."""
    kept = rng.random((64, 64, 9)) < 0.1
    name, (ends, runs) = cheapest(parse_pattern("irregular"), kept, zero_runs=True)
    assert (name, runs.word_bits) == (ZERO_RUNS, 4)
    expected = kept.sum() / (1 - 0.9**15)  # of runs that are geometric, each word is full with 0.9^15
    assert runs.words.size == pytest.approx(expected, rel=0.01)
    assert ends.bits + runs.bits < 0.55 * kept.size
    assert cheapest(parse_pattern("irregular"), rng.random((64, 64, 9)) < 0.6, zero_runs=True)[0] == "bitmap"


@pytest.mark.parametrize(
    ("ends", "runs", "bits", "line"),
    [
        ([1, 1], [0], 9, "the zero runs index has words of 9 bits, not 2..8"),
        ([1, 1], [0], 0, "the zero runs index has words of 0 bits, not 2..8"),
        ([2, 1], [0, 0], 2, "the ends of the zero runs index do not divide its 2 runs"),
        ([1, 2], [0, 0, 0], 2, "the ends of the zero runs index do not divide its 3 runs"),
        ([2, 2], [3, 1], 2, "the zero runs index has column 4 of only 4"),
        ([2, 2], [0, 3], 2, "the zero runs index is not the one that its mask is stored as"),  # nothing follows
    ],
)
def test_refusals(ends: list[int], runs: list[int], bits: int, line: str) -> None:
    """Words that stand for no mask of two rows and four columns are refused, each in a line that says why."""
    index = IndexWords("ends", 4, np.array(ends)), IndexWords("runs", bits, np.array(runs))
    with pytest.raises(EspalierError) as raised:
        decode(parse_pattern("irregular"), ZERO_RUNS, index, (2, 1, 4))
    assert str(raised.value) == line


def test_a_full_word_and_a_run() -> None:
    """Negative control: three zeros are a full word of two bits, and the weight after them has no other zero before."""
    index = IndexWords("ends", 4, np.array([2, 6])), IndexWords("runs", 2, np.array([3, 0, 0, 0, 0, 0]))
    assert decode(parse_pattern("irregular"), ZERO_RUNS, index, (2, 1, 4)).reshape(2, 4).tolist() == [
        [False, False, False, True],
        [True] * 4,
    ]
