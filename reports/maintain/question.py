"""Whether answers hold, an architect's question asked of many networks: ``reports/studies/question``.

    python -m reports.maintain.question --data-dir DIR

For each seed, what a newcomer has: pictures of Fashion-MNIST in a folder for each class, drawn anew, and a small CNN
that a plain loop of PyTorch trained on them. Then one command, which is timed: 64 KiB, 64 lanes, 100 MHz, at most 1 %
more errors. The answer holds if on the test images, all 10,000, which decided nothing, the recommended Program errs at
most 1 % more than the network as it was trained. Its ``reproduce.sh`` must give the same bytes again, and the memories
and Verilog that the command wrote must give every bit in simulation (`verify`, and the testbench itself). Results are
written as they come: a stopped run goes on where it was.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from accel.files import write_whole
from accel.interchange.data import datasets
from accel.interchange.data.datasets import Dataset
from accel.pruned import PrunedNetwork
from reports.shared import markdown, output
from reports.shared.journal import results_of, write_results
from reports.shared.progress import bar
from reports.workflow import delivery
from rtl import simulators

STUDY = Path(__file__).parents[1] / "studies" / "question"
CLASSES = ("ankle-boot", "bag", "coat", "dress", "pullover", "sandal", "shirt", "sneaker", "top", "trouser")
NAMES = (8, 9, 4, 3, 2, 5, 6, 7, 0, 1)  # the label that each of `CLASSES` has in Fashion-MNIST
IMAGES = {"train": 10_000, "validation": 5_000, "test": 10_000}
EPOCHS, BATCH, RATE = 6, 64, 2e-3
VERIFIED = 5  # seeds whose hardware is simulated too
MORE_ERRORS = 0.01
ASKED = ("--sram", "64KiB", "--lanes", "64", "--clock", "100MHz", "--max-error", "+1%", "--ratios", "0.5,0.7")
PATTERNS = ("--pattern", "dense,kernel,kernel@8,feature-map", "--retrain", "2")
NETWORK, PICTURES, ANSWER = "mine.espalier", "pictures", "answer"
HEAD = """# Answers that hold

    python -m reports.maintain.question --data-dir DIR

An architect's question, of {seeds} small CNNs of one's own and their pictures:

    espalier explore mine.espalier --data pictures {asked} --rtl -o answer

Each seed draws {train:,} training and {validation:,} validation images of Fashion-MNIST into a folder for each class
and trains 8C3-MP2-16C3-MP2-64-10 on the former by a plain loop of PyTorch, {epochs} epochs. An answer holds if the
recommended Program errs at most 1 % more on {test:,} test images, which decided nothing, than the network as it was
trained. `reproduce.sh` is run again in a folder of its own; of {verified} seeds the testbench that the command wrote
runs in Verilator, and so does `espalier verify`.

{summary}
"""
HEADS = (
    "seed | dense float, test | recommended | KiB | cycles | its error, test | more | holds | minutes | same bytes "
    "| RTL"
)


def make(data_dir: str | None, seeds: int, out: Path, folder: Path) -> int:
    """Ask for each seed that has no result yet; return how many answers do not hold."""
    with output.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    done = results_of(out, "seeds")
    images = {split: datasets.load("fashion-mnist", split, data_dir) for split in ("train", "test")}
    with bar("seeds", seeds) as shown:
        for seed in range(seeds):
            if str(seed) not in done:
                place = folder / str(seed)
                prepare(place, images, seed)
                done[str(seed)] = asked(place, seed < VERIFIED)
                shutil.rmtree(place)
                _write(out, done)
            shown.advance()
    return sum(not row["holds"] for row in done.values())


def prepare(folder: Path, images: Mapping[str, Dataset], seed: int) -> None:
    """Write into a folder what somebody brings: pictures in folders, and a network trained on them."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images["train"]))[: IMAGES["train"] + IMAGES["validation"]]
    mine = {"train": order[: IMAGES["train"]], "validation": order[IMAGES["train"] :]}
    drawn = {split: _chosen(images["train"], places) for split, places in mine.items()}
    for split, part in {**drawn, "test": images["test"]}.items():
        _pictures(folder / PICTURES / split, part)
    _trained(drawn["train"], seed).save(folder / NETWORK)


def _chosen(images: Dataset, places: NDArray[np.int64]) -> Dataset:
    return replace(images, images=images.images[places], labels=images.labels[places])


def _pictures(folder: Path, images: Dataset) -> None:
    from PIL import Image

    for name, label in zip(CLASSES, NAMES, strict=True):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in np.flatnonzero(images.labels == label):
            Image.fromarray(images.images[number, 0]).save(folder / name / f"{number:05}.png", compress_level=1)


