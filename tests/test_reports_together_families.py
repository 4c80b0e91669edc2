"""Combinations cost what the Programs cost on the array of all, and the best of them is the best of all."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.shared_arrays import SHARES, SPACE, TECHNOLOGY, every_design, network

from accel.array import MacArray
from accel.cost import Limits, load_technology, total_cycles
from accel.cost.macros import Memory, place, shortages
from accel.demand import array_for
from accel.program import Program
from reports.explore.choosing import GOALS, Means, goal_of
from reports.together.designs import Design, limits_together
from reports.together.families import Combinations, Network, key, least_memory
from reports.workflow.limits import Budget, Guard, Limit
from rtl.emit import formats_of, hardware
from rtl.simulate import simulate
from sim import golden

NAMES = ("wide", "tall")
NETWORKS = {name: network(name, share, seed) for seed, (name, share) in enumerate(zip(NAMES, SHARES, strict=True))}
MEANS = Means("made-up", "a made-up process", None, None, area=True, clock_hz=1e9)
EXACT = Guard(100, 0.0)
REGISTERS = re.compile(r"^  reg \[(\d+):0\] \\?\S+ ?\[(\d+):0\];$", re.MULTILINE)


@pytest.fixture(scope="module")
def every() -> list[tuple[Design, list[Program]]]:
    """Return all combinations, costed one by one."""
    return every_design(NETWORKS)


@pytest.fixture(scope="module")
def combinations() -> Combinations:
    """Return the same, to be searched."""
    return Combinations([*NETWORKS.values()], SPACE.arrays, TECHNOLOGY, Limits())


def limits(errors: tuple[float, float] = (1.0, 1.0), **values: Any) -> tuple[Limit, ...]:
    """Return limits on the errors of each network and on whatever else is named."""
    free = {"memory_bits": None, "multipliers": None, "images_per_s": None, "clock_hz": 100e6}
    budget = Budget(**{"error_rate": max(errors), **free, **values})
    return limits_together(NAMES, errors, [EXACT, EXACT], budget, 1e9)


def middle(every: list[tuple[Design, list[Program]]], use: Callable[[Design], float]) -> float:
    """Return what half of the combinations keep within."""
    return float(np.median([use(design) for design, _ in every]))


QUESTIONS: dict[str, Callable[[Any], tuple[Limit, ...]]] = {
    "nothing": lambda every: limits(),
    "errors": lambda every: limits((0.045, 0.025)),
    "memory": lambda every: limits((0.05, 0.07), memory_bits=int(middle(every, lambda p: p.memory_bits))),
    "multipliers": lambda every: limits((0.07, 0.03), multipliers=min(p.multipliers for p, _ in every)),
    "speed": lambda every: limits((0.03, 0.09), images_per_s=100e6 / middle(every, lambda p: p.interval_cycles)),
    "area and power": lambda every: limits(
        (0.09, 0.05),
        area_um2=middle(every, lambda p: p.area_um2),
        power_mw=middle(every, lambda p: p.power_mw(100e6)),
    ),
    "too much": lambda every: limits(memory_bits=min(p.memory_bits for p, _ in every) - 1),
}


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_as_by_costing_all(
    every: list[tuple[Design, list[Program]]], combinations: Combinations, question: str, goal: str
) -> None:
    """The chosen design, number by number, is the best of all by goal and limits; nothing within them dominates it."""
    asked, value = QUESTIONS[question](every), goal_of(goal, MEANS).value
    able = [design for design, _ in every if all(limit.meets(design) for limit in asked)]
    found = combinations.best(asked, value)
    assert (found is None) == (not able) == (question == "too much")
    if found is None:
        return
    assert found in able
    assert key(value, found) == min(key(value, design) for design in able)
    for other in able:
        numbers = [(*p.error_rates, p.memory_bits, p.cycles, p.energy_pj) for p in (other, found)]
        assert numbers[0] == numbers[1] or any(a > b for a, b in zip(*numbers, strict=True))


def test_by_lanes(every: list[tuple[Design, list[Program]]], combinations: Combinations) -> None:
    """The best of a number of lanes is the best of those designs; all combinations are counted."""
    value = goal_of("cheap", MEANS).value
    assert combinations.best(limits(), value, lanes=8) == combinations.best(limits(), value)
    assert combinations.best(limits(), value, lanes=16) is None
    assert combinations.count() == len(every) == 2 * 6 * 6


def test_negative_control(every: list[tuple[Design, list[Program]]], combinations: Combinations) -> None:
    """The worst of all is told from the best, and without the other network the array would be smaller."""
    value = goal_of("fast", MEANS).value
    found = combinations.best(limits(), value)
    assert found
    assert value(found) < max(value(design) for design, _ in every)
    alone = Network(NETWORKS["wide"].costings, NETWORKS["wide"].rates, SPACE, 1.0)
    small = goal_of("small", MEANS).value
    one = Combinations([alone], SPACE.arrays, TECHNOLOGY, Limits()).best([], small)
    both = combinations.best([], small)
    assert one
    assert both
    assert one.built_bits < both.built_bits


DEPTHS = st.lists(st.integers(1, 3000), min_size=6, max_size=6)
FEW = load_technology("ecp5-45f")
FEW = replace(FEW, macros=tuple(replace(macro, available=9) for macro in FEW.macros))


@given(st.sampled_from([1, 2, 4]), DEPTHS, DEPTHS)
@settings(max_examples=80, deadline=None)
def test_what_memories_take_at_least(pixel_lanes: int, depths: list[int], more: list[int]) -> None:
    """No array takes fewer blocks than its bound, nor has enough where that says too few; a larger one no fewer."""
    arrays = []
    for added in (0, 1):
        words = [depth + added * extra for depth, extra in zip(depths, more, strict=True)]
        room = dict(zip(("signal_words", "weight_words"), (8 * words[0], 8 * words[1]), strict=True))
        names = ("list_entries", "taps", "constants", "layers")
        arrays.append(MacArray(4, pixel_lanes, **room, **dict(zip(names, words[2:], strict=True))))
    bounds = [least_memory(array, FEW) for array in arrays]
    for array, (bits, short) in zip(arrays, bounds, strict=True):
        sizes = [{"words": x.words, "width_bits": x.width_bits, "banks": x.banks} for x in array.memories]
        placed = place(
            [Memory(name=x.name, payload_bits=0, **y) for x, y in zip(array.memories, sizes, strict=True)], FEW
        )
        assert bits <= sum(memory.macro_bits for memory in placed)
        assert not short or shortages(placed, FEW)
    assert bounds[0] <= bounds[1]
    assert bounds[0][1] <= bounds[1][1]


@pytest.mark.slow
def test_what_is_sized_is_built_and_runs(every: list[tuple[Design, list[Program]]], combinations: Combinations) -> None:
    """Registers of the Verilog are the memories that were sized; on it each Program gives its bits in its cycles."""
    found = combinations.best(limits(), goal_of("efficient", MEANS).value)
    design, programs = next(one for one in every if one[0] == found)
    array, formats = array_for(programs, *design.lanes), formats_of(programs)
    source = hardware(array, tuple(formats))[1].decode()
    assert sum((int(bits) + 1) * (int(words) + 1) for bits, words in REGISTERS.findall(source)) == design.built_bits
    for program, member in zip(programs, design.members, strict=True):
        codes = np.random.default_rng(0).integers(0, 256, (1, *program.input_shape))
        (run,) = simulate(program, array, codes, formats=formats)
        assert np.array_equal(run.codes, golden.run(program, codes)[program.output][0])
        assert run.cycles == total_cycles(program, array) == member.cycles
    wrong = array_for(programs[0], *design.lanes)
    assert wrong.built_bits < design.built_bits  # negative control: the array of one of them is another
