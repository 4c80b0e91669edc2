"""`espalier bench`: tables on the terminal, and a folder with results, figures and a page."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click

from accel.errors import EspalierError
from reports.bench import figures, reporting, tables, training
from reports.bench.designs import COSTED, DESIGNS, costing_table
from reports.bench.designs import measured as costed
from reports.bench.estimates import estimates_line, estimates_per_second
from reports.bench.help_time import help_line
from reports.bench.imports import IMPORT, IMPORTED, Imports, imports_table, measured
from reports.bench.measure import GOLDEN, machine, measure
from reports.bench.networks import CALIBRATION_IMAGES, NETWORKS, lowered, random_images, random_network
from reports.bench.page import page
from reports.bench.results import DENSE, Results
from reports.bench.sizes import SIZE, SIZED, Sizes, sizes_table
from reports.bench.sizes import measured as sized
from reports.bench.training import TRAINED, TRAINING
from reports.commands.options import CLONE, COUNT, STUDY, json_option, number_option, option
from reports.commands.places import Command
from reports.shared import output
from reports.shared.console import console
from reports.shared.drawing import rendered
from sim.instructions import choose
from sim.profile import peak

PAGE = "README.md"
COMMANDS = ("report", "explore")  # in the place of networks


@click.command("bench", cls=Command)
@click.argument("networks", nargs=-1, metavar="[NETWORK]...")
@option("--peers", is_flag=True, help="Measure onnxruntime and PyTorch too: pip install 'espalier-hw[bench]'.")
@option(
    "--jobs",
    "threads",
    type=COUNT,
    multiple=True,
    also=["--threads"],
    help="Processors to measure with, repeatable; 1 and all of them by default.",
)
@number_option("--rounds", 7, "Runs of each measurement; medians count.")
@option("--beside", type=CLONE, help="Clone of another version, whose commands are timed in turn with these.")
@option("--out", "-o", type=STUDY, help="Folder to write: results, figures, page.")
@json_option
def command(
    networks: Sequence[str],
    peers: bool,
    threads: Sequence[int],
    rounds: int,
    beside: Path | None,
    out: Path | None,
    json_file: Path | None,
) -> None:
    """Measure the engine's speed on lenet5, cifar-quick and cnn-small, for each pattern, and where the time goes.

    In place of networks, report stands for what `espalier report` and `explore` take from beginning to end, and import
    for the seconds and the memory that `espalier import` takes for alexnet and vgg11, size for those of `espalier size`
    for vgg16, resnet50 and mobilenetv2; designs for costing lenet5 and resnet8 on many arrays at once, beside one by
    one; training for an epoch of ours beside one of a plain loop in PyTorch.

    Example: espalier bench lenet5 --peers --out bench
    Example: espalier bench training resnet20 --rounds 3
    Example: espalier bench report --rounds 3 --beside ../espalier-before
    """
    if networks and networks[0] in COMMANDS:
        _commands(networks, beside, rounds, json_file)
        return
    if beside is not None:
        raise EspalierError(f"--beside: is for espalier bench {' and '.join(COMMANDS)}")
    names = list(dict.fromkeys(networks)) or list(NETWORKS)
    if names[0] == IMPORT:
        _imports(names[1:] or [*IMPORTED], json_file)
        return
    if names[0] == SIZE:
        _sizes(names[1:] or [*SIZED], json_file)
        return
    if names[0] == DESIGNS:
        _designs(names[1:] or COSTED, rounds, json_file)
        return
    if names[0] == TRAINING:
        _trainings(names[1:] or TRAINED, rounds, json_file)
        return
    if unknown := [name for name in names if name not in NETWORKS]:
        raise EspalierError(f"unknown network {unknown[0]!r}: expected {', '.join(NETWORKS)}")
    output.check_place(json_file)
    if out:
        output.write_folder(out, {})
    counts = sorted(set(threads)) or sorted({1, os.cpu_count() or 1})
    kernel = choose()
    results = Results(machine(), kernel.name, 0.0, [])
    for name in names:  # what is measured is written, though a later network may be interrupted
        roof = max(results.roof, peak(kernel.kernel))  # clocks change
        found = [*results.networks, measure(name, counts, peers, rounds)]
        results = replace(results, roof=max(roof, peak(kernel.kernel)), networks=found)
        if json_file and (json_file != output.STANDARD or name == names[-1]):
            output.write_text(json_file, results.to_json())
        if out:
            output.write_folder(out, files(results))
        _print(results)
    console().print(help_line())


def _commands(commands: Sequence[str], beside: Path | None, rounds: int, json_file: Path | None) -> None:
    """Time whole commands."""
    if unknown := [name for name in commands if name not in COMMANDS]:
        raise EspalierError(f"unknown command {unknown[0]!r}: expected {', '.join(COMMANDS)}")
    output.check_place(json_file)
    jobs = [job for job in reporting.JOBS if job.words[0] in commands]
    found = [*reporting.timed(beside, rounds, jobs)]
    if json_file:
        output.write_json(json_file, {"machine": machine(), "commands": reporting.records(found)})
    console().print(reporting.table_of(found))


def _imports(names: Sequence[str], json_file: Path | None) -> None:
    """Measure the import of networks, each in a process of its own, and print the table."""
    if unknown := [name for name in names if name not in IMPORTED]:
        raise EspalierError(f"unknown network {unknown[0]!r}: import is measured on {', '.join(IMPORTED)}")
    output.check_place(json_file)
    found = [*measured(names)]
    if json_file:
        output.write_text(json_file, Imports(machine(), found).to_json())
    console().print(imports_table(found))


def _sizes(names: Sequence[str], json_file: Path | None) -> None:
    """Measure the sizing of networks, each in a process of its own, and print the table."""
    if unknown := [name for name in names if name not in SIZED]:
        raise EspalierError(f"unknown network {unknown[0]!r}: size is measured on {', '.join(SIZED)}")
    output.check_place(json_file)
    found = [*sized(names)]
    if json_file:
        output.write_text(json_file, Sizes(machine(), found).to_json())
    console().print(sizes_table(found))


def _designs(names: Sequence[str], rounds: int, json_file: Path | None) -> None:
    """Measure the costing of designs on arrays at once and one by one, and print the table."""
    output.check_place(json_file)
    found = [*costed(names, rounds)]
    if json_file:
        records = [asdict(x) | {"ratio": x.ratio} for x in found]
        output.write_json(json_file, {"machine": machine(), "costings": records})
    console().print(costing_table(found))


def _trainings(names: Sequence[str], rounds: int, json_file: Path | None) -> None:
    """Measure epochs of training beside those of a plain loop, and print the table."""
    output.check_place(json_file)
    found = [*training.measured(names, rounds)]
    if json_file:
        records = [asdict(x) | {"ratio": x.ratio} for x in found]
        output.write_json(json_file, {"machine": machine(), "trainings": records})
    console().print(training.epochs_table(found))


def _print(results: Results) -> None:
    """Print the tables of the network that was measured last."""
    network = results.networks[-1]
    found = [tables.rates_table(network), *(tables.times_table(results, network, x) for x in network.profiles)]
    for table in [*found, tables.start_table([network])]:
        console().print(table)
    golden = network.find(GOLDEN, DENSE, 1)
    if golden:
        dense = random_network(network.network)
        program = lowered(dense, random_images(dense.network.input_shape, CALIBRATION_IMAGES))
        console().print(estimates_line(estimates_per_second(program), golden.images_per_second))


def files(results: Results) -> dict[str, bytes]:
    """Return everything that a folder of results holds."""
    drawn = rendered(figures.FIGURES, results)
    return {"results.json": results.to_json().encode(), **drawn, PAGE: page(results).encode()}
