"""A Program as an ONNX file of integer operators: codes in 8 bits, sums in int32.

Every tensor is named after its layer and holds codes; the graph's input and output are real values. Sums come from
QLinearConv, ConvInteger and MatMulInteger, which are exact in int32. A quantiser then turns a sum into float32, scales
it by a power of two, rounds to nearest, ties to even, and saturates
(https://onnx.ai/onnx/operators/onnx__QLinearConv.html, onnx__QuantizeLinear.html). That is the Program's code, because

- no sum of magnitudes exceeds 2**24 (`exactness.largest_sum`): int32 never wraps, and float32 holds the sum as it is;
- steps are powers of two: scaling changes an exponent and rounds nothing, so that a value is rounded once, to an
  integer, and that is RND_CONV;
- to saturate to a byte and then to fewer bits is to saturate to the fewer; a ReLU of the sum is a lowest code of 0,
  since rounding is monotone and leaves 0 where it is.

QLinearConv stands where input and output have both a sign or both none, all that onnxruntime has; elsewhere the steps
of it stand one by one. Weights above 64 are stored unsigned around a zero point of 128: processors without dot
products of bytes add pairs of products in 16 bits, and there onnxruntime saturates if such weights have a sign
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, on U8S8).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.exactness import (
    FLOAT_BITS,
    Accumulating,
    accumulator_steps,
    check_program,
    divides,
    half_even,
    largest_sum,
    mean_divisor,
    saturating_sum,
)
from accel.interchange.onnx.writing.float_formats import check_byte, clipped, step_and_zero
from accel.interchange.onnx.writing.writer import IMAGE, OFFSET, Writer, kernels, window_attributes
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    ConcatLayer,
    FlattenLayer,
    MacLayer,
    MaxPoolLayer,
    ProgramLayer,
    ReluLayer,
)
from accel.signal import Signal
from accel.window import Window

LARGEST_SIGNED = 64  # of a weight that is stored with a sign: 2 * 255 * 64 fits 16 bits


class QLinear:
    """Integer operators: each layer's sums in int32, and QuantizeLinear or what QLinearConv has in its place."""

    target = "QLinear"

    def __init__(self, program: Program) -> None:
        self.program, self.writer = program, Writer(program)
        self.dtypes: dict[str, Any] = {}  # of every tensor, by layer

    def write(self) -> bytes:
        """Return the model.

        Raises
        ------
        EspalierError
            The target's arithmetic is not provably that of the Program; the line says what to change.
        """
        program, writer = self.program, self.writer
        check_program(program, self.target, half_even, integers=True)
        self._check_byte(INPUT, program.input_signal)
        quantized = writer.node("QuantizeLinear", [IMAGE, *step_and_zero(writer, program.input_signal)], "input.byte")
        self._saturated(quantized, program.input_signal, INPUT)
        for layer in program.layers:
            self._layer(layer)
        step = writer.constant("scores_step", program.signals[program.output].step)
        writer.node("DequantizeLinear", [self._tensor(program.output), step], program.output)
        return writer.model(program.output)

    def _tensor(self, name: str) -> str:
        """Return the tensor that holds a layer's codes; the graph's output has the layer's own name."""
        return f"{name}.codes" if name == self.program.output else name

    def _check_byte(self, name: str, signal: Signal) -> None:
        check_byte(name, "signal", signal.bits, self.target)
        self.dtypes[name] = np.int8 if signal.format.signed else np.uint8

    def _layer(self, layer: ProgramLayer) -> None:
        self.dtypes[layer.name] = self.dtypes[layer.inputs[0]]
        moves = isinstance(layer, FlattenLayer | ReluLayer)
        if not moves and (wide := [source for source in layer.inputs if self.dtypes[source] == np.int32]):
            raise EspalierError(
                f"{layer.name}: reads the accumulators of {wide[0]}, {self.target} reads bytes; "
                "only a flatten or a ReLU may follow a layer that is not requantised"
            )
        inputs, output, node = [*map(self._tensor, layer.inputs)], self._tensor(layer.name), self.writer.node
        match layer:
            case MacLayer():
                self._mac(layer, inputs[0])
            case AvgPoolLayer():
                taps = np.ones((self.program.shapes[layer.inputs[0]][0], 1, *layer.window.kernel), np.int64)
                self._conv(layer, inputs[0], taps, layer.window, len(taps), np.array([1 / layer.window.taps]))
            case AddLayer():
                terms = [self._term(layer, *term) for term in zip(layer.inputs, layer.weights, "ab", strict=True)]
                self._requantized(layer, node("Add", terms, f"{layer.name}.sums"))
            case MaxPoolLayer():
                node("MaxPool", inputs, output, **window_attributes(layer.window))
            case ReluLayer():
                node("Identity" if self.dtypes[layer.name] == np.uint8 else "Relu", inputs, output)
            case ClipLayer():
                limits = np.iinfo(self.dtypes[layer.name])
                ends = max(layer.lowest, int(limits.min)), min(layer.highest, int(limits.max))
                node("Clip", [*inputs, *(self._code(layer.name, end) for end in ends)], output)
            case ConcatLayer():
                node("Concat", inputs, output, axis=1)
            case FlattenLayer():
                self.writer.flatten(layer, inputs, output)
            case _:
                raise EspalierError(f"{layer.name}: {self.target} has no {type(layer).__name__}")

    def _mac(self, layer: MacLayer, source: str) -> None:
        check_byte(layer.name, "weight", layer.weight_bits, self.target)
        codes, groups = kernels(layer)
        if layer.window is not None:
            self._conv(layer, source, codes, layer.window, groups, layer.weight_steps, layer.bias)
            return
        stored = self._weights(layer.name, codes.T, signed=np.abs(codes).max() <= LARGEST_SIGNED)
        zeros = [self._code(layer.inputs[0], 0), stored[1]]
        products = self.writer.node("MatMulInteger", [source, stored[0], *zeros], f"{layer.name}.products")
        self._requantized(layer, self._biased(layer, products, (-1,)))

    def _conv(
        self,
        layer: MacLayer | AvgPoolLayer,
        source: str,
        codes: NDArray[np.int64],
        window: Window,
        groups: int,
        steps: NDArray[np.float64],
        bias: NDArray[np.int64] | None = None,
    ) -> None:
        """Add a convolution of `codes` (M, C / groups, height, width), whose steps are one or M."""
        name, constant, node = layer.name, self.writer.constant, self.writer.node
        settings = window_attributes(window) | {"group": groups}
        if layer.requantize is not None:
            self._check_byte(name, layer.output)
        reads = self.dtypes[layer.inputs[0]]
        narrow = bool(np.abs(codes).max() <= LARGEST_SIGNED)
        fused = layer.requantize is not None and reads == self.dtypes[name] and (narrow or reads == np.uint8)
        fused = fused and not divides(layer) and largest_sum(self.program, layer) <= 1 << FLOAT_BITS
        weights, zero = self._weights(name, codes, signed=narrow)
        if not fused:
            inputs = [source, weights, self._code(layer.inputs[0], 0), zero]
            products = node("ConvInteger", inputs, f"{name}.products", **settings)
            sums = products if bias is None else self._biased(layer, products, (-1, 1, 1))
            self._requantized(layer, sums)
            return
        scale = constant(f"{name}.weight_step", steps if steps.size > 1 else steps[0])
        quantized = [source, *step_and_zero(self.writer, self.program.signals[layer.inputs[0]]), weights, scale, zero]
        quantized += step_and_zero(self.writer, layer.output)
        quantized += [] if bias is None else [constant(f"{name}.bias_codes", bias, np.int32)]
        codes_of = node("QLinearConv", quantized, f"{name}.byte", **settings)
        self._saturated(codes_of, layer.output, name, layer.relu)

    def _weights(self, name: str, codes: NDArray[np.int64], signed: bool) -> tuple[str, str]:
        """Add weights and their zero point."""
        offset, dtype = (0, np.int8) if signed else (OFFSET, np.uint8)
        stored = self.writer.constant(f"{name}.weight_codes", codes + offset, dtype)
        return stored, self.writer.constant(f"weights_from_{offset}", offset, dtype)

    def _biased(self, layer: Any, products: str, shape: tuple[int, ...]) -> str:
        bias = self.writer.constant(f"{layer.name}.bias_codes", layer.bias.reshape(shape), np.int32)
        last = layer.requantize is None
        output = self._tensor(layer.name) if last else f"{layer.name}.sums"
        return self.writer.node("Add", [products, bias], output)

    def _term(self, layer: AddLayer, source: str, weight: int, part: str) -> str:
        """Add one side of an addition in int32."""
        int32 = self.writer.onnx.TensorProto.INT32
        name = f"{layer.name}.{part}"
        term = self.writer.node("Cast", [self._tensor(source)], f"{name}.int32", to=int32)
        if weight == 1:
            return term
        return self.writer.node("Mul", [term, self.writer.constant(f"{name}.weight", weight, np.int32)], name)

    def _requantized(self, layer: Accumulating, sums: str) -> None:
        """Add what makes codes of int32 sums; nothing where the layer hands them out."""
        name, writer = layer.name, self.writer
        if layer.requantize is None:
            self.dtypes[name] = np.int32
            if sums != self._tensor(name):
                writer.node("Identity", [sums], self._tensor(name))
            return
        self._check_byte(name, layer.output)
        steps = layer.output.step / accumulator_steps(self.program, layer)
        if isinstance(layer, AvgPoolLayer) and divides(layer):
            steps = np.array([mean_divisor(self.program, layer) or 1])
        if largest_sum(self.program, layer) > 1 << FLOAT_BITS and (most := saturating_sum(layer)):
            ends = [writer.constant(f"{name}.{end}_sum", x, np.int32) for end, x in (("least", -most), ("most", most))]
            sums = writer.node("Clip", [sums, *ends], f"{name}.cut")
        scale = writer.constant(f"{name}.scale", steps if steps.size > 1 else steps[0])
        zero = step_and_zero(writer, layer.output)[1]
        real = writer.node("Cast", [sums], f"{name}.float", to=writer.onnx.TensorProto.FLOAT)
        settings: dict[str, Any] = {"axis": 1} if steps.size > 1 else {}
        codes = writer.node("QuantizeLinear", [real, scale, zero], f"{name}.byte", **settings)
        self._saturated(codes, layer.output, name, layer.relu)

    def _saturated(self, source: str, signal: Signal, name: str, relu: bool = False) -> None:
        """Add a Clip to the codes of a narrower range than a byte, or a name for them where there is none."""
        output = self._tensor(name)
        if clipped(self.writer, signal.format, source, output, lowest=0 if relu else None) == source:
            self.writer.node("Identity", [source], output)

    def _code(self, name: str, code: int) -> str:
        """Add a code as a constant of the type that the tensor of a layer has."""
        dtype = np.dtype(self.dtypes[name])
        return self.writer.constant(f"{dtype}_{code}".replace("-", "m"), code, dtype.type)
