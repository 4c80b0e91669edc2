"""From the layers of a quantised graph to a Program with the same codes, or a line that says what has none.

A layer of a graph computes on real values; here each of them is an integer times a step that is known exactly, as a
fraction. A quantiser after a sum becomes its requantisation if some multiplier and shift give the same code for every
sum (`exact_scale`). Nothing is rounded on the way, unless the nearest Program is `Allowed`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow
from accel.interchange.exactness import code_range
from accel.interchange.onnx.reading.additions import addition_of
from accel.interchange.onnx.reading.allowed import Allowed
from accel.interchange.onnx.reading.builder import Builder, whole
from accel.interchange.onnx.reading.coded import Quantized
from accel.interchange.onnx.reading.exact import check_whole, one_step, ranges_of, spread, turned, values_of, word_of
from accel.interchange.onnx.reading.exact_scale import UNSCALED, Scale, Sums, rounded
from accel.interchange.onnx.reading.following import Following, following_sum, quantizer_behind
from accel.interchange.onnx.reading.hoist import hoisted
from accel.interchange.onnx.reading.mac_layers import Make, mac_maker
from accel.layers import (
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool,
    ReLU,
    Weighted,
)
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
from accel.signal import (
    PRODUCT_BITS,
    UNCHANGED,
    Signal,
    integer_format,
    proven_accumulator_bits,
    signed_bits,
    sum_bits,
)
from accel.sparsity import Dense
from accel.window import Window


@dataclass(frozen=True)
class Tensor:
    """A tensor of the Program, the real value of its code 1, and the ends of its codes where its word holds more."""

    name: str
    step: Fraction
    ends: tuple[int, int] | None = None


class Making:
    """A Program as its layers are made in order; `tensors` says what each of the network's tensors is in it."""

    def __init__(self, builder: Builder, layers: Sequence[Layer], allowed: Allowed) -> None:
        self.builder, self.source, self.allowed = builder, hoisted(layers), allowed
        self.tensors: dict[str, Tensor] = {}
        self.signals: dict[str, Signal] = {}
        self.made: list[ProgramLayer] = []
        self.absorbed: set[str] = set()
        self.rounded: set[str] = set()  # what is joined as the quantiser behind it gives it

    def program(self, name: str, input_shape: tuple[int, int, int], data: str) -> Program:
        """Return the Program.

        Raises
        ------
        EspalierError
            A number of the file is none that a Program has; the line names the node and the reason.
        """
        for layer in self.source.layers:
            if layer.name in self.absorbed:
                continue
            try:
                self._layer(layer)
            except EspalierError as error:
                raise whole(error, self.builder.nodes[layer.name]) from error
        if INPUT not in self.signals:
            raise EspalierError("no quantiser rounds the image")
        patterns = {layer.pattern for layer in self.made if isinstance(layer, MacLayer)} - {str(Dense())}
        label = patterns.pop() if len(patterns) == 1 else "mixed" if patterns else str(Dense())
        made = tuple(self.made), self.builder.original_names or None
        return Program(name, label, data, input_shape, self.signals[INPUT], *made)

    def _layer(self, layer: Layer) -> None:
        match layer:
            case Quantized():
                self._quantizer(layer)
            case Weighted():
                self._mac(layer)
            case AvgPool():
                self._average(layer, layer.window)
            case GlobalAvgPool():
                self._average(layer, Window(self.builder.shapes[layer.inputs[0]][1:]))  # type: ignore[arg-type]
            case Add():
                self._add(layer)
            case Concat():
                self._concat(layer)
            case BatchNorm():
                self._scaled(layer)
            case MaxPool() | Flatten() | ReLU() | Clip():
                self._moved(layer)
            case _:
                raise EspalierError(f"a Program has no {type(layer).__name__}")

    def _read(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise EspalierError("reads the image, which no quantiser rounded: its sums would be floats")
        return self.tensors[name]

    def _append(self, layer: ProgramLayer) -> str:
        self.signals[layer.name] = layer.output_signal(*(self.signals[source] for source in layer.inputs))
        self.made.append(layer)
        return layer.name

    def _unused(self, name: str) -> str:
        """Return `name`, or one like it that no tensor has."""
        while name in self.signals or name in self.builder.shapes:
            name += "'"
        return name

    def _quantizer(self, layer: Quantized) -> None:
        """A quantiser of the image, or of codes: another step or range for them."""
        if layer.inputs == (INPUT,):
            self._image(layer)
            return
        tensor = self._read(layer.inputs[0])
        low, high = tensor.ends or code_range(self.signals[tensor.name].format)
        within = layer.low is not None and layer.high is not None and layer.low <= low and high <= layer.high
        if tensor.step == Fraction(layer.read_step) == Fraction(layer.step) and within:
            self.tensors[layer.name] = tensor
            return
        following = Following((), (), False, None, layer)
        self._rescale(layer, tensor, following)

    def _rescale(self, layer: Layer, tensor: Tensor, following: Following) -> None:
        """Add a layer that gives the codes of `tensor` another meaning: a sum over one pixel, or of twice a feature."""
        form = self.signals[tensor.name].format
        if len(self.builder.shapes[layer.inputs[0]]) == 3:
            bits = sum_bits([1], [form])

            def make(scale: Scale | None, output: Signal, relu: bool) -> ProgramLayer:
                found = (scale or UNSCALED).requantize
                return AvgPoolLayer(layer.name, (tensor.name,), Window((1, 1)), bits, relu, found, output)

            self._finish(layer.name, following, [tensor.step], [code_range(form)], make, bits)
            return
        bits = sum_bits([1, 1], [form, form])
        low, high = code_range(form)

        def make_twice(scale: Scale | None, output: Signal, relu: bool) -> ProgramLayer:
            return AddLayer(layer.name, (tensor.name,) * 2, (1, 1), bits, relu, (scale or UNSCALED).requantize, output)

        self._finish(layer.name, following, [tensor.step / 2], [(2 * low, 2 * high)], make_twice, bits)

    def _image(self, layer: Quantized) -> None:
        if layer.read_step != layer.step or layer.low is None:
            raise EspalierError("reads the image, expected a sum: Trunc rounds no image")
        signal = Signal(word_of(layer), layer.step)
        if self.signals.setdefault(INPUT, signal) != signal:
            raise EspalierError(f"the image is quantised twice, to {signal} and to {self.signals[INPUT]}")
        name, ends = INPUT, self._ends(layer)
        if ends and not layer.given:  # what is given as codes has no others
            name = INPUT if self.allowed.change(INPUT, "image") else self._bounded(layer.name, INPUT, ends)
        self.tensors[layer.name] = Tensor(name, Fraction(layer.step), ends)

    def _ends(self, layer: Quantized) -> tuple[int, int] | None:
        """Return the ends of a quantiser's codes where no word has them."""
        if layer.low is None or layer.high is None:
            return None
        ends = layer.low, layer.high
        return None if ends == code_range(word_of(layer)) else ends

    def _bounded(self, name: str, source: str, ends: tuple[int, int]) -> str:
        """Let codes of `source` saturate at `ends`, and return what does."""
        return self._append(ClipLayer(self._unused(f"{name}.ends"), (source,), ends[1], ends[0]))

    def _mac(self, layer: Weighted) -> None:
        tensor, node = self._read(layer.inputs[0]), self.builder.nodes[layer.name]
        coded = self.builder.coded.get(self.builder.weights[layer.name])
        if coded is None:
            raise EspalierError("its weights are floats, expected quantised ones: its sums would be floats")
        for attribute in ("alpha", "beta"):
            if node.get(attribute, 1.0) != 1.0:
                raise EspalierError(f"attribute {attribute} is {node.get(attribute)}, expected 1")
        outputs, axis = len(layer.weight), 0 if isinstance(layer, Conv2d) or node.get("transB", 0) else 1
        if coded.axis not in (None, axis):
            raise EspalierError(f"its weights have a step for each index of axis {coded.axis}, expected {axis}")
        following = following_sum(self.source, layer.name)
        codes = np.rint(layer.weight.reshape(outputs, -1).astype(np.float64) / coded.steps[:, None]).astype(np.int64)
        steps = [Fraction(float(step)) * tensor.step for step in coded.steps]
        values = values_of(layer.name, self.builder, steps, following, self.allowed)
        codes = turned(codes, values.signs, coded.bits)
        whole = [math.floor(number) for number in values.bias]
        if max(map(signed_bits, whole)) > PRODUCT_BITS:
            raise EspalierError(f"its bias takes more than {PRODUCT_BITS} bits")
        form, bias = self.signals[tensor.name].format, np.array(whole, np.int64)
        pixels = math.prod(self.builder.shapes[layer.name][1:])
        make = mac_maker(layer, (tensor.name, form), coded, codes, bias, pixels)
        offsets = [number - below for number, below in zip(values.bias, whole, strict=True)]
        beside = (-1, 0, 1) if any(offsets) else (0,)  # the bias may become
        bits = max(proven_accumulator_bits(codes, bias + more, form) for more in beside)
        self._finish(layer.name, following, values.steps, ranges_of(codes, whole, form), make, bits, offsets)

    def _average(self, layer: Layer, window: Window) -> None:
        tensor = self._read(layer.inputs[0])
        form = self.signals[tensor.name].format
        bits = sum_bits([window.taps], [form])
        low, high = code_range(form)

        def make(scale: Scale | None, output: Signal, relu: bool) -> ProgramLayer:
            return AvgPoolLayer(layer.name, (tensor.name,), window, bits, relu, (scale or UNSCALED).requantize, output)

        ranges = [(window.taps * low, window.taps * high)]
        following = following_sum(self.source, layer.name)
        step = one_step(following.affine, tensor.step / window.taps, self.builder.nodes)
        self._finish(layer.name, following, [step], ranges, make, bits)

    def _add(self, layer: Layer) -> None:
        left, right = (self._read(source) for source in layer.inputs)
        following = following_sum(self.source, layer.name)
        forms = [self.signals[tensor.name].format for tensor in (left, right)]
        steps = left.step, right.step
        weights, step, found = addition_of(layer.name, steps, forms, following, self.allowed)
        bits = sum_bits(weights, forms)
        ends = [code_range(form) for form in forms]
        low, high = (sum(weight * end[side] for weight, end in zip(weights, ends, strict=True)) for side in (0, 1))

        def make(scale: Scale | None, output: Signal, relu: bool) -> ProgramLayer:
            sources, requantize = (left.name, right.name), (scale or UNSCALED).requantize
            return AddLayer(layer.name, sources, weights, bits, relu, requantize, output)

        step, known = one_step(following.affine, step, self.builder.nodes), Scale(found) if found else None
        self._finish(layer.name, following, [step], [(low, high)], make, bits, scale=known)

    def _concat(self, layer: Layer) -> None:
        quantized = quantizer_behind(self.source, layer.name)
        left, right = (self._read(source) for source in layer.inputs)
        if left.step != right.step and quantized is not None:
            # the file joins real values and rounds them then, to the same codes
            parts = zip(layer.inputs, (left, right), "ab", strict=True)
            left, right = (
                x if name in self.rounded else self._rounded(quantized, name, part) for name, x, part in parts
            )
            self.rounded.add(layer.name)
            if layer.name in quantized.inputs:
                self.absorbed.add(quantized.name)
                self.tensors[quantized.name] = Tensor(layer.name, Fraction(quantized.step), self._ends(quantized))
        if left.step != right.step:
            raise EspalierError(
                f"joins maps of the steps {float(left.step):g} and {float(right.step):g}, expected one scale for both, "
                "or a quantiser after it"
            )
        signals = [self.signals[tensor.name] for tensor in (left, right)]
        if signals[0] == signals[1]:
            sources = [left.name, right.name]
        else:
            pairs = zip((left, right), signals[::-1], strict=True)
            sources = [self._widened(layer, part, *pair) for part, pair in enumerate(pairs)]
        self._append(ConcatLayer(layer.name, tuple(sources)))
        self.tensors[layer.name] = Tensor(layer.name, left.step)

    def _rounded(self, quantized: Quantized, source: str, part: str) -> Tensor:
        """Return one of two tensors that are joined as the quantiser after them gives it."""
        name = self._unused(f"{quantized.name}.{part}")
        self.builder.nodes[name] = self.builder.nodes[quantized.name]
        self.builder.shapes[name] = self.builder.shapes[source]
        self._quantizer(replace(quantized, name=name, inputs=(source,)))
        return self.tensors[name]

    def _widened(self, layer: Layer, part: int, tensor: Tensor, other: Signal) -> str:
        """Add a layer that gives `tensor` a word that also holds the codes of `other`."""
        form = self.signals[tensor.name].format
        signed = form.signed or other.format.signed
        bits = max(x.width + (signed and not x.signed) for x in (form, other.format))
        output = Signal(integer_format(bits, signed), float(tensor.step))
        needed, name = sum_bits([1], [form]), self._unused(f"{layer.name}.{'ab'[part]}")
        return self._append(AvgPoolLayer(name, (tensor.name,), Window((1, 1)), needed, False, UNCHANGED, output))

    def _scaled(self, layer: BatchNorm) -> None:
        """A product of codes with one number: the same codes, another step."""
        tensor = self._read(layer.inputs[0])
        step = one_step((layer,), tensor.step, self.builder.nodes)
        form = self.signals[tensor.name].format
        wide = replace(form, overflow=Overflow.SAT)
        low, high = wide.min_code, wide.max_code
        made = Quantized(layer.name, layer.inputs, float(step), float(step), low, high, form.rounding, form.width)
        self._rescale(layer, Tensor(tensor.name, step), Following(quantized=made))
        self.tensors[layer.name] = Tensor(layer.name, step)

    def _moved(self, layer: MaxPool | Flatten | ReLU | Clip) -> None:
        tensor = self._read(layer.inputs[0])
        source = (tensor.name,)
        match layer:
            case MaxPool():
                self._append(MaxPoolLayer(layer.name, source, layer.window))
            case Flatten():
                self._append(FlattenLayer(layer.name, source))
            case ReLU():
                self._append(ReluLayer(layer.name, source))
            case Clip():
                self._append(ClipLayer(layer.name, source, self._bound(layer, tensor)))
        low, high = tensor.ends or (0, 0)
        ends = (0, high) if isinstance(layer, ReLU | Clip) else (low, high)
        self.tensors[layer.name] = Tensor(layer.name, tensor.step, ends if tensor.ends else None)

    def _bound(self, layer: Clip, tensor: Tensor) -> int:
        bound = Fraction(float(np.float32(layer.highest))) / tensor.step
        most = self.signals[tensor.name].format.max_code
        if bound < most and bound.denominator != 1:
            raise EspalierError(f"its upper bound is {layer.highest:g}, no whole multiple of the step it reads")
        return min(most, math.floor(bound))

    def _finish(
        self,
        name: str,
        following: Following,
        steps: list[Fraction],
        ranges: list[tuple[int, int]],
        make: Make,
        accumulator_bits: int,
        offsets: Sequence[Fraction] = (Fraction(0),),
        scale: Scale | None = None,
    ) -> None:
        """Add a layer with an accumulator and what comes after it; `scale` is what requantises if it is known.

        Steps, ranges, and the fractions of a step that are added to sums, are one or one for each output.
        """
        quantized = following.quantized
        if quantized is None:
            if len(set(steps)) > 1:
                raise EspalierError("has a step for each output and no quantiser after it: a signal has one step")
            output = Signal(FixedFormat(accumulator_bits, accumulator_bits), float(steps[0]))
            self._append(make(None, output, False))
            self.tensors[name] = Tensor(name, steps[0])
            return
        if following.relu:
            ranges = [(max(low, 0), max(high, 0)) for low, high in ranges]
        if len(set(steps)) == 1 and not any(offsets):
            steps, offsets = steps[:1], offsets[:1]
            ranges = [(min(low for low, _ in ranges), max(high for _, high in ranges))]
        read, steps = Fraction(quantized.read_step), spread(steps, len(offsets))
        sums = [Sums(step / read, *ends, x) for step, ends, x in zip(steps, ranges, offsets, strict=True)]
        try:
            check_whole(quantized, sums)
            form = word_of(quantized, sums)
            scale = scale or self.allowed.scale(name, sums, form, accumulator_bits)
        except EspalierError as error:
            raise whole(error, self.builder.nodes[quantized.name]) from error
        made = self._append(make(scale, Signal(form, quantized.step), following.relu))
        if following.bound is not None:
            highest = rounded(Fraction(float(np.float32(following.bound))) / read, form.rounding)
            if highest < form.max_code:
                made = self._append(ClipLayer(self._unused(f"{made}.clip"), (made,), highest))
        ends = self._ends(quantized)
        reached = {rounded(end, form.rounding) for x in sums for end in x.ends}
        if ends and not ends[0] <= min(reached) <= max(reached) <= ends[1]:
            made = self._bounded(made, made, ends)
        self.absorbed |= set(following.names)
        self.tensors[quantized.name] = Tensor(made, Fraction(quantized.step), ends)
