"""Tiles that pass the ends of rows: golden's codes in the closed form's cycles, wherever pixels lie side by side."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, program, signal
from support.rtl_programs import ARRAY, SIGNED, SIZES, add, avg, check, corrupting, difference, images_of, mac

from accel.array import MacArray
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer, ProgramLayer, ReluLayer
from accel.walk import walk_of
from accel.window import Window
from rtl.image import Image
from rtl.simulate import simulate

POINT = Window((1, 1))
ROWS = replace(ARRAY, flat=False)


def pointwise(rng: np.random.Generator) -> Program:
    """Return 1 x 1 convolutions on rows of 3 pixels, a ReLU and a sum of several words between them."""
    layers: list[ProgramLayer] = [
        mac(rng, "a", INPUT, (5, 3, 1), PIXEL, window=POINT, pattern="irregular", output=SIGNED),
        ReluLayer("relu", ("a",)),
        add("sum", ("relu", "a"), (2, 300), (SIGNED, SIGNED), SIGNED),
        mac(rng, "b", "sum", (6, 5, 1), SIGNED, window=POINT),
    ]
    return program(layers, (3, 3, 3))


def shape_of(of: Program, index: int, array: MacArray = ARRAY) -> tuple[int, int, int]:
    """Return over how many maps, rows of them and pixels of a row the tiles of a layer go."""
    walk = walk_of(of, of.layers[index], array)
    return walk.maps, walk.rows, walk.width


class TestWhatIsOneRow:
    """A map of 6 rows of 3 words is one row of 18, or what is left of it, if no window tells where rows end."""

    @pytest.mark.parametrize(
        ("window", "walk"),
        [
            (POINT, (2, 1, 18)),
            (Window((3, 1)), (2, 1, 12)),
            (Window((6, 1), (5, 1)), (2, 1, 3)),  # one row of windows, however far the next would be
            (Window((3, 1), (2, 1)), (2, 2, 3)),
            (Window((1, 1), (1, 2)), (2, 6, 2)),
            (Window((1, 2)), (2, 6, 2)),
            (Window((3, 1), (1, 1), (1, 0, 1, 0)), (2, 6, 3)),
            (Window((1, 3), (1, 1), (0, 1, 0, 1)), (2, 6, 3)),
        ],
        ids=str,
    )
    def test_windows(self, window: Window, walk: tuple[int, int, int]) -> None:
        """One column, no padding, a row below another; pools as well as convolutions."""
        of = program([MaxPoolLayer("pool", (INPUT,), window)], (2, 6, 3))
        assert shape_of(of, 0) == walk
        assert shape_of(of, 0, ROWS) == of.shapes["pool"]

    def test_words(self) -> None:
        """To an addition and a ReLU a tensor is one row of one map, also of a vector."""
        layers = [ReluLayer("relu", (INPUT,)), FlattenLayer("flat", ("relu",)), ReluLayer("again", ("flat",))]
        of = program(layers, (2, 6, 3), SIGNED)
        assert shape_of(of, 0) == shape_of(of, 2) == (1, 1, 36)
        assert shape_of(of, 2, ROWS) == (36, 1, 1)


class TestPastTheEndsOfRows:
    """Where windows meet edges or lie further apart than pixels, a tile passes the end of a row by a gap."""

    @pytest.mark.parametrize(
        ("size", "window", "lanes", "tiles", "gap"),
        [
            ((5, 6), Window.square(3, 1, 1), 4, 8, 0),  # 30 pixels; rows that keep their size follow each other
            ((8, 12), Window.square(5), 8, 4, 4),  # 4 rows of 8 are 4 tiles as they are
            ((7, 11), Window.square(3), 8, 6, 2),  # 45 pixels, 2 words left out behind a row of 9
            ((7, 11), Window((3, 3), (2, 1)), 8, 6, 13),  # 3 rows of 9: 13 words do not leave 8 banks of 16 free
            ((7, 11), Window((3, 3), (3, 1)), 8, 3, 24),  # 2 rows of 9: 24 words are 16 and 8
            ((7, 11), Window((3, 3), (1, 2)), 4, 10, 0),  # pixels two words apart
            ((6, 3), Window((1, 2)), 8, 6, 1),  # a tile would pass the ends of several rows of 2
            ((2, 4), Window((1, 3), padding=(0, 2, 0, 2)), 8, 2, -2),  # the next row begins before this one ends
        ],
    )
    def test_tiles(self, size: tuple[int, int], window: Window, lanes: int, tiles: int, gap: int) -> None:
        """Tiles of a map, and the words that lie between the last of a row and the first of the next."""
        of = program([MaxPoolLayer("pool", (INPUT,), window)], (1, *size))
        walk = walk_of(of, of.layers[0], MacArray(4, lanes))
        assert walk.tiles == tiles
        assert walk.gap == gap or not walk.flat
        assert not walk_of(of, of.layers[0], MacArray(4, lanes, flat=False)).flat

    @pytest.mark.parametrize(
        ("size", "lanes", "tiles"),
        [
            ((28, 28), 8, 98),  # 3 tiles on each row and one on both, for 14 pairs: rows of 28 are 24 words apart
            ((10, 14), 8, 13),  # 5 x 10 pixels on each row, of rows 14 words apart: 6 pairs and one tile on both
            ((4, 4), 8, 2),
            ((32, 32), 8, 128),
            (
                (10, 12),
                8,
                15,
            ),  # 12 + 2 words do not leave 8 banks of 16 free: a pair and a tile on both for each 2 rows
        ],
    )
    def test_pairs(self, size: tuple[int, int], lanes: int, tiles: int, rng: np.random.Generator) -> None:
        """As many pixels as the pool reads, on as few tiles as they fill where banks allow it."""
        window = {14: Window((1, 5)), 12: Window((1, 3))}.get(size[1], Window.square(3, 1, 1))
        conv = mac(rng, "a", INPUT, (2, 1, window.taps), PIXEL, window=window, output=SIGNED)
        of = program([conv, MaxPoolLayer("pool", ("a",), Window.square(2, 2))], (1, *size))
        assert walk_of(of, conv, MacArray(4, lanes)).tiles == tiles

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("size", "window", "pool"),
        [
            ((5, 6), Window.square(3, 1, 1), False),
            ((5, 7), Window((2, 3), (1, 1), (1, 0, 0, 0)), False),
            ((4, 6), Window.square(3, 1, 1), True),
            ((5, 7), Window((1, 2)), True),
        ],
        ids=str,
    )
    def test_on_the_hardware(self, size: tuple[int, int], window: Window, pool: bool, rng: np.random.Generator) -> None:
        """Edges before and behind the end of a row; words between; pairs of rows, also in one tile; held back."""
        layers: list[ProgramLayer] = [mac(rng, "a", INPUT, (3, 2, window.taps), PIXEL, window=window, output=SIGNED)]
        layers += [MaxPoolLayer("pool", ("a",), Window.square(2, 2))] * pool
        of = program(layers, (2, *size))
        walk = walk_of(of, layers[0], ARRAY)
        assert walk.flat or walk.merged
        check(of, images_of(rng, of, 1), ready=0.6, rng=rng)

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["max", "avg"])
    def test_pools(self, kind: str, rng: np.random.Generator) -> None:
        """Pools that stay on row 0 pass the ends of rows too."""
        window = Window((3, 3), (1, 1), (1, 1, 1, 1))
        layer = MaxPoolLayer("a", (INPUT,), window) if kind == "max" else avg("a", INPUT, window, PIXEL, SIGNED)
        of = program([layer], (2, 5, 6))
        assert walk_of(of, layer, ARRAY).flat
        check(of, images_of(rng, of, 1))

    @pytest.mark.slow
    @pytest.mark.parametrize("field", ["gap", "pair_gap"])
    def test_a_wrong_word(self, field: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
        """Negative control: a gap of one word more, behind the end of a row and between the rows of a pair."""
        window = {"gap": Window((1, 2)), "pair_gap": POINT}[field]
        conv = mac(rng, "a", INPUT, (3, 2, window.taps), PIXEL, window=window, output=SIGNED)
        pool = MaxPoolLayer("pool", ("a",), Window.square(2, 2))
        of = program([conv] if field == "gap" else [conv, pool], (2, 2, 6))

        def corrupt(image: Image) -> None:
            image.layers[0][field] += 1

        images = images_of(rng, of, 3)
        corrupting(monkeypatch, corrupt)
        assert difference(of, images, simulate(of, ARRAY, images)) is not None


class TestOnTheHardware:
    @pytest.mark.slow
    @pytest.mark.parametrize("lanes", [(4, 4), (3, 8)], ids=str)
    def test_pointwise_layers(self, lanes: tuple[int, int], rng: np.random.Generator) -> None:
        """Tiles of 4 and 8 pixels on rows of 3, the last not full; the output leaves in such rows, held back or not."""
        of = pointwise(rng)
        check(of, images_of(rng, of), MacArray(*lanes, **SIZES), ready=0.6, rng=rng)

    @pytest.mark.slow
    def test_the_gain_literally(self, rng: np.random.Generator) -> None:
        """9 pixels on 4 lanes are 3 tiles, full ones but one, where 3 rows of 3 are 3 tiles too: the sums gain."""
        of, images = pointwise(rng), images_of(rng, pointwise(rng), 1)
        (flat,), (rows,) = check(of, images), check(of, images, ROWS)
        # 45 words are 12 tiles; 5 maps of 3 rows 15: of 3 cycles for the ReLU, of 1 + 3 steps for the sum
        assert rows.cycles - flat.cycles == 3 * 3 + 3 * 4
        assert difference(of, images, [flat], ROWS) is not None  # negative control

    @pytest.mark.slow
    @pytest.mark.parametrize("window", [Window((3, 1)), Window((2, 1), (1, 7)), Window((6, 1), (5, 1))], ids=str)
    @pytest.mark.parametrize("kind", ["conv", "max", "avg"])
    def test_windows_of_one_column(self, kind: str, window: Window, rng: np.random.Generator) -> None:
        """Taps that lie rows apart, a column stride that steps nowhere, one row of windows; rows of 1 and 3 words."""
        for width in (1, 3):
            if width > 1 and window.stride[1] > 1:
                continue
            made: dict[str, Any] = {
                "conv": lambda: mac(rng, "a", INPUT, (5, 2, window.taps), PIXEL, window=window, output=SIGNED),
                "max": lambda: MaxPoolLayer("a", (INPUT,), window),
                "avg": lambda: avg("a", INPUT, window, PIXEL, SIGNED),
            }
            of = program([made[kind](), FlattenLayer("flat", ("a",))], (2, 6, width))
            check(of, images_of(rng, of, 1))

    @pytest.mark.slow
    def test_vectors(self, rng: np.random.Generator) -> None:
        """A ReLU and a sum of vectors of 10 words take 3 tiles each, not one for each word."""
        layers: list[ProgramLayer] = [
            FlattenLayer("flat", (INPUT,)),
            mac(rng, "a", "flat", (10, 8, 1), PIXEL, output=SIGNED),
            ReluLayer("relu", ("a",)),
            add("sum", ("a", "relu"), (3, 1), (SIGNED, SIGNED), signal(7)),
        ]
        of = program(layers, (2, 2, 2))
        check(of, images_of(rng, of))

    def test_a_wrong_word(self, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
        """Negative control: a row that ends a pixel too early is noticed."""
        of = pointwise(rng)

        def corrupt(image: Image) -> None:
            image.layers[0]["tiles"] -= 1

        images = images_of(rng, of, 1)
        corrupting(monkeypatch, corrupt)
        assert difference(of, images, simulate(of, ARRAY, images)) is not None
