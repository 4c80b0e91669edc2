"""What `espalier info` does: what is installed, shipped and found."""

import importlib.metadata
import os
import platform

from accel.interchange import zoo
from accel.interchange.data import datasets
from sim import instructions


def info() -> None:
    """Print versions, processor, zoo and data folder."""
    for name in ("espalier-hw", "numpy", "numba", "llvmlite", "amaranth"):
        print(f"{name} {importlib.metadata.version(name)}")
    print(f"python {platform.python_version()}, {os.cpu_count()} processors")
    choice = instructions.choose()
    print(f"kernel: {choice.name} ({choice.reason}); {', '.join(instructions.available())} can run here")
    for name in zoo.names():
        print(f"zoo: {name} ({', '.join(zoo.patterns(name))})")
    print(f"data: {os.environ.get(datasets.DATA_DIR_VARIABLE) or 'ESPALIER_DATA is not set'}")
