"""int8 files as quantisers write them: zero points anywhere, integer images, operators on integers, scales of any size.

What is exact has onnxruntime's codes, with steps that are powers of two so that float32 rounds nothing.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from support.onnx_graphs import images, session
from support.onnx_models import int8_model
from support.onnx_quantized import Quantized, small

from accel.errors import EspalierError
from accel.fixedpoint import Rounding
from accel.interchange.onnx.reading.exact_addition import exact_addition
from accel.interchange.onnx.reading.exact_scale import rounded
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.interchange.onnx.reading.seen import with_outputs
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import ClipLayer, ConcatLayer, MacLayer
from accel.signal import integer_format
from sim import golden
from sim.engine import compile_program

Array = np.ndarray[Any, np.dtype[Any]]


def imported(g: Quantized, folder: Path, **settings: Any) -> ImportedProgram:
    """Return what a drawing is imported as, which is a Program."""
    found = import_model(g.save(folder / "model.onnx"), **settings)
    assert isinstance(found, ImportedProgram)
    return found


def differences(found: ImportedProgram, path: Path, batch: Array, program: Program | None = None) -> dict[str, int]:
    """Return by how much codes differ from onnxruntime's at most, for each tensor; golden and engine must agree."""
    program, image = program or found.result, found.seen[INPUT]
    codes = program.input_signal.encode(batch)
    fed = image.shown(batch)
    if image.zero_point is not None:
        fed = image.shown(codes + image.zero_point).astype(np.int8)
    ours = golden.run(program, codes)
    engine = compile_program(program).run(codes, threads=1, keep_tensors=True).tensors
    assert all(np.array_equal(engine[name], x) for name, x in ours.items())
    names = [name for name in found.seen if name in ours and name != INPUT]
    (path.parent / "wide.onnx").write_bytes(with_outputs(path, [found.seen[name].name for name in names]))
    running = session(path.parent / "wide.onnx", plain=True)
    feed = running.get_inputs()[0].name
    runs = [running.run([found.seen[name].name for name in names], {feed: x[None]}) for x in fed]
    theirs = {name: np.concatenate(parts) for name, *parts in zip(names, *runs, strict=True)}
    result = {}
    for name in names:
        seen = found.seen[name]
        mine = seen.shown(ours[name]).reshape(len(batch), -1)
        result[name] = int(np.abs(mine - seen.codes(theirs[name], program.signals[name].step)).max())
    return result


def check(g: Quantized, folder: Path, **settings: Any) -> Program:
    """Raise AssertionError unless the Program has onnxruntime's codes in every tensor that both have."""
    found = imported(g, folder, **settings)
    shape = found.result.input_shape
    different = differences(found, folder / "model.onnx", 8 * images(shape, 4))
    assert len(different) >= 1
    assert not any(different.values()), different
    return found.result


def asymmetric(zero: int = 3, after: bool = True) -> Quantized:
    """Return convolutions with a signal between them whose zero point is neither in the middle nor at an end."""
    g = small()
    g.qconv(3, 2, step=1.0)
    g.quantize(0.25, zero=zero)
    if after:
        g.qconv(3, 3, pads=[1, 1, 1, 1])
        g.quantize(1.0)
    return g


