"""The command ``espalier``: what a user types, checked, and handed to the stage that does it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from accel.errors import EspalierError
from accel.prune.particle_filter import STARTS
from reports import (
    array_options,
    commands,
    export_command,
    hardware,
    import_command,
    inspect_command,
    prune_command,
    quantize_command,
    size_command,
)
from reports.bench import command as bench_command
from reports.bitwidth import run as bitwidth_run
from reports.explore import command as explore_command
from reports.explore import workers
from reports.pruning_study import run as pruning_run

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
FILE = click.Path(path_type=Path, dir_okay=False)


def _option(*names: str, help: str, **settings: Any) -> Decorator:
    return click.option(*names, help=help, **settings)


network_argument = click.argument("network")
data_dir_option = _option("--data-dir", envvar="ESPALIER_DATA", help="Folder with mnist/, fashion-mnist/, ...")
train_threads_option = _option("--train-threads", type=click.IntRange(1, 1024), default=1, help="Of retraining.")
data_option = _option("--data", help="A known data set, an .npz or a folder of class folders; its own by default.")
threads_option = _option("--threads", type=click.IntRange(1), help="Threads of the engine; all processors by default.")
images_option = _option("--images", type=click.IntRange(1), help="How many images; all by default.")
json_option = _option("--json", "json_file", type=FILE, help="Also write the numbers to this file.")
weight_bits_option = _option("--weight-bits", type=int, default=8, show_default=True, help="Bits of a weight.")
signal_bits_option = _option("--signal-bits", type=int, default=8, show_default=True, help="Bits of a signal.")
formats_option = _option(
    "--formats", type=FILE, help="TOML: ap_fixed formats layer by layer; `espalier quantize --help` shows one."
)
pattern_option = _option("--pattern", help="Which version of a zoo network, or how to prune a dense file.")


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where its images are."""
    return data_option(data_dir_option(command))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="espalier-hw", prog_name="espalier")
def app() -> None:
    """Pruned, low-precision convolutional networks on a MAC array: accuracy, memory and work, bit for bit.

    NETWORK is a name of the zoo (see `espalier info`) or a file, PROGRAM a file that `espalier quantize` wrote.
    """


@app.command()
@click.argument("network", default="digits")
@_option("--bits", default="3..8", show_default=True, help="Word lengths: 3..8, or a list such as 3,4,8.")
@_option("--patterns", help="Comma-separated; all versions of a zoo network by default.")
@_option("--out", "-o", type=click.Path(path_type=Path), default="report", show_default=True, help="Folder to write.")
@array_options.array_option
@array_options.clock_option
@_option("--dram-bandwidth", help="Of the DRAM, such as 800MB/s; 1GB/s by default. Streamed weights are a model only.")
@array_options.sram_option
@array_options.technology_option
@images_option
@data_options
@threads_option
def report(**arguments: Any) -> int:
    """Measure accuracy, memory, MACs and cycles against word length, for each pattern.

    Writes report.html, results.json, results.csv and the figures. What to build is decided by validation images; test
    images are for the numbers that are shown. Exit status 1 if no point is good enough.

    Example: espalier report lenet5 --data-dir data --patterns dense,kernel,ikss --out build/lenet5
    """
    return commands.report(**arguments)


@app.command()
@network_argument
@_option("--weight-bits", type=int, help="Bits of a weight; 8 by default.")
@_option("--signal-bits", type=int, help="Bits of a signal; 8 by default.")
@pattern_option
@array_options.sram_option
@_option("--array", help="Output lanes x pixel lanes; 8x8 where another option asks for an array.")
@_option("--accumulator-bits", type=click.IntRange(2), help="Of the array; as many as the Program needs by default.")
@array_options.clock_option
@_option("--dram-bandwidth", help="Of the DRAM, such as 800MB/s: what streaming weights would take if they do not fit.")
@array_options.technology_option
@array_options.depth_options
@json_option
@data_options
def size(**arguments: Any) -> int:
    """Count bits and MACs layer by layer; on an array also cycles, memory blocks, energy, and what binds.

    NETWORK may also be a Program, whose pattern and word lengths are its own. Exit status 1 if it does not fit.

    Example: espalier size lenet5 --pattern kernel --weight-bits 4 --signal-bits 6 --sram 64KiB
    Example: espalier size lenet5 --pattern kernel --array 8x8 --technology ecp5-45f --clock 80MHz
    """
    return size_command.command(**arguments)


