"""Max pools that the drain does: golden's codes in the closed form's cycles, and what they would read is not stored."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, program, signal
from support.rtl_programs import ARRAY, SIGNED, SIZES, add, check, corrupting, difference, images_of, mac

from accel.array import MacArray
from accel.cost import cycles_of
from accel.cost.cycles import LAYER_CYCLES, POOL_CYCLES, START_CYCLES
from accel.fusion import computing, fused_pools
from accel.network import INPUT
from accel.places import places_on, signal_words
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer, ProgramLayer
from accel.window import Window
from rtl.image import Image
from rtl.simulate import simulate

HALF = Window.square(2, 2)
POINT = Window((1, 1))
UNFUSED = replace(ARRAY, pool=False)


def pooled(rng: np.random.Generator, size: tuple[int, int], window: Window, outputs: int = 5, **more: Any) -> Program:
    """Return a convolution of 2 maps of `size`, a pool of 2 x 2 pixels and, unless it is `final`, what reads it."""
    final = more.pop("final", False)
    layers: list[ProgramLayer] = [
        mac(rng, "a", INPUT, (outputs, 2, window.taps), PIXEL, window=window, output=SIGNED, **more),
        MaxPoolLayer("pool", ("a",), HALF),
        mac(rng, "b", "pool", (6, outputs, 1), SIGNED, window=POINT),
    ]
    return program(layers[: 2 if final else 3], (2, *size))


class TestWhatIsFused:
    @pytest.mark.parametrize(
        ("window", "fused"),
        [
            (HALF, True),
            (Window((2, 2), (2, 3)), False),
            (Window((2, 2), (9, 2)), True),  # one row of windows, however far the next would be
            (Window.square(2, 1), False),
            (Window((2, 3), (2, 2)), False),
            (Window((2, 2), (2, 2), (0, 0, 1, 1)), False),
        ],
        ids=str,
    )
    def test_windows(self, window: Window, fused: bool, rng: np.random.Generator) -> None:
        """2 x 2 pixels that do not overlap, on maps of 3 x 6."""
        layers = [
            mac(rng, "a", INPUT, (2, 2, 1), PIXEL, window=POINT, output=SIGNED),
            MaxPoolLayer("pool", ("a",), window),
        ]
        of = program(layers, (2, 3, 6))
        assert list(fused_pools(of, ARRAY)) == ["a"] * fused
        assert [x.name for x in computing(of, ARRAY)] == ["a", "pool"][: 2 - fused]
        for array in (UNFUSED, MacArray(4, 1)):  # one pixel lane has no neighbour
            assert fused_pools(of, array) == {}

    def test_another_reader(self, rng: np.random.Generator) -> None:
        """What somebody else reads too is stored, and pooled after; so are pixels that come one at a time."""
        conv = mac(rng, "a", INPUT, (2, 2, 1), PIXEL, window=POINT, output=SIGNED)
        pool = MaxPoolLayer("pool", ("a",), HALF)
        layers: list[ProgramLayer] = [conv, pool, FlattenLayer("flat", ("a",))]
        assert fused_pools(program(layers, (2, 4, 4)), ARRAY) == {}
        reads = mac(rng, "b", "flat", (2, 32, 1), SIGNED)
        assert fused_pools(program([*layers, reads], (2, 4, 4)), ARRAY) == {}
        assert fused_pools(program([conv, MaxPoolLayer("q", (INPUT,), HALF)], (2, 4, 4)), ARRAY) == {}
        apart = mac(rng, "a", INPUT, (2, 2, 1), PIXEL, window=Window((1, 1), (1, 3)), output=SIGNED)
        assert fused_pools(program([apart, pool], (2, 4, 7)), ARRAY) == {}

    def test_what_is_stored(self, rng: np.random.Generator) -> None:
        """The pooled tensor alone: 2 x 6 x 8 words of image and 5 x 3 x 4 instead of 5 x 6 x 8."""
        of = pooled(rng, (6, 8), Window.square(3, 1, 1))
        assert places_on(of, ARRAY) == {INPUT: 0, "pool": 96}
        assert (signal_words(of, ARRAY), signal_words(of, UNFUSED)) == (96 + 60, 96 + 240)


class TestOnTheHardware:
    @pytest.mark.slow
    @pytest.mark.parametrize("final", [False, True])
    @pytest.mark.parametrize("lanes", [(4, 2), (2, 4)], ids=str)
    def test_odd_maps(self, lanes: tuple[int, int], final: bool, rng: np.random.Generator) -> None:
        """5 x 7 pixels: the last row and column are not computed; groups and tiles that are not full, held back."""
        of = pooled(rng, (5, 7), Window.square(3, 1, 1), final=final, pattern="kernel")
        check(of, images_of(rng, of), MacArray(*lanes, **SIZES), ready=0.5, rng=rng)

    @pytest.mark.slow
    @pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2), (1, 2)], ids=str)
    @pytest.mark.parametrize("lanes", [(1, 2), (3, 4), (8, 8), (2, 16)], ids=str)
    def test_lanes_and_strides(self, lanes: tuple[int, int], stride: tuple[int, int], rng: np.random.Generator) -> None:
        """Tiles wider than rows and many of them in one; rows of windows that lie further apart than columns."""
        for size in ((4, 4), (8, 11), (7, 19)):
            of = pooled(rng, size, Window((3, 2), stride, (1, 0, 2, 1)), final=bool(rng.integers(2)))
            assert fused_pools(of, ARRAY)
            check(of, images_of(rng, of, 1), MacArray(*lanes, **SIZES))

    @pytest.mark.parametrize("output", [SIGNED, signal(5, signed=False)], ids=["signed", "unsigned"])
    def test_shortest_tiles(self, output: Any, rng: np.random.Generator) -> None:
        """One step and one row a tile: what is kept of a row is there three cycles later."""
        conv = mac(rng, "a", INPUT, (1, 1, 1), PIXEL, window=POINT, output=output)
        of = program([conv, MaxPoolLayer("pool", ("a",), HALF)], (1, 4, 4))
        (run,) = check(of, images_of(rng, of, 1), MacArray(4, 2, **SIZES))
        # 2 pairs of rows, 2 tiles of 2 columns, 2 rows each: 8 tiles of the walk's 3 cycles, and a row that drains
        assert run.cycles == START_CYCLES + 8 * 3 + 1 + LAYER_CYCLES + POOL_CYCLES

    def test_beside_a_branch(self, rng: np.random.Generator) -> None:
        """A pooled tensor that a sum reads later lies where nothing else does, from its convolution on."""
        layers = [
            mac(rng, "a", INPUT, (3, 2, 1), PIXEL, window=POINT, output=SIGNED),
            mac(rng, "b", INPUT, (3, 2, 4), PIXEL, window=HALF, output=SIGNED),
            MaxPoolLayer("pool", ("a",), HALF),
            add("sum", ("b", "pool"), (2, 3), (SIGNED, SIGNED), SIGNED),
        ]
        of = program(layers, (2, 4, 6))
        check(of, images_of(rng, of))

    @pytest.mark.slow
    def test_the_gain(self, rng: np.random.Generator) -> None:
        """The pool's own cycles are gone: the convolution's are as many, and two that the comparison takes."""
        of = pooled(rng, (4, 8), Window.square(3, 1, 1))
        images = images_of(rng, of, 1)
        (run,) = check(of, images)
        assert difference(of, images, [run], UNFUSED) is not None  # negative control
        fused, stored = ({x.name: x.cycles for x in cycles_of(of, array)} for array in (ARRAY, UNFUSED))
        assert fused["a"] == stored["a"] + POOL_CYCLES
        assert "pool" in stored.keys() - fused.keys()


def _layer(**values: int) -> Callable[[Image], None]:
    def apply(image: Image) -> None:
        image.layers[0] |= {name: image.layers[0][name] + value for name, value in values.items()}

    return apply


@pytest.mark.slow
@pytest.mark.parametrize("field", ["pair_turn", "tile_turn", "row_turn", "last_words", "words"])
def test_a_wrong_word(field: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Negative control: a step that is one word too long, a tile that writes one word less."""
    of = pooled(rng, (4, 12), POINT, outputs=2)

    images, array = images_of(rng, of, 1), MacArray(2, 4, **SIZES)
    corrupting(monkeypatch, _layer(**{field: -1 if "words" in field else 1}))
    assert difference(of, images, simulate(of, array, images), array) is not None
