"""Search for the lowest error rate of the network around the steps that a rule gives.

The least squared error of a layer is not the least error of the network. Hwang and Sung search around it; how they walk
is not known. Ours: one operand at a time is scaled by a few factors while the others stay, and passes over all operands
are made until one changes nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel.budget import Judge, Spent
from accel.errors import EspalierError
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer, MulLayer
from accel.progress import Listener
from accel.quantize.operands import Operand
from accel.quantize.steps import L2, Steps

Scales = tuple[float, ...]  # of each operand
FACTORS = tuple(2.0 ** (quarter / 4) for quarter in (-2, -1, 1, 2))
POWERS = (0.5, 2.0)  # the factors of steps that stay powers of two
DEFAULT_BUDGET = 200  # evaluations: two or three passes over the operands of a small network


def search_steps(
    lowered: Callable[[Steps], Program],
    error_rate: Callable[[Program], float],
    start: Steps = L2,
    *,
    factors: Sequence[float] | None = None,
    budget: int = DEFAULT_BUDGET,
    progress: Listener | None = None,
) -> Steps:
    """Return steps, all of them given, with which the error rate is no higher than with those of `start`.

    Parameters
    ----------
    lowered : function
        From steps to the Program that has them: `lower` with everything else held.
    error_rate : function
        From a Program to its error rate, 0..1, on a validation set.
    start : Steps
    factors : sequence of float
        What the step of an operand may be multiplied by, beside 1; by default `FACTORS`, `POWERS` for powers of two.
        A step with which there is no Program is passed over.
    budget : int
        The most evaluations of `error_rate`, that of the start included.
    progress : function, optional
        Called with a `Progress` after each evaluation.

    Returns
    -------
    Steps
        Of the lowest error rate that was met; of several such, those nearest to the start (by the sum of |log factor|).

    Raises
    ------
    EspalierError
        A factor is not positive, or leads off the powers of two; the budget is less than 1; an error rate is not 0..1.
    """
    factors = (POWERS if start.power_of_two else FACTORS) if factors is None else tuple(map(float, factors))
    if not all(math.isfinite(factor) and factor > 0 for factor in factors):
        raise EspalierError(f"factors of steps must be positive numbers, got {', '.join(map(str, factors))}")
    found = steps_of(lowered(start))
    judge: Judge[Scales] = Judge(
        lambda scales: _rate(lowered, error_rate, _scaled(start, found, scales)), budget, progress
    )

    def rank(scales: Scales) -> tuple[float, float, Scales]:
        return judge(scales), sum(abs(math.log(scale)) for scale in scales), scales

    with suppress(Spent):
        before: Scales | None = None
        best: Scales = (1.0,) * len(found)
        while best != before:
            before = best
            for index in range(len(found)):
                choices: list[Scales] = [(*best[:index], factor, *best[index + 1 :]) for factor in (1.0, *factors)]
                best = min(choices, key=rank)
    best = min(judge.rates, key=rank)
    return _scaled(start, found, best)


def steps_of(program: Program) -> dict[Operand, NDArray[np.float64]]:
    """Return the steps (1,) or (M,) of every operand of a Program, of each layer its weights first."""
    steps: dict[Operand, NDArray[np.float64]] = {}
    for layer in program.layers:
        if isinstance(layer, MacLayer):
            steps[Operand("weights", layer.name)] = layer.weight_steps
        if isinstance(layer, MacLayer | AvgPoolLayer | AddLayer | MulLayer) and layer.requantize:
            steps[Operand("signals", layer.name)] = np.array([layer.output.step])
    return steps


def _scaled(start: Steps, found: Mapping[Operand, NDArray[np.float64]], scales: Sequence[float]) -> Steps:
    scaled = {operand: steps * scale for (operand, steps), scale in zip(found.items(), scales, strict=True)}
    return replace(
        start,
        weights={operand.layer: steps for operand, steps in scaled.items() if operand.kind == "weights"},
        signals={operand.layer: float(steps[0]) for operand, steps in scaled.items() if operand.kind == "signals"},
    )


def _rate(lowered: Callable[[Steps], Program], error_rate: Callable[[Program], float], steps: Steps) -> float:
    """Return the error rate, or the highest that there is where no multiplier or accumulator holds the steps."""
    try:
        program = lowered(steps)
    except EspalierError:
        return 1.0
    return error_rate(program)
