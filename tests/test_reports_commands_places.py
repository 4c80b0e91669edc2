"""No command destroys what it reads, or writes two results to one place, whatever names and links they have."""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from support.commandline import complaint, contents, espalier, untrained_lenet5

from accel.interchange.data import datasets
from accel.interchange.onnx import sidecar
from accel.quantize import Widths, lower
from reports.cli import app
from reports.commands import options
from reports.commands.places import DATA_SETS, Claim, Command, Place, check


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a Program, a network, and files that look like the other inputs."""
    monkeypatch.chdir(tmp_path)
    network = untrained_lenet5()
    network.save("n.espalier")
    lower(network, Widths(4, 4), np.zeros((1, 1, 28, 28), np.float32)).save("p.espalier")
    for name in ("f.onnx", "f.npz", "f.toml", "t.toml"):
        Path(name).write_bytes(b"not read before the places are looked at")
    os.link("p.espalier", "hard")
    Path("soft").symlink_to("p.espalier")
    Path("sub").mkdir()
    Path("around").symlink_to("sub")
    return tmp_path


COLLISIONS = [
    # what is typed, the output that is refused, the file, the parameter that has it, what that does
    ("run p.espalier --json p.espalier", "--json", "p.espalier", "PROGRAM", "reads"),
    ("run p.espalier --json hard", "--json", "p.espalier", "PROGRAM", "reads"),
    ("run p.espalier --json soft", "--json", "p.espalier", "PROGRAM", "reads"),
    ("run soft --json p.espalier", "--json", "soft", "PROGRAM", "reads"),
    ("run p.espalier --json sub/../p.espalier", "--json", "p.espalier", "PROGRAM", "reads"),
    ("run p.espalier --data f.npz --json f.npz", "--json", "f.npz", "--data", "reads"),
    ("size n.espalier --json n.espalier", "--json", "n.espalier", "NETWORK", "reads"),
    ("size digits --technology t.toml --json t.toml", "--json", "t.toml", "--technology", "reads"),
    ("quantize digits -o b --json b", "--json", "b", "--out", "writes"),
    ("quantize digits -o sub/b --json around/b", "--json", "sub/b", "--out", "writes"),
    ("quantize n.espalier -o n.espalier", "--out", "n.espalier", "NETWORK", "reads"),
    ("quantize digits --formats f.toml -o f.toml", "--out", "f.toml", "--formats", "reads"),
    ("quantize digits --retrain 1 --checkpoint c -o c", "--out", "c", "--checkpoint", "writes"),
    ("prune n.espalier --pattern kernel --ratio 0.5 -o n.espalier", "--out", "n.espalier", "NETWORK", "reads"),
    (
        "prune digits --pattern kernel --checkpoint c --retrain 1 -o c/run.json",
        "--out",
        "c/run.json",
        "--checkpoint",
        "",
    ),
    ("import f.onnx -o f.onnx", "--out", "f.onnx", "MODEL", "reads"),
    ("import f.onnx --data f.npz -o f.npz", "--out", "f.npz", "--data", "reads"),
    ("inspect f.onnx --json f.onnx", "--json", "f.onnx", "MODEL", "reads"),
    ("export p.espalier --format hls -o p.espalier", "--out", "p.espalier", "PROGRAM", "reads"),
    ("explore digits -o e --json e/results.json", "--json", "e/results.json", "--out", "writes"),
    ("bench lenet5 -o b --json b/results.json", "--json", "b/results.json", "--out", "writes"),
    ("synth -o s --json s/manifest.json", "--json", "s/manifest.json", "--out", "writes"),
]


@pytest.mark.parametrize(("words", "output", "file", "of", "does"), COLLISIONS, ids=[row[0] for row in COLLISIONS])
def test_refused(here: Path, words: str, output: str, file: str, of: str, does: str) -> None:
    """One line says which two parameters mean one file, before anything is read or done; all is as it was."""
    before = contents(here)
    line = complaint(*words.split())
    assert line.startswith(f"{output} ")
    assert f": would replace {file}, which {of} {does}" in line
    assert contents(here) == before


def test_sidecars(here: Path) -> None:
    """A sidecar is written with its model, and read with it."""
    Path("p.json").write_bytes(Path("p.espalier").read_bytes())
    line = complaint("export", "p.json", "--format", "qcdq", "-o", "p.onnx")
    assert line == "--out p.onnx: would replace p.json, which PROGRAM reads; name another"
    Path("f.json").write_text('{"format": "espalier sidecar", "version": 1}')
    assert complaint("import", "f.onnx", "-o", "f.json").startswith("--out f.json: would replace f.json, which MODEL")
    Path("f.json").write_text('{"format": "something else"}')  # negative control: nobody reads that
    assert "would replace" not in complaint("import", "f.onnx", "-o", "f.json")


def test_a_sidecar_of_somebody_else(here: Path) -> None:
    """An export does not replace a .json that is no sidecar; one of ours it does, even if that was cut."""
    Path("a.json").write_text('{"mine": true}')
    before = contents(here)
    line = complaint("export", "p.espalier", "--format", "qonnx", "-o", "a.onnx")
    assert line == "a.json: is no sidecar of ours, and the one of a.onnx has its place; name another --out"
    assert contents(here) == before
    Path("a.json").write_text('{\n "format": "espalier sidecar", cut')
    assert "sidecar of ours" not in espalier("export", "p.espalier", "--format", "qonnx", "-o", "a.onnx").err
    assert sidecar.is_one(Path("a.json"))


ALLOWED = [
    "run p.espalier --json q.json",
    "run p.espalier --json /dev/null",
    "quantize digits -o /dev/null --json /dev/null",
    "quantize digits -o digits --json digits.json",
    "explore digits -o e --json e/numbers.json",
    "rtl sub/p.espalier -o sub",
    "import f.onnx --data f.npz -o f.espalier",
]


@pytest.mark.parametrize("words", ALLOWED)
def test_allowed(here: Path, words: str) -> None:
    """Negative control: what is no collision is not taken for one."""
    name, *rest = words.split()
    command = named(app, name)
    context = command.make_context(name, rest)
    from reports.commands.places import _claims

    check(list(_claims(command.params, context.params)))


def test_data_are_read(here: Path) -> None:
    """A result does not go over a file of a data set, but may lie beside them."""
    (here / "mnist").mkdir()
    (here / "mnist" / "labels").write_bytes(b"labels")
    data, out = Claim("--data-dir", here, options.DATA), Place(writes=True)
    with pytest.raises(ValueError, match=r"would replace .*labels, which --data-dir reads"):
        check([data, Claim("--json", here / "mnist" / "labels", out)])
    check([data, Claim("--json", here / "mnist" / "new", out), Claim("--out", here / "labels", out)])


def named(group: click.Group, name: str) -> click.Command:
    """Return the command of that name."""
    command = group.get_command(click.Context(group), name)
    assert command
    return command


def commands(group: click.Group, words: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = named(group, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{words}{name} ")
        else:
            yield f"{words}{name}", command


def test_every_command_looks() -> None:
    """No command is without the check, and no parameter that names a file is of another type."""
    paths = {
        "network",
        "program",
        "model",
        "out",
        "json_file",
        "data",
        "data_dir",
        "checkpoint",
        "technology",
        "formats",
    }
    seen = set()
    for words, command in commands(app):
        assert isinstance(command, Command), words
        for parameter in command.params:
            assert not isinstance(parameter.type, click.Path) or isinstance(parameter.type, Place), words
            if parameter.name in paths:
                seen.add(parameter.name)
                assert isinstance(parameter.type, Place), f"{words} {parameter.name}"
                assert parameter.type.writes == (parameter.name in ("out", "json_file", "checkpoint"))
    assert seen == paths


def test_the_folders_of_data_sets() -> None:
    """What is read from a data directory is what the loaders read."""
    assert {pattern.removesuffix("/*") for pattern in DATA_SETS} == {*datasets.FOLDERS.values()}


@pytest.mark.parametrize(
    "words",
    [
        "synth --accumulator-bits 2147483648",
        f"synth --weight-words {10**30}",
        f"explore digits --jobs {10**30}",
        f"report --threads {10**30}",
    ],
)
def test_numbers_without_end(words: str) -> None:
    """A number of bits, words or processes that nobody can mean is refused before anything is built."""
    assert "is not in the range" in complaint(*words.split())


@pytest.mark.parametrize("words", ["import  -o x", "run ", "quantize digits -o ", "size digits --json ", "rtl p -o "])
def test_an_empty_name(here: Path, words: str) -> None:
    """An empty name is no file, and not the folder where one works."""
    before = contents(here)
    assert "is empty; expected the name of a f" in complaint(*words.split(" "))
    assert contents(here) == before
