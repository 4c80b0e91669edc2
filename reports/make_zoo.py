"""Make the zoo: train each network, prune it by each pattern, retrain, save, and write down what came out.

    python -m reports.make_zoo digits
    python -m reports.make_zoo lenet5 --data-dir DIR

needs PyTorch (the extra ``train``). Networks are initialised from seed 0 and trained on the training split; the error
rates of ``zoo.json`` are those of the float networks on the test split, at which no decision was made. Stopped runs
go on where they were: trainings keep checkpoints, finished versions stay.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from accel import train
from accel.files import write_whole
from accel.interchange import zoo
from accel.interchange.architectures import ARCHITECTURES
from accel.interchange.datasets import Dataset, check_choice, load
from accel.pruned import PrunedNetwork
from accel.train import Progress, Recipe
from reports.progress import bar
from reports.pruning import prune

ZOO = Path(__file__).parent.parent / "accel" / "interchange" / "zoo"
SEED = 0


@dataclass(frozen=True)
class Entry:
    """How a network of the zoo is made.

    Parameters
    ----------
    data : str
    dense, retrain : Recipe
        Of the first training, and of each retraining after a stage of pruning.
    ratios : dict of pattern label to dict of stage to float
        Share of the weights of each pruned layer that goes at each stage.
    """

    data: str
    dense: Recipe
    retrain: Recipe
    ratios: dict[str, dict[str, float]]


RATIOS: dict[str, dict[str, float]] = {
    "feature-map": {"feature-map": 0.5},
    "kernel": {"kernel": 0.7},
    "ikss": {"ikss": 0.7},
    "kernel+ikss": {"kernel+ikss": 0.75},
    "feature-map+kernel": {"feature-map": 0.4, "kernel": 0.6},
    "block-4": {"block-4": 0.8},
    "2:4": {},
    "irregular": {"irregular": 0.9},
}

ENTRIES = {
    "digits": Entry(
        "digits",
        Recipe(epochs=60, batch_size=32, learning_rate=2e-3, optimizer="adam", weight_decay=1e-3, shift_pixels=1),
        Recipe(epochs=30, batch_size=32, learning_rate=1e-3, optimizer="adam", weight_decay=1e-3, shift_pixels=1),
        RATIOS,
    ),
    "lenet5": Entry(
        "mnist",
        Recipe(epochs=12, batch_size=128, learning_rate=2e-3, optimizer="adam", weight_decay=1e-4, shift_pixels=2),
        Recipe(epochs=10, batch_size=128, learning_rate=2e-3, optimizer="adam", weight_decay=1e-4, shift_pixels=2),
        RATIOS,
    ),
}


def make(name: str, data_dir: str | None, out: Path) -> None:
    """Train and prune one network; files and ``zoo.json`` go to the folder `out` / `name`."""
    check_choice("zoo network", name, [*ENTRIES])
    entry, folder = ENTRIES[name], out / name
    splits = {split: load(entry.data, split, data_dir) for split in ("train", "validation", "test")}
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    rows = []
    dense = None
    for label in (zoo.DENSE, *entry.ratios):
        path = folder / zoo.file_name(label)
        if path.exists():
            pruned = PrunedNetwork.load(path)
        elif dense is None:
            pruned = _trained(name, entry, splits, checkpoints)
        else:
            pruned = _pruned(dense, label, entry, splits, checkpoints)
        pruned.save(path)
        dense = dense or pruned
        rows.append(_row(pruned, path.name, splits))
        print(json.dumps(rows[-1]))
    record = {"network": name, "data": entry.data, "seed": SEED, "script": "python -m reports.make_zoo", "files": rows}
    write_whole(folder / zoo.CATALOGUE, (json.dumps(record, indent=1) + "\n").encode())


def _trained(name: str, entry: Entry, splits: dict[str, Dataset], checkpoints: Path) -> PrunedNetwork:
    start = train.initialize(ARCHITECTURES[name](), np.random.default_rng(SEED))
    return _fit(PrunedNetwork(start, data=entry.data), entry.dense, splits, checkpoints / "dense.pt")


def _pruned(
    dense: PrunedNetwork, label: str, entry: Entry, splits: dict[str, Dataset], checkpoints: Path
) -> PrunedNetwork:
    stage = iter(range(9))

    def retrain(pruned: PrunedNetwork) -> PrunedNetwork:
        checkpoint = checkpoints / f"{Path(zoo.file_name(label)).stem}-{next(stage)}.pt"
        return _fit(pruned, entry.retrain, splits, checkpoint)

    return prune(dense, label, entry.ratios[label], retrain)


def _fit(pruned: PrunedNetwork, recipe: Recipe, splits: dict[str, Dataset], checkpoint: Path) -> PrunedNetwork:
    training, validation = splits["train"], splits["validation"]
    batches = -(-len(training) // recipe.batch_size)
    with bar(f"{pruned.network.name} {checkpoint.stem}", recipe.epochs * batches) as shown:

        def report(at: Progress) -> None:
            shown.advance(f"epoch {at.epoch}: loss {at.loss:.4f}, error {at.error_rate:.2%}")

        return train.fit(
            pruned,
            training.pixels(),
            training.labels,
            replace(recipe, seed=SEED),
            validation=(validation.pixels(), validation.labels),
            checkpoint=checkpoint,
            progress=report,
        )


def _row(pruned: PrunedNetwork, file: str, splits: dict[str, Dataset]) -> dict[str, object]:
    rates = {
        f"{split}_error_rate": train.error_rate(pruned.network, splits[split].pixels(), splits[split].labels)
        for split in ("validation", "test")
    }
    return {"pattern": pruned.pattern, "file": file, "sparsity": round(pruned.sparsity, 6), **rates}


@click.command()
@click.argument("network")
@click.option("--data-dir", envvar="ESPALIER_DATA", help="Folder of the data sets.")
@click.option("--out", type=click.Path(path_type=Path), default=ZOO, help="Where the zoo lies.")
def main(network: str, data_dir: str | None, out: Path) -> None:
    """Train, prune and save one network of the zoo."""
    make(network, data_dir, out)


if __name__ == "__main__":
    main()
