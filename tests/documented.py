"""The console blocks of the documentation: commands with what they print, which can be run again.

    python tests/documented.py docs/tutorial.md

runs every command of a page, in order, in one empty folder, and writes what it prints into the page. A block of Python
with a title is a file of that name, from there on. A line of three dots in a block stands for any lines; what has one
is left as it is. Speeds are not compared.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.commandline import espalier

from reports.shared.cache import VARIABLE

BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
FILE = re.compile(r'^```python title="([^"/]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
ANYTHING = "..."
HEAVY = ("tensorflow", "tf2onnx")  # no extra has them: a gigabyte and more
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
    """Return what a command prints in the current folder, no line with spaces at its end.

    The program itself runs in this process.
    """
    words = command.split()
    if words[0] == "espalier":
        done = espalier(*words[1:])
        printed = done.out + done.err
    else:
        printed = subprocess.run(command, shell=True, capture_output=True, text=True, check=False).stdout
    return re.sub(r" +$", "", printed, flags=re.MULTILINE)


def prepare(page: Path) -> None:
    """Write the files that a page shows, and copy those of the folder beside it, into the current folder."""
    for name, text in FILE.findall(page.read_text()):
        Path(name).write_text(text)
    for path in page.with_suffix("").glob("*"):
        shutil.copy(path, path.name)


def runs_here(command: str) -> bool:
    """Return whether a command runs: not where it needs what is not installed, whose files lie beside the page."""
    script = next((word for word in command.split() if word.endswith(".py")), None)
    text = command + (Path(script).read_text() if script and Path(script).exists() else "")
    missing = [word for word in HEAVY if not importlib.util.find_spec(word)]
    return not any(word in text for word in missing)


def rewritten(page: str) -> str:
    """Return a page whose commands were run in the current folder: each block has what they print now."""

    def block(match: re.Match[str]) -> str:
        found = []
        for example in examples(match[0]):
            printed = outcome(example.command) if runs_here(example.command) else example.printed
            if ANYTHING in example.printed.splitlines():
                printed = example.printed
            found.append(f"$ {example.command}\n{printed.strip()}".strip() + "\n")
        return "".join(found) if found else match[0]

    return BLOCK.sub(block, page)


def main(*names: str) -> None:
    """Rewrite the pages of these names, each in a folder of its own."""
    for page in [Path(name).resolve() for name in names]:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
            os.environ[VARIABLE] = cache  # as for somebody who begins
            os.chdir(folder)
            prepare(page)
            page.write_text(rewritten(page.read_text()))
            os.chdir("/")


if __name__ == "__main__":
    main(*sys.argv[1:])
