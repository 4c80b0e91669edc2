"""`espalier rtl`: Verilog of an array with Programs' memory contents, and a testbench that checks itself."""

from collections.abc import Mapping
from pathlib import Path

import click

from accel.interchange.data.datasets import check_choice
from reports.commands.options import (
    BUILD,
    array_option,
    depth_options,
    number_option,
    option,
    programs_argument,
    several_data_options,
)
from reports.commands.places import Command, Word
from reports.shared import output
from reports.workflow.hardware import jobs_of
from rtl.bus import ipxact
from rtl.bus.build import wrap
from rtl.bus.wrapper import BUSES, WIDTHS
from rtl.emit import emit


@click.command("rtl", cls=Command)
@programs_argument
@array_option
@number_option("--images", 2, "Test images in the testbench.")
@option("--out", "-o", type=BUILD, required=True, help="Folder to write the build to.")
@option(
    "--bus",
    type=Word(lambda: ("none", *BUSES)),
    default="none",
    show_default=True,
    help="Wrap the array for a bus: axi (AXI4-Lite) or wishbone (B4 classic), with AXI4-Streams for images and "
    "results, a map of registers and a driver in C.",
)
@option(
    "--bus-bits",
    type=Word(lambda: map(str, WIDTHS)),
    default=str(WIDTHS[0]),
    show_default=True,
    help="Bits of the bus's words: 32 or 64.",
)
@depth_options
@several_data_options
def command(
    programs: tuple[Path, ...],
    array: str,
    out: Path,
    images: int,
    bus: str,
    bus_bits: str,
    data: tuple[str, ...],
    data_dir: str | None,
    depths: Mapping[str, int] | None = None,
) -> None:
    """Write Verilog for an array, a Program's memory contents, expected outputs and a self-checking testbench.

    Several Programs share one array, just large enough for each; the testbench loads one after another.

    Example: espalier rtl lenet5.espalier --array 8x8 --out build/
    """
    check_choice("bus", bus, ("none", *BUSES))
    check_choice("bus-bits", bus_bits, tuple(map(str, WIDTHS)))
    jobs, made = jobs_of(programs, array, depths, images, data, data_dir)
    output.write_folder(out, emit(jobs, made) if bus == "none" else wrap(jobs, made, bus, int(bus_bits)))
    memories = f"{made.built_bits / 8192:.2f} KiB of memories"
    told = [f"{job.program.name}, {job.program.pattern}; {job.cycles:,} cycles an image" for job in jobs]
    if len(told) == 1:
        print(f"{out}: {array} array for {told[0]}, {memories}")
    else:
        print(f"{out}: {array} array for {len(told)} Programs, {memories}")
        for line in told:
            print(f"  {line}")
    if bus != "none" and not ipxact.is_there():
        print(f"{ipxact.FILE} is left out, for PeakRDL is not installed: {ipxact.INSTALL}")
