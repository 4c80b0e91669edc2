from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from hypothesis import assume, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.networks import chain, images_for, mobile, residual  # noqa: E402
from support.programs import batches, every_kind, mac_layer, program, programs, signal  # noqa: E402

from accel.errors import EspalierError  # noqa: E402
from accel.fixedpoint import Overflow  # noqa: E402
from accel.interchange import zoo  # noqa: E402
from accel.interchange.data.datasets import load  # noqa: E402
from accel.network import INPUT  # noqa: E402
from accel.program import Program  # noqa: E402
from accel.program_layers import AvgPoolLayer, ClipLayer, ConcatLayer, MacLayer  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402
from accel.quantize import Steps, Widths, lower  # noqa: E402
from accel.signal import Requantize, Signal, integer_format  # noqa: E402
from accel.train import emulate  # noqa: E402
from accel.window import Window  # noqa: E402
from sim import golden  # noqa: E402
from sim.engine import compile_program  # noqa: E402

Codes = np.ndarray
STEPS = {"any steps": Steps(), "powers of two": Steps(power_of_two=True), "per output": Steps(per_output=True)}
NETWORKS = {"chain": chain, "residual": residual, "mobile": mobile}


def agrees(of: Program, codes: Codes, expected: dict[str, Codes]) -> bool:
    """Return whether the emulation gives the expected codes of every tensor."""
    found = emulate(of, codes)
    assert found.keys() == expected.keys()
    assert all(found[name].dtype == np.int64 and found[name].shape == expected[name].shape for name in expected)
    return all(np.array_equal(found[name], expected[name]) for name in expected)


def corrupted(of: Program, name: str, tensors: dict[str, Codes]) -> Program:
    """Return the Program with one weight code of a layer one nearer to zero: one that ties busy maps to each other."""
    layer = next(x for x in of.mac_layers if x.name == name)
    busy = [
        np.count_nonzero(tensors[x].swapaxes(0, 1).reshape(tensors[x].shape[1], -1), axis=1).argmax()
        for x in (name, layer.inputs[0])
    ]
    rows, columns = layer.nest.positions
    tying = (rows == busy[0]) & (columns // layer.shape[2] == busy[1])
    weights = layer.weights.copy()
    place = (np.abs(weights) * tying).argmax()
    weights[place] -= np.sign(weights[place])
    assert np.count_nonzero(weights != layer.weights) == 1
    return replace(of, layers=tuple(replace(x, weights=weights) if x is layer else x for x in of.layers))


def proven(of: Program) -> bool:
    """Return whether the emulation takes a Program: (terms + 10) * 2**(bits + 2) <= 2**53 for each accumulator."""
    for layer in of.layers:
        bits, terms = getattr(layer, "accumulator_bits", 0), 2
        if isinstance(layer, MacLayer):
            terms = layer.shape[1] * layer.shape[2]
        if isinstance(layer, AvgPoolLayer):
            terms = layer.window.taps
        if (terms + 10) * 2 ** (bits + 2) > 2**53:
            return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["dense", "kernel+ikss", "block-4", "irregular"])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS.keys())
def test_digits_agree_on_every_code_of_every_image(pattern: str, steps: Steps) -> None:
    """The zoo's digits, dense and pruned: engine and emulation have the same codes and predictions; golden on a few."""
    test = load("digits", "test")
    lowered = lower(zoo.load("digits", pattern), Widths(4, 3), load("digits", "train").take(64).pixels(), steps)
    codes = lowered.input_signal.encode(test.pixels())
    result = compile_program(lowered).run(codes, threads=1, keep_tensors=True)
    assert agrees(lowered, codes, result.tensors)
    assert np.array_equal(emulate(lowered, codes)[lowered.output].argmax(axis=1), result.predictions)
    assert agrees(lowered, codes[:3], golden.run(lowered, codes[:3]))


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS.keys())
def test_sums_averages_and_batch_norms_agree_on_every_code(network: type, steps: Steps) -> None:
    """A network with batch norms, and one that also adds two signals of unlike steps and averages."""
    lowered = lower(PrunedNetwork(network()), Widths(3, 3), images_for(network()), steps)
    codes = lowered.input_signal.encode(images_for(network(), 40, seed=1))
    assert agrees(lowered, codes, golden.run(lowered, codes))


def test_clips_and_concatenations_are_the_engines() -> None:
    """A bound lower or an order changed, and the emulation differs from engine and golden, which it agreed with."""
    of = lower(PrunedNetwork(mobile()), Widths(4, 5), images_for(mobile()))
    codes = of.input_signal.encode(images_for(mobile(), 40, seed=1))
    engine = compile_program(of).run(codes, threads=1, keep_tensors=True).tensors
    assert agrees(of, codes, engine)
    kinds = {type(layer): layer for layer in of.layers}
    assert {ClipLayer, ConcatLayer} <= kinds.keys()
    clip, join = kinds[ClipLayer], kinds[ConcatLayer]
    for old, new in ((clip, replace(clip, highest=clip.highest - 1)), (join, replace(join, inputs=join.inputs[::-1]))):
        wrong = replace(of, layers=tuple(new if x is old else x for x in of.layers))
        assert not agrees(wrong, codes, engine)


