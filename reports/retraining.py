"""Retraining as commands do it: the zoo's recipe for a network, with a progress bar. PyTorch is loaded only here."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel.interchange.datasets import Dataset
from accel.prune import Retrain
from accel.pruned import PrunedNetwork
from reports.progress import bar

if TYPE_CHECKING:
    from accel.train import Recipe


def recipe(network: str, epochs: int, threads: int | None = None, **changes: Any) -> "Recipe":
    """Return the zoo's way to retrain `network`, or the usual one for networks that it does not have.

    Parameters
    ----------
    network : str
    epochs : int
        At least 1.
    threads : int, optional
        Of PyTorch; works if PyTorch was not loaded before.
    changes
        Other fields of the recipe; None stands for what the zoo has.

    Raises
    ------
    EspalierError
        PyTorch is not there, or a field is out of its range.
    """
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    from accel.train import Recipe
    from reports.make_zoo import ENTRIES

    usual = ENTRIES[network].retrain if network in ENTRIES else Recipe()
    return replace(usual, epochs=epochs, **{name: value for name, value in changes.items() if value is not None})


def trainer(recipe: "Recipe", images: Dataset, checkpoints: Path | None = None, quiet: bool = False) -> Retrain:
    """Return the function that retrains by `recipe` on `images`.

    Parameters
    ----------
    recipe : Recipe
    images : Dataset
    checkpoints : Path, optional
        A folder that is there, in which each call has a file of its own.
    quiet : bool
        Whether there is no bar, because somebody else has one.
    """
    from accel import train

    pixels = images.pixels()
    calls = 0

    def fit(pruned: PrunedNetwork) -> PrunedNetwork:
        nonlocal calls
        calls += 1
        path = checkpoints / f"retrain-{calls}.pt" if checkpoints else None
        if quiet:
            return train.fit(pruned, pixels, images.labels, recipe, checkpoint=path)
        with bar(f"{pruned.network.name}, retraining", recipe.epochs * -(-len(images) // recipe.batch_size)) as shown:

            def report(at: train.Progress) -> None:
                shown.advance(f"epoch {at.epoch}: loss {at.loss:.4f}, error {at.error_rate:.2%}")

            return train.fit(pruned, pixels, images.labels, recipe, checkpoint=path, progress=report)

    return fit
