"""What `sim.engine` promises beyond golden's codes, which `test_equivalence` is about."""

import threading
from functools import partial
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, Codes, every_kind, mac_layer, program, signal

from accel.errors import EspalierError
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer, ReluLayer
from accel.signal import Requantize
from accel.window import Window
from sim import engine as engine_module
from sim import golden
from sim.engine import LANES, Engine, compile_program
from sim.instructions import available


@pytest.fixture(autouse=True, params=available())
def every_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test with every kernel that this processor can run."""
    monkeypatch.setitem(globals(), "compile_program", partial(compile_program, kernel=request.param))


PIXELS = np.random.default_rng(0).integers(0, 256, (2 * LANES, 2, 9, 8))


def scores_of_pixels(outputs: int = 3) -> Engine:
    """Return an engine whose scores are the input codes themselves: a matrix of ones on the diagonal."""
    flat = FlattenLayer("flat", (INPUT,))
    scores = mac_layer("scores", "flat", np.eye(outputs, dtype=int), PIXEL)
    return compile_program(program([flat, scores], (outputs, 1, 1)))


def images(*scores: list[int]) -> Codes:
    """Return images that give these scores."""
    return np.array(scores).reshape(len(scores), -1, 1, 1)


class TestBadInput:
    @pytest.mark.parametrize(
        ("codes", "problem"),
        [
            (images([1, 256, 0]), "code 256 is outside"),
            (images([-1, 0, 0]), "code -1 is outside"),
            (images([1, 2]), r"test: expects images of shape \(3, 1, 1\), got \(2, 1, 1\)"),
            (np.zeros((3, 1, 1), int), "test: expects images of shape"),
            (np.zeros((1, 3, 1), int), "test: expects images of shape"),
            (5, "test: expects images of shape"),
            ([], "test: expects images of shape"),
            (images([1, 2, 3]) / 1, "expected integers, got an array of float64"),
            ([[[["a"]]]], "expected integers"),
        ],
    )
    def test_codes(self, codes: Any, problem: str) -> None:
        """Codes that are no integers, outside the input's range or of another shape are refused in one line."""
        with pytest.raises(EspalierError, match=problem) as caught:
            scores_of_pixels().run(codes)
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize("threads", [0, -1])
    def test_threads(self, threads: int) -> None:
        """Fewer than one thread is refused, and 0 does not mean all of them."""
        with pytest.raises(EspalierError, match=f"threads must be at least 1, got {threads}"):
            scores_of_pixels().run(images([1, 2, 3]), threads)

    @pytest.mark.parametrize("labels", [[0], [0, 1, 2], [[0, 1]], 0])
    def test_labels(self, labels: Any) -> None:
        """There must be one label for each image."""
        with pytest.raises(EspalierError, match="expected one label for each of 2 images, got"):
            scores_of_pixels().error_rate(images([1, 2, 3], [3, 2, 1]), labels)

    def test_no_images_have_no_error_rate(self) -> None:
        """The error rate of an empty batch is refused, not divided by zero."""
        with pytest.raises(EspalierError, match="expected one label for each of 0 images"):
            scores_of_pixels().error_rate(np.zeros((0, 3, 1, 1), int), [])

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, object, bool])
    def test_any_integers_will_do(self, dtype: Any) -> None:
        """Codes may come in any integer type, in any memory order, and are not changed."""
        codes = np.asfortranarray(images([1, 0, 1], [0, 1, 1]).astype(dtype))
        codes.setflags(write=False)
        assert scores_of_pixels().run(codes).codes.tolist() == [[1, 0, 1], [0, 1, 1]]