@app.command()
@network_argument
@weight_bits_option
@signal_bits_option
@_option("--input-bits", type=int, default=8, show_default=True, help="Bits of a pixel.")
@pattern_option
@_option("--rule", default="l2", show_default=True, help="Of the steps: l2, alternating, max, percentile.")
@_option("--percentile", type=float, default=99.9, show_default=True, help="Of |values|, for that rule.")
@_option("--power-of-two", is_flag=True, help="Steps that are powers of two: requantisation is a shift.")
@_option("--per-output", is_flag=True, help="A weight step for each output map.")
@_option("--search", type=click.IntRange(0), default=0, show_default=True, help="Evaluations of a search for steps.")
@_option("--budget-error", type=click.FloatRange(0, 1), help="Least memory for so much more error, such as 0.01.")
@_option("--budget-memory", help="Least error in so much memory, such as 32KiB; widths are then at most those given.")
@_option("--evaluations", type=click.IntRange(1), default=300, show_default=True, help="Of widths within a budget.")
@_option("--retrain", type=click.IntRange(0), default=0, show_default=True, help="Epochs as the Program computes it.")
@_option("--learning-rate", type=float, help="Of retraining; the zoo's by default.")
@_option("--batch-size", type=int, help="Of retraining; the zoo's by default.")
@_option("--checkpoint", type=click.Path(path_type=Path, dir_okay=False), help="File of a retraining that may stop.")
@_option("--validation-images", type=click.IntRange(1), default=2000, show_default=True, help="That decide.")
@_option("--accumulator-bits", type=int, help="Narrower accumulators, for studies.")
@_option("--accumulator-overflow", default="wrap", show_default=True, help="What they do: wrap, saturate.")
@_option("--rounding", default="RND", show_default=True, help="ap_fixed rounding of every requantisation.")
@_option("--overflow", default="SAT", show_default=True, help="ap_fixed overflow of every requantisation.")
@formats_option
@_option("--cluster-lanes", type=click.IntRange(1), help="Order outputs so that so many lanes agree on what they read.")
@_option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of retraining.")
@_option("--out", "-o", type=FILE, required=True, help="The Program to write.")
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
    quantize_command.command(**arguments)


@app.command()
@network_argument
@_option("--pattern", required=True, help="kernel, feature-map+kernel, kernel/block-4 (CONV/FC), ...")
@_option("--ratio", help="Share of each layer that goes: 0.7, or LAYER=0.5,LAYER=0.8, or PART=0.5,PART=0.7.")
@_option("--select", default="magnitude", show_default=True, help="particle-filter, best-of-n, activation-sum, random.")
@_option("--start", type=click.Choice(STARTS), default="random", show_default=True, help="Of a particle filter.")
@_option("--budget", type=click.IntRange(1), default=100, show_default=True, help="Evaluations of a search.")
@_option("--validation-images", type=click.IntRange(1), default=1000, show_default=True, help="That a search sees.")
@_option("--spare", multiple=True, help="Layer to leave dense, repeatable; the first convolution and the last layer.")
@_option("--rounds", type=click.IntRange(1), default=1, show_default=True, help="Prune and retrain so many times.")
@_option("--steps", default="geometric", show_default=True, help="From round to round: geometric or linear.")
@_option("--retrain", type=click.IntRange(0), default=0, show_default=True, help="Epochs after each round (PyTorch).")
@_option("--sparsify", type=click.IntRange(0), default=0, show_default=True, help="Epochs with a group lasso before.")
@_option("--group-lasso", type=click.FloatRange(0), default=0.1, show_default=True, help="Its strength.")
@_option("--learning-rate", type=float, help="Of retraining; the zoo's by default.")
@_option("--batch-size", type=int, help="Of retraining; the zoo's by default.")
@_option("--checkpoint", type=click.Path(path_type=Path, file_okay=False), help="Folder to stop and resume with.")
@_option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the search and of retraining.")
@train_threads_option
@_option("--threads", type=click.IntRange(1, 1024), help="Of what chooses and judges; all processors by default.")
@_option("--out", "-o", type=FILE, required=True, help="The pruned network to write.")
@json_option
@data_options
def prune(**arguments: Any) -> None:
    """Prune a dense network, retrain it, and say what that did to its error rate.

    Masks are chosen by validation images; test images are for the last number only.

    Example: espalier prune lenet5 --pattern kernel --ratio 0.7 --select particle-filter --retrain 5 -o out.espalier
    """
    prune_command.command(**arguments)


