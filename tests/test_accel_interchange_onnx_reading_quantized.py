"""Quantised ONNX files become Programs whose codes are those of other people's runtimes, tensor by tensor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import images, qonnx_tensors, runtime_tensors
from support.onnx_quantized import QONNX, Quantized, small

from accel.fixedpoint import Overflow, Rounding
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.program import Program
from accel.program_layers import ClipLayer, MacLayer
from sim import golden
from sim.engine import compile_program

Array = np.ndarray[Any, np.dtype[Any]]


def imported(drawing: Quantized, folder: Path) -> ImportedProgram:
    """Return what a drawing is imported as, which is a Program."""
    found = import_model(drawing.save(folder / "model.onnx"))
    assert isinstance(found, ImportedProgram)
    return found


def differing(found: ImportedProgram, path: Path, referee: Callable[..., Any], batch: Array) -> list[str]:
    """Return the tensors whose codes the referee does not have; golden and engine must agree."""
    program = found.result
    ours = golden.run(program, program.input_signal.encode(batch))
    engine = compile_program(program).run(ours["input"], threads=1, keep_tensors=True).tensors
    assert all(np.array_equal(engine[name], codes) for name, codes in ours.items())
    names = {tensor: graph for tensor, graph in found.tensors.items() if tensor in ours}
    theirs = referee(path, batch, [*names.values()])
    assert program.output in names
    return [
        tensor
        for tensor, graph in names.items()
        if not np.array_equal(program.signals[tensor].decode(ours[tensor]).astype(np.float32), theirs[graph])
    ]


def assert_same_codes(drawing: Quantized, folder: Path) -> Program:
    """Raise AssertionError unless the Program has the runtime's codes in every tensor that both have."""
    found = imported(drawing, folder)
    batch = images(drawing.input_shape[1:], 5)  # type: ignore[arg-type]  # the sizes after the batch are numbers
    referee = qonnx_tensors if drawing.qonnx else runtime_tensors
    assert not differing(found, folder / "model.onnx", referee, batch)
    return found.result


def both(test: Any) -> Any:
    """Run a test for a graph of QONNX and for one of QDQ or QCDQ."""
    return pytest.mark.parametrize("qonnx", [True, False], ids=["qonnx", "qcdq"])(test)


