"""Weights that travel as they are stored: bits counted weight by weight, cycles by hand, what is marked."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.masks import legal_masks
from support.programs import CASES, PIXEL, index_of, mac_layer, program

from accel.array import MacArray
from accel.cost import Estimate, Invariants, Limits, estimate_of, load_technology
from accel.cost.design import PACKED, RESIDENT, STREAMED
from accel.cost.packed import INDEX, Coming, fewest, index_memories, lane_words, loads, longest_list, unpacking
from accel.demand import array_for
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import MacLayer
from accel.runs import Runs, runs_of
from accel.window import Window

RATE = 40e6  # bytes a second, at 100 MHz 3.2 bits a cycle


def coming_of(of: Program, lanes: tuple[int, int]) -> tuple[dict[str, Coming], MacArray, Invariants]:
    """Return how each layer's weights come, by its name, on the array that unpacks them."""
    invariants = Invariants(of)
    array, demand = unpacking(array_for(of, *lanes), invariants.demand)
    rows = invariants.timed(invariants.costs(invariants.words), array)
    found = fewest(of, array, rows, demand)
    return {row.name: way for (row, _), way in zip(rows, found, strict=True)}, array, invariants


def bits_by_output(layer: MacLayer) -> list[list[int]]:
    """Return the bits of index and of weights that each output brings, word by word as they are stored."""
    found = [[0, 0] for _ in range(layer.shape[0])]
    for row, columns in enumerate(layer.kept.reshape(layer.shape[0], -1)):
        for kept in columns:
            found[row][0] += layer.encoding == "bitmap"
            if kept:
                found[row][0] += _width(layer, "columns") if layer.encoding == "csr" else 0
                found[row][1] += layer.weight_bits
        found[row][0] += _width(layer, "ends") if layer.encoding == "csr" else 0
    return found


def _width(layer: MacLayer, name: str) -> int:
    return next(words.word_bits for words in layer.index if words.name == name)


def irregular(rng: np.random.Generator, encoding: str, density: float = 0.1) -> Program:
    """Return a convolution that keeps single weights, as this encoding stores them."""
    kept = rng.random((10, 6, 9)) < density
    weights, index = rng.integers(1, 8, kept.shape), {"pattern": "irregular", "encoding": encoding}
    layer = mac_layer("a", INPUT, weights, PIXEL, kept=kept, window=Window.square(3, 1, 1), **index)  # type: ignore[arg-type]
    return program([layer], (6, 2, 2))  # maps that steps can read two of


