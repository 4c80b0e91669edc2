"""What `espalier quantize` does: network in, Program out, at the widths and with the steps that were asked for."""

from dataclasses import replace
from functools import partial
from typing import Any

import click
from rich.table import Table

from accel.cost import cost_of, total_cycles
from accel.errors import EspalierError
from accel.fixedpoint import Overflow, Rounding
from accel.network import Network
from accel.program import Program
from accel.quantize import (
    FOUND,
    RULES,
    Allocation,
    Calibration,
    Steps,
    Widths,
    bits_of,
    narrow_accumulators,
    ordered_for,
    with_zero_runs,
)
from reports.commands.options import (
    OUT,
    batch_size_option,
    best_epoch_option,
    bfloat16_option,
    data_options,
    formats_option,
    jobs_option,
    json_option,
    learning_rate_option,
    log_dir_option,
    metric_option,
    multiplier_bits_option,
    network_argument,
    number_option,
    option,
    pattern_option,
    signal_bits_option,
    teacher_option,
    train_threads_option,
    weight_bits_option,
    zero_runs_option,
)
from reports.commands.places import Command, Word
from reports.commands.quantize_request import ACCUMULATORS, SENSITIVITIES, Request, checked
from reports.shared import console as shared_console
from reports.shared import output, resuming, words
from reports.workflow import evaluate, quantize
from reports.workflow import retrain as retraining
from reports.workflow.formats_file import read_formats
from reports.workflow.layer_bits import with_layer_bits
from reports.workflow.load import version_of
from reports.workflow.parsing import parse_array, parse_mode, parse_order
from reports.workflow.quantize import Workbench
from reports.workflow.sources import Source, check_range, source_of
from reports.workflow.training_log import opened_log


