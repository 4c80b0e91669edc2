"""How fast the command answers: `espalier --help`, beside a Python that imports click and rich and does nothing."""

import os
import subprocess
import sys
from statistics import median

HELP = ("-m", "espalier", "--help")
LIBRARIES = ("-c", "import click, rich")
TIMES = 7


def help_line(times: int = TIMES) -> str:
    """Return in words how long `espalier --help` takes, and its ratio to the libraries alone: medians in turn."""
    seconds = [[processor_seconds(words) for words in (HELP, LIBRARIES)] for _ in range(times)]
    answer, libraries = (median(found) for found in zip(*seconds, strict=True))
    return ratio_line(answer, libraries)


def ratio_line(answer: float, libraries: float) -> str:
    """Return the two times in words, and their ratio, which leaves the machine out.

    >>> ratio_line(0.15, 0.1)
    '`espalier --help`: 0.15 s, 1.5 times what importing click and rich takes'
    """
    return f"`espalier --help`: {answer:.2f} s, {answer / libraries:.1f} times what importing click and rich takes"


def processor_seconds(words: tuple[str, ...]) -> float:
    """Return the seconds that the processor gave a new Python with these arguments."""
    before = os.times()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    print(help_line())
