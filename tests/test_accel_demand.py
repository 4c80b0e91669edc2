"""How much of every memory a Program takes: what the assembler fills, and not a word less will do."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.programs import PIXEL, mac_layer, program, programs, signal
from support.rtl_images import POINT, SIGNED, chain, conv, layer, point

from accel.array import DEPTHS, MacArray
from accel.demand import array_for, bare, demand_of
from accel.errors import EspalierError
from accel.network import INPUT
from accel.places import signal_words
from accel.program import Program
from accel.program_layers import AddLayer, ClipLayer, ConcatLayer, FlattenLayer, MaxPoolLayer, TableLayer
from accel.runs import runs_of
from accel.signal import Requantize
from accel.window import Window
from accel.words import Words
from rtl.assemble import assemble

FIRST = point("a", INPUT, reads=PIXEL)


def addition(weight: int) -> AddLayer:
    """Return the sum of the input times `weight` and the input."""
    return AddLayer("b", (INPUT, INPUT), (weight, 1), 20, False, Requantize([1], 1), SIGNED)


def linear(inputs: int) -> Program:
    """Return a dense linear layer of 3 outputs."""
    made = replace(layer(np.ones((3, inputs, 1)), "dense", weight_bits=10), inputs=("flat",))
    return program([FlattenLayer("flat", (INPUT,)), made], (inputs, 1, 1))


def words_of(of: Program, weight_bits: int = 8, **features: bool) -> list[int]:
    """Return the words on 2 x 2 lanes: signals, weights, entries, taps, constants, layers."""
    demand = demand_of(of, bare(2, 2, weight_bits, **{"overlap": False, **features}))
    assert [*demand.words] == [*DEPTHS]
    assert demand.words["tables"] == 0
    return [*demand.words.values()][:-1]


class TestWords:
    def test_a_dense_convolution(self) -> None:
        """2 maps of 4 x 5 by 3 outputs of 2 x 2 taps: 2 groups of 8 weight words, no list, 4 taps, 3 constants."""
        assert words_of(chain(conv())) == [40, 16, 0, 4, 3, 1]

    def test_two_layers(self) -> None:
        """Layers add up; signals lie beside each other, and what leaves takes none."""
        assert words_of(chain(FIRST, conv("b", "a", SIGNED))) == [40 + 40, 2 + 16, 0, 1 + 4, 2 + 3, 2]

    @pytest.mark.parametrize(("inputs", "taps"), [(150, 50), (64, 64), (67, 1)])
    def test_a_dense_vector(self, inputs: int, taps: int) -> None:
        """A dense linear layer counts runs of one length, of 64 words at most: taps of the longest that divides it."""
        assert words_of(linear(inputs), split=False) == [inputs, 2 * inputs, 0, taps, 3, 1]

    def test_split_sums(self) -> None:
        """5 words in windows of 2 are 3 steps of 2 weights for each of 2 groups; a tap for each window, no list."""
        assert words_of(linear(5)) == [5, 2 * 3 * 2, 0, 3, 3, 1]

    def test_layers_begin_with_the_first_bank(self) -> None:
        """A layer of 3 taps takes 4 words of weights in 2 banks; in one bank, where no sum is split, 3."""
        of = chain(MaxPoolLayer("p", (INPUT,), Window((1, 3))))
        assert [words_of(of, split=split)[1] for split in (True, False)] == [4, 3]

    def test_a_list(self) -> None:
        """A group that keeps one tap of each of two maps has two entries; both groups read the same, stored once."""
        kept = np.zeros((4, 2, 4))
        kept[:, :, 1] = 1
        of = chain(layer(kept, "irregular", Window.square(2)))
        assert words_of(of) == [40, 4, 2, 4, 4, 1]
        assert runs_of(of, of.mac_layers[0], bare(2, 2, 8)).reads == 6  # each of two groups both, and what follows

    def test_a_pool(self) -> None:
        """A pool has a weight word and a tap for each place of its window, and one constant for all maps."""
        assert words_of(chain(MaxPoolLayer("p", (INPUT,), Window.square(2)))) == [40, 4, 0, 4, 1, 1]

    def test_an_addition(self) -> None:
        """300 is 127 + 127 + 46, beside a 1: 4 words; two entries on a tap each, and 3 taps for a count of 3."""
        assert words_of(chain(addition(300))) == [40, 4, 2, 3, 1, 1]
        assert words_of(chain(addition(300)), weight_bits=10) == [40, 2, 2, 2, 1, 1]
        assert words_of(chain(addition(300)), flat=False)[4] == 1  # a constant for both maps

    def test_an_output_that_is_larger_than_the_input(self) -> None:
        """Nothing stores it, but its rows x tiles of 2 pixels, or the pixels of a row, must be countable: 3 x 33."""
        of = chain(conv(window=Window((2, 2), (1, 1), (0, 31, 0, 31))))
        assert words_of(of)[0] == 3 * 33 > signal_words(of, bare(2, 2, 8))

    def test_tables(self) -> None:
        """A word for each code that is looked up, equal tables once; too few of them are refused."""
        codes = np.arange(256) // 2
        first, same, other = (
            TableLayer(name, (source,), found, 0, PIXEL)
            for name, source, found in (("a", INPUT, codes), ("c", "b", codes), ("e", "d", codes[::-1]))
        )
        of = chain(first, point("b", "a", PIXEL, PIXEL), same, point("d", "c", PIXEL, PIXEL), other)
        array = array_for(of, 2, 2)
        assert array.table_words == demand_of(of, array).words["tables"] == 256 + 256
        with pytest.raises(EspalierError, match=r"^test: needs 512 words of tables, table_words are 0$"):
            array_for(of, 2, 2, {"table_words": 0})

    @pytest.mark.parametrize(("highest", "lowest"), [(254, 0), (127, -127), (127, -128), (126, -128)])
    def test_bounds(self, highest: int, lowest: int) -> None:
        """An array cuts codes off where bounds lie inside their format; one that does not is refused."""
        reads = PIXEL if highest > 127 else SIGNED
        of = chain(ClipLayer("c", (INPUT,), highest, lowest), reads=reads)
        array, without = array_for(of, 2, 2), MacArray().layer_fields
        assert (array.ceiling, array.floor) == (highest in (254, 126), lowest == -127)
        bits = {name: field.bits for name, field in array.layer_fields.items()}
        assert (bits["highest"], bits["lowest"]) == (8 * array.ceiling, 8 * array.floor)
        assert without["highest"].bits == without["lowest"].bits == 0
        demand_of(of, array).check(array)
        for name in ("ceiling", "floor"):
            if getattr(array, name):
                line = f"^test: cuts codes off, which an array does whose {name} is true$"
                with pytest.raises(EspalierError, match=line):
                    demand_of(of, array).check(replace(array, **{name: False}))

    def test_joins(self) -> None:
        """What is joined side by side takes nothing; a copy a tap and a weight; two copies a list for each piece."""
        of = chain(
            FIRST, point("b", INPUT, reads=PIXEL), ConcatLayer("c", ("a", "b")), MaxPoolLayer("d", ("c",), POINT)
        )
        assert [x.name for x in demand_of(of, bare(2, 2, 8)).layers] == ["a", "b", "d"]
        assert words_of(chain(ConcatLayer("c", (INPUT, INPUT))))[2:] == [2, 1, 1, 1]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(programs(every_kind=True), st.sampled_from([(1, 1), (2, 4), (3, 2), (8, 8)]), st.booleans())
def test_it_is_what_the_assembler_fills(of: Program, lanes: tuple[int, int], split: bool) -> None:
    """Of any Program that the hardware runs: as many words as are written; a word less is refused."""
    try:
        array = array_for(of, *lanes, split=split)
        image = assemble(of, array)
    except EspalierError:  # its words or strides are none of the hardware's: `test_rtl_assemble_refusals.py`
        assume(False)
    demand = demand_of(of, array)
    longest = max(x.longest for x in demand.layers)
    written = {name: len(getattr(image, name)) for name in DEPTHS if name != "signals"}
    assert demand.words == {"signals": demand.signals} | written | {"taps": max(written["taps"], longest)}
    assert [getattr(array, DEPTHS[name]) for name in written] == [demand.words[name] for name in written]
    assert 0 <= array.signal_words - demand.signals < array.banks
    for name, needed in demand.words.items():
        banks = {"signals": array.banks, "weights": array.weight_banks}.get(name, 1)
        fewer = getattr(array, DEPTHS[name]) - banks
        if fewer < (name != "entries"):
            continue  # no array has as few
        with pytest.raises(
            EspalierError, match=f"^test: needs {needed:,} words of {name}, {DEPTHS[name]} are {fewer:,}$"
        ):
            assemble(of, replace(array, **{DEPTHS[name]: fewer}))


class TestArray:
    OF = chain(FIRST, conv("b", "a", SIGNED))

    def test_just_large_enough(self) -> None:
        """Words and memories are the Program's; signals fill whole banks, 2 x 8 of them."""
        words = Words.of(self.OF)
        expected = MacArray(4, 8, 8, 8, words.accumulator_bits, 80, 8 + 8, 0, 5, 5, 2, overlap=False, combine=False)
        assert array_for(self.OF, 4, 8, overlap=False) == expected
        less = replace(expected, weight_words=2 + 8, split=False)
        assert array_for(self.OF, 4, 8, split=False, overlap=False) == less
        assert array_for(self.OF, 4, 16, overlap=False).signal_words == 96  # 80, in 32 banks

    def test_the_next_image(self) -> None:
        """It has a place of 40 words of its own, and its layers have words of their own."""
        alone, both = (array_for(self.OF, 4, 8, overlap=overlap) for overlap in (False, True))
        assert both == replace(alone, signal_words=80 + 40 + 8, layers=2 * 2, overlap=True)  # whole banks, 2 x 8

    @pytest.mark.parametrize("name", DEPTHS.values())
    def test_a_depth_that_is_asked_for(self, name: str) -> None:
        """It is taken as it is, if the Program fits; None is left out."""
        fitting = array_for(self.OF, 2, 2)
        assert array_for(self.OF, 2, 2, {name: 4096}) == replace(fitting, **{name: 4096})
        assert array_for(self.OF, 2, 2, {name: None}) == fitting

    @pytest.mark.parametrize(("memory", "name"), [x for x in DEPTHS.items() if x[0] not in ("entries", "tables")])
    def test_a_depth_that_is_too_small(self, memory: str, name: str) -> None:
        """One line: which memory, what is needed, what is given. With exactly as many it fits."""
        needed = demand_of(self.OF, bare(2, 2, 8)).words[memory]
        given_words = needed - {"signals": 4, "weights": 2}.get(memory, 1)
        with pytest.raises(EspalierError) as refused:
            array_for(self.OF, 2, 2, {name: given_words})
        assert str(refused.value) == f"test: needs {needed} words of {memory}, {name} are {given_words}"
        assert getattr(array_for(self.OF, 2, 2, {name: needed}), name) == needed

    def test_signals_fill_banks(self) -> None:
        """A depth of signals that is no multiple of the banks is refused, because no such memory can be."""
        with pytest.raises(EspalierError, match=r"^signal_words must be a multiple of 4 banks, got 81$"):
            array_for(self.OF, 2, 2, {"signal_words": 81})

    def test_weights_fill_banks(self) -> None:
        """So is a depth of weights where each pixel lane has a bank; where sums are not split there is one."""
        with pytest.raises(EspalierError, match=r"^weight_words must be a multiple of 2 banks, got 81$"):
            array_for(self.OF, 2, 2, {"weight_words": 81})
        assert array_for(self.OF, 2, 2, {"weight_words": 81}, split=False).weight_words == 81

    @pytest.mark.parametrize(("lanes", "line"), [((0, 8), "output_lanes must be"), ((8, 0), "pixel_lanes must be")])
    def test_no_lanes(self, lanes: tuple[int, int], line: str) -> None:
        """Lanes that no array has are refused."""
        with pytest.raises(EspalierError, match=f"^{line} at least 1, got 0$"):
            array_for(self.OF, *lanes)

    def test_words(self) -> None:
        """Words are as wide as the widest of each; a pool's weights of 1 take 2 bits; a signal and its sign fit."""
        pool = chain(MaxPoolLayer("p", (INPUT,), Window.square(2)), reads=signal(5))
        array = array_for(pool, 1, 1)
        assert (array.weight_bits, array.signal_bits, array.accumulator_bits) == (2, 5, 6)

    def test_accumulators_that_leave_are_no_signals(self) -> None:
        """The width of accumulators that leave the chip, flattened or not, does not widen the signal memory."""
        made = mac_layer("a", INPUT, np.full((1, 1, 4), 127), PIXEL, window=Window.square(2))
        array = array_for(program([made, FlattenLayer("flat", ("a",))], (1, 3, 3)), 1, 1)
        assert (array.weight_bits, array.signal_bits, array.accumulator_bits) == (8, 8, 18)  # 4 x 127 x 255 < 2**17

    def test_a_bias_that_is_wider_than_its_accumulator(self) -> None:
        """The memory of constants holds the bias as it is stored, so that accumulators are as wide."""
        made = replace(layer(np.ones((1, 2, 1)), "dense", POINT), bias_bits=30)
        with contextlib.suppress(AttributeError):
            assert made.accumulator_bits < 30
        assert array_for(chain(made), 1, 1).accumulator_bits == 30