class TestBits:
    @pytest.mark.parametrize("encoding", ["bitmap", "csr"])
    @pytest.mark.parametrize("lanes", [4, 8])
    def test_counted_weight_by_weight(self, encoding: str, lanes: int, rng: np.random.Generator) -> None:
        """Each group brings the words of its outputs: the flags or columns of their rows, and what they keep."""
        of = irregular(rng, encoding)
        (layer,) = of.mac_layers
        way = coming_of(of, (lanes, 4))[0]["a"]
        rows = bits_by_output(layer)
        wanted = [np.sum(rows[first : first + lanes], axis=0).tolist() for first in range(0, 10, lanes)]
        assert np.stack([way.index_bits, way.weight_bits], axis=1).tolist() == wanted
        assert way.bits == layer.index_bits + layer.weights.size * layer.weight_bits
        more = irregular(rng, encoding, density=0.2)  # negative control: another mask brings other bits
        assert coming_of(more, (lanes, 4))[0]["a"].weight_bits.tolist() != way.weight_bits.tolist()

    @pytest.mark.parametrize(("pattern", "encoding"), CASES)
    @settings(max_examples=5, deadline=None)
    @given(data=st.data(), lanes=st.sampled_from([(4, 4), (2, 1), (3, 8)]))
    def test_what_is_stored_or_lane_words(
        self, pattern: str, encoding: str, data: st.DataObject, lanes: tuple[int, int]
    ) -> None:
        """Of every pattern and encoding the bits that are stored come, or lane words where those are no more."""
        kept = data.draw(legal_masks(pattern, (5, 3, 9)))
        window, how = Window.square(3, 1, 1), {"kept": kept, "pattern": pattern, "encoding": encoding}
        layer = mac_layer("a", INPUT, np.where(kept, 3, 0), PIXEL, window=window, weight_bits=4, **how)  # type: ignore[arg-type]
        found, array, _ = coming_of(program([layer], (3, 4, 5)), lanes)
        words = sum(int(count) * lanes[0] * array.weight_bits for count in found["a"].words)
        stored = layer.index_bits + layer.weights.size * layer.weight_bits
        assert found["a"].bits == min(stored, words)
        assert found["a"].packed == (stored < words)

    def test_fewer_bits_decide(self, rng: np.random.Generator) -> None:
        """A layer that keeps everything, in full groups, travels as lane words; a sparse one as it is stored."""
        assert coming_of(irregular(rng, "bitmap"), (8, 4))[0]["a"].packed
        full = mac_layer("a", INPUT, rng.integers(1, 8, (8, 2, 9)), PIXEL, window=Window.square(3, 1, 1))
        assert not coming_of(program([full], (2, 4, 8)), (8, 4))[0]["a"].packed
        assert coming_of(program([full], (2, 4, 8)), (3, 4))[0]["a"].packed  # the last group has lanes without a map

    def test_steps_read_one_map(self, rng: np.random.Generator) -> None:
        """Lane words are the columns that any lane keeps: pairs of maps, which the index does not name, are none."""
        of = irregular(rng, "bitmap")
        array = array_for(of, 4, 4)
        assert array.combine
        way = coming_of(of, (4, 4))[0]["a"]
        kept = of.mac_layers[0].kept.reshape(10, -1)
        assert way.words.tolist() == [max(1, int(kept[first : first + 4].any(axis=0).sum())) for first in (0, 4, 8)]
        assert way.words.sum() > sum(row.units.sum() for row in Invariants(of).schedule(array))


class TestCycles:
    def test_by_hand(self) -> None:
        """At 4 bits a cycle 8 of index take 2 cycles; 12 of weights 3, or as many as there are lane words."""
        way = Coming(words=np.array([2, 7]), index_bits=np.array([8, 0]), weight_bits=np.array([12, 12]))
        assert loads([way], Fraction(4)).tolist() == [2 + 3, 7]
        assert loads([way], Fraction(1)).tolist() == [8 + 12, 12]
        assert loads([way], None).tolist() == [2, 7]  # nothing is said of the DRAM: a lane word a cycle

    @given(
        units=st.lists(st.integers(1, 30), min_size=1, max_size=6),
        rate=st.fractions(min_value=Fraction(1, 4), max_value=200, max_denominator=50),
    )
    def test_no_more_than_a_lane_word_a_cycle(self, units: list[int], rate: Fraction) -> None:
        """No group is there before its bits have come, or its words been made; the last not before all have."""
        words = np.array(units)
        way = Coming(words=words, index_bits=words * 3, weight_bits=words * 5)
        found = loads([way], rate)
        assert (found >= words).all()
        assert found.sum() >= 8 * sum(units) / rate
        assert found.sum() <= 8 * sum(units) / rate + sum(units) + len(units)