@app.command()
@network_argument
@_option("--sram", help="Memory blocks that there may be, such as 128KiB.")
@_option("--max-error", default="+1%", show_default=True, help="+1% more than the dense float network, or 2% in all.")
@_option("--dsp", type=click.IntRange(1), help="Multipliers that there may be.")
@_option("--min-fps", type=click.FloatRange(0, min_open=True), help="Images a second that are wanted.")
@_option("--clock", default="100MHz", show_default=True, help="Of the array.")
@_option("--dram-bandwidth", help="Of the DRAM that images come from, such as 800MB/s; weights must fit on the chip.")
@_option("--technology", default="asic-45nm", show_default=True, help="ecp5-45f, zynq-7020, ... or a TOML file.")
@_option("--goal", help="Beyond the limits: efficient, cheap (the default with --min-fps), fast, small, accurate.")
@_option("--patterns", help="Comma-separated; all versions of a zoo network by default.")
@_option("--ratios", help="Prune further versions: the shares of weights to go, such as 0.5,0.8.")
@_option("--retrain", type=click.IntRange(0), help="Epochs for these; 3 where PyTorch is installed.")
@_option("--weight-bits", default="3..8", show_default=True, help="A range or a list.")
@_option("--signal-bits", default="3..8", show_default=True, help="A range or a list.")
@_option("--arrays", help="Output lanes x pixel lanes, such as 4x4,8x8; 30 from 1x1 to 32x16 by default.")
@_option("--images", type=click.IntRange(1), help="Validation images that decide; all by default.")
@_option("--backend", type=click.Choice(workers.BACKENDS), default="loky", show_default=True, help="Who measures.")
@_option("--scheduler", help="Of a Dask cluster, such as tcp://10.0.0.1:8786.")
@_option("--jobs", type=click.IntRange(1), help="How many measure at a time; all processors or workers by default.")
@_option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), help="Folder; explore/NETWORK by default.")
@_option("--draw", is_flag=True, help="Measure nothing: write the figures and the page of results.json.")
@json_option
@data_options
def explore(**arguments: Any) -> int:
    """Find the design to build: pattern x ratio x word lengths x array within a budget of errors, memory and time.

    Stopped, it goes on where it was. Writes explore.html, results.json and figures. Exit status 1 if nothing fits.

    Example: espalier explore lenet5 --sram 32KiB --max-error +1% --dsp 64 --data-dir data
    Example: espalier explore lenet5 --min-fps 10000 --technology ecp5-45f --ratios 0.5,0.8 --data-dir data
    """
    return explore_command.command(**arguments)


@app.command()
@click.argument("program", type=FILE)
@_option("--split", default="test", show_default=True, help="train, validation or test.")
@images_option
@json_option
@data_options
@threads_option
def run(**arguments: Any) -> None:
    """Run a Program bit for bit: error rate and images per second.

    Example: espalier run lenet5.espalier --data mnist --data-dir data
    """
    commands.run(**arguments)


