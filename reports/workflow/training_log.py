"""Where the trainings of a command are logged: a folder for TensorBoard, a run in it for each training."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel.errors import EspalierError
from accel.interchange.data.datasets import Dataset
from reports.shared import output

if TYPE_CHECKING:
    from accel.train import Progress, Recipe
    from accel.train.run import Listener


@dataclass
class TrainingLog:
    """A folder of runs, numbered in their order.

    Parameters
    ----------
    folder : Path
    validation : Dataset
        Whose error rate is logged after each epoch.
    runs : int
        How many there are.
    """

    folder: Path
    validation: Dataset
    runs: int = 0

    @cached_property
    def held_out(self) -> tuple[Any, Any]:
        """The pixels and the labels of the validation images."""
        return self.validation.pixels(), self.validation.labels


def opened_log(folder: Path, validation: Dataset) -> TrainingLog:
    """Return the log in a folder, which is made if it is not there.

    Raises
    ------
    EspalierError
        It cannot be made.
    """
    with output.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return TrainingLog(folder, validation)


def check_log(folder: Path | None, trains: bool) -> None:
    """Raise an EspalierError if a log is asked for and nothing is trained, or TensorBoard is not there."""
    if folder is None:
        return
    if not trains:
        raise EspalierError(f"--log-dir {folder}: nothing is retrained; --retrain says for how many epochs")
    if importlib.util.find_spec("tensorboard") is None:
        raise EspalierError("--log-dir needs TensorBoard: pip install 'espalier-hw[tensorboard]'")


@contextmanager
def listeners(
    log: TrainingLog | None, what: str, recipe: "Recipe", report: "Listener | None"
) -> Iterator[dict[str, Any]]:
    """Give what a training is to be called with, so that `report` and the next run of the log hear of it."""
    if log is None:
        yield {"progress": report}
        return
    from accel.train.log import logged

    log.runs += 1
    with logged(log.folder / f"{log.runs}-{what}", recipe) as listen:

        def both(at: "Progress") -> None:
            if report is not None:
                report(at)
            listen(at)

        yield {"progress": both, "validation": log.held_out}
