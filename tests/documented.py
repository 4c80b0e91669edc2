"""The console blocks of the documentation: commands with what they print, which can be run again.

    python tests/documented.py docs/tutorial.md

runs every command of a page, in order, in one empty folder, and writes what it prints into the page. A line of three dots
in a block stands for any lines; a block that has one is left as it is. What depends on the machine's speed is not compared.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from commandline import espalier

BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
ANYTHING = "..."
SPEEDS = re.compile(r"[\d,.]+(?= images/s$| cycles/s| s[,.]| ms each)", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """A command and what the page says that it prints."""

    command: str
    printed: str

    def agrees(self, printed: str) -> bool:
        """Return whether a command printed what the page says, but for speeds and where the page has three dots."""
        said, got = (SPEEDS.sub("#", text.strip()) for text in (self.printed, printed))
        pattern = "\n".join(".*" if line == ANYTHING else re.escape(line) for line in said.splitlines())
        return re.fullmatch(pattern.replace("\n.*\n", "\n(?:.*\n)?").removesuffix("\n.*") + "(?:\n.*)?" * said.endswith(ANYTHING), got, re.DOTALL) is not None


def examples(block: str) -> Iterator[Example]:
    """Yield the commands of a block; each begins with a dollar sign and may go on after a backslash."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, printed = part.replace("\\\n", "").partition("\n")
        yield Example(re.sub(r" +", " ", command), printed)


def outcome(command: str) -> str:
    """Return what a command prints in the current folder; the program itself runs in this process."""
    words = command.split()
    if words[0] == "espalier":
        done = espalier(*words[1:])
        return done.out + done.err
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=False).stdout
