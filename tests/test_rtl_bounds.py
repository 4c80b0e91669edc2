"""Clips, and ReLUs of their own, in the drain of the layer before them or alone: golden's codes, and no cycles more."""

from dataclasses import replace

import numpy as np
import pytest
from support.programs import PIXEL, program, signal
from support.rtl_programs import ARRAY, SIGNED, add, avg, check, corrupting, difference, images_of, mac

from accel.array import MacArray
from accel.cost.cycles import LAYER_CYCLES, START_CYCLES, cycles_of
from accel.demand import array_for
from accel.fixedpoint import FixedFormat, Overflow
from accel.fusion import bounds_of, computing, drained, rectifies
from accel.lines import lines_of
from accel.network import INPUT
from accel.places import places_on
from accel.program import Program
from accel.program_layers import ClipLayer, FlattenLayer, MaxPoolLayer, ProgramLayer, ReluLayer
from accel.signal import Signal
from accel.window import Window
from rtl.image import Image
from rtl.simulate import simulate

POINT, HALF = Window((1, 1)), Window.square(2, 2)
SATURATES = signal(6, overflow=Overflow.SAT)
UNSIGNED = signal(6, signed=False, overflow=Overflow.SAT)
CLIPS = replace(ARRAY, ceiling=True)


def bounded(rng: np.random.Generator, highest: int = 9, output: Signal = SATURATES, **more: bool) -> Program:
    """Return a convolution, a clip of it, and what reads the clip."""
    layers = [
        mac(rng, "a", INPUT, (5, 2, 9), PIXEL, window=Window.square(3, 1, 1), output=output, **more),
        ClipLayer("clip", ("a",), highest),
        mac(rng, "b", "clip", (3, 5, 1), output, window=POINT),
    ]
    return program(layers, (2, 4, 5))


class TestWhatTheDrainDoes:
    @pytest.mark.parametrize(
        ("form", "relu", "fused"),
        [
            ("ap_fixed<6,6,AP_RND,AP_SAT>", False, True),
            ("ap_fixed<6,6,AP_RND,AP_SAT_SYM>", True, True),
            ("ap_ufixed<6,6,AP_RND,AP_WRAP>", True, True),  # codes have no sign
            ("ap_ufixed<6,6,AP_RND,AP_WRAP>", False, False),  # a negative sum may wrap to any code
            ("ap_fixed<6,6,AP_RND,AP_WRAP>", True, False),  # a positive sum may wrap to a negative code
        ],
    )
    def test_formats(self, form: str, relu: bool, fused: bool, rng: np.random.Generator) -> None:
        """Sums are rectified before they become codes, which comes to the same only if the code keeps its side of 0."""
        of = bounded(rng, output=Signal(FixedFormat.parse(form), 1.0), relu=relu)
        assert [x.name for x in computing(of, CLIPS)] == (["a", "b"] if fused else ["a", "clip", "b"])
        first = of.layers[0]
        assert bounds_of(of, first, CLIPS) == (None, 9 if fused else None)
        assert rectifies(of, first, CLIPS) == (fused or relu)

    def test_the_lowest_bound(self, rng: np.random.Generator) -> None:
        """Of several the lowest counts, and none that no code of the format is above."""
        first = mac(rng, "a", INPUT, (2, 2, 1), PIXEL, window=POINT, output=SATURATES)
        for bounds, found in (((12, 9, 40), 9), ((31, 40), None), ((31, 30), 30)):
            names = ["a", *(f"clip{bound}" for bound in bounds)]
            clips = [ClipLayer(f"clip{bound}", (name,), bound) for bound, name in zip(bounds, names, strict=False)]
            of = program([first, *clips], (2, 4, 6))
            assert bounds_of(of, first, CLIPS) == (None, found)
            assert drained(of, CLIPS) == {"a": tuple(clips)}

    def test_another_reader(self, rng: np.random.Generator) -> None:
        """What somebody else reads too, or a flatten before the clip, is stored, and clipped after."""
        first = mac(rng, "a", INPUT, (2, 2, 1), PIXEL, window=POINT, output=SATURATES)
        clip, flat = ClipLayer("clip", ("a",), 9), FlattenLayer("flat", ("a",))
        assert drained(program([first, clip, flat], (2, 2, 2)), CLIPS) == {}
        assert drained(program([first, flat, replace(clip, inputs=("flat",))], (2, 2, 2)), CLIPS) == {}
        assert drained(program([first, clip, replace(flat, inputs=("clip",))], (2, 2, 2)), CLIPS) == {"a": (clip,)}

    def test_what_is_stored(self, rng: np.random.Generator) -> None:
        """The clipped codes alone, where the convolution's would have been."""
        assert places_on(bounded(rng), CLIPS) == {INPUT: 0, "clip": 40}


