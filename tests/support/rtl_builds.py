"""Builds of the emitted files for the tests: compiled once, run many times, also with an error planted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.array import MacArray
from rtl import simulators
from rtl.emit import Job, emit
from rtl.layout import Target

WORD = 27  # the lowest bit of a loaded word, above its 3 bits of target and 24 of address


@dataclass(frozen=True)
class Build:
    """Compiled files.

    `table` has a row for each job: memory words, images; of an image: beats to load it, output rows, cycles,
    cycles between starts, words of streamed weights.
    """

    folder: Path
    table: NDArray[np.int64]

    @property
    def expected(self) -> simulators.Outcome:
        """What a run without stalls must say: everything was compared, nothing differs."""
        images, rows, cycles = self.table[:, 1], self.table[:, 3], self.table[:, 4]
        return simulators.Outcome(int(images.sum()), int(images @ rows), 0, int(images @ cycles), 0, ())

    def edit(self, folder: Path, name: str, line: ArrayLike, change: Callable[[int], int]) -> None:
        """Fill `folder` with links to this build, but its own file `name`, with `change` applied to a line or more."""
        for path in self.folder.iterdir():
            if path.name != name:
                (folder / path.name).symlink_to(path)
        lines = (self.folder / name).read_text().split()
        for place in np.atleast_1d(line):
            lines[place] = f"{change(int(lines[place], 16)):0{len(lines[place])}x}"
        (folder / name).write_text("\n".join(lines) + "\n")

    def line_of_row(self, job: int, image: int, row: int) -> int:
        """Return the line of expected.hex that holds an output row."""
        return int(self.table[:job, 1] @ self.table[:job, 3] + image * self.table[job, 3] + row)

    def line_of_word(self, job: int, target: Target) -> int:
        """Return the line of load.hex that holds the first word of a job for `target`."""
        first = int(self.table[:job, 0].sum())
        lines = (self.folder / "load.hex").read_text().split()
        return next(place for place in range(first, len(lines)) if int(lines[place], 16) & 7 == target)


def write(folder: Path, jobs: Sequence[Job], array: MacArray, simulator: str | None, counted: bool = False) -> Build:
    """Emit, and compile if it is said by what."""
    for name, content in emit(jobs, array, counted=counted).items():
        (folder / name).write_bytes(content)
    return compiled(folder, simulator)


def compiled(folder: Path, simulator: str | None) -> Build:
    """Compile the files in `folder`, or leave that to the caller."""
    if simulator:
        simulators.build(folder, simulator)
    numbers = [int(line, 16) for line in (folder / "jobs.hex").read_text().split()]
    return Build(folder, np.array(numbers).reshape(-1, 7))
