"""What `espalier info` does: what is installed, shipped and found."""

import importlib.metadata
import json
import os
import platform
from pathlib import Path

import click

from accel.interchange import zoo
from accel.interchange.data import datasets
from reports.commands.options import SCHEMAS, option
from reports.commands.places import Command
from reports.shared import output
from reports.shared.release import DISTRIBUTION, release
from sim import instructions


@click.command("info", cls=Command)
@option("--schemas", type=SCHEMAS, help="Folder to write JSON Schemas of the files of results to, and no more.")
def command(schemas: Path | None) -> None:
    """Say what is installed, what the zoo holds, and where data is looked for.

    Example: espalier info --schemas schemas
    """
    if schemas is not None:
        _write_schemas(schemas)
        return
    print(f"{DISTRIBUTION} {release()}")
    for name in ("numpy", "numba", "llvmlite", "amaranth"):
        print(f"{name} {importlib.metadata.version(name)}")
    print(f"python {platform.python_version()}, {os.cpu_count()} processors")
    choice = instructions.choose()
    print(f"kernel: {choice.name} ({choice.reason}); {', '.join(instructions.available())} can run here")
    for name in zoo.names():
        print(f"zoo: {name} ({', '.join(zoo.patterns(name))})")
    print(f"data: {os.environ.get(datasets.DATA_DIR_VARIABLE) or 'ESPALIER_DATA is not set'}")


def _write_schemas(folder: Path) -> None:
    from reports.commands.schemas import schemas  # of every kind of results: half a second to import

    found = schemas()
    output.write_folder(folder, {name: (json.dumps(x, indent=1) + "\n").encode() for name, x in found.items()})
    print(f"{folder}: {', '.join(found)}")
