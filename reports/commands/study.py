"""`espalier study`: sweeps whose results are kept; each is a package of `reports.studies`."""

from typing import Any

import click

from reports.commands.options import (
    STUDY,
    data_options,
    network_argument,
    number_option,
    option,
    workers_options,
)
from reports.commands.places import Group
from reports.shared import resuming
from reports.shared.workers import workers
from reports.studies.bitwidth import run as bitwidth_study
from reports.studies.pruning import run as pruning_study
from reports.workflow.parsing import parse_lanes


@click.group("study", cls=Group)
def command() -> None:
    """Sweeps whose results are kept, with figures and a page."""


@command.command("pruning")
@network_argument
@option("--out", "-o", type=STUDY, help="Folder to write; study/NETWORK by default.")
@number_option("--seeds", 3, "How many seeds each point is measured with.")
@option("--quick", is_flag=True, help="A few points only, of any network, to see that all of it works.")
@option("--draw", is_flag=True, help="Measure nothing more: write the figures and the page of what is there.")
@option("--array", help="Compare patterns by cycles on this array, such as 8x8, all of them retrained alike.")
@workers_options
@data_options
def pruning(array: str | None, backend: str, scheduler: str | None, jobs: int | None, **arguments: Any) -> None:
    """Sweep granularity x selector x ratio, before and after retraining (PyTorch), for a network of the zoo.

    With --array: patterns that remove as much, error against cycles; --draw counts the cycles anew. Stopped, it goes on
    where it was. Writes README.md, results.json and figures.

    Example: espalier study pruning lenet5 --data-dir data --out study/lenet5
    Example: espalier study pruning lenet5 --array 8x8 --data-dir data --out study/lenet5-cycles
    """
    resuming.same_command()
    lanes = parse_lanes(array) if array else None
    pruning_study.command(**arguments, crew=workers(backend, jobs, scheduler), lanes=lanes)


@command.command("bitwidth")
@network_argument
@option("--out", "-o", type=STUDY, help="Folder to write; study/NETWORK by default.")
@option("--quick", is_flag=True, help="A few points only, of any network, to see that all of it works.")
@option("--draw", is_flag=True, help="Measure nothing: write the figures and the page of results.json.")
@workers_options
@data_options
def bitwidth(backend: str, scheduler: str | None, jobs: int | None, **arguments: Any) -> None:
    """Measure error against word length by every method, group by group, allocated, retrained (PyTorch).

    Stopped, it goes on where it was. Writes README.md, results.json and figures.

    Example: espalier study bitwidth lenet5 --data-dir data --out study/lenet5
    """
    resuming.same_command()
    bitwidth_study.command(**arguments, crew=workers(backend, jobs, scheduler))
