"""What `espalier export` does: a Program in, an ONNX file with its sidecar out, or a C++ header for HLS."""

from pathlib import Path

from accel.errors import EspalierError
from accel.interchange import sidecar
from accel.interchange.onnx_formats import WRITERS, export_model
from accel.program import Program
from reports import output

ONNX = ".onnx"
FORMATS = tuple(WRITERS)


def command(program: Path, form: str, out: Path) -> None:
    """Export the Program, and say what was written."""
    output.check_place(out)
    loaded = Program.load(program)
    if out.suffix != ONNX or (out.exists() and not out.is_file()):
        raise EspalierError(f"{out}: expected a file whose name ends in {ONNX}, beside which its sidecar has a place")
    model, side = export_model(loaded, form)
    beside = sidecar.place(out)
    output.write_folder(out.parent, {out.name: model, beside.name: side})
    print(f"{out}: {loaded.name}, {len(loaded.layers)} layers, {form}; masks, formats and widths in {beside.name}")
