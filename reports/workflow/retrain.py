"""Retraining as commands do it: the zoo's recipe for a network, with a progress bar. PyTorch is loaded only here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from accel.digest import digest_of
from accel.interchange.data.datasets import Dataset
from accel.pruned import Groups, PrunedNetwork
from reports.shared.progress import bar

if TYPE_CHECKING:
    from accel.train import Progress, Recipe


class Trainer(Protocol):
    """Trains a pruned network, with groups of its weights shrinking together if there are any."""

    def __call__(self, pruned: PrunedNetwork, groups: Groups | None = None) -> PrunedNetwork: ...


def recipe(network: str, epochs: int, **changes: Any) -> "Recipe":
    """Return the zoo's way to retrain `network`, or the usual one for networks that it does not have.

    Parameters
    ----------
    network : str
    epochs : int
        At least 1.
    changes
        Other fields of the recipe; None stands for what the zoo has.

    Raises
    ------
    EspalierError
        PyTorch is not there, or a field is out of its range.
    """
    from accel.train import Recipe
    from reports.workflow.recipes import ENTRIES

    usual = ENTRIES[network].retrain if network in ENTRIES else Recipe()
    return replace(usual, epochs=epochs, **{name: value for name, value in changes.items() if value is not None})


def trainer(recipe: "Recipe", images: Dataset, checkpoints: Path | None = None) -> "Trainer":
    """Return the function that trains by `recipe` on `images`, to retrain or to sparsify.

    Parameters
    ----------
    recipe : Recipe
    images : Dataset
    checkpoints : Path, optional
        A folder that is there, in which each training has a file of its own, named by what it starts from.
    """
    from accel import train

    pixels = images.pixels()

    def fit(pruned: PrunedNetwork, groups: Groups | None = None) -> PrunedNetwork:
        what = "sparsifying" if groups is not None else "retraining"
        path = checkpoints / f"{what}-{digest_of(pruned.to_bytes())[:16]}.checkpoint" if checkpoints else None
        with training_bar(f"{pruned.network.name}, {what}", recipe, images) as report:
            return train.fit(pruned, pixels, images.labels, recipe, groups=groups, checkpoint=path, progress=report)

    return fit


def sparsifying(recipe: "Recipe", epochs: int, strength: float) -> "Recipe":
    """Return `recipe` for training under a group lasso of that strength, which takes the place of the weight decay."""
    return replace(recipe, epochs=epochs, group_lasso=strength, weight_decay=0.0)


@contextmanager
def training_bar(what: str, recipe: "Recipe", images: Dataset) -> Iterator["Callable[[Progress], None]"]:
    """Show a bar of the steps of a training while the block runs, and give what moves it."""
    with bar(what, recipe.epochs * -(-len(images) // recipe.batch_size)) as line:

        def report(at: "Progress") -> None:
            line.advance(f"epoch {at.epoch}: loss {at.loss:.4f}, error {at.error_rate:.2%}")

        yield report
