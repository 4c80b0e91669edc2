"""The table of commands: true to the commands, in the order of the work, and read without importing any."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from support.commandline import environment, espalier
from support.commands import command, leaves

import reports.commands
from reports.cli import COMMANDS, LINES, module_of
from reports.commands.places import Command, Group

SLOW = ("numpy", "numba", "matplotlib", "amaranth", "onnx", "torch")
REFERS = re.compile(r"(Of|Its|That|What they|They|For these|From) ")  # how a text begins that needs its option's name


def loaded_by(*words: str) -> set[str]:
    """Return which of `SLOW` a process has imported that ran `words`."""
    code = "import sys; from reports.shell import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, env=environment()
    )
    return {*done.stderr.split()} & {*SLOW}


class TestTable:
    @pytest.mark.parametrize("name", LINES)
    def test_a_line_is_the_short_help(self, name: str) -> None:
        """What the table says of a command is what the command says of itself, first of all."""
        assert command(name).get_short_help_str(limit=1000).rstrip(".") == LINES[name].rstrip(".")
        assert command(name).name == name

    @pytest.mark.parametrize("name", LINES)
    def test_every_command_checks_its_places(self, name: str) -> None:
        """A command looks at what it reads and writes, and so does a group for its own."""
        assert isinstance(command(name), Command | Group)

    def test_every_file_is_in_it(self) -> None:
        """A file of commands that has a `command` is in the table, and none is in it twice."""
        files = [f"reports.commands.{path.stem}" for path in Path(*reports.commands.__path__).glob("[!_]*.py")]
        named = [module_of(name) for group in COMMANDS.values() for name in group]
        assert sorted(named) == sorted(
            x for x in files if isinstance(import_module(x).__dict__.get("command"), click.Command)
        )

    def test_an_unknown_command(self) -> None:
        """It is one line, and status 2."""
        done = espalier("nothing")
        assert (done.status, done.out, done.err) == (2, "", "espalier: No such command 'nothing'.\n")


class TestHelp:
    def test_the_order_of_the_work(self) -> None:
        """The groups and the commands stand in the help as in the table, each with its line."""
        out = espalier("--help").out
        words = [word for title, group in COMMANDS.items() for word in (f"\n{title}:\n", *(f"\n  {x} " for x in group))]
        places = [out.index(word) for word in words]
        assert places == sorted(places)
        told = "".join(out.split())  # lines end anywhere, also within a word that has a hyphen
        assert all("".join(line.split()) in told for line in LINES.values())
        assert 'eval "$(_ESPALIER_COMPLETE=bash_source espalier)"' in out

    def test_nothing_slow_is_imported(self) -> None:
        """Help comes at once: without numpy, numba, matplotlib; a command that computes brings numpy (the control)."""
        assert loaded_by("--help") == set()
        assert "numpy" in loaded_by("size", "--help")

    @pytest.mark.parametrize(("words", "leaf"), leaves())
    def test_a_text_stands_alone(self, words: str, leaf: click.Command) -> None:
        """The text of an option names what it is: a sentence that its option's name need not begin."""
        for option in leaf.params:
            if isinstance(option, click.Option):
                assert option.help, f"{words} {option.name}"
                assert not REFERS.match(option.help), f"{words} {option.name}: {option.help}"
                assert option.help.endswith("."), f"{words} {option.name}: {option.help}"

    def test_what_does_not_stand_alone(self) -> None:
        """Negative control: texts that lean on the option's name are seen."""
        assert all(REFERS.match(text) for text in ("That decide.", "Its strength.", "What they do: wrap."))


class TestCompletion:
    @staticmethod
    def offered(line: str) -> list[str]:
        """Return what bash is told to offer after `line`."""
        typed = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_ESPALIER_COMPLETE": "bash_complete"}
        done = subprocess.run(
            [sys.executable, "-m", "espalier"], capture_output=True, text=True, env=environment() | typed
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [offer.partition(",")[2] for offer in done.stdout.split()]

    def test_commands(self) -> None:
        """All commands after nothing, and after a letter those that begin with it."""
        assert self.offered("espalier ") == [*LINES]
        assert self.offered("espalier r") == ["report", "run", "rtl"]
        assert self.offered("espalier x") == []

    @pytest.mark.slow
    def test_within_a_command(self) -> None:
        """Its options, and the commands of a group."""
        assert self.offered("espalier verify --st") == ["--stall", "--stream"]
        assert self.offered("espalier study ") == ["bitwidth", "pruning"]

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_the_script(self, shell: str) -> None:
        """What the help says to evaluate is a script of that shell, which asks the command."""
        asked = environment() | {"_ESPALIER_COMPLETE": f"{shell}_source"}
        done = subprocess.run([sys.executable, "-m", "espalier"], capture_output=True, text=True, env=asked, check=True)
        assert f"_ESPALIER_COMPLETE={shell}_complete" in done.stdout
