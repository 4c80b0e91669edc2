"""Recipes of packed layers: everything that `sim.kernels` needs is prepared when a Program is compiled."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer
from accel.window import Window
from sim.kernels import packed as kernels
from sim.kernels import packed_layers
from sim.kernels.dots import LANES, RUNS, Kind
from sim.kernels.requantize_lines import CONSTANTS
from sim.packed.requantize_constants import constants_of
from sim.packed.tensors import Packed, aligned, in_fours
from sim.packed.tiles import MacPlan, summed_pixels
from sim.packed.word_lists import Lists, lists_of, word_codes
from sim.wide import finishing

Buffers = dict[str, Any]
Run = Callable[[Buffers], int]
"""From the buffers of one worker, which hold every tensor, to the MACs executed for one image."""

NO_FLOOR = -(1 << 31)


@dataclass(frozen=True, eq=False)
class Listed:
    """A layer's lists with everything that goes with them, whatever the number of blocks."""

    lists: Lists
    words: NDArray[np.uint32]
    bias: NDArray[np.int32]
    counts: NDArray[np.int64]
    scales: NDArray[np.int64]
    rules: NDArray[np.int64]


def listed(layer: MacLayer, kernel: Kind, source: Packed, output: Packed | None, blocks: int) -> Listed:
    """Return the lists that are cheapest with so many blocks, their weights as `kernel` reads them, and constants."""
    window = layer.window or Window(source.size)
    order = output.order if output else in_fours(np.arange(layer.shape[0]))
    kept = layer.kept.reshape(layer.shape[0], -1, window.taps)
    pairs = window.stride[1] == 1 and window.output_size(*source.size) != (1, 1)
    lists = lists_of(kept, source.order, order, window.kernel, summed_pixels(source, window, blocks), pairs)
    biases = np.append(layer.bias - source.zero * layer.matrix.sum(axis=1), 0)[order]
    scales, rules = finishing(layer, layer.shape[0])
    return Listed(
        lists,
        word_codes(lists.weights(layer.matrix), kernel),
        (biases & 0xFFFFFFFF).astype(np.uint32).view(np.int32),  # sums are exact modulo 2**32, and fit
        lists.counts(kept.reshape(layer.shape[0], -1)),
        np.append(scales, [[1, 0]], axis=0)[order],
        rules,
    )


@dataclass(frozen=True, eq=False)
class MacStep:
    """What runs a packed layer of multiply-accumulates: everything that `sim.kernels.packed.mac` takes."""

    source: str
    target: str
    room_key: str
    kind: Any
    sizes: NDArray[np.int64]
    bands: NDArray[np.int64]
    tiles: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    lists: tuple[NDArray[Any], ...]
    lowering: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    finish: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    constants: NDArray[np.int64] | None
    room: Callable[[], Any]

    def __call__(self, buffers: Buffers) -> int:
        x, room, out = buffers[self.source], buffers[self.room_key], buffers[self.target]
        arguments = self.kind, self.sizes, self.bands, self.tiles, self.lists, self.lowering, self.finish
        return kernels.mac(*arguments, self.constants, x, room, out)

    def lower(self, buffers: Buffers) -> None:
        """Do no more than the first part of every band: lower what the lists read."""
        x, (lowered, *_) = buffers[self.source], buffers[self.room_key]
        copied, spread, columns = self.lowering
        if len(copied) + len(spread):
            for block in range(self.sizes[kernels.BLOCKS]):
                for band in self.bands:
                    first = block * self.sizes[kernels.BLOCK_LINES] + band[kernels.FIRST_LINE]
                    kernels.lower(x, first, band[kernels.LOWERED_ROWS], copied, spread, columns, lowered)

    def unfinished(self) -> "MacStep":
        """Return the step without what follows the dot products: no pixel is one."""
        starts, targets, pixels = self.tiles
        return replace(self, tiles=(starts, np.full_like(targets, -1), pixels))

    def empty(self) -> "MacStep":
        """Return the step with no block to run: what a call costs."""
        sizes = self.sizes.copy()
        sizes[kernels.BLOCKS] = 0
        return replace(self, sizes=sizes)


