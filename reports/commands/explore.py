"""The command `espalier explore`: words checked, an exploration run, its answer told and written."""

import importlib.util
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from accel.cost import Limits, Technology, load_technology
from accel.cost.technology import DEFAULT
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import check_choice
from reports.commands.options import (
    COUNT,
    EXPLORATION,
    NAME_OR_FILE,
    confidence_option,
    csv_option,
    data_options,
    json_option,
    max_error_option,
    network_argument,
    option,
    rtl_option,
)
from reports.commands.parsing import (
    parse_arrays,
    parse_bandwidth,
    parse_bits,
    parse_frequency,
    parse_memory,
    parse_patterns,
    parse_shares,
)
from reports.commands.places import Command
from reports.explore import answer, figures
from reports.explore.choosing import GOALS
from reports.explore.kept import Kept
from reports.explore.page import page
from reports.explore.results import Results
from reports.explore.run import Plan, explore
from reports.explore.space import Question, Space
from reports.explore.versions import Version, versions_of, with_controls
from reports.explore.workers import BACKENDS, workers
from reports.shared import console as shared_console
from reports.shared import output, resuming
from reports.shared.journal import RESULTS
from reports.shared.schema import saved
from reports.shared.store import opened
from reports.workflow import retrain as retraining
from reports.workflow.answer_table import HEADS, NEXT_HEADS, answer_rows, next_rows
from reports.workflow.delivery import FILES, Delivery, next_command, write
from reports.workflow.limits import check_confidence
from reports.workflow.sources import check_range, named, source_of

PAGE = "explore.html"
STORE = Path("checkpoints", "rates.sqlite")
EPOCHS = 3  # of retraining the versions that are made, where PyTorch is there


@dataclass(frozen=True)
class Request:
    """What the command line asks for, as words and numbers; see `espalier explore --help`."""

    network: str
    sram: str | None
    max_error: str
    confidence: float | None
    dsp: int | None
    lanes: int | None
    area: float | None
    power: float | None
    min_fps: float | None
    clock: str
    dram_bandwidth: str | None
    technology: str
    goal: str | None
    patterns: str | None
    ratios: str | None
    retrain: int | None
    weight_bits: str
    signal_bits: str
    arrays: str | None
    images: int | None
    backend: str
    scheduler: str | None
    jobs: int | None
    out: Path | None
    rtl: bool
    draw: bool
    json_file: Path | None
    csv_file: Path | None
    data: str | None
    data_dir: str | None


