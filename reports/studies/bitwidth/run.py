"""Running a study of word lengths: point by point, by workers, each on the disk as soon as it is there."""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from accel import archive
from accel.cost import cost_of
from accel.interchange import zoo
from accel.interchange.data.datasets import NAMES, Dataset, check_choice
from accel.program import Program
from accel.pruned import KIND, PrunedNetwork
from accel.quantize import Calibration, Steps, Widths, bits_of, highest_bits, operands_of, widths_with
from accel.records import record_of
from reports.shared import output
from reports.shared.journal import RESULTS, Journal
from reports.shared.schema import saved
from reports.shared.workers import Run
from reports.studies.bitwidth import figures
from reports.studies.bitwidth.definition import (
    ALLOCATION,
    BY_MAPS,
    DIRECT,
    QUICK,
    RETRAINED,
    SEARCHED,
    SENSITIVITY,
    STUDIES,
    Study,
    Task,
)
from reports.studies.bitwidth.page import page
from reports.studies.bitwidth.results import Point, Results
from reports.studies.files import POINTS, folder_of
from reports.studies.measuring import Named, measure, named, splits_of
from reports.workflow import quantize, retrain
from reports.workflow.evaluate import float_error_rate
from reports.workflow.quantize import Workbench
from reports.workflow.sources import Source, source_of

Where = tuple[str | None, str | None]  # what --data and --data-dir say


def command(
    network: str,
    data: str | None,
    data_dir: str | None,
    out: Path | None,
    quick: bool,
    draw: bool,
    crew: AbstractContextManager[Run],
) -> None:
    """Run a study, or go on with it; then write results.json, the figures and the page, and say where.

    The points that are missing are measured by the workers of `crew`.
    """
    folder = folder_of(network, out)
    if draw:
        found = saved(folder / RESULTS, Results.from_json)
    else:
        found = _ran(network, (data, data_dir), folder, quick, crew)
    drawn = figures.render(found)
    text = page(found, [*drawn])
    output.write_folder(folder, {**drawn, RESULTS: found.to_json().encode(), "README.md": text.encode()})
    print(f"Written to {folder}: README.md, results.json and {len(drawn)} figures; {len(found.points)} points.")


def study_of(network: str, quick: bool) -> Study:
    """Return the study of a network of the table, or the quick one, which any network has."""
    if quick:
        return replace(QUICK, network=network)
    check_choice("study", network, [*STUDIES])
    return STUDIES[network]


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


def _ran(network: str, where: Where, folder: Path, quick: bool, crew: AbstractContextManager[Run]) -> Results:
    study = study_of(network, quick)
    shipped = {pattern: zoo.load(study.network, pattern) for pattern in study.patterns}
    source = source_of(study.network, shipped[zoo.DENSE], *where)
    networks = {pattern: replace(pruned, data=source.name).to_bytes() for pattern, pruned in shipped.items()}
    setup = named(source), source.anywhere(), study.images
    versions = {pattern: version_of(pruned, *setup) for pattern, pruned in networks.items()}
    operands = {pattern: operands_of(version.bench.pruned) for pattern, version in versions.items()}
    digests = {pattern: _digest(version) for pattern, version in versions.items()}
    tasks = study.tasks(operands, digests)
    points: dict[str, Point] = {}

    def take(record: dict[str, Any]) -> None:
        point = record_of(Point, record)
        points[point.task.key] = point

    def arguments(task: Task) -> tuple[Any, ...]:
        return task, networks[task.pattern], *setup

    with crew as run:
        with output.writing(folder):
            (folder / POINTS).parent.mkdir(parents=True, exist_ok=True)
        journal = Journal(folder / POINTS, "point of a study")
        journal.read(take)

        def keep(task: Task, values: dict[str, Any]) -> None:
            take(journal.add(asdict(Point(task, values))))

        measure(run, network, tasks, points, values_of, arguments, keep)
    dense = versions[zoo.DENSE]
    with threadpool_limits(1):
        float_rates = {pattern: version.float_rates for pattern, version in versions.items()}
    return Results(
        study.network,
        dense.bench.pruned.data,
        json.loads(json.dumps(asdict(study))),
        float_rates,
        {split: len(images) for split, images in dense.splits.items()},
        32 * sum(dense.bench.pruned.dense_weights.values()),
        {pattern: version.bench.pruned.sparsity for pattern, version in versions.items()},
        tuple(points[task.key] for task in tasks),
    )


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
        emulated["emulated_images"] = quantize.check_emulation(bench, program, version.splits["test"])
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


def _digest(version: Version) -> str:
    """Return a digest of a network, and of images whose name does not say what they are."""
    digest = hashlib.sha256(archive.dump(KIND, version.bench.pruned))
    for images in version.splits.values() if version.bench.pruned.data not in NAMES else ():
        digest.update(images.images.tobytes() + images.labels.tobytes())
    return digest.hexdigest()[:16]
