"""Running a study of pruning: point by point, by workers, each on the disk as soon as it is there."""

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from accel.demand import bare
from accel.interchange import zoo
from accel.interchange.data.datasets import Dataset, check_choice
from accel.layers import Conv2d
from accel.prune import default_spare
from accel.pruned import PrunedNetwork
from accel.records import record_of
from accel.sparsity import Mask
from reports.shared import output
from reports.shared.journal import RESULTS, Journal
from reports.shared.schema import saved
from reports.shared.workers import Run
from reports.studies.files import POINTS, folder_of
from reports.studies.measuring import measure, named
from reports.studies.pruning import figures
from reports.studies.pruning.compared import COMPARED
from reports.studies.pruning.cycles import WIDTHS, on_array
from reports.studies.pruning.definition import QUICK, STUDIES, Study, Task
from reports.studies.pruning.page import page
from reports.studies.pruning.points import Bench, bench_of, pictured, point_of
from reports.studies.pruning.results import Point, Results, packed
from reports.workflow import retrain
from reports.workflow.sources import source_of

Where = tuple[str | None, str | None]  # what --data and --data-dir say


def command(
    network: str,
    data: str | None,
    data_dir: str | None,
    out: Path | None,
    seeds: int,
    quick: bool,
    draw: bool,
    crew: AbstractContextManager[Run],
    lanes: tuple[int, int] | None = None,
) -> None:
    """Run a study, or go on with it; then write results.json, the figures and the page, and say where.

    The points that are missing are measured by the workers of `crew`. On an array of `lanes`, output lanes and pixel
    lanes, patterns are compared by cycles.
    """
    folder = folder_of(network, out, "cycles" if lanes else "")
    if lanes:
        _ = bare(*lanes, WIDTHS.weight_bits)  # before anything is measured: an array has these lanes
    if draw and not (folder / POINTS).exists():
        found = saved(folder / RESULTS, Results.from_json)
    else:
        study = study_of(network, quick, on_array=lanes is not None)
        found = Results.from_json(_ran(study, (data, data_dir), folder, seeds, None if draw else crew).to_json())
    if lanes:
        found = on_array(found, zoo.load(network), lanes)
    drawn = figures.render(found)
    readme = page(found, [*drawn])
    output.write_folder(folder, {**drawn, RESULTS: found.to_json().encode(), "README.md": readme.encode()})
    done = f"{len(found.points)} of {found.planned} points"
    print(f"Written to {folder}: README.md, results.json and {len(drawn)} figures; {done}.")


def study_of(network: str, quick: bool, on_array: bool = False) -> Study:
    """Return the study of a network, or the quick one, which any network has; `on_array` that of patterns compared.

    Raises
    ------
    EspalierError
        The table has no such network.
    """
    if quick:
        return replace(QUICK, network=network, sweep={} if on_array else QUICK.sweep)
    table, what = (COMPARED, "study on an array") if on_array else (STUDIES, "study")
    check_choice(what, network, [*table])
    return table[network]


class Store:
    """The points that are done, in a `Journal`; the parameters are its."""

    def __init__(self, path: Path, repair: bool = True) -> None:
        self.journal = Journal(path, "point of a study", repair)
        self.points: dict[str, Point] = {}
        self.masks: dict[str, dict[str, Any]] = {}
        self.journal.read(self._take)

    def _take(self, record: dict[str, Any]) -> None:
        masks = record.pop("masks")
        point = record_of(Point, record)
        self.points[point.task.key], self.masks[point.task.key] = point, masks

    def add(self, point: Point, masks: dict[str, Mask]) -> None:
        """Take one point, and put it on the disk before returning."""
        record = asdict(point) | {"masks": {name: packed(mask) for name, mask in masks.items()}}
        self._take(self.journal.add(record))


def _ran(study: Study, where: Where, folder: Path, seeds: int, crew: AbstractContextManager[Run] | None) -> Results:
    """Return the results of a study, of which every point that is not there yet is measured, if there is a crew."""
    dense = zoo.load(study.network)
    source = source_of(study.network, dense, *where)
    dense = replace(dense, data=source.name)
    setup = dense.to_bytes(), named(source), source.anywhere()
    bench = bench_of(*setup, study.selection_images)
    recipe = retrain.recipe(dense.network.name, study.epochs, **study.changes)
    spare = default_spare(dense.network)
    lasso = replace(recipe, epochs=1, seed=0, group_lasso=study.group_lasso)  # how anything is trained, in one text
    tasks = study.tasks(seeds, spare, _digest(dense, bench.images if source.own else {}), repr(lasso))
    if crew is None:
        return results(study, tasks, Store(folder / POINTS, repair=False), bench, seeds, repr(recipe))
    with crew as run:
        with output.writing(folder):
            (folder / POINTS).parent.mkdir(parents=True, exist_ok=True)
        store = Store(folder / POINTS)

        def arguments(task: Task) -> tuple[Any, ...]:
            return task, *setup, recipe, study.group_lasso

        measure(run, study.network, tasks, store.points, point_of, arguments, lambda _, found: store.add(*found))
    return results(study, tasks, store, bench, seeds, repr(recipe))


def results(study: Study, tasks: list[Task], store: Store, bench: Bench, seeds: int, recipe: str) -> Results:
    """Return what there is of a study."""
    done = [task for task in tasks if task.key in store.points]
    pictures: dict[str, dict[str, Any]] = {}
    for task in done:
        if pictured(task):
            pictures.setdefault(task.granularity, store.masks[task.key])
    network = bench.dense.network
    with threadpool_limits(1):
        dense = bench.rates(bench.dense) | {"selection": bench.searched({})}
    return Results(
        study.network,
        bench.dense.data,
        seeds,
        json.loads(json.dumps(asdict(study))),
        recipe,
        dense,
        {split: len(images) for split, images in bench.images.items()},
        tuple(layer.name for layer in network.weighted if isinstance(layer, Conv2d)),
        len(tasks),
        tuple(store.points[task.key] for task in done),
        pictures,
    )


def _digest(dense: PrunedNetwork, images: dict[str, Dataset]) -> str:
    """Return a digest of a network, and of images whose name does not say what they are."""
    digest = hashlib.sha256()
    for layer in dense.network.layers:
        arrays = (getattr(layer, item.name) for item in fields(layer))
        digest.update(b"".join(x.tobytes() for x in arrays if isinstance(x, np.ndarray)))
    for split in images.values():
        digest.update(split.images.tobytes() + split.labels.tobytes())
    return digest.hexdigest()[:16]
