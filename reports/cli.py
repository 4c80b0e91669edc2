"""The command ``espalier``: what a user types, handed to the stage that does it, which is imported only then."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from reports.commands.options import (
    BUILD,
    CHECKPOINTS,
    COUNT,
    EXPLORATION,
    IN,
    MODEL,
    NAME_OR_FILE,
    OUT,
    REPORT,
    STUDY,
    array_option,
    clock_option,
    data_dir_option,
    data_options,
    depth_options,
    formats_option,
    images_option,
    json_option,
    network_argument,
    option,
    pattern_option,
    signal_bits_option,
    sram_option,
    technology_option,
    threads_option,
    train_threads_option,
    weight_bits_option,
    word_options,
)
from reports.commands.places import Group, Place


def _do(module: str, function: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """Call what does the work; `module` is imported only now, because most of them bring much along."""
    return getattr(import_module(module), function)(**(arguments or {}))


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="espalier-hw", prog_name="espalier")
def app() -> None:
    """Pruned, low-precision convolutional networks on a MAC array: accuracy, memory and work, bit for bit.

    NETWORK is a name of the zoo (see `espalier info`) or a file, PROGRAM a file that `espalier quantize` wrote.
    """


@app.command()
@click.argument("network", default="digits", type=NAME_OR_FILE)
@option("--bits", default="3..8", show_default=True, help="Word lengths: 3..8, or a list such as 3,4,8.")
@option("--patterns", help="Comma-separated; all versions of a zoo network by default.")
@option("--out", "-o", type=REPORT, default="report", show_default=True, help="Folder to write.")
@array_option
@clock_option
@option("--dram-bandwidth", help="Of the DRAM, such as 800MB/s; 1GB/s by default. Streamed weights are a model only.")
@sram_option
@technology_option
@images_option
@data_options
@threads_option
def report(**arguments: Any) -> int:
    """Measure accuracy, memory, MACs and cycles against word length, for each pattern.

    Writes report.html, results.json, results.csv and the figures. What to build is decided by validation images; test
    images are for the numbers that are shown. Exit status 1 if no point is good enough.

    Example: espalier report lenet5 --data-dir data --patterns dense,kernel,ikss --out build/lenet5
    """
    return _do("reports.commands.report", "report", arguments)


@app.command()
@network_argument
@option("--weight-bits", type=int, help="Bits of a weight; 8 by default.")
@option("--signal-bits", type=int, help="Bits of a signal; 8 by default.")
@pattern_option
@sram_option
@option("--array", help="Output lanes x pixel lanes; 8x8 where another option asks for an array.")
@option("--accumulator-bits", type=click.IntRange(2), help="Of the array; as many as the Program needs by default.")
@clock_option
@option("--dram-bandwidth", help="Of the DRAM, such as 800MB/s: what streaming weights would take if they do not fit.")
@technology_option
@depth_options
@json_option
@data_options
def size(**arguments: Any) -> int:
    """Count bits and MACs layer by layer; on an array also cycles, memory blocks, energy, and what binds.

    NETWORK may also be a Program, whose pattern and word lengths are its own. Exit status 1 if it does not fit.

    Example: espalier size lenet5 --pattern kernel --weight-bits 4 --signal-bits 6 --sram 64KiB
    Example: espalier size lenet5 --pattern kernel --array 8x8 --technology ecp5-45f --clock 80MHz
    """
    return _do("reports.commands.size", "command", arguments)


@app.command()
@network_argument
@weight_bits_option
@signal_bits_option
@option("--input-bits", type=int, default=8, show_default=True, help="Bits of a pixel.")
@pattern_option
@option("--rule", default="l2", show_default=True, help="Of the steps: l2, alternating, max, percentile.")
@option("--percentile", type=float, default=99.9, show_default=True, help="Of |values|, for that rule.")
@option("--power-of-two", is_flag=True, help="Steps that are powers of two: requantisation is a shift.")
@option("--per-output", is_flag=True, help="A weight step for each output map.")
@option("--search", type=click.IntRange(0), default=0, show_default=True, help="Evaluations of a search for steps.")
@option("--budget-error", type=click.FloatRange(0, 1), help="Least memory for so much more error, such as 0.01.")
@option("--budget-memory", help="Least error in so much memory, such as 32KiB; widths are then at most those given.")
@option("--evaluations", type=click.IntRange(1), default=300, show_default=True, help="Of widths within a budget.")
@option("--retrain", type=click.IntRange(0), default=0, show_default=True, help="Epochs as the Program computes it.")
@option("--learning-rate", type=float, help="Of retraining; the zoo's by default.")
@option("--batch-size", type=int, help="Of retraining; the zoo's by default.")
@option("--checkpoint", type=OUT, help="File of a retraining that may stop.")
@option("--validation-images", type=click.IntRange(1), default=2000, show_default=True, help="That decide.")
@option("--accumulator-bits", type=int, help="Narrower accumulators, for studies.")
@option("--accumulator-overflow", default="wrap", show_default=True, help="What they do: wrap, saturate.")
@option("--rounding", default="RND", show_default=True, help="ap_fixed rounding of every requantisation.")
@option("--overflow", default="SAT", show_default=True, help="ap_fixed overflow of every requantisation.")
@formats_option
@option("--cluster-lanes", type=click.IntRange(1), help="Order outputs so that so many lanes agree on what they read.")
@option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of retraining.")
@option("--out", "-o", type=OUT, required=True, help="The Program to write.")
@json_option
@data_options
@threads_option
@train_threads_option
def quantize(**arguments: Any) -> None:
    """Turn a network into a Program: integers, indices, requantisation.

    A file of --formats names layers, and what HLS would declare for them, which goes above all other options; weights
    and signals become what an assignment makes of them (without modes: AP_TRN, AP_WRAP). `input` is the image:

    \b
        input = "ap_ufixed<8,0,AP_RND,AP_SAT>"
        [conv1]
        weight = "ap_fixed<6,1,AP_RND,AP_SAT>"
        output = "ap_ufixed<8,3,AP_RND_CONV,AP_SAT>"

    Example: espalier quantize lenet5 --pattern ikss --weight-bits 4 --signal-bits 5 -o lenet5.espalier
    Example: espalier quantize lenet5 --budget-error 0.01 --retrain 5 -o small.espalier
    """  # noqa: D301 - the \\b is click's own
    _do("reports.commands.quantize", "command", arguments)


@app.command()
@network_argument
@option("--pattern", required=True, help="kernel, feature-map+kernel, kernel/block-4 (CONV/FC), ...")
@option("--ratio", help="Share of each layer that goes: 0.7, or LAYER=0.5,LAYER=0.8, or PART=0.5,PART=0.7.")
@option(
    "--select",
    default="magnitude",
    show_default=True,
    help="How it is chosen what goes: particle-filter, best-of-n, activation-sum, random, or a package's own.",
)
@option("--start", default="random", show_default=True, help="Of a particle filter: random or magnitude.")
@option("--budget", type=click.IntRange(1), default=100, show_default=True, help="Evaluations of a search.")
@option("--validation-images", type=click.IntRange(1), default=1000, show_default=True, help="That a search sees.")
@option("--spare", multiple=True, help="Layer to leave dense, repeatable; the first convolution and the last layer.")
@option("--rounds", type=click.IntRange(1), default=1, show_default=True, help="Prune and retrain so many times.")
@option("--steps", default="geometric", show_default=True, help="From round to round: geometric or linear.")
@option("--retrain", type=click.IntRange(0), default=0, show_default=True, help="Epochs after each round (PyTorch).")
@option("--sparsify", type=click.IntRange(0), default=0, show_default=True, help="Epochs with a group lasso before.")
@option("--group-lasso", type=click.FloatRange(0), default=0.1, show_default=True, help="Its strength.")
@option("--learning-rate", type=float, help="Of retraining; the zoo's by default.")
@option("--batch-size", type=int, help="Of retraining; the zoo's by default.")
@option("--checkpoint", type=CHECKPOINTS, help="Folder to stop and resume with.")
@option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the search and of retraining.")
@train_threads_option
@option("--threads", type=COUNT, help="Of what chooses and judges; all processors by default.")
@option("--out", "-o", type=OUT, required=True, help="The pruned network to write.")
@json_option
@data_options
def prune(**arguments: Any) -> None:
    """Prune a dense network, retrain it, and say what that did to its error rate.

    Masks are chosen by validation images; test images are for the last number only.

    Example: espalier prune lenet5 --pattern kernel --ratio 0.7 --select particle-filter --retrain 5 -o out.espalier
    """
    _do("reports.commands.prune", "command", arguments)


@app.command()
@network_argument
@option("--sram", help="Memory blocks that there may be, such as 128KiB.")
@option("--max-error", default="+1%", show_default=True, help="+1% more than the dense float network, or 2% in all.")
@option("--dsp", type=click.IntRange(1), help="Multipliers that there may be.")
@option("--min-fps", type=click.FloatRange(0, min_open=True), help="Images a second that are wanted.")
@option("--clock", default="100MHz", show_default=True, help="Of the array.")
@option("--dram-bandwidth", help="Of the DRAM that images come from, such as 800MB/s; weights must fit on the chip.")
@option(
    "--technology",
    type=NAME_OR_FILE,
    default="asic-45nm",
    show_default=True,
    help="ecp5-45f, zynq-7020, ... or a TOML file.",
)
@option("--goal", help="Beyond the limits: efficient, cheap (the default with --min-fps), fast, small, accurate.")
@option("--patterns", help="Comma-separated; all versions of a zoo network by default.")
@option("--ratios", help="Prune further versions: the shares of weights to go, such as 0.5,0.8.")
@option("--retrain", type=click.IntRange(0), help="Epochs for these; 3 where PyTorch is installed.")
@option("--weight-bits", default="3..8", show_default=True, help="A range or a list.")
@option("--signal-bits", default="3..8", show_default=True, help="A range or a list.")
@option("--arrays", help="Output lanes x pixel lanes, such as 4x4,8x8; 30 from 1x1 to 32x16 by default.")
@option("--images", type=click.IntRange(1), help="Validation images that decide; all by default.")
@option("--backend", default="loky", show_default=True, help="Who measures: loky (processes here) or dask.")
@option("--scheduler", help="Of a Dask cluster, such as tcp://10.0.0.1:8786.")
@option("--jobs", type=COUNT, help="How many measure at a time; all processors or workers by default.")
@option("--out", "-o", type=EXPLORATION, help="Folder; explore/NETWORK by default.")
@option("--draw", is_flag=True, help="Measure nothing: write the figures and the page of results.json.")
@json_option
@data_options
def explore(**arguments: Any) -> int:
    """Find the design to build: pattern x ratio x word lengths x array within a budget of errors, memory and time.

    Stopped, it goes on where it was. Writes explore.html, results.json and figures. Exit status 1 if nothing fits.

    Example: espalier explore lenet5 --sram 32KiB --max-error +1% --dsp 64 --data-dir data
    Example: espalier explore lenet5 --min-fps 10000 --technology ecp5-45f --ratios 0.5,0.8 --data-dir data
    """
    return _do("reports.commands.explore", "command", arguments)


@app.command()
@click.argument("program", type=IN)
@option("--split", default="test", show_default=True, help="train, validation or test.")
@images_option
@json_option
@data_options
@threads_option
def run(**arguments: Any) -> None:
    """Run a Program bit for bit: error rate and images per second.

    Example: espalier run lenet5.espalier --data mnist --data-dir data
    """
    _do("reports.commands.run", "run", arguments)


@app.command()
@click.argument("program", type=IN)
@array_option
@option("--images", type=click.IntRange(1), default=2, show_default=True, help="Test images in the testbench.")
@option("--out", "-o", type=BUILD, required=True, help="Folder to write.")
@depth_options
@data_options
def rtl(**arguments: Any) -> None:
    """Write Verilog for an array, a Program's memory contents, expected outputs and a self-checking testbench.

    Example: espalier rtl lenet5.espalier --array 8x8 --out build/
    """
    _do("reports.commands.hardware", "rtl", arguments)


@app.command()
@click.argument("program", type=IN)
@array_option
@option("--images", type=click.IntRange(1), default=2, show_default=True, help="Test images to run.")
@option("--simulator", default="amaranth", show_default=True, help="amaranth, verilator or iverilog.")
@option("--stall", type=float, default=0.0, show_default=True, help="Share of cycles that hold the output back.")
@option("--out", "-o", type=BUILD, help="Keep the build in this folder.")
@depth_options
@data_options
def verify(**arguments: Any) -> int:
    """Simulate the hardware; compare every output bit with the golden model and the cycles with the closed form.

    Exit status 0 if all are equal, 1 if not.

    Example: espalier verify lenet5.espalier --array 8x8 --images 100 --simulator verilator --stall 0.5
    """
    return _do("reports.commands.hardware", "verify", arguments)


@app.command()
@click.argument("program", type=IN, required=False)
@array_option
@word_options
@depth_options
@option("--sparse-only", is_flag=True, help="Do not build the array for dense layers alone beside it.")
@option("--out", "-o", type=BUILD, help="Keep the build in this folder.")
@json_option
def synth(**arguments: Any) -> None:
    """Build an array for an ECP5-45F FPGA: look-up tables, flip-flops, multipliers, memories, clock. Takes minutes.

    With a PROGRAM it is the array that `espalier rtl` writes for it.

    Example: espalier synth --array 4x4
    Example: espalier synth digits.espalier --array 4x4
    """
    _do("reports.commands.hardware", "synth", arguments)


@app.group()
def study() -> None:
    """Sweeps whose results are kept, with figures and a page."""


@study.command("pruning")
@network_argument
@option("--out", "-o", type=STUDY, help="Folder; study/NETWORK by default.")
@option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Seeds of each point.")
@option("--quick", is_flag=True, help="A few points only, of any network, to see that all of it works.")
@option("--draw", is_flag=True, help="Measure nothing more: write the figures and the page of what is there.")
@data_options
def study_pruning(**arguments: Any) -> None:
    """Sweep granularity x selector x ratio, before and after retraining (PyTorch), for a network of the zoo.

    Stopped, it goes on where it was. Writes README.md, results.json and figures.

    Example: espalier study pruning lenet5 --data-dir data --out study/lenet5
    """
    _do("reports.studies.pruning.run", "command", arguments)


@study.command("bitwidth")
@network_argument
@option("--out", "-o", type=STUDY, help="Folder; study/NETWORK by default.")
@option("--quick", is_flag=True, help="A few points only, of any network, to see that all of it works.")
@option("--draw", is_flag=True, help="Measure nothing: write the figures and the page of results.json.")
@data_options
@threads_option
def study_bitwidth(**arguments: Any) -> None:
    """Measure error against word length by every method, group by group, allocated, retrained (PyTorch).

    Stopped, it goes on where it was. Writes README.md, results.json and figures.

    Example: espalier study bitwidth lenet5 --data-dir data --out study/lenet5
    """
    _do("reports.studies.bitwidth.run", "command", arguments)


@app.command("import")
@click.argument("model", type=MODEL)
@option("--dataset", hidden=True, help="Known data set that later commands use without --data.")
@data_options
@weight_bits_option
@signal_bits_option
@option("--input-bits", type=int, default=8, show_default=True, help="Bits of a pixel.")
@option("--rule", default="l2", show_default=True, help="Of the steps: l2, alternating, max, percentile.")
@option("--power-of-two", is_flag=True, help="Steps that are powers of two: requantisation is a shift.")
@option("--per-output", is_flag=True, help="A weight step for each output map.")
@option("--rounding", default="RND", show_default=True, help="ap_fixed rounding of every requantisation.")
@formats_option
@option("--out", "-o", type=OUT, required=True, help="The network or Program to write.")
def import_(**arguments: Any) -> None:
    """Read an ONNX file: a float network, or a Program if it is quantised (QONNX, QDQ) or --data are given.

    What cannot be represented exactly is refused, with the node, the attribute and the reason.

    Example: espalier import resnet18.onnx --data calibration.npz -o resnet18.espalier
    """
    _do("reports.commands.import_", "command", arguments)


@app.command()
@click.argument("program", type=IN)
@option("--format", "form", required=True, help="What to write: qcdq, qlinear, qonnx or hls.")
@option(
    "--out",
    "-o",
    type=Place(writes=True, sidecar=True),
    required=True,
    help="The file to write; the sidecar goes beside it.",
)
def export(**arguments: Any) -> None:
    """Write a Program as a file that other people's tools run to the very same codes, or say what stands against it.

    Power-of-two steps and RND_CONV make a Program exact in every ONNX format. FILE.json beside FILE.onnx carries masks,
    index encodings, ap_fixed modes and accumulator widths, so that `espalier import` gives the same Program back.
    For hls any Program will do: a C++ header of ap_fixed (or ac_fixed) types, weights, index lists and loop bounds.

    Example: espalier quantize lenet5 --power-of-two --rounding RND_CONV -o lenet5.espalier
    Example: espalier export lenet5.espalier --format qcdq -o lenet5.onnx
    Example: espalier export lenet5.espalier --format hls -o lenet5.h
    """
    _do("reports.commands.export", "command", arguments)


@app.command()
@click.argument("model", type=MODEL)
@json_option
def inspect(**arguments: Any) -> None:
    """Say what an ONNX file, a network or a Program holds, and which patterns the zeros of each layer already are.

    Example: espalier inspect model.onnx
    """
    _do("reports.commands.inspect", "command", arguments)


@app.command()
@click.argument("networks", nargs=-1, metavar="[NETWORK]...")
@option("--peers", is_flag=True, help="Also onnxruntime and PyTorch: pip install 'espalier-hw[bench]'.")
@option("--threads", type=COUNT, multiple=True, help="Repeatable; 1 and all processors by default.")
@option("--rounds", type=click.IntRange(1), default=7, show_default=True, help="Runs of each; medians count.")
@option("--out", "-o", type=STUDY, help="Folder: results, figures, page.")
@json_option
def bench(**arguments: Any) -> None:
    """Measure the engine's speed on lenet5, cifar-quick and cnn-small, for each pattern, and where the time goes.

    Example: espalier bench lenet5 --peers --out bench
    """
    _do("reports.commands.bench", "command", arguments)


@app.command()
def info() -> None:
    """Say what is installed, what the zoo holds, and where data is looked for."""
    _do("reports.commands.info", "info")


@app.group()
def data() -> None:
    """Get data sets."""


@data.command("fetch")
@click.argument("name")
@option("--base-url", help="A mirror to download from.")
@data_dir_option
def data_fetch(**arguments: Any) -> None:
    """Download mnist, fashion-mnist or cifar-10 and check the SHA-256.

    Example: espalier data fetch mnist --data-dir data
    """
    _do("reports.commands.data", "data_fetch", arguments)
