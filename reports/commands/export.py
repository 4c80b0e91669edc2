"""What `espalier export` does: a Program in, an ONNX file with its sidecar out, or a C++ header for HLS."""

import os
from pathlib import Path

import click

from accel.errors import EspalierError
from accel.files import write_whole
from accel.interchange.data.datasets import check_choice
from accel.interchange.hls.header import header
from accel.interchange.onnx import sidecar
from accel.interchange.onnx.writing.formats import WRITERS, export_model
from accel.program import Program
from reports.commands.options import IN, option
from reports.commands.places import Command, Place, Word
from reports.shared import output

ONNX, HLS = ".onnx", "hls"
FORMATS = (*WRITERS, HLS)


@click.command("export", cls=Command)
@click.argument("program", type=IN)
@option(
    "--format", "form", type=Word(lambda: FORMATS), required=True, help="Format to write: qcdq, qlinear, qonnx or hls."
)
@option(
    "--out",
    "-o",
    type=Place(writes=True, sidecar=True),
    required=True,
    help="The file to write; the sidecar goes beside it.",
)
def command(program: Path, form: str, out: Path) -> None:
    """Write a Program as a file that other people's tools run to the very same codes, or say what stands against it.

    Power-of-two steps and RND_CONV make a Program exact in every ONNX format. FILE.json beside FILE.onnx carries masks,
    index encodings, ap_fixed modes and accumulator widths, so that `espalier import` gives the same Program back.
    For hls any Program will do: a C++ header of ap_fixed (or ac_fixed) types, weights, index lists and loop bounds.

    Example: espalier quantize lenet5 --power-of-two --rounding RND_CONV -o lenet5.espalier
    Example: espalier export lenet5.espalier --format qcdq -o lenet5.onnx
    Example: espalier export lenet5.espalier --format hls -o lenet5.h
    """
    check_choice("format", form, FORMATS)
    output.check_place(out)
    loaded = Program.load(program)
    if form == HLS:
        _write_header(loaded, out)
    else:
        _write_model(loaded, form, out)


def _write_header(program: Program, out: Path) -> None:
    text = header(program)
    with output.writing(out):
        write_whole(out, text.encode())
    print(f"{out}: {program.name}, {len(program.layers)} layers, {len(text.splitlines()):,} lines of C++")


def _write_model(program: Program, form: str, out: Path) -> None:
    if out.suffix != ONNX or (out.exists() and not out.is_file()):
        raise EspalierError(f"{out}: expected a file whose name ends in {ONNX}, beside which its sidecar has a place")
    beside = sidecar.place(out)
    if os.path.lexists(beside) and not sidecar.is_one(beside):
        raise EspalierError(f"{beside}: is no sidecar of ours, and the one of {out} has its place; name another --out")
    model, side = export_model(program, form)
    output.write_folder(out.parent, {out.name: model, beside.name: side}, own=False)
    print(f"{out}: {program.name}, {len(program.layers)} layers, {form}; masks, formats and widths in {beside.name}")
