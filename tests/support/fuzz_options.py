"""Hostile command lines: every option of every command, given what no user would, on files of all the wrong kinds."""

import contextlib
import io
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np

from accel.errors import EspalierError
from reports import cli, shell
from support import tiny_cells
from support.commandline import idx
from support.fuzz_cases import Rng
from support.fuzz_files import Run, exported, models, networks, programs

STATUSES = (0, 1)  # of a command that did something
NUMBERS = ("0", "-1", "1", "2", "3", "65", "1e3", "10" * 20, "9" * 5000, "nan", "inf", "-inf", "1e400", "0x10", "1_0")
TEXTS = ("", " ", ",", "=", ":", "..", "../..", "8x8", "x", "8x", "0x0", "99999999999x8", "-8x8", "3..8", "8..3")
TEXTS += ("1..9999999999", "3,,4", "dense,dense", "0.5,", "a=0.5", "1KiB", "-1KiB", "1e999MHz", "nanMHz", "infB/s")
TEXTS += ("\x1b[31mred", "a\nb", "\t", "é", "\udcff", "\u202e", "--", "-", "%s{0}", "'; rm -rf x", "=1+1", "a" * 5000)
TEXTS += (
    "1/0",
    "+1%",
    "nan%",
    "1e400%",
    "-5%",
    "RND",
    "SAT",
    "l2",
    "ap_fixed<8,3>",
    "digits",
    "lenet",
    "mnist",
    "test",
)
PLACES = ("missing", "folder", "/dev/zero", "/dev/null", "/dev/full", "pipe", "loop", "hole", "empty", "text")
PLACES += (
    "program",
    "program.espalier",
    "network.espalier",
    "a.onnx",
    "a.json",
    "images.npz",
    "images",
    "cut.espalier",
    "cells.lib",
)
PLACES += ("folder/x", "text/x", "\udcff", "no\x1b[2Jfile", "/proc/self/mem", "/", ".", "~", "a" * 300)
SMALL = {
    "report": ["program.espalier", "--images", "1", "--bits", "3", "--patterns", "dense", "-o", "out"],
    "size": ["program.espalier", "--images", "1"],
    "quantize": ["network.espalier", "--validation-images", "8", "--threads", "1", "-o", "out"],
    "prune": ["network.espalier", "--pattern", "kernel", "--ratio", "0.5", "--validation-images", "8", "-o", "out"],
    "optimize": ["nothing", "--epochs", "4", "-o", "out"],
    "explore": ["nothing", "--images", "8", "--jobs", "1", "--retrain", "0", "-o", "out"],
    "compare": ["text", "missing"],
    "run": ["program.espalier", "--images", "4", "--threads", "1"],
    "rtl": ["program.espalier", "--images", "1", "--bus", "none", "-o", "out"],
    "verify": ["program.espalier", "--images", "1", "--simulator", "nothing"],
    "synth": ["--array", "1x1"],
    "board": ["program.espalier", "--build", "folder", "--port", "nothing", "--images", "1"],
    "power": ["program.espalier", "--liberty", "cells.lib", "--images", "1"],
    "import": ["a.onnx", "-o", "out"],
    "export": ["program.espalier", "--format", "hls", "-o", "out"],
    "inspect": ["program.espalier"],
    "bench": ["nothing", "--rounds", "1", "--threads", "1"],
    "info": [],
    "data fetch": ["nothing", "--base-url", "http://127.0.0.1:9/"],
    "study pruning": ["nothing", "--quick", "-o", "out"],
    "study bitwidth": ["nothing", "--quick", "-o", "out"],
}  # commands with options that let them do little; `nothing` is where a right word would mean minutes of work


@cache
def commands() -> dict[str, click.Command]:
    """Return every command by its words."""
    found: dict[str, click.Command] = {}
    context = click.Context(cli.app)
    for name in cli.app.list_commands(context):
        command = cli.app.get_command(context, name)
        assert command
        inner = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{name} {x}": y for x, y in inner.items()} if inner else {name: command}
    return found


