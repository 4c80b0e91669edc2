"""The console blocks of the documentation: commands with what they print, which can be run again.

    python tests/documented.py docs/tutorial.md

runs every command of a page, in order, in one empty folder, and writes what it prints into the page. A line of
three dots in a block stands for any lines; what has one is left as it is. Speeds are not compared.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.commandline import espalier

from reports.shared.cache import VARIABLE

BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
ANYTHING = "..."
SPEEDS = re.compile(r"[\d,.]+(?= images/s$| cycles/s| s[,.;]| ms each)", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """A command and what the page says that it prints."""

    command: str
    printed: str

    def agrees(self, printed: str) -> bool:
        """Return whether a command printed what the page says, but for speeds and where the page has three dots."""
        said, got = (SPEEDS.sub("#", text.strip()) + "\n" for text in (self.printed, printed))
        lines = (r"(?:.*\n)*" if line == ANYTHING else re.escape(line) + r"\n" for line in said.splitlines())
        return re.fullmatch("".join(lines), got) is not None


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


def rewritten(page: str) -> str:
    """Return a page whose commands were run in the current folder: each block has what they print now."""

    def block(match: re.Match[str]) -> str:
        found = []
        for example in examples(match[0]):
            printed = outcome(example.command)
            if ANYTHING in example.printed.splitlines():
                printed = example.printed
            found.append(f"$ {example.command}\n{printed.strip()}\n")
        return "\n".join(found).replace("\n\n$", "\n$") if found else match[0]

    return BLOCK.sub(block, page)


def main(*names: str) -> None:
    """Rewrite the pages of these names, each in a folder of its own."""
    for page in [Path(name).resolve() for name in names]:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
            os.environ[VARIABLE] = cache  # as for somebody who begins
            os.chdir(folder)
            page.write_text(rewritten(page.read_text()))
            os.chdir("/")


if __name__ == "__main__":
    main(*sys.argv[1:])
