"""What `espalier import` does: an ONNX file in, a network or a Program out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from accel.cost import cost_of
from accel.errors import EspalierError
from accel.fixedpoint import Rounding
from accel.interchange.data.datasets import NAMES, Dataset, check_choice
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.limits import MOST_SIDE
from accel.preprocessing import Preprocessing
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import FOUND, RULES, Calibration, Steps, Widths
from accel.scales import check_multiplier_bits
from reports.commands.options import (
    MODEL,
    OUT,
    data_options,
    formats_option,
    multiplier_bits_option,
    option,
    signal_bits_option,
    weight_bits_option,
)
from reports.commands.places import Command, Word
from reports.shared import output, words
from reports.shared.console import console, plain_table
from reports.workflow.agreement import UnmeasuredError, agreement_of, file_error_rate
from reports.workflow.evaluate import float_error_rate
from reports.workflow.formats_file import read_formats
from reports.workflow.lowering import lowered
from reports.workflow.parsing import parse_mode, parse_numbers
from reports.workflow.sources import KNOWN_RANGE, Source, check_range, source_of
from sim.engine import compile_program


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
    full_scale: float
    mean: str | None
    std: str | None
    outputs: str | None
    multiplier_bits: int
    nearest: bool
    images: int | None
    out: Path


@click.command("import", cls=Command)
@click.argument("model", type=MODEL)
@option("--dataset", hidden=True, help="Known data set that later commands use without --data.")
@data_options
@weight_bits_option
@signal_bits_option
@option("--input-bits", type=int, default=8, show_default=True, help="Bits of a pixel.")
@option(
    "--rule",
    type=Word(lambda: RULES),
    default="l2",
    show_default=True,
    help="How steps are chosen: l2, alternating, max, percentile.",
)
@option("--power-of-two", is_flag=True, help="Use steps that are powers of two: requantisation is a shift.")
@option("--per-output", is_flag=True, help="Give the weights of each output map a step of their own.")
@option(
    "--rounding",
    type=Word(lambda: [x.name for x in Rounding]),
    default="RND",
    show_default=True,
    help="ap_fixed rounding of every requantisation.",
)
@formats_option
@option("--input-shape", help="Sizes of one image that the file leaves open, in its order of axes, such as 3,224,224.")
@option(
    "--full-scale",
    type=float,
    default=1.0,
    show_default=True,
    help="What the network takes a full pixel as: 255 where it was trained on bytes as they are.",
)
@option(
    "--mean", help="Mean to take off pixels of that scale: one number, or one for each map, such as 0.485,0.456,0.406."
)
@option("--std", help="Standard deviation to divide pixels by after the mean is off: one number, or one for each map.")
@option("--outputs", help="Tensor or node that gives the scores, where the file has several outputs or is to be cut.")
@multiplier_bits_option
@option("--nearest", is_flag=True, help="Numbers of a quantised file that no Program has become the nearest ones.")
@option("--images", type=click.IntRange(1), help="Images to compare on; all of --data by default.")
@option("--out", "-o", type=OUT, required=True, help="The network or Program to write.")
def command(**arguments: Any) -> None:
    """Read an ONNX file: a float network, or a Program if it is quantised (QONNX, QDQ) or --data are given.

    What cannot be represented exactly is refused, with the node, the attribute and the reason, unless --nearest is
    given: a line says then how many layers changed and how. Of a quantised file --data are images to measure on how
    its codes agree with onnxruntime's, layer by layer.

    Example: espalier import resnet18.onnx --data calibration.npz -o resnet18.espalier
    Example: espalier import quantized.onnx --multiplier-bits 32 --data test.npz -o exact.espalier
    Example: espalier import quantized.onnx --nearest --data test.npz -o nearest.espalier
    """
    request = Request(**arguments)
    check_choice("rule of steps", request.rule, RULES)
    if request.dataset is not None:
        check_choice("data set", request.dataset, NAMES)
    output.check_place(request.out)
    outputs = [name.strip() for name in (request.outputs or "").split(",") if name.strip()]
    check_multiplier_bits(request.multiplier_bits)
    found = import_model(
        request.model,
        request.dataset or "",
        _sizes(request.input_shape),
        outputs,
        request.multiplier_bits,
        request.nearest,
    )
    compared: Dataset | None = None
    rates: list[str] = []
    made: PrunedNetwork | Program = found.result
    before = _preprocessing(request)
    if before is not None:
        if isinstance(made, Program):
            raise EspalierError("--full-scale, --mean, --std: a quantised file says itself what its codes stand for")
        made = replace(made.with_network(before.of(made.network)), input_range=KNOWN_RANGE)
        print(f"note: {before}")
    if request.formats is not None and (request.data is None or isinstance(made, Program)):
        raise EspalierError("--formats: nothing is quantised here; images to calibrate with go with --data")
    if request.data is not None:
        source = source_of(str(request.model), made, request.data, request.data_dir, last=found.last)
        images = source.calibration() if isinstance(made, PrunedNetwork) else source.load("test", labelled=False)
        check_range(images, made, request.model.name)
        made = replace(made, data=request.dataset or source.name)
        if isinstance(made, PrunedNetwork):
            network, made = made, _quantized(request, made, images)
            rates = _rates(request, network, made, source, found.last, before)
        else:
            print("note: is quantised already; --data says which images it is for, and changes no step")
            compared = images.take(min(request.images or len(images), len(images)))
    with output.writing(request.out):
        made.save(request.out)
    for note in found.notes:
        print(f"note: {note}")
    if isinstance(made, Program):
        parameters = words.kib(cost_of(made).total.parameter_memory_bits)
        print(f"{request.out}: Program {made.name}, {len(made.layers)} layers, {parameters} KiB of parameters")
        for line in rates:
            print(line)
        if isinstance(found, ImportedProgram) and (compared is not None or request.nearest):
            _compare(request, found, compared)
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


def _preprocessing(request: Request) -> Preprocessing | None:
    """Return what is asked for, or None where pixels go in as they are."""
    if request.full_scale == 1 and request.mean is None and request.std is None:
        return None
    numbers = [parse_numbers(text, option) for text, option in ((request.mean, "--mean"), (request.std, "--std"))]
    return Preprocessing(request.full_scale, numbers[0] or (0.0,), numbers[1] or (1.0,))


def _rates(
    request: Request,
    network: PrunedNetwork,
    program: Program,
    source: Source,
    last: bool,
    before: Preprocessing | None,
) -> list[str]:
    """Return in words how often network, Program and file err on test images; nothing where they have no labels."""
    images = source.load("test", labelled=False)
    if not images.labelled:
        return []
    images = images.take(min(request.images or len(images), len(images)))
    engine = compile_program(program)
    coded = engine.error_rate(images.codes(program.input_signal), images.labels)
    told = f"{words.percent(float_error_rate(network, images))} in float, {words.percent(coded)} as the Program"
    try:
        of_file = f"{words.percent(file_error_rate(request.model, images, last, before))} of the file in onnxruntime"
    except UnmeasuredError as error:
        of_file = f"the file's own is not known: {error}"
    return [f"error rate on {len(images):,} test images: {told}, {of_file}"]


def _compare(request: Request, found: ImportedProgram, images: Dataset | None) -> None:
    """Print how the codes agree with those of the file in onnxruntime, or why that is not known."""
    if images is None:
        print("note: how much that matters is measured on images: --data")
        return
    try:
        agreement = agreement_of(request.model, found, images)
    except UnmeasuredError as error:
        print(f"note: not compared with the file: {error}")
        return
    heads = ("tensor", "codes that are the file's", "largest difference")
    rows = [(x.name, words.share(x.equal, x.words), str(x.largest)) for x in agreement.tensors]
    console().print(plain_table(heads, rows))
    share = words.share(agreement.agreeing, agreement.images)
    print(f"the class is the file's for {share} of {agreement.images:,} images")
    if agreement.labelled:
        ours, theirs = (words.percent(x / agreement.images) for x in (agreement.errors, agreement.file_errors))
        print(f"error rate {ours}, of the file in onnxruntime {theirs}")


def _quantized(request: Request, network: PrunedNetwork, images: Dataset) -> Program:
    widths = Widths(request.weight_bits, request.signal_bits, request.input_bits)
    steps = Steps(request.rule, power_of_two=request.power_of_two, per_output=request.per_output)
    calibration = Calibration(network, images.pixels(), steps)
    formats = read_formats(request.formats) if request.formats else FOUND
    modes = {"rounding": parse_mode(Rounding, request.rounding), "multiplier_bits": request.multiplier_bits}
    return lowered(calibration, widths, formats=formats, **modes)
