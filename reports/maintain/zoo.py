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
from pathlib import Path

import click

from accel import train
from accel.files import write_whole
from accel.interchange import zoo
from accel.interchange.data.datasets import Dataset, check_choice, load
from accel.pruned import PrunedNetwork
from reports.workflow.making import Maker
from reports.workflow.recipes import ENTRIES

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
    maker = Maker(name, entry, splits, SEED, checkpoints)
    paths = {label: folder / zoo.file_name(label) for label in (zoo.DENSE, *entry.ratios)}
    rows = {label: _row(path, splits) for label, path in paths.items() if path.exists()}
    for label, path in paths.items():
        if label not in rows:
            if only and label not in (zoo.DENSE, *only):
                continue
            if label == zoo.DENSE:
                pruned = maker.dense()
            else:
                pruned = maker.pruned(PrunedNetwork.load(paths[zoo.DENSE]), label)
            pruned.save(path)
            rows[label] = _row(path, splits)
        print(json.dumps(rows[label]), flush=True)
        files = [rows[known] for known in paths if known in rows]
        record = {"network": name, "data": entry.data, "seed": SEED, "script": "python -m reports.maintain.zoo"}
        write_whole(folder / zoo.CATALOGUE, (json.dumps(record | {"files": files}, indent=1) + "\n").encode())


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
