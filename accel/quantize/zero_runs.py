"""Programs whose index is stored as runs of zeros, where that takes the fewest bits."""

from dataclasses import replace

from accel.encoding import cheapest
from accel.program import Program
from accel.program_layers import MacLayer, ProgramLayer
from accel.sparsity import parse_pattern


def with_zero_runs(program: Program) -> Program:
    """Return a Program that computes the same, each layer stored in the fewest bits, of zero runs too.

    They are not chosen unasked: of networks that keep single weights all memories that are published would be others.
    """
    return replace(program, layers=tuple(_stored(layer) for layer in program.layers))


def _stored(layer: ProgramLayer) -> ProgramLayer:
    if not isinstance(layer, MacLayer):
        return layer
    name, index = cheapest(parse_pattern(layer.pattern), layer.kept, zero_runs=True)
    return replace(layer, encoding=name, index=index)
