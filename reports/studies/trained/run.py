"""Running the study: versions in processes of their own, each on the disk before what is made of it begins."""

import json
import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

from accel.files import write_whole
from accel.interchange import zoo
from accel.interchange.data.datasets import SPLITS, Dataset, load
from accel.interchange.zoo import DENSE
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.train.recipe import FLOAT32
from reports.shared import progress
from reports.studies.trained.definition import TEACHERS, Task, widths
from reports.studies.trained.equal_cycles import ratios_within
from reports.studies.trained.recipes import Epochs
from reports.workflow.making import Maker, Pixels
from reports.workflow.prune import FEATURE_MAP


@dataclass(frozen=True)
class Place:
    """Where trainings run, and where their files lie.

    Parameters
    ----------
    folder : Path
    epochs : mapping of network to Epochs
    data_dir : str, optional
    device : str, optional
        Of PyTorch.
    train_images : int, optional
        How many images to train on, to see that all of it works; all by default.
    precision : {"float32", "bfloat16"}
        Of products in training.
    """

    folder: Path
    epochs: Mapping[str, Epochs]
    data_dir: str | None = None
    device: str | None = None
    train_images: int | None = None
    precision: str = FLOAT32

    def path(self, task: Task) -> Path:
        """Return the file of a version: a network where it is of floats, else a Program."""
        return self.folder / f"{task.stem}{zoo.SUFFIX}"

    def record(self, task: Task) -> Path:
        """Return the file of what its training said; it is written last."""
        return self.folder / f"{task.stem}.json"

    def done(self, task: Task) -> bool:
        """Return whether a version is finished."""
        return self.record(task).exists()


class Worker:
    """What a process keeps between versions: the images of the network that it trained last."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.data = ""
        self.splits: dict[str, Dataset] = {}
        self.pixels: dict[str, Pixels] = {}

    def open(self, data: str) -> None:
        """Have the images of a data set at hand."""
        if data == self.data:
            return
        most = self.place.train_images
        whole = {split: load(data, split, self.place.data_dir) for split in SPLITS}
        self.splits = {split: images.take(most) if most else images for split, images in whole.items()}
        self.data, self.pixels = data, {}

    def make(self, task: Task) -> None:
        """Train one version; write it, and then what was measured."""
        began, place = time.monotonic(), self.place
        entry = place.epochs[task.network].entry(task.network, place.precision)
        self.open(entry.data)
        checkpoints = place.folder / "checkpoints" / task.stem
        checkpoints.mkdir(parents=True, exist_ok=True)
        maker = Maker(task.network, entry, self.splits, task.seed, checkpoints, place.device, self.pixels)
        needed = [PrunedNetwork.load(place.path(need)) for need in task.needs]
        record = asdict(task) | {
            "epochs": place.epochs[task.network].of(task),
            "precision": place.precision,
        }
        if task.bits:
            _program(maker, task, needed).save(place.path(task))
        else:
            made = _dense(maker, task, needed) if task.pattern == DENSE else _pruned(maker, task, needed)
            made.save(place.path(task))
            splits = ("validation", "test")
            record["error_rates"] = {x: maker.error_rate(made.network, self.splits[x]) for x in splits}
        record["seconds"] = round(time.monotonic() - began, 1)
        write_whole(place.record(task), (json.dumps(record) + "\n").encode())
        shutil.rmtree(checkpoints)


def _dense(maker: Maker, task: Task, needed: Sequence[PrunedNetwork]) -> PrunedNetwork:
    """Return a dense network, trained, and where it has a teacher trained again, taught by that one or by itself."""
    made = maker.dense()
    if task.network not in TEACHERS:
        return made
    return maker.taught(made, needed[0] if needed else made)


def _pruned(maker: Maker, task: Task, needed: Sequence[PrunedNetwork]) -> PrunedNetwork:
    """Return the dense network pruned as far as the version says, or the recipe, and retrained by its teacher."""
    dense, teacher, ratios = needed[0], needed[-1], task.ratios
    if task.cycles:  # one ratio for all layers; the recipe says in which of them feature maps go
        usual = maker.entry.ratios[task.pattern] if task.pattern == FEATURE_MAP else {task.pattern: 1.0}
        ratios = ratios_within(dense, task.pattern, usual, task.cycles / 100)
    return maker.pruned(dense, task.pattern, ratios, teacher.network)


def _program(maker: Maker, task: Task, needed: Sequence[PrunedNetwork]) -> Program:
    """Return the Program of a version: calibrated, or trained with the dense network as its teacher."""
    floats, dense = needed[0], needed[-1]
    words = widths(floats.network, task)
    return (
        maker.calibrated(floats, words)
        if task.calibrated
        else maker.quantized(floats, words, dense.network, "quantized")
    )


def run(tasks: Sequence[Task], place: Place, processes: int = 1, limit_seconds: float | None = None) -> bool:
    """Make all versions that are not there yet, and return whether all are; stop when the time is up.

    Versions begin in the order of `tasks` as soon as what they need is finished.
    """
    end = time.monotonic() + (limit_seconds or float("inf"))
    left = [task for task in tasks if not place.done(task)]
    running: dict[Future[None], Task] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (place,)) as pool:
        while (left or running) and time.monotonic() < end:
            for task in [task for task in left if all(map(place.done, task.needs))][: processes - len(running)]:
                left.remove(task)
                running[pool.submit(_make, task)] = task
            if not running:
                break
            ended, _ = wait(running, max(end - time.monotonic(), 0) if limit_seconds else None, FIRST_COMPLETED)
            for future in ended:
                task = running.pop(future)
                if failed := future.exception():  # what does not need it goes on
                    print(f"{task.stem}: {failed!r}", file=sys.stderr, flush=True)
                else:
                    print(place.record(task).read_text(), end="", flush=True)
        if running:
            for process in multiprocessing.active_children():
                process.terminate()
    return all(map(place.done, tasks))


_worker: Worker | None = None


def _begin(place: Place) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(place)


def _end_with_parent() -> None:
    """End this process when the one that began it is gone, which nothing else would tell it in a training."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # the pool's
    parent.join()
    os._exit(1)


def _make(task: Task) -> None:
    assert _worker is not None  # `_begin` has run in this process
    print(f"{os.getpid()}: {task.stem}", flush=True)
    with progress.quiet():
        _worker.make(task)
