"""Additions whose segments lie on output lanes: golden's codes, in a third of the cycles of a row at a time."""

from dataclasses import replace

import numpy as np
import pytest
from support.programs import PIXEL, program
from support.rtl_programs import ARRAY, SIGNED, SIZES, add, check, corrupting, difference, images_of, mac

from accel.array import MacArray
from accel.cost.cycles import LAYER_CYCLES, cycles_of
from accel.network import INPUT
from accel.program import Program
from accel.segments import Segments, segments_of
from accel.window import Window
from rtl.image import Image
from rtl.simulate import simulate

POINT = Window((1, 1))


def summed(rng: np.random.Generator, shape: tuple[int, int, int], weights: tuple[int, int] = (2, 3)) -> Program:
    """Return the sum of the image and a convolution of it, and what reads that."""
    maps = shape[0]
    layers = [
        mac(rng, "a", INPUT, (maps, maps, 1), PIXEL, window=POINT, output=SIGNED),
        add("sum", (INPUT, "a"), weights, (PIXEL, SIGNED), SIGNED),
        mac(rng, "b", "sum", (2, maps, 1), SIGNED, window=POINT),
    ]
    return program(layers, shape)


def found(of: Program, array: MacArray) -> Segments | None:
    """Return the segments of the sum."""
    return segments_of(of, of.layers[1], array)


class TestTiles:
    @pytest.mark.parametrize(
        ("shape", "maps", "lanes", "tall"),
        [
            ((2, 8, 8), 2, 4, 2),  # 128 words: tiles of 2 x 4 segments of 8
            ((1, 8, 8), 2, 4, 1),
            ((7, 7, 8), 1, 7, 7),  # 392 words: 49 segments, 7 a tile
            ((3, 5, 8), 1, 5, 3),
            ((1, 4, 4), 1, 2, 1),
        ],
    )
    def test_whole_tiles(
        self, shape: tuple[int, int, int], maps: int, lanes: int, tall: int, rng: np.random.Generator
    ) -> None:
        """Two segments a step on all lanes where that comes out even; one a step on as many lanes as do."""
        parts = found(summed(rng, shape), MacArray())
        assert parts == Segments(maps=maps, lanes=lanes, tall=tall, words=8, weights=(1, 1))

    def test_none(self, rng: np.random.Generator) -> None:
        """Not of a prime number of segments, nor of half ones, of what leaves the chip, or where it is left out."""
        assert found(summed(rng, (1, 11, 8)), MacArray()) is None
        assert found(summed(rng, (1, 3, 4)), MacArray()) is None
        of = summed(rng, (2, 8, 8))
        assert found(program(of.layers[:2], of.input_shape), MacArray()) is None
        for left_out in ({"lines": False}, {"flat": False}):
            assert found(of, MacArray(**left_out)) is None

    def test_cycles(self, rng: np.random.Generator) -> None:
        """2,048 words: 32 tiles of 8 steps and 8 rows; a row at a time they are 256 tiles of 3 cycles."""
        of = summed(rng, (8, 16, 16))
        rows = {row.name: row for row in cycles_of(of, MacArray())}
        assert rows["sum"].cycles == 32 * 8 + 8 + LAYER_CYCLES
        assert rows["sum"].rows == 2048 // 8
        rows = {row.name: row for row in cycles_of(of, MacArray(lines=False))}
        assert rows["sum"].cycles == 256 * 3 + 1 + LAYER_CYCLES


class TestOnTheHardware:
    def test_two_a_step(self, rng: np.random.Generator) -> None:
        """80 words are 5 tiles of 2 x 2 segments of 4; the image lies in two places in turn."""
        of = summed(rng, (4, 4, 5))
        check(of, images_of(rng, of, 3))

    @pytest.mark.slow
    @pytest.mark.parametrize("weights", [(1, 1), (130, 1), (127, 300)], ids=str)
    @pytest.mark.parametrize(
        ("lanes", "shape"),
        [((4, 4), (3, 4, 3)), ((8, 8), (4, 4, 8)), ((3, 4), (3, 2, 4)), ((6, 1), (2, 3, 4))],
        ids=str,
    )
    def test_lanes_and_weights(
        self,
        lanes: tuple[int, int],
        shape: tuple[int, int, int],
        weights: tuple[int, int],
        rng: np.random.Generator,
    ) -> None:
        """One or two segments a step, weights of several words, arrays of any lanes."""
        of, array = summed(rng, shape, weights), MacArray(*lanes, **SIZES)
        assert found(of, array)
        check(of, images_of(rng, of), array)

    @pytest.mark.slow
    def test_packed_weights(self, rng: np.random.Generator) -> None:
        """Two weights in a multiplier, two segments on its lanes."""
        layers = [
            add("one", (INPUT, INPUT), (1, 3), (SIGNED, SIGNED), SIGNED, relu=True),
            add("two", ("one", INPUT), (7, 9), (SIGNED, SIGNED), SIGNED),
            mac(rng, "b", "two", (2, 2, 1), SIGNED, window=POINT, weight_bits=4),
        ]
        of = program(layers, (2, 4, 8), SIGNED)
        check(of, images_of(rng, of), replace(ARRAY, weight_bits=4))


@pytest.mark.slow
@pytest.mark.parametrize("field", ["row_turn", "line_turn", "output_map", "line_words", "gap"])
def test_a_wrong_word(field: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Negative control: a step that is one word too long."""
    of = summed(rng, (4, 4, 4))

    def corrupt(image: Image) -> None:
        image.layers[1][field] += 1

    images = images_of(rng, of, 1)
    corrupting(monkeypatch, corrupt)
    assert difference(of, images, simulate(of, ARRAY, images)) is not None
