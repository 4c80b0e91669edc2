"""Streamed weights that travel as the Program stores them, and are unpacked on the chip: a model, no hardware of ours.

What streams today are lane words, a weight for each output lane, zeros where a lane keeps nothing, while the lists of
what is kept stay on the chip. Here the index of a group of output lanes comes first, into a buffer of its own, then
the weights that the group keeps, in the order of its steps. The unpacker merges the lists of the lanes, and makes of
each step of the array a lane word and of each run an entry, into the same two buffers for words and two for lists. It
makes one word a cycle at most, for which it takes as many weights as lanes keep one, so that group g comes in ::

    L_g = I_g + max(U_g, W_g)

cycles: I_g and W_g those in which its index and its weights come from DRAM, U_g its lane words. Where DRAM gives less
than a lane word's weights a cycle the DRAM binds, else the unpacker; nothing is hidden but behind the group before, as
with lane words (`accel.cost.stalls`). An index whose words several groups need, as that of strides, comes with the
first of them and stays. Entries are never more than steps, and hide behind them.

A layer travels so where it takes fewer bits than lane words; where it does not, it comes as today, its lists on the
chip. Pairs of maps that a step reads (`accel.combined`) do not follow from the index, so that an array that unpacks
reads one map a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.cost.accesses import Access, Accesses
from accel.cost.counts import LayerCost
from accel.cost.macros import Memory
from accel.cost.stalls import LayerSchedule, unit_loads
from accel.demand import Demand, LayerDemand, streaming
from accel.encoding import encoding_called
from accel.program import Program
from accel.program_layers import MacLayer
from accel.runs import Runs, runs_of
from accel.sparsity import parse_pattern
from accel.walk import walk_of

Integers = NDArray[np.int64]
INDEX = "index"  # the memory for the index that is being unpacked


@dataclass(frozen=True, eq=False, kw_only=True)
class Coming:
    """How the weights of a layer come.

    Parameters
    ----------
    words : int array (groups,)
        Lane words of each group of output lanes.
    index_bits, weight_bits : int array (groups,)
        From DRAM.
    packed : bool
        Whether index and weights come as they are stored; else lane words do, and no index.
    entries, longest : int
        Of all lists that are made, and of the longest.
    """

    words: Integers
    index_bits: Integers
    weight_bits: Integers
    packed: bool = False
    entries: int = 0
    longest: int = 0

    @property
    def bits(self) -> int:
        """From DRAM for one image."""
        return int(self.index_bits.sum() + self.weight_bits.sum())


def unpacking(array: MacArray, demand_of: Callable[[MacArray], Demand]) -> tuple[MacArray, Demand]:
    """Return the array that unpacks, with room for all lists, and what is taken of it."""
    alone = replace(array, combine=False)
    demand = demand_of(alone)
    return replace(streaming(alone, demand), list_entries=demand.words["entries"]), demand


def lane_words(layer: LayerSchedule, array: MacArray) -> Coming:
    """Return how a layer's weights come as lane words, which our hardware takes."""
    none, bits = np.zeros_like(layer.units), layer.units * array.weight_word_bits
    return Coming(words=layer.units, index_bits=none, weight_bits=bits)


def fewest(
    program: Program, array: MacArray, rows: Sequence[tuple[LayerSchedule, LayerCost]], demand: Demand
) -> tuple[Coming, ...]:
    """Return how the weights of each layer come in the fewest bits, as lane words where those are as few.

    Parameters
    ----------
    program : Program
    array : MacArray
        Which streams weights.
    rows : sequence of (LayerSchedule, LayerCost)
        Of the layers that take time.
    demand : Demand
        Of the Program on the array.
    """
    layers, found = {layer.name: layer for layer in program.mac_layers}, list[Coming]()
    for (row, cost), taken in zip(rows, demand.layers, strict=True):
        ways = [lane_words(row, array)]
        if row.units.size:
            ways.append(_stored(program, layers[row.name], array, row, cost, taken))
        found.append(min(ways, key=lambda way: way.bits))
    return tuple(found)


def room_for_lists(coming: Sequence[Coming], demand: Demand) -> int:
    """Return the entries that there must be room for: all lists that stay, and two of those that come with weights."""
    stay = sum(taken.entries for way, taken in zip(coming, demand.layers, strict=True) if not way.packed)
    return min(demand.words["entries"], stay + 2 * max(way.longest for way in coming))


def index_memories(coming: Sequence[Coming], width_bits: int) -> list[Memory]:
    """Return the buffer for the largest index of a group, in words of so many bits; none where no index comes."""
    most = max(int(way.index_bits.max(initial=0)) for way in coming)
    sizes = {"words": -(-most // width_bits), "width_bits": width_bits, "banks": 1}
    return [Memory(name=INDEX, payload_bits=most, **sizes)] if most else []


def accesses_with(coming: Sequence[Coming], accesses: Sequence[Accesses], width_bits: int) -> tuple[Accesses, ...]:
    """Return what layers read and write, each with the lists that come and with index words of so many bits."""
    found = []
    for way, layer in zip(coming, accesses, strict=True):
        words, lists = -(-int(way.index_bits.sum()) // width_bits), Access(writes=way.entries)
        found.append({**layer, "entries": layer["entries"] + lists, INDEX: Access(reads=words, writes=words)})
    return tuple(found)


def loads(coming: Sequence[Coming], bits_per_cycle: Fraction | None) -> Integers:
    """Return the cycles in which each group of all layers comes; `bits_per_cycle` None: as fast as words are made."""
    words = np.concatenate([way.words for way in coming])
    if bits_per_cycle is None:
        return words
    parts = np.concatenate([np.stack([way.index_bits, way.weight_bits], axis=1) for way in coming])
    index, weights = unit_loads(parts.ravel(), bits_per_cycle).reshape(-1, 2).T
    return np.asarray(index + np.maximum(words, weights))


def _stored(
    program: Program, layer: MacLayer, array: MacArray, row: LayerSchedule, cost: LayerCost, taken: LayerDemand
) -> Coming:
    """Return how a layer's weights come as they are stored, each group's with its index."""
    encoding = encoding_called(parse_pattern(layer.pattern), layer.encoding)
    firsts = np.arange(0, layer.shape[0], walk_of(program, layer, array).group)
    return Coming(
        words=row.units,
        index_bits=np.add.reduceat(encoding.output_bits(layer.kept), firsts),
        weight_bits=np.add.reduceat(layer.nest.row_words * cost.weight_bits, firsts),
        packed=True,
        entries=taken.entries,
        longest=longest_list(runs_of(program, layer, array)) if taken.entries else 0,
    )


def longest_list(runs: Runs) -> int:
    """Return the entries of the longest list, of those of all groups one after the other or of one that all read."""
    if runs.shared:
        return runs.bases.size
    ends = np.searchsorted(np.cumsum(runs.counts), np.cumsum([len(steps) for steps in runs.steps])) + 1
    return int(np.diff(ends, prepend=0).max())