@app.command()
@click.argument("program", type=FILE)
@array_options.array_option
@_option("--images", type=click.IntRange(1), default=2, show_default=True, help="Test images in the testbench.")
@_option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@array_options.depth_options
@data_options
def rtl(**arguments: Any) -> None:
    """Write Verilog for an array, a Program's memory contents, expected outputs and a self-checking testbench.

    Example: espalier rtl lenet5.espalier --array 8x8 --out build/
    """
    hardware.rtl(**arguments)


@app.command()
@click.argument("program", type=FILE)
@array_options.array_option
@_option("--images", type=click.IntRange(1), default=2, show_default=True, help="Test images to run.")
@_option("--simulator", default="amaranth", show_default=True, help="amaranth, verilator or iverilog.")
@_option("--stall", type=float, default=0.0, show_default=True, help="Share of cycles that hold the output back.")
@_option("--out", "-o", type=click.Path(path_type=Path), help="Keep the build in this folder.")
@array_options.depth_options
@data_options
def verify(**arguments: Any) -> int:
    """Simulate the hardware; compare every output bit with the golden model and the cycles with the closed form.

    Exit status 0 if all are equal, 1 if not.

    Example: espalier verify lenet5.espalier --array 8x8 --images 100 --simulator verilator --stall 0.5
    """
    return hardware.verify(**arguments)


@app.command()
@click.argument("program", type=FILE, required=False)
@array_options.array_option
@array_options.word_options
@array_options.depth_options
@_option("--sparse-only", is_flag=True, help="Do not build the array for dense layers alone beside it.")
@_option("--out", "-o", type=click.Path(path_type=Path), help="Keep the build in this folder.")
@json_option
def synth(**arguments: Any) -> None:
    """Build an array for an ECP5-45F FPGA: look-up tables, flip-flops, multipliers, memories, clock. Takes minutes.

    With a PROGRAM it is the array that `espalier rtl` writes for it.

    Example: espalier synth --array 4x4
    Example: espalier synth digits.espalier --array 4x4
    """
    hardware.synth(**arguments)


@app.group()
def study() -> None:
    """Sweeps whose results are kept, with figures and a page."""


@study.command("pruning")
@network_argument
@_option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), help="Folder; study/NETWORK by default.")
@_option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Seeds of each point.")
@_option("--quick", is_flag=True, help="A few points only, of any network, to see that all of it works.")
@_option("--draw", is_flag=True, help="Measure nothing more: write the figures and the page of what is there.")
@data_options
def study_pruning(**arguments: Any) -> None:
    """Sweep granularity x selector x ratio, before and after retraining (PyTorch), for a network of the zoo.

    Stopped, it goes on where it was. Writes README.md, results.json and figures.

    Example: espalier study pruning lenet5 --data-dir data --out study/lenet5
    """
    pruning_run.command(**arguments)


@study.command("bitwidth")
@network_argument
@_option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), help="Folder; study/NETWORK by default.")
@_option("--quick", is_flag=True, help="A few points only, of any network, to see that all of it works.")
@_option("--draw", is_flag=True, help="Measure nothing: write the figures and the page of results.json.")
@data_options
@threads_option
def study_bitwidth(**arguments: Any) -> None:
    """Measure error against word length by every method, group by group, allocated, retrained (PyTorch).

    Stopped, it goes on where it was. Writes README.md, results.json and figures.

    Example: espalier study bitwidth lenet5 --data-dir data --out study/lenet5
    """
    bitwidth_run.command(**arguments)


