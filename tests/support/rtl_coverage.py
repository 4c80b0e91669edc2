"""Functional coverage of the jobs that the hardware runs: named corners, each of which some layer must have met.

Everything is counted from the Program, its lists as they are stored, the codes and golden's accumulators; nothing here
asks the hardware.
"""

from collections import Counter
from dataclasses import replace
from string import digits
from typing import Any

import numpy as np

from accel.array import TILE_CYCLES, MacArray
from accel.combined import pays
from accel.cost.cycles import tiles_of
from accel.fixedpoint import FixedFormat, Overflow, Rounding, round_shift
from accel.fusion import bounds_of, computing, drained, fused_pools
from accel.lines import lines_of
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    ConcatLayer,
    MacLayer,
    MaxPoolLayer,
    ProgramLayer,
    ReluLayer,
)
from accel.segments import segments_of
from accel.split import splits, windows_of
from accel.walk import combined_of, walk_of
from accel.window import Window
from rtl.assemble import assemble
from rtl.emit import Job
from rtl.image import Image
from sim import golden
from support.programs import signal
from support.rtl_corners import CORNERS, KINDS
from support.rtl_layers import ARRAY, FORMATS, PATTERNS, Codes

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

    def see(self, job: Job, array: MacArray = ARRAY) -> None:
        """Count what `job` meets on `array`."""
        tensors, image = golden.run(job.program, job.codes), assemble(job.program, array)
        layers, pools = computing(job.program, array), fused_pools(job.program, array)
        self._count({"two layers": len(layers) > 1})
        self._count({"an image loaded while one runs": array.overlap and len(job.codes) > 1})
        self._joins(job.program)
        self._bounds(job.program, array, tensors)
        for place, layer in enumerate(layers):
            x, form = tensors[layer.inputs[0]], job.program.signals[layer.inputs[0]].format
            ends = x.min() == form.min_code and x.max() == form.max_code
            self._count(
                {f"kind {layer.name.rstrip(digits)}": True, f"input {form.width} bits, signed {form.signed}": True}
            )
            self._count({"lowest and highest code together": ends})
            self._tiles(job.program, layer, array)
            self._lists(image, place)
            self._rows(layer, job.program, array)
            if layer.name in pools:
                self._pools(layer, pools[layer.name], job.program, array, tensors)
            if window := getattr(layer, "window", None):
                self._window(layer, window, tensors[layer.name])
            match layer:
                case MacLayer():
                    self._weights(layer, x, form, array)
                    self._splits(layer, job.program, array)
                    self._lines(layer, job.program, array)
                    self._combined(layer, job.program, array)
                case AddLayer():
                    self._addition(layer, job.program, array)
                case ReluLayer():
                    self._count({"relu of a negative code": (x < 0).any()})
            if getattr(layer, "requantize", None):
                self._requantize(layer, *(tensors[source] for source in layer.inputs))

    def _count(self, met: dict[str, Any]) -> None:
        for name, hit in met.items():
            assert name in self.hits, name
            self.hits[name] += bool(hit)

    def _tiles(self, of: Program, layer: ProgramLayer, array: MacArray) -> None:
        tiles, (height, width) = tiles_of(of, layer, array), (*of.shapes[layer.name], 1, 1)[1:3]
        steps, rows = tiles.T.tolist()
        several, window = width > array.pixel_lanes, getattr(layer, "window", None)
        pairs = list(zip(steps[1:], rows, strict=False))
        self._count(
            {
                "K < drain rows": any(k < d for k, d in pairs),
                "K = 1 and all lanes drain": [1, array.output_lanes] in tiles[:-1].tolist(),
                "tile shorter than the walk": any(max(k, d) < TILE_CYCLES for k, d in pairs),
                "partial tile": width % array.pixel_lanes,
                "several tiles in a row": several,
                "stride 2 over several tiles": several and window and window.stride == (2, 2),
                "two strides": several and height > 1 and window and window.stride[0] != window.stride[1],
                "stride above 2 across": several and window and window.stride[1] > 2,
                "stride above 2 down": height > 1 and window and window.stride[0] > 2,
            }
        )

    def _lists(self, image: Image, place: int) -> None:
        words = image.layers[place]
        behind = [after["list"] for after in image.layers[place + 1 :]]
        lengths = list_lengths(image, words["list"], behind[0] if behind else len(image.entries))
        counted = words["maps_behind"] + 1 if words.get("counter") else 0
        self._count(
            {
                "list of one entry": 1 in lengths,
                "list of two entries": 2 in lengths,
                "counter of one entry": counted == 1,
                "counter of two entries": counted == 2,
            }
        )

    def _joins(self, of: Program) -> None:
        joins = [layer for layer in of.layers if isinstance(layer, ConcatLayer)]
        for layer in joins:
            sources, copied = [of.roots[source] for source in layer.inputs], len(of.reads(layer))
            self._count(
                {
                    "joined side by side": not copied,
                    "joined vectors": len(of.shapes[layer.name]) == 1,
                    "joined with the image": INPUT in sources,
                    "joined with itself": sources[0] == sources[1],
                    "join of a join": {*sources} & {join.name for join in joins},
                    "one input of a join copied": copied == 1,
                    "both inputs of a join copied": copied == 2,
                    "join that leaves the chip": layer.name == of.output,
                }
            )

    def _bounds(self, of: Program, array: MacArray, tensors: Any) -> None:
        for layer in computing(of, array):
            behind, (floor, bound) = drained(of, array).get(layer.name, ()), bounds_of(of, layer, array)
            kinds, clips = [type(x) for x in (layer, *behind)], isinstance(layer, ClipLayer)
            places = [place for place, kind in enumerate(kinds) if kind is ClipLayer and place]
            before = tensors[layer.inputs[0] if clips else layer.name]
            pool = kinds[1:].index(MaxPoolLayer) + 1 if MaxPoolLayer in kinds[1:] else None
            self._count(
                {
                    "relu in the drain": ReluLayer in kinds[1:],
                    "clip in the drain": places,
                    "clip in the drain before a pool": places and pool and places[0] < pool,
                    "clip in the drain behind a pool": places and pool and places[0] > pool,
                    "clip in the drain of an addition": places and kinds[0] is AddLayer,
                    "clip in the drain of a max pool": places and kinds[0] is MaxPoolLayer,
                    "clip in the drain of rows of a map": places and lines_of(of, layer, array),
                    "clip of its own behind a layer": clips and layer.inputs != (INPUT,),
                    "clip at no code of its format": (clips or places) and (floor, bound) == (None, None),
                    "code above a bound": bound is not None and (before > bound).any(),
                    "code below a bound": floor is not None and (before < floor).any(),
                }
            )

    def _addition(self, layer: AddLayer, of: Program, array: MacArray) -> None:
        signs = {of.signals[source].format.signed for source in layer.inputs}
        self._count(
            {
                "signed and unsigned added": len(signs) == 2,
                "weight of an addition in several words": max(layer.weights) > array.largest_weight,
                "tensor added to itself": layer.inputs[0] == layer.inputs[1],
            }
        )
        if parts := segments_of(of, layer, array):
            self._count(
                {
                    "segments of a sum on lanes": True,
                    "two segments of a sum a step": parts.maps == 2,
                    "segments of a sum on fewer lanes": parts.maps * parts.lanes < array.output_lanes,
                    "segments of a weight of several words": max(parts.weights) > 1,
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

    def _weights(self, layer: MacLayer, x: Codes, form: FixedFormat, array: MacArray) -> None:
        outputs, _, taps = layer.shape
        kept, lanes = layer.kept, array.output_lanes
        groups = [np.flatnonzero(kept[first : first + lanes].any(axis=0)) for first in range(0, outputs, lanes)]
        same = all(np.array_equal(columns, groups[0]) for columns in groups)
        counts, lowest = kept.sum(axis=2), -(1 << (layer.weight_bits - 1))
        self._count(
            {
                f"pattern {layer.pattern}": True,
                f"weights of {layer.weight_bits} bits": True,
                "one strided tap of many": "ikss" in layer.pattern and taps > 1 and (counts == 1).any(),
                "nothing kept in a group": any(not columns.size for columns in groups),
                "nothing pruned": kept.all(),
                "several groups share a list": len(groups) > 1 and same and not kept.all(),
                "several groups with lists of their own": not same,
                "partial group": outputs % lanes,
                "lowest weight at lowest signal": form.signed and lowest in layer.weights and form.min_code in x,
                "accumulator as wide as the array's": layer.accumulator_bits == array.accumulator_bits,
                "raw output": layer.requantize is None,
            }
        )
        self._count({"streamed weights": array.stream_words})
        if array.weights_per_multiplier == 2:
            borrows = any(
                ((layer.matrix[row] < 0) & (layer.matrix[row + 1] == -array.largest_weight - 1)).any()
                for first in range(0, outputs, lanes)
                for row in range(first, min(first + lanes, outputs) - 1, 2)
            )
            self._count({"packed weights": True, "lowest weight beside a negative one in a multiplier": borrows})

    def _splits(self, layer: MacLayer, of: Program, array: MacArray) -> None:
        pixel = set(of.shapes[layer.name][1:]) <= {1}
        self._count({"one pixel that is not split": pixel and not splits(of, layer, array)})
        if not splits(of, layer, array):
            return
        windows, words = windows_of(of, layer, array), np.prod(of.shapes[layer.inputs[0]])
        overlaps = [(np.diff(starts) < array.pixel_lanes).any() for starts in windows.starts]
        self._count(
            {
                "split sums": True,
                "split sums by a counter": windows.pieces,
                "split sums by a list of several windows": not windows.pieces and len(windows.starts[0]) > 2,
                "split sums of a partial group": layer.shape[0] % array.output_lanes,
                "a last window that overlaps": any(overlaps),
                "fewer words than pixel lanes": words < array.pixel_lanes,
                "split sums of a kernel in its padding": layer.window and any(layer.window.padding),
            }
        )

    def _rows(self, layer: ProgramLayer, of: Program, array: MacArray) -> None:
        walk, window = walk_of(of, layer, array), getattr(layer, "window", None)
        self._count(
            {
                "tile past the end of a row": walk.flat,
                "tile past the end of a padded row": walk.flat and any(window.padding),
                "tile past the end of a row, with words between": walk.flat and walk.gap > 0,
                "tile past the end of a row of a pool": walk.flat and not isinstance(layer, MacLayer),
                "tile past the end of a row of pairs": walk.flat and walk.pool,
                "tile of both rows of a pair": walk.merged,
                "tile of both rows of a pair, with words between": walk.merged and walk.pair_gap > 0,
            }
        )

    def _pools(self, layer: MacLayer, pool: MaxPoolLayer, of: Program, array: MacArray, tensors: Any) -> None:
        (height, width), walk = of.shapes[layer.name][1:], walk_of(of, layer, array)
        self._count(
            {
                "fused pool": True,
                "fused pool of signed codes": (tensors[pool.name] < 0).any(),
                "fused pool of an odd row": height % 2,
                "fused pool of an odd column": width % 2,
                "fused pool of a partial tile": walk.width % array.pixel_lanes,
                "fused pool of several tiles in a row": walk.places > 1,
                "fused pool of a partial group": layer.shape[0] % array.output_lanes,
                "fused pool at stride 2": walk.across == 2,
                "fused pool in the padding": any(layer.window.padding),
                "fused pool that leaves the chip": of.roots[of.output] == pool.name,
            }
        )

    def _lines(self, layer: MacLayer, of: Program, array: MacArray) -> None:
        lines, outputs = lines_of(of, layer, array), layer.shape[0]
        alone = outputs == layer.shape[1] > 1 and not layer.kept.any(axis=2)[~np.eye(outputs, dtype=bool)].any()
        self._count({"a depthwise layer of maps on lanes": alone and not lines})
        if lines:
            self._count(
                {
                    "rows of a map on lanes": lines.maps == 1,
                    "rows of two maps on lanes": lines.maps == 2,
                    "rows of two maps of an odd number": outputs % lines.maps,
                    "rows below a map": lines.written > of.shapes[layer.name][1],
                    "tiles of all rows of a map": lines.tall == 1,
                    "even columns first": lines.phases == 2,
                }
            )

    def _combined(self, layer: MacLayer, of: Program, array: MacArray) -> None:
        found, walk = combined_of(of, layer, array), walk_of(of, layer, array)
        self._count({"one map a step of lanes that keep different ones": pays(layer, array) and not found})
        if not found:
            return
        kept, lanes = layer.kept.reshape(len(layer.kept), -1), array.output_lanes
        pairs = [columns[columns[:, 1] >= 0] for columns in found.columns]
        both = [
            kept[group * lanes : (group + 1) * lanes][:, columns].all(axis=2) for group, columns in enumerate(pairs)
        ]
        self._count(
            {
                "two maps a step": True,
                "two maps a step and one in others": sum(map(len, pairs)) < sum(map(len, found.columns)),
                "two maps a step of which a lane keeps both": any(map(np.any, both)),
                "two maps a step in the padding": any(layer.window.padding),
                "two maps a step of a partial group": len(kept) % lanes,
                "two maps a step past the end of a row": walk.flat,
                "two maps a step of a pool": walk.pool,
                "two maps a step of an image": layer.inputs[0] == INPUT,
                "two maps a step of lanes that share a multiplier": array.weights_per_multiplier == 2,
            }
        )

    def _requantize(self, layer: Any, *tensors: Codes) -> None:
        accumulators, form, requantize = accumulators_of(layer, *tensors), layer.output.format, layer.requantize
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


def list_lengths(image: Image, first: int, end: int) -> list[int]:
    """Return how many entries each of the lists has that are stored from entry `first` to `end`."""
    ends = [place for place in range(first, end) if image.entries[place].left == 0]
    return np.diff([first - 1, *ends]).tolist()


def accumulators_of(layer: MacLayer | AvgPoolLayer | AddLayer, x: Codes, *other: Codes) -> Codes:
    """Return the accumulators of a layer before its ReLU."""
    if isinstance(layer, AddLayer):
        return x * layer.weights[0] + other[0] * layer.weights[1]
    if isinstance(layer, AvgPoolLayer):
        return layer.window.patches(layer.window.pad(x)).sum(axis=(-2, -1))
    return golden.mac(replace(layer, relu=False, requantize=None, output=signal(layer.accumulator_bits)), x)
