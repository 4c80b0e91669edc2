"""The command `espalier explore`: words checked, an exploration run, its answer told and written."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import click

from accel.errors import EspalierError
from reports.commands import together
from reports.commands.options import (
    EXPLORATION,
    NAME_OR_FILE,
    cache_option,
    confidence_option,
    csv_option,
    json_option,
    max_error_option,
    metric_option,
    networks_argument,
    number_option,
    option,
    patterns_option,
    rtl_option,
    several_data_options,
    workers_options,
)
from reports.commands.places import Command, Word
from reports.explore import answer, figures, hardware
from reports.explore.choosing import GOALS
from reports.explore.library import answered
from reports.explore.page import page
from reports.explore.request import Request, hardware_plan, plan_of
from reports.explore.results import Results
from reports.shared import console as shared_console
from reports.shared import output, resuming
from reports.shared.journal import RESULTS
from reports.shared.schema import saved
from reports.shared.workers import workers
from reports.workflow.answer_table import (
    BAND_HEADS,
    BAND_SHOWN,
    FLIP_HEADS,
    HEADS,
    NEXT_HEADS,
    answer_rows,
    band_rows,
    flip_rows,
    next_rows,
)
from reports.workflow.delivery import FILES, Delivery, next_command, write
from reports.workflow.parsing import one_each

PAGE = "explore.html"


@click.command("explore", cls=Command)
@networks_argument
@option("--shares", help="How many of the images each of several networks gets, in proportion, such as 3,1,1.")
@option("--sram", help="Size of the memory blocks that there may be, such as 128KiB.")
@max_error_option
@confidence_option
@metric_option
@option("--dsp", type=click.IntRange(1), help="Multipliers that there may be; two narrow lanes may share one.")
@option("--lanes", type=click.IntRange(1), help="Lanes that there may be: multiply-accumulates of a cycle.")
@option(
    "--area",
    type=click.FloatRange(0, min_open=True),
    help="Square millimeters of lanes and memories that there may be, estimated by the technology.",
)
@option("--power", type=click.FloatRange(0, min_open=True), help="Milliwatts that there may be, estimated.")
@option("--max-energy", help="Energy of one image that there may be, estimated, such as 500nJ or 2uJ.")
@option("--min-fps", type=click.FloatRange(0, min_open=True), help="Images a second that a design must reach.")
@option("--max-luts", type=click.IntRange(1), help="Look-up tables of an ECP5 that there may be, predicted.")
@option(
    "--max-area",
    type=click.FloatRange(0, min_open=True),
    help="Square millimeters of SkyWater's 130 nm cells that there may be, without memories, predicted.",
)
@option(
    "--min-mhz",
    type=click.FloatRange(0, min_open=True),
    help="Megahertz that the array must reach, predicted: in SkyWater's cells, or, of an FPGA, on an ECP5.",
)
@option("--clock", default=Request.clock, show_default=True, help="Clock of the array.")
@option(
    "--dram-bandwidth",
    help="Bandwidth of the DRAM that images come from, such as 800MB/s; weights must fit on the chip.",
)
@option(
    "--technology",
    type=NAME_OR_FILE,
    default=Request.technology,
    show_default=True,
    help="Technology to cost for: ecp5-45f, zynq-7020, ... or a TOML file.",
)
@option(
    "--goal",
    type=Word(lambda: GOALS),
    help="What is best within the limits: efficient, cheap (the default with --min-fps), fast, small, accurate, "
    "frugal (least energy).",
)
@option("--band", help="Tell all designs that are so close to the best by the goal, such as 5%.")
@patterns_option
@option("--ratios", help="Shares of weights that go in further versions, pruned here, such as 0.5,0.8.")
@option(
    "--retrain", type=click.IntRange(0), help="Epochs of retraining further versions; 3 where PyTorch is installed."
)
@option(
    "--weight-bits", default=Request.weight_bits, show_default=True, help="Bits of a weight to try: a range or a list."
)
@option(
    "--signal-bits", default=Request.signal_bits, show_default=True, help="Bits of a signal to try: a range or a list."
)
@number_option(
    "--mixed", Request.mixed, "Error rates, of each version, that a search for bits of single layers may take.", least=0
)
@option(
    "--arrays", help="Arrays to try, as output lanes x pixel lanes, such as 4x4,8x8; 30 from 1x1 to 32x16 by default."
)
@option("--images", type=click.IntRange(1), help="How many validation images designs are judged by; all by default.")
@workers_options
@cache_option
@option("--out", "-o", type=EXPLORATION, help="Folder to write; explore/NETWORK by default.")
@rtl_option
@option(
    "--hardware-only",
    is_flag=True,
    help="Measure nothing and read no weight: arrays, memories and word lengths (8 bits unless asked otherwise) alone.",
)
@option("--draw", is_flag=True, help="Measure nothing: write the figures and the page of results.json.")
@json_option
@csv_option
@several_data_options
def command(
    networks: tuple[str, ...],
    shares: str | None,
    data: tuple[str, ...],
    out: Path | None,
    rtl: bool,
    draw: bool,
    hardware_only: bool,
    cache: Path | None,
    json_file: Path | None,
    csv_file: Path | None,
    **asked: Any,
) -> int:
    """Find the design to build: pattern x ratio x word lengths x array within a budget of errors, memory and time.

    Several networks share one array, just large enough for each, which runs one at a time: errors are limited for each
    by its own images, images a second and power for the slowest, all else for the array.

    What is measured is kept in the cache: stopped, it goes on where it was, and another exploration that needs the
    same finds it there. Writes explore.html, results.json and figures; of what is recommended also the
    network, the Program and a script that makes both again. Exit status 1 if nothing fits.

    With --hardware-only no data are needed: of each version at each pair of word lengths the best array is told, with
    --dram-bandwidth also with weights that come from there. NETWORK may be an ONNX file, its weights shapes alone.

    Example: espalier explore lenet5 --sram 32KiB --max-error +1% --dsp 64 --data-dir data
    Example: espalier explore lenet5 --min-fps 10000 --technology ecp5-45f --ratios 0.5,0.8 --data-dir data
    Example: espalier explore resnet18.onnx --hardware-only --sram 16MiB --min-fps 30 --weight-bits 4,8
    Example: espalier explore lenet5 digits --shares 3,1 --sram 64KiB --data-dir data
    """
    if hardware_only:
        unfit = {"--out": out, "--rtl": rtl, "--draw": draw, "--shares": shares, "--data": data}
        if given := [option for option, value in unfit.items() if value]:
            raise EspalierError(f"{given[0]}: says nothing with --hardware-only, which measures and makes nothing")
        if len(networks) > 1:
            raise EspalierError(f"--hardware-only: takes one network, {len(networks)} are named")
        return _hardware(Request(network=networks[0], **asked), json_file, csv_file)
    if len(networks) > 1:
        places = {"out": out, "cache": cache, "json_file": json_file, "csv_file": csv_file}
        return together.explore(networks, shares, rtl=rtl, draw=draw, data=data, **places, **asked)
    if shares is not None:
        raise EspalierError(f"--shares {shares}: is of several networks, one is named")
    request = Request(network=networks[0], data=one_each(data, 1, what="network")[0], **asked)
    folder = out or Path("explore", Path(request.network).stem)
    output.check_place(json_file, csv_file)
    if draw:
        results, effort, delivery = saved(folder / RESULTS, Results.from_json), "", None
    else:
        results, effort, delivery = _explored(request, folder, cache)
    drawn = figures.render(results)
    files = {RESULTS: results.to_json().encode(), PAGE: page(results, drawn), **drawn}
    if not draw:
        write(folder, files, delivery, rtl)
    else:
        output.write_folder(folder, files)
    if json_file:
        tested = {"verified": asdict(results.verified) if results.verified else None}
        output.write_json(json_file, results.answer() | tested | {"words": answer.answer(results)})
    console = shared_console.console()
    if csv_file:
        output.write_text(csv_file, results.to_csv())
    first, *more = answer.answer(results)
    console.print(first)
    console.print(shared_console.plain_table(HEADS, answer_rows(results.decision)))
    if aside := next_rows(results.decision, answer.short):
        console.print(shared_console.plain_table(NEXT_HEADS, aside, words=2))
    if band := band_rows(results.decision, results.within_band, answer.short, BAND_SHOWN):
        console.print(shared_console.plain_table(BAND_HEADS, band))
    if figures_that_flip := flip_rows(results.flips, answer.short):
        console.print(shared_console.plain_table(FLIP_HEADS, figures_that_flip))
    for line in filter(None, [*more, effort]):
        console.print(line)
    also = f", {', '.join(FILES)}" if delivery else ""
    console.print(f"Written to {folder}: {PAGE}, {RESULTS}{also} and figures.")
    if delivery and delivery.lanes:
        console.print(f"Next: {next_command(f'{folder}/', delivery.lanes, request.data)}")
    return 0 if results.recommended else 1


def _hardware(request: Request, json_file: Path | None, csv_file: Path | None) -> int:
    """Tell what there is to build of a network of which nothing is measured."""
    output.check_place(json_file, csv_file)
    plan = hardware_plan(request)
    with workers(request.backend, request.jobs, request.scheduler) as run:
        asked = plan.space, plan.question, plan.technology, plan.limits
        found = hardware.explored(plan.versions, plan.again, *asked, run)
    if json_file:
        output.write_text(json_file, found.to_json())
    if csv_file:
        output.write_text(csv_file, found.to_csv())
    console = shared_console.console()
    console.print(hardware.title(found, plan.question.clock_hz))
    lines = [found.lines(plan.question.clock_hz)]
    if plan.question.band is not None:
        lines.append(islice(found.near(plan.question.clock_hz), BAND_SHOWN))
    for rows in lines:
        for table in shared_console.fitting(shared_console.plain_table(hardware.HEADS, rows, 3), console.width):
            console.print(table)
    return 0 if found.best else 1


def _explored(request: Request, folder: Path, cache: Path | None) -> tuple[Results, str, Delivery | None]:
    plan = plan_of(request)
    output.write_folder(folder, {})
    resuming.same_command()
    found, kept = answered(plan, request, cache)
    count, seconds = len(found.results.points), found.seconds
    effort = (
        f"{kept.found:,} results were there, {kept.done:,} were made in {kept.seconds:.1f} s; {count:,} designs "
        f"costed in {seconds:.1f} s, {1e3 * seconds / max(1, count):.2f} ms each."
    )
    return found.results, effort, found.delivery