@click.command("explore", cls=Command)
@network_argument
@option("--sram", help="Size of the memory blocks that there may be, such as 128KiB.")
@max_error_option
@confidence_option
@option("--dsp", type=click.IntRange(1), help="Multipliers that there may be; two narrow lanes may share one.")
@option("--lanes", type=click.IntRange(1), help="Lanes that there may be: multiply-accumulates of a cycle.")
@option("--area", type=click.FloatRange(0, min_open=True), help="Square millimeters that there may be, estimated.")
@option("--power", type=click.FloatRange(0, min_open=True), help="Milliwatts that there may be, estimated.")
@option("--min-fps", type=click.FloatRange(0, min_open=True), help="Images a second that a design must reach.")
@option("--clock", default="100MHz", show_default=True, help="Clock of the array.")
@option(
    "--dram-bandwidth",
    help="Bandwidth of the DRAM that images come from, such as 800MB/s; weights must fit on the chip.",
)
@option(
    "--technology",
    type=NAME_OR_FILE,
    default="asic-45nm",
    show_default=True,
    help="Technology to cost for: ecp5-45f, zynq-7020, ... or a TOML file.",
)
@option(
    "--goal",
    help="What is best within the limits: efficient, cheap (the default with --min-fps), fast, small, accurate.",
)
@option("--patterns", help="Patterns with commas between them; all versions of a zoo network by default.")
@option("--ratios", help="Shares of weights that go in further versions, pruned here, such as 0.5,0.8.")
@option(
    "--retrain", type=click.IntRange(0), help="Epochs of retraining further versions; 3 where PyTorch is installed."
)
@option("--weight-bits", default="3..8", show_default=True, help="Bits of a weight to try: a range or a list.")
@option("--signal-bits", default="3..8", show_default=True, help="Bits of a signal to try: a range or a list.")
@option(
    "--arrays", help="Arrays to try, as output lanes x pixel lanes, such as 4x4,8x8; 30 from 1x1 to 32x16 by default."
)
@option("--images", type=click.IntRange(1), help="How many validation images designs are judged by; all by default.")
@option("--backend", default="loky", show_default=True, help="What measures: loky (processes here) or dask.")
@option("--scheduler", help="Address of the scheduler of a Dask cluster, such as tcp://10.0.0.1:8786.")
@option(
    "--jobs", type=COUNT, help="How many processes or workers measure at a time; all processors or workers by default."
)
@option("--out", "-o", type=EXPLORATION, help="Folder to write; explore/NETWORK by default.")
@rtl_option
@option("--draw", is_flag=True, help="Measure nothing: write the figures and the page of results.json.")
@json_option
@csv_option
@data_options
def command(**arguments: Any) -> int:
    """Find the design to build: pattern x ratio x word lengths x array within a budget of errors, memory and time.

    Stopped, it goes on where it was. Writes explore.html, results.json and figures; of what is recommended also the
    network, the Program and a script that makes both again. Exit status 1 if nothing fits.

    Example: espalier explore lenet5 --sram 32KiB --max-error +1% --dsp 64 --data-dir data
    Example: espalier explore lenet5 --min-fps 10000 --technology ecp5-45f --ratios 0.5,0.8 --data-dir data
    """
    request = Request(**arguments)
    folder = request.out or Path("explore", Path(request.network).stem)
    if request.draw:
        results, effort, delivery = saved(folder / RESULTS, Results.from_json), "", None
    else:
        results, effort, delivery = _explored(request, folder)
    output.check_place(request.json_file, request.csv_file)
    drawn = figures.render(results)
    files = {RESULTS: results.to_json().encode(), PAGE: page(results, drawn), **drawn}
    if not request.draw:
        write(folder, files, delivery, request.rtl)
    else:
        output.write_folder(folder, files)
    if request.json_file:
        output.write_json(request.json_file, results.answer() | {"words": answer.answer(results)})
    console = shared_console.console()
    if request.csv_file:
        output.write_text(request.csv_file, results.to_csv())
    first, *more = answer.answer(results)
    console.print(first)
    console.print(shared_console.plain_table(HEADS, answer_rows(results.decision)))
    if aside := next_rows(results.decision, answer.short):
        console.print(shared_console.plain_table(NEXT_HEADS, aside, words=2))
    for line in filter(None, [*more, effort]):
        console.print(line)
    also = f", {', '.join(FILES)}" if delivery else ""
    console.print(f"Written to {folder}: {PAGE}, {RESULTS}{also} and figures.")
    if delivery and delivery.lanes:
        console.print(f"Next: {next_command(f'{folder}/', delivery.lanes, request.data)}")
    return 0 if results.recommended else 1


def _explored(request: Request, folder: Path) -> tuple[Results, str, Delivery | None]:
    check_choice("backend", request.backend, BACKENDS)
    plan = _plan(request)
    output.check_place(request.json_file, request.csv_file)
    with output.writing(folder):
        (folder / STORE).parent.mkdir(parents=True, exist_ok=True)
    output.write_folder(folder, {})
    resuming.same_command()
    with opened(folder / STORE) as store, workers(request.backend, request.jobs, request.scheduler) as run:
        kept = Kept(store, run)
        found = explore(plan, kept)
    count, seconds = len(found.results.points), found.seconds
    effort = (
        f"{kept.found:,} results were there, {kept.done:,} were made in {kept.seconds:.1f} s; {count:,} designs "
        f"costed in {seconds:.1f} s, {1e3 * seconds / max(1, count):.2f} ms each."
    )
    return found.results, effort, found.delivery


