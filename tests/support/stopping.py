"""Trainings that are interrupted."""

from typing import Any


class StopTrainingError(Exception):
    """What a test interrupts a training with."""


def stop_at(step: int) -> Any:
    """Return a listener that interrupts the training after `step` steps."""

    def listen(progress: Any) -> None:
        if progress.step == step:
            raise StopTrainingError

    return listen
