"""Running a study of word lengths: point by point, by workers, each on the disk as soon as it is there."""

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from accel import archive
from accel.interchange import zoo
from accel.interchange.data.datasets import NAMES, check_choice
from accel.pruned import KIND
from accel.quantize import operands_of
from accel.records import record_of
from reports.shared import output
from reports.shared.journal import RESULTS, Journal
from reports.shared.schema import saved
from reports.shared.workers import Run
from reports.studies.bitwidth import figures
from reports.studies.bitwidth.definition import (
    QUICK,
    STUDIES,
    Study,
    Task,
)
from reports.studies.bitwidth.page import page
from reports.studies.bitwidth.points import Version, values_of, version_of
from reports.studies.bitwidth.results import Point, Results
from reports.studies.files import POINTS, folder_of
from reports.studies.measuring import measure, named
from reports.workflow.sources import source_of

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


def _digest(version: Version) -> str:
    """Return a digest of a network, and of images whose name does not say what they are."""
    digest = hashlib.sha256(archive.dump(KIND, version.bench.pruned))
    for images in version.splits.values() if version.bench.pruned.data not in NAMES else ():
        digest.update(images.images.tobytes() + images.labels.tobytes())
    return digest.hexdigest()[:16]
