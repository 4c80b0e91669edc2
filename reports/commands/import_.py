"""What `espalier import` does: an ONNX file in, a network or a Program out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from accel.cost import cost_of
from accel.errors import EspalierError
from accel.fixedpoint import Rounding
from accel.interchange.data.datasets import NAMES, Dataset, check_choice
from accel.interchange.onnx.reading.model import import_model
from accel.limits import MOST_SIDE
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import FOUND, RULES, Calibration, Steps, Widths
from reports.commands.options import (
    MODEL,
    OUT,
    data_options,
    formats_option,
    option,
    signal_bits_option,
    weight_bits_option,
)
from reports.commands.places import Command
from reports.shared import output, words
from reports.workflow.formats_file import read_formats
from reports.workflow.lowering import lowered
from reports.workflow.parsing import parse_mode
from reports.workflow.sources import check_range, source_of


@dataclass(frozen=True)
class Request:
    """What the command line asks for, as words and numbers; see `espalier import --help`."""

    model: Path
    data: str | None
    data_dir: str | None
    dataset: str | None
    weight_bits: int
    signal_bits: int
    input_bits: int
    rule: str
    power_of_two: bool
    per_output: bool
    rounding: str
    formats: Path | None
    input_shape: str | None
    outputs: str | None
    out: Path


@click.command("import", cls=Command)
@click.argument("model", type=MODEL)
@option("--dataset", hidden=True, help="Known data set that later commands use without --data.")
@data_options
@weight_bits_option
@signal_bits_option
@option("--input-bits", type=int, default=8, show_default=True, help="Bits of a pixel.")
@option("--rule", default="l2", show_default=True, help="How steps are chosen: l2, alternating, max, percentile.")
@option("--power-of-two", is_flag=True, help="Use steps that are powers of two: requantisation is a shift.")
@option("--per-output", is_flag=True, help="Give the weights of each output map a step of their own.")
@option("--rounding", default="RND", show_default=True, help="ap_fixed rounding of every requantisation.")
@formats_option
@option("--input-shape", help="Sizes of one image that the file leaves open, in its order of axes, such as 3,224,224.")
@option("--outputs", help="Tensor or node that gives the scores, where the file has several outputs or is to be cut.")
@option("--out", "-o", type=OUT, required=True, help="The network or Program to write.")
def command(**arguments: Any) -> None:
    """Read an ONNX file: a float network, or a Program if it is quantised (QONNX, QDQ) or --data are given.

    What cannot be represented exactly is refused, with the node, the attribute and the reason.

    Example: espalier import resnet18.onnx --data calibration.npz -o resnet18.espalier
    """
    request = Request(**arguments)
    check_choice("rule of steps", request.rule, RULES)
    if request.dataset is not None:
        check_choice("data set", request.dataset, NAMES)
    output.check_place(request.out)
    outputs = [name.strip() for name in (request.outputs or "").split(",") if name.strip()]
    found = import_model(request.model, request.dataset or "", _sizes(request.input_shape), outputs)
    made: PrunedNetwork | Program = found.result
    if request.formats is not None and (request.data is None or isinstance(made, Program)):
        raise EspalierError("--formats: nothing is quantised here; images to calibrate with go with --data")
    if request.data is not None:
        source = source_of(str(request.model), made, request.data, request.data_dir, last=found.last)
        images = source.calibration()
        check_range(images, made, request.model.name)
        made = replace(made, data=request.dataset or source.name)
        if isinstance(made, PrunedNetwork):
            made = _quantized(request, made, images)
        else:
            print("note: is quantised already; --data says which images it is for, and changes no step")
    with output.writing(request.out):
        made.save(request.out)
    for note in found.notes:
        print(f"note: {note}")
    if isinstance(made, Program):
        parameters = words.kib(cost_of(made).total.parameter_memory_bits)
        print(f"{request.out}: Program {made.name}, {len(made.layers)} layers, {parameters} KiB of parameters")
    else:
        print(f"{request.out}: network {made.network.name}, {len(made.network.layers)} layers, {made.pattern}")


def _sizes(text: str | None) -> tuple[int, ...]:
    """Return the sizes that `3,224,224` or `3x224x224` says; none if it is not given."""
    if text is None:
        return ()
    words = text.lower().replace("x", ",").split(",")
    if not all(word.strip().isascii() and word.strip().isdigit() and 0 < int(word) <= MOST_SIDE for word in words):
        raise EspalierError(f"--input-shape: {text!r} is no list of sizes, such as 3,224,224")
    return tuple(map(int, words))


def _quantized(request: Request, network: PrunedNetwork, images: Dataset) -> Program:
    widths = Widths(request.weight_bits, request.signal_bits, request.input_bits)
    steps = Steps(request.rule, power_of_two=request.power_of_two, per_output=request.per_output)
    calibration = Calibration(network, images.pixels(), steps)
    formats = read_formats(request.formats) if request.formats else FOUND
    return lowered(calibration, widths, rounding=parse_mode(Rounding, request.rounding), formats=formats)
