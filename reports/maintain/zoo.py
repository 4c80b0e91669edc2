"""Make the zoo: train each network, prune it by each pattern, retrain, save, and write down what came out.

    python -m reports.maintain.zoo digits
    python -m reports.maintain.zoo lenet5 --data-dir DIR
    python -m reports.maintain.zoo dscnn --data speech_commands_v0.02 --out FOLDER

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

from accel import train
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import ERROR, MSE, NAMES, SPLITS, Dataset, check_choice
from accel.interchange.data.own_data import Taker
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.pruned import PrunedNetwork
from reports.workflow import catalogue
from reports.workflow.catalogue import SEED
from reports.workflow.evaluate import float_error_rate
from reports.workflow.making import Maker
from reports.workflow.recipes import ENTRIES, Entry
from reports.workflow.sources import Source

ZOO = Path(__file__).parents[2] / "accel" / "interchange" / "zoo"


def make(name: str, data_dir: str | None, out: Path, only: Collection[str] = (), data: str | None = None) -> None:
    """Train and prune one network; files and ``zoo.json`` go to the folder `out` / `name`.

    The catalogue is written anew after each version, and lists those that are finished. Versions other than the dense
    one and those of `only` are not trained, if `only` names any. `data` says where images are, as commands take it.
    """
    check_choice("zoo network", name, [*ENTRIES])
    for label in only:
        check_choice(f"pattern of {name}", label, [zoo.DENSE, *ENTRIES[name].ratios])
    entry, folder = ENTRIES[name], out / name
    if data is None and entry.data not in NAMES:
        raise EspalierError(f"{name}: learns {entry.data}, no data set known by name: say where it is with --data")
    source = _source(name, entry, data, data_dir)
    entry = replace(entry, data=source.name)
    splits = {split: source.load(split) for split in SPLITS}
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
        catalogue.write(folder, name, entry.data, "python -m reports.maintain.zoo", files)


def _source(name: str, entry: Entry, data: str | None, data_dir: str | None) -> Source:
    """Return where the images are, judged by what the network learns: classes, or the images again."""
    network = ARCHITECTURES[name]()
    taker = Taker(name, network.input_shape, network.shapes[network.output][0])
    return Source(taker, data or entry.data, data_dir, MSE if entry.dense.loss == train.MSE else ERROR)


def _row(path: Path, splits: dict[str, Dataset]) -> dict[str, object]:
    pruned = PrunedNetwork.load(path)
    return catalogue.row(pruned, path.name, {split: _rate(pruned, splits[split]) for split in SPLITS[1:]})


def _rate(pruned: PrunedNetwork, images: Dataset) -> float:
    if images.metric == ERROR:  # a PyTorch network is far faster
        return train.error_rate(pruned.network, images.pixels(), images.labels)
    return float_error_rate(pruned, images)


@click.command()
@click.argument("network")
@click.option("--data", help="Where the images are, if the recipe's data set is another or has no name.")
@click.option("--data-dir", envvar="ESPALIER_DATA", help="Folder of the data sets.")
@click.option("--pattern", "only", multiple=True, help="A version to make; may be given several times; else all.")
@click.option("--out", type=click.Path(path_type=Path), default=ZOO, help="Where the zoo lies.")
def main(network: str, data: str | None, data_dir: str | None, only: tuple[str, ...], out: Path) -> None:
    """Train, prune and save one network of the zoo."""
    make(network, data_dir, out, only, data)


if __name__ == "__main__":
    main()
