"""Compiled code is kept where it can be, and nothing stops where it cannot: a cache is a help, not a need."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.commandline import ROOT, Outcome, environment

from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.quantize import Widths, lower
from sim.engine import compile_program

TINY = """
from sim.kernels.compiled import compiled
@compiled
def doubled(x):
    return 2 * x
"""
CALL = "import tiny; print(tiny.doubled(21), sum(tiny.doubled.stats.cache_hits.values()))"
NO_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
NOWHERE = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/x", "MPLCONFIGDIR": "/dev/null/x", "NUMBA_CACHE_DIR": ""}
NOTE = "compiled code is not kept on disk"


def call(folder: Path, code: str = CALL, **changes: str) -> Outcome:
    """Run Python in a process whose modules are in `folder`, and in this source tree."""
    path = os.pathsep.join(map(str, (folder, ROOT)))
    words = [sys.executable, "-c", code]
    env = environment(PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1", **changes)
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder, env=env)
    return Outcome(done.returncode, done.stdout.strip(), done.stderr)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Return a folder with a module of one function."""
    (tmp_path / "tiny.py").write_text(TINY)
    return tmp_path


def no_cache_in(package: Path) -> None:
    """Let nobody, not even root, keep anything below `package`: a file has the name of each cache's folder."""
    for folder in {path.parent for path in package.rglob("*.py")}:
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        (folder / "__pycache__").touch()


def test_kept(tiny: Path) -> None:
    """The second process finds what the first has compiled."""
    assert [call(tiny, NUMBA_CACHE_DIR=str(tiny / "kept")) for _ in range(2)] == [
        Outcome(0, "42 0", ""),
        Outcome(0, "42 1", ""),
    ]


def test_nothing_can_be_written(tiny: Path) -> None:
    """Without any place for it, code is compiled each time, and one warning says so and what would help."""
    no_cache_in(tiny)
    done = call(tiny, **NOWHERE)
    assert (done.status, done.out) == (0, "42 0")
    assert done.err.count(f"UncachedWarning: {NOTE} (no folder for it can be written): NUMBA_CACHE_DIR may") == 1


def test_a_full_disk(tiny: Path) -> None:
    """A disk that is full when the code is there to be kept is no reason to stop."""
    done = call(tiny, NO_ROOM + CALL, NUMBA_CACHE_DIR=str(tiny / "kept"))
    assert (done.status, done.out) == (0, "42 0")
    assert done.err.count(f"UncachedWarning: {NOTE} (File too large)") == 1


DAMAGED = """
import importlib, json, pathlib, sys
changes = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "changed": lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:],
    "somebody's": lambda data: b"cnosapkg\\n." * 9,
}
import tiny
def again():
    importlib.reload(tiny)
    return tiny.doubled(21), sum(tiny.doubled.stats.cache_hits.values())
found = {"whole": [again(), again()]}
for kind in (".nbi", ".nbc"):
    for name, change in changes.items():
        (path,) = pathlib.Path("kept").rglob("*" + kind)
        path.write_bytes(change(path.read_bytes()))
        found[name + " " + kind] = [again(), again()]
print(json.dumps(found))
"""


def test_a_damaged_file(tiny: Path) -> None:
    """A file that was cut or changed is not believed: the code is compiled again, in silence, and kept again."""
    done = call(tiny, DAMAGED, NUMBA_CACHE_DIR="kept")
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    assert len(found) == 9
    assert found == {name: [[42, 0], [42, 1]] for name in found}


def test_what_an_image_brings_is_read(tiny: Path) -> None:
    """Code that lies in a tree that cannot be written is used; nothing else can be kept there, which is no news."""
    assert call(tiny, **{**NOWHERE, "NUMBA_CACHE_DIR": str(tiny / "kept")}).out == "42 0"
    unwritable = (
        "import tempfile\n"
        "def no(*_, **__): raise PermissionError(13, 'Permission denied')\n"
        "tempfile.TemporaryFile = no\n"  # with which numba tries whether a folder can be written
    )
    done = call(tiny, unwritable + CALL, **{**NOWHERE, "NUMBA_CACHE_DIR": str(tiny / "kept")})
    assert done == Outcome(0, "42 1", "")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the packages as a read-only installation has them, with a Program beside them."""
    folder = tmp_path_factory.mktemp("installed")
    for package in ("accel", "sim", "rtl", "reports", "espalier"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        no_cache_in(folder / package)
    images = datasets.load("digits", "train").take(16).pixels()
    lower(zoo.load("digits"), Widths(4, 4), images).save(folder / "p.espalier")
    return folder


def installed_command(folder: Path, *words: str, **changes: str) -> Outcome:
    """Run a command of that installation, in a folder of which it may write nothing."""
    env = environment(PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1", **{**NOWHERE, **changes})
    command = [sys.executable, "-m", "espalier", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/proc", env=env)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("words", ["--help", "--version", "info", "size digits"])
def test_commands_that_compile_nothing(installed: Path, words: str) -> None:
    """Where nothing can be written, a command that needs no disk does its work, and has nothing to note."""
    done = installed_command(installed, *words.split())
    assert (done.status, done.err) == (0, "")
    assert done.out


@pytest.mark.slow
def test_a_command_that_compiles(installed: Path) -> None:
    """`run` does its work too, with one note in one line."""
    done = installed_command(installed, "run", str(installed / "p.espalier"), "--images", "20", "--threads", "1")
    assert done.status == 0
    assert " error on 20 images" in done.out
    assert done.err.count("\n") == 1
    assert done.err.startswith(f"espalier: note: {NOTE} (")


@pytest.mark.slow
def test_plain_python(installed: Path) -> None:
    """With NUMBA_DISABLE_JIT=1 a small network runs in Python, to the same codes as compiled."""
    code = (
        "import numpy as np; from accel.program import Program; from accel.interchange.data import datasets\n"
        "from sim.engine import compile_program\n"
        "program = Program.load('p.espalier'); images = datasets.load('digits', 'test').take(2)\n"
        "result = compile_program(program).run(images.codes(program.input_signal), 1)\n"
        "print(result.codes.tolist(), result.macs)"
    )
    done = call(installed, code, NUMBA_DISABLE_JIT="1")
    program = lower(zoo.load("digits"), Widths(4, 4), datasets.load("digits", "train").take(16).pixels())
    codes = datasets.load("digits", "test").take(2).codes(program.input_signal)
    compiled = compile_program(program).run(codes, 1)
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{compiled.codes.tolist()} {compiled.macs}"
    assert np.any(compiled.codes)