class TestZeroPoints:
    @pytest.mark.parametrize("zero", [3, -100, 127])
    def test_of_a_signal(self, tmp_path: Path, zero: int) -> None:
        """Codes around zero have a bit more and the file's ends, around which padding is zero."""
        program = check(asymmetric(zero), tmp_path)
        (clip,) = [layer for layer in program.layers if isinstance(layer, ClipLayer)]
        assert (clip.lowest, clip.highest) == (-128 - zero, 127 - zero)
        assert program.signals[clip.name].bits == 9

    def test_of_a_signal_moved(self, tmp_path: Path) -> None:
        """Negative control: other ends are other codes."""
        found = imported(asymmetric(), tmp_path)
        layers = [replace(x, highest=x.highest - 1) if isinstance(x, ClipLayer) else x for x in found.result.layers]
        moved = replace(found.result, layers=tuple(layers))
        batch = 8 * images(moved.input_shape, 4)
        assert max(differences(found, tmp_path / "model.onnx", batch, moved).values()) >= 1

    def test_at_an_end(self, tmp_path: Path) -> None:
        """int8 with the zero point -128 is a word without a sign, and needs no bounds."""
        (first, _) = check(asymmetric(-128), tmp_path).layers
        assert (first.output.bits, first.output.format.signed) == (8, False)  # type: ignore[attr-defined]

    def test_bounds_that_no_sum_reaches(self, tmp_path: Path) -> None:
        """No layer bounds codes that cannot be beyond them."""
        g = small()
        g.qconv(3, 2, step=1 / 64)
        g.quantize(8.0, zero=3)
        assert not [x for x in check(g, tmp_path).layers if isinstance(x, ClipLayer)]

    @pytest.mark.parametrize("pool", [{"kernel_shape": [2, 2], "strides": [2, 2]}, None])
    def test_codes_that_pass(self, tmp_path: Path, pool: dict[str, Any] | None) -> None:
        """A quantiser of codes with the same zero point, behind a pool or not, is no layer."""
        g = asymmetric(after=False)
        if pool:
            g.node("MaxPool", **pool)
        g.quantize(0.25, zero=3)
        assert len(check(g, tmp_path).layers) == 2 + bool(pool)

    @pytest.mark.parametrize(("dtype", "zero", "bits"), [(np.uint8, 128, 8), (np.uint8, 3, 8), (np.int8, 5, 8)])
    def test_of_weights(self, tmp_path: Path, dtype: Any, zero: int, bits: int) -> None:
        """The zero point of weights is taken off them."""
        g = small()
        codes = g.rng.integers(-3, 8, (3, 2, 3, 3))
        g.node("Conv", "", g.coded(codes, 0.125, dtype=dtype, zero=zero), pads=[1, 1, 1, 1])
        g.quantize(0.25, zero=-7)
        (layer, *_) = check(g, tmp_path).layers
        assert isinstance(layer, MacLayer)
        assert layer.weight_bits == bits
        assert np.array_equal(layer.matrix, codes.reshape(3, -1))

    def test_of_an_image_of_integers(self, tmp_path: Path) -> None:
        """A file that takes integers is a Program of their codes, padding included, and needs no bounds."""
        g = Quantized(1, 2, 8, 8)
        g.node("DequantizeLinear", "", g.constant(np.float32(0.25)), g.constant(np.int8(83)))
        g.qconv(3, 2, pads=[1, 1, 1, 1])
        g.quantize(0.5)
        model = g.model()
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.INT8, (1, 2, 8, 8)))
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        found = import_model(tmp_path / "model.onnx")
        assert isinstance(found, ImportedProgram)
        assert [type(layer) for layer in found.result.layers] == [MacLayer]
        assert (found.seen[INPUT].zero_point, found.seen[INPUT].ends) == (83, (-211, 44))
        batch = np.random.default_rng(0).integers(-211, 45, (4, 2, 8, 8)) * 0.25
        assert differences(found, tmp_path / "model.onnx", batch) == {found.result.output: 0}

    def test_of_an_image_of_floats(self, tmp_path: Path) -> None:
        """Pixels saturate where the file's do; with the nearest Program where their word ends, and a line says so."""
        g = Quantized(1, 2, 8, 8)
        g.quantize(0.25, zero=20)
        g.qconv(3, 2)
        g.quantize(0.5)
        clip, _ = check(g, tmp_path).layers
        assert isinstance(clip, ClipLayer)
        found = imported(g, tmp_path, nearest=True)
        assert [type(layer) for layer in found.result.layers] == [MacLayer]
        assert any(note.startswith("nearest: pixels saturate where their word ends") for note in found.notes)