@click.command("quantize", cls=Command)
@network_argument
@weight_bits_option
@signal_bits_option
@option("--layer-bits", help="Bits of weights/signals of layers that have their own: conv1=4/5,fc1=3/6,fc2=4.")
@option("--input-bits", type=int, default=8, show_default=True, help="Bits of a pixel.")
@pattern_option
@option(
    "--rule",
    type=Word(lambda: RULES),
    default="l2",
    show_default=True,
    help="How steps are chosen: l2, alternating, max, percentile.",
)
@option(
    "--percentile",
    type=float,
    default=99.9,
    show_default=True,
    help="Percentile of |values| that steps cover, by the rule of that name.",
)
@option("--power-of-two", is_flag=True, help="Use steps that are powers of two: requantisation is a shift.")
@option("--per-output", is_flag=True, help="Give the weights of each output map a step of their own.")
@number_option("--search", 0, "Evaluations that a search for better steps may take.", least=0)
@option(
    "--budget-error",
    type=click.FloatRange(0, 1),
    help="Choose widths of least memory for so much more error: 0.01.",
)
@option("--budget-cycles", type=click.IntRange(1), help="Choose widths of at most so many cycles on --array.")
@option("--array", help="Output lanes x pixel lanes of the array whose cycles --budget-cycles limits: 8x8.")
@option("--budget-memory", help="Choose widths of least error in so much memory, 32KiB say, none above those given.")
@number_option("--evaluations", 300, "Evaluations that a search for widths within a budget may take.")
@option(
    "--sensitivity",
    type=Word(lambda: SENSITIVITIES),
    default="measured",
    show_default=True,
    help="How a search for widths knows what bits cost: measured, one operand at a time, or hessian, by how much the "
    "loss curves (PyTorch).",
)
@number_option("--retrain", 0, "Epochs of retraining, which computes as the Program does.", least=0)
@learning_rate_option
@batch_size_option
@teacher_option
@best_epoch_option
@bfloat16_option
@option(
    "--norms-frozen",
    type=click.FloatRange(0, 1),
    help="Share of the epochs of retraining after which batch norms keep their statistics; 0 leaves norms out of it, "
    "and the zoo's is the default.",
)
@log_dir_option
@option("--checkpoint", type=OUT, help="File that keeps a retraining, so that it may stop and go on.")
@number_option("--validation-images", 2000, "How many validation images searches are judged by.")
@option("--accumulator-bits", type=int, help="Bits of an accumulator, if fewer than proven enough; for studies.")
@option(
    "--accumulator-overflow",
    default="wrap",
    show_default=True,
    help="What accumulators with too few bits do: wrap, saturate.",
)
@option(
    "--rounding",
    type=Word(lambda: [x.name for x in Rounding]),
    default="RND",
    show_default=True,
    help="ap_fixed rounding of every requantisation.",
)
@option("--overflow", default="SAT", show_default=True, help="ap_fixed overflow of every requantisation.")
@multiplier_bits_option
@formats_option
@option(
    "--lanes",
    help="Lanes of the array, 8 or 8x4: output maps are ordered so that its output lanes agree on what they read.",
)
@option("--cluster-lanes", hidden=True, help="What --lanes was called before.")
@zero_runs_option
@number_option("--seed", 0, "Seed of retraining.", least=0)
@option("--out", "-o", type=OUT, required=True, help="The Program to write.")
@json_option
@data_options
@metric_option
@jobs_option
@train_threads_option
def command(**arguments: Any) -> None:
    """Turn a network into a Program: integers, indices, requantisation.

    A file of --formats names layers, and what HLS would declare for them, which goes above all other options; weights
    and signals become what an assignment makes of them (without modes: AP_TRN, AP_WRAP). `input` is the image:

    \b
        input = "ap_ufixed<8,0,AP_RND,AP_SAT>"
        [conv1]
        weight = "ap_fixed<6,1,AP_RND,AP_SAT>"
        output = "ap_ufixed<8,3,AP_RND_CONV,AP_SAT>"

    Example: espalier quantize lenet5 --pattern ikss --weight-bits 4 --signal-bits 5 -o lenet5.espalier
    Example: espalier quantize lenet5 --pattern kernel --lanes 8 -o lenet5.espalier
    Example: espalier quantize lenet5 --budget-error 0.01 --retrain 5 -o small.espalier
    """  # noqa: D301 - the \\b is click's own
    request = Request(**arguments)
    budget = checked(request)
    bench, source = _bench(request)
    teacher = retraining.teacher(request.teacher, bench.pruned.network)
    widths, found = _widths(request, bench, budget, source)
    steps = quantize.searched(bench, widths, request.search) if request.search else bench.calibration.steps
    direct = bench.lowered(widths, steps)
    after, program, emulated = bench, direct, 0
    if request.retrain:
        after, steps = _retrained(request, bench, widths, steps, source, teacher)
        program = after.lowered(widths, steps)
        images, powers = source.load("test"), request.power_of_two
        emulated = quantize.check_emulation(program, images, powers, request.jobs)
    if request.accumulator_bits is not None:
        program = narrow_accumulators(program, request.accumulator_bits, ACCUMULATORS[request.accumulator_overflow])
    if budget is not None and (taken := cost_of(program).memory_bits) > budget:  # steps decide on bits of the biases
        raise EspalierError(
            f"--budget-memory {request.budget_memory}: with the steps that were found in the end these widths take "
            f"{taken} bits, {taken - budget} too many; give a little less"
        )
    if request.budget_cycles and (taken := _cycles(request, program)) > request.budget_cycles:
        raise EspalierError(
            f"--budget-cycles {request.budget_cycles}: with the steps that were found in the end these widths take "
            f"{taken:,} cycles; give a little less"
        )
    if request.order is not None:  # every score stays as it is
        lanes, split = parse_order(request.order)
        program = ordered_for(program, lanes, split)
    if request.zero_runs:
        program = with_zero_runs(program)
    record = _record(request, bench, widths, {"quantized": direct, "result": program}, found, source)
    record["emulated_images"] = emulated
    with output.writing(request.out):
        program.save(request.out)
    if request.json_file:
        output.write_json(request.json_file, record)
    _print(request, bench, widths, program, record)


def _bench(request: Request) -> tuple[Workbench, Source]:
    modes: dict[str, Any] = {"rounding": parse_mode(Rounding, request.rounding)}
    modes |= {"overflow": parse_mode(Overflow, request.overflow), "multiplier_bits": request.multiplier_bits}
    if request.formats is not None:
        modes["formats"] = read_formats(request.formats)
    pruned = version_of(request.network, request.pattern)
    source = source_of(request.network, pruned, request.data, request.data_dir, metric=request.metric)
    calibration = source.calibration()
    check_range(calibration, pruned, request.network)
    pruned = replace(pruned, data=source.name)
    judged = calibration
    if request.measures:
        judged = source.load("validation")
        judged = judged.take(min(request.validation_images, len(judged)))
    steps = Steps(request.rule, request.percentile, request.power_of_two, request.per_output)
    return Workbench(Calibration(pruned, calibration.pixels(), steps), judged, modes, request.jobs), source


