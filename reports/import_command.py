"""What `espalier import` does: an ONNX file in, a network or a Program out."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.cost import cost_of
from accel.errors import EspalierError
from accel.fixedpoint import Rounding
from accel.interchange.datasets import NAMES, check_choice
from accel.interchange.onnx_import import ImportedNetwork, import_model
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import FOUND, RULES, Calibration, Steps, Widths, lower_calibrated
from reports import output, tables
from reports.formats_file import read_formats
from reports.parsing import parse_mode

IMAGES = "images"  # the array of a calibration file, if it holds several


@dataclass(frozen=True)
class Request:
    """What the command line asks for, as words and numbers; see `espalier import --help`."""

    model: Path
    data: Path | None
    dataset: str | None
    weight_bits: int
    signal_bits: int
    input_bits: int
    rule: str
    power_of_two: bool
    per_output: bool
    rounding: str
    formats: Path | None
    out: Path


def command(**arguments: Any) -> None:
    """Import the file, write what came of it, and say so."""
    request = Request(**arguments)
    check_choice("rule of steps", request.rule, RULES)
    if request.dataset is not None:
        check_choice("data set", request.dataset, NAMES)
    output.check_place(request.out)
    found = import_model(request.model, request.dataset or "")
    made: PrunedNetwork | Program = found.result
    if isinstance(found, ImportedNetwork) and request.data is not None:
        made = _quantized(request, found)
    elif request.data is not None:
        raise EspalierError(f"{request.model}: is quantised already and needs no --data")
    elif request.formats is not None:
        raise EspalierError("--formats: nothing is quantised here; images to calibrate with go with --data")
    with output.writing(request.out):
        made.save(request.out)
    for note in found.notes:
        print(f"note: {note}")
    if isinstance(made, Program):
        parameters = tables.kib(cost_of(made).total.parameter_memory_bits)
        print(f"{request.out}: Program {made.name}, {len(made.layers)} layers, {parameters} KiB of parameters")
    else:
        print(f"{request.out}: network {made.network.name}, {len(made.network.layers)} layers, {made.pattern}")


def _quantized(request: Request, found: ImportedNetwork) -> Program:
    assert request.data is not None  # the caller's case
    images = calibration_images(request.data, found.last)
    widths = Widths(request.weight_bits, request.signal_bits, request.input_bits)
    steps = Steps(request.rule, power_of_two=request.power_of_two, per_output=request.per_output)
    calibration = Calibration(found.result, images, steps)
    formats = read_formats(request.formats) if request.formats else FOUND
    return lower_calibrated(calibration, widths, rounding=parse_mode(Rounding, request.rounding), formats=formats)


def calibration_images(path: Path, last: bool) -> NDArray[np.float32]:
    """Return the images (N, maps, height, width) of a ``.npz`` file, as the model takes them: scaled, normalised.

    Parameters
    ----------
    path : Path
        Holds the array ``images``, or one array of any name.
    last : bool
        The images are channels-last, as the model's input is.

    Raises
    ------
    EspalierError
        The file is no ``.npz``, or holds no such array of floats.
    OSError
        The file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise EspalierError(f"{path}: is no .npz file")
            names = [IMAGES] if IMAGES in archive.files else archive.files
            if len(names) != 1:
                raise EspalierError(f"{path}: holds {', '.join(names) or 'nothing'}, expected one array, {IMAGES!r}")
            images = archive[names[0]]
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError) as error:
        if isinstance(error, EspalierError):
            raise
        raise EspalierError(f"{path}: is no .npz file, or was cut or changed") from error
    if images.dtype.kind != "f" or images.ndim not in (2, 4):
        raise EspalierError(
            f"{path}: holds {images.dtype} {images.shape}, expected floats (images, maps, height, width) "
            "as the model takes them"
        )
    if images.ndim == 2:
        images = images[:, :, None, None]
    return np.ascontiguousarray(np.moveaxis(images, -1, 1) if last else images, np.float32)
