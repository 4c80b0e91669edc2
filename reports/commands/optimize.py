"""`espalier optimize`: a dense network in, a pruned and quantised Program out, searched and trained within limits."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from accel.digest import digest_of, network_parts
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import SPLITS, check_choice
from accel.sparsity import FeatureMap, NOfM, parse_pattern
from reports.commands.options import (
    array_option,
    bfloat16_option,
    data_options,
    jobs_option,
    json_option,
    max_error_option,
    network_argument,
    number_option,
    option,
    sram_option,
)
from reports.commands.places import Command, Place, Word
from reports.optimize.page import answer, page
from reports.optimize.results import GOALS
from reports.optimize.run import PATTERNS, Found, optimized
from reports.optimize.wish import Wish
from reports.shared import output, resuming
from reports.shared.console import console
from reports.shared.journal import RESULTS
from reports.workflow.limits import parse_error
from reports.workflow.parsing import parse_lanes, parse_memory, parse_patterns
from reports.workflow.sources import check_range, source_of
from reports.workflow.work_folder import open_work

PROGRAM, NETWORK, PAGE, WORK = "program.espalier", "network.espalier", "README.md", "work"
HOLDS = (PROGRAM, NETWORK, RESULTS, PAGE, f"{WORK}/*")
LEAST_EPOCHS = 4


@dataclass(frozen=True)
class Request:
    """What the command line asks for, as words and numbers; see `espalier optimize --help`."""

    network: str
    max_error: str
    sram: str | None
    array: str
    goal: str
    patterns: str | None
    epochs: int
    seed: int
    bfloat16: bool
    out: Path
    jobs: int | None
    json_file: Path | None
    data: str | None
    data_dir: str | None


@click.command("optimize", cls=Command)
@network_argument
@max_error_option
@sram_option
@array_option
@option(
    "--goal",
    type=Word(lambda: GOALS),
    default="fast",
    show_default=True,
    help="What is to be least within the limits: cycles (fast) or memory (small).",
)
@option(
    "--pattern",
    "patterns",
    help="Patterns, with commas between them, of which each layer gets one or stays dense; "
    f"{','.join(PATTERNS)} by default.",
)
@number_option("--epochs", 16, "Epochs of the longest training of a mix; shorter ones choose the mixes.", least=1)
@number_option("--seed", 0, "Seed of all trainings.", least=0)
@bfloat16_option
@option("--out", "-o", type=Place(writes=True, holds=HOLDS, file_okay=False), required=True, help="Folder to write.")
@jobs_option
@json_option
@data_options
def command(**arguments: Any) -> int:
    """Prune and quantise jointly: search patterns, ratios and widths of each layer, train, deliver a Program.

    Mixes of patterns are trained briefly, the better ones for longer; what is left is quantised to widths of its own
    for each layer, and trained as the Program computes. Stopped, the same command goes on where it was. Writes
    program.espalier, network.espalier, results.json and README.md; exit status 1 if nothing is within the limits.

    Example: espalier optimize lenet5 --max-error +0.5% --sram 32KiB --array 8x8 --data-dir data -o out
    """
    request = Request(**arguments)
    wish = _checked(request)
    resuming.same_command()
    found = optimized(wish)
    _write(request, found)
    console().print(answer(found.results))
    console().print(f"Written to {request.out}.")
    return 0 if found.results.chosen is not None else 1


def _checked(request: Request) -> Wish:
    """Return what is asked for, with everything loaded; what can be wrong is found here, if it can be."""
    check_choice("goal", request.goal, GOALS)
    patterns = parse_patterns(request.patterns) if request.patterns else list(PATTERNS)
    for pattern in patterns:
        if isinstance(parse_pattern(pattern), FeatureMap | NOfM) or pattern == zoo.DENSE:
            raise EspalierError(f"--pattern {pattern}: a mix is of patterns whose units may come back; leave it out")
    if request.epochs < LEAST_EPOCHS:
        raise EspalierError(f"--epochs {request.epochs}: expected at least {LEAST_EPOCHS}; shorter trainings are parts")
    lanes = parse_lanes(request.array)
    memory_bits = parse_memory(request.sram) if request.sram else None
    if memory_bits == 0:
        raise EspalierError(f"--sram {request.sram}: expected memory above 0, such as 64KiB")
    _ = parse_error(request.max_error, 0.0)
    dense = zoo.load(request.network)
    source = source_of(request.network, dense, request.data, request.data_dir)
    images = {split: source.load(split) for split in SPLITS}
    images["calibration"] = source.calibration()
    check_range(images["validation"], dense, request.network)
    dense = replace(dense, data=source.name, input_range=images["validation"].range if source.own else None)
    output.check_place(request.json_file)
    free = ("out", "json_file", "jobs", "data_dir", "data", "network")
    options = {name: value for name, value in vars(request).items() if name not in free}
    folder = request.out / WORK
    network = digest_of(*network_parts(dense.network))
    open_work(folder, options | {"network": network}, (images[split] for split in SPLITS))
    limits = request.max_error, memory_bits, request.goal
    return Wish(dense, images, patterns, lanes, *limits, request.epochs, request.seed, request.bfloat16, folder)


def _write(request: Request, found: Found) -> None:
    """Write everything into the folder, and the numbers to a file of their own if that is asked for."""
    text = found.results.to_json()
    files = {RESULTS: text.encode(), PAGE: page(found.results).encode()}
    if found.program is not None and found.network is not None:
        files |= {PROGRAM: found.program.to_bytes(), NETWORK: found.network.to_bytes()}
    output.write_folder(request.out, files)
    if request.json_file:
        output.write_text(request.json_file, text)
