"""Judging trained versions: error rates by the bit-accurate engine, memory, cycles, and the arithmetic of training."""

import json
from collections.abc import Sequence

from accel.cost import cost_of
from accel.errors import EspalierError
from accel.files import write_whole
from accel.interchange.data.datasets import Dataset, load
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.train.recipe import FLOAT32
from reports.shared.progress import bar
from reports.studies.trained.definition import Task
from reports.studies.trained.equal_cycles import LANES, cycles_of, of_floats
from reports.studies.trained.recipes import RECIPES
from reports.studies.trained.results import Results, Version
from reports.studies.trained.run import Place
from reports.workflow.quantize import check_emulation
from sim.engine import compile_program

EMULATED_IMAGES = 500
SPLITS = ("validation", "test")


def judged(tasks: Sequence[Task], place: Place) -> Results:
    """Return the results of all versions that are finished; error rates of Programs are kept beside them.

    Raises
    ------
    EspalierError
        None is, or a Program's scores are not those of its training's arithmetic.
    """
    done = [task for task in tasks if place.done(task)]
    if not done:
        raise EspalierError(f"{place.folder}: holds no version that is finished; train some first")
    images: dict[str, dict[str, Dataset]] = {}
    versions = []
    with bar("versions judged", len(done)) as shown:
        for task in done:
            data = RECIPES[task.network].data
            if data not in images:
                images[data] = {split: load(data, split, place.data_dir) for split in SPLITS}
            versions.append(_of_program(task, place, images[data]) if task.bits else _of_floats(task, place))
            shown.advance(task.stem)
    counts = {data: {split: len(x) for split, x in splits.items()} for data, splits in images.items()}
    return Results("x".join(map(str, LANES)), counts, tuple(versions))


def _of_floats(task: Task, place: Place) -> Version:
    pruned, record = PrunedNetwork.load(place.path(task)), json.loads(place.record(task).read_text())
    program = of_floats(pruned)  # for its cycles alone
    return Version(
        task=task,
        epochs=record["epochs"],
        precision=record.get("precision", FLOAT32),
        error_rates=record["error_rates"],
        **_work(program),
    )


def _of_program(task: Task, place: Place, images: dict[str, Dataset]) -> Version:
    program, record = Program.load(place.path(task)), json.loads(place.record(task).read_text())
    if "emulated_images" not in record:
        engine = compile_program(program)
        record["error_rates"] = {
            split: engine.error_rate(x.codes(program.input_signal), x.labels) for split, x in images.items()
        }
        record["emulated_images"] = check_emulation(
            program, images["test"].take(min(EMULATED_IMAGES, len(images["test"])))
        )
        write_whole(place.record(task), (json.dumps(record) + "\n").encode())
    return Version(
        task=task,
        epochs=record["epochs"],
        precision=record.get("precision", FLOAT32),
        error_rates=record["error_rates"],
        memory_bits=cost_of(program).memory_bits,
        emulated_images=record["emulated_images"],
        **_work(program),
    )


def _work(program: Program) -> dict[str, int]:
    counts = cost_of(program).total
    work = {name: getattr(counts, name) for name in ("weights", "dense_weights", "macs", "dense_macs")}
    return work | {"cycles": cycles_of(program)}
