"""Lowering: a pruned float network, widths and a calibration batch become a Program."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import encoding
from accel.errors import EspalierError
from accel.fixedpoint import SATURATING, FixedFormat, Overflow, Rounding
from accel.grouped_convolution import across_groups
from accel.layers import (
    Activation,
    Add,
    Array,
    AvgPool,
    Clip,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Mul,
    ReLU,
    Upsample,
    Weighted,
)
from accel.network import INPUT, Network, reading
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    ConcatLayer,
    FlattenLayer,
    MacLayer,
    MaxPoolLayer,
    MulLayer,
    ProgramLayer,
    ReluLayer,
)
from accel.pruned import PrunedNetwork
from accel.quantize.calibration import Calibration
from accel.quantize.codes import bias_codes, weight_codes
from accel.quantize.enlarging import enlarging
from accel.quantize.formats import FOUND, Formats, step_of
from accel.quantize.joining import joined_signal, joins
from accel.quantize.steps import L2, Steps
from accel.quantize.tables import FINEST, table_of, values_of
from accel.quantize.widths import Widths
from accel.scales import check_multiplier_bits, matched_weights, requantization
from accel.signal import (
    MULTIPLIER_BITS,
    Requantize,
    Signal,
    integer_format,
    nearest_steps,
    product_bits,
    proven_accumulator_bits,
    signed_bits,
    sum_bits,
)
from accel.sparsity import LayerMask, Mask, parse_pattern
from accel.window import Window


def lower(
    pruned: PrunedNetwork,
    widths: Widths,
    images: Array,
    steps: Steps = L2,
    *,
    rounding: Rounding = Rounding.RND,
    overflow: Overflow = Overflow.SAT,
    multiplier_bits: int = MULTIPLIER_BITS,
) -> Program:
    """Return the Program of a network at the given word lengths.

    Parameters
    ----------
    pruned : PrunedNetwork
    widths : Widths
    images : float array (images, maps, height, width)
        Calibration batch: signal steps are fitted to what the layers give for it.
    steps : Steps
        The rule by which steps are found, and those that are given.
    rounding, overflow : Rounding, Overflow
        Of every requantisation; of the image too, the rounding where it is one to nearest.
    multiplier_bits : int
        That a requantisation's multipliers have at most.

    Raises
    ------
    EspalierError
        A batch norm cannot be folded, the calibration batch or a given step does not fit, or a layer is of a kind that
        no Program has.
    """
    calibration = Calibration(pruned, images, steps)
    return lower_calibrated(calibration, widths, rounding=rounding, overflow=overflow, multiplier_bits=multiplier_bits)


def lower_calibrated(
    calibration: Calibration,
    widths: Widths,
    *,
    rounding: Rounding = Rounding.RND,
    overflow: Overflow = Overflow.SAT,
    formats: Formats = FOUND,
    multiplier_bits: int = MULTIPLIER_BITS,
) -> Program:
    """Return the Program of a network at the given word lengths, as `lower`; again at others it takes far less time.

    What `formats` give goes above widths, steps and modes.

    Raises
    ------
    EspalierError
        A layer is of a kind that no Program has, no Program holds its numbers, or a format is of no layer.
    """
    formats.check(calibration.pruned)
    check_multiplier_bits(multiplier_bits)
    lowering = Lowering(calibration, formats.applied(widths), rounding, overflow, formats, multiplier_bits)
    program = lowering.run()
    while lowering.joins:  # each time of other layers: what is coarser now may have others joined to it
        lowering = replace(lowering, joined={**lowering.joined, **lowering.joins})
        program = lowering.run()
    return program


@dataclass
class Lowering:
    """One lowering: what it is of, and what of it there is so far.

    After `run`, `joins` says which signals concatenations want of layers that nothing else reads: another lowering, for
    which these are `joined`, need not copy their codes.
    """

    calibration: Calibration
    widths: Widths
    rounding: Rounding
    overflow: Overflow
    formats: Formats
    multiplier_bits: int
    joined: Mapping[str, Signal] = field(default_factory=dict)

    def run(self) -> Program:
        pruned = self.pruned = self.calibration.pruned
        network = self.network = pruned.network
        self.absorbed = absorbed_relus(network)
        self.signals = {INPUT: self._input_signal()}
        self.renamed: dict[str, str] = {}
        self.joins: dict[str, Signal] = {}
        self.layers: list[ProgramLayer] = []
        for layer in network.layers:
            sources = tuple(self.renamed.get(source, source) for source in layer.inputs)
            if layer.name in self.absorbed and not self._is_bound(layer, sources[0]):
                self.renamed[layer.name] = sources[0]
                continue
            self._append(self._layer(reading(layer, sources)))
        made = tuple(self.layers), network.original_names
        return Program(network.name, pruned.pattern, pruned.data, network.input_shape, self.signals[INPUT], *made)

    def _append(self, layer: ProgramLayer) -> str:
        """Put `layer` after the others and return its name."""
        self.signals[layer.name] = layer.output_signal(*(self.signals[source] for source in layer.inputs))
        self.layers.append(layer)
        return layer.name

    def _layer(self, layer: Layer) -> ProgramLayer:
        match layer:
            case Weighted():
                return self._mac(layer)
            case MaxPool():
                return MaxPoolLayer(layer.name, layer.inputs, layer.window)
            case AvgPool():
                return self._avg_pool(layer, layer.window)
            case GlobalAvgPool():
                size = self.network.shapes[layer.inputs[0]][1:]
                return self._avg_pool(layer, Window(size))  # type: ignore[arg-type]  # two sizes
            case Add():
                return self._add(layer)
            case Mul():
                return self._mul(layer)
            case Upsample():
                *inside, last = enlarging(layer, self.network.shapes[layer.inputs[0]], self.signals[layer.inputs[0]])
                for part in inside:
                    self._append(part)
                return last
            case ReLU():
                return ReluLayer(layer.name, layer.inputs)
            case Clip():
                return ClipLayer(layer.name, layer.inputs, self._bound(layer, layer.inputs[0]))
            case Activation():
                reads = self.signals[layer.inputs[0]]
                signed = bool((values_of(layer, reads) < 0).any())
                return table_of(layer, reads, self._output_signal(layer.name, FINEST, signed))
            case Concat():
                return self._concat(layer)
            case Flatten():
                return FlattenLayer(layer.name, layer.inputs)
        raise EspalierError(f"{layer.name}: a Program has no {type(layer).__name__}")

    def _input_signal(self) -> Signal:
        """Return the image's signal, rounded as asked where that is to nearest: a floor of k * step may be k - 1."""
        if (given := self.formats.signal(INPUT)) is not None:
            return given
        step, signed = self.calibration.input_step(self.widths.input_bits)
        rounding = Rounding.RND if self.rounding in (Rounding.TRN, Rounding.TRN_ZERO) else self.rounding
        return Signal(integer_format(self.widths.input_bits, signed, rounding), step)

    def _is_bound(self, layer: Layer, source: str) -> bool:
        """Return whether an absorbed activation has an upper bound at which no requantisation saturates."""
        form = self.signals[source].format
        saturates = form.overflow in SATURATING
        return isinstance(layer, Clip) and not (saturates and self._bound(layer, source) >= form.max_code)

    def _bound(self, layer: Clip, source: str) -> int:
        """Return the code of the upper bound: the nearest, the higher one in the middle between two."""
        return int(nearest_steps(layer.highest, self.signals[source].step))

    def _output_signal(self, name: str, accumulator_step: float, signed: bool = True) -> Signal:
        """Return the signal of a layer's output.

        It has a sign if the accumulator is `signed` and no ReLU follows. A power of two that is not given is no finer
        than the accumulator, so that requantisation only ever shifts down.
        """
        if (given := self.formats.signal(name) or self.joined.get(name)) is not None:
            return given
        signed = signed and name not in self.absorbed.values()
        form = integer_format(self.widths.of_signal(name), signed, self.rounding, self.overflow)
        steps = self.calibration.steps
        finest = 2.0 ** math.floor(math.log2(accumulator_step)) if steps.power_of_two else 0.0
        step = self.calibration.signal_step(name, form, finest)
        bound = self._highest(name)
        if name not in steps.signals and not steps.power_of_two and math.isfinite(bound):
            step = min(step, bound / form.max_code)  # the last code is no more than the bound of a clip
        return Signal(form, step)

    def _highest(self, name: str) -> float:
        """Return the bound of the activation that the layer `name` takes in; infinite if it has none."""
        taken = (self.network[activation] for activation, source in self.absorbed.items() if source == name)
        return min((layer.highest for layer in taken if isinstance(layer, Clip)), default=math.inf)

    def _mac(self, layer: Weighted) -> MacLayer:
        bits = self.widths.of_weights(layer.name), self.widths.of_signal(layer.name)
        modes = self.rounding, self.overflow, self.multiplier_bits
        key = layer.name, layer.inputs, self.signals[layer.inputs[0]], self.joined.get(layer.name), bits, modes
        return self.calibration.layer(key, lambda: self._new_mac(layer))

    def _new_mac(self, layer: Weighted) -> MacLayer:
        mask = self.pruned.layer_mask(layer.name)
        pattern = parse_pattern(mask.pattern)
        last = layer.name == self.network.output
        bits = self.widths.of_weights(layer.name)
        weight_steps, codes = self._weight_codes(layer, mask.kept, bits)
        if isinstance(layer, Conv2d) and layer.groups > 1:
            mask, codes = across_groups(mask, codes, layer.groups)
            pattern = parse_pattern(mask.pattern)
        source = self.signals[layer.inputs[0]]
        accumulator_steps = weight_steps * source.step
        bias = bias_codes(layer, accumulator_steps)
        accumulator_bits = proven_accumulator_bits(codes, bias, source.format)
        if last:
            output = Signal(FixedFormat(accumulator_bits, accumulator_bits), float(accumulator_steps[0]))
        else:
            output = self._output_signal(layer.name, accumulator_steps.min())
        return self._with_mask(
            layer,
            mask,
            weight_bits=bits,
            weights=pattern.nest(mask.kept).gather(codes),
            weight_steps=weight_steps,
            bias_bits=max(signed_bits(bias.min()), signed_bits(bias.max())),
            bias=bias,
            accumulator_bits=accumulator_bits,
            requantize=None if last else self._requantize(accumulator_steps, output, layer.name),
            output=output,
        )

    def _with_mask(self, layer: Weighted, mask: LayerMask, **numbers: Any) -> MacLayer:
        """Return a layer of these numbers, which has everything else from the network and its mask."""
        name, index = encoding.cheapest(parse_pattern(mask.pattern), mask.kept)
        return MacLayer(
            layer.name,
            layer.inputs,
            shape=mask.kept.shape,
            window=layer.window if isinstance(layer, Conv2d) else None,
            pattern=mask.pattern,
            encoding=name,
            index=index,
            relu=layer.name in self.absorbed.values(),
            dense_weights=self.pruned.dense_weights[layer.name],
            dense_macs=self.pruned.dense_macs[layer.name],
            **numbers,
        )

    def _weight_codes(self, layer: Weighted, kept: Mask, bits: int) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return the steps and the codes (M, K) of the weights that are kept."""
        matrix, kept = layer.weight.reshape(len(layer.weight), -1), kept.reshape(len(kept), -1)
        if (form := self.formats.weights.get(layer.name)) is not None:
            return np.array([step_of(form)]), form.encode(matrix) * kept
        steps = self.calibration.weight_steps(layer, bits)
        return steps, weight_codes(matrix, kept, steps, bits)

    def _avg_pool(self, layer: Layer, window: Window) -> AvgPoolLayer:
        source = self.signals[layer.inputs[0]]
        step = source.step / window.taps
        output = self._output_signal(layer.name, step, source.format.signed)
        return AvgPoolLayer(
            layer.name,
            layer.inputs,
            window,
            sum_bits([window.taps], [source.format]),
            layer.name in self.absorbed.values(),
            self._requantize(np.array([step]), output, layer.name),
            output,
        )

    def _add(self, layer: Layer) -> AddLayer:
        sources = [self.signals[source] for source in layer.inputs]
        weights, step = matched_weights(sources[0].step, sources[1].step)
        output = self._output_signal(layer.name, step, any(source.format.signed for source in sources))
        return AddLayer(
            layer.name,
            layer.inputs,
            weights,
            sum_bits(weights, [source.format for source in sources]),
            layer.name in self.absorbed.values(),
            self._requantize(np.array([step]), output, layer.name),
            output,
        )

    def _mul(self, layer: Layer) -> MulLayer:
        left, right = (self.signals[source] for source in layer.inputs)
        step = left.step * right.step
        output = self._output_signal(layer.name, step, left.format.signed or right.format.signed)
        return MulLayer(
            layer.name,
            layer.inputs,
            product_bits(left.format, right.format),
            layer.name in self.absorbed.values(),
            self._requantize(np.array([step]), output, layer.name),
            output,
        )

    def _concat(self, layer: Layer) -> ConcatLayer:
        """Bring both signals to one, if they differ, by sums over one pixel; no code of either is clipped by that."""
        first, second = (self.signals[source] for source in layer.inputs)
        if first == second:
            return ConcatLayer(layer.name, layer.inputs)
        joined = joined_signal(first, second, self.rounding, self.overflow, self.calibration.steps.power_of_two)
        given = {*self.formats.outputs, *self.calibration.steps.signals, *self.joined}
        self.joins |= joins(self.network, layer.name, joined, self.signals, given)
        pair = zip(layer.inputs, "ab", strict=True)
        vector = len(self.network.shapes[layer.name]) == 1
        parts = tuple(self._rescaled(source, f"{layer.name}.{part}", joined, vector) for source, part in pair)
        return ConcatLayer(layer.name, parts)

    def _rescaled(self, source: str, name: str, output: Signal, vector: bool) -> str:
        """Append a layer that brings the codes of `source` to another signal; return its name, or `source`.

        It is a pool of one pixel; of a vector the sum with itself, at half of its step.
        """
        signal = self.signals[source]
        if signal == output:
            return source
        if vector:
            bits, scale = sum_bits([2], [signal.format]), self._requantize(np.array([signal.step / 2]), output, name)
            return self._append(AddLayer(name, (source, source), (1, 1), bits, False, scale, output))
        scale = self._requantize(np.array([signal.step]), output, name)
        bits = sum_bits([1], [signal.format])
        return self._append(AvgPoolLayer(name, (source,), Window((1, 1)), bits, False, scale, output))

    def _requantize(self, steps: NDArray[np.float64], output: Signal, name: str) -> Requantize:
        """Return what brings accumulators of these `steps` to codes of `output`."""
        return requantization(steps / output.step, name, self.multiplier_bits)


def absorbed_relus(network: Network) -> dict[str, str]:
    """Return which ReLU (by name), or clip, is taken in by the requantisation of which layer.

    A ReLU may also follow max pools or a flatten of that layer's output: max(x, 0) is monotone, so that they commute.
    """
    absorbed: dict[str, str] = {}
    for layer in network.layers:
        if not isinstance(layer, ReLU | Clip):
            continue
        source = layer.inputs[0]
        while source != INPUT and len(network.consumers(source)) == 1:
            before = network[source]
            if isinstance(before, Weighted | Add | Mul | AvgPool | GlobalAvgPool):
                absorbed[layer.name] = source
            if not isinstance(before, MaxPool | Flatten):
                break
            source = before.inputs[0]
    return absorbed
