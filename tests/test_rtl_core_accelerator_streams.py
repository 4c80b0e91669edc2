"""Images one after another, a receiver that is not always ready, and a wrong word that is noticed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from support.programs import PIXEL, program
from support.rtl_programs import ARRAY, SIGNED, check, corrupting, difference, images_of, mac

from accel.network import INPUT
from accel.program import Program
from accel.program_layers import MaxPoolLayer
from accel.window import Window
from rtl.image import Image
from rtl.simulate import simulate


def small(rng: np.random.Generator, raw: bool) -> Program:
    """Return a convolution and a linear layer with lists, whose output are accumulators or codes."""
    layers = [
        mac(rng, "a", INPUT, (5, 2, 9), PIXEL, window=Window.square(3, 1, 1), pattern="kernel+ikss", output=SIGNED),
        MaxPoolLayer("pool", ("a",), Window.square(3, 2, 1)),
        mac(rng, "b", "pool", (6, 5, 2), SIGNED, window=Window((1, 2)), output=None if raw else SIGNED),
    ]
    return program(layers, (2, 4, 5))


class TestImagesAtOnce:
    @pytest.mark.slow
    @pytest.mark.parametrize("words", range(1, 11))
    def test_the_next_image(self, words: int, rng: np.random.Generator) -> None:
        """An image that starts right after another finds no trace of the accumulators that left early."""
        layers = [
            mac(rng, "a", INPUT, (2, 1, 1), PIXEL, window=Window((1, 1)), output=SIGNED),
            mac(rng, "b", "a", (2, 2, 1), SIGNED, window=Window((1, 1))),
        ]
        of = program(layers, (1, 1, words))
        check(of, images_of(rng, of, 3))


class TestBackPressure:
    @pytest.mark.slow
    @pytest.mark.parametrize("raw", [True, False])
    @pytest.mark.parametrize("ready", [0.1, 0.5])
    def test_stalls_change_nothing(self, ready: float, raw: bool, rng: np.random.Generator) -> None:
        """A receiver that is not always ready gets the same codes in as many cycles more as it was not."""
        of = small(rng, raw)
        runs = check(of, images_of(rng, of, 3), ready=ready, rng=rng)
        assert min(run.stalls for run in runs) > 0
        assert len({run.stalls for run in runs}) > 1

    @pytest.mark.slow
    def test_no_stalls_when_ready(self, rng: np.random.Generator) -> None:
        """A receiver that is always ready never stalls the hardware, image after image."""
        of = small(rng, raw=False)
        assert [run.stalls for run in check(of, images_of(rng, of, 3))] == [0, 0, 0]


def change(field: str, index: int, **values: int) -> Callable[[Image], None]:
    """Return what adds `values` to the words of the memory `field` at `index`."""

    def apply(image: Image) -> None:
        row = getattr(image, field)[index]
        if isinstance(row, dict):
            getattr(image, field)[index] = row | {name: row[name] + value for name, value in values.items()}
        else:
            changed = {name: getattr(row, name) + value for name, value in values.items()}
            getattr(image, field)[index] = replace(row, **changed)

    return apply


def change_weight(image: Image) -> None:
    """Flip the sign and more of one lane's weight."""
    image.weights[0] = (~image.weights[0][0], *image.weights[0][1:])


class TestTheComparison:
    """Negative control for all above: one word of any memory that is wrong is noticed."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "corrupt",
        [
            change_weight,
            change("entries", 0, stride=1),
            change("entries", 0, offset=1),
            change("entries", 0, base=1),
            change("entries", 0, count=-1),
            change("entries", 0, left=-1),
            change("taps", 1, words=1),
            change("taps", 1, rows=1),
            change("taps", 0, signed=1),
            change("constants", 2, bias=64),
            change("constants", 2, multiplier=64),
            change("layers", 0, shift=-1),
            change("layers", 0, relu=1),
            change("layers", 0, left=1),
            change("layers", 1, width=-1),
            change("layers", 1, maximum=-1),
            change("layers", 1, group_turn=1),
            change("layers", 2, maps_behind=-1),
            change("layers", 1, outputs=-1),
        ],
        ids=range(19),
    )
    def test_a_wrong_word(
        self, corrupt: Callable[[Image], None], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
    ) -> None:
        """A wrong weight, entry, tap, constant or layer word changes codes or cycles."""
        of = small(rng, raw=False)

        images = images_of(rng, of, 1)
        corrupting(monkeypatch, corrupt)
        try:
            found = difference(of, images, simulate(of, ARRAY, images))
        except ValueError:  # fewer rows than the output has
            found = "rows"
        assert found is not None

    def test_a_wrong_code_or_cycle(self, rng: np.random.Generator) -> None:
        """One code, one cycle or one image that is not as it must be is a difference."""
        of = small(rng, raw=False)
        images = images_of(rng, of, 1)
        (run,) = check(of, images)
        codes = run.codes.copy()
        codes.flat[-1] += 1
        assert difference(of, images, [replace(run, codes=codes)]) is not None
        assert difference(of, images, [replace(run, cycles=run.cycles + 1)]) is not None
        assert difference(of, images, [replace(run, stalls=1)]) is not None
        assert difference(of, images, []) is not None

    def test_images_differ(self, rng: np.random.Generator) -> None:
        """Two images give different codes, so that no test can pass by giving the same answer twice."""
        of = small(rng, raw=True)
        first, second = check(of, images_of(rng, of))
        assert (first.codes != second.codes).any()
