"""Two input maps a step on the hardware: golden's codes and the cycles of the closed form, which are fewer."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, program
from support.rtl_programs import SIGNED, check, corrupting, difference, images_of, mac

from accel.array import MacArray
from accel.cost import total_cycles
from accel.cost.stalls import schedule_of, unit_stalls
from accel.demand import array_for
from accel.lines import lines_of
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer, ProgramLayer
from accel.walk import combined_of, walk_of
from accel.window import Window
from rtl.assemble import Image
from rtl.simulate import simulate

POINT, SAME, HALF = Window((1, 1)), Window.square(3, 1, 1), Window.square(2, 2)


def apart(shape: tuple[int, int, int], pattern: str = "kernel") -> Any:
    """Return a mask of lanes that keep a third of the maps, or of the weights; neighbours keep others."""
    m, c, t = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return np.broadcast_to((m + c + (2 * t if pattern == "irregular" else 0)) % 3 == 0, shape)


def between(
    rng: np.random.Generator, size: tuple[int, int], window: Window, *more: ProgramLayer, **how: Any
) -> Program:
    """Return a layer that reads two maps a step, behind a 1 x 1 convolution and before `more`."""
    outputs, maps, bits, pattern = (how.get(x, y) for x, y in zip(KEYS, (5, 6, 8, "kernel"), strict=True))
    kept = apart((outputs, maps, window.taps), pattern)
    output = SIGNED if more else None
    layers = [
        mac(rng, "a", INPUT, (maps, 2, 1), PIXEL, window=POINT, output=SIGNED, weight_bits=bits),
        mac(
            rng,
            "b",
            "a",
            kept.shape,
            SIGNED,
            window=window,
            pattern=pattern,
            kept=kept,
            weight_bits=bits,
            output=output,
        ),
    ]
    return program([*layers, *more], (2, *size))


KEYS = ("outputs", "maps", "bits", "pattern")


def fitting(of: Program, *lanes: int, **features: Any) -> MacArray:
    """Return an array whose memories are as deep as `of` needs; its second layer reads two maps a step: quicker."""
    array = array_for(of, *(lanes or (4, 4)), **features)
    plain = array_for(of, *(lanes or (4, 4)), **features, combine=False)
    assert combined_of(of, of.layers[1], array) is not None
    assert total_cycles(of, array) < total_cycles(of, plain)
    return array


class TestOnTheHardware:
    def test_smallest(self, rng: np.random.Generator) -> None:
        """Two lanes by one pixel: a bank of even maps, one of odd ones."""
        of = between(rng, (2, 2), POINT, outputs=2, maps=8)
        check(of, images_of(rng, of, 1), fitting(of, 2, 1))

    @pytest.mark.slow
    @pytest.mark.parametrize("pattern", ["kernel", "irregular"])
    @pytest.mark.parametrize(
        ("size", "window", "flat"),
        [
            ((4, 5), SAME, True),
            ((5, 5), Window((2, 3)), False),
            ((7, 7), Window.square(2, 3), False),
            ((4, 4), Window((3, 1), (2, 1), (1, 0, 0, 0)), False),
        ],
        ids=["past rows", "along rows", "a pixel a tile", "every other row"],
    )
    def test_windows(
        self, size: tuple[int, int], window: Window, flat: bool, pattern: str, rng: np.random.Generator
    ) -> None:
        """Tiles pass the ends of rows where no words are left out; a partial group; padding is that of both maps."""
        of = between(rng, size, window, pattern=pattern)
        array = fitting(of)
        assert walk_of(of, of.layers[1], array).flat == flat
        check(of, images_of(rng, of, 1), array)

    @pytest.mark.slow
    @pytest.mark.parametrize(("size", "merged"), [((4, 4), False), ((4, 2), True)], ids=["pairs of rows", "both rows"])
    def test_pools(self, size: tuple[int, int], merged: bool, rng: np.random.Generator) -> None:
        """The drain pools; tiles may have both rows of a pair if these lie side by side."""
        of = between(rng, size, SAME, MaxPoolLayer("pool", ("b",), HALF))
        array = fitting(of)
        walk = walk_of(of, of.layers[1], array)
        assert (walk.pool, walk.merged) == (True, merged)
        check(of, images_of(rng, of, 1), array)

    @pytest.mark.slow
    @pytest.mark.parametrize("lanes", [(3, 2), (5, 4), (8, 8)], ids=str)
    def test_narrow_weights(self, lanes: tuple[int, int], rng: np.random.Generator) -> None:
        """Lanes that share a multiplier take the same map; a lane may be alone."""
        of = between(rng, (3, 4), SAME, outputs=9, bits=4)
        array = fitting(of, *lanes)
        assert array.weights_per_multiplier == 2
        check(of, images_of(rng, of, 1), array)

    def test_multipliers_of_their_own(self, rng: np.random.Generator) -> None:
        """Narrow lanes that share no multiplier take a map each, which saves the cycles that wide ones save.

        Negative control: where they share one, the same Program takes more.
        """
        of = between(rng, (3, 4), SAME, outputs=6, bits=4)
        shared, alone = fitting(of, 6, 4), array_for(of, 6, 4, share=False)
        assert (shared.weights_per_multiplier, alone.weights_per_multiplier) == (2, 1)
        check(of, images_of(rng, of, 1), alone)
        assert total_cycles(of, alone) == total_cycles(of, replace(alone, weight_bits=8)) < total_cycles(of, shared)

    @pytest.mark.slow
    def test_the_image(self, rng: np.random.Generator) -> None:
        """Maps of the image lie side by side: two of them are read if they have half a turn of the banks."""
        kept = apart((4, 8, 1))
        layer = mac(rng, "b", INPUT, kept.shape, PIXEL, window=POINT, pattern="kernel", kept=kept, weight_bits=8)
        of = program([layer], (8, 2, 2))
        array = array_for(of, 4, 4)
        assert combined_of(of, layer, array) is not None
        assert combined_of(program([layer], (8, 2, 3)), layer, array) is None
        check(of, images_of(rng, of, 3), array)

    @pytest.mark.slow
    def test_beside_other_layers(self, rng: np.random.Generator) -> None:
        """Before rows of a map on lanes, which have pairs of maps too, and a vector whose sums are split."""
        eye = np.broadcast_to(np.eye(6, dtype=bool)[:, :, None], (6, 6, 9))
        of = between(
            rng,
            (4, 4),
            SAME,
            mac(rng, "d", "b", eye.shape, SIGNED, window=SAME, pattern="kernel", kept=eye, output=SIGNED),
            mac(rng, "p", "d", (3, 6, 1), SIGNED, window=POINT, output=SIGNED),
            FlattenLayer("flat", ("p",)),
            mac(rng, "c", "flat", (3, 3 * 16, 1), SIGNED, pattern="irregular"),
            outputs=6,
        )
        array = fitting(of, 8, 4)
        lines = lines_of(of, of.layers[2], array)
        assert lines is not None
        assert lines.maps == 2
        check(of, images_of(rng, of, 1), array)
        check(of, images_of(rng, of, 1), fitting(of, 8, 4, lines=False))

    @pytest.mark.slow
    @pytest.mark.parametrize("features", [{"flat": False}, {"split": False}, {"pool": False}, {"overlap": False}])
    def test_arrays_that_lack_something(self, features: dict[str, bool], rng: np.random.Generator) -> None:
        """It needs nothing of what else can be left out."""
        of = between(rng, (3, 4), SAME, MaxPoolLayer("pool", ("b",), HALF))
        check(of, images_of(rng, of, 1), fitting(of, **features))

    @pytest.mark.slow
    def test_streamed_weights(self, rng: np.random.Generator) -> None:
        """Which map a lane takes comes with its weight; the stalls are those of fewer words."""
        of = between(rng, (3, 4), SAME)
        array, rate = fitting(of, stream=True), Fraction(1, 2)
        rows = schedule_of(of, array)
        runs = check(of, images_of(rng, of, 2), array, rate=rate)
        words = sum(int(row.units.sum()) for row in rows)
        assert runs[1].stalls == sum(unit_stalls(rows, rate, before=words))

    @pytest.mark.slow
    def test_back_pressure(self, rng: np.random.Generator) -> None:
        """A receiver that is not always ready changes neither codes nor cycles."""
        of = between(rng, (3, 4), SAME)
        runs = check(of, images_of(rng, of, 2), fitting(of), ready=0.3, rng=rng)
        assert sum(run.stalls for run in runs)


def _select(image: Image) -> None:
    """Let a lane that has a weight take the other map of the first step that has two."""
    first = image.layers[1]["weight"]
    place = next(x for x in range(first, len(image.weights)) if len(image.weights[x]) > 4 and image.weights[x][4])
    *lanes, takes = image.weights[place]
    image.weights[place] = (*lanes, takes ^ (1 << next(lane for lane, weight in enumerate(lanes) if weight)))


def _other(image: Image) -> None:
    """Let the second map of the first entry that has one lie a turn of the banks further."""
    place = next(x for x, entry in enumerate(image.entries) if entry.other)
    image.entries[place] = replace(image.entries[place], other=image.entries[place].other + 1)


def _combine(image: Image) -> None:
    image.layers[1] |= {"combine": 0}


class TestTheComparison:
    """Negative control: what only such layers have is noticed if it is wrong."""

    @pytest.mark.parametrize(
        "corrupt", [pytest.param(_select), *(pytest.param(x, marks=pytest.mark.slow) for x in (_other, _combine))]
    )
    def test_a_wrong_bit(
        self, corrupt: Callable[[Image], None], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
    ) -> None:
        """A select bit, how far the second map lies, whether there is one."""
        of = between(rng, (2, 4), Window((1, 2)), outputs=4, maps=6)
        images, array = images_of(rng, of, 1), fitting(of)
        corrupting(monkeypatch, corrupt)
        assert difference(of, images, simulate(of, array, images), array) is not None
