"""What the options of several commands are, and the places that they name."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from accel.array import DEPTHS, MacArray
from accel.interchange import zoo
from accel.interchange.data.datasets import NAMES
from accel.signal import MULTIPLIER_BITS, WIDEST_MULTIPLIER_BITS
from reports.commands.places import DATA_SETS, FIGURES, Place, Word
from reports.workflow.parsing import parse_features

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
IN, OUT, STREAM = Place(), Place(writes=True), Place(writes=True, stream=True)
MODEL = Place(sidecar=True)
NAME_OR_FILE = Place(may_be_name=True)
NETWORK = Place(may_be_name=True, names=zoo.names)
DELIVERED = ("network.espalier", "program.espalier", "reproduce.sh", "rtl/*")
REPORT = Place(writes=True, holds=("report.html", "results.json", "results.csv", *DELIVERED, *FIGURES))
STUDY = Place(writes=True, holds=("README.md", "results.json", "points.jsonl", *FIGURES), file_okay=False)
ZEROS = Place(writes=True, holds=("zeros.json", *FIGURES), file_okay=False)
_EXPLORED = ("explore.html", "results.json", *DELIVERED, *FIGURES)
EXPLORATION = Place(writes=True, holds=(*_EXPLORED, *(f"*/{name}" for name in _EXPLORED)), file_okay=False)
EXPLORED = Place(holds=("results.json",))
COMPARISON = Place(
    writes=True, holds=("compare.html", "compare.json", "compare.csv", "fronts.svg", "fronts.png"), file_okay=False
)
SCHEMAS = Place(writes=True, holds=("espalier-*.json",), file_okay=False)
CLONE = Place(holds=("espalier/*",), file_okay=False)
CACHE = Place(writes=True, holds=("results-*.sqlite",), file_okay=False)
_SYSTEM = ("espalier.core", "espalier*.c", "espalier*.h", "registers.*", "program*.bin")
_BUILT = (
    "*.v*",
    "*.hex",
    "manifest.json",
    "test_espalier.py",
    "espalier_bench.py",
    "Makefile",
    "simulation",
    "*.bit",
    "board.json",
)
BUILD = Place(writes=True, holds=(*_BUILT, *_SYSTEM))
CHECKPOINTS = Place(writes=True, holds=("run.json", "search-*", "*.checkpoint"), file_okay=False)
LOGS = Place(writes=True, holds=("*/events.out.tfevents.*",), file_okay=False)
DATA = Place(holds=DATA_SETS, may_be_name=True)
IMAGES = Place(
    holds=("*/*", "*/*/*"), may_be_name=True, names=lambda: NAMES
)  # a name, an .npz, or class folders, below splits or not
COUNT = click.IntRange(1, 10_000)  # of processes or threads

WORDS = {  # what the memory holds, in the words of an option's help
    "signals": "signals",
    "weights": "weights, one for every output lane each",
    "entries": "index entries",
    "taps": "taps",
    "constants": "constants, a bias and a multiplier each",
    "layers": "layers",
    "tables": "tables of functions, of which each pixel lane has a copy",
}


class Aliased(click.Option):
    """An option that is also known by older names, which work and are told nowhere.

    Parameters
    ----------
    names : sequence of str
    also : sequence of str
        The older names.
    settings
        Of `click.Option`.
    """

    def __init__(self, names: Sequence[str], also: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(names, **settings)
        self.also = list(also)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser know all names."""
        told = self.opts
        self.opts = [*told, *self.also]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = told


def _metrics() -> Iterable[str]:
    from reports.workflow.evaluate import METRICS

    return METRICS


def _backends() -> Iterable[str]:
    from reports.shared.workers import BACKENDS  # with joblib, which takes a fifth of a second to import

    return BACKENDS


def option(*names: str, help: str, also: Sequence[str] = (), **settings: Any) -> Decorator:
    """Return `click.option`, which must have a help text, and may have older names."""
    return click.option(*names, help=help, cls=Aliased, also=also, **settings)


def number_option(name: str, default: int, help: str, least: int = 1) -> Decorator:
    """Return an option that takes a whole number of at least `least`, and shows its default."""
    return option(name, type=click.IntRange(least), default=default, show_default=True, help=help)