def _trained(images: Dataset, seed: int) -> PrunedNetwork:
    """Return the network that a plain loop of PyTorch makes of images."""
    import torch
    from torch import nn

    from reports.workflow.from_torch import from_torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    stages = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*stages, nn.Flatten(), nn.Linear(16 * 5 * 5, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    place = np.argsort(NAMES)  # of each label among the sorted names of the folders
    pixels, wanted = torch.from_numpy(images.pixels()), torch.from_numpy(place[images.labels])
    for _ in range(EPOCHS):
        for part in torch.randperm(len(pixels)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(pixels[part]), wanted[part]).backward()
            optimizer.step()
        rates.step()
    found = from_torch(model, torch.zeros(1, 1, 28, 28), name="mine").result
    assert isinstance(found, PrunedNetwork)
    return found


def asked(folder: Path, verified: bool) -> dict[str, Any]:
    """Return what the one command answers in a folder that `prepare` wrote, and what its deliveries are worth.

    Its hardware is simulated if that is to be `verified`.
    """
    command = ["explore", NETWORK, "--data", PICTURES, *ASKED, *PATTERNS, "--rtl", "--json", "answer.json"]
    start = time.perf_counter()
    status = _espalier(folder, [*command, "--cache", "cache", "-o", ANSWER])
    seconds = time.perf_counter() - start
    record = json.loads((folder / "answer.json").read_text())
    found: dict[str, Any] = {
        "seconds": seconds,
        "recommended": record["recommended"],
        "confidence": record["confidence"],
    }
    if status or not record["recommended"]:
        return {"holds": False, **found}
    rates = {name: record["verified"][name] for name in ("test_rate", "reference_rate")}
    more = rates["test_rate"] - rates["reference_rate"]
    return {
        "holds": more <= MORE_ERRORS,
        "more": more,
        **found,
        **rates,
        "same_bytes": _reproduced(folder),
        "rtl": _verified(folder, record) if verified else None,
    }


def _espalier(folder: Path, words: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", "espalier", *words], cwd=folder, stdout=subprocess.DEVNULL).returncode


def _reproduced(folder: Path) -> bool:
    """Return whether the delivered script gives the same files; it looks for `espalier` beside this Python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    script = ["sh", f"{ANSWER}/reproduce.sh", "again"]
    done = subprocess.run(script, cwd=folder, stdout=subprocess.DEVNULL, env=os.environ | {"PATH": path})
    names = (delivery.NETWORK, delivery.PROGRAM)
    same = [(folder / "again" / x).read_bytes() == (folder / ANSWER / x).read_bytes() for x in names]
    return done.returncode == 0 and all(same)


def _verified(folder: Path, record: Mapping[str, Any]) -> bool:
    """Return whether the Verilog that was written gives every bit, and whether `espalier verify` says the same."""
    rtl = folder / ANSWER / "rtl"
    simulators.build(rtl, "verilator")
    errors = simulators.run(rtl, "verilator").errors
    lanes = f"{record['recommended']['output_lanes']}x{record['recommended']['pixel_lanes']}"
    words = ["verify", f"{ANSWER}/program.espalier", "--array", lanes, "--data", PICTURES, "--simulator", "verilator"]
    return errors == 0 and _espalier(folder, words) == 0


def _write(out: Path, done: Mapping[str, Mapping[str, Any]]) -> None:
    write_results(out, {"seeds": done})
    held, minutes = sum(row["holds"] for row in done.values()), [row["seconds"] / 60 for row in done.values()]
    summary = (
        f"**{held} of {len(done)} answers hold**; the command took {min(minutes):.1f} to {max(minutes):.1f} minutes."
    )
    head = HEAD.format(
        seeds=len(done),
        asked=" ".join((*ASKED, *PATTERNS)),
        **IMAGES,
        epochs=EPOCHS,
        verified=VERIFIED,
        summary=summary,
    )
    rows = [_row(seed, row) for seed, row in sorted(done.items(), key=lambda item: int(item[0]))]
    write_whole(out / "README.md", f"{head}\n{markdown.table(HEADS, 'l' * 11, rows)}\n".encode())


def _row(seed: str, row: Mapping[str, Any]) -> list[str]:
    yes = ("no", "yes")
    chosen = row["recommended"]
    if not chosen:
        return [seed, "", "nothing fits", "", "", "", "", "no", f"{row['seconds'] / 60:.1f}", "", ""]
    return [
        seed,
        f"{row['reference_rate']:.2%}",
        f"{chosen['version']} {chosen['weight_bits']}/{chosen['signal_bits']} "
        f"{chosen['output_lanes']}x{chosen['pixel_lanes']}",
        f"{chosen['memory_bits'] / 8192:.1f}",
        f"{chosen['cycles']:,}",
        f"{row['test_rate']:.2%}",
        f"{row['more']:+.2%}",
        yes[row["holds"]],
        f"{row['seconds'] / 60:.1f}",
        yes[row["same_bytes"]],
        {True: "passes", False: "fails", None: ""}[row["rtl"]],
    ]


@click.command()
@click.option("--data-dir", envvar="ESPALIER_DATA", help="Folder of the data sets.")
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="How often to ask.")
@click.option("--out", type=click.Path(path_type=Path), default=STUDY, help="Where the study lies.")
def main(data_dir: str | None, seeds: int, out: Path) -> None:
    """Ask one question of many networks, and look whether the answers hold."""
    with output.working_folder(None) as folder:
        raise SystemExit(make(data_dir, seeds, out, folder) > 0)


if __name__ == "__main__":
    main()
