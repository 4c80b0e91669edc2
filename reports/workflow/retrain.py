"""Retraining as commands do it: the zoo's recipe for a network, with a progress bar. PyTorch is loaded only here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from accel.digest import digest_of
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import AUC, ERROR, MSE, Dataset
from accel.network import Network
from accel.pruned import Groups, PrunedNetwork
from reports.shared.progress import bar, silent
from reports.workflow.training_log import TrainingLog, listeners

if TYPE_CHECKING:
    from accel.train import Gradual, Progress, Recipe

DISTILLATION = 0.7  # the share of a teacher in the loss, where no recipe has one


class Trainer(Protocol):
    """Trains a pruned network; groups of its weights may shrink together, masks may follow them."""

    def __call__(
        self, pruned: PrunedNetwork, groups: Groups | None = None, gradual: "Gradual | None" = None
    ) -> PrunedNetwork: ...


def recipe(
    network: str,
    epochs: int,
    *,
    taught: bool = False,
    quantized: bool = False,
    bfloat16: bool = False,
    metric: str = ERROR,
    **changes: Any,
) -> "Recipe":
    """Return the zoo's way to retrain `network`, or the usual one for networks that it does not have.

    Parameters
    ----------
    network : str
    epochs : int
        At least 1.
    taught : bool
        Whether there is a teacher.
    quantized : bool
        Whether the network is trained as a Program computes it.
    bfloat16 : bool
        Whether products have that precision, where the zoo's way has another.
    metric : str
        By what outputs are judged: images that are to come out again are learned by their mean squared error.
    changes
        Other fields of the recipe; None stands for what the zoo has. The last epoch is kept unless `best` says else.

    Raises
    ------
    EspalierError
        PyTorch is not there, or a field is out of its range.
    """
    from accel.train import BFLOAT16, Recipe
    from accel.train import MSE as AGAIN
    from reports.workflow.recipes import ENTRIES

    usual = Recipe()
    if network in ENTRIES:
        entry = ENTRIES[network]
        usual = (entry.quantized if quantized else None) or entry.retrain
    share = (usual.distillation or DISTILLATION) if taught else 0.0
    if metric in (MSE, AUC):
        usual = replace(usual, loss=AGAIN, distillation=0.0, label_smoothing=0.0)
    return replace(
        usual,
        epochs=epochs,
        distillation=share,
        precision=BFLOAT16 if bfloat16 else usual.precision,
        **{name: value for name, value in ({"best": False} | changes).items() if value is not None},
    )


def check_training(
    retrains: bool,
    trains: bool,
    learning_rate: float | None,
    batch_size: int | None,
    teacher: str | None,
    best: bool,
    bfloat16: bool,
) -> None:
    """Refuse options of a training that there is not.

    Parameters
    ----------
    retrains, trains : bool
        Whether a network is retrained, and whether it is trained in any way.
    learning_rate, batch_size, teacher, best, bfloat16
        What the options say.

    Raises
    ------
    EspalierError
        The line names the option.
    """
    given = {
        "--learning-rate": (None if learning_rate is None else f" {learning_rate:g}", trains),
        "--batch-size": (None if batch_size is None else f" {batch_size}", trains),
        "--teacher": (None if teacher is None else f" {teacher}", retrains),
        "--best-epoch": ("" if best else None, retrains),
        "--bfloat16": ("" if bfloat16 else None, trains),
    }
    for name, (value, there) in given.items():
        if value is not None and not there:
            raise EspalierError(f"{name}{value}: nothing is retrained; --retrain says for how many epochs")


def teacher(name: str | None, student: Network) -> Network | None:
    """Return the network that `name` means, of the zoo or a file, if it is given; it must take the same images.

    Raises
    ------
    EspalierError
        There is no such network, or it takes other images or has other classes than `student`.
    """
    if name is None:
        return None
    found = zoo.load(name).network
    ends = [(x.input_shape, x.shapes[x.output][0]) for x in (student, found)]
    if ends[0] != ends[1]:
        raise EspalierError(
            f"--teacher {name}: takes images {ends[1][0]} and gives {ends[1][1]} scores, "
            f"and {student.name} takes {ends[0][0]} and gives {ends[0][1]}"
        )
    return found


def trainer(
    recipe: "Recipe",
    images: Dataset,
    checkpoints: Path | None = None,
    teacher: Network | None = None,
    log: TrainingLog | None = None,
    validation: Dataset | None = None,
) -> "Trainer":
    """Return the function that trains by `recipe` on `images`, to retrain or to sparsify.

    Parameters
    ----------
    recipe : Recipe
    images : Dataset
    checkpoints : Path, optional
        A folder that is there, in which each training has a file of its own, named by what it starts from and how it
        goes.
    teacher : Network, optional
        As the recipe asks for one.
    log : TrainingLog, optional
    validation : Dataset, optional
        As the recipe asks for some.
    """
    from accel import train

    pixels = images.pixels()
    fixed: dict[str, Any] = {"teacher": teacher}
    fixed |= {"validation": (validation.pixels(), validation.labels)} if validation else {}

    def fit(pruned: PrunedNetwork, groups: Groups | None = None, gradual: "Gradual | None" = None) -> PrunedNetwork:
        what = "sparsifying" if groups is not None else "retraining"
        begun = digest_of(pruned.to_bytes(), recipe, gradual.fingerprint() if gradual else None)[:16]
        path = checkpoints / f"{what}-{begun}.checkpoint" if checkpoints else None
        given = pruned, pixels, images.labels, recipe
        shown = training_bar(f"{pruned.network.name}, {what}", recipe, images)
        with shown as report, listeners(log, what, recipe, report) as heard:
            return train.fit(*given, groups=groups, gradual=gradual, checkpoint=path, **(fixed | heard))

    return fit


def sparsifying(recipe: "Recipe", epochs: int, strength: float) -> "Recipe":
    """Return `recipe` for a group lasso of that strength, without weight decay, teacher or best epoch."""
    taught = replace(recipe, distillation=0.0, best=False)
    return replace(taught, epochs=epochs, group_lasso=strength, weight_decay=0.0)


@contextmanager
def training_bar(what: str, recipe: "Recipe", images: Dataset) -> Iterator["Callable[[Progress], None] | None"]:
    """Show a bar of the steps of a training while the block runs, and give what moves it; nothing where none is seen.

    To report a step is to wait for it, which costs a GPU much of its time.
    """
    if silent():
        yield None
        return
    with bar(what, recipe.epochs * -(-len(images) // recipe.batch_size)) as line:

        def report(at: "Progress") -> None:
            line.advance(f"epoch {at.epoch}: loss {at.loss:.4f}, error {at.error_rate:.2%}")

        yield report
