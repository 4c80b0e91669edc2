"""`espalier power`: what an image costs in standard cells, from the gates that run it."""

from collections.abc import Mapping
from pathlib import Path

import click

from accel.cost.design import CLOCK_HZ
from accel.cost.technology import DEFAULT, load_technology
from accel.interchange.data import datasets
from reports.commands.options import (
    BUILD,
    IN,
    array_option,
    clock_option,
    data_options,
    depth_options,
    json_option,
    number_option,
    option,
    sram_library_option,
    technology_option,
)
from reports.commands.places import Command, Word
from reports.report.power_tables import sentences_of, table_of
from reports.shared import output
from reports.shared.console import console
from reports.workflow.hardware import jobs_of
from reports.workflow.parsing import parse_frequency
from reports.workflow.power import measured
from rtl import simulators
from rtl.asic.liberty import read
from rtl.asic.power import check_known
from rtl.asic.sram import read_sram


@click.command("power", cls=Command)
@click.argument("program", type=IN)
@option("--liberty", type=IN, required=True, help="Standard cells: a Liberty file, .lib or .lib.gz.")
@array_option
@clock_option
@number_option("--images", 2, "Test images to run.")
@sram_library_option
@technology_option
@option(
    "--simulator",
    type=Word(lambda: simulators.COMMANDS),
    default="verilator",
    show_default=True,
    help="Simulator of the gates: verilator or iverilog.",
)
@option("--out", "-o", type=BUILD, help="Keep the netlist and all else in this folder.")
@json_option
@depth_options
@data_options
def command(
    program: Path,
    liberty: Path,
    array: str,
    clock: str | None,
    images: int,
    sram_library: Path | None,
    technology: str | None,
    simulator: str,
    out: Path | None,
    json_file: Path | None,
    data: str | None,
    data_dir: str | None,
    depths: Mapping[str, int] | None = None,
) -> None:
    """Measure what an image costs in standard cells: milliwatts and nanojoules, layer by layer and part by part.

    The array is mapped to cells, its gates run test images in a simulation that compares every output with the golden
    model, and OpenSTA gets how often each net changed. Memories cost what --sram-library says of an access, or
    --technology. Takes minutes.

    Example: espalier power digits.espalier --liberty cells.lib.gz --array 4x4 --images 2
    Example: espalier power digits.espalier --liberty cells.lib --sram-library sram.toml --clock 50MHz --json power.json
    """
    datasets.check_choice("simulator", simulator, tuple(simulators.COMMANDS))
    hertz, library = parse_frequency(clock) if clock else CLOCK_HZ, read(liberty)
    sram = read_sram(sram_library) if sram_library else None
    check_known(library)
    known = load_technology(technology or DEFAULT)
    (job,), mac_array = jobs_of([program], array, depths, images, (data,) if data else (), data_dir)
    output.check_place(json_file)
    with output.working_folder(out) as folder:
        output.write_folder(folder, {})
        folder.mkdir(parents=True, exist_ok=True)
        power = measured(job, mac_array, library, folder, hertz, simulator, sram, known)
    if json_file:
        output.write_text(json_file, power.to_json())
    console().print(table_of(power))
    for line in sentences_of(power):
        console().print(line)