class TestPredictions:
    def test_the_first_of_the_highest_scores(self) -> None:
        """The class with the highest score; where several tie, the first of them."""
        result = scores_of_pixels().run(images([1, 2, 3], [9, 0, 9], [0, 7, 7], [5, 5, 5]))
        assert result.predictions.tolist() == [2, 0, 1, 0]

    @pytest.mark.parametrize(("labels", "rate"), [([2, 0, 1, 0], 0.0), ([2, 2, 1, 1], 0.5), ([0, 1, 2, 1], 1.0)])
    def test_error_rate(self, labels: list[int], rate: float) -> None:
        """The share of images whose prediction, ties included, is not their label."""
        codes = images([1, 2, 3], [9, 0, 9], [0, 7, 7], [5, 5, 5])
        assert scores_of_pixels().error_rate(codes, labels) == rate

    def test_error_rate_over_many_chunks(self) -> None:
        """Every chunk counts: one wrong label among 2 * LANES + 2 images, in any of them."""
        count = 2 * LANES + 2
        codes = images([1, 2, 3]).repeat(count, axis=0)
        for wrong in (0, LANES, count - 1):
            labels = np.where(np.arange(count) == wrong, 0, 2)
            assert scores_of_pixels().error_rate(codes, labels, threads=2) == 1 / count