def _widths(
    request: Request, bench: Workbench, memory_bits: int | None, source: Source
) -> tuple[Widths, Allocation | None]:
    most = Widths(request.weight_bits, request.signal_bits, request.input_bits)
    most = bench.modes.get("formats", FOUND).applied(most)
    if request.layer_bits is not None:
        most = with_layer_bits(most, request.layer_bits, bench.operands)
    if not request.allocates:
        return most, None
    curved = source.load("train") if request.sensitivity == "hessian" else None
    cycles = partial(_cycles, request) if request.budget_cycles else None
    found = quantize.allocated(
        bench, most, request.budget_error, memory_bits, request.evaluations, curved, cycles, request.budget_cycles
    )
    return found.widths, found


def _cycles(request: Request, program: Program) -> int:
    """Return what a Program takes of an array that is just large enough for it."""
    assert request.array is not None  # as was checked
    return total_cycles(program, parse_array(request.array, program))


def _retrained(
    request: Request, bench: Workbench, widths: Widths, steps: Steps, source: Source, teacher: Network | None
) -> tuple[Workbench, Steps]:
    if request.checkpoint:
        resuming.same_command()
    else:
        resuming.with_option("--checkpoint FILE")
    name = bench.pruned.network.name
    changes: dict[str, Any] = {
        "learning_rate": request.learning_rate,
        "batch_size": request.batch_size,
        "seed": request.seed,
        "best": request.best_epoch,
        "bfloat16": request.bfloat16,
        "norms_frozen": request.norms_frozen,
        "metric": request.metric,
    }
    changes["threads"] = request.train_threads
    recipe = retraining.recipe(name, request.retrain, taught=teacher is not None, quantized=True, **changes)
    images = source.load("train")
    validation = source.load("validation") if request.log_dir or request.best_epoch else None
    more: dict[str, Any] = {"teacher": teacher, "validation": validation if request.best_epoch else None}
    if validation and request.log_dir:
        more["log"] = opened_log(request.log_dir, validation)
    return quantize.retrained(bench, widths, steps, recipe, images, request.checkpoint, **more)


def _record(
    request: Request,
    bench: Workbench,
    widths: Widths,
    programs: dict[str, Program],
    found: Allocation | None,
    source: Source,
) -> dict[str, Any]:
    """Return what there is to say, as plain numbers; error rates only where images for them were asked for."""
    result = programs["result"]
    record: dict[str, Any] = {
        "network": result.name,
        "pattern": result.pattern,
        "data": result.data,
        "widths": {str(operand): bits_of(widths, operand) for operand in bench.operands},
        "memory_bits": cost_of(result).memory_bits,
        "retrained_epochs": request.retrain,
        "evaluations": found.evaluations if found else 0,
        "out": str(request.out),
    }
    if request.measures:
        splits = {"validation": bench.judged, "test": source.load("test")}
        record["images"] = {split: len(images) for split, images in splits.items()}
        record["error_rates"] = {
            split: {"float": evaluate.float_error_rate(bench.pruned, images)}
            | {name: bench.error_rate(program, images) for name, program in programs.items()}
            for split, images in splits.items()
        }
    return record


def _print(request: Request, bench: Workbench, widths: Widths, program: Program, record: dict[str, Any]) -> None:
    console = shared_console.console()
    if request.measures:
        console.print(_table(bench, widths, program))
        for split, rates in record["error_rates"].items():
            later = f", {rates['result']:.2%} in the end" if rates["result"] != rates["quantized"] else ""
            console.print(
                f"Error rate on {record['images'][split]:,} {split} images: {rates['float']:.2%} in float, "
                f"{rates['quantized']:.2%} quantised{later}."
            )
    if count := record["emulated_images"]:
        console.print(
            f"Emulated on real values, as it was trained, it has the engine's scores on all {count:,} test images."
        )
    cost = cost_of(program)
    parameters = words.kib(cost.total.parameter_memory_bits)
    print(f"{request.out}: {program.name}, {program.pattern}, {parameters} KiB of parameters")


def _table(bench: Workbench, widths: Widths, program: Program) -> Table:
    table = Table(title=f"{program.name}, {program.pattern}: bits")
    table.add_column("layer")
    for name in ("weights", "signals", "accumulator"):
        table.add_column(name, justify="right")
    bits = {(operand.layer, operand.kind): str(bits_of(widths, operand)) for operand in bench.operands}
    accumulators = {layer.name: str(getattr(layer, "accumulator_bits", "")) for layer in program.layers}
    for layer in dict.fromkeys(operand.layer for operand in bench.operands):
        cells = (bits.get((layer, kind), "") for kind in ("weights", "signals"))
        table.add_row(layer, *cells, accumulators.get(layer, ""))
    return table