network_argument = click.argument("network", type=NETWORK)
data_dir_option = option(
    "--data-dir",
    type=DATA,
    envvar="ESPALIER_DATA",
    help="Folder that holds mnist/, fashion-mnist/, cifar-10-batches-bin/.",
)
data_option = option(
    "--data",
    type=IMAGES,
    help="Images: a known data set, a folder of class folders or of sounds, an .npz, IDX or CIFAR files, or a function "
    "of Python, module:function; the network's own by default.",
)
train_threads_option = option(
    "--train-threads",
    type=click.IntRange(1, 1024),
    default=1,
    help="Threads of retraining, 1 by default; its result depends on them.",
)
learning_rate_option = option("--learning-rate", type=float, help="Learning rate of retraining; the zoo's by default.")
best_epoch_option = option(
    "--best-epoch", is_flag=True, help="Keep the epoch of retraining with the fewest validation errors, not the last."
)
bfloat16_option = option(
    "--bfloat16", is_flag=True, help="Multiply in bfloat16 in retraining: faster where the processor can."
)
teacher_option = option(
    "--teacher", help="Network, of the zoo or a file, whose scores retraining learns too: the dense one, say."
)
log_dir_option = option(
    "--log-dir", type=LOGS, help="Folder in which TensorBoard finds how each training goes, epoch by epoch."
)
batch_size_option = option("--batch-size", type=int, help="Images in a batch of retraining; the zoo's by default.")
jobs_option = option(
    "--jobs", type=COUNT, also=["--threads"], help="How many processors work at a time; all by default."
)
images_option = option("--images", type=click.IntRange(1), help="How many images to run; all by default.")
json_option = option(
    "--json",
    "json_file",
    type=STREAM,
    help="Also write the numbers to this file; - is standard output, and all else goes to standard error.",
)
csv_option = option(
    "--csv",
    "csv_file",
    type=STREAM,
    help="Also write the rows to this file as CSV; - is standard output, as for --json.",
)
weight_bits_option = option("--weight-bits", type=int, default=8, show_default=True, help="Bits of a weight.")
signal_bits_option = option("--signal-bits", type=int, default=8, show_default=True, help="Bits of a signal.")
multiplier_bits_option = option(
    "--multiplier-bits",
    type=click.IntRange(MULTIPLIER_BITS, WIDEST_MULTIPLIER_BITS),
    default=MULTIPLIER_BITS,
    show_default=True,
    help="Bits of a multiplier that requantises, at most: 16..32.",
)
array_option = option("--array", default="8x8", show_default=True, help="Array, as output lanes x pixel lanes.")
clock_option = option("--clock", help="Clock of the array, such as 200MHz; 100MHz by default.")
sram_library_option = option(
    "--sram-library",
    type=IN,
    help="TOML file of the SRAM macros that memories are built of; docs/howto/silicon.md shows one.",
)
sram_option = option("--sram", help="On-chip memory to fit into, such as 64KiB.")
technology_option = option(
    "--technology",
    type=NAME_OR_FILE,
    help="Technology: asic-45nm (default), ecp5-45f, zynq-7020, zu7ev, or your TOML file.",
)
max_error_option = option(
    "--max-error",
    default="+1%",
    show_default=True,
    help="Highest error rate: +1% more than the dense float network, or 2% in all.",
)
metric_option = option(
    "--metric",
    type=Word(_metrics),
    default="error",
    show_default=True,
    help="What counts as an error: error (a wrong class), agreement (another class than the float network's, for "
    "images without labels), mse (the share of an image's variance that an autoencoder misses).",
)
confidence_option = option(
    "--confidence",
    type=float,
    help="How sure to be that errors stay within it, by the number of validation images; 0.95 by default, less where "
    "they are too few to tell; 0 for no guard band.",
)
rtl_option = option(
    "--rtl", is_flag=True, help="Also write the hardware of what is recommended, to rtl/ in the folder."
)
cache_option = option(
    "--cache",
    type=CACHE,
    help="Folder in which explorations keep what others need too; ESPALIER_CACHE, or where the system keeps caches.",
)
formats_option = option(
    "--formats", type=IN, help="TOML file of ap_fixed formats layer by layer; `espalier quantize --help` shows one."
)
patterns_option = option(
    "--pattern",
    "patterns",
    also=["--patterns"],
    help="Patterns with commas between them; all versions of a zoo network by default.",
)
pattern_option = option("--pattern", help="Pattern of the zoo's version to take, or to prune a dense file to.")


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where its images are."""
    return data_option(data_dir_option(command))


networks_argument = click.argument("networks", nargs=-1, required=True, type=NETWORK, metavar="NETWORK...")
programs_argument = click.argument("programs", nargs=-1, required=True, type=IN, metavar="PROGRAM...")


def several_data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command of several networks or Programs the options that say where its images are."""
    text = "Images, once for all or once for each in their order: a known data set, a folder of class folders or of "
    text += (
        "sounds, an .npz, IDX or CIFAR files, or a function of Python, module:function; the network's own by default."
    )
    return option("--data", type=IMAGES, multiple=True, help=text)(data_dir_option(command))


def workers_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say who measures."""
    text = "How many processes or workers measure at a time; all processors or workers by default."
    command = option("--jobs", type=COUNT, also=["--threads"], help=text)(command)
    text = "Address of the scheduler of a Dask cluster, such as tcp://10.0.0.1:8786."
    command = option("--scheduler", help=text)(command)
    text = "What measures: loky (processes here) or dask."
    return option("--backend", type=Word(_backends), default="loky", show_default=True, help=text)(command)


zero_runs_option = option(
    "--zero-runs",
    is_flag=True,
    help="Store the index of each layer as runs of zeros where that takes the fewest bits.",
)


def depth_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add options for the depth of each memory and for features that are left out.

    `command` gets them as `depths`, by `MacArray`'s names; of features those that are False.
    """

    @functools.wraps(command)
    def called(**arguments: Any) -> Any:
        depths = {name: arguments.pop(name) for name in DEPTHS.values()}
        depths["stream"] = arguments.pop("stream") or None
        depths |= parse_features(arguments.pop("without"))
        return command(**arguments, depths={name: depth for name, depth in depths.items() if depth is not None})

    text = "Stream weights through two buffers of the memory of weights, which need not hold them all."
    wrapped: Callable[..., Any] = option("--stream", is_flag=True, help=text)(called)
    names = ",".join(MacArray().features)
    text = f"Features to leave out of the array, which has all by default, with commas between them: {names}."
    wrapped = option("--without", metavar="NAMES", help=text)(wrapped)
    for memory, name in reversed(list(DEPTHS.items())):
        text = f"Words of the memory of {WORDS[memory]}; as many as the Program needs by default."
        wrapped = option(f"--{name.replace('_', '-')}", type=click.IntRange(0, 1 << 24), help=text)(wrapped)
    return wrapped


def word_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the word lengths of an array, which a Program says itself where there is one."""
    for name, bits in (("accumulator", 24), ("signal", 8), ("weight", 8)):
        article = "an" if name == "accumulator" else "a"
        text = f"Bits of {article} {name}; {bits} without a PROGRAM."
        command = option(f"--{name}-bits", type=click.IntRange(1, 64), help=text)(command)
    return command
