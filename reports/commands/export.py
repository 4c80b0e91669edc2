"""What `espalier export` does: a Program in, an ONNX file with its sidecar out, or a C++ header for HLS."""

import os
from pathlib import Path

from accel.errors import EspalierError
from accel.files import write_whole
from accel.interchange.data.datasets import check_choice
from accel.interchange.hls.header import header
from accel.interchange.onnx import sidecar
from accel.interchange.onnx.writing.formats import WRITERS, export_model
from accel.program import Program
from reports.shared import output

ONNX, HLS = ".onnx", "hls"
FORMATS = (*WRITERS, HLS)


def command(program: Path, form: str, out: Path) -> None:
    """Export the Program, and say what was written."""
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