class TestOperatorsOnIntegers:
    def test_all_of_them(self, tmp_path: Path) -> None:
        """QLinearConv, -Add, -Concat, average pools and QGemm have onnxruntime's codes; QLinearSoftmax is dropped."""
        found = imported(int8_model(), tmp_path)
        assert any("QLinearSoftmax" in note or "Softmax" in note for note in found.notes)
        kinds = {type(layer) for layer in found.result.layers}
        assert {MacLayer, ConcatLayer} <= kinds
        different = differences(found, tmp_path / "model.onnx", 8 * images(found.result.input_shape, 4))
        assert len(different) >= 6
        assert not any(different.values()), different

    def test_a_quantised_softmax(self, tmp_path: Path) -> None:
        """The quantiser of a Softmax at the end goes with it."""
        g = small()
        g.node("Flatten")
        g.node("Gemm", "", g.coded(g.rng.integers(-7, 8, (3, 128)), 0.125, 4), transB=1)
        g.quantize(0.5, zero=3)
        g.node("Softmax", axis=-1)
        g.quantize(1 / 256, signed=False)
        program = check(g, tmp_path)
        assert program.shapes[program.output] == (3,)

    def test_maps_of_two_steps(self, tmp_path: Path) -> None:
        """A quantiser after a Concat is one of each side."""
        g = small()
        source = g.last
        one = [g.qconv(2, 2, source=source), g.quantize(0.5, zero=3)][1]
        two = [g.qconv(2, 2, source=source), g.quantize(0.25)][1]
        g.node("Concat", one, two, axis=1)
        g.quantize(1.0, zero=-4)
        assert any(isinstance(layer, ConcatLayer) for layer in check(g, tmp_path).layers)


def odd_steps(bias: bool = False) -> Quantized:
    """Return a residual block whose steps have nothing to do with each other."""
    g = Quantized(1, 2, 8, 8)
    source = g.quantize(0.1)
    branch = [g.qconv(2, 2, step=np.array([0.013, 0.0417]), reads=0.1, bias=bias, pads=[1, 1, 1, 1]), ""][0]
    branch = g.quantize(0.0371, zero=7)
    g.node("Add", source, branch)
    g.node("Relu")
    g.quantize(0.0431, signed=False)
    return g


class TestNearest:
    def test_refused_first(self, tmp_path: Path) -> None:
        """Without leave, and with 16 bits, no scale of this file is exact; the line names both ways on."""
        with pytest.raises(EspalierError, match=r"no 16-bit multiplier .* --multiplier-bits 32 .* --nearest"):
            imported(odd_steps(), tmp_path)

    def test_wider_multipliers(self, tmp_path: Path) -> None:
        """With 32 bits every code is that of the file's numbers as reals: onnxruntime's, but for its own rounding."""
        found = imported(odd_steps(), tmp_path, multiplier_bits=32)
        widest = max(layer.requantize.multiplier_bits for layer in found.result.layers if hasattr(layer, "requantize"))
        assert 16 < widest <= 32
        assert not any(note.startswith("nearest") for note in found.notes)
        batch = images(found.result.input_shape, 4)
        assert max(differences(found, tmp_path / "model.onnx", batch).values()) <= 1

    def test_nearest(self, tmp_path: Path) -> None:
        """With leave the Program is near, and a line says how many layers changed and how."""
        found = imported(odd_steps(), tmp_path, nearest=True)
        (note,) = [note for note in found.notes if note.startswith("nearest: ")]
        assert note == (
            "nearest: 1 of 3 layers is not the file's to the last code: 1 by multipliers of at most 16 bits (conv3)"
        )
        different = differences(found, tmp_path / "model.onnx", images(found.result.input_shape, 4))
        assert max(different.values()) <= 1
        exact = imported(odd_steps(), tmp_path, multiplier_bits=32)
        assert exact.result.to_bytes() != found.result.to_bytes()

    def test_exact_files_stay_exact(self, tmp_path: Path) -> None:
        """Leave that is not needed changes nothing."""
        found = imported(asymmetric(), tmp_path, nearest=True)
        assert found.result.to_bytes() == imported(asymmetric(), tmp_path).result.to_bytes()
        assert any(note.startswith("nearest: none of 3 layers is changed") for note in found.notes)

    def test_a_batch_norm(self, tmp_path: Path) -> None:
        """Its offset stays a fraction of a step; what is near is the multipliers alone."""
        g = small()
        g.qconv(3, 2)
        g.norm(3)
        g.quantize(0.5)
        with pytest.raises(EspalierError, match=r"no 16-bit multiplier, offset and shift .* --nearest"):
            imported(g, tmp_path)
        found = imported(g, tmp_path, nearest=True)
        assert any("by multipliers of at most 16 bits (conv4)" in note for note in found.notes)
        assert found.result.mac_layers[0].requantize.offset_bits > 8  # type: ignore[union-attr]
        assert max(differences(found, tmp_path / "model.onnx", images(found.result.input_shape, 4)).values()) <= 1

    def test_a_bias_of_scores(self, tmp_path: Path) -> None:
        """Sums that leave as they are have biases of whole steps; a line says that one was rounded."""
        g = small()
        g.qconv(3, 2)
        g.node("Add", "", g.constant(np.float32(0.3)))
        with pytest.raises(
            EspalierError, match=r"no whole multiple of weight step .* and no quantiser follows its sums"
        ):
            imported(g, tmp_path)
        found = imported(g, tmp_path, nearest=True)
        assert any("1 by biases rounded" in note for note in found.notes), found.notes


