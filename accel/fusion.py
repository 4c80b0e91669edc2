"""Layers that take no time: the drain of the layer before does their work, on codes that are on their way out.

A pool of 2 x 2 pixels that do not overlap keeps the largest of four codes, which leave the array close to each other if
its tiles go in pairs: some columns of an even row, then the same columns of the row below. The pooled tensor alone is
written, and the other one is never stored. What else reads it would have to find it, so that the pool must be its only
reader. Other windows would need a longer memory between the rows, other strides one that counts.

A ReLU that stands alone, and a clip, come after any layer that gives codes and that nothing else reads, behind a pool
or before it. The drain rectifies accumulators, and what wraps may have another sign than they have: such codes are
stored, and a layer of its own rectifies them.

A table of a function is looked up as codes pass, before they are pooled. All functions behind a layer are one table
where one of them is: what a ReLU or a clip makes of a code is a table too. Behind a pool a function counts as if it lay
before it, where a larger code never gives a smaller one; others are looked up when the pooled codes are read again.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from accel.array import STRIDES, MacArray
from accel.fixedpoint import SATURATING
from accel.program import Program
from accel.program_layers import (
    ClipLayer,
    ConcatLayer,
    FlattenLayer,
    MacLayer,
    MaxPoolLayer,
    ProgramLayer,
    ReluLayer,
    TableLayer,
)


@lru_cache(maxsize=8)  # asked for of every layer
def drained(program: Program, array: MacArray) -> dict[str, tuple[ProgramLayer, ...]]:
    """Return the layers whose work the drain does, in running order, by the name of the layer before them."""
    readers: dict[str, list[ProgramLayer]] = {layer.name: [] for layer in program.layers}
    for layer in program.layers:
        for source in {*layer.inputs} & readers.keys():
            readers[source].append(layer)
    found: dict[str, tuple[ProgramLayer, ...]] = {}
    behind: set[str] = set()
    for layer in program.layers:
        if layer.name in behind or isinstance(layer, FlattenLayer | ConcatLayer):
            continue
        chain = [layer]
        while len(after := readers[chain[-1].name]) == 1 and _drains(program, array, chain, after[0]):
            chain += after
        if chain[1:]:
            found[layer.name] = tuple(chain[1:])
            behind.update(x.name for x in chain[1:])
    return found


def fused_pools(program: Program, array: MacArray) -> dict[str, MaxPoolLayer]:
    """Return the pools that the array fuses, each by the name of the layer that does its work."""
    return {
        name: layer
        for name, behind in drained(program, array).items()
        for layer in behind
        if isinstance(layer, MaxPoolLayer)
    }


def rectifies(program: Program, layer: ProgramLayer, array: MacArray) -> bool:
    """Return whether the drain makes negative codes of a layer zero, for the layer itself or for one behind it."""
    return getattr(layer, "relu", False) or any(map(_is_rectifier, _cut_off(program, layer, array)))


def looks_up(program: Program, layer: ProgramLayer, array: MacArray) -> bool:
    """Return whether the drain looks the codes of a layer up in a table."""
    return any(isinstance(x, TableLayer) for x in _drained(program, layer, array))


def table_of(program: Program, layer: ProgramLayer, array: MacArray) -> tuple[int, NDArray[np.int64]] | None:
    """Return the lowest code that the drain looks up for a layer, and what it finds for it and all above; or None."""
    if not looks_up(program, layer, array):
        return None
    form = program.signals[layer.inputs[0] if isinstance(layer, TableLayer) else layer.name].format
    codes = np.arange(form.min_code, form.max_code + 1)
    for function in _drained(program, layer, array):
        match function:
            case TableLayer():
                codes = function.table[codes - function.lowest]
            case ClipLayer():
                codes = codes.clip(function.lowest, function.highest)
            case ReluLayer():
                codes = codes.clip(0)
    return form.min_code, codes


def bounds_of(program: Program, layer: ProgramLayer, array: MacArray) -> tuple[int | None, int | None]:
    """Return the lowest and the highest code that the drain leaves as they are, beside what it rectifies.

    None stands for the lowest, or the highest, of the layer's format: no bound cuts it off.
    """
    clips = [x for x in _cut_off(program, layer, array) if isinstance(x, ClipLayer)]
    form, least = program.signals[layer.name].format, max((x.lowest for x in clips), default=None)
    most = min((x.highest for x in clips), default=None)
    floor = None if not least or least <= form.min_code else least
    return floor, None if most is None or most >= form.max_code else most


def computing(program: Program, array: MacArray) -> tuple[ProgramLayer, ...]:
    """Return the layers that take time, in running order: none that moves nothing, and none that the drain does."""
    fused = {layer.name for behind in drained(program, array).values() for layer in behind}
    return tuple(layer for layer in program.layers if program.reads(layer) and layer.name not in fused)


def written(program: Program, layer: ProgramLayer, array: MacArray) -> str:
    """Return the tensor that the array writes while a layer runs: its own, or that of the last one that it drains."""
    return _drained(program, layer, array)[-1].name


def held_on(program: Program, array: MacArray) -> dict[str, tuple[str, ...]]:
    """Return `Program.held_fusing` of what the array's drain does."""
    behind = drained(program, array).items()
    return program.held_fusing({name: tuple(layer.name for layer in layers) for name, layers in behind})


