"""What a Program needs so that ONNX's float arithmetic gives its very codes; what does not have it is refused.

In QCDQ and QONNX a layer computes in float32 on real values, code * step. With steps that are powers of two every such
number is an integer times a power of two, and float32 holds integers up to 2**24: as long as no sum of magnitudes
exceeds that, no operation rounds, in whatever order a runtime adds. What is left is one division by a power of two and
one rounding to nearest, ties to even, in QuantizeLinear (https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html),
which is RND_CONV. QLinearConv rounds the same, and turns its int32 sum into float32 before.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.fixedpoint import SATURATING, FixedFormat, Overflow, Rounding
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer, ProgramLayer
from accel.signal import Requantize, Signal

FLOAT_BITS = 24  # float32 holds every integer up to 2**24
MOST_SUMS = 1 << 22  # that are tried one by one
EXPONENTS = 100  # steps within 2**-100 .. 2**100 keep every number a normal float32
Accumulating = MacLayer | AvgPoolLayer | AddLayer
POWER_HINT = "quantise with power-of-two steps (espalier quantize --power-of-two)"
ROUNDING_HINT = "quantise with --rounding RND_CONV"


def check_program(
    program: Program, target: str, rounds: Callable[[FixedFormat, bool], bool], integers: bool = False
) -> None:
    """Raise EspalierError, naming the layer and what to change, unless float32 gives every code of `program`.

    `rounds` says whether the target can round as a format asks, given whether values may be negative; with `integers`
    its sums are words of 32 bits, which saturate before they are floats (`saturating_sum`).
    """
    _check_step("input", program.input_signal.step)
    check_format("input", program.input_signal.format, target)
    if not rounds(program.input_signal.format, program.input_signal.format.signed):
        raise _rounding("input", program.input_signal.format, target)
    for layer in program.layers:
        if isinstance(layer, Accumulating):
            _check_accumulating(program, layer, target, rounds, integers)


def float_notes(program: Program) -> tuple[str, ...]:
    """Return a line if a runtime that computes in float32 may give other codes than the file's numbers say."""
    try:
        for layer in program.layers:
            if isinstance(layer, Accumulating):
                steps = [float(step) for step in accumulator_steps(program, layer)]
                exact = all(map(is_power_of_two, (*steps, layer.output.step)))
                if not exact or largest_sum(program, layer) > 1 << FLOAT_BITS:
                    raise EspalierError(layer.name)
    except EspalierError as error:
        layer_name = str(error).split(":")[0]
        return (f"{layer_name}: float32 is not exact here; codes are those of the file's numbers as reals",)
    return ()


def offset_notes(program: Program) -> tuple[str, ...]:
    """Return a line if layers add offsets to their sums, which take memory and an adder."""
    scales = [layer.requantize for layer in program.layers if isinstance(layer, Accumulating)]
    count = sum(scale is not None and scale.offsets is not None for scale in scales)
    adds = "adds a fraction of a step to its sums" if count == 1 else "add a fraction of a step to their sums"
    return (f"{count} of {len(program.layers)} layers {adds}, as the file's biases and batch norms do",) * (count > 0)


def accumulator_steps(program: Program, layer: Accumulating) -> NDArray[np.float64]:
    """Return the real value of code 1 of a layer's accumulators, (1,) or (M,).

    Raises
    ------
    EspalierError
        An addition's weights do not bring two steps to one exactly.
    """
    steps = [program.signals[source].step for source in layer.inputs]
    if isinstance(layer, MacLayer):
        return layer.weight_steps * steps[0]
    if isinstance(layer, AvgPoolLayer):
        return np.array([steps[0] / layer.window.taps])
    left, right = (step / weight for step, weight in zip(steps, layer.weights, strict=True))
    if left != right:
        raise EspalierError(f"{layer.name}: its weights {layer.weights} only nearly match two steps; {POWER_HINT}")
    return np.array([left])


def largest_sum(program: Program, layer: Accumulating) -> int:
    """Return what no sum of magnitudes in an accumulator of `layer` exceeds."""
    most = [max(-x.min_code, x.max_code) for x in (program.signals[source].format for source in layer.inputs)]
    if isinstance(layer, MacLayer):
        return int((np.abs(layer.matrix).sum(axis=1) * most[0] + np.abs(layer.bias)).max())
    weights = (layer.window.taps,) if isinstance(layer, AvgPoolLayer) else layer.weights
    return sum(weight * code for weight, code in zip(weights, most, strict=True))


def code_range(form: FixedFormat) -> tuple[int, int]:
    """Return the lowest and the highest code that a saturating format gives.

    >>> [code_range(FixedFormat(width, width, overflow=Overflow.SAT_SYM)) for width in (4, 1)]
    [(-7, 7), (-1, 0)]
    """
    lowest = form.min_code | 1 if form.overflow == Overflow.SAT_SYM and form.signed else form.min_code
    return lowest, form.max_code


def never_rounds(requantize: Requantize) -> bool:
    """Return whether requantisation of every integer is an integer."""
    return not (requantize.multipliers.astype(np.int64) % (1 << requantize.shift)).any()


def check_format(name: str, form: FixedFormat, target: str) -> None:
    """Raise EspalierError unless codes of `form` saturate."""
    if form.overflow not in SATURATING:
        raise EspalierError(
            f"{name}: its codes overflow by {form.overflow.name}, {target} saturates; quantise with --overflow SAT"
        )


