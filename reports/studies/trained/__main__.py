"""Train the versions of the study that are missing; judge those that are there, and write the page.

    python -m reports.studies.trained train --data-dir DIR --work FOLDER --device cuda --processes 12
    python -m reports.studies.trained judge --data-dir DIR --work FOLDER

    python -m reports.studies.trained keep --work FOLDER

Training needs PyTorch (the extra ``train``). What is finished stays: a run that was stopped goes on where it was, and
one elsewhere from what is kept in the repository.
"""

from pathlib import Path

import click

from accel.train.recipe import FLOAT32, PRECISIONS
from reports.shared import output
from reports.shared.journal import RESULTS
from reports.studies.trained.definition import NETWORKS, SEEDS, tasks
from reports.studies.trained.figures import render
from reports.studies.trained.judge import judged
from reports.studies.trained.kept import keep, restore
from reports.studies.trained.page import page
from reports.studies.trained.recipes import Epochs
from reports.studies.trained.results import Results
from reports.studies.trained.run import Place, run

HERE = Path(__file__).parent
WORK = click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder of the trained versions.")
DATA_DIR = click.option("--data-dir", envvar="ESPALIER_DATA", help="Folder of the data sets.")


@click.group()
def main() -> None:
    """Networks pruned, quantised and both: `train` the versions, `judge` them, and `keep` what lasts."""


@main.command()
@WORK
@DATA_DIR
@click.option("--device", help="Of PyTorch; a GPU if there is one.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Trainings at once.")
@click.option("--precision", type=click.Choice(PRECISIONS), default=FLOAT32, show_default=True, help="Of products.")
@click.option("--limit", type=click.FloatRange(1), help="Seconds after which to stop.")
@click.option("--epochs", multiple=True, help="NETWORK=DENSE,PRUNED,QUANTISED; else those of the recipes.")
@click.option("--network", "networks", multiple=True, type=click.Choice(NETWORKS), help="Which; all if none is named.")
@click.option("--floats", is_flag=True, help="Leave out the versions of few bits.")
@click.option("--seeds", type=click.IntRange(1), default=SEEDS, show_default=True, help="How many.")
@click.option("--train-images", type=click.IntRange(1), help="How many images to use, for a trial; else all.")
def train(
    work: Path,
    data_dir: str | None,
    device: str | None,
    processes: int,
    precision: str,
    limit: float | None,
    epochs: tuple[str, ...],
    networks: tuple[str, ...],
    floats: bool,
    seeds: int,
    train_images: int | None,
) -> None:
    """Train every version that is not in the folder yet."""
    work.mkdir(parents=True, exist_ok=True)
    plan = {name: Epochs.usual(name) for name in NETWORKS} | dict(map(Epochs.parse, epochs))
    place = Place(work, plan, data_dir, device, train_images, precision)
    wanted = [task for task in tasks(seeds) if task.network in (networks or NETWORKS)]
    restore(wanted, place)
    chosen = [task for task in wanted if not (floats and task.bits)]
    print("all versions are there" if run(chosen, place, processes, limit) else "some versions are missing", flush=True)


@main.command()
@WORK
@DATA_DIR
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where the page goes.")
def judge(work: Path, data_dir: str | None, out: Path) -> None:
    """Measure what is trained; write results.json, the figure and the page."""
    place = Place(work, {}, data_dir)
    restore(tasks(), place)
    results = Results.from_json(judged(tasks(), place).to_json())
    drawn = render(results)
    files = {**drawn, RESULTS: results.to_json().encode(), "README.md": page(results, drawn).encode()}
    output.write_folder(out, files)
    print(f"Written to {out}: {', '.join(files)}; {len(results.versions)} of {len(tasks())} versions.")


@main.command("keep")
@WORK
@click.option("--network", "networks", multiple=True, type=click.Choice(NETWORKS), help="Which; all if none is named.")
def command(work: Path, networks: tuple[str, ...]) -> None:
    """Commit what is trained: copy it beside the study and into the zoo."""
    wanted = [task for task in tasks() if task.network in (networks or NETWORKS)]
    print(f"Kept: {', '.join(keep(wanted, Place(work, {})))}")


if __name__ == "__main__":
    main()
