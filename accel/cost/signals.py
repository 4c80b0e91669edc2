"""On-chip memory of signals: which tensors must be held at the same time, and how many bits that takes."""

import math

from accel.network import INPUT
from accel.program import FlattenLayer, Program


def live_signals(program: Program) -> dict[str, dict[str, int]]:
    """Return, for each layer in running order, the bits of every tensor that is held while it runs.

    A tensor is held from the layer that writes it to the last one that reads it; while a layer runs, its whole inputs
    and its whole output are held, nothing is overwritten in place and no pooling is fused with the layer before it.
    Flattening moves nothing, so that a tensor and its flattened form are one.
    """
    roots = {INPUT: INPUT}
    for layer in program.layers:
        roots[layer.name] = roots[layer.inputs[0]] if isinstance(layer, FlattenLayer) else layer.name
    last_read = {roots[program.output]: len(program.layers) - 1}
    for index, layer in enumerate(program.layers):
        for source in layer.inputs:
            last_read[roots[source]] = max(index, last_read.get(roots[source], 0))
    live, held = {}, [INPUT]
    for index, layer in enumerate(program.layers):
        if roots[layer.name] == layer.name:
            held.append(layer.name)
        live[layer.name] = {name: _tensor_bits(program, name) for name in held}
        held = [name for name in held if last_read.get(name, index) > index]
    return live


def peak_signals(program: Program) -> tuple[str, int]:
    """Return the layer that holds the most bits of signals while it runs, and how many; the first if several do."""
    totals = {name: sum(held.values()) for name, held in live_signals(program).items()}
    name = max(totals, key=lambda layer: totals[layer])
    return name, totals[name]


def _tensor_bits(program: Program, name: str) -> int:
    return math.prod(program.shapes[name]) * program.signals[name].bits
