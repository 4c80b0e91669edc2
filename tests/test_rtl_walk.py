"""Tiles that pass the ends of rows: golden's codes in the closed form's cycles, wherever pixels lie side by side."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, program, signal
from support.rtl_programs import ARRAY, SIGNED, SIZES, add, avg, check, difference, images_of, mac

from accel.array import MacArray
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer, ProgramLayer, ReluLayer
from accel.walk import walk_of
from accel.window import Window
from rtl import simulate as module
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


class TestOnTheHardware:
    @pytest.mark.parametrize("lanes", [(4, 4), (3, 8)], ids=str)
    def test_pointwise_layers(self, lanes: tuple[int, int], rng: np.random.Generator) -> None:
        """Tiles of 4 and 8 pixels on rows of 3, the last not full; the output leaves in such rows, held back or not."""
        of = pointwise(rng)
        check(of, images_of(rng, of), MacArray(*lanes, **SIZES), ready=0.6, rng=rng)

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
        of, assemble = pointwise(rng), module.assemble

        def corrupted(*arguments: Any) -> Any:
            image = assemble(*arguments)
            image.layers[0]["tiles"] -= 1
            return image

        images = images_of(rng, of, 1)
        monkeypatch.setattr(module, "assemble", corrupted)
        assert difference(of, images, simulate(of, ARRAY, images)) is not None
