"""A Program as an ONNX file whose runtime gives the same codes: QCDQ and QONNX here, QLinear beside it."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Rounding
from accel.interchange.exactness import (
    accumulator_steps,
    check_program,
    code_range,
    divides,
    half_even,
    mean_divisor,
    never_rounds,
)
from accel.interchange.onnx.writing.writer import IMAGE, Writer, kernels, per_output, window_attributes
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

BYTE = 8
ENDS = ("lowest", "highest")  # of a clip
QONNX_DOMAIN = "qonnx.custom_op.general"
QONNX_MODES = {  # of QONNX's Quant; RND and RND_MIN_INF it does not have
    Rounding.RND_CONV: "ROUND",
    Rounding.RND_INF: "HALF_UP",
    Rounding.RND_ZERO: "HALF_DOWN",
    Rounding.TRN: "FLOOR",
    Rounding.TRN_ZERO: "DOWN",
}
# of values that are not negative more modes are the same: ties up are ties away from zero, and so on
QONNX_MODES_ABOVE_ZERO = QONNX_MODES | {Rounding.RND: "HALF_UP", Rounding.RND_MIN_INF: "HALF_DOWN"}


class FloatExport(ABC):
    """Layers on real values, float32, with a quantiser after each that has an accumulator.

    Every tensor is named after its layer and holds code * step; the quantiser of each format is left open.
    """

    target: str

    def __init__(self, program: Program) -> None:
        self.program, self.writer = program, Writer(program)

    def write(self) -> bytes:
        """Return the model.

        Raises
        ------
        EspalierError
            The target's arithmetic is not provably that of the Program; the line says what to change.
        """
        check_program(self.program, self.target, self.rounds)
        self.quantizer(IMAGE, self.program.input_signal, INPUT, self.program.input_signal.format.signed)
        for layer in self.program.layers:
            self.layer(layer)
        return self.writer.model(self.program.output)

    @abstractmethod
    def rounds(self, form: FixedFormat, negative: bool) -> bool:
        """Return whether the target can round as `form` asks, values that may be negative or not."""

    @abstractmethod
    def quantizer(self, source: str, signal: Signal, output: str, negative: bool) -> None:
        """Add what rounds the real values of `source` to codes of `signal` and gives code * step as `output`."""

    @abstractmethod
    def weight(self, layer: MacLayer) -> tuple[str, int]:
        """Add the weights of a layer; return their tensor and the number of groups."""

    @abstractmethod
    def bias(self, layer: MacLayer) -> str:
        """Add the biases of a layer and return their tensor."""

    def layer(self, layer: ProgramLayer) -> None:
        """Add the nodes of one layer."""
        inputs, name = [*layer.inputs], layer.name
        match layer:
            case MacLayer():
                self._mac(layer)
            case AvgPoolLayer():
                self._average(layer)
            case AddLayer():
                self._finished(layer, "Add", inputs, {})
            case MaxPoolLayer():
                self.writer.node("MaxPool", inputs, name, **window_attributes(layer.window))
            case ReluLayer():
                self.writer.node("Relu", inputs, name)
            case ClipLayer():
                ends = (code * self.program.signals[name].step for code in (layer.lowest, layer.highest))
                bounds = (self.writer.constant(f"{name}.{end}", x) for end, x in zip(ENDS, ends, strict=True))
                self.writer.node("Clip", [*inputs, *bounds], name)
            case ConcatLayer():
                self.writer.node("Concat", inputs, name, axis=1)
            case FlattenLayer():
                self.writer.flatten(layer, inputs, name)
            case _:
                raise EspalierError(f"{name}: {self.target} has no {type(layer).__name__}")

    def _mac(self, layer: MacLayer) -> None:
        weight, groups = self.weight(layer)
        inputs = [layer.inputs[0], weight, self.bias(layer)]
        if layer.window is None:
            self._finished(layer, "Gemm", inputs, {"transB": 1})
        else:
            self._finished(layer, "Conv", inputs, window_attributes(layer.window) | {"group": groups})

    def _average(self, layer: AvgPoolLayer) -> None:
        source, window, constant = layer.inputs[0], layer.window, self.writer.constant
        if divides(layer):
            maps = self.program.shapes[source][0]
            ones = constant(f"{layer.name}.ones", np.ones((maps, 1, *window.kernel)))
            self._finished(layer, "Conv", [source, ones], window_attributes(window) | {"group": maps})
            return
        if any(np.greater_equal(window.padding, window.kernel * 2)):  # which onnxruntime has in a node of its own only
            top, left, bottom, right = window.padding
            pads = constant(f"{layer.name}.pads", [0, 0, top, left, 0, 0, bottom, right], np.int64)
            source = self.writer.node("Pad", [source, pads], f"{layer.name}.padded")
            window = replace(window, padding=(0, 0, 0, 0))
        settings = window_attributes(window) | {"count_include_pad": 1}
        self._finished(layer, "AveragePool", [source], settings)

    def _finished(self, layer: Any, op: str, inputs: list[str], settings: dict[str, Any]) -> None:
        """Add the node that computes a layer's accumulators, its ReLU and its quantiser."""
        name, node = layer.name, self.writer.node
        if layer.requantize is None:
            node(op, inputs, name, **settings)
            return
        source = node(op, inputs, f"{name}.sums", name, **settings)
        if layer.relu:
            source = node("Relu", [source], f"{name}.relu")
        if divides(layer):  # the sums are exact, and their quotient is what `mean_divisor` has tried
            unit = self.program.signals[layer.inputs[0]].step / layer.output.step
            divisor = self.writer.constant(f"{name}.divisor", (mean_divisor(self.program, layer) or 1) * unit)
            source = node("Div", [source, divisor], f"{name}.mean")
        self.quantizer(source, layer.output, name, not layer.relu)


