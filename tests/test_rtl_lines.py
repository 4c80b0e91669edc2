"""Depthwise convolutions on the hardware, whose output lanes are rows of a map, or of two."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, program
from support.rtl_builds import write
from support.rtl_programs import SIGNED, check, corrupting, difference, images_of, mac

from accel.array import MacArray
from accel.cost import total_cycles, total_interval
from accel.cost.cycles import LAYER_CYCLES, cycles_of
from accel.cost.slots import slots_of
from accel.cost.stalls import schedule_of
from accel.demand import array_for
from accel.lines import layout_of, lines_of
from accel.network import INPUT
from accel.places import pitch_of
from accel.program import Program
from accel.program_layers import FlattenLayer, MacLayer, MaxPoolLayer, ProgramLayer
from accel.window import Window
from rtl import simulators
from rtl.emit import Job
from rtl.image import Image
from rtl.simulate import simulate
from sim import golden

POINT, SAME = Window((1, 1)), Window.square(3, 1, 1)
BY_TWO = Window((3, 3), (2, 2), (0, 0, 1, 1))


def depthwise(rng: np.random.Generator, name: str, source: str, maps: int, window: Window, **more: Any) -> MacLayer:
    """Return a convolution in which every map reads itself alone."""
    kept = np.broadcast_to(np.eye(maps, dtype=bool)[:, :, None], (maps, maps, window.taps))
    words = {"pattern": "kernel", "kept": kept, "output": SIGNED, **more}
    return mac(rng, name, source, kept.shape, SIGNED, window=window, **words)


def between(rng: np.random.Generator, maps: int, size: tuple[int, int], *windows: Window) -> Program:
    """Return depthwise convolutions with a 1 x 1 convolution before and after each."""
    layers = [mac(rng, "p0", INPUT, (maps, 2, 1), PIXEL, window=POINT, output=SIGNED)]
    for index, window in enumerate(windows):
        layers.append(depthwise(rng, f"d{index}", f"p{index}", maps, window))
        output = SIGNED if index + 1 < len(windows) else None
        shape = (maps, maps, 1)
        layers.append(mac(rng, f"p{index + 1}", f"d{index}", shape, SIGNED, window=POINT, output=output))
    return program(layers, (2, *size))


def fitting(of: Program, *lanes: int, **features: bool) -> MacArray:
    """Return an array whose memories are as deep as `of` needs."""
    return array_for(of, *(lanes or (4, 4)), **features)


class TestChoices:
    """Which way is the quickest, and where words lie for it."""

    def test_two_maps(self, rng: np.random.Generator) -> None:
        """8 lanes: 4 rows of each of 2 maps, which lie 4 words beyond whole turns of 8 banks; (3 + 3) x 3 steps."""
        of = between(rng, 6, (8, 8), SAME)
        array = MacArray(8, 4)
        lines = lines_of(of, of.layers[1], array)
        assert lines is not None
        assert (lines.maps, lines.rows, lines.tall, lines.phases, lines.steps) == (2, 4, 2, 1, 18)
        assert (pitch_of(of, "p0", array), pitch_of(of, "d0", array)) == (64 + 4, 64)
        assert cycles_of(of, array)[1].cycles == 3 * 2 * 2 * 18 + 8 + LAYER_CYCLES

    def test_a_map_of_one_tile(self, rng: np.random.Generator) -> None:
        """Where a tile has all 3 rows of its map, no step reads padding: 3 x 3 steps, not 5 x 3."""
        of = between(rng, 6, (3, 3), SAME)
        lines = lines_of(of, of.layers[1], MacArray(8, 4))
        assert lines is not None
        assert (lines.maps, lines.rows, lines.steps, lines.written) == (2, 3, 9, 4)
        assert pitch_of(of, "d0", MacArray(8, 4)) == 4 * 3  # the fourth lane of each map writes below it

    def test_even_columns_first(self, rng: np.random.Generator) -> None:
        """Windows two columns apart: 1 x 1 convolutions write even columns, then odd ones; unless that costs more."""
        array = MacArray(8, 4)
        of = between(rng, 8, (8, 8), BY_TWO)
        assert layout_of(of, array).phased == {"p0"}
        assert layout_of(of, array).lines["d0"].phases == 2
        of = between(rng, 48, (3, 6), SAME, Window((3, 3), (2, 2), (1, 0, 1, 1)))
        layout = layout_of(of, array)  # 18 words are 5 tiles of 48 steps, twice 9 are 6, in 6 groups; 24 x 9 are gained
        assert (layout.phased, layout.lines["d1"].maps) == (frozenset(), 1)

    def test_what_leaves_no_room(self, rng: np.random.Generator) -> None:
        """What others read by rows has maps side by side, and nothing below them: the image, what a pool reads."""
        layers: list[ProgramLayer] = [
            depthwise(rng, "d", INPUT, 2, SAME),
            MaxPoolLayer("pool", ("d",), Window.square(3, 2)),
            mac(rng, "p", "pool", (2, 2, 1), SIGNED, window=POINT),
        ]
        of, array = program(layers, (2, 6, 5), SIGNED), MacArray(8, 4)
        lines = lines_of(of, of.layers[0], array)
        assert lines is not None
        assert (lines.maps, lines.rows, lines.written) == (1, 6, 6)
        assert pitch_of(of, INPUT, array) == pitch_of(of, "d", array) == 30

    def test_others(self, rng: np.random.Generator) -> None:
        """The last layer, one that reads other maps too, and arrays without: maps on lanes, as ever."""
        final = program([depthwise(rng, "d", INPUT, 4, SAME, output=None)], (4, 6, 6), SIGNED)
        kept = np.tril(np.ones((4, 4), bool))[:, :, None] & np.ones(9, bool)
        wider = mac(rng, "d", INPUT, kept.shape, SIGNED, window=SAME, pattern="kernel", kept=kept, output=SIGNED)
        mixed = program([wider, mac(rng, "p", "d", (2, 4, 1), SIGNED, window=POINT)], (4, 6, 6), SIGNED)
        for of in (final, mixed):
            assert lines_of(of, of.layers[0], MacArray(8, 4)) is None
        of = between(rng, 4, (6, 6), SAME)
        assert lines_of(of, of.layers[1], MacArray(8, 4)) is not None
        assert lines_of(of, of.layers[1], MacArray(8, 4, lines=False)) is None

    def test_slots(self, rng: np.random.Generator) -> None:
        """Each pixel has a lane in all 18 steps of its tile; 9 of them are of its own window: half of the slots."""
        of, array = between(rng, 6, (8, 8), SAME), MacArray(8, 4)
        slots = slots_of(of, of.layers[1], array, np.tile([[18, 8]], (12, 1)))
        assert (slots.useful_slots, slots.slots) == (6 * 64 * 9, 12 * 18 * 32)
        assert slots.pruned_slots == slots.useful_slots
        assert (slots.no_map_slots, slots.no_pixel_slots) == (0, 0)
        row = schedule_of(of, array)[1]
        assert (row.weight_words, row.units.tolist()) == (56, [18] * 3)  # 54 in whole rows of 4 banks


class TestOnTheHardware:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("maps", "size", "window"),
        [(5, (6, 7), SAME), (4, (4, 8), BY_TWO), (3, (3, 3), SAME), (1, (5, 5), Window((2, 3), (1, 1), (1, 1, 0, 1)))],
        ids=["pairs", "phases", "one tile", "one map"],
    )
    def test_ways(self, maps: int, size: tuple[int, int], window: Window, rng: np.random.Generator) -> None:
        """An odd number of maps, rows below the last, even columns first, one tile a map, one map."""
        of = between(rng, maps, size, window)
        assert lines_of(of, of.layers[1], fitting(of))
        check(of, images_of(rng, of, 1), fitting(of))

    @pytest.mark.slow
    @pytest.mark.parametrize("lanes", [(1, 4), (2, 2), (3, 4), (4, 1), (5, 2), (8, 4), (9, 8)], ids=str)
    @pytest.mark.parametrize("seed", range(3))
    def test_random_windows(self, lanes: tuple[int, int], seed: int) -> None:
        """Two depthwise layers of any kernel, stride and padding, on arrays of any lanes."""
        rng = np.random.default_rng(seed)
        windows = []
        for _ in range(2):
            kernel = rng.integers(1, 4, 2)
            windows.append(
                Window(
                    tuple(kernel.tolist()), tuple(rng.integers(1, 4, 2).tolist()), tuple(rng.integers(0, 3, 4).tolist())
                )
            )
        of = between(rng, int(rng.integers(1, 6)), (int(rng.integers(5, 9)), int(rng.integers(5, 10))), *windows)
        check(of, images_of(rng, of, 1), fitting(of, *lanes))

    @pytest.mark.slow
    @pytest.mark.parametrize("weight_bits", [4, 5])
    def test_narrow_weights(self, weight_bits: int, rng: np.random.Generator) -> None:
        """Lanes that share a multiplier are rows of one map."""
        layers = [
            mac(rng, "p0", INPUT, (3, 2, 1), SIGNED, window=POINT, output=SIGNED, weight_bits=weight_bits),
            depthwise(rng, "d", "p0", 3, SAME, weight_bits=weight_bits),
            mac(rng, "p1", "d", (3, 3, 1), SIGNED, window=POINT, weight_bits=weight_bits),
        ]
        of = program(layers, (2, 5, 6), SIGNED)
        array = fitting(of, 6, 4)
        assert array.weights_per_multiplier == 2
        check(of, images_of(rng, of), array)

    def test_back_pressure(self, rng: np.random.Generator) -> None:
        """A receiver that is not always ready changes neither codes nor cycles, image after image."""
        of = between(rng, 3, (4, 4), SAME)
        runs = check(of, images_of(rng, of, 2), fitting(of), ready=0.3, rng=rng)
        assert sum(run.stalls for run in runs)

    @pytest.mark.slow
    def test_beside_other_layers(self, rng: np.random.Generator) -> None:
        """A kernel of 3 x 3 reads maps with words between them, in lists; a vector of maps side by side ends it."""
        kernels = {"window": SAME, "pattern": "kernel", "output": SIGNED}
        layers: list[ProgramLayer] = [
            mac(rng, "a", INPUT, (5, 2, 9), PIXEL, **kernels),
            depthwise(rng, "d", "a", 5, SAME, multipliers=5),
            mac(rng, "b", "d", (5, 5, 9), SIGNED, **kernels),
            depthwise(rng, "e", "b", 5, Window.square(2, 2), relu=True),
            FlattenLayer("flat", ("e",)),
            mac(rng, "c", "flat", (4, 5 * 3 * 3, 1), SIGNED),
        ]
        of = program(layers, (2, 6, 6))
        assert "d" in layout_of(of, fitting(of, 8, 4)).lines
        check(of, images_of(rng, of), fitting(of, 8, 4))


def _layer(**values: int) -> Callable[[Image], None]:
    def apply(image: Image) -> None:
        image.layers[1] |= {name: image.layers[1][name] + value for name, value in values.items()}

    return apply


def _weight(image: Image) -> None:
    first = image.layers[1]["weight"]
    image.weights[first] = tuple(weight + 1 for weight in image.weights[first])


class TestTheComparison:
    """Negative control: what only such layers have is noticed if it is wrong."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "corrupt",
        [_layer(pair=-1), _layer(gap=4), _layer(line_words=1), _layer(lines=-1), _weight],
        ids=["pair", "gap", "line", "lines", "weight"],
    )
    def test_a_wrong_word(
        self, corrupt: Callable[[Image], None], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
    ) -> None:
        """The second map, where it lies, where rows lie, their constants, a weight of every lane."""
        of = between(rng, 2, (6, 4), SAME)
        assert layout_of(of, fitting(of)).lines["d0"].maps == 2

        images = images_of(rng, of, 1)
        corrupting(monkeypatch, corrupt)
        assert difference(of, images, simulate(of, fitting(of), images), fitting(of)) is not None

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
    def test_in_verilog(self, rng: np.random.Generator, tmp_path: Path) -> None:
        """The emitted Verilog gives the same, though the last of an odd number of maps has none beside it to read."""
        of = between(rng, 3, (6, 6), BY_TWO, SAME)
        codes, array = images_of(rng, of, 1), fitting(of)
        job = Job(of, codes, golden.run(of, codes)[of.output], total_cycles(of, array), total_interval(of, array))
        build = write(tmp_path, [job], array, "iverilog")
        assert simulators.run(tmp_path, "iverilog") == build.expected
