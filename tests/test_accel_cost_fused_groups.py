"""Layers that run at once, row by row: beside rows that are made, read and dropped one by one."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.mobile import mobilenet, quantized
from support.programs import programs

from accel.array import MacArray
from accel.cost import cost_of, signal_plans
from accel.cost.fused_groups import fused, written_rows
from accel.cost.stages import Stage, stages_of
from accel.program import Program

NOTHING: frozenset[str] = frozenset()


def stages(of: Program) -> tuple[Stage, ...]:
    """Return the stages on an array that leaves nothing out."""
    return stages_of(of, MacArray(), cost_of(of).layers)


def reads(stage: Stage, row: int, rows: int) -> set[int]:
    """Return the rows of an input of `rows` that a row of a stage's output needs."""
    loops = stage.loops
    if loops.input_rows != rows:
        return {*range(rows)}
    made = range(row * loops.row_step, min((row + 1) * loops.row_step, loops.rows))
    first = [y * loops.stride - loops.padding for y in made]
    return {y for y in range(min(first), max(first) + loops.kernel_rows) if 0 <= y < rows}


class Lines:
    """Rows of all tensors of a chain of stages, made when somebody needs them, and dropped when nobody does."""

    def __init__(self, group: Sequence[Stage], there: frozenset[str]) -> None:
        self.group, self.there = group, there
        self.makers = {stage.target: stage for stage in group}
        self.done = dict.fromkeys((stage.name for stage in group), 0)
        self.held: dict[str, set[int]] = {name: set() for stage in group for name in stage.sources if name not in there}
        self.loaded = 0

    def rows(self, name: str) -> int:
        """Return how many rows a tensor has."""
        if name in self.makers:
            return written_rows(self.makers[name])
        return next(stage.loops.input_rows for stage in self.group if name in stage.sources)

    def bits(self, name: str) -> int:
        """Return the bits of a row of a tensor."""
        if name in self.makers:
            return self.makers[name].output_bits // self.rows(name)
        stage = next(stage for stage in self.group if name in stage.sources)
        return stage.sources[name] * stage.loops.maps * stage.loops.groups

    def make(self, stage: Stage, rows: int) -> None:
        """Make rows of a stage's output until there are `rows`, and first what they need."""
        while self.done[stage.name] < rows:
            row = self.done[stage.name]
            for name in stage.sources:
                if name in self.there:
                    continue
                needed = max(reads(stage, row, self.rows(name)), default=-1) + 1
                if name in self.makers:
                    self.make(self.makers[name], needed)
                else:
                    new = {*range(needed)} - self.held[name] - {*range(self.dropped(name))}
                    self.loaded += len(new) * self.bits(name)
                    self.held[name] |= new
            self.done[stage.name] += 1
            if stage.target in self.held and row >= self.dropped(stage.target):
                self.held[stage.target].add(row)

    def dropped(self, name: str) -> int:
        """Return the first row that somebody still needs, when a step begins."""
        least = self.rows(name)
        for stage in self.group:
            if name in stage.sources:
                left = range(self.done[stage.name], written_rows(stage))
                least = min([least, *(min(reads(stage, row, self.rows(name)), default=least) for row in left)])
        return least

    def drop(self) -> None:
        """Drop rows that nobody needs any more."""
        for name, rows in self.held.items():
            self.held[name] = {row for row in rows if row >= self.dropped(name)}

    @property
    def line_bits(self) -> int:
        """Bits of all rows that are there."""
        return sum(len(rows) * self.bits(name) for name, rows in self.held.items())


def run(group: Sequence[Stage], there: frozenset[str]) -> tuple[int, int]:
    """Return the most bits that are there in a step, and those that come from DRAM."""
    lines, most = Lines(group, there), 0
    for row in range(written_rows(group[-1])):
        lines.make(group[-1], row + 1)
        most = max(most, lines.line_bits)
        lines.drop()
    return most, lines.loaded


def chains(of: Program) -> list[tuple[Stage, ...]]:
    """Return groups in which each stage's output is read by a later one of the group, and no tensor has two makers."""
    found, known = [], stages(of)
    targets = [stage.target for stage in known]
    for first in range(len(known)):
        for end in range(first + 2, len(known) + 1):
            group = known[first:end]
            inside = {name for stage in group for name in stage.sources}
            alone = all(targets.count(stage.target) == 1 for stage in group)
            if alone and all(stage.target in inside for stage in group[:-1]):
                found.append(group)
    return found


class TestAgainstRows:
    @settings(max_examples=60, deadline=None)
    @given(of=programs(every_kind=True), data=st.data())
    def test_lines_and_inputs(self, of: Program, data: st.DataObject) -> None:
        """No step holds more lines than are told, and a row comes once; what is on the chip has no lines at all."""
        groups = chains(of)
        assume(groups)
        group = data.draw(st.sampled_from(groups))
        outside = sorted({name for stage in group for name in stage.sources} - {stage.target for stage in group})
        there = frozenset(data.draw(st.sets(st.sampled_from(outside)))) if outside else NOTHING
        found = fused(group, there, NOTHING)
        most, loaded = run(group, there)
        assert most <= found.line_bits - max(stage.loops.sum_row_bits for stage in group)
        assert sum(found.input_bits) >= loaded
        if all(stage.loops.stride <= stage.loops.kernel_rows for stage in group):  # else rows between windows come too
            assert sum(found.input_bits) == loaded
        assert found.output_bits[:-1] == (0,) * (len(group) - 1)

    def test_a_chain(self) -> None:
        """Depthwise and pointwise layers in turn: three lines for the one, one for the other; told exactly.

        What comes from DRAM has lines for the next step beside those of this one: two, for the stride is 2.
        """
        of = quantized(mobilenet(np.random.default_rng(0), side=32, blocks=2), np.random.default_rng(1))
        group = stages(of)[:4]
        assert [stage.loops.kernel_rows for stage in group] == [3, 3, 1, 3]
        found = fused(group, NOTHING, NOTHING)
        most, loaded = run(group, NOTHING)
        image, steps = 3 * 32 * 8, 2 * 2  # a step of the last, of stride 2, takes two rows of what comes before it
        sums = max(stage.loops.sum_row_bits for stage in group)
        assert found.line_bits == most + steps * image + sums
        assert sum(found.input_bits) == loaded == 32 * image
        assert fused(group, frozenset({"input"}), NOTHING).line_bits < found.line_bits  # negative control
        assert fused(group, NOTHING, frozenset({group[0].target or ""})).output_bits[0] == group[0].output_bits

    def test_all_at_once(self) -> None:
        """Of the whole network it takes no fewer lines than the plan of lines, whose steps are as small as can be."""
        of = quantized(mobilenet(np.random.default_rng(0), side=32, blocks=4), np.random.default_rng(1))
        (lines,) = (plan for plan in signal_plans(of) if plan.name == "line buffer")
        found = fused(stages(of), frozenset({"input"}), NOTHING)
        assert lines.parts["input"] < lines.bits <= found.line_bits + lines.parts["input"]
        assert found.traffic == stages(of)[-1].output_bits

    @pytest.mark.parametrize("more", [1, 2])
    def test_a_wrong_count_is_seen(self, more: int) -> None:
        """Negative control: the rows of a longer group are more than those of a shorter one."""
        of = quantized(mobilenet(np.random.default_rng(0), side=32, blocks=2), np.random.default_rng(1))
        known = stages(of)
        assert run(known[: 2 + more], NOTHING)[0] > fused(known[:2], frozenset({"input"}), NOTHING).line_bits
