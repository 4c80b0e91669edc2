"""The driver in C against a wrapped build in Verilator: registers by its reads and writes, streams by the harness."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accel.array import MacArray
from rtl.bus.build import wrap
from rtl.bus.images import code_bits
from rtl.bus.wrapper import BUSES
from rtl.emit import Job

HARNESS = Path(__file__).parent / "cpp" / "bus_main.cpp"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")
QUICK = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0"  # to compile, which takes longer than what runs


@dataclass(frozen=True)
class Run:
    """What the harness said: its exit status, the results of each image, and all other lines."""

    status: int
    results: list[list[int]]
    told: list[str]


def compiled(folder: Path, job: Job, array: MacArray, bus: str, bits: int = 32) -> Path:
    """Write a wrapped build of one job, and compile it with its driver."""
    for name, content in wrap([job], array, bus, bits).items():
        (folder / name).write_bytes(content)
    (folder / "main.cpp").write_bytes(HARNESS.read_bytes())
    job.codes.astype(f"<i{code_bits(array) // 8}").tofile(folder / "images.bin")
    _done(["gcc", *WARNINGS, "-DESPALIER_OWN_ACCESS", "-c", "espalier.c", "-o", "driver.o"], folder)
    kind = BUSES[bus]
    names = f"-I.. -D{bus.upper()} -DCLOCK=top.{kind.clock} -DRESET=top.{kind.reset} -DACTIVE={kind.active}"
    words = ["verilator", "--cc", "--exe", "--build", "--prefix", "Vtop", "--top-module", f"espalier_{bus}", "-CFLAGS"]
    words += [names, "-MAKEFLAGS", QUICK, "espalier.vlt", f"espalier_{bus}.v", "espalier.v", "main.cpp", "../driver.o"]
    _done([*words, "-Wno-fatal", "-j", "2", "-o", "simulation"], folder)
    return folder


def run(folder: Path, images: int, mode: str, fault: str = "none") -> Run:
    """Run images by `registers` or by `streams`, with a careless neighbour or without."""
    command = ["./obj_dir/simulation", "program0.bin", "images.bin", str(images), mode, fault]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    results = [list(map(int, words)) for name, *words in lines if name == "image"]
    return Run(done.returncode, results, [" ".join(words) for words in lines if words[0] != "image"])


def expected(job: Job) -> list[list[int]]:
    """Return what golden has for each image, row-major."""
    return np.reshape(job.outputs, (len(job.outputs), -1)).tolist()


def _done(command: list[str], folder: Path) -> None:
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