class TestOnTheHardware:
    @pytest.mark.parametrize(
        "output", [SATURATES, pytest.param(UNSIGNED, marks=pytest.mark.slow)], ids=["signed", "unsigned"]
    )
    def test_a_convolution(self, output: Signal, rng: np.random.Generator) -> None:
        """Codes are cut off at the bound on their way out, in the cycles that the convolution takes anyway."""
        of = bounded(rng, output=output)
        images = images_of(rng, of, 1)
        (run,) = check(of, images, CLIPS)
        alone = program([*of.layers[:1], replace(of.layers[2], inputs=("a",))], of.input_shape)
        assert run.cycles == START_CYCLES + sum(row.cycles for row in cycles_of(alone, CLIPS))
        assert difference(alone, images, [run], CLIPS) is not None  # negative control: the clip counts

    @pytest.mark.slow
    @pytest.mark.parametrize("clip_first", [True, False])
    def test_beside_a_pool(self, clip_first: bool, rng: np.random.Generator) -> None:
        """A drain that pools clips too, whichever comes first."""
        names = ("clip", "pool") if clip_first else ("pool", "clip")
        kinds = {
            name: ClipLayer("clip", (source,), 7) if name == "clip" else MaxPoolLayer("pool", (source,), HALF)
            for name, source in zip(names, ("a", names[0]), strict=True)
        }
        layers: list[ProgramLayer] = [
            mac(rng, "a", INPUT, (3, 2, 1), PIXEL, window=POINT, output=SATURATES),
            *kinds.values(),
        ]
        of = program(layers, (2, 5, 6))
        assert [x.name for x in computing(of, CLIPS)] == ["a"]
        check(of, images_of(rng, of, 1), CLIPS)

    @pytest.mark.slow
    def test_any_layer_before(self, rng: np.random.Generator) -> None:
        """An addition, an average, a max pool that is not fused and a clip: each has its bound, or a ReLU."""
        layers: list[ProgramLayer] = [
            add("sum", (INPUT, INPUT), (2, 3), (SATURATES, SATURATES), SATURATES),
            ClipLayer("clip1", ("sum",), 20),
            avg("avg", "clip1", Window.square(2), SATURATES, SATURATES),
            ReluLayer("relu", ("avg",)),
            MaxPoolLayer("max", ("relu",), Window.square(2)),
            ClipLayer("clip2", ("max",), 12),
            ClipLayer("clip3", ("clip2",), 14),
        ]
        of = program(layers, (2, 4, 5), SATURATES)
        assert [x.name for x in computing(of, CLIPS)] == ["sum", "avg", "max"]
        check(of, images_of(rng, of, 1), CLIPS)

    def test_alone(self, rng: np.random.Generator) -> None:
        """A clip that reads the image runs as a ReLU does, 4 pixels a tile: every code of 6 bits."""
        of = program([ClipLayer("clip", (INPUT,), 5)], (2, 4, 8), SATURATES)
        (run,) = check(of, np.arange(-32, 32).reshape(1, 2, 4, 8), CLIPS)
        assert sorted({*run.codes.ravel().tolist()}) == [0, 1, 2, 3, 4, 5]
        assert run.cycles == START_CYCLES + 16 * 3 + 1 + LAYER_CYCLES

    @pytest.mark.slow
    def test_below_zero(self, rng: np.random.Generator) -> None:
        """Bounds on both sides of zero, on codes that wrap too: of a convolution, an addition and the image."""
        layers: list[ProgramLayer] = [
            mac(rng, "a", INPUT, (2, 2, 1), SIGNED, window=POINT, output=SIGNED),
            ClipLayer("clip1", ("a",), 20, -9),
            ClipLayer("clip2", (INPUT,), 40, -11),
            add("sum", ("clip1", "clip2"), (2, 3), (SIGNED, SIGNED), SIGNED),
            ClipLayer("clip3", ("sum",), 31, -31),
        ]
        of, array = program(layers, (2, 4, 5), SIGNED), replace(CLIPS, floor=True)
        assert [x.name for x in computing(of, array)] == ["a", "clip2", "sum"]
        assert [bounds_of(of, of.layers[place], array) for place in (0, 2, 3)] == [(-9, 20), (-11, None), (-31, None)]
        assert array_for(of, 4, 4).floor
        assert not array_for(bounded(rng), 4, 4).floor
        check(of, images_of(rng, of, 1), array)

    @pytest.mark.slow
    def test_a_relu_takes_no_hardware(self, rng: np.random.Generator) -> None:
        """A clip at the highest code is a ReLU, which every array has."""
        of = bounded(rng, highest=31)
        check(of, images_of(rng, of, 1), ARRAY)

    @pytest.mark.slow
    def test_depthwise_layers(self, rng: np.random.Generator) -> None:
        """Clips around a depthwise layer at stride 2: rows of maps on lanes, and the even columns first."""
        own = np.broadcast_to(np.eye(4, dtype=bool)[:, :, None], (4, 4, 9))
        layers: list[ProgramLayer] = [
            mac(rng, "a", INPUT, (4, 2, 1), PIXEL, window=POINT, output=UNSIGNED),
            ClipLayer("clip1", ("a",), 40),
            mac(
                rng,
                "b",
                "clip1",
                (4, 4, 9),
                UNSIGNED,
                window=Window.square(3, 2, 1),
                kept=own,
                pattern="kernel",
                output=UNSIGNED,
            ),
            ClipLayer("clip2", ("b",), 40),
            mac(rng, "c", "clip2", (3, 4, 1), UNSIGNED, window=POINT),
        ]
        of, array = program(layers, (2, 8, 16)), replace(CLIPS, signal_words=2048)
        lines = lines_of(of, of.layers[2], array)
        assert lines is not None
        assert lines.phases == 2
        check(of, images_of(rng, of, 1), array)


@pytest.mark.slow
@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_bound(change: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Negative control: a bound that is one code lower or higher in the words of layers is noticed."""
    of = bounded(rng)

    def corrupt(image: Image) -> None:
        image.layers[0]["highest"] += change

    images = images_of(rng, of, 1)
    corrupting(monkeypatch, corrupt)
    assert difference(of, images, simulate(of, CLIPS, images), CLIPS) is not None


@pytest.mark.slow
def test_a_lane_alone(rng: np.random.Generator) -> None:
    """One output lane and one pixel lane clip as well."""
    of, sizes = bounded(rng), {"signal_words": 256, "weight_words": 512, "taps": 32, "constants": 16}
    check(of, images_of(rng, of, 1), MacArray(1, 1, **sizes, ceiling=True))
