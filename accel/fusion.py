"""Max pools that take no time: the drain of the layer before does their work, on codes that are on their way out.

A pool of 2 x 2 pixels that do not overlap keeps the largest of four codes, which leave the array close to each other if
its tiles go in pairs: some columns of an even row, then the same columns of the row below. The pooled tensor alone is
written, and the other one is never stored. What else reads it would have to find it, so that the pool must be its only
reader. Other windows would need a longer memory between the rows, other strides one that counts.
"""

from accel.array import STRIDES, MacArray
from accel.program import Program
from accel.program_layers import FlattenLayer, MacLayer, MaxPoolLayer, ProgramLayer


def fused_pools(program: Program, array: MacArray) -> dict[str, MaxPoolLayer]:
    """Return the pools that the array fuses, each by the name of the layer that does its work."""
    found = {}
    for layer in program.layers if array.pools else ():
        if not isinstance(layer, MacLayer) or not _in_tiles(layer) or layer.name == program.roots[program.output]:
            continue
        readers = [x for x in program.layers if layer.name in map(program.roots.get, x.inputs) and not _moves(x)]
        if len(readers) == 1 and isinstance(readers[0], MaxPoolLayer) and _halves(program, readers[0]):
            found[layer.name] = readers[0]
    return found


def computing(program: Program, array: MacArray) -> tuple[ProgramLayer, ...]:
    """Return the layers that take time, in running order: no flatten, which moves nothing, and no fused pool."""
    fused = {pool.name for pool in fused_pools(program, array).values()}
    return tuple(layer for layer in program.layers if not _moves(layer) and layer.name not in fused)


def written(program: Program, layer: ProgramLayer, array: MacArray) -> str:
    """Return the tensor that the array writes while a layer runs: its own, or that of the pool that it fuses."""
    return fused_pools(program, array).get(layer.name, layer).name


def held_on(program: Program, array: MacArray) -> dict[str, tuple[str, ...]]:
    """Return `Program.held_fusing` of the pools that the array fuses."""
    return program.held_fusing({name: pool.name for name, pool in fused_pools(program, array).items()})


def _moves(layer: ProgramLayer) -> bool:
    return isinstance(layer, FlattenLayer)


def _in_tiles(layer: MacLayer) -> bool:
    """Return whether a layer's codes come in tiles of several pixels."""
    return layer.requantize is not None and layer.window is not None and layer.window.stride[1] in STRIDES


def _halves(program: Program, pool: MaxPoolLayer) -> bool:
    """Return whether windows are 2 x 2 pixels that lie side by side, and inside their map."""
    steps = zip(pool.window.stride, program.shapes[pool.name][1:], strict=True)
    return pool.window.kernel == (2, 2) and not any(pool.window.padding) and all(s == 2 or n == 1 for s, n in steps)
