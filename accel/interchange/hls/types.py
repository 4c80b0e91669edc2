"""The fixed-point types of a Program's tensors for HLS, and where their binary points lie.

If every step is a power of two, a type holds the real value: its binary point says the step, and an assignment from
accumulator to output is the whole requantisation. Otherwise types hold codes, and a layer has multipliers, which are
fixed-point numbers too: ``output = accumulator * multiplier``, with the shift in the multiplier's binary point, plus an
offset where layers have any.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.fixedpoint import EXPONENT_LIMIT, FixedFormat, Overflow
from accel.interchange.exactness import Accumulating, accumulator_steps, is_power_of_two
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer
from accel.signal import Signal

DOUBLE_BITS = 53  # of a constant that is written as a double
MOST_EXPONENT = EXPONENT_LIMIT // 4  # of a step that becomes a binary point; products of two stay within the limit


@dataclass(frozen=True)
class Constants:
    """Numbers of one type: codes, and the exponent of the value of code 1."""

    form: FixedFormat
    codes: NDArray[np.int64]

    def words(self) -> list[str]:
        """Return the values as C++ writes them, exactly."""
        exponent = -self.form.fraction_bits
        if exponent >= 0:
            return [str(int(code) << exponent) for code in self.codes.ravel()]
        return [repr(math.ldexp(float(code), exponent)).removesuffix(".0") for code in self.codes.ravel()]


class Types:
    """The formats of a Program's tensors, weights, biases, accumulators, multipliers and offsets."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.real = _has_binary_points(program)

    def signal(self, signal: Signal) -> FixedFormat:
        """Return the format of a tensor."""
        form = signal.format
        modes = form.signed, form.rounding, form.overflow, form.saturation_bits
        return FixedFormat(form.width, form.width + self._exponent(signal.step), *modes)

    def weights(self, layer: MacLayer) -> Constants:
        """Return the stored weights, in issue order."""
        exponent = self._exponent(float(layer.weight_steps[0]))
        return Constants(FixedFormat(layer.weight_bits, layer.weight_bits + exponent), layer.weights.astype(np.int64))

    def biases(self, layer: MacLayer) -> Constants:
        """Return the biases."""
        return Constants(FixedFormat(layer.bias_bits, layer.bias_bits + self._sum_exponent(layer)), layer.bias)

    def accumulator(self, layer: Accumulating) -> FixedFormat:
        """Return the format of a layer's sums; one that is too narrow overflows at every assignment."""
        overflow = layer.accumulator_overflow if isinstance(layer, MacLayer) else None
        bits = layer.accumulator_bits
        exponent = self._sum_exponent(layer)
        return FixedFormat(bits, bits + exponent, overflow=Overflow.WRAP if overflow is None else overflow)

    def multipliers(self, layer: Accumulating) -> Constants | None:
        """Return what the sums are multiplied by, or None if an assignment does it."""
        if layer.requantize is None or (self.real and not isinstance(layer, AvgPoolLayer)):
            return None
        if self.real:  # the mean of a power of two of values
            assert isinstance(layer, AvgPoolLayer)
            return Constants(FixedFormat(1, 1 - int(math.log2(layer.window.taps)), signed=False), np.ones(1, np.int64))
        bits = layer.requantize.multiplier_bits
        form = FixedFormat(bits, bits - layer.requantize.shift, signed=False)
        return Constants(form, layer.requantize.multipliers.astype(np.int64))

    def offsets(self, layer: Accumulating) -> Constants | None:
        """Return what is added to the products, or None if nothing is."""
        if layer.requantize is None or layer.requantize.offsets is None:
            return None
        bits = layer.requantize.offset_bits
        form = FixedFormat(bits, bits - layer.requantize.shift, signed=False)
        return Constants(form, layer.requantize.offsets.astype(np.int64))

    def addends(self, layer: AddLayer) -> tuple[int, int]:
        """Return what the two sides of an addition are multiplied by: nothing where binary points do it."""
        return (1, 1) if self.real else layer.weights

    def _exponent(self, step: float) -> int:
        return int(math.log2(step)) if self.real else 0

    def _sum_exponent(self, layer: Accumulating) -> int:
        if isinstance(layer, AvgPoolLayer):
            return self._exponent(self.program.signals[layer.inputs[0]].step)
        return self._exponent(float(accumulator_steps(self.program, layer)[0])) if self.real else 0


def ac_fixed(form: FixedFormat) -> str | None:
    """Return a format as Algorithmic C writes it, or None: it has no WRAP_SM and saturates no bits of a wrap.

    >>> ac_fixed(FixedFormat.parse("ap_ufixed<8,3,AP_RND_CONV,AP_SAT>"))
    'ac_fixed<8,3,false,AC_RND_CONV,AC_SAT>'
    """
    if form.overflow == Overflow.WRAP_SM or form.saturation_bits:
        return None
    sign = "true" if form.signed else "false"
    return f"ac_fixed<{form.width},{form.integer_bits},{sign},AC_{form.rounding.name},AC_{form.overflow.name}>"


def _has_binary_points(program: Program) -> bool:
    """Return whether real values of fixed-point types, assigned to one another, compute the Program."""
    if not all(_is_point(signal.step) for signal in program.signals.values()):
        return False
    return all(_assigns(program, layer) for layer in program.layers if isinstance(layer, Accumulating))


def _assigns(program: Program, layer: Accumulating) -> bool:
    try:
        steps = accumulator_steps(program, layer)
    except EspalierError:  # an addition whose weights only nearly match two steps
        return False
    if not all(map(_is_point, steps)) or (steps != steps[0]).any():
        return False
    if isinstance(layer, MacLayer) and layer.bias_bits > DOUBLE_BITS:
        return False
    if layer.requantize is None:
        return bool(steps[0] == layer.output.step)
    if layer.requantize.offsets is not None:
        return False
    ratio = layer.requantize.multipliers / 2.0**layer.requantize.shift
    return bool((ratio == steps[0] / layer.output.step).all())


def _is_point(step: float) -> bool:
    return is_power_of_two(step) and abs(math.frexp(step)[1]) <= MOST_EXPONENT
