"""Images one after another: the next is loaded while one runs, and starts follow each other as the closed form says."""

from dataclasses import replace

import numpy as np
import pytest
from support.programs import PIXEL, program
from support.rtl_programs import SIGNED, SIZES, add, check, images_of, mac

from accel.array import MacArray
from accel.cost.cycles import cycles_of, total_cycles
from accel.cost.stalls import total_interval
from accel.network import INPUT
from accel.places import beats_of, places_of
from accel.program import Program
from accel.window import Window

ARRAY = MacArray(4, 4, **SIZES | {"signal_words": 2048})
SERIAL = replace(ARRAY, overlap=False)


def strided(rng: np.random.Generator, maps: int, size: int) -> Program:
    """Return two layers, the first of which reads every other pixel of one of the maps: few cycles for many words."""
    kept = np.zeros((5, maps, 1), bool)
    kept[:, 0] = True
    window = Window((1, 1), (2, 2))
    layers = [
        mac(rng, "a", INPUT, kept.shape, PIXEL, window=window, pattern="kernel", kept=kept, output=SIGNED),
        mac(rng, "b", "a", (1, 5, 1), SIGNED, window=window),
    ]
    return program(layers, (maps, size, size))


def between_starts(of: Program, array: MacArray, rng: np.random.Generator, ready: float = 1) -> list[int]:
    """Return the cycles from each start to the next, of images whose codes and cycles are right."""
    runs = check(of, images_of(rng, of, 3), array, ready=ready, rng=rng)
    return np.diff([run.started for run in runs]).tolist()


class TestBackToBack:
    @pytest.mark.parametrize(("maps", "binds"), [(1, "core"), (9, "load")])
    def test_the_closed_form(self, maps: int, binds: str, rng: np.random.Generator) -> None:
        """From start to start: as long as an image takes, or its beats and the rows that the drain writes meanwhile."""
        of = strided(rng, maps, 8)
        beats, written, cycles = beats_of(of, ARRAY), cycles_of(of, ARRAY)[0].rows, total_cycles(of, ARRAY)
        assert (beats, written) == (16 * maps, 5 * 4)  # rows of 4 pixels
        assert total_interval(of, ARRAY) == (cycles if binds == "core" else beats + written)
        assert max(beats, cycles) < total_interval(of, ARRAY) or binds == "core"  # negative control: rows count
        assert between_starts(of, ARRAY, rng) == [total_interval(of, ARRAY)] * 2

    @pytest.mark.slow
    @pytest.mark.parametrize("maps", [1, 9])
    def test_without_overlap(self, maps: int, rng: np.random.Generator) -> None:
        """An array that loads while idle takes the sum: a beat for every row of words, then the image."""
        of = strided(rng, maps, 8)
        assert between_starts(of, SERIAL, rng) == [16 * maps + total_cycles(of, SERIAL)] * 2
        assert total_interval(of, SERIAL) == 16 * maps + total_cycles(of, SERIAL)

    @pytest.mark.slow
    @pytest.mark.parametrize("maps", [1, 9])
    def test_back_pressure(self, maps: int, rng: np.random.Generator) -> None:
        """Words come in and none is lost while the receiver holds the core back; it takes longer, and that is all."""
        of = strided(rng, maps, 8)
        waits = between_starts(of, ARRAY, rng, ready=0.3)
        assert min(waits) > total_interval(of, ARRAY) - (maps > 1)  # where the load binds it goes on meanwhile

    @pytest.mark.slow
    @pytest.mark.parametrize("lanes", [(2, 2), (3, 4), (1, 1)])
    def test_beats_that_are_not_full(self, lanes: tuple[int, int], rng: np.random.Generator) -> None:
        """An image of 15 words: the last beat has words that nothing reads, and no tensor lies where they go."""
        layers = [
            mac(rng, "a", INPUT, (3, 1, 9), PIXEL, window=Window.square(3, 1, 1), output=SIGNED),
            mac(rng, "b", "a", (2, 3, 9), SIGNED, window=Window.square(3, 1, 1)),
        ]
        of, array = program(layers, (1, 3, 5)), MacArray(*lanes, **SIZES)
        assert between_starts(of, array, rng) == [total_interval(of, array)] * 2


class TestWhoReadsTheImage:
    @pytest.mark.slow
    def test_an_addition(self, rng: np.random.Generator) -> None:
        """A sum of the image and what was computed of it has a list for each place of the image."""
        layers = [
            mac(rng, "a", INPUT, (1, 1, 9), PIXEL, window=Window.square(3, 1, 1), output=SIGNED),
            add("sum", (INPUT, "a"), (3, 5), (PIXEL, SIGNED), SIGNED),
            add("twice", ("sum", "a"), (1, 2), (SIGNED, SIGNED), SIGNED),
        ]
        of = program(layers, (1, 4, 5))
        assert [places_of(of, ARRAY).lists(layer) for layer in of.layers[1:]] == [2, 1]
        assert between_starts(of, ARRAY, rng) == [total_interval(of, ARRAY)] * 2

    def test_the_image_twice(self, rng: np.random.Generator) -> None:
        """A sum of the image with itself has one list, wherever the image lies."""
        of = program([add("sum", (INPUT, INPUT), (3, 5), (PIXEL, PIXEL), SIGNED)], (1, 4, 5))
        assert places_of(of, ARRAY).lists(of.layers[0]) == 1
        assert between_starts(of, ARRAY, rng) == [total_interval(of, ARRAY)] * 2
