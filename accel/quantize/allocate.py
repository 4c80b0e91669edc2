"""Bits for every operand of a network: the least memory for an error rate, or the least error in a memory or in cycles.

Shin, Hwang and Sung (arXiv 1512.01322) measure operands one at a time, then raise bits until all of them do jointly.
Ours: a greedy path from the highest to the lowest bits, each move the one of the least predicted rise of the error rate
for a saved bit of memory; the last point of it that the joint error rate, measured, allows; then moves up, moves down
and swaps while one helps. Uniform widths are measured first, and of all that was measured the best is returned: no
uniform widths within the budget are better.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from accel.budget import Judge, Spent
from accel.errors import EspalierError
from accel.progress import Listener
from accel.quantize.operands import Operand, bits_of, widths_with
from accel.quantize.sensitivity import Sensitivity, sensitivity
from accel.quantize.width_moves import Bits, Prediction, greedy_path, neighbors
from accel.quantize.widths import Widths

Rank = tuple[float, float, float, float]
MOST_EVALUATIONS = 500  # of 12 operands 7 are uniform widths, 72 the sensitivity, and the rest the search


@dataclass(frozen=True)
class Allocation:
    """Widths, what they were measured to cost, and how many evaluations of the error rate (0..1) were made."""

    widths: Widths
    error_rate: float
    memory_bits: int
    evaluations: int


def allocate(
    operands: Sequence[Operand],
    error_rate: Callable[[Widths], float],
    memory_bits: Callable[[Widths], int],
    *,
    budget_error: float | None = None,
    budget_memory_bits: int | None = None,
    cycles: Callable[[Widths], int] | None = None,
    budget_cycles: int | None = None,
    lowest: int = 2,
    highest: int = 8,
    input_bits: int = 8,
    sensitivities: Sequence[Sensitivity] = (),
    evaluations: int = MOST_EVALUATIONS,
    progress: Listener | None = None,
) -> Allocation:
    """Return widths that meet a budget, which they never exceed, at the least of the other cost that was found.

    Parameters
    ----------
    operands : sequence of Operand
        `operands_of` a network, or some of them; all else has `highest` bits.
    error_rate : function
        From word lengths to the error rate, 0..1, on a validation set; called once for the same widths.
    memory_bits : function
        From word lengths to the on-chip memory in bits; called once for the same widths, but for thousands of them.
    budget_error : float
        The highest error rate, 0..1: memory is minimised.
    budget_memory_bits : int
        The most memory: the error rate is minimised. It and the one before do not go together.
    cycles : function, optional
        From word lengths to cycles, beside `budget_cycles`; called once for the same widths, but for thousands of them.
    budget_cycles : int, optional
        The most cycles, which stand above everything else: alone, the error rate is minimised.
    lowest, highest : int
        The range of the bits.
    input_bits : int
        Of the image.
    sensitivities : sequence of Sensitivity, optional
        What `sensitivity` gave for these operands and bits. By default it is measured, with the rest at `highest` bits.
    evaluations : int
        The most calls of `error_rate`; at least one for each uniform width.
    progress : function, optional
        Called with a `Progress` after each evaluation.

    Raises
    ------
    EspalierError
        No budget is given or two that do not go together, a budget is out of range or not met (the line says what is
        reached), the range of bits is empty, evaluations are too few, sensitivities are incomplete, or an error rate is
        not 0..1.
    """
    task = _Task(budget_error, budget_memory_bits, budget_cycles)
    search = _Search(task, tuple(operands), lowest, highest, input_bits)
    search.begin(error_rate, memory_bits, cycles or (lambda widths: 0), evaluations, progress)
    with suppress(Spent):
        predicted = Prediction(operands, sensitivities or search.sensitivities(), lowest, highest)
        search.walk(greedy_path(operands, predicted, search.memory, lowest, highest))
        search.improve(predicted)
    return search.result()


@dataclass(frozen=True)
class _Task:
    """What is asked for."""

    error: float | None
    memory: int | None
    cycles: int | None

    def __post_init__(self) -> None:
        if (self.error is None) == (self.memory is None) and (self.error is not None or self.cycles is None):
            given = "neither" if self.error is None else "both"
            raise EspalierError(f"an allocation needs a budget of the error rate or of memory, got {given}")
        if self.error is not None and not 0 <= self.error <= 1:
            raise EspalierError(f"a budget of the error rate must be 0..1, got {self.error}")
        if self.memory is not None and self.memory < 1:
            raise EspalierError(f"a budget of memory must be at least 1 bit, got {self.memory}")
        if self.cycles is not None and self.cycles < 1:
            raise EspalierError(f"a budget of cycles must be at least 1, got {self.cycles}")

    def rank(self, error: float, memory: int, cycles: int) -> Rank:
        """Return how far a point is beyond the budgets, then what is minimised, then the rest: the lowest is best."""
        late = 0 if self.cycles is None else max(0, cycles - self.cycles)
        if self.error is not None:
            return late, max(0.0, error - self.error), memory, error
        return late, 0 if self.memory is None else max(0, memory - self.memory), error, memory


@dataclass
class _Search:
    task: _Task
    operands: tuple[Operand, ...]
    lowest: int
    highest: int
    input_bits: int

    def __post_init__(self) -> None:
        if not self.operands or not 2 <= self.lowest <= self.highest:
            raise EspalierError(f"an allocation needs operands, and bits from 2 on, got {self.lowest}..{self.highest}")

    def begin(
        self,
        error_rate: Callable[[Widths], float],
        memory_bits: Callable[[Widths], int],
        cycles: Callable[[Widths], int],
        evaluations: int,
        progress: Listener | None,
    ) -> None:
        """Measure uniform widths."""
        self.memory = cache(lambda bits: memory_bits(self.widths(bits)))
        self.cycles = cache(lambda bits: cycles(self.widths(bits)))
        self.judge: Judge[Bits] = Judge(lambda bits: error_rate(self.widths(bits)), evaluations, progress)
        uniform = [(bits,) * len(self.operands) for bits in range(self.highest, self.lowest - 1, -1)]
        if evaluations < len(uniform):
            raise EspalierError(f"an allocation needs {len(uniform)} evaluations for uniform widths, got {evaluations}")
        if self.task.memory is not None and (least := self.memory(uniform[-1])) > self.task.memory:
            raise EspalierError(
                f"no widths fit in {self.task.memory} bits of memory: {self.lowest} bits everywhere take {least}"
            )
        for bits in uniform:
            self.judge(bits)

    def widths(self, bits: Bits) -> Widths:
        return widths_with(dict(zip(self.operands, bits, strict=True)), self.highest, self.input_bits)

    def sensitivities(self) -> tuple[Sensitivity, ...]:
        def error_rate(widths: Widths) -> float:
            return self.judge(tuple(bits_of(widths, operand) for operand in self.operands))

        bits = range(self.lowest, self.highest + 1)
        return sensitivity(self.operands, error_rate, bits=bits, high_bits=self.highest)

    def rank(self, bits: Bits) -> tuple[Rank, Bits]:
        return self.task.rank(self.judge(bits), self.memory(bits), self.cycles(bits)), bits

    def best(self) -> Bits:
        """Return the best point of all that were measured."""
        return min(self.judge.rates, key=self.rank)

    def walk(self, path: list[Bits]) -> None:
        """Measure a path of falling memory: its first point within that budget, or around that of the error rate.

        There it bisects to a point that meets the budget before one that does not: the last good one, if fewer bits
        are never better. Cycles alone leave the path to the moves, since bits may save some or cost some.
        """
        if self.task.memory is not None:
            self.judge(next(bits for bits in path if self.memory(bits) <= self.task.memory))
        if self.task.error is None:
            return
        good, bad = 0, len(path)
        while bad - good > 1:
            middle = (good + bad) // 2
            beyond = any(self.rank(path[middle])[0][:2])
            good, bad = (good, middle) if beyond else (middle, bad)

    def improve(self, predicted: Prediction) -> None:
        """Go from the best point to the first better one around it, the most promising tried first, while one is."""
        here = None
        while here != (best := self.best()):
            here = best
            rank = self.rank(here)
            next((bits for bits in self._promising(here, predicted) if self.rank(bits) < rank), None)

    def _promising(self, here: Bits, predicted: Prediction) -> list[Bits]:
        """Return the moves that would be better with no error at all, that of the best predicted rank first."""
        error, rank = self.judge(here), self.rank(here)[0]

        def guess(bits: Bits) -> tuple[Rank, Bits]:
            expected = max(0.0, error + predicted(bits) - predicted(here))
            return self.task.rank(expected, self.memory(bits), self.cycles(bits)), bits

        def at_best(bits: Bits) -> Rank:
            return self.task.rank(0.0, self.memory(bits), self.cycles(bits))

        moves = set(neighbors(self.operands, here, self.lowest, self.highest))
        return sorted((bits for bits in moves if at_best(bits) < rank), key=guess)

    def result(self) -> Allocation:
        best = self.best()
        error, cycles = self.judge(best), self.cycles(best)
        if self.task.cycles is not None and cycles > self.task.cycles:
            raise EspalierError(
                f"no widths of {self.lowest}..{self.highest} bits were found that take at most {self.task.cycles:,} "
                f"cycles: the fewest are {cycles:,}"
            )
        if self.task.error is not None and error > self.task.error:
            raise EspalierError(
                f"no widths of {self.lowest}..{self.highest} bits were found with an error rate of at most "
                f"{self.task.error:.2%}: the lowest is {error:.2%}"
            )
        return Allocation(self.widths(best), error, self.memory(best), len(self.judge.rates))
