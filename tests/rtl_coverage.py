"""Functional coverage of the jobs that the hardware runs: named corners, each of which some layer must have met.

Everything is counted from the Program, the codes and golden's accumulators; nothing here asks the hardware.
"""

from collections import Counter
from dataclasses import replace
from string import digits
from typing import Any

import numpy as np
from programs import signal
from rtl_layers import ARRAY, FORMATS, PATTERNS, Codes

from accel.cost.cycles import tiles_of
from accel.fixedpoint import FixedFormat, Overflow, Rounding, round_shift
from accel.network import Window
from accel.program import AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, Program, ProgramLayer
from rtl.emit import Job
from sim import golden

KINDS = ("conv", "linear", "max", "avg")
CORNERS = (
    "one tap",
    "a group's list has one entry",
    "one strided tap of many",
    "K < drain rows",
    "K = 1 and all lanes drain",
    "nothing kept in a group",
    "nothing pruned",
    "several groups share a list",
    "several groups with lists of their own",
    "partial group",
    "partial tile",
    "several tiles in a row",
    "padding",
    "padding on one side",
    "stride 2",
    "stride 2 over several tiles",
    "kernel 11x11",
    "kernel not square",
    "overlapping max pool",
    "padded max pool",
    "negative maximum at the padding",
    "padded average",
    "lowest and highest code together",
    "lowest weight at lowest signal",
    "accumulator as wide as the array's",
    "raw output",
    "relu of a negative accumulator",
    "multiplier for each output",
    "multiplier of 16 bits",
    "shift of 0",
    "shift of 60",
    "two layers",
)
BINS = (
    *(f"kind {kind}" for kind in KINDS),
    *(f"pattern {pattern}" for pattern in PATTERNS),
    *(f"weights of {bits} bits" for bits in range(2, 9)),
    *(f"input {form.width} bits, signed {form.signed}" for form in FORMATS),
    *(f"{mode.name}: tie {side} zero" for mode in Rounding for side in ("above", "below")),
    *(f"{mode.name}: {side}" for mode in Overflow for side in ("too high", "too low")),
    *(f"{form}: {side}" for form in FORMATS for side in ("too high", "too low")),
    *CORNERS,
)