def _drained(program: Program, layer: ProgramLayer, array: MacArray) -> tuple[ProgramLayer, ...]:
    """Return a layer and those whose work its drain does."""
    return (layer, *drained(program, array).get(layer.name, ()))


def _cut_off(program: Program, layer: ProgramLayer, array: MacArray) -> tuple[ProgramLayer, ...]:
    """Return the layers, of one and of those that its drain does, whose bounds are not part of a table."""
    return () if looks_up(program, layer, array) else _drained(program, layer, array)


def _is_rectifier(layer: ProgramLayer) -> bool:
    return isinstance(layer, ReluLayer) or (isinstance(layer, ClipLayer) and layer.lowest == 0)


def _drains(program: Program, array: MacArray, chain: Sequence[ProgramLayer], after: ProgramLayer) -> bool:
    """Return whether the drain of the first layer of a chain does the work of the one `after` it too."""
    first = chain[0]
    if isinstance(after, MaxPoolLayer):
        once = not any(isinstance(layer, MaxPoolLayer) for layer in chain)
        return array.pools and once and isinstance(first, MacLayer) and _in_tiles(first) and _halves(program, after)
    if not isinstance(after, ReluLayer | ClipLayer | TableLayer):
        return False
    if isinstance(first, MacLayer) and first.requantize is None:
        return False
    if isinstance(after, TableLayer):
        pooled = any(isinstance(layer, MaxPoolLayer) for layer in chain[1:])
        return not pooled or bool((np.diff(after.table) >= 0).all())
    if isinstance(first, MaxPoolLayer | ReluLayer | ClipLayer) or not _is_rectifier(after):
        return True
    if any(isinstance(layer, TableLayer) for layer in chain):
        return True
    form = program.signals[first.name].format
    return form.overflow in SATURATING or (getattr(first, "relu", False) and not form.signed)


def _in_tiles(layer: MacLayer) -> bool:
    """Return whether a layer's codes come in tiles of several pixels."""
    return layer.requantize is not None and layer.window is not None and layer.window.stride[1] in STRIDES


def _halves(program: Program, pool: MaxPoolLayer) -> bool:
    """Return whether windows are 2 x 2 pixels that lie side by side, and inside their map."""
    steps = zip(pool.window.stride, program.shapes[pool.name][1:], strict=True)
    return pool.window.kernel == (2, 2) and not any(pool.window.padding) and all(s == 2 or n == 1 for s, n in steps)
