"""From a network to a Program of few bits, as commands do it: search for steps, allocation of widths, retraining."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accel.cost import cost_of
from accel.errors import EspalierError
from accel.interchange.data.datasets import Dataset
from accel.network import Network
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import (
    Allocation,
    Calibration,
    Operand,
    Sensitivity,
    Steps,
    Widths,
    allocate,
    operands_of,
    search_steps,
)
from accel.quantize.fit_step import power_of_two_step
from accel.signal import Signal
from reports.shared.progress import bar
from reports.workflow.curvature import sensitivities
from reports.workflow.evaluate import float_error_rate, program_error_rate
from reports.workflow.lowering import lowered
from reports.workflow.retrain import training_bar
from reports.workflow.training_log import TrainingLog, listeners
from sim.engine import compile_program

if TYPE_CHECKING:
    from accel.train import Recipe

PART = 250  # images whose tensors are held at once
LOWEST, HIGHEST = 2, 8  # bits of what is allocated
STEP_RATE = 0.1  # of steps that are learned, as a share of the learning rate, where that is Adam's


@dataclass(frozen=True, eq=False)
class Workbench:
    """A network with the images by which it is quantised.

    Parameters
    ----------
    calibration : Calibration
        Network, images and rule by which steps are found; found steps are remembered there.
    judged : Dataset
        By its images the error rates are measured that decide anything.
    modes : dict
        Rounding and overflow, as `lower_calibrated` takes them.
    threads : int, optional
        Of the engine.
    """

    calibration: Calibration
    judged: Dataset
    modes: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None

    @property
    def pruned(self) -> PrunedNetwork:
        """The network, with what was pruned from it."""
        return self.calibration.pruned

    def lowered(self, widths: Widths, steps: Steps | None = None) -> Program:
        """Return the Program at these widths, by the workbench's rule or by other steps."""
        calibration = self.calibration if steps is None else replace(self.calibration, steps=steps)
        return lowered(calibration, widths, **self.modes)

    def error_rate(self, program: Program, images: Dataset | None = None) -> float:
        """Return a Program's error rate, 0..1, by the bit-accurate engine; on the judged images by default."""
        data = images or self.judged
        codes = self._codes(program.input_signal, data)
        return program_error_rate(compile_program(program), codes, data, self.threads)

    def memory_bits(self, widths: Widths) -> int:
        """Return the on-chip memory of the Program at these widths: parameters, indices and live signals."""
        return cost_of(self.lowered(widths)).memory_bits

    @cached_property
    def float_error_rate(self) -> float:
        """The error rate of the float network on the judged images."""
        return float_error_rate(self.pruned, self.judged)

    @cached_property
    def operands(self) -> tuple[Operand, ...]:
        """The operands of the network, each of which has bits of its own."""
        return operands_of(self.pruned)

    @cached_property
    def _encoded(self) -> dict[tuple[Signal, int], tuple[Dataset, NDArray[np.integer[Any]]]]:
        return {}

    def _codes(self, signal: Signal, images: Dataset) -> NDArray[np.integer[Any]]:
        key = signal, id(images)
        if key not in self._encoded:  # with the images, so that no others come to have their id
            self._encoded[key] = images, images.codes(signal)
        return self._encoded[key][1]


def searched(bench: Workbench, widths: Widths, budget: int) -> Steps:
    """Return steps around those of the rule, with which the error rate on the judged images is no higher."""
    with bar(f"{bench.pruned.network.name}, steps", budget) as shown:
        return search_steps(
            lambda steps: bench.lowered(widths, steps),
            bench.error_rate,
            bench.calibration.steps,
            budget=budget,
            progress=lambda at: shown.advance(f"lowest error {at.best:.2%}"),
        )


