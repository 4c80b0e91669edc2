"""Every reader gives golden's codes and runs the MACs that are charged, for all Programs of a subclass."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.closed_forms import closed_form_macs, output_pixels
from support.masks import PATTERNS
from support.programs import CASES, PIXEL, Codes, batches, every_kind, index_of, mac_layer, program, programs, signal

from accel.cost import Counts, cost_of
from accel.encoding import IndexWords
from accel.errors import EspalierError
from accel.fixedpoint import Overflow, Rounding
from accel.grouped_convolution import within_groups
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AvgPoolLayer, MacLayer
from accel.signal import Requantize
from accel.window import Window
from sim import golden
from sim.engine import LANES, compile_program
from sim.instructions import available

MODES = [(rounding, overflow) for rounding in Rounding for overflow in Overflow]

# a test that is inherited runs for several classes, which is what it is for; drawing a whole Program takes a while
inherited = (HealthCheck.differing_executors, HealthCheck.too_slow)
some = settings(max_examples=12, deadline=None, suppress_health_check=inherited)


def engine_tensors(of: Program, batch: Codes, kernel: str | None = None) -> dict[str, Codes]:
    """Return the codes of every tensor that the engine gives; those of a plain run must be the same."""
    engine = compile_program(of, kernel)
    tensors = engine.run(batch, threads=1, keep_tensors=True).tensors
    fused = engine.run(batch, threads=1).codes  # pools and ReLUs run with the layer before them
    assert_same_codes({of.output: tensors[of.output]}, {of.output: fused})
    return tensors


def a_few(cases: Iterable[Any], quick: Sequence[Any]) -> list[Any]:
    """Return the cases as parameters of a test, slow ones but for those that are `quick`."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in cases]


Reader = Callable[[Program, Codes], dict[str, Codes]]
READERS: dict[str, Reader] = {f"engine, {name}": partial(engine_tensors, kernel=name) for name in available()}
"""Everything that runs Programs, with every kernel of this processor: from a Program and a batch to all codes."""


def assert_same_codes(expected: dict[str, Codes], found: dict[str, Codes]) -> None:
    """Raise AssertionError unless both have the same tensors and codes; say which layer differs first, and where."""
    assert list(found) == list(expected), f"tensors {list(found)}, expected {list(expected)}"
    for name, codes in expected.items():
        assert found[name].shape == codes.shape, f"{name}: shape {found[name].shape}, expected {codes.shape}"
        assert found[name].dtype == codes.dtype, f"{name}: {found[name].dtype}, expected {codes.dtype}"
        for image, *place in np.argwhere(found[name] != codes).tolist():
            codes_here = found[name][image, *place], codes[image, *place]
            raise AssertionError(
                "{}: image {}, position {}: code {}, expected {}".format(name, image, place, *codes_here)
            )


def assert_equivalent(of: Program, batch: Codes) -> None:
    """Raise AssertionError unless every reader gives golden's codes for `batch`."""
    expected = golden.run(of, batch)
    for name, reader in READERS.items():
        try:
            assert_same_codes(expected, reader(of, batch))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


class Equivalence:
    """Every Program that a subclass wishes for: the same codes from every reader, the same MACs as charged."""

    def wishes(self, case: Any) -> dict[str, Any]:
        """Return what the Programs of one case have in common (see `programs`)."""
        raise NotImplementedError

    @some
    @given(data=st.data())
    def test_every_code_of_every_tensor_is_goldens(self, case: Any, data: st.DataObject) -> None:
        """Every reader gives golden's codes for every tensor, whatever the Program and its input."""
        of = data.draw(programs(every_kind=True, **self.wishes(case)))
        assert_equivalent(of, data.draw(batches(of)))

    @some
    @given(data=st.data())
    def test_executed_macs_are_charged_macs_are_closed_forms(self, case: Any, data: st.DataObject) -> None:
        """Layer by layer, the engine's loops count what the cost model charges, and that is a closed form.

        Padding is multiplied too, kept weights whose code is 0 count, and layers without weights cost no MACs.
        """
        of = data.draw(programs(every_kind=True, **self.wishes(case)))
        expected = {layer.name: closed_form_macs(layer, output_pixels(of, layer)) for layer in of.mac_layers}
        batch = np.full((1, *of.input_shape), of.input_signal.format.min_code)
        for kernel in available():
            assert compile_program(of, kernel).run(batch, threads=1).macs == expected
        charged = {layer.name: layer.counts.macs for layer in cost_of(of).layers}
        assert charged == {layer.name: expected.get(layer.name, 0) for layer in of.layers}
        assert cost_of(of).total.macs == sum(expected.values())


