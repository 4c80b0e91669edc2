"""A training as TensorBoard shows it: its scalars, a point an epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accel.errors import EspalierError
from accel.train.recipe import Recipe
from accel.train.run import Listener, Progress

LOSS, TRAINING, VALIDATION, RATE = "loss", "error_rate/training", "error_rate/validation", "learning_rate"


@contextmanager
def logged(folder: Path, recipe: Recipe) -> Iterator[Listener]:
    """Give a listener that writes an event file of a training, epoch by epoch, into a folder that may be new.

    Each epoch is a step of the scalars ``loss``, ``error_rate/training`` (both means over the epoch, in which the
    weights changed), ``error_rate/validation`` if there are such images (after it), and ``learning_rate`` (of its last
    step). A training that goes on from a checkpoint adds a file, which TensorBoard shows as one line with the others.

    Raises
    ------
    EspalierError
        TensorBoard is not there.
    OSError
        The folder cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise EspalierError("logging a training needs TensorBoard: pip install 'espalier-hw[tensorboard]'") from error

    with SummaryWriter(str(folder)) as writer:

        def listen(at: Progress) -> None:
            if at.step * at.epochs != at.epoch * at.steps:
                return  # the epoch goes on
            scalars = {LOSS: at.loss, TRAINING: at.error_rate, VALIDATION: at.validation_error_rate}
            scalars[RATE] = recipe.rate((at.step - 1) / at.steps)
            for tag, value in scalars.items():
                if value is not None:
                    writer.add_scalar(tag, value, at.epoch)
            writer.flush()  # somebody is looking

        yield listen