@pytest.mark.parametrize("name", [layer.name for layer in residual().weighted])
def test_the_comparison_sees_one_corrupt_weight(name: str) -> None:
    """Negative control: one weight code of any layer off by one, and the emulation differs from the golden model."""
    lowered = lower(PrunedNetwork(residual()), Widths(3, 6), images_for(residual()))
    codes = lowered.input_signal.encode(images_for(residual(), 40, seed=1))
    tensors = golden.run(lowered, codes)
    assert agrees(lowered, codes, tensors)
    assert not agrees(corrupted(lowered, name, tensors), codes, tensors)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_program_agrees(data: st.DataObject) -> None:
    """Every kind of layer, pattern, rounding, overflow and multiplier, with steps that match nothing: every code."""
    of = data.draw(programs(every_kind=True))
    assume(proven(of))
    codes = data.draw(batches(of))
    assert agrees(of, codes, golden.run(of, codes))


def test_every_kind_of_layer_agrees() -> None:
    """One Program that has them all, saturating symmetrically and rounding to even among others."""
    rng = np.random.default_rng(0)
    of = every_kind(rng)
    codes = rng.integers(0, 256, (50, *of.input_shape))
    assert agrees(of, codes, golden.run(of, codes))


@pytest.mark.parametrize(("lowest", "highest"), [(-5, 9), (-7, 0), (0, 9), (0, 0)])
def test_a_clip_has_two_bounds(lowest: int, highest: int) -> None:
    """The lower one need not be zero; one code further is another Program."""
    reads = Signal(integer_format(5, True), 0.3)
    of = program([ClipLayer("clip", (INPUT,), highest, lowest)], reads=reads)
    codes = np.arange(-16, 16).reshape(-1, 1, 1, 1)
    assert np.array_equal(emulate(of, codes)["clip"], codes.clip(lowest, highest))
    other = replace(of, layers=(ClipLayer("clip", (INPUT,), highest + 1, lowest - 1),))
    assert not agrees(other, codes, golden.run(of, codes))


@pytest.mark.parametrize(("multiplier", "shift"), [(1, 1), (21845, 16), (65535, 17)])
def test_ties_and_near_ties_are_the_programs(multiplier: int, shift: int) -> None:
    """Halves, and 16-bit multipliers that miss a third or a half: the codes are the Program's, not the real ratio's."""
    reads, output = Signal(integer_format(8, True), 0.3), Signal(integer_format(8, True), 0.7)
    layer = mac_layer("fc", INPUT, [[1]], reads, window=Window((1, 1)), requantize=Requantize([multiplier], shift))
    of = program([replace(layer, output=output)], reads=reads)
    codes = np.arange(-128, 128).reshape(-1, 1, 1, 1)
    expected = np.floor(codes * multiplier / 2**shift + 0.5)  # exact in float64
    assert np.array_equal(emulate(of, codes)["fc"], expected)


def test_no_image_gives_no_codes() -> None:
    """An empty batch has empty tensors."""
    of = every_kind(np.random.default_rng(0))
    assert {name: codes.shape for name, codes in emulate(of, np.zeros((0, *of.input_shape), int)).items()} == {
        name: (0, *shape) for name, shape in of.shapes.items()
    }


def fully_connected(spare_bits: int) -> Program:
    """Return six products of one-bit inputs whose accumulator has `spare_bits` more than the 4 that it needs."""
    layer = mac_layer("fc", "flat", [[1] * 6], signal(1, signed=False), spare_bits=spare_bits)
    flat = every_kind(np.random.default_rng(0)).layers[-2]
    return program([replace(flat, inputs=(INPUT,)), layer], (1, 2, 3), signal(1, signed=False))


def test_an_accumulator_beyond_the_proof_is_refused() -> None:
    """(6 + 10) * 2**(bits + 2) is 2**53 at 47 bits: these are taken, 48 are not."""
    codes = np.ones((1, 1, 2, 3), int)
    assert emulate(fully_connected(43), codes)["fc"].tolist() == [[6]]
    message = "^fc: float64 is not proven exact for 6 terms in 48 accumulator bits$"
    with pytest.raises(EspalierError, match=message):
        emulate(fully_connected(44), codes)


def test_an_accumulator_that_overflows_is_refused() -> None:
    """What a narrow accumulator does depends on the order of additions, which PyTorch does not keep."""
    of = fully_connected(0)
    narrow = replace(
        of.mac_layers[0], accumulator_bits=3, accumulator_overflow=Overflow.SAT, output=signal(3, overflow=Overflow.SAT)
    )
    message = "^fc: has an accumulator of 3 bits that overflows, which PyTorch has no arithmetic for$"
    with pytest.raises(EspalierError, match=message):
        emulate(replace(of, layers=(of.layers[0], narrow)), np.ones((1, 1, 2, 3), int))


def test_codes_too_wide_for_float64_are_refused() -> None:
    """A signal of 52 bits has codes whose quotient by a step float64 might miss."""
    reads = signal(52)
    flat = every_kind(np.random.default_rng(0)).layers[-2]
    with pytest.raises(EspalierError, match=r"^test: float64 does not hold every code of 52 bits$"):
        emulate(program([replace(flat, inputs=(INPUT,))], reads=reads), np.ones((1, 1, 1, 1), int))


def test_input_codes_that_do_not_fit_are_refused() -> None:
    """The Program checks them, in its own words."""
    of = every_kind(np.random.default_rng(0))
    with pytest.raises(EspalierError, match=r"test: expects images of shape \(2, 9, 8\), got \(2, 9, 9\)"):
        emulate(of, np.zeros((1, 2, 9, 9), int))