class Coverage:
    """How many layers hit each of `BINS`, from what golden gives for the jobs that are seen."""

    def __init__(self) -> None:
        self.hits = Counter(dict.fromkeys(BINS, 0))

    @property
    def empty(self) -> list[str]:
        """The bins that nothing hit."""
        return [name for name, hits in self.hits.items() if not hits]

    def see(self, job: Job) -> None:
        """Count what `job` meets."""
        tensors = golden.run(job.program, job.codes)
        layers = [layer for layer in job.program.layers if not isinstance(layer, FlattenLayer)]
        self._count({"two layers": len(layers) > 1})
        for layer in layers:
            x, form = tensors[layer.inputs[0]], job.program.signals[layer.inputs[0]].format
            ends = x.min() == form.min_code and x.max() == form.max_code
            self._count(
                {f"kind {layer.name.rstrip(digits)}": True, f"input {form.width} bits, signed {form.signed}": True}
            )
            self._count({"lowest and highest code together": ends})
            self._tiles(job.program, layer)
            if layer.window:
                self._window(layer, layer.window, tensors[layer.name])
            if isinstance(layer, MacLayer):
                self._weights(layer, x, form)
            if not isinstance(layer, MaxPoolLayer) and layer.requantize:
                self._requantize(layer, x)

    def _count(self, met: dict[str, Any]) -> None:
        for name, hit in met.items():
            assert name in self.hits, name
            self.hits[name] += bool(hit)

    def _tiles(self, of: Program, layer: ProgramLayer) -> None:
        tiles, width = tiles_of(of, layer, ARRAY), (*of.shapes[layer.name], 1, 1)[2]
        steps, rows = zip(*tiles, strict=True)
        several = width > ARRAY.pixel_lanes
        self._count(
            {
                "K < drain rows": any(k < d for k, d in zip(steps[1:], rows, strict=False)),
                "K = 1 and all lanes drain": (1, ARRAY.output_lanes) in tiles[:-1],
                "partial tile": width % ARRAY.pixel_lanes,
                "several tiles in a row": several,
                "stride 2 over several tiles": several and layer.window and layer.window.stride == (2, 2),
            }
        )

    def _window(self, layer: Any, window: Window, output: Codes) -> None:
        padded, largest = any(window.padding), isinstance(layer, MaxPoolLayer)
        self._count(
            {
                "one tap": window.taps == 1,
                "padding": padded,
                "padding on one side": len({bool(side) for side in window.padding}) == 2,
                "stride 2": window.stride == (2, 2),
                "kernel 11x11": window.kernel == (11, 11),
                "kernel not square": window.kernel[0] != window.kernel[1],
                "overlapping max pool": largest and max(window.kernel) > window.stride[0],
                "padded max pool": largest and padded,
                "negative maximum at the padding": largest and window.padding[0] and (output[:, :, 0] < 0).any(),
                "padded average": isinstance(layer, AvgPoolLayer) and padded,
            }
        )

    def _weights(self, layer: MacLayer, x: Codes, form: FixedFormat) -> None:
        outputs, _, taps = layer.shape
        kept, lanes = layer.kept, ARRAY.output_lanes
        groups = [np.flatnonzero(kept[first : first + lanes].any(axis=0)) for first in range(0, outputs, lanes)]
        same = all(np.array_equal(columns, groups[0]) for columns in groups)
        counts, lowest = kept.sum(axis=2), -(1 << (layer.weight_bits - 1))
        self._count(
            {
                f"pattern {layer.pattern}": True,
                f"weights of {layer.weight_bits} bits": True,
                "a group's list has one entry": any(np.unique(columns // taps).size == 1 for columns in groups),
                "one strided tap of many": "ikss" in layer.pattern and taps > 1 and (counts == 1).any(),
                "nothing kept in a group": any(not columns.size for columns in groups),
                "nothing pruned": kept.all(),
                "several groups share a list": len(groups) > 1 and same and not kept.all(),
                "several groups with lists of their own": not same,
                "partial group": outputs % lanes,
                "lowest weight at lowest signal": form.signed and lowest in layer.weights and form.min_code in x,
                "accumulator as wide as the array's": layer.accumulator_bits == ARRAY.accumulator_bits,
                "raw output": layer.requantize is None,
            }
        )

    def _requantize(self, layer: MacLayer | AvgPoolLayer, x: Codes) -> None:
        accumulators, form, requantize = accumulators_of(layer, x), layer.output.format, layer.requantize
        rectified = np.maximum(accumulators, 0) if layer.relu else accumulators
        products = rectified * requantize.multipliers.astype(np.int64).reshape(-1, *[1] * (rectified.ndim - 2))
        shift, half = requantize.shift, 1 << max(requantize.shift - 1, 0)
        ties = (products & ((1 << shift) - 1) == half) & (shift > 0)
        rounded = round_shift(products, shift, form.rounding)
        high, low = (rounded > form.max_code).any(), (rounded < form.min_code).any()
        self._count(
            {
                f"{form.rounding.name}: tie above zero": (ties & (products > 0)).any(),
                f"{form.rounding.name}: tie below zero": (ties & (products < 0)).any(),
                f"{form.overflow.name}: too high": high,
                f"{form.overflow.name}: too low": low,
                f"{form}: too high": high,
                f"{form}: too low": low,
                "relu of a negative accumulator": layer.relu and (accumulators < 0).any(),
                "multiplier for each output": requantize.multipliers.size > 1,
                "multiplier of 16 bits": requantize.multiplier_bits == 16,
                "shift of 0": shift == 0,
                "shift of 60": shift == 60,
            }
        )


def accumulators_of(layer: MacLayer | AvgPoolLayer, x: Codes) -> Codes:
    """Return the accumulators of a layer before its ReLU."""
    if isinstance(layer, AvgPoolLayer):
        return layer.window.patches(layer.window.pad(x)).sum(axis=(-2, -1))
    return golden.mac(replace(layer, relu=False, requantize=None, output=signal(layer.accumulator_bits)), x)