@cache
def files() -> dict[str, bytes]:
    """Return what lies in the folder where commands run."""
    images = np.random.default_rng(0).integers(0, 17, (8, 8, 8)).astype(np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, images=images[:, None] / np.float32(16))
    return {
        "program.espalier": programs()[0],
        "program": programs()[1],
        "network.espalier": networks()[0],
        "cut.espalier": networks()[1][:-3],
        "a.onnx": models()["float"].SerializeToString(),
        "a.json": exported()["a.json"],
        "images.npz": buffer.getvalue(),
        "images": idx(images),
        "empty": b"",
        "text": b"some text\n",
        "cells.lib": tiny_cells.liberty().encode(),
    }


def arguments(rng: Rng) -> list[str]:
    """Return a command line with one to three hostile values."""
    name = _one([*SMALL], rng)
    command, words = commands()[name], [*SMALL[name]]
    for _ in range(rng.integers(1, 4)):
        what = rng.random()
        if what < 0.2 and words:
            words[rng.integers(len(words))] = _hostile(rng)
        elif what < 0.25 and words:
            del words[rng.integers(len(words))]
        elif what < 0.3:
            words.insert(int(rng.integers(len(words) + 1)), _hostile(rng))
        else:
            options = [x for x in command.params if isinstance(x, click.Option) and not _is_long(name, x)]
            option = _one(options, rng) if options else None
            if option is not None:
                words += [_one(option.opts, rng)] + ([] if option.is_flag else [_hostile(rng)])
    return [*name.split(), *words]


def _is_long(name: str, option: click.Option) -> bool:
    """Whether a right value of an option would let a command work for minutes, or reach the network."""
    return option.name in {"retrain", "sparsify", "scheduler", "backend", "base_url", "peers", "search", "evaluations"}


def _hostile(rng: Rng) -> str:
    return _one(_one((NUMBERS, TEXTS, PLACES), rng), rng)


def _one(things: Any, rng: Rng) -> Any:
    return things[rng.integers(len(things))]


def refuse_work(*_: Any, **__: Any) -> Any:
    """Stand in the place of what takes minutes, of a command that was right."""
    raise EspalierError("a right command line")


def invoke(words: list[str]) -> None:
    """Run the command line in this process; raise EspalierError if it ends in a line and status 2."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch("reports.commands.synth.synthesize", refuse_work),
        patch("reports.commands.synth.in_cells", refuse_work),
        patch("reports.commands.synth.in_family", refuse_work),
        patch("reports.workflow.board.build", refuse_work),
        patch("reports.commands.power.measured", refuse_work),
    ):
        status = shell.run(words)
    lines = [line for line in err.getvalue().splitlines() if not line.startswith(("note: ", "warning: "))]
    if status == 2 and len(lines) == 1 and lines[0].startswith("espalier: "):
        raise EspalierError(lines[0])
    if status == 2 and out.getvalue().startswith("Usage: "):  # a bare command asks for help
        return
    assert status in STATUSES, (words, status, err.getvalue()[:2000])
    assert status == 1 or not lines, (words, err.getvalue()[:2000])


def _options(rng: Rng) -> Run:
    words = arguments(rng)

    def run(folder: Path) -> None:
        for name, data in files().items():
            (folder / name).write_bytes(data)
        (folder / "folder").mkdir()
        (folder / "loop").symlink_to("loop")
        os.mkfifo(folder / "pipe")
        with (folder / "hole").open("wb") as file:
            file.truncate(1 << 34)
        before = {name: (folder / name).read_bytes() for name in files()}
        with patch.dict(os.environ, {"COLUMNS": "100"}):
            os.environ.pop("ESPALIER_DATA", None)
            try:
                invoke(words)
            except EspalierError:
                left = {name: (folder / name).read_bytes() for name in files()}
                assert left == before, (words, "a refused command changed a file")
                assert not any(x.name.endswith(".part") for x in folder.iterdir()), (words, "left something behind")
                raise

    return run


FORMATS_OF: dict[str, Callable[[Rng], Run]] = {"options": _options}
