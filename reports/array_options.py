"""The options that concern an array, above all how deep and how wide its memories are: the same for every command."""

import functools
from collections.abc import Callable
from typing import Any

import click

from accel.array import DEPTHS

WORDS = {  # what the memory holds, in the words of an option's help
    "signals": "signals",
    "weights": "weights, one for every output lane each",
    "entries": "index entries",
    "taps": "taps",
    "constants": "constants, a bias and a multiplier each",
    "layers": "layers",
}

array_option = click.option("--array", default="8x8", show_default=True, help="Output lanes x pixel lanes.")
clock_option = click.option("--clock", help="Of the array, such as 200MHz; 100MHz by default.")
sram_option = click.option("--sram", help="On-chip memory to fit into, such as 64KiB.")
technology_option = click.option(
    "--technology", help="asic-45nm (default), ecp5-45f, zynq-7020, zu7ev, or your TOML file."
)


def depth_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for the depth of each memory; `command` gets them as `depths`, by `MacArray`'s names."""

    @functools.wraps(command)
    def called(**arguments: Any) -> Any:
        depths = {name: arguments.pop(name) for name in DEPTHS.values()}
        return command(**arguments, depths={name: depth for name, depth in depths.items() if depth is not None})

    wrapped: Callable[..., Any] = called
    for memory, name in reversed(list(DEPTHS.items())):
        text = f"Words of the memory of {WORDS[memory]}; as many as the Program needs by default."
        wrapped = click.option(f"--{name.replace('_', '-')}", type=click.IntRange(0), help=text)(wrapped)
    return wrapped


def word_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the word lengths of an array, which a Program says itself where there is one."""
    for name, bits in (("accumulator", 24), ("signal", 8), ("weight", 8)):
        article = "an" if name == "accumulator" else "a"
        text = f"Bits of {article} {name}; {bits} without a PROGRAM."
        command = click.option(f"--{name}-bits", type=int, help=text)(command)
    return command
