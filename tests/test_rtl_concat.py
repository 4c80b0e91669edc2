"""Concatenations on the hardware: side by side from the start, or copied where something lies elsewhere already."""

from dataclasses import replace

import numpy as np
import pytest
from support.programs import program
from support.rtl_programs import ARRAY, SIGNED, SIZES, check, corrupting, difference, images_of, mac

from accel.array import MacArray
from accel.cost.cycles import LAYER_CYCLES, START_CYCLES, cycles_of
from accel.cost.signals import live_signals
from accel.fusion import computing
from accel.network import INPUT
from accel.places import signal_words
from accel.program import Program
from accel.program_layers import ClipLayer, ConcatLayer, FlattenLayer, MacLayer, MaxPoolLayer, ProgramLayer
from accel.walk import pieces_of
from accel.window import Window
from rtl.image import Image
from rtl.simulate import simulate

POINT, HALF, SAME = Window((1, 1)), Window.square(2, 2), Window.square(3, 1, 1)


def point(
    rng: np.random.Generator, name: str, source: str, outputs: int, maps: int, window: Window = POINT
) -> MacLayer:
    """Return a convolution of signals of 6 bits to others."""
    return mac(rng, name, source, (outputs, maps, window.taps), SIGNED, window=window, output=SIGNED)


def joined(rng: np.random.Generator) -> Program:
    """Return two convolutions of the image, 2 and 3 maps, their join, and a convolution that reads it."""
    layers = [
        point(rng, "a", INPUT, 2, 2),
        point(rng, "b", INPUT, 3, 2, SAME),
        ConcatLayer("join", ("b", "a")),
        point(rng, "c", "join", 2, 5, SAME),
    ]
    return program(layers, (2, 3, 5), SIGNED)


class TestSideBySide:
    def test_no_cycles(self, rng: np.random.Generator) -> None:
        """A join of two convolutions takes none, and no words beside its own: the image's 30 and 75."""
        of = joined(rng)
        check(of, images_of(rng, of))
        assert [row.name for row in cycles_of(of, ARRAY)] == ["a", "b", "c"]
        assert signal_words(of, ARRAY) == 30 + 75
        assert live_signals(of)["a"] == {INPUT: 30 * SIGNED.bits, "join": 75 * SIGNED.bits}

    @pytest.mark.slow
    def test_what_is_read_elsewhere_too(self, rng: np.random.Generator) -> None:
        """An input that others read before and after the join, as the skips of a U-Net; a pool fused; a flatten."""
        layers: list[ProgramLayer] = [
            point(rng, "skip", INPUT, 2, 2, SAME),
            point(rng, "deep", "skip", 3, 2),
            MaxPoolLayer("down", ("deep",), HALF),
            point(rng, "a", "down", 3, 3),
            point(rng, "other", "skip", 3, 2, HALF),
            ConcatLayer("join", ("a", "other")),
            point(rng, "after", "skip", 2, 2, HALF),
            ConcatLayer("again", ("join", "after")),
            FlattenLayer("flat", ("again",)),
            mac(rng, "scores", "flat", (3, 8 * 6, 1), SIGNED),
        ]
        of = program(layers, (2, 4, 6), SIGNED)
        assert [x.name for x in computing(of, ARRAY)] == ["skip", "deep", "a", "other", "after", "scores"]
        assert of.homes["a"] == ("again", 0)
        assert of.homes["other"] == ("again", 18)
        check(of, images_of(rng, of))

    @pytest.mark.slow
    def test_vectors(self, rng: np.random.Generator) -> None:
        """Flattened maps beside a vector."""
        layers: list[ProgramLayer] = [
            point(rng, "a", INPUT, 3, 2),
            FlattenLayer("flat", ("a",)),
            mac(rng, "b", "flat", (5, 18, 1), SIGNED, output=SIGNED),
            ConcatLayer("join", ("b", "flat")),
            mac(rng, "c", "join", (4, 23, 1), SIGNED),
        ]
        of = program(layers, (2, 2, 3), SIGNED)
        assert of.homes["flat"] == ("join", 5)
        check(of, images_of(rng, of))

    @pytest.mark.slow
    def test_what_is_clipped_or_pooled(self, rng: np.random.Generator) -> None:
        """Inputs that leave the drain as another layer's output."""
        saturates = replace(SIGNED, format=replace(SIGNED.format, overflow=SIGNED.format.overflow.SAT))
        layers: list[ProgramLayer] = [
            mac(rng, "a", INPUT, (2, 2, 1), SIGNED, window=POINT, output=saturates),
            ClipLayer("clip", ("a",), 9),
            MaxPoolLayer("pool", ("clip",), HALF),
            mac(rng, "b", INPUT, (3, 2, 4), SIGNED, window=HALF, output=saturates),
            ConcatLayer("join", ("pool", "b")),
            mac(rng, "c", "join", (3, 5, 1), saturates, window=POINT),
        ]
        of, array = program(layers, (2, 4, 6), SIGNED), replace(ARRAY, ceiling=True)
        assert [x.name for x in computing(of, array)] == ["a", "b", "c"]
        check(of, images_of(rng, of), array)