class TestChunks:
    @pytest.mark.parametrize(("side", "most"), [(8, 64), (128, 16), (512, 4), (704, 2), (2048, 1)])
    def test_are_as_large_as_memory_allows(self, side: int, most: int) -> None:
        """32 MiB for the tensors of a chunk, of 4 * LANES images 128 MiB; of less than LANES images there is none."""
        pool = MaxPoolLayer("pool", (INPUT,), Window.square(2, 2))
        engine = compile_program(program([pool], (1, side, side)))
        assert engine.blocks(10**6, threads=1) == most
        assert engine.blocks(LANES + 1, threads=1) == min(2, most)
        assert engine.blocks(LANES + 1, threads=2) == 1

    @pytest.mark.parametrize("threads", [1, 2])
    def test_do_not_show(self, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """One block at a time, or all images at once: the same codes, and golden's."""
        of = every_kind(np.random.default_rng(0))
        whole = compile_program(of).run(PIXELS[:-3], threads=1).codes
        monkeypatch.setattr(engine_module, "MOST_BLOCKS", 1)
        engine = compile_program(of)
        assert engine.blocks(len(PIXELS), threads) == 1
        assert np.array_equal(engine.run(PIXELS[:-3], threads).codes, whole)
        assert np.array_equal(whole[-2:], golden.run(of, PIXELS[-5:-3])[of.output])
        assert not np.array_equal(whole[0], whole[1])


class TestTensors:
    def test_kept_only_if_asked_for(self) -> None:
        """Every tensor, the input included, by name in running order; without the request, none."""
        of = every_kind(np.random.default_rng(0))
        engine = compile_program(of)
        assert engine.program is of
        kept = engine.run(PIXELS[:2], keep_tensors=True)
        assert list(kept.tensors) == [INPUT, *(layer.name for layer in of.layers)]
        assert {codes.dtype for codes in kept.tensors.values()} == {np.dtype(np.int64)}
        assert np.array_equal(kept.tensors[INPUT], PIXELS[:2])
        assert np.array_equal(kept.tensors[of.output], kept.codes)
        without = engine.run(PIXELS[:2])
        assert without.tensors == {}
        assert np.array_equal(without.codes, kept.codes)

    def test_runs_do_not_share_memory(self) -> None:
        """A later run of the same engine leaves an earlier result as it was."""
        engine = compile_program(every_kind(np.random.default_rng(0)))
        first = engine.run(PIXELS[:2], keep_tensors=True)
        before = {name: codes.copy() for name, codes in first.tensors.items()}
        second = engine.run(PIXELS[2:4], keep_tensors=True)
        assert not np.array_equal(second.codes, first.codes)
        assert all(np.array_equal(first.tensors[name], codes) for name, codes in before.items())

    def test_macs_are_those_of_one_image(self) -> None:
        """The counts do not grow with the batch, and name the layers that have weights."""
        of = every_kind(np.random.default_rng(0))
        engine = compile_program(of)
        assert engine.run(PIXELS).macs == engine.run(PIXELS[:1]).macs
        assert list(engine.run(PIXELS).macs) == ["conv1", "conv2", "scores"]

    def test_one_engine_in_many_threads(self) -> None:
        """An engine has no state that runs write to: callers may share it."""
        engine = compile_program(every_kind(np.random.default_rng(0)))
        expected = engine.run(PIXELS).codes
        found: list[Codes] = []
        callers = [threading.Thread(target=lambda: found.append(engine.run(PIXELS, 2).codes)) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert [np.array_equal(codes, expected) for codes in found] == [True] * 4


class TestRanges:
    @pytest.mark.parametrize("sign", [1, -1])
    def test_accumulators_of_more_than_32_bits(self, sign: int) -> None:
        """40 weights of 16 bits times 16-bit codes do not fit int32, and do not wrap."""
        weights, most = np.full((1, 40, 1), sign * 32767), 65535
        layer = mac_layer("fc", "flat", weights, signal(16, signed=False), weight_bits=16)
        of = program([FlattenLayer("flat", (INPUT,)), layer], (40, 1, 1), signal(16, signed=False))
        total = sign * 40 * 32767 * most  # 85.9e9, and int32 ends at 2.1e9
        assert (total + 2**31) % 2**32 - 2**31 != total
        assert layer.accumulator_bits == 38  # 85.9e9 < 2**37
        codes = np.full((1, 40, 1, 1), most)
        assert compile_program(of).run(codes).codes.tolist() == [[total]]
        assert golden.run(of, codes)["fc"].tolist() == [[total]]

    @pytest.mark.parametrize("bias", [2**31 - 256, 2**31 - 255, -(2**31) + 255, -(2**31) + 254])
    def test_on_both_sides_of_32_bits(self, bias: int) -> None:
        """Accumulators that just fit 32 bits, and those that need one more, come out exactly."""
        weights, fits = [[1]] if bias > 0 else [[-1]], bias in (2**31 - 256, -(2**31) + 255)
        layer = mac_layer("fc", "flat", weights, PIXEL, bias=[bias])
        assert layer.accumulator_bits == (32 if fits else 33)
        of = program([FlattenLayer("flat", (INPUT,)), layer])
        codes = np.array([0, 1, 254, 255]).reshape(4, 1, 1, 1)
        assert compile_program(of).run(codes).codes.ravel().tolist() == [
            bias + weights[0][0] * code for code in (0, 1, 254, 255)
        ]

    def test_a_product_of_61_bits(self) -> None:
        """The widest product of accumulator and multiplier there is comes out exactly."""
        bias, multiplier = 2**44 - 1 - 255, 2**16 - 1  # 45 bits with the sign, and 16
        finish = {"requantize": Requantize([multiplier], 45), "output": signal(16, signed=False)}
        layer = mac_layer("fc", "flat", [[1]], PIXEL, bias=[bias], **finish)
        assert layer.accumulator_bits + 16 == 61
        of = program([FlattenLayer("flat", (INPUT,)), layer])
        codes = np.array([0, 255]).reshape(2, 1, 1, 1)
        assert compile_program(of).run(codes).codes.ravel().tolist() == [
            (bias + code) * multiplier // 2**45 for code in (0, 255)
        ]

    def test_unsigned_codes_of_16_bits(self) -> None:
        """The highest unsigned 16-bit code is no negative one, in any kind of storage."""
        high = signal(16, signed=False)
        of = program([MaxPoolLayer("max", (INPUT,), Window.square(2)), ReluLayer("relu", ("max",))], (1, 2, 2), high)
        assert compile_program(of).run(np.full((1, 1, 2, 2), 65535)).codes.tolist() == [[[[65535]]]]

    def test_scores_may_be_maps(self) -> None:
        """A Program may end in a convolution; its output keeps its shape."""
        of: Program = program([mac_layer("conv", INPUT, [[[2]]], PIXEL, window=Window((1, 1)))], (1, 2, 3))
        assert compile_program(of).run(np.ones((2, 1, 2, 3), int)).codes.tolist() == [[[[2] * 3] * 2]] * 2
