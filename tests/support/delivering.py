"""What the script beside a recommendation says, done again in this process."""

import shlex
from pathlib import Path

from reports.workflow.delivery import NETWORK, PROGRAM
from support.commandline import espalier


def commands(script: str, out: Path, **given: object) -> list[list[str]]:
    """Return the words of the commands of a script, with what its variables say there."""
    words = {"$out": out, **{f"${name}": value for name, value in given.items()}}
    lines = [line for line in script.splitlines() if line.startswith(("espalier ", "cp "))]
    for name, value in words.items():
        lines = [line.replace(name, str(value)) for line in lines]
    return [shlex.split(line) for line in lines]


def redone(script: str, out: Path, **given: object) -> dict[str, bytes]:
    """Do what a script says, and return the network and the Program that come of it."""
    out.mkdir()
    for words in commands(script, out, **given):
        if words[0] == "cp":
            Path(words[2]).write_bytes(Path(words[1]).read_bytes())
        else:
            assert espalier(*words[1:]).status == 0
    return {name: (out / name).read_bytes() for name in (NETWORK, PROGRAM)}
