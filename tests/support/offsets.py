"""Programs whose requantisations have offsets: those of others, with a fraction of a step added to each sum."""

from dataclasses import replace
from typing import Any

import numpy as np

from accel.program import Program
from accel.program_layers import ProgramLayer
from accel.signal import PRODUCT_BITS, Requantize


def with_offsets(of: Program, rng: np.random.Generator) -> Program:
    """Return a Program with an offset for each output, or one for all, of each layer that requantises its sums."""
    return replace(of, layers=tuple(_with_offsets(layer, rng) for layer in of.layers))


def _with_offsets(layer: ProgramLayer, rng: np.random.Generator) -> Any:
    scale: Requantize | None = getattr(layer, "requantize", None)
    if scale is None:
        return layer
    multipliers, shift = scale.multipliers.astype(np.int64), scale.shift
    room = PRODUCT_BITS - layer.accumulator_bits - scale.multiplier_bits  # type: ignore[attr-defined]
    if multipliers.max() == 1 and room > 2:  # of a multiplier of 1 there is no fraction
        multipliers, shift = multipliers * 5, min(60, shift + 2)
    outputs = getattr(layer, "shape", (1,))[0] if rng.random() < 0.7 else 1
    most = multipliers - 1 if outputs > 1 else multipliers.min()[None] - 1
    most = np.broadcast_to(most, outputs)
    offsets = most if rng.random() < 0.3 else rng.integers(0, most, endpoint=True)
    return replace(layer, requantize=Requantize(multipliers, shift, offsets))  # type: ignore[call-arg]
