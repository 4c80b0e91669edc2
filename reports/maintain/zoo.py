"""Make the zoo: train each network, prune it by each pattern, retrain, save, and write down what came out.

    python -m reports.maintain.zoo digits
    python -m reports.maintain.zoo lenet5 --data-dir DIR

needs PyTorch (the extra ``train``). Networks are initialised from seed 0 and trained on the training split; the error
rates of ``zoo.json`` are those of the float networks on the test split, at which no decision was made. Stopped runs
go on where they were: trainings keep checkpoints, finished versions stay.

The networks that are shipped were trained when the number of threads was still PyTorch's own choice and not part of a
recipe: what is made today is repeatable to the bit on one machine, but not those bits.
"""

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from accel import train
from accel.files import write_whole
from accel.interchange import zoo
from accel.interchange.data.datasets import Dataset, check_choice, load
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.pruned import Groups, PrunedNetwork
from accel.train import Recipe
from reports.workflow.prune import prune
from reports.workflow.recipes import ENTRIES, Entry, Lasso
from reports.workflow.retrain import sparsifying, training_bar

ZOO = Path(__file__).parents[2] / "accel" / "interchange" / "zoo"
SEED = 0


def make(name: str, data_dir: str | None, out: Path, only: Collection[str] = ()) -> None:
    """Train and prune one network; files and ``zoo.json`` go to the folder `out` / `name`.

    The catalogue is written anew after each version, and lists those that are finished. Versions other than the dense
    one and those of `only` are not trained, if `only` names any.
    """
    check_choice("zoo network", name, [*ENTRIES])
    for label in only:
        check_choice(f"pattern of {name}", label, [zoo.DENSE, *ENTRIES[name].ratios])
    entry, folder = ENTRIES[name], out / name
    splits = {split: load(entry.data, split, data_dir) for split in ("train", "validation", "test")}
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    paths = {label: folder / zoo.file_name(label) for label in (zoo.DENSE, *entry.ratios)}
    rows = {label: _row(path, splits) for label, path in paths.items() if path.exists()}
    for label, path in paths.items():
        if label not in rows:
            if only and label not in (zoo.DENSE, *only):
                continue
            if label == zoo.DENSE:
                pruned = _trained(name, entry, splits, checkpoints)
            else:
                pruned = _pruned(PrunedNetwork.load(paths[zoo.DENSE]), label, entry, splits, checkpoints)
            pruned.save(path)
            rows[label] = _row(path, splits)
        print(json.dumps(rows[label]), flush=True)
        files = [rows[known] for known in paths if known in rows]
        record = {"network": name, "data": entry.data, "seed": SEED, "script": "python -m reports.maintain.zoo"}
        write_whole(folder / zoo.CATALOGUE, (json.dumps(record | {"files": files}, indent=1) + "\n").encode())


def _trained(name: str, entry: Entry, splits: dict[str, Dataset], checkpoints: Path) -> PrunedNetwork:
    start = train.initialize(ARCHITECTURES[name](), np.random.default_rng(SEED))
    return _fit(PrunedNetwork(start, data=entry.data), entry.dense, splits, checkpoints / "dense.checkpoint")


def _pruned(
    dense: PrunedNetwork, label: str, entry: Entry, splits: dict[str, Dataset], checkpoints: Path
) -> PrunedNetwork:
    stem, stage = Path(zoo.file_name(label)).stem, iter(range(9))
    lasso = entry.lassos.get(label, Lasso(0))
    own = replace(entry.retrain, epochs=entry.epochs.get(label, entry.retrain.epochs))

    def retrain(pruned: PrunedNetwork) -> PrunedNetwork:
        return _fit(pruned, own, splits, checkpoints / f"{stem}-{next(stage)}.checkpoint")

    def sparsify(pruned: PrunedNetwork, groups: Groups) -> PrunedNetwork:
        recipe = sparsifying(entry.retrain, lasso.epochs, lasso.strength)
        return _fit(pruned, recipe, splits, checkpoints / f"{stem}-{next(stage)}.checkpoint", groups)

    return prune(dense, label, entry.ratios[label], retrain, sparsify=sparsify if lasso.epochs else None)


def _fit(
    pruned: PrunedNetwork,
    recipe: Recipe,
    splits: dict[str, Dataset],
    checkpoint: Path,
    groups: Groups | None = None,
) -> PrunedNetwork:
    training, validation = splits["train"], splits["validation"]
    with training_bar(f"{pruned.network.name} {checkpoint.stem}", recipe, training) as report:
        return train.fit(
            pruned,
            training.pixels(),
            training.labels,
            replace(recipe, seed=SEED),
            groups=groups,
            validation=(validation.pixels(), validation.labels),
            checkpoint=checkpoint,
            progress=report,
        )


def _row(path: Path, splits: dict[str, Dataset]) -> dict[str, object]:
    pruned = PrunedNetwork.load(path)
    rates = {
        f"{split}_error_rate": train.error_rate(pruned.network, splits[split].pixels(), splits[split].labels)
        for split in ("validation", "test")
    }
    return {"pattern": pruned.pattern, "file": path.name, "sparsity": round(pruned.sparsity, 6), **rates}


@click.command()
@click.argument("network")
@click.option("--data-dir", envvar="ESPALIER_DATA", help="Folder of the data sets.")
@click.option("--pattern", "only", multiple=True, help="A version to make; may be given several times; else all.")
@click.option("--out", type=click.Path(path_type=Path), default=ZOO, help="Where the zoo lies.")
def main(network: str, data_dir: str | None, only: tuple[str, ...], out: Path) -> None:
    """Train, prune and save one network of the zoo."""
    make(network, data_dir, out, only)


if __name__ == "__main__":
    main()