class TestBuffers:
    @given(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=5), min_size=1, max_size=5))
    def test_the_longest_list(self, lists: list[list[int]]) -> None:
        """Of lists of entries, each of so many taps, the one with the most entries."""
        counts = np.array([count for entries in lists for count in entries])
        steps = tuple(np.zeros((sum(entries), 1), np.int64) for entries in lists)
        runs = Runs(split=False, taps=np.zeros((1, 3), np.int64), steps=steps, bases=counts, counts=counts)
        assert longest_list(runs) == max(map(len, lists))
        assert longest_list(replace(runs, shared=True)) == counts.size

    def test_memories(self, rng: np.random.Generator) -> None:
        """The largest index of a group has a buffer; lists have two of the longest, where all took more."""
        of = irregular(rng, "bitmap")
        packed, streamed = (sized(of, unpack=unpack) for unpack in (True, False))
        ways = coming_of(of, (4, 4))[0]
        (buffer,) = index_memories([*ways.values()], 32)
        assert (buffer.payload_bits, buffer.words) == (4 * 54, 7)  # flags of four outputs, in words of 32 bits
        lists = {e.weights: next(m for m in e.memories if m.name == "entries").words for e in (packed, streamed)}
        array = replace(array_for(of, 4, 4), combine=False)
        runs = runs_of(of, of.mac_layers[0], array)
        assert lists[PACKED] == min(runs.bases.size, 2 * longest_list(runs))
        assert INDEX in [m.name for m in packed.memories]
        assert INDEX not in [m.name for m in streamed.memories]
        written = packed.layers[0].accesses
        assert written["entries"].writes == runs.bases.size
        assert written[INDEX].reads == written[INDEX].writes == -(-540 // packed.array.weight_word_bits)


class TestEstimate:
    def test_only_the_marked_one_moves_less(self, rng: np.random.Generator) -> None:
        """Stored words move less than lane words, and no hardware of ours takes them."""
        of = irregular(rng, "bitmap")
        packed, streamed = (sized(of, unpack=unpack) for unpack in (True, False))
        assert (packed.weights, packed.on_our_hardware) == (PACKED, False)
        assert (streamed.weights, streamed.on_our_hardware) == (STREAMED, True)
        invariants = Invariants(of)
        whole = estimate_of(invariants, invariants.words, array_for(of, 4, 4), load_technology(), Limits())
        assert (whole.weights, whole.on_our_hardware) == (RESIDENT, True)
        (layer,) = of.mac_layers
        borders = streamed.dram_bits - streamed.layers[0].dram_bits
        assert packed.dram_bits - borders == layer.index_bits + layer.weights.size * layer.weight_bits
        assert packed.dram_bits < streamed.dram_bits

    def test_full_lanes_are_as_today(self, rng: np.random.Generator) -> None:
        """Where nothing is saved, bits, cycles and stalls are those of lane words."""
        full = mac_layer("a", INPUT, rng.integers(1, 8, (8, 2, 9)), PIXEL, window=Window.square(3, 1, 1))
        of = program([full], (2, 4, 8))
        packed, streamed = (sized(of, unpack=unpack) for unpack in (True, False))
        assert (packed.dram_bits, packed.spent) == (streamed.dram_bits, streamed.spent)
        assert packed.spent.stall_cycles > 0

    def test_another_index_moves_other_bits(self, rng: np.random.Generator) -> None:
        """What travels is the index that the Program holds, not the least there is."""
        of = irregular(rng, "bitmap")
        (layer,) = of.mac_layers
        lists = index_of("irregular", "csr", layer.kept)
        other = replace(of, layers=(replace(layer, encoding="csr", index=lists),))
        moved = [sized(x, unpack=True).layers[0].dram_bits for x in (of, other)]
        assert moved[1] - moved[0] == sum(words.bits for words in lists) - layer.index_bits != 0


def sized(of: Program, *, unpack: bool) -> Estimate:
    """Return the estimate of streamed weights."""
    invariants = Invariants(of)
    limits = Limits(dram_bytes_per_s=RATE, stream=True, unpack=unpack)
    return estimate_of(invariants, invariants.words, array_for(of, 4, 4), load_technology(), limits)


def test_lane_words(rng: np.random.Generator) -> None:
    """They come without an index, a word a step, each as wide as the array's."""
    of = irregular(rng, "bitmap")
    array = array_for(of, 4, 4, stream=True)
    (row,) = Invariants(of).schedule(array)
    way = lane_words(row, array)
    assert (way.bits, way.packed, way.entries) == (int(row.units.sum()) * array.weight_word_bits, False, 0)
