"""Split sums on the hardware: golden's codes in the closed form's cycles, by lanes that share the sum of one pixel."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, mac_layer, program, signal
from support.rtl_builds import WORD, write
from support.rtl_programs import ARRAY, SIGNED, SIZES, add, avg, check, corrupting, difference, images_of, mac

from accel.array import MacArray
from accel.cost import total_cycles, total_interval
from accel.cost.cycles import LAYER_CYCLES, RAW_CYCLES, START_CYCLES, cycles_of
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer
from accel.signal import Signal
from accel.split import splits, windows_of
from accel.window import Window
from rtl import simulators
from rtl.emit import Job
from rtl.image import Image
from rtl.layout import Target
from rtl.simulate import simulate
from sim import golden

PATTERNS = ("dense", "block-2", "block-3", "irregular", "2:4")
ONE = Window((1, 1))
DEEP = SIZES | {"list_entries": 512}


def vectors(
    rng: np.random.Generator, inputs: int, pattern: str = "dense", outputs: int = 6, weight_bits: int = 5
) -> Program:
    """Return two linear layers, `inputs` words to `outputs` codes to 5 accumulators."""
    words = {"pattern": pattern, "weight_bits": weight_bits}
    layers = [
        FlattenLayer("flat", (INPUT,)),
        mac(rng, "a", "flat", (outputs, inputs, 1), PIXEL, output=SIGNED, **words),
        mac(rng, "b", "a", (5, outputs, 1), SIGNED, **words),
    ]
    return program(layers, (inputs, 1, 1))


class TestVectors:
    @pytest.mark.slow
    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_every_pattern(self, pattern: str, rng: np.random.Generator) -> None:
        """Counted windows and lists of them, in groups that are not full, of words that fill no last window."""
        of = vectors(rng, 22, pattern)
        assert all(splits(of, layer, ARRAY) for layer in of.mac_layers)
        check(of, images_of(rng, of), MacArray(4, 4, **DEEP))

    @pytest.mark.slow
    @pytest.mark.parametrize("inputs", [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65])
    @pytest.mark.parametrize("lanes", [(1, 2), (3, 2), (4, 4), (5, 8), (2, 16)], ids=str)
    def test_lengths(self, lanes: tuple[int, int], inputs: int, rng: np.random.Generator) -> None:
        """Vectors shorter than the lanes, as long, a word longer; arrays of more lanes than the layer has maps."""
        of = vectors(rng, inputs)
        check(of, images_of(rng, of, 1), MacArray(*lanes, **DEEP))

    @pytest.mark.slow
    @pytest.mark.parametrize("pattern", ["dense", "irregular"])
    def test_a_vector_of_several_pieces(self, pattern: str, rng: np.random.Generator) -> None:
        """300 words in windows of 2: three counted pieces, or a list whose runs have 64 windows at most."""
        of = vectors(rng, 300, pattern, outputs=3)
        check(of, images_of(rng, of, 1), MacArray(2, 2, **SIZES | {"weight_words": 1024, "list_entries": 512}))

    @pytest.mark.slow
    @pytest.mark.parametrize("lanes", [1, 2, 3])
    def test_shared_multipliers(self, lanes: int, rng: np.random.Generator) -> None:
        """Where two weights share a multiplier each column has two of its own."""
        of, array = vectors(rng, 11, "irregular", weight_bits=4), MacArray(lanes, 4, weight_bits=4, **DEEP)
        assert array.weights_per_multiplier == 2
        check(of, images_of(rng, of, 1), array)

    def test_extremes(self) -> None:
        """The highest and lowest weights at the highest codes, in the fewest accumulator bits."""
        for weight in (-16, 15):
            layer = mac_layer("a", "flat", np.full((4, 9, 1), weight), PIXEL)
            of = program([FlattenLayer("flat", (INPUT,)), layer], (9, 1, 1))
            array = replace(ARRAY, accumulator_bits=layer.accumulator_bits)
            (run,) = check(of, np.full((1, 9, 1, 1), 255), array)
            assert (run.codes == 9 * 255 * weight).all()

    @pytest.mark.slow
    def test_cycles_literally(self, rng: np.random.Generator) -> None:
        """22 and then 6 words on 4 lanes: two groups of 6 windows, then two of 2, which the walk and 4 rows hold up."""
        of = vectors(rng, 22)
        (run,) = check(of, images_of(rng, of, 1))
        assert run.cycles == START_CYCLES + (6 + 6 + 2 + LAYER_CYCLES) + (3 + 4 + 1 + RAW_CYCLES)
        images = images_of(rng, of, 1)
        left_out = replace(ARRAY, split=False)
        (alone,) = check(of, images, left_out)
        assert alone.cycles == START_CYCLES + (22 + 22 + 2 + LAYER_CYCLES) + (6 + 6 + 1 + RAW_CYCLES)
        assert difference(of, images, [alone]) is not None  # negative control: another array


class TestMaps:
    @pytest.mark.parametrize("reads", [PIXEL, SIGNED], ids=["unsigned", "signed"])
    def test_a_kernel_that_covers_its_map(self, reads: Signal, rng: np.random.Generator) -> None:
        """Several maps under one kernel are one vector, behind a pool and in front of a sum."""
        layers = [
            MaxPoolLayer("pool", (INPUT,), Window.square(2, 2)),
            mac(rng, "a", "pool", (6, 3, 6), reads, window=Window((2, 3)), pattern="kernel", output=SIGNED),
            mac(rng, "b", "a", (6, 6, 1), SIGNED, window=Window((1, 1)), output=SIGNED),
            add("sum", ("a", "b"), (2, 3), (SIGNED, SIGNED), SIGNED),
            mac(rng, "c", "sum", (3, 6, 1), SIGNED, window=Window((1, 1), (2, 2))),
        ]
        of = program(layers, (3, 4, 6), reads)
        assert all(splits(of, layer, ARRAY) for layer in of.mac_layers)
        check(of, images_of(rng, of))

    @pytest.mark.slow
    @pytest.mark.parametrize("pattern", ["dense", "kernel", "ikss", "kernel+ikss", "irregular"])
    @pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 0, 1, 1), (2, 1, 0, 1)], ids=str)
    def test_padding(self, padding: Any, pattern: str, rng: np.random.Generator) -> None:
        """What of a kernel lies in the padding is left out, whatever the pattern."""
        top, left, bottom, right = padding
        window = Window((2 + top + bottom, 3 + left + right), (1, 1), padding)
        of = program([mac(rng, "a", INPUT, (5, 3, window.taps), PIXEL, window=window, pattern=pattern)], (3, 2, 3))
        (layer,) = of.mac_layers
        assert splits(of, layer, ARRAY)
        check(of, images_of(rng, of, 1))

    def test_nothing_kept(self, rng: np.random.Generator) -> None:
        """A group that keeps nothing takes one window of zeros, and a group that keeps what lies in the padding too."""
        kept = np.zeros((12, 2, 9), bool)
        kept[:4, :, 4] = kept[8:, :, 0] = True
        window = Window.square(3, 1, 1)
        layer = mac(rng, "a", INPUT, kept.shape, PIXEL, window=window, pattern="irregular", kept=kept)
        of = program([layer], (2, 1, 1))
        assert [starts.size for starts in windows_of(of, layer, ARRAY).starts] == [1, 1, 1]
        runs = check(of, images_of(rng, of))
        assert (runs[0].codes[4:, 0, 0] == layer.bias[4:]).all()

    @pytest.mark.slow
    def test_a_kernel_that_does_not(self, rng: np.random.Generator) -> None:
        """One pixel whose stride passes by a part of the map runs without, beside an average over all of one."""
        layers = [
            mac(rng, "a", INPUT, (5, 2, 4), PIXEL, window=Window.square(2, 2), output=SIGNED),
            avg("mean", "a", Window((1, 1)), SIGNED, SIGNED),
            mac(rng, "b", "mean", (5, 5, 1), SIGNED, window=Window((1, 1))),
        ]
        of = program(layers, (2, 3, 3))
        assert [splits(of, layer, ARRAY) for layer in of.layers] == [False, True, True]
        check(of, images_of(rng, of))


class TestAverages:
    @pytest.mark.parametrize(("lanes", "size"), [((4, 4), (3, 5)), ((2, 8), (2, 3)), ((3, 2), (1, 1))], ids=str)
    def test_of_whole_maps(self, lanes: tuple[int, int], size: tuple[int, int], rng: np.random.Generator) -> None:
        """Windows of neighbouring words, the last one of words that an earlier one has had; fewer words than lanes."""
        layers = [
            avg("mean", INPUT, Window(size), SIGNED, SIGNED),
            mac(rng, "a", "mean", (3, 5, 1), SIGNED, window=ONE),
        ]
        of = program(layers, (5, *size), SIGNED)
        array = MacArray(*lanes, **DEEP)
        assert splits(of, of.layers[0], array)
        runs = check(of, images_of(rng, of), array)
        assert cycles_of(of, array)[0].cycles == 5 * max(3, -(-size[0] * size[1] // lanes[1])) + 1 + LAYER_CYCLES
        assert difference(of, images_of(rng, of), runs, array) is not None  # negative control: other images

    def test_of_parts_of_maps(self, rng: np.random.Generator) -> None:
        """A window that is padded, or less than its map, is read tap by tap, as on an array that splits nothing."""
        whole = Window((3, 4))
        for window, splitting in (
            (Window((2, 4), (2, 1)), True),
            (Window((4, 4), padding=(1, 0, 0, 0)), True),
            (whole, False),
        ):
            of = program([avg("mean", INPUT, window, SIGNED, SIGNED)], (2, 3, 4), SIGNED)
            assert not splits(of, of.layers[0], replace(ARRAY, split=splitting))


class TestStreams:
    @pytest.mark.parametrize("ready", [0.2, 0.6])
    def test_back_pressure(self, ready: float, rng: np.random.Generator) -> None:
        """A receiver that is not always ready changes neither codes nor cycles, image after image."""
        of = vectors(rng, 19, "irregular")
        runs = check(of, images_of(rng, of, 3), MacArray(2, 4, **DEEP), ready=ready, rng=rng)
        assert sum(run.stalls for run in runs)

    def test_formats(self, rng: np.random.Generator) -> None:
        """Split sums are requantised as others are: a ReLU, a multiplier for each output."""
        output = signal(5, signed=False)
        layer = mac(rng, "a", "flat", (7, 13, 1), PIXEL, output=output, relu=True, multipliers=7)
        of = program([FlattenLayer("flat", (INPUT,)), layer], (13, 1, 1))
        runs = check(of, images_of(rng, of, 2))
        assert any(run.codes.any() for run in runs)


def _weight(image: Image) -> None:
    image.weights[1] = (~image.weights[1][0], *image.weights[1][1:])


def _layer(**values: int) -> Callable[[Image], None]:
    def apply(image: Image) -> None:
        image.layers[0] |= {name: image.layers[0][name] + value for name, value in values.items()}

    return apply


class TestTheComparison:
    """Negative control: what only split sums have is noticed if it is wrong."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "corrupt",
        [_weight, _layer(split=-1), _layer(width=-1), _layer(weight=1)],
        ids=["weight", "split", "width", "row"],
    )
    def test_a_wrong_word(
        self, corrupt: Callable[[Image], None], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
    ) -> None:
        """A weight of the second lane, the flag, the lanes that count, the row of the weights."""
        of = vectors(rng, 13)

        images = images_of(rng, of, 1)
        corrupting(monkeypatch, corrupt)
        assert difference(of, images, simulate(of, ARRAY, images)) is not None

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
    def test_in_verilog(self, rng: np.random.Generator, tmp_path: Path) -> None:
        """The emitted Verilog gives the same and reads no unknown word; a bit of a weight, and it does not."""
        of, array = vectors(rng, 11, "irregular"), MacArray(3, 4, **DEEP)
        codes = images_of(rng, of)
        job = Job(of, codes, golden.run(of, codes)[of.output], total_cycles(of, array), total_interval(of, array))
        build = write(tmp_path, [job], array, "iverilog")
        assert simulators.run(tmp_path, "iverilog") == build.expected
        assert simulators.run(tmp_path, "iverilog", stall=128).errors == 0
        (tmp_path / "wrong").mkdir()
        line = build.line_of_word(0, Target.WEIGHTS) + 1  # of the second lane
        build.edit(tmp_path / "wrong", "load.hex", line, lambda word: word ^ 1 << WORD)
        assert simulators.run(tmp_path / "wrong", "iverilog").errors
