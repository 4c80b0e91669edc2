"""`espalier board`: a Program on a board's FPGA, over a serial line."""

import time
from pathlib import Path

import click

from accel.program import Program
from reports.commands.options import IN, data_options, number_option, option
from reports.commands.places import Command, Place
from reports.workflow.board import FILE, complaints, read_build, run_on_board
from reports.workflow.hardware import codes_of, job_of
from rtl.fpga.host import open_line

SHOWN = 5  # complaints


@click.command("board", cls=Command)
@click.argument("program", type=IN)
@option(
    "--build",
    type=Place(holds=(FILE,), file_okay=False),
    required=True,
    help="Folder of the bitstream that the board has, of `espalier synth --board`.",
)
@option("--port", required=True, help="Serial port, /dev/ttyUSB0 or COM3, or a URL of pyserial.")
@number_option("--images", 10, "Test images that are run.")
@data_options
def command(program: Path, build: Path, port: str, images: int, data: str | None, data_dir: str | None) -> int:
    """Run a Program on a board; compare every output bit and the cycles with the golden model and the closed form.

    The board has the bitstream of --build, which may be for another Program if its array is large enough. Exit status
    0 if all are equal, 1 if not.

    Example: espalier board digits.espalier --build build --port /dev/ttyUSB0
    """
    found, loaded = read_build(build), Program.load(program)
    codes = codes_of(str(program), loaded, images, data, data_dir)
    job = job_of(loaded, found.array, codes)
    start = time.perf_counter()
    with open_line(port, found.baud) as line:
        answers = run_on_board(line, found, loaded, codes)
    seconds = time.perf_counter() - start
    wrong = complaints(job, answers)
    for told in wrong[:SHOWN]:
        print(told)
    largest = " ".join(str(int(answer.codes.argmax())) for answer in answers)
    print(f"largest outputs: {largest}")
    bits = sum(answer.codes.size for answer in answers) * loaded.signals[loaded.output].bits
    spent = f"{job.cycles:,} cycles an image, {job.cycles / found.clock_hertz * 1e6:,.1f} us at its clock"
    print(f"{found.board}: {len(answers)} images, {bits:,} bits compared, {len(wrong)} differences; {spent}")
    print(f"{seconds:.1f} s with loading, at {found.baud:,} baud")
    return 1 if wrong else 0
