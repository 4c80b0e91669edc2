"""Layers of a Program that take time, as loops in tiles, with the tensors that they read and write."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from accel.array import MacArray
from accel.cost.counts import LayerCost
from accel.cost.tiling import UNITS, Integers, Loops, Tilings, tilings
from accel.fusion import computing, fused_pools, held_on, written
from accel.grouped_convolution import within_groups
from accel.program import Program
from accel.program_layers import AvgPoolLayer, ConcatLayer, MacLayer, MaxPoolLayer, ProgramLayer
from accel.sparsity import Dense, parse_pattern
from accel.window import Window

_POINT = Window((1, 1))


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage:
    """A layer that takes time, or of a concatenation that moves its inputs one of them.

    Parameters
    ----------
    name : str
    loops : Loops
    sources : dict of str to int
        Bits of a row of an input map, by the tensor (`Program.homes`) in which it lies.
    target : str or None
        The tensor in which its output lies; None where that leaves the network.
    output_bits : int
        That it writes.
    held : frozenset of str
        Tensors that somebody needs while it runs, or that it writes.
    """

    name: str
    loops: Loops
    sources: dict[str, int]
    target: str | None
    output_bits: int
    held: frozenset[str]

    @cached_property
    def _tilings(self) -> dict[tuple[int, bool], Tilings]:
        return {}

    def tilings(self, there: frozenset[str], streamed: bool) -> Tilings:
        """Return the tilings where these tensors are on the chip, and weights come from DRAM or are there too."""
        key = sum(bits for name, bits in self.sources.items() if name not in there), streamed
        if key not in self._tilings:
            self._tilings[key] = tilings(self.loops, *key)
        return self._tilings[key]

    @property
    def least_room(self) -> int:
        """The fewest bits in which it can run, with nothing on the chip before."""
        return int(self.tilings(frozenset(), True).room[0])


def stages_of(program: Program, array: MacArray, costs: tuple[LayerCost, ...]) -> tuple[Stage, ...]:
    """Return the stages of a Program, in running order.

    Parameters
    ----------
    program : Program
    array : MacArray
        Whose drain does the work of some layers.
    costs : tuple of LayerCost
        Of the Program, for the bits that it stores.
    """
    rows, held = {cost.name: cost for cost in costs}, held_on(program, array)
    leaving, pools = program.roots[program.output], fused_pools(program, array)
    found = []
    for layer in computing(program, array):
        step = pools[layer.name].window.stride[0] if layer.name in pools else 1
        for loops, sources in _loops(program, layer, rows[layer.name], step):
            copies = isinstance(layer, ConcatLayer)
            result = written(program, layer, array)
            bits = _bits(program, *sources) if copies else _bits(program, result)
            homes: dict[str, int] = {}
            for source in sources:
                home = program.homes[source][0]
                homes[home] = homes.get(home, 0) + _row_bits(program, source, loops)
            stage = Stage(
                name=layer.name,
                loops=loops,
                sources=homes,
                target=None if program.roots[result] == leaving else program.homes[result][0],
                output_bits=bits,
                held=frozenset(held[layer.name]) - {leaving},
            )
            found.append(stage)
    return tuple(found)


def tensor_bits(program: Program) -> dict[str, int]:
    """Return the bits of every tensor in which others lie (`Program.homes`)."""
    return {home: _bits(program, home) for home, _ in program.homes.values()}


def _bits(program: Program, *names: str) -> int:
    return sum(math.prod(program.shapes[name]) * program.signals[name].bits for name in names)


def _row_bits(program: Program, source: str, loops: Loops) -> int:
    """Return the bits of a row of a map; of a factor for each map those of its word, which comes for each row."""
    shape = program.shapes[source]
    rows = loops.groups * loops.maps * loops.input_rows
    return -(-math.prod(shape) // rows) * program.signals[source].bits


def _loops(
    program: Program, layer: ProgramLayer, cost: LayerCost, step: int
) -> Iterator[tuple[Loops, tuple[str, ...]]]:
    """Yield the loops of a layer, with the tensors that they read together."""
    reads = program.reads(layer)
    if isinstance(layer, MacLayer):
        words, units = _words(layer)
        shapes = program.shapes[reads[0]], program.shapes[layer.name]
        yield _of(shapes, layer, cost, words, units, step), reads
        return
    apart = [(source,) for source in reads] if isinstance(layer, ConcatLayer) else [tuple(dict.fromkeys(reads))]
    for sources in apart:
        source = max((program.shapes[name] for name in sources), key=math.prod)
        made = source if isinstance(layer, ConcatLayer) else program.shapes[layer.name]
        words = np.ones((source[0], 1, 1), np.int64)  # a map at a time, which nothing but itself needs
        yield _of((source, made), layer, cost, words, (1, 1), step), sources


def _of(
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    layer: ProgramLayer,
    cost: LayerCost,
    words: Integers,
    units: tuple[int, int],
    step: int,
) -> Loops:
    (maps, *source), (outputs, *made) = shapes
    window = (layer.window if isinstance(layer, MacLayer | MaxPoolLayer | AvgPoolLayer) else None) or _POINT
    rows, width = made or (1, 1)
    weighs, groups = isinstance(layer, MacLayer), len(words)
    return Loops(
        rows=rows,
        input_rows=(source or [1])[0],
        kernel_rows=window.kernel[0],
        stride=window.stride[0],
        padding=window.padding[0],
        row_step=step,
        outputs=outputs // groups,
        maps=maps // groups,
        words=words,
        output_unit=units[0],
        map_unit=units[1],
        stored_bits=cost.counts.weight_memory_bits + cost.counts.index_memory_bits if weighs else 0,
        constant_bits=cost.counts.constant_memory_bits if weighs else 0,
        sum_row_bits=width * (cost.accumulator_bits or cost.signal_bits),
    )


def _words(layer: MacLayer) -> tuple[Integers, tuple[int, int]]:
    """Return the weight words (groups, units of outputs, units of maps) of a layer, and the maps of these units."""
    outputs, maps, taps = layer.shape
    if isinstance(parse_pattern(layer.pattern), Dense):
        units = -(-outputs // UNITS), -(-maps // UNITS)
        sizes = [np.diff(np.append(np.arange(0, n, unit), n)) for n, unit in zip((outputs, maps), units, strict=True)]
        return taps * sizes[0][:, None] * sizes[1][None, None, :].astype(np.int64), units
    kernels = np.count_nonzero(layer.kept, axis=2).astype(np.int64)
    groups = within_groups(kernels[:, :, None] > 0)
    rows, columns = outputs // groups, maps // groups
    inside = kernels.reshape(groups, rows, groups, columns)[np.arange(groups), :, np.arange(groups)]
    units = -(-rows // UNITS), -(-columns // UNITS)
    inside = np.add.reduceat(inside, np.arange(0, rows, units[0]), axis=1)
    return np.add.reduceat(inside, np.arange(0, columns, units[1]), axis=2), units
