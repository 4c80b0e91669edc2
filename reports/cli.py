"""The command ``espalier``: which commands there are. Each is imported, with all that it needs, when it is named."""

from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword

import click
from click.shell_completion import CompletionItem

from reports.commands.places import Group

COMMANDS: Mapping[str, Mapping[str, str]] = {  # in the order of the work, each with the first line of its help
    "Size and choose": {
        "report": "Measure accuracy, memory, MACs and cycles against word length, for each pattern.",
        "size": "Count bits and MACs layer by layer; on an array also cycles, memory blocks, energy, and what binds.",
        "explore": "Find the design to build: pattern x ratio x word lengths x array within a budget of errors, memory "
        "and time.",
        "compare": "Put two explorations or more side by side: what was asked, what is recommended, where the fronts "
        "lie.",
    },
    "Make": {
        "prune": "Prune a dense network, retrain it, and say what that did to its error rate.",
        "quantize": "Turn a network into a Program: integers, indices, requantisation.",
        "optimize": "Prune and quantise jointly: search patterns, ratios and widths of each layer, train, deliver a "
        "Program.",
        "run": "Run a Program bit for bit: error rate and images per second.",
    },
    "Hardware": {
        "rtl": "Write Verilog for an array, a Program's memory contents, expected outputs and a self-checking "
        "testbench.",
        "verify": "Simulate the hardware; compare every output bit with the golden model and the cycles with the "
        "closed form.",
        "power": "Measure what an image costs in standard cells: milliwatts and nanojoules, layer by layer and part by "
        "part.",
        "synth": "Build an array for FPGAs, or in standard cells: what it takes, and its clock.",
        "board": "Run a Program on a board; compare every output bit and the cycles with the golden model and the "
        "closed form.",
    },
    "Exchange": {
        "import": "Read an ONNX file: a float network, or a Program if it is quantised (QONNX, QDQ) or --data are "
        "given.",
        "export": "Write a Program as a file that other people's tools run to the very same codes, or say what stands "
        "against it.",
        "inspect": "Say what an ONNX file, a network or a Program holds, and which patterns the zeros of each layer "
        "already are.",
    },
    "Measure": {
        "bench": "Measure the engine's speed on lenet5, cifar-quick and cnn-small, for each pattern, and where the "
        "time goes.",
        "study": "Sweeps whose results are kept, with figures and a page.",
    },
    "About": {
        "info": "Say what is installed, what the zoo holds, and where data is looked for.",
        "data": "Get data sets.",
        "cache": "Say how much explorations have kept, or forget some of it.",
    },
}
LINES = {name: line for group in COMMANDS.values() for name, line in group.items()}
EPILOG = """\b
The Tab key completes commands and options after one of
    eval "$(_ESPALIER_COMPLETE=bash_source espalier)"
    eval "$(_ESPALIER_COMPLETE=zsh_source espalier)"
    _ESPALIER_COMPLETE=fish_source espalier | source
"""


def module_of(name: str) -> str:
    """Return the module whose `command` a command is; one whose name is a word of Python ends in `_`."""
    return f"reports.commands.{name}{'_' * iskeyword(name)}"


class Lazy(Group):
    """The commands of the table; listing them imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the work."""
        return [*LINES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, None if there is none."""
        if cmd_name not in LINES:
            return None
        found: click.Command = import_module(module_of(cmd_name)).command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, group by group; the lines of all groups begin in the same column."""
        width = max(map(len, LINES))
        for title, commands in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands, or the options, that begin with `incomplete`."""
        names = [CompletionItem(name, help=line) for name, line in LINES.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def tell_release(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Say which release this is, and end, if it was asked for."""
    if asked and not context.resilient_parsing:
        from reports.shared.release import release  # which other commands need not wait for

        click.echo(f"espalier, version {release()}")
        context.exit()


@click.group(
    cls=Lazy, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=tell_release,
    help="Show the version and exit.",
)
def app() -> None:
    """Pruned, low-precision convolutional networks on a MAC array: accuracy, memory and work, bit for bit.

    NETWORK is a name of the zoo (see `espalier info`) or a file, PROGRAM a file that `espalier quantize` wrote.
    """
