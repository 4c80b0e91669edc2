"""`espalier rtl`: Verilog of an array with a Program's memory contents, and a testbench that checks itself."""

from collections.abc import Mapping
from pathlib import Path

import click

from accel.program import Program
from reports.commands.options import BUILD, IN, array_option, data_options, depth_options, number_option, option
from reports.commands.places import Command
from reports.shared import output
from reports.workflow.hardware import codes_of, job_of
from reports.workflow.parsing import parse_array
from rtl.emit import emit


@click.command("rtl", cls=Command)
@click.argument("program", type=IN)
@array_option
@number_option("--images", 2, "Test images in the testbench.")
@option("--out", "-o", type=BUILD, required=True, help="Folder to write the build to.")
@depth_options
@data_options
def command(
    program: Path,
    array: str,
    out: Path,
    images: int,
    data: str | None,
    data_dir: str | None,
    depths: Mapping[str, int] | None = None,
) -> None:
    """Write Verilog for an array, a Program's memory contents, expected outputs and a self-checking testbench.

    Example: espalier rtl lenet5.espalier --array 8x8 --out build/
    """
    loaded = Program.load(program)
    mac_array = parse_array(array, loaded, depths)
    job = job_of(loaded, mac_array, codes_of(str(program), loaded, images, data, data_dir))
    output.write_folder(out, emit([job], mac_array))
    print(
        f"{out}: {array} array for {loaded.name}, {loaded.pattern}; {job.cycles:,} cycles an image, "
        f"{mac_array.built_bits / 8192:.2f} KiB of memories"
    )
