"""Layers one after another that run at once, row by row, so that what is between them is never whole on the chip.

In a step all layers of a group make the rows that one more row of the last one needs, and of each tensor between them
those lines alone are there which a window still reads (Alwani et al., "Fused-Layer CNN Accelerators", MICRO 2016, keeps
lines in this way). Every line meets all weights, so that those of all layers of the group are on the chip: each comes
once. An input from DRAM comes once, in lines too, with a second buffer for those of the next step. What a layer after
the group reads is stored, in DRAM or, whole, on the chip. `accel.cost.residency` chooses the groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accel.cost.stages import Stage
from accel.cost.tiling import Integers

Tensors = frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Stages that run at once.

    Parameters
    ----------
    line_bits : int
        The most bits of lines that are there in a step, and of the accumulators of a row.
    input_bits : tuple of int
        Of lines that come from DRAM, by the stage that reads them first.
    output_bits : tuple of int
        Of what each stage writes to DRAM.
    """

    line_bits: int
    input_bits: tuple[int, ...]
    output_bits: tuple[int, ...]

    @property
    def traffic(self) -> int:
        """Bits from and to DRAM, weights aside."""
        return sum(self.input_bits) + sum(self.output_bits)


def written_rows(stage: Stage) -> int:
    """Return the rows of a stage's output, which the drain may have pooled."""
    return max(1, stage.loops.rows // stage.loops.row_step)


def fused(stages: Sequence[Stage], there: Tensors, later: Tensors) -> Group:
    """Return what stages take that run at once.

    Parameters
    ----------
    stages : sequence of Stage
        In running order. No two of the network write the same tensor as one of them.
    there : frozenset of str
        Tensors that are on the chip as a whole.
    later : frozenset of str
        Those that stages after these read.
    """
    made = _made(stages, later)
    makers = {stage.target: index for index, stage in enumerate(stages) if stage.target}
    lines, inputs = np.zeros(made[-1].size, np.int64), [0] * len(stages)
    for name in dict.fromkeys(name for stage in stages for name in stage.sources if name not in there):
        readers = [index for index, stage in enumerate(stages) if name in stage.sources]
        first = stages[readers[0]]
        if name in makers:
            maker = stages[makers[name]]
            rows, row_bits, high = written_rows(maker), maker.output_bits // written_rows(maker), made[makers[name]]
        else:
            rows, row_bits = first.loops.input_rows, first.sources[name] * first.loops.maps * first.loops.groups
            high = np.max([_needed(stages[index], made[index], rows) for index in readers], axis=0)
            inputs[readers[0]] += int(high[-1]) * row_bits
        low = np.min([_kept_from(stages[index], made[index], rows) for index in readers], axis=0)
        coming = 0 if name in makers else np.append(high[1:], high[-1]) - high
        lines += (np.maximum(high - low, 0) + coming) * row_bits
    stored = [stage.target not in there and (stage.target is None or stage.target in later) for stage in stages]
    return Group(
        line_bits=int(lines.max()) + max(stage.loops.sum_row_bits for stage in stages),
        input_bits=tuple(inputs),
        output_bits=tuple(stage.output_bits if out else 0 for stage, out in zip(stages, stored, strict=True)),
    )


def _made(stages: Sequence[Stage], later: Tensors) -> list[Integers]:
    """Return how many rows of its output each stage has made after each step."""
    steps = np.arange(1, written_rows(stages[-1]) + 1)
    made = [steps] * len(stages)
    for index in range(len(stages) - 2, -1, -1):
        stage = stages[index]
        rows = written_rows(stage)
        after = range(index + 1, len(stages))
        needs = [_needed(stages[at], made[at], rows) for at in after if stage.target in stages[at].sources]
        made[index] = np.max(needs, axis=0) if needs else -(-steps * rows // steps.size)
        if stage.target is None or stage.target in later:
            made[index] = np.append(made[index][:-1], rows)
    return made


def _needed(stage: Stage, made: Integers, rows: int) -> Integers:
    """Return how many rows of an input, of `rows`, are needed for so many rows of a stage's output."""
    loops = stage.loops
    if loops.input_rows != rows:  # a flatten lies between
        return np.where(made > 0, rows, 0)
    last = np.minimum(made * loops.row_step, loops.rows) - 1
    return np.where(made > 0, np.clip(last * loops.stride - loops.padding + loops.kernel_rows, 0, rows), 0)


def _kept_from(stage: Stage, made: Integers, rows: int) -> Integers:
    """Return the first row of an input, of `rows`, that a stage still needs when each step begins; all if none."""
    loops, before = stage.loops, np.append(0, made[:-1])
    if loops.input_rows != rows:
        return np.where(before >= written_rows(stage), rows, 0)
    first = np.clip(before * loops.row_step * loops.stride - loops.padding, 0, rows)
    return np.where(before >= written_rows(stage), rows, first)