@pytest.mark.parametrize("case", a_few(CASES, [*{case[0]: case for case in CASES}.values()]), ids="/".join)
class TestEveryPatternAndEncoding(Equivalence):
    def wishes(self, case: tuple[str, str]) -> dict[str, Any]:
        """Every layer is pruned by one pattern and stored in one encoding."""
        return {"case": case}


@pytest.mark.parametrize("case", a_few(range(1, 17), [1, 2, 5, 8, 16]))
class TestEveryWidth(Equivalence):
    def wishes(self, case: int) -> dict[str, Any]:
        """Every signal and weight is of one width."""
        return {"signal_bits": case, "weight_bits": case}


@pytest.mark.parametrize("case", MODES, ids=lambda case: f"{case[0].name}-{case[1].name}")
@pytest.mark.slow
class TestEveryMode(Equivalence):
    def wishes(self, case: tuple[Rounding, Overflow]) -> dict[str, Any]:
        """Every requantisation rounds and overflows in one way."""
        return {"modes": case}

    test_executed_macs_are_charged_macs_are_closed_forms = None  # no code changes what is multiplied


class TestWhatIsDrawn:
    @pytest.mark.slow
    def test_random_programs_hold_everything_that_a_program_can(self) -> None:
        """The claim is not empty: each kind of layer, pattern, encoding, mode and edge of the formats is drawn."""
        seen: Counter[Any] = Counter()

        for more in (False, True):

            @settings(max_examples=800, derandomize=True, database=None, deadline=None, suppress_health_check=inherited)
            @given(programs(every_kind=more))
            def draw(of: Program) -> None:
                seen.update(set(features(of)))

            draw()
        missing = {*everything()} - {*seen}
        assert not missing


def features(of: Program) -> Iterator[Any]:
    """Yield what is special about a Program."""
    yield f"{'signed' if of.input_signal.format.signed else 'unsigned'} input"
    for layer in of.layers:
        yield type(layer).__name__, len(of.shapes[layer.name])
        if getattr(layer, "requantize", None):
            form, requantize = layer.output.format, layer.requantize
            yield from (form.rounding, form.overflow, f"relu {layer.relu}", f"shift {requantize.shift}")
            yield f"{requantize.multipliers.size > 1} multipliers"
            yield f"{form.saturation_bits > 0} {form.overflow.name}"
            yield f"{min(form.width, 9)} bits"  # 9: more than 8
        if window := getattr(layer, "window", None):
            yield f"{type(layer).__name__} overlaps {window.kernel[0] > window.stride[0]} pads {any(window.padding)}"
            yield f"asymmetric {window.padding[:2] != window.padding[2:]}"
        if isinstance(layer, MacLayer):
            yield f"{within_groups(layer.kept) if layer.shape[0] == layer.shape[1] > 1 else 1} groups"
            yield from (layer.pattern, layer.encoding, f"{min(layer.weight_bits, 9)} weight bits")
            yield f"accumulator {layer.accumulator_bits > 32} handed out {layer.requantize is None}"
            if window:
                yield from (f"kernel {window.kernel[0]}", f"stride {window.stride[1]}", f"pixels {window.taps == 1}")