def is_power_of_two(value: float) -> bool:
    """Return whether a positive number is a power of two."""
    return math.frexp(value)[0] == 0.5


def divides(layer: Accumulating) -> bool:
    """Return whether a layer is a mean whose divisor makes its step no power of two."""
    return isinstance(layer, AvgPoolLayer) and not is_power_of_two(layer.window.taps)


def mean_divisor(program: Program, layer: AvgPoolLayer) -> float | None:
    """Return the float32 that sums of codes are divided by, so that rounding gives every code; None if there is none.

    Every sum there can be is tried, as float32 divides it and ties go to even.
    """
    form, (low, high) = layer.output.format, code_range(layer.output.format)
    reads = program.signals[layer.inputs[0]].format
    least, most = min(0, layer.window.taps * reads.min_code), layer.window.taps * reads.max_code
    if most - least > MOST_SUMS:
        return None
    sums = np.arange(0 if layer.relu else least, most + 1)
    codes = layer.requantize.apply(sums.reshape(1, 1, -1), form).ravel()
    nearest = np.float32(2.0**layer.requantize.shift / float(layer.requantize.multipliers[0]))
    for divisor in (nearest, np.nextafter(nearest, np.float32(0)), np.nextafter(nearest, np.float32(np.inf))):
        if (np.clip(np.rint(sums.astype(np.float32) / divisor), low, high) == codes).all():
            return float(divisor)
    return None


def saturating_sum(layer: Accumulating) -> int | None:
    """Return a bound at which sums may be cut because their codes saturate there, if float32 holds it; else None."""
    if layer.requantize is None or layer.output.format.overflow not in SATURATING:
        return None
    least = layer.requantize.multipliers.min() / 2.0**layer.requantize.shift
    bound = math.ceil((max(map(abs, code_range(layer.output.format))) + 1) / least)
    return bound if bound <= 1 << FLOAT_BITS else None


def _check_mean(program: Program, layer: AvgPoolLayer, target: str) -> None:
    """Raise EspalierError unless a division in float32 gives every code of a mean."""
    _check_step(layer.name, layer.output.step)
    check_format(layer.name, layer.output.format, target)
    if mean_divisor(program, layer) is None:
        raise EspalierError(
            f"{layer.name}: no float32 divides sums of {layer.window.taps} codes so that {target} gives every code; "
            f"{ROUNDING_HINT}, or fewer bits of signals"
        )


def _check_accumulating(
    program: Program, layer: Accumulating, target: str, rounds: Callable[[FixedFormat, bool], bool], integers: bool
) -> None:
    if divides(layer):
        assert isinstance(layer, AvgPoolLayer)  # as `divides` says
        _check_mean(program, layer, target)
        return
    steps = accumulator_steps(program, layer)
    weight_steps = layer.weight_steps if isinstance(layer, MacLayer) else ()
    for step in (*steps, *weight_steps, layer.output.step):
        _check_step(layer.name, float(step))
    if isinstance(layer, MacLayer) and layer.accumulator_overflow is not None:
        raise EspalierError(
            f"{layer.name}: its accumulator overflows at {layer.accumulator_bits} bits, those of {target} hold every "
            "sum; quantise without --accumulator-bits"
        )
    most = largest_sum(program, layer)
    if most > 1 << FLOAT_BITS and not (integers and most < 1 << 31 and saturating_sum(layer)):
        instead = "" if integers else "export as qlinear, whose sums are integers, or "
        raise EspalierError(
            f"{layer.name}: its sums reach {most}, float32 holds integers up to {1 << FLOAT_BITS}; "
            f"{instead}quantise with fewer bits of weights or signals"
        )
    if layer.requantize is None:
        if steps.size > 1 and (steps != steps[0]).any():
            raise EspalierError(f"{layer.name}: its scores have a step for each output, expected one")
        return
    if layer.requantize.offsets is not None:
        raise EspalierError(
            f"{layer.name}: adds a fraction of a step to its sums, which {target} does not; pass on the file that "
            "it was imported from, or export for HLS"
        )
    quotient = steps / layer.output.step
    if (layer.requantize.multipliers / 2.0**layer.requantize.shift != quotient).any():
        raise EspalierError(f"{layer.name}: its multipliers are not the quotient of its steps; {POWER_HINT}")
    check_format(layer.name, layer.output.format, target)
    negative = not layer.relu and layer.output.format.signed
    if not never_rounds(layer.requantize) and not rounds(layer.output.format, negative):
        raise _rounding(layer.name, layer.output.format, target)


def _check_step(name: str, step: float) -> None:
    if not is_power_of_two(step) or abs(math.frexp(step)[1]) > EXPONENTS:
        raise EspalierError(f"{name}: its step {step:g} is no power of two; {POWER_HINT}")


def _rounding(name: str, form: FixedFormat, target: str) -> EspalierError:
    return EspalierError(f"{name}: rounds by {form.rounding.name}, which {target} does not; {ROUNDING_HINT}")


def half_even(form: FixedFormat, negative: bool) -> bool:
    """Return whether QuantizeLinear rounds as `form` does."""
    return form.rounding == Rounding.RND_CONV


def signal_of_scores(layer: ProgramLayer) -> Signal | None:
    """Return the signal of a layer that hands out its accumulators, or None."""
    return layer.output if isinstance(layer, Accumulating) and layer.requantize is None else None
