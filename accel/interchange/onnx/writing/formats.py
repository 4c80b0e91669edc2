"""The ONNX formats that a Program can be written in."""

from accel.errors import EspalierError
from accel.interchange.onnx import sidecar
from accel.interchange.onnx.writing.float_formats import Qcdq, Qonnx
from accel.interchange.onnx.writing.qlinear import QLinear
from accel.program import Program

WRITERS: dict[str, type[Qcdq] | type[Qonnx] | type[QLinear]] = {"qonnx": Qonnx, "qcdq": Qcdq, "qlinear": QLinear}


def export_model(program: Program, form: str) -> tuple[bytes, bytes]:
    """Return a Program as an ONNX model, and the sidecar with which importing the model gives the Program back.

    Parameters
    ----------
    program : Program
    form : str
        ``"qonnx"``, ``"qcdq"`` or ``"qlinear"``.

    Raises
    ------
    EspalierError
        There is no such format, or its arithmetic is not provably the Program's: the line names the layer and says
        what to change.
    """
    if form not in WRITERS:
        raise EspalierError(f"unknown format {form!r}: expected one of {', '.join(WRITERS)}")
    writer = WRITERS[form](program)
    model = writer.write()
    return model, sidecar.dump(program, writer.target, model)
