"""What is found once for an array of some lanes holds at every word length: equal to what is found anew for each."""

from dataclasses import replace

import numpy as np
import pytest
from support.mobile import Sketch, quantized

from accel.array import MacArray
from accel.cost import Invariants
from accel.cost.stalls import schedule_of
from accel.demand import array_for, demand_of
from accel.fusion import held_on
from accel.program import Program
from accel.program_layers import AddLayer
from accel.window import Window


def with_sum(weights: tuple[int, int]) -> Program:
    """Return a small residual Program whose addition has these weights."""
    rng = np.random.default_rng(0)
    sketch = Sketch(rng, (2, 6, 6))
    sketch.conv("conv", 4, Window.square(3, 1, 1))
    sketch.residual("block", 4, 1)
    program = quantized(sketch.classify("small", 3), rng)
    layers = [
        replace(x, weights=weights, accumulator_bits=20) if isinstance(x, AddLayer) else x for x in program.layers
    ]
    return replace(program, layers=tuple(layers))


def facts(program: Program, array: MacArray) -> tuple[object, ...]:
    """Return what depends on how many steps an addition takes: cycles, words of every memory, tensors that are held."""
    cycles = [(x.name, x.compute_cycles, x.drain_cycles, x.weight_words) for x in schedule_of(program, array)]
    return cycles, demand_of(program, array).words, held_on(program, array)


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (9, 5), (100, 7)])
@pytest.mark.parametrize("lanes", [(2, 2), (4, 1)])
def test_an_array_that_is_kept_stands_for_all_widths(weights: tuple[int, int], lanes: tuple[int, int]) -> None:
    """Of every width of a weight, above and below the bits of the addition's, the facts are those of the array."""
    program = with_sum(weights)
    invariants, wide = Invariants(program), array_for(program, *lanes)
    for bits in range(2, 10):
        array = replace(wide, weight_bits=bits)
        kept = (
            [(x.name, x.compute_cycles, x.drain_cycles, x.weight_words) for x in invariants.schedule(array)],
            invariants.demand(array).words,
            invariants._held_on(array),
        )
        assert kept == facts(program, array)
    if max(weights) > 1:  # negative control: a step holds less of a large weight
        assert facts(program, replace(wide, weight_bits=2)) != facts(program, replace(wide, weight_bits=9))
