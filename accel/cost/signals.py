"""On-chip memory of signals: which tensors must be held at the same time, and how many bits that takes."""

import math

from accel.program import Program


def live_signals(program: Program) -> dict[str, dict[str, int]]:
    """Return, for each layer in running order, the bits of every tensor that is held while it runs.

    `Program.held` says which; a tensor's bits are its words times the bits of its signal.
    """
    return {layer: {name: _tensor_bits(program, name) for name in held} for layer, held in program.held.items()}


def peak_signals(program: Program) -> tuple[str, int]:
    """Return the layer that holds the most bits of signals while it runs, and how many; the first if several do."""
    totals = {name: sum(held.values()) for name, held in live_signals(program).items()}
    name = max(totals, key=lambda layer: totals[layer])
    return name, totals[name]


def _tensor_bits(program: Program, name: str) -> int:
    return math.prod(program.shapes[name]) * program.signals[name].bits