def everything() -> Iterator[Any]:
    """Yield what `features` must find among random Programs."""
    yield from (*Rounding, *Overflow, *PATTERNS, *(encoding for _, encoding in CASES), "signed input", "unsigned input")
    weighted, pooled = ("MacLayer", "AddLayer", "ReluLayer", "FlattenLayer"), ("MaxPoolLayer", "AvgPoolLayer")
    yield from ((kind, 3) for kind in (*weighted[:3], *pooled))
    yield from ((kind, dimensions) for kind in ("ClipLayer", "ConcatLayer") for dimensions in (1, 3))
    yield from (f"{count} groups" for count in (1, 2, 3))
    yield from ((kind, 1) for kind in weighted)
    yield from (f"{width} bits" for width in range(1, 10))
    yield from (f"{width} weight bits" for width in range(2, 10))
    yield from (f"{kind} overlaps True pads True" for kind in ("MacLayer", *pooled))
    yield from (f"kernel {size}" for size in range(1, 6))
    yield from (f"stride {stride}" for stride in (1, 2, 3))
    yield from ("shift 0", "shift 60", "True multipliers", "True WRAP", "True WRAP_SM", "asymmetric True")
    yield from (f"relu {relu}" for relu in (True, False))
    yield from (f"accumulator {wide} handed out {handed}" for wide in (True, False) for handed in (True, False))


class TestBatchesAndThreads:
    of: ClassVar[Program] = every_kind(np.random.default_rng(0))
    images: ClassVar[Codes] = np.random.default_rng(1).integers(0, 256, (2 * LANES + 1, 2, 9, 8))

    @pytest.mark.parametrize("kernel", available())
    @pytest.mark.parametrize("threads", [1, 2, 5, None])
    @pytest.mark.parametrize("count", [1, 2, LANES - 1, LANES, LANES + 1, 2 * LANES + 1])
    def test_any_batch_on_any_threads(self, count: int, threads: int | None, kernel: str) -> None:
        """Images run side by side in chunks; neither the size of the batch nor the number of threads shows."""
        result = compile_program(self.of, kernel).run(self.images[:count], threads, keep_tensors=True)
        assert_same_codes(golden.run(self.of, self.images[:count]), result.tensors)
        alone = compile_program(self.of).run(self.images[:1], 1)
        assert result.macs == alone.macs

    @pytest.mark.parametrize("threads", [1, 3])
    def test_an_empty_batch(self, threads: int) -> None:
        """No image gives empty tensors of the right shapes, and executes nothing."""
        result = compile_program(self.of).run(self.images[:0], threads, keep_tensors=True)
        assert_same_codes(golden.run(self.of, self.images[:0]), result.tensors)
        assert set(result.macs.values()) == {0}

    def test_images_do_not_touch_each_other(self) -> None:
        """The codes of an image are the same alone and anywhere in a batch."""
        engine = compile_program(self.of)
        together = engine.run(self.images).codes
        for image in (0, LANES - 1, LANES, 2 * LANES):
            assert np.array_equal(engine.run(self.images[image : image + 1]).codes[0], together[image])


# A layer that hands out its accumulators hides nothing, and one before it has 16 bits, no shift and no negative sum:
# whatever is wrong in a constant must reach the codes. Each input map has a code of its own, none of them 0.
FULL = np.array([255, 254, 252, 248]).reshape(1, 4, 1, 1).repeat(4, axis=2).repeat(4, axis=3)
WIDE = {"output": signal(16), "requantize": Requantize([1], 0)}
WRONG_PLACE = {  # pattern: its encoding, what is kept of (outputs 2, maps 4, taps 4), and the same with one other word
    "kernel": ("kernel lists", [[0, 2], [1, 3]], [[0, 3], [1, 3]]),
    "irregular": ("csr", [[0, 6, 9], [15]], [[0, 6, 10], [15]]),
    "ikss": ("stride-offset", [[0, 2, 4, 6, 8, 10, 12, 14]] * 2, [[0, 2, 4, 6, 9, 11, 12, 14]] * 2),
    "block-2": ("bsr", [[0, 5]] * 2, [[0, 4]] * 2),
    "2:4": (
        "n:m positions",
        [[0, 1, 4, 5, 8, 9, 12, 14]] * 2,
        [[0, 1, 4, 5, 8, 9, 12, 15], [0, 1, 4, 5, 8, 9, 12, 14]],
    ),
}


