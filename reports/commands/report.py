"""What `espalier report` does: a network measured, its folder written."""

import shlex
from dataclasses import replace
from pathlib import Path

import click

from accel.array import MacArray
from accel.cost import Limits, load_technology
from accel.cost.design import CLOCK_HZ
from accel.cost.technology import DEFAULT
from reports.commands.options import (
    NETWORK,
    REPORT,
    array_option,
    clock_option,
    confidence_option,
    csv_option,
    data_options,
    images_option,
    jobs_option,
    json_option,
    max_error_option,
    metric_option,
    option,
    patterns_option,
    rtl_option,
    sram_option,
    technology_option,
)
from reports.commands.places import Command
from reports.report import figures, measure, terminal_tables
from reports.report.designing import DRAM_BYTES_PER_S, Hardware
from reports.report.page import page
from reports.shared import console as shared_console
from reports.shared import output, words
from reports.workflow.answer_table import HEADS, NEXT_HEADS, answer_rows, next_rows, sure
from reports.workflow.delivery import FILES, next_command, write
from reports.workflow.limits import check_confidence, parse_error
from reports.workflow.parsing import (
    parse_bandwidth,
    parse_bits,
    parse_frequency,
    parse_lanes,
    parse_memory,
    parse_patterns,
)


@click.command("report", cls=Command)
@click.argument("network", default="digits", type=NETWORK)
@option("--bits", default="3..8", show_default=True, help="Word lengths: 3..8, or a list such as 3,4,8.")
@patterns_option
@option("--out", "-o", type=REPORT, default="report", show_default=True, help="Folder to write the report to.")
@array_option
@clock_option
@option(
    "--dram-bandwidth",
    help="Bandwidth of the DRAM, such as 800MB/s; 1GB/s by default. Streamed weights are a model only.",
)
@sram_option
@max_error_option
@confidence_option
@metric_option
@technology_option
@images_option
@rtl_option
@json_option
@csv_option
@data_options
@jobs_option
def command(
    network: str,
    bits: str,
    patterns: str | None,
    out: Path,
    data_dir: str | None,
    images: int | None,
    jobs: int | None,
    metric: str,
    array: str,
    clock: str | None,
    dram_bandwidth: str | None,
    sram: str | None,
    max_error: str,
    confidence: float | None,
    rtl: bool,
    json_file: Path | None,
    csv_file: Path | None,
    technology: str | None,
    data: str | None,
) -> int:
    """Measure accuracy, memory, MACs and cycles against word length, for each pattern.

    Writes report.html, results.json, results.csv and the figures; of what is recommended also the network, the Program
    and a script that makes both again. What to build is decided by validation images; test images are for the numbers
    that are shown. Exit status 1 if no point is good enough.

    Example: espalier report lenet5 --data-dir data --pattern dense,kernel,ikss --out build/lenet5
    """
    labels = None if patterns is None else parse_patterns(patterns)
    check_confidence(confidence)
    _ = parse_error(max_error, reference=0.0)
    hardware = _hardware(array, clock, dram_bandwidth, sram, technology)
    planned = measure.plan(network, parse_bits(bits), labels, data_dir, images, jobs, hardware, data, metric)
    output.check_place(json_file, csv_file)
    planned = replace(planned, max_error=max_error, confidence=confidence)
    output.write_folder(out, {})  # an unwritable folder is known before the work, not after it
    results = measure.measure(planned)
    drawn = figures.render(results)
    files = {"results.json": results.to_json().encode(), "results.csv": results.to_csv().encode()}
    delivery = measure.delivery_of(planned, results, _line(click.get_current_context()))
    write(out, {**drawn, **files, "report.html": page(results, drawn)}, delivery, rtl)
    if json_file:
        output.write_text(json_file, results.to_json())
    if csv_file:
        output.write_text(csv_file, results.to_csv())
    console = shared_console.console()
    console.print(terminal_tables.summary_table(results))
    console.print(terminal_tables.recommendation(results))
    console.print(shared_console.plain_table(HEADS, answer_rows(results.decision)))
    if aside := next_rows(results.decision, terminal_tables.design):
        console.print(shared_console.plain_table(NEXT_HEADS, aside, words=2))
    if certain := sure(results.decision):
        console.print(certain)
    clock = words.clock_line(results.clock_hz, results.highest_clock_hz)
    if clock and results.designs:
        console.print(clock)
    if results.left_out:
        console.print(terminal_tables.left_out(results))
    also = f", {', '.join(FILES)}" if delivery else ""
    console.print(f"Written to {out}: report.html, results.json, results.csv{also} and figures.")
    if delivery and delivery.lanes:
        console.print(f"Next: {next_command(f'{out}/', delivery.lanes, data)}")
    return 0 if results.recommended else 1


def _line(context: click.Context) -> str:
    """Return the command line of what was asked, without where it is written."""
    words = ["espalier", "report", str(context.params["network"])]
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if (
            isinstance(parameter, click.Option)
            and parameter.expose_value
            and given
            and name not in ("out", "data_dir", "jobs")
        ):
            words += [parameter.opts[0], *([] if parameter.is_flag else [str(context.params[name])])]
    return shlex.join(words)


def _hardware(
    array: str, clock: str | None, dram_bandwidth: str | None, sram: str | None, technology: str | None
) -> Hardware:
    limits = Limits(
        clock_hz=parse_frequency(clock) if clock else CLOCK_HZ,
        dram_bytes_per_s=parse_bandwidth(dram_bandwidth) if dram_bandwidth else DRAM_BYTES_PER_S,
        sram_bits=parse_memory(sram) if sram else None,
    )
    lanes = parse_lanes(array)
    _ = MacArray(*lanes)  # an array that cannot be is known before the work
    return Hardware(*lanes, load_technology(technology or DEFAULT), limits)
