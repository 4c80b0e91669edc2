"""What is no file, as every file that every command reads: told at once, in a line, and nothing waits or fills."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support import fuzz_options
from support.commandline import espalier

from reports.commands.places import Place

DEVICES = ("/dev/zero", "pipe", "folder", "loop")
SUFFIXES = {"--technology": ".toml", "--data": ".npz", "--formats": ".toml"}
LAZY = {("size", "data")}  # read only where a network is pruned on the way
SECONDS = 20  # of processor time, which a device that never ends does not keep to


def readers() -> Iterator[tuple[str, str]]:
    """Yield every parameter that names a file to read, with its command."""
    for name, command in fuzz_options.commands().items():
        for parameter in command.params:
            place = parameter.type
            if (
                isinstance(place, Place)
                and not place.writes
                and parameter.name != "data_dir"
                and (name, parameter.name) not in LAZY
            ):
                yield name, parameter.opts[0] if isinstance(parameter, click.Option) else ""


def words_of(name: str, option: str, value: str) -> list[str]:
    """Return a right command line of a command, but for one file."""
    words = [*fuzz_options.SMALL[name]]
    if option:
        return [*name.split(), *words, option, value]
    return [*name.split(), value, *words[not words[0].startswith("-") :]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where commands run, with what they read."""
    for name, data in fuzz_options.files().items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "option"), sorted(set(readers())))
def test_what_is_no_file(place: Path, name: str, option: str) -> None:
    """A device, a pipe without a writer, a folder and a link to itself end the command with status 2 and a line."""
    start = time.process_time()
    for number, device in enumerate(DEVICES):
        link = place / f"{number}{SUFFIXES.get(option, '')}"
        link.symlink_to(device)
        done = espalier(*words_of(name, option, link.name))
        assert (done.status, len(done.err.splitlines())) == (2, 1), (device, done)
    assert time.process_time() - start < SECONDS


def test_there_are_many() -> None:
    """Negative control of the walk: it meets arguments and options that name files."""
    assert {("run", ""), ("size", ""), ("import", ""), ("inspect", "")} <= set(readers())