class Qcdq(FloatExport):
    """QuantizeLinear, Clip where a code has less than 8 bits, DequantizeLinear."""

    target = "QCDQ"

    def rounds(self, form: FixedFormat, negative: bool) -> bool:
        return half_even(form, negative)

    def quantizer(self, source: str, signal: Signal, output: str, negative: bool) -> None:
        check_byte(output, "signal", signal.bits, self.target)
        constants = step_and_zero(self.writer, signal)
        codes = self.writer.node("QuantizeLinear", [source, *constants], f"{output}.quantized")
        codes = clipped(self.writer, signal.format, codes, f"{output}.codes")
        self.writer.node("DequantizeLinear", [codes, *constants], output, f"{output}.dequantized")

    def weight(self, layer: MacLayer) -> tuple[str, int]:
        check_byte(layer.name, "weight", layer.weight_bits, self.target)
        codes, groups = kernels(layer)
        tensor = self.writer.constant(f"{layer.name}.weight_codes", codes, np.int8)
        form = FixedFormat(layer.weight_bits, layer.weight_bits)
        tensor = clipped(self.writer, form, tensor, f"{layer.name}.weight_clipped")
        return self._dequantized(f"{layer.name}.weight", tensor, layer.weight_steps), groups

    def bias(self, layer: MacLayer) -> str:
        tensor = self.writer.constant(f"{layer.name}.bias_codes", layer.bias, np.int32)
        return self._dequantized(f"{layer.name}.bias", tensor, accumulator_steps(self.program, layer))

    def _dequantized(self, output: str, codes: str, steps: Any) -> str:
        scale = self.writer.constant(f"{output}_step", per_output(steps, 1))
        settings: dict[str, Any] = {"axis": 0} if steps.size > 1 else {}
        return self.writer.node("DequantizeLinear", [codes, scale], output, **settings)


class Qonnx(FloatExport):
    """QONNX's Quant, which has a width and a rounding mode of its own.

    Source: Pappalardo et al., "QONNX: Representing Arbitrary-Precision Quantized Neural Networks" (arXiv 2206.07527).
    """

    target = "QONNX"

    def rounds(self, form: FixedFormat, negative: bool) -> bool:
        return form.rounding in (QONNX_MODES if negative else QONNX_MODES_ABOVE_ZERO)

    def quantizer(self, source: str, signal: Signal, output: str, negative: bool) -> None:
        form = signal.format
        modes = QONNX_MODES if negative and form.signed else QONNX_MODES_ABOVE_ZERO
        mode = modes.get(form.rounding, "ROUND")  # others were let pass where nothing is rounded
        narrow = code_range(form)[0] == -form.max_code and form.signed
        self._quant(source, np.array(signal.step), form.width, output, form.signed, narrow, mode)

    def weight(self, layer: MacLayer) -> tuple[str, int]:
        codes, groups = kernels(layer)
        steps = per_output(layer.weight_steps, codes.ndim)
        tensor = self.writer.constant(f"{layer.name}.weight_values", codes * steps)
        narrow = layer.weight_bits > 1 and bool(codes.min() >= -((1 << (layer.weight_bits - 1)) - 1))
        return self._quant(tensor, steps, layer.weight_bits, f"{layer.name}.weight", True, narrow), groups

    def bias(self, layer: MacLayer) -> str:
        steps = per_output(accumulator_steps(self.program, layer), 1)
        tensor = self.writer.constant(f"{layer.name}.bias_values", layer.bias * steps)
        bits = max(layer.bias_bits, 2)  # 1 bit with a sign is no integer there
        return self._quant(tensor, steps, bits, f"{layer.name}.bias", True, False)

    def _quant(
        self, source: str, step: Any, bits: int, output: str, signed: bool, narrow: bool, mode: str = "ROUND"
    ) -> str:
        constant = self.writer.constant
        if bits == 1 and signed:
            raise EspalierError(f"{output}: QONNX takes 1 bit with a sign for -1 and 1; quantise with 2 bits or more")
        inputs = [source, constant(f"{output}_step", step), constant("zero", 0), constant(f"{output}_bits", bits)]
        settings = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": mode}
        return self.writer.node("Quant", inputs, output, f"{output}.quant", domain=QONNX_DOMAIN, **settings)


def check_byte(name: str, what: str, bits: int, target: str) -> None:
    """Raise EspalierError if a word has more bits than the integers of `target`."""
    if bits > BYTE:
        raise EspalierError(f"{name}: a {what} has {bits} bits, {target} has at most {BYTE}; quantise with fewer")


def step_and_zero(writer: Writer, signal: Signal) -> tuple[str, str]:
    """Add the step of a signal and the zero that says whether its codes have a sign."""
    signed = signal.format.signed
    step = writer.constant(f"step_{np.log2(signal.step):g}", signal.step)
    zero = writer.constant("zero_int8" if signed else "zero_uint8", 0, np.int8 if signed else np.uint8)
    return step, zero


def clipped(writer: Writer, form: FixedFormat, source: str, output: str, lowest: int | None = None) -> str:
    """Add a Clip where codes of `form` have a narrower range than a byte; return the tensor that holds the codes."""
    low, high = code_range(form)
    low = low if lowest is None else max(low, lowest)
    dtype = np.int8 if form.signed else np.uint8
    if (low, high) == (np.iinfo(dtype).min, np.iinfo(dtype).max):
        return source
    letter = "i" if form.signed else "u"
    bounds = [writer.constant(f"{letter}{bound}".replace("-", "m"), bound, dtype) for bound in (low, high)]
    return writer.node("Clip", [source, *bounds], output)


__all__ = ["FloatExport", "Qcdq", "Qonnx", "check_byte", "clipped", "never_rounds", "step_and_zero"]