def mac(plan: MacPlan, listed: Listed, kernel: Kind, name: str) -> MacStep:
    """Return what runs a layer that reads the tensor `name`."""
    source, output = plan.source, plan.output
    bands, *tiles = plan.layout
    packed = output.packed
    sizes = np.zeros(kernels.SIZES, np.int64)
    sizes[kernels.BLOCKS], sizes[kernels.BLOCK_LINES] = (1, 0) if plan.alone else (plan.blocks, source.block_lines)
    sizes[kernels.PITCH], sizes[kernels.OUT_BLOCK] = plan.pitch, 0 if plan.alone else plan.out_step
    sizes[kernels.POOLED], sizes[kernels.FLOOR] = plan.fused.pooled, 0 if plan.fused.relu else NO_FLOOR
    if packed:
        sizes[kernels.OUT_GROUP], sizes[kernels.ZERO] = packed.columns, packed.zero
    sizes[kernels.SHIFT] = plan.layer.requantize.shift if plan.layer.requantize else 0

    constants = _constants(plan)

    def room() -> tuple[NDArray[Any] | None, ...]:
        shape = (4, RUNS[listed.lists.rows] * plan.run, LANES)
        codes = None if constants is not None else aligned(shape, np.int32 if packed else np.int64)
        return aligned((plan.lines_read[1], LANES), np.uint32), aligned(shape, np.int32), codes

    return MacStep(
        name,
        output.name,
        f"{plan.layer.name} room",
        kernel(listed.lists.rows, listed.lists.paired),
        sizes,
        bands,
        (tiles[0], tiles[1], tiles[2]),
        (listed.lists.ends, plan.places, listed.words, listed.bias, listed.counts),
        (plan.copied, plan.spread, plan.columns),
        None if constants is not None else (listed.scales, listed.rules),
        constants,
        room,
    )


def _constants(plan: MacPlan) -> NDArray[np.int64] | None:
    """Return the constants of `sim.kernels.requantize_lines` in the order of places; None if its form does not do."""
    store = plan.output.packed
    found = constants_of(plan.layer, store.zero, 0 if plan.fused.relu else NO_FLOOR) if store else None
    if store is None or found is None:
        return None
    return np.concatenate([found, np.zeros((1, CONSTANTS), np.int64)])[store.order]


def max_pool(
    window: Window, ends: tuple[int, int], names: tuple[str, str], stores: tuple[Packed, Packed], blocks: int
) -> Run:
    """Return what pools one tensor into another; a ReLU is a pool of one pixel, with code 0 as the lower of its `ends`.

    `ends` are bytes.
    """
    numbers, limits = _numbers(window), np.array(ends, np.uint8)
    (of, into), (name, output) = stores, names
    inside, target = of.inside, into.inside

    def run(buffers: Buffers) -> int:
        x, out = of.bytes_of(buffers[name], blocks), into.bytes_of(buffers[output], blocks)
        packed_layers.max_pool(x, inside, numbers, limits, target, out)
        return 0

    return run


def avg_pool(layer: AvgPoolLayer, of: Packed, into: Packed, blocks: int) -> Run:
    """Return what averages one tensor into another."""
    numbers, zeros = _numbers(layer.window), np.array([of.zero, into.zero], np.int64)
    inside, target, finish = of.inside, into.inside, finishing(layer, 1)
    (name,) = layer.inputs

    def run(buffers: Buffers) -> int:
        x, out = of.bytes_of(buffers[name], blocks), into.bytes_of(buffers[layer.name], blocks)
        packed_layers.avg_pool(x, inside, numbers, *finish, zeros, target, out)
        return 0

    return run


def add(layer: AddLayer, sources: tuple[Packed, Packed], into: Packed, blocks: int) -> Run:
    """Return what adds two tensors whose maps lie in the same order."""
    zeros = np.array([*(source.zero for source in sources), into.zero], np.int64)
    insides, target, finish = [source.inside for source in sources], into.inside, finishing(layer, 1)
    weights = np.array(layer.weights, np.int64)

    def run(buffers: Buffers) -> int:
        left, right = (of.bytes_of(buffers[name], blocks) for of, name in zip(sources, layer.inputs, strict=True))
        out = into.bytes_of(buffers[layer.name], blocks)
        packed_layers.add(left, insides[0], right, insides[1], weights, *finish, zeros, target, out)
        return 0

    return run


def _numbers(window: Window) -> NDArray[np.int64]:
    """Return a window as `sim.kernels.packed_layers` takes it."""
    return np.array([*window.kernel, *window.stride, *window.padding[:2]], np.int64)
