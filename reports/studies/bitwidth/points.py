"""The points of a study of word lengths, measured: what a worker does, in whichever process; it draws nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from threadpoolctl import threadpool_limits

from accel.cost import cost_of
from accel.interchange.data.datasets import Dataset
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Steps, Widths, bits_of, highest_bits, widths_with
from reports.studies.bitwidth.definition import (
    ALLOCATION,
    BY_MAPS,
    DIRECT,
    RETRAINED,
    SEARCHED,
    SENSITIVITY,
    Task,
)
from reports.studies.measuring import Named, splits_of
from reports.workflow import quantize, retrain
from reports.workflow.evaluate import float_error_rate
from reports.workflow.quantize import Workbench
from reports.workflow.sources import Source


@dataclass(frozen=True)
class Version:
    """One version of the network, with its images and what all its points share."""

    bench: Workbench
    splits: dict[str, Dataset]

    @cached_property
    def high_bits(self) -> int:
        """The bits of what is not under test."""
        return highest_bits(self.bench.lowered)

    @property
    def float_rates(self) -> dict[str, float]:
        """The error rates of the float network on whole splits."""
        return {x: float_error_rate(self.bench.pruned, self.splits[x]) for x in ("validation", "test")}

    def rates(self, bench: Workbench, program: Program) -> dict[str, float]:
        """Return the error rates of a Program on whole splits."""
        return {split: bench.error_rate(program, self.splits[split]) for split in ("validation", "test")}


@lru_cache(maxsize=8)  # one a pattern; they share the images
def version_of(pruned: bytes, images: Named, source: Source, judged: int) -> Version:
    """Return a version, in whichever process; raise EspalierError if the images that it finds are others.

    Parameters
    ----------
    pruned : bytes
        `PrunedNetwork.to_bytes`.
    images : Named
    source : Source
    judged : int
        Validation images that decide.
    """
    splits = splits_of(images, source)
    validation = splits["validation"]
    calibration = Calibration(PrunedNetwork.from_bytes(pruned), source.calibration().pixels())
    return Version(Workbench(calibration, validation.take(min(judged, len(validation))), threads=1), splits)


def values_of(task: Task, pruned: bytes, images: Named, source: Source, judged: int) -> dict[str, Any]:
    """Return what `measured` does, in a worker: on one thread, so that floating-point sums have one order."""
    with threadpool_limits(1):
        return measured(task, version_of(pruned, images, source, judged))


def measured(task: Task, version: Version) -> dict[str, Any]:
    """Return what a task gives: error rates, memory in bits, widths."""
    return _MEASURES.get(task.kind, _uniform)(task, version)


def _uniform(task: Task, version: Version) -> dict[str, Any]:
    bench, widths = version.bench, Widths(task.weight_bits, task.signal_bits)
    steps = Steps("max") if task.method == DIRECT else bench.calibration.steps
    if task.method == SEARCHED:
        steps = quantize.searched(bench, widths, task.evaluations)
    if task.method in (RETRAINED, BY_MAPS):
        steps = replace(steps, per_output=task.method == BY_MAPS)
        fit: dict[str, Any] = {"batch_size": task.batch_size or None, "learning_rate": task.learning_rate or None}
        recipe = retrain.recipe(bench.pruned.network.name, task.epochs, seed=task.seed, **fit)
        bench, steps = quantize.retrained(bench, widths, steps, recipe, version.splits["train"])
    program = bench.lowered(widths, steps)
    emulated = {}
    if task.method in (RETRAINED, BY_MAPS):
        emulated["emulated_images"] = quantize.check_emulation(
            program, version.splits["test"], bench.calibration.steps.power_of_two, bench.threads
        )
    return _costs(version, bench, program) | emulated


def _sensitive(task: Task, version: Version) -> dict[str, Any]:
    operand = next(operand for operand in version.bench.operands if str(operand) == task.group)
    program = version.bench.lowered(widths_with({operand: task.weight_bits}, version.high_bits))
    return {"rates": {"judged": version.bench.error_rate(program)}}


def _allocated(task: Task, version: Version) -> dict[str, Any]:
    images = version.splits["validation"]
    bench = replace(version.bench, judged=images.take(min(task.images, len(images))))
    budget = bench.memory_bits(Widths(task.weight_bits, task.signal_bits))
    found = quantize.allocated(bench, Widths(8, 8), None, budget, task.evaluations)
    bits = {str(operand): bits_of(found.widths, operand) for operand in bench.operands}
    return _costs(version, bench, bench.lowered(found.widths)) | {"widths": bits, "budget_bits": budget}


_MEASURES: dict[str, Callable[[Task, Version], dict[str, Any]]] = {SENSITIVITY: _sensitive, ALLOCATION: _allocated}


def _costs(version: Version, bench: Workbench, program: Program) -> dict[str, Any]:
    cost = cost_of(program)
    return {
        "rates": version.rates(bench, program) | {"judged": bench.error_rate(program)},
        "memory_bits": cost.memory_bits,
        "parameter_bits": cost.total.parameter_memory_bits,
    }