def example(relu: bool = True) -> Program:
    """Return a Program in which nothing saturates: a convolution, an average that is the sum, and the scores."""
    rng = np.random.default_rng(2)
    conv = mac_layer(
        "conv", INPUT, rng.integers(1, 4, (3, 4, 9)), PIXEL, window=Window.square(3), bias=[5, 6, 7], relu=relu, **WIDE
    )
    total = AvgPoolLayer("sum", ("conv",), Window((2, 2)), 18, False, Requantize([1], 2), signal(16))
    scores = mac_layer("scores", "sum", rng.integers(1, 8, (2, 3, 1)), signal(16), window=Window((1, 1)), bias=[1, -1])
    return program([conv, total, scores], (4, 4, 4))


def with_layer(of: Program, name: str, **changes: Any) -> Program:
    """Return a Program of which one layer differs."""
    spare = {"accumulator_bits": 40} if name == "scores" else {}
    if spare:  # the accumulators that are handed out may need a bit more
        changes |= {"output": signal(40), **spare}
    return replace(of, layers=tuple(replace(x, **changes) if x.name == name else x for x in of.layers))


def difference(right: Program, wrong: Program, batch: Codes = FULL) -> str:
    """Return what the comparison says if readers run `wrong` where golden runs `right`: all of them the same."""
    expected, said = golden.run(right, batch), set()
    for reader in READERS.values():
        with pytest.raises(AssertionError) as caught:
            assert_same_codes(expected, reader(wrong, batch))
        said.add(str(caught.value))
    (one,) = said
    return one