class TestCopies:
    def test_the_image(self, rng: np.random.Generator) -> None:
        """The image lies in two places in turn, and is copied as one row: 30 words in 8 tiles of 4."""
        layers = [point(rng, "a", INPUT, 3, 2), ConcatLayer("join", ("a", INPUT)), point(rng, "b", "join", 2, 5, SAME)]
        of = program(layers, (2, 3, 5), SIGNED)
        check(of, images_of(rng, of, 3))
        (copy,) = (row for row in cycles_of(of, ARRAY) if row.name == "join")
        assert copy.cycles == 8 * 3 + 1 + LAYER_CYCLES

    @pytest.mark.slow
    @pytest.mark.parametrize("order", [("a", "a"), ("b", "a"), ("a", INPUT), (INPUT, INPUT)], ids=str)
    def test_the_output(self, order: tuple[str, str], rng: np.random.Generator) -> None:
        """What leaves the chip is copied from both, in pieces of the greatest size that divides both."""
        layers = [point(rng, "a", INPUT, 4, 2), point(rng, "b", INPUT, 6, 2), ConcatLayer("join", order)]
        of = program(layers, (2, 3, 5), SIGNED)
        pieces, words = pieces_of(of, layers[2])
        assert words == {("a", "a"): 60}.get(order, 30)
        assert len(pieces) * words == of.shapes["join"][0] * 15
        check(of, images_of(rng, of, 3))

    @pytest.mark.slow
    def test_joined_twice(self, rng: np.random.Generator) -> None:
        """An input of two joins lies in the first; one that joins the same two in another order copies both."""
        layers = [
            point(rng, "a", INPUT, 2, 2),
            point(rng, "b", INPUT, 4, 2),
            ConcatLayer("one", ("a", "b")),
            ConcatLayer("two", ("b", "a")),
            ConcatLayer("three", (INPUT, "b")),
            ConcatLayer("four", ("two", "three")),
            point(rng, "c", "one", 2, 6),
            point(rng, "d", "four", 3, 12, SAME),
            ConcatLayer("five", ("c", "d")),
            point(rng, "e", "five", 2, 5),
        ]
        of = program(layers, (2, 2, 5), SIGNED)
        assert [x.name for x in computing(of, ARRAY)] == ["a", "b", "two", "three", "c", "d", "e"]
        check(of, images_of(rng, of, 3))

    @pytest.mark.slow
    def test_arrays(self, rng: np.random.Generator) -> None:
        """Whatever the lanes, and where an image has one place, and tiles end with their rows."""
        layers = [ConcatLayer("two", (INPUT, INPUT)), point(rng, "a", "two", 3, 4), ConcatLayer("all", ("a", "two"))]
        of = program(layers, (2, 2, 3), SIGNED)
        for array in (MacArray(1, 1, **SIZES), MacArray(3, 8, **SIZES), replace(ARRAY, overlap=False, flat=False)):
            check(of, images_of(rng, of), array)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["output", "list"])
def test_a_wrong_place(what: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Negative control: an input that lies a word further, pieces in another order."""
    of = joined(rng)
    if what == "list":
        of = program([*of.layers[:2], ConcatLayer("join", ("b", "a"))], of.input_shape, SIGNED)

    def corrupt(image: Image) -> None:
        if what == "output":
            image.layers[1]["output"] += 1
        else:
            image.entries[0], image.entries[1] = image.entries[1], image.entries[0]

    images = images_of(rng, of, 1)
    corrupting(monkeypatch, corrupt)
    assert difference(of, images, simulate(of, ARRAY, images)) is not None


def test_the_least_that_it_takes(rng: np.random.Generator) -> None:
    """A join of two images that leaves: 2 pieces of 8 words in tiles of 4, each of 3 cycles."""
    of = program([ConcatLayer("join", (INPUT, INPUT))], (2, 2, 2), SIGNED)
    (run,) = check(of, images_of(rng, of, 1))
    assert run.cycles == START_CYCLES + 4 * 3 + 1 + LAYER_CYCLES