def _plan(request: Request) -> Plan:
    """Return the plan that a request means; everything that can be wrong with it is found here."""
    question, limits, technology = _asked(request)
    weight_bits = parse_bits(request.weight_bits, "--weight-bits")
    signal_bits = parse_bits(request.signal_bits, "--signal-bits")
    space = Space(weight_bits, signal_bits, parse_arrays(request.arrays))
    patterns = None if request.patterns is None else parse_patterns(request.patterns)
    versions = versions_of(request.network, patterns, parse_shares(request.ratios))
    first = zoo.load(request.network)
    source = source_of(request.network, first, request.data, request.data_dir)
    calibration = source.calibration()
    check_range(calibration, first, request.network)
    splits = {split: source.load(split) for split in ("validation", "test")}
    if request.images is not None:
        splits["validation"] = splits["validation"].take(request.images)
    epochs, recipe = _retraining(request, versions, first.network.name)
    training = source.load("train") if epochs else None
    images_of = calibration, splits["validation"], splits["test"], training
    made = epochs, recipe, technology, limits
    versions = with_controls(versions) if epochs else versions
    return Plan(request.network, versions, space, question, *images_of, *made, source.anywhere(), request.data)


def _asked(request: Request) -> tuple[Question, Limits, Technology]:
    memory_bits = parse_memory(request.sram) if request.sram is not None else None
    bandwidth = parse_bandwidth(request.dram_bandwidth) if request.dram_bandwidth is not None else None
    clock_hz = parse_frequency(request.clock)
    goal = request.goal or ("efficient" if request.min_fps is None else "cheap")
    check_choice("goal", goal, GOALS)
    check_confidence(request.confidence)
    measures = memory_bits, request.dsp, request.min_fps, clock_hz, goal
    area_um2 = None if request.area is None else 1e6 * request.area
    more = request.lanes, area_um2, request.power, request.confidence
    question = Question(_command(request), request.max_error, *measures, *more)
    _ = question.budget(reference=0.0)  # what is wrong with it is known before the work, not after it
    technology = load_technology(request.technology)
    for name, given, known in (("--area", area_um2, technology.area), ("--power", request.power, technology.energy)):
        if given is not None and known is None:
            raise EspalierError(f"{name}: nothing is known of it in the technology {technology.name}")
    return question, Limits(clock_hz=clock_hz, dram_bytes_per_s=bandwidth, sram_bits=memory_bits), technology


def _retraining(request: Request, versions: tuple[Version, ...], network: str) -> tuple[int, str]:
    """Return epochs and recipe of the versions that are made; 0 epochs if there are none, or no PyTorch."""
    making = any(version.made for version in versions)
    if request.retrain is not None and not making:
        raise EspalierError(f"--retrain {request.retrain}: no version is made here; --ratios says which to make")
    there = importlib.util.find_spec("torch") is not None
    epochs = request.retrain if request.retrain is not None else EPOCHS if there else 0
    if not making or not epochs:
        return 0, ""
    return epochs, str(retraining.recipe(network, epochs))


def _command(request: Request) -> str:
    """Return the command that asks the same, wherever its data and results lie, whoever measures."""
    usual = {"max_error": "+1%", "clock": "100MHz", "technology": DEFAULT, "weight_bits": "3..8", "signal_bits": "3..8"}
    names = (
        "sram",
        "max_error",
        "confidence",
        "dsp",
        "lanes",
        "area",
        "power",
        "min_fps",
        "clock",
        "dram_bandwidth",
        "technology",
        "goal",
        "patterns",
    )
    parts = [request.network]
    for name in (*names, "ratios", "retrain", "weight_bits", "signal_bits", "arrays", "images"):
        value = getattr(request, name)
        if value is not None and (value != usual.get(name) or name == "max_error"):
            text = f"{value:g}" if isinstance(value, float) else str(value)
            parts += [f"--{name.replace('_', '-')}", text]
    if request.data is not None:
        parts += ["--data", named(request.data)]
    return shlex.join(["espalier", "explore", *parts])