class TestSameCodes:
    @both
    @pytest.mark.parametrize("per_output", [False, True])
    @pytest.mark.parametrize("group", [1, 2])
    def test_conv(self, tmp_path: Path, qonnx: bool, per_output: bool, group: int) -> None:
        """Convolutions with steps for all or each output, in groups, pads and strides."""
        g = small(qonnx)
        step = np.array([0.5, 0.125, 0.25, 0.0625]) if per_output else 0.125
        g.qconv(4, 2, step=step, group=group, pads=[1, 0, 2, 1], strides=[2, 1])
        g.node("Relu")
        g.quantize(0.5, 5, signed=False)
        program = assert_same_codes(g, tmp_path)
        (layer,) = program.layers
        assert isinstance(layer, MacLayer)
        assert (layer.relu, layer.output.bits, layer.output.format.signed) == (True, 5, False)
        assert layer.weight_bits == (4 if qonnx else 8)
        assert layer.weight_steps.tolist() == np.atleast_1d(step).tolist()

    @both
    def test_words_without_a_relu(self, tmp_path: Path, qonnx: bool) -> None:
        """A signed signal stays signed; one without a sign saturates at 0, with no ReLU before it."""
        for signed in (True, False):
            g = small(qonnx)
            g.qconv(3, 2)
            g.quantize(1.0, 4, signed)
            program = assert_same_codes(g, tmp_path)
            assert program.signals[program.output].format.signed == signed

    @both
    def test_narrow(self, tmp_path: Path, qonnx: bool) -> None:
        """A range that leaves the lowest code out is SAT_SYM."""
        g = small(qonnx)
        g.qconv(3, 2)
        g.quantize(0.25, 4, narrow=1)
        program = assert_same_codes(g, tmp_path)
        assert program.signals[program.output].format.overflow == Overflow.SAT_SYM

    @pytest.mark.parametrize(
        ("mode", "rounding"),
        [
            ("ROUND", Rounding.RND_CONV),
            ("HALF_EVEN", Rounding.RND_CONV),
            ("HALF_UP", Rounding.RND_INF),
            ("HALF_DOWN", Rounding.RND_ZERO),
            ("FLOOR", Rounding.TRN),
            ("DOWN", Rounding.TRN_ZERO),
        ],
    )
    def test_rounding_modes(self, tmp_path: Path, mode: str, rounding: Rounding) -> None:
        """QONNX's modes are ap_fixed's, ties of both signs included; its HALF_UP is away from zero."""
        g = small(qonnx=True)
        g.qconv(3, 2)
        g.quantize(0.25, 8, mode=mode)
        program = assert_same_codes(g, tmp_path)
        assert program.signals[program.output].format.rounding == rounding

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("dtype", "zero", "signed"),
        [(np.int8, -128, False), (np.uint8, 128, True), (np.uint8, 0, False), (np.int16, 0, True)],
    )
    def test_zero_points_that_fold(self, tmp_path: Path, dtype: Any, zero: int, signed: bool) -> None:
        """A zero point at the end or in the middle of its type moves nothing but the name of the codes."""
        g = small()
        g.qconv(3, 2)
        g.quantize(0.5, dtype=dtype, zero=zero)
        g.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        g.qconv(3, 3, kernel=1, reads=0.5)
        program = assert_same_codes(g, tmp_path)
        output = program.layers[0].output  # type: ignore[attr-defined]
        assert (output.format.signed, output.bits) == (signed, 16 if dtype == np.int16 else 8)

    def test_zero_points_of_weights(self, tmp_path: Path) -> None:
        """Those of weights fold always: a weight is an integer."""
        for zero in (128, 3):
            g = small()
            codes = g.rng.integers(-3, 100, (3, 2, 3, 3))
            g.node("Conv", "", g.coded(codes, 0.125, dtype=np.uint8, zero=zero))
            g.quantize(1.0)
            program = assert_same_codes(g, tmp_path)
            assert program.mac_layers[0].weight_bits == 8
            assert np.array_equal(program.mac_layers[0].matrix, codes.reshape(3, -1))

    @pytest.mark.slow
    @both
    def test_fully_connected(self, tmp_path: Path, qonnx: bool) -> None:
        """Gemm, transposed or not, and MatMul with an Add after it; scores without a quantiser are the sums."""
        for op in ("Gemm", "Gemm of B", "MatMul", "Transpose"):
            g = small(qonnx)
            g.node("Flatten")
            codes, bias = g.rng.integers(-7, 8, (5, 128)), g.rng.integers(-99, 99, 5)
            of_bias = g.coded(bias, 0.125 * 0.25, 32, dtype=np.int32)
            if op == "Gemm":
                g.node("Gemm", "", g.coded(codes, 0.125, 4), of_bias, transB=1)
            elif op == "Gemm of B":
                g.node("Gemm", "", g.coded(codes.T, 0.125, 4), of_bias)
            else:
                before, weight = g.last, g.coded(codes if op == "Transpose" else codes.T, 0.125, 4)
                if op == "Transpose":
                    weight = g.node("Transpose", weight, perm=[1, 0])
                g.node("MatMul", before, weight)
                g.node("Add", "", of_bias)
            program = assert_same_codes(g, tmp_path)
            assert np.array_equal(program.mac_layers[0].matrix, codes)
            assert program.mac_layers[0].bias.tolist() == bias.tolist()
            assert program.mac_layers[0].requantize is None

    @pytest.mark.slow
    @both
    def test_pools(self, tmp_path: Path, qonnx: bool) -> None:
        """Max pools before a quantiser, average pools with it, a mean over the maps."""
        g = small(qonnx)
        g.qconv(4, 2, pads=[1, 1, 1, 1])
        g.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        g.node("Relu")
        g.quantize(0.5, 6, signed=False)
        g.node("AveragePool", kernel_shape=[2, 2], strides=[1, 1])
        g.quantize(0.25, 7, signed=False)
        g.qconv(4, 4, kernel=2, reads=0.25)
        g.quantize(1.0, 8)
        g.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
        g.quantize(0.5, 8)
        g.node("Flatten")
        program = assert_same_codes(g, tmp_path)
        assert [type(layer).__name__ for layer in program.layers] == [
            *("MacLayer", "MaxPoolLayer", "AvgPoolLayer", "MacLayer", "AvgPoolLayer", "FlattenLayer")
        ]

    @pytest.mark.slow
    @both
    def test_sums_and_joins(self, tmp_path: Path, qonnx: bool) -> None:
        """A residual sum of two steps; maps joined that have one step, and one word or two."""
        g = small(qonnx)
        trunk = g.last
        g.qconv(2, 2, pads=[1, 1, 1, 1])
        branch = g.quantize(2.0, 6)
        g.node("Add", trunk, branch)
        g.node("Relu")
        total = g.quantize(0.5, 7, signed=False)
        g.qconv(3, 2, source=total, reads=0.5, pads=[1, 1, 1, 1])
        other = g.quantize(0.5, 7, signed=True)
        g.node("Concat", total, other, total, axis=1)
        g.qconv(4, 7, kernel=1, reads=0.5)
        assert_same_codes(g, tmp_path)

    @pytest.mark.slow
    @both
    def test_clipped(self, tmp_path: Path, qonnx: bool) -> None:
        """A clip at a bound that no word has, between sum and quantiser or after it, is one of codes."""
        for before in (True, False):
            g = small(qonnx)
            g.qconv(3, 2)
            if not before:
                g.quantize(0.5, 8, signed=False)
            g.node("Clip", "", g.constant(np.float32(0)), g.constant(np.float32(6)))
            if before:
                g.quantize(0.5, 8, signed=False)
            program = assert_same_codes(g, tmp_path)
            assert [layer.highest for layer in program.layers if isinstance(layer, ClipLayer)] == [12]

    @pytest.mark.slow
    @both
    def test_sums_that_nothing_rounds(self, tmp_path: Path, qonnx: bool) -> None:
        """Two layers with no quantiser between them are exact too: the second reads accumulators."""
        g = small(qonnx)
        g.qconv(3, 2)
        g.node("Relu")
        g.qconv(2, 3, kernel=1, reads=0.25 * 0.125)
        program = assert_same_codes(g, tmp_path)
        assert program.mac_layers[0].requantize is None

    @pytest.mark.slow
    @both
    def test_codes_of_another_step(self, tmp_path: Path, qonnx: bool) -> None:
        """A quantiser after codes is a requantisation of its own, of maps and of features."""
        g = small(qonnx)
        g.qconv(3, 2)
        g.quantize(0.25, 8)
        g.quantize(1.0, 5)
        g.node("Flatten")
        g.quantize(2.0, 3)
        program = assert_same_codes(g, tmp_path)
        assert program.signals[program.output].bits == 3

    @pytest.mark.parametrize("version", [1, 2])
    @pytest.mark.parametrize("mode", ["FLOOR", "ROUND"])
    def test_trunc(self, tmp_path: Path, version: int, mode: str) -> None:
        """Trunc drops the low bits of a sum of pixels."""
        g = small(qonnx=True)
        g.qconv(3, 2)
        g.quantize(0.5, 4, signed=False)
        g.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
        g.node("Mul", "", g.constant(np.float32(4)))
        numbers = (0.5, 0, 6, 2.0, 4) if version == 2 else (0.5, 0, 6, 4)
        settings = {"rounding_mode": mode, "domain": QONNX} | ({"signed": 0, "narrow": 0} if version == 2 else {})
        g.node("Trunc", "", *(g.constant(np.float32(number)) for number in numbers), **settings)
        model = g.model()
        for entry in model.opset_import:
            entry.version = version if entry.domain else entry.version
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        found = import_model(path)
        assert isinstance(found, ImportedProgram)
        assert not differing(found, path, qonnx_tensors, images((2, 8, 8), 5))
        pool = found.result.layers[-1]
        assert pool.output.format.rounding == {"FLOOR": Rounding.TRN, "ROUND": Rounding.RND_CONV}[mode]  # type: ignore[attr-defined]
        assert (pool.output.bits, pool.output.step) == (4, 2.0 if version == 2 else 0.5)  # type: ignore[attr-defined]

    def test_integer_operators(self, tmp_path: Path) -> None:
        """QLinearConv and QLinearMatMul, with pools between that read integers."""
        g = Quantized(1, 2, 8, 8)
        image = [g.constant(np.float32(0.25)), g.constant(np.int8(0))]
        g.node("QuantizeLinear", "", *image)
        weight = [g.constant(g.rng.integers(-7, 8, (4, 2, 3, 3)).astype(np.int8)), g.constant(np.float32(0.125))]
        zero, step = g.constant(np.int8(0)), g.constant(np.float32(0.5))
        bias = g.constant(g.rng.integers(-50, 50, 4).astype(np.int32))
        g.node("QLinearConv", "", *image, *weight, zero, step, zero, bias, pads=[1, 1, 1, 1])
        g.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        g.node("Flatten")
        matrix = [g.constant(g.rng.integers(-7, 8, (64, 5)).astype(np.int8)), g.constant(np.float32(0.25)), zero]
        g.node("QLinearMatMul", "", step, zero, *matrix, g.constant(np.float32(2)), zero)
        g.node("DequantizeLinear", "", g.constant(np.float32(2)), zero)
        assert_same_codes(g, tmp_path)

    def test_channels_last(self, tmp_path: Path) -> None:
        """Transposes between quantisers move nothing."""
        g = Quantized(1, 8, 8, 2)
        g.node("Transpose", perm=[0, 3, 1, 2])
        g.quantize(0.25)
        g.qconv(3, 2)
        g.quantize(0.5)
        g.node("Transpose", perm=[0, 2, 3, 1])
        g.node("Reshape", "", g.constant(np.array([-1, 108])))
        g.node("MatMul", "", g.coded(g.rng.integers(-7, 8, (108, 4)), 0.5, 4, axis=1))
        found = imported(g, tmp_path)
        assert found.last
        batch = images((8, 8, 2), 5)
        expected = runtime_tensors(tmp_path / "model.onnx", batch, [g.last])[g.last]
        program = found.result
        codes = golden.run(program, program.input_signal.encode(np.moveaxis(batch, -1, 1)))[program.output]
        assert np.array_equal(program.signals[program.output].decode(codes).astype(np.float32), expected)

    @both
    def test_a_wrong_code_is_seen(self, tmp_path: Path, qonnx: bool) -> None:
        """Negative control: another step of one quantiser in the file is another code."""
        g = small(qonnx)
        g.qconv(3, 2)
        g.quantize(0.5)
        found = imported(g, tmp_path)
        other = small(qonnx)
        other.qconv(3, 2)
        other.quantize(1.0)
        path = other.save(tmp_path / "other.onnx")
        referee = qonnx_tensors if qonnx else runtime_tensors
        assert differing(found, path, referee, images((2, 8, 8), 5)) == ["conv3" if qonnx else "conv4"]


class TestFloatScales:
    def drawn(self, step: float, bits: int) -> Quantized:
        """Return a network of steps that are no powers of two."""
        g = Quantized(1, 2, 8, 8)
        g.quantize(0.1, 4)
        g.qconv(3, 2, step=step, reads=0.1, bias=False)
        g.node("Relu")
        g.quantize(0.37, bits, signed=False)
        return g

    @pytest.mark.parametrize("bits", [2, 3, 4])
    def test_what_a_multiplier_gives(self, tmp_path: Path, bits: int) -> None:
        """Where a multiplier of 16 bits gives every code of the float quotient, that is the Program; a note says so."""
        g = self.drawn(0.013, bits)
        found = imported(g, tmp_path)
        assert found.notes == ("conv4: float32 is not exact here; codes are those of the file's numbers as reals",)
        assert not differing(found, tmp_path / "model.onnx", runtime_tensors, images((2, 8, 8), 20))
        scale = found.result.mac_layers[0].requantize
        assert scale is not None
        assert scale.multipliers[0] / 2**scale.shift == pytest.approx(0.1 * 0.013 / 0.37, rel=0.01)
