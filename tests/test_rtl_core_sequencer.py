"""Lists and tiles that are shorter than the walk: every code and every cycle, on whole Programs of one layer."""

import numpy as np
import pytest
from support.programs import PIXEL, program
from support.rtl_programs import SIGNED, SIZES, check, difference, images_of, mac

from accel.array import TILE_CYCLES, MacArray
from accel.cost.cycles import RAW_CYCLES, START_CYCLES, tiles_of
from accel.network import INPUT
from accel.program_layers import AvgPoolLayer, MacLayer, MaxPoolLayer
from accel.signal import Requantize
from accel.window import Window
from rtl.assemble import assemble

ROWS = SIZES | {"flat": False}  # a tile ends with its row, whatever the window
LENGTHS = [1, 1, 2, 2, 1, 3, 3, 1, 4, 2, 5, 1]  # every change between lists that end too early, in time and later
MAPS = 2 * max(LENGTHS)


def listed(rng: np.random.Generator, lengths: list[int], lanes: int, kernel: tuple[int, int] = (1, 1)) -> MacLayer:
    """Return a layer whose group g of `lanes` outputs keeps `lengths[g]` maps, every other one: an entry for each."""
    kept = np.zeros((len(lengths) * lanes, MAPS, kernel[0] * kernel[1]), bool)
    for group, length in enumerate(lengths):
        kept[group * lanes : (group + 1) * lanes, : 2 * length : 2] = True
    return mac(rng, "a", INPUT, kept.shape, PIXEL, window=Window(kernel), pattern="kernel", kept=kept)


class TestLists:
    @pytest.mark.slow
    @pytest.mark.parametrize("taps", [1, 2])
    @pytest.mark.parametrize("size", [(1, 2), (2, 2), (2, 5)], ids=["one tile", "two tiles", "six tiles"])
    @pytest.mark.parametrize("lanes", [1, 4])
    def test_lists_of_every_length(
        self, lanes: int, size: tuple[int, int], taps: int, rng: np.random.Generator
    ) -> None:
        """Lists of 1, 2 and more entries after one another, each read again for every tile of its group."""
        layer = listed(rng, LENGTHS, lanes, (1, taps))
        of = program([layer], (MAPS, size[0], size[1] + taps - 1))
        array = MacArray(lanes, 2, **ROWS)
        assert [entry.left for entry in assemble(of, array).entries] == [
            min(3, left) for length in LENGTHS for left in reversed(range(length))
        ]
        check(of, images_of(rng, of, 1), array)

    @pytest.mark.parametrize("length", [1, 2, 3, 4])
    def test_shared_lists(self, length: int, rng: np.random.Generator) -> None:
        """One list of each length that three groups read, each for several tiles."""
        of = program([listed(rng, [length] * 3, 2)], (MAPS, 2, 3))
        array = MacArray(2, 2, **ROWS)
        image = assemble(of, array)
        assert (len(image.entries), image.layers[0]["shared"]) == (length, 1)
        check(of, images_of(rng, of, 1), array)

    @pytest.mark.parametrize("maps", [1, 2, 3, 4])
    def test_counted_lists(self, maps: int, rng: np.random.Generator) -> None:
        """The counter makes lists of one map and more, for three groups of several tiles."""
        layer = mac(rng, "a", INPUT, (5, maps, 1), PIXEL, window=Window((1, 1)))
        of = program([layer], (maps, 2, 3))
        check(of, images_of(rng, of, 1), MacArray(2, 2, **ROWS))

    def test_lists_of_several_layers(self, rng: np.random.Generator) -> None:
        """What was read beyond the end of a layer's list is not taken for the next layer's."""
        kept = np.ones((2, 2, 1), bool)
        kept[:, 1] = False
        words = {"window": Window((1, 1)), "pattern": "kernel", "output": SIGNED}
        layers = [mac(rng, "a0", INPUT, (2, 2, 1), PIXEL, kept=kept, **words)]
        for index in range(1, 5):
            layers.append(
                mac(rng, f"a{index}", f"a{index - 1}", (2, 2, 1), SIGNED, kept=np.roll(kept, index, 1), **words)
            )
        of = program(layers, (2, 2, 3))
        check(of, images_of(rng, of), MacArray(2, 2, **ROWS))


class TestShortTiles:
    @pytest.mark.slow
    @pytest.mark.parametrize("outputs", [1, 2, 3])
    @pytest.mark.parametrize("columns", [1, 2, 3, 4])
    def test_fewer_steps_than_the_walk(self, columns: int, outputs: int, rng: np.random.Generator) -> None:
        """Tiles of few steps and rows take the walk's cycles: rows of several tiles, maps of several rows."""
        layer = mac(rng, "a", INPUT, (outputs, columns, 1), PIXEL, window=Window((1, 1)))
        of = program([layer], (columns, 3, 5))
        array = MacArray(4, 2, **ROWS)
        assert tiles_of(of, layer, array).tolist() == [[columns, outputs]] * 9
        (run,) = check(of, images_of(rng, of, 1), array)
        # nine tiles of max(steps, rows before it, 3); then the last rows drain
        assert run.cycles == START_CYCLES + 9 * max(columns, outputs, TILE_CYCLES) + outputs + RAW_CYCLES

    def test_one_step_one_row_literally(self, rng: np.random.Generator) -> None:
        """The shortest layer of several tiles: six of one step and one row take 6 + 6 * 3 + 1 + 19 cycles."""
        layer = mac(rng, "a", INPUT, (1, 1, 1), PIXEL, window=Window((1, 1)))
        of = program([layer], (1, 3, 4))
        array, images = MacArray(4, 2, **ROWS), images_of(rng, of, 1)
        (run,) = runs = check(of, images, array)
        assert run.cycles == 44
        assert difference(of, images, runs, MacArray(4, 4, **ROWS)) is not None  # negative control: 3 tiles, not 6

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["max", "avg"])
    def test_pools_of_one_tap(self, kind: str, rng: np.random.Generator) -> None:
        """A map at a time: every tile is a group's first, and its only one or not."""
        window = Window((1, 1))
        average = AvgPoolLayer("a", (INPUT,), window, 9, False, Requantize([1], 2), SIGNED)
        layer = MaxPoolLayer("a", (INPUT,), window) if kind == "max" else average
        for size in ((1, 1), (1, 5), (2, 2)):
            of = program([layer], (4, *size))
            check(of, images_of(rng, of, 1), MacArray(4, 2, **ROWS))