class TestNegativeControls:
    def test_the_example_is_equivalent(self) -> None:
        """With nothing corrupted, the comparison of the negative controls holds."""
        assert_equivalent(example(), FULL)

    @pytest.mark.slow
    @pytest.mark.parametrize("bit", range(8))
    @pytest.mark.parametrize("name", ["conv", "scores"])
    def test_a_flipped_weight_bit(self, name: str, bit: int) -> None:
        """Any bit of any weight that is wrong is found, in the layer that has it."""
        of = example(relu=False)
        (layer,) = (x for x in of.mac_layers if x.name == name)
        for place in range(layer.weights.size):
            flipped = layer.weights.copy()
            flipped[place] = ((int(flipped[place]) ^ (1 << bit)) + 128) % 256 - 128  # two's complement of 8 bits
            changes = {"weights": flipped} if name == "scores" else {"weights": flipped, "accumulator_bits": 20}
            assert difference(of, with_layer(of, name, **changes)).startswith(f"{name}: image 0, position [")

    @pytest.mark.parametrize("pattern", WRONG_PLACE)
    def test_a_wrong_index_word(self, pattern: str) -> None:
        """One index word that points elsewhere is found: the same weights meet other signals."""
        encoding, *columns = WRONG_PLACE[pattern]
        kept = np.zeros((2, 2, 16), bool)  # right and wrong, outputs, columns
        for mask, rows in zip(kept, columns, strict=True):
            for row, places in zip(mask, rows, strict=True):
                for place in places:
                    width = {"kernel": 4, "block-2": 2}.get(pattern, 1)
                    row[place * width : (place + 1) * width] = True
        words = [index_of(pattern, encoding, mask.reshape(2, 4, 4)) for mask in kept]
        changed = [a.words != b.words for a, b in zip(*words, strict=True)]
        assert sum(map(np.count_nonzero, changed)) == 1
        pixels = np.arange(1, 65).reshape(1, 4, 4, 4)  # no two codes are equal
        shape = {"kept": kept[0].reshape(2, 4, 4), "pattern": pattern, "encoding": encoding}
        conv = mac_layer("conv", INPUT, np.arange(1, 33).reshape(2, 4, 4), PIXEL, window=Window.square(2), **shape)
        right = program([conv], (4, 4, 4))
        assert_equivalent(right, pixels)
        assert difference(right, with_layer(right, "conv", index=words[1]), pixels).startswith(
            "conv: image 0, position ["
        )

    @pytest.mark.parametrize("encoding", ["kernel flags", "bitmap", "block flags"])
    def test_a_flipped_flag_is_refused(self, encoding: str) -> None:
        """One flag more or less no longer agrees with the number of stored weights: there is no such Program."""
        pattern = {"kernel flags": "kernel", "bitmap": "irregular", "block flags": "block-2"}[encoding]
        layer = mac_layer("fc", "flat", np.ones((2, 4, 1)), PIXEL, pattern=pattern, encoding=encoding)
        flags = layer.index[0].words.copy()
        flags[-1] = 0
        with pytest.raises(EspalierError, match="fc: expected 2 biases and"):
            replace(layer, index=(IndexWords("flags", 1, flags),))

    @pytest.mark.parametrize("output", range(3))
    @pytest.mark.parametrize("error", [-1, 1])
    def test_a_wrong_bias(self, output: int, error: int) -> None:
        """A bias that is wrong by one is found, at the first position of its output map."""
        of = example()
        bias = np.array([5, 6, 7])
        bias[output] += error
        assert difference(of, with_layer(of, "conv", bias=bias, bias_bits=5)).startswith(
            f"conv: image 0, position [{output}, 0, 0]: "
        )

    @pytest.mark.parametrize("shift", [0, 1, 3])
    def test_a_wrong_shift(self, shift: int) -> None:
        """A shift that is wrong by one or two is found."""
        of = example()
        wrong = with_layer(of, "sum", requantize=Requantize([1], shift))
        assert difference(of, wrong).startswith("sum: image 0, position [0, 0, 0]: ")

    def test_a_wrong_multiplier(self) -> None:
        """A multiplier that is wrong for one output map only is found in that map."""
        of = example()
        right = with_layer(of, "conv", requantize=Requantize([1, 1, 1], 1))
        wrong = with_layer(of, "conv", requantize=Requantize([1, 1, 2], 1))
        assert difference(right, wrong).startswith("conv: image 0, position [2, 0, 0]: ")

    def test_the_comparison_names_layer_image_and_position(self) -> None:
        """One wrong code anywhere is found, and the line says where it is and what was expected."""
        expected = {"input": np.zeros((2, 3), np.int64), "conv": np.arange(24).reshape(2, 3, 2, 2)}
        for place in np.ndindex(expected["conv"].shape):
            found = {name: codes.copy() for name, codes in expected.items()}
            found["conv"][place] += 1
            with pytest.raises(AssertionError) as caught:
                assert_same_codes(expected, found)
            code, position = int(expected["conv"][place]), list(place[1:])
            line = f"conv: image {place[0]}, position {position}: code {code + 1}, expected {code}"
            assert str(caught.value).splitlines()[0] == line

    @pytest.mark.parametrize(
        "found", [{}, {"a": np.zeros((1, 1))}, {"a": np.zeros((1, 2), int)}, {"b": np.zeros((1, 1), int)}]
    )
    def test_the_comparison_asks_for_the_same_tensors(self, found: dict[str, Codes]) -> None:
        """A tensor that is missing, or of another name, shape or type, is a difference."""
        with pytest.raises(AssertionError):
            assert_same_codes({"a": np.zeros((1, 1), np.int64)}, found)

    def test_costs_differ_where_macs_do(self) -> None:
        """The comparison of MACs can fail: one kept weight less is charged less, and executed less."""
        kept = np.ones((2, 4, 4), bool)
        full, less = kept.copy(), kept.copy()
        less[1, 3, 3] = False
        found = []
        for mask in (full, less):
            store = {"kept": mask, "pattern": "irregular", "encoding": "bitmap"}
            of = program(
                [mac_layer("conv", INPUT, np.ones((2, 4, 4)), PIXEL, window=Window.square(2), **store)], (4, 4, 4)
            )
            counts: Counts = cost_of(of).total
            found.append((counts.macs, compile_program(of).run(FULL).macs["conv"]))
        assert found == [(9 * 32, 9 * 32), (9 * 31, 9 * 31)]  # 3 x 3 output pixels
