"""What `espalier info` does: what is installed, shipped and found."""

import importlib.metadata
import os
import platform

import click

from accel.interchange import zoo
from accel.interchange.data import datasets
from reports.commands.places import Command
from sim import instructions


@click.command("info", cls=Command)
def command() -> None:
    """Say what is installed, what the zoo holds, and where data is looked for."""
    for name in ("espalier-hw", "numpy", "numba", "llvmlite", "amaranth"):
        print(f"{name} {importlib.metadata.version(name)}")
    print(f"python {platform.python_version()}, {os.cpu_count()} processors")
    choice = instructions.choose()
    print(f"kernel: {choice.name} ({choice.reason}); {', '.join(instructions.available())} can run here")
    for name in zoo.names():
        print(f"zoo: {name} ({', '.join(zoo.patterns(name))})")
    print(f"data: {os.environ.get(datasets.DATA_DIR_VARIABLE) or 'ESPALIER_DATA is not set'}")