class TestExactAddition:
    @settings(max_examples=15, deadline=None)
    @given(
        ratios=st.tuples(*[st.floats(0.0625, 4, width=32).map(Fraction)] * 2),
        relu=st.booleans(),
        signed=st.booleans(),
        mode=st.sampled_from([Rounding.RND_CONV, Rounding.TRN, Rounding.RND]),
    )
    def test_every_pair(self, ratios: tuple[Fraction, Fraction], relu: bool, signed: bool, mode: Rounding) -> None:
        """Every pair of codes becomes what the steps as reals say."""
        sources, form = (integer_format(4, True), integer_format(3, False)), integer_format(5, signed, mode)
        found = exact_addition(ratios, sources, form, relu, (1 << 32) - 1)
        assume(found is not None)
        assert found is not None
        pairs = [(a, b) for a in range(-8, 8) for b in range(8)]
        for a, b in pairs:
            real = a * ratios[0] + b * ratios[1]
            expected = rounded(max(real, Fraction(0)) if relu else real, mode)
            total = a * found.weights[0] + b * found.weights[1]
            codes = found.requantize.apply(np.array([[max(total, 0) if relu else total]]), form)
            assert codes.item() == min(max(expected, form.min_code), form.max_code)

    def test_small_weights_are_found(self) -> None:
        """Three and four eighths are weights of three and four; two steps of a trained network need more."""
        form = integer_format(8, True, Rounding.RND_CONV)
        found = exact_addition((Fraction(3, 8), Fraction(1, 2)), (form, form), form, False, (1 << 16) - 1)
        assert found is not None
        assert found.weights == (3, 4)
        steps = [Fraction(float(np.float32(step))) for step in (0.104194961, 0.076293156, 0.050945673)]
        other = exact_addition([step / steps[2] for step in steps[:2]], (form, form), form, False, (1 << 32) - 1)
        assert other is not None
        assert 127 < max(other.weights) < 1 << 16

    def test_what_is_too_wide(self) -> None:
        """Pairs of signals of 12 bits are too many to look at, and so are codes of 32 bits."""
        form, byte, word = (integer_format(bits, True) for bits in (12, 8, 32))
        assert exact_addition((Fraction(1, 3), Fraction(1, 7)), (form, form), form, False, 1 << 16) is None
        assert exact_addition((Fraction(1, 3), Fraction(1, 7)), (byte, byte), word, False, 1 << 16) is None
