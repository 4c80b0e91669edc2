"""Points of a study, measured by workers wherever they are, each taken as it comes; and images as workers have them."""

from collections.abc import Callable, Container, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from accel.interchange.data.datasets import SPLITS, Dataset
from reports.shared.progress import bar
from reports.shared.workers import Run
from reports.workflow.images import Images
from reports.workflow.sources import Source

Named = tuple[Images, ...]  # the splits


class Task(Protocol):
    """One point to measure."""

    @property
    def key(self) -> str:
        """Everything that decides what comes out, as one line of text."""

    @property
    def title(self) -> str:
        """What it is, in a few words."""


T = TypeVar("T", bound=Task)


def named(source: Source) -> Named:
    """Return the splits of a study, by which a worker knows them.

    Raises
    ------
    EspalierError
        One is not there or does not fit.
    """
    return tuple(Images.of(source.load(split)) for split in SPLITS)


@lru_cache(maxsize=1)  # a worker has one study at a time
def splits_of(images: Named, source: Source) -> dict[str, Dataset]:
    """Return the images of each split; raise EspalierError if this machine has others."""
    return {split.split: split.load(source) for split in images}


def measure(
    run: Run,
    network: str,
    tasks: Sequence[T],
    done: Container[str],
    function: Callable[..., Any],
    arguments: Callable[[T], tuple[Any, ...]],
    take: Callable[[T, Any], None],
) -> None:
    """Have the points that are not there yet measured, and give each to `take` as it comes, in any order.

    Parameters
    ----------
    run : function
        That `workers` gives.
    network : str
        Whose study it is, for the bar.
    tasks : sequence of Task
    done : container of str
        Keys of those that are there.
    function, arguments : function
        What a worker calls, which finds it by name, and from a task to what it calls it with.
    take : function
        Keeps the result of a task.
    """
    missing = [task for task in tasks if task.key not in done]
    with bar(f"study of {network}", len(missing)) as shown:
        for number, found in run(function, [arguments(task) for task in missing]):
            take(missing[number], found)
            shown.advance(missing[number].title)