@app.command("import")
@click.argument("model", type=FILE)
@_option("--dataset", hidden=True, help="Known data set that later commands use without --data.")
@data_options
@weight_bits_option
@signal_bits_option
@_option("--input-bits", type=int, default=8, show_default=True, help="Bits of a pixel.")
@_option("--rule", default="l2", show_default=True, help="Of the steps: l2, alternating, max, percentile.")
@_option("--power-of-two", is_flag=True, help="Steps that are powers of two: requantisation is a shift.")
@_option("--per-output", is_flag=True, help="A weight step for each output map.")
@_option("--rounding", default="RND", show_default=True, help="ap_fixed rounding of every requantisation.")
@formats_option
@_option("--out", "-o", type=FILE, required=True, help="The network or Program to write.")
def import_(**arguments: Any) -> None:
    """Read an ONNX file: a float network, or a Program if it is quantised (QONNX, QDQ) or --data are given.

    What cannot be represented exactly is refused, with the node, the attribute and the reason.

    Example: espalier import resnet18.onnx --data calibration.npz -o resnet18.espalier
    """
    import_command.command(**arguments)


@app.command()
@click.argument("program", type=FILE)
@_option("--format", "form", type=click.Choice(export_command.FORMATS), required=True, help="What to write.")
@_option("--out", "-o", type=FILE, required=True, help="The file to write; the sidecar goes beside it.")
def export(**arguments: Any) -> None:
    """Write a Program as a file that other people's tools run to the very same codes, or say what stands against it.

    Power-of-two steps and RND_CONV make a Program exact in every ONNX format. FILE.json beside FILE.onnx carries masks,
    index encodings, ap_fixed modes and accumulator widths, so that `espalier import` gives the same Program back.
    For hls any Program will do: a C++ header of ap_fixed (or ac_fixed) types, weights, index lists and loop bounds.

    Example: espalier quantize lenet5 --power-of-two --rounding RND_CONV -o lenet5.espalier
    Example: espalier export lenet5.espalier --format qcdq -o lenet5.onnx
    Example: espalier export lenet5.espalier --format hls -o lenet5.h
    """
    export_command.command(**arguments)


@app.command()
@click.argument("model", type=FILE)
@json_option
def inspect(**arguments: Any) -> None:
    """Say what an ONNX file, a network or a Program holds, and which patterns the zeros of each layer already are.

    Example: espalier inspect model.onnx
    """
    inspect_command.command(**arguments)


@app.command()
@click.argument("networks", nargs=-1, metavar="[NETWORK]...")
@_option("--peers", is_flag=True, help="Also onnxruntime and PyTorch: pip install 'espalier-hw[bench]'.")
@_option("--threads", type=click.IntRange(1), multiple=True, help="Repeatable; 1 and all processors by default.")
@_option("--rounds", type=click.IntRange(1), default=7, show_default=True, help="Runs of each; medians count.")
@_option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), help="Folder: results, figures, page.")
@json_option
def bench(**arguments: Any) -> None:
    """Measure the engine's speed on lenet5, cifar-quick and cnn-small, for each pattern, and where the time goes.

    Example: espalier bench lenet5 --peers --out bench
    """
    bench_command.command(**arguments)


@app.command()
def info() -> None:
    """Say what is installed, what the zoo holds, and where data is looked for."""
    commands.info()


@app.group()
def data() -> None:
    """Get data sets."""


@data.command("fetch")
@click.argument("name")
@_option("--base-url", help="A mirror to download from.")
@data_dir_option
def data_fetch(**arguments: Any) -> None:
    """Download mnist, fashion-mnist or cifar-10 and check the SHA-256.

    Example: espalier data fetch mnist --data-dir data
    """
    commands.data_fetch(**arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends in one line on standard error and exit status 2."""
    try:
        status = app.main(arguments, prog_name="espalier", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:  # a bare `espalier` asks for help
        print(error.format_message())
        status = 2
    except click.ClickException as error:
        status = _complain(error.format_message())
    except EspalierError as error:
        status = _complain(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        status = _complain(f"{where}{error.strerror or error}")
    except (click.Abort, KeyboardInterrupt):
        status = 130
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str) -> int:
    print(f"espalier: {' '.join(message.split())}", file=sys.stderr)
    return 2