def allocated(
    bench: Workbench,
    most: Widths,
    budget_error: float | None,
    budget_memory_bits: int | None,
    evaluations: int,
    curved: Dataset | None = None,
    cycles: Callable[[Program], int] | None = None,
    budget_cycles: int | None = None,
) -> Allocation:
    """Return the widths of every operand, none above those of `most`, that meet a budget.

    Parameters
    ----------
    bench : Workbench
    most : Widths
    budget_error : float
        By how much the error rate on the judged images may exceed the float network's: memory is minimised.
    budget_memory_bits : int
        Of parameters, indices and live signals: the error rate is minimised. It is not given beside the other.
    evaluations : int
        The most error rates to measure.
    curved : Dataset, optional
        Labelled training images, by which the loss's curvature says what bits cost each operand; it is measured, one
        operand and width after the other, by default.
    cycles : function of a Program, optional
        What it takes of an array, where there is a budget.
    budget_cycles : int, optional
        That no widths exceed: alone, the error rate is minimised.

    Raises
    ------
    EspalierError
        The budget cannot be met; or `most` has more than 8 bits.
    """
    if max(most.weight_bits, most.signal_bits) > HIGHEST:
        raise EspalierError(
            f"widths are allocated within {LOWEST}..{HIGHEST} bits, got {most.weight_bits} for weights "
            f"and {most.signal_bits} for signals"
        )

    def capped(widths: Widths) -> Widths:
        return replace(
            widths,
            weight_bits=min(widths.weight_bits, most.weight_bits),
            signal_bits=min(widths.signal_bits, most.signal_bits),
            weight_bits_of={name: min(bits, most.weight_bits) for name, bits in widths.weight_bits_of.items()},
            signal_bits_of={name: min(bits, most.signal_bits) for name, bits in widths.signal_bits_of.items()},
        )

    highest = max(most.weight_bits, most.signal_bits)
    rates: dict[str, float] = {}

    def error_rate(widths: Widths) -> float:
        key = repr(capped(widths))
        if key not in rates:
            rates[key] = bench.error_rate(bench.lowered(capped(widths)))
        return rates[key]

    limit = None if budget_error is None else min(1.0, bench.float_error_rate + budget_error)
    known: tuple[Sensitivity, ...] = ()
    if curved is not None:
        bits = range(LOWEST, highest + 1)
        known = sensitivities(bench.calibration, bench.operands, curved, error_rate, bits)
    with bar(f"{bench.pruned.network.name}, widths", evaluations) as shown:
        found = allocate(
            bench.operands,
            error_rate,
            lambda widths: bench.memory_bits(capped(widths)),
            budget_error=limit,
            budget_memory_bits=budget_memory_bits,
            cycles=(lambda widths: cycles(bench.lowered(capped(widths)))) if cycles else None,
            budget_cycles=budget_cycles,
            lowest=LOWEST,
            highest=highest,
            input_bits=most.input_bits,
            sensitivities=known,
            evaluations=evaluations,
            progress=lambda at: shown.advance(f"lowest error {at.best:.2%}"),
        )
    return replace(found, widths=capped(found.widths))


def check_emulation(program: Program, images: Dataset, everything: bool = False, threads: int | None = None) -> int:
    """Run a Program on real values too, as training sees it, and return for how many images the engine agrees: all.

    Compared is every score, hence every prediction; if `everything` every code of every tensor, which are the same
    where steps are powers of two.

    Raises
    ------
    EspalierError
        A code differs; the line says where. Or float64 is not proven exact for the Program.
    """
    from accel import train

    engine, codes = compile_program(program), images.codes(program.input_signal)
    for first in range(0, len(codes), PART):
        part = codes[first : first + PART]
        run = engine.run(part, threads, keep_tensors=everything)
        expected = train.emulate(program, part)
        for name, found in (run.tensors if everything else {program.output: run.codes}).items():
            if (wrong := np.argwhere(found != expected[name])).size:
                at, there = first + int(wrong[0, 0]), tuple(map(int, wrong[0, 1:]))
                raise EspalierError(
                    f"{name}: the engine's code {found[tuple(wrong[0])]} of image {at} at {there} is "
                    f"{expected[name][tuple(wrong[0])]} in the emulation of the training"
                )
    return len(codes)


def retrained(
    bench: Workbench,
    widths: Widths,
    steps: Steps,
    recipe: "Recipe",
    images: Dataset,
    checkpoint: Path | None = None,
    teacher: Network | None = None,
    device: str | None = None,
    log: TrainingLog | None = None,
    validation: Dataset | None = None,
) -> tuple[Workbench, Steps]:
    """Return the network retrained as the Program at `widths` and `steps` computes it, and the steps it ended with.

    Steps are learned with the weights. Powers of two cannot be: those of weights are found anew before each epoch, by
    the least squared error, and those of signals stay. Batch norms are alive, where the recipe has them so, if weights
    have a learned step for each output map.
    """
    from accel import train

    program = bench.lowered(widths, steps)
    powers = steps.power_of_two
    if powers or not steps.per_output:
        recipe = replace(recipe, norms_frozen=0.0)
    rate = STEP_RATE if recipe.optimizer == "adam" else 1.0
    held_out = {"validation": (validation.pixels(), validation.labels)} if validation else {}
    rule = train.StepRule("refit") if powers else train.StepRule("learn", "learn", rate)
    shown = training_bar(f"{bench.pruned.network.name}, retraining", recipe, images)
    with shown as report, listeners(log, "retraining", recipe, report) as heard:
        found = train.retrain_quantized(
            bench.calibration.unfolded,
            program,
            images.pixels(),
            images.labels,
            recipe,
            rule,
            find_step=power_of_two_step if powers else None,
            teacher=teacher,
            device=device,
            checkpoint=checkpoint,
            **(held_out | heard),
        )
    given = replace(steps, weights=found.weight_steps, signals=found.signal_steps)
    return replace(bench, calibration=replace(bench.calibration, pruned=found.pruned, steps=given)), given
