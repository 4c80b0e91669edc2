"""Bitstreams for boards, and what a build folder says of one, so that a host knows whom it speaks to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.fixedpoint import FixedFormat
from accel.program import Program
from accel.records import record_of
from accel.signal import integer_format
from reports.shared import output
from reports.shared.progress import bar
from reports.shared.schema import Kind, saved
from rtl.emit import Job
from rtl.fpga import bitstream
from rtl.fpga.boards import Board
from rtl.fpga.host import Answer, Line
from rtl.fpga.host import Board as Host
from rtl.fpga.synthesis import Synthesis

KIND = Kind("espalier-board", 1, "what espalier synth --board says of a bitstream")
FILE = "board.json"


@dataclass(frozen=True, kw_only=True)
class BoardBuild:
    """What a bitstream holds.

    Parameters
    ----------
    board, part : str
        The board, and its FPGA's part number.
    clock_hertz : float
    baud : int
        Bits a second on the serial line.
    array : MacArray
    formats : list of str
        Of the output signals that its Programs may have.
    """

    board: str
    part: str
    clock_hertz: float
    baud: int
    array: MacArray
    formats: list[str]

    @property
    def known(self) -> list[FixedFormat]:
        """The formats."""
        return [FixedFormat.parse(form) for form in self.formats]

    def to_json(self) -> str:
        """Return it as a file of `KIND`."""
        return KIND.written(asdict(self))


def build(
    array: MacArray, formats: Sequence[FixedFormat], board: Board, baud: int, folder: Path, seed: int
) -> Synthesis:
    """Leave ``espalier.bit`` and ``board.json`` in `folder`; return what the hardware takes of the board's FPGA.

    Parameters
    ----------
    array : MacArray
    formats : sequence of FixedFormat
        Of the output signals that it knows; unsigned, as wide as its signals, if there are none.
    board : Board
    baud : int
    folder : Path
    seed : int
        With which nextpnr begins to place.

    Raises
    ------
    EspalierError
        As `rtl.fpga.bitstream.build`.
    """
    known = formats or [integer_format(array.signal_bits, signed=False)]
    found = bitstream.build(array, known, board, baud, folder, seed)
    said = BoardBuild(
        board=board.name,
        part=board.part,
        clock_hertz=board.clock_hertz,
        baud=baud,
        array=array,
        formats=[str(form) for form in known],
    )
    output.write_text(folder / FILE, said.to_json())
    return found


def read_build(folder: Path) -> BoardBuild:
    """Return what `build` left in a folder.

    Raises
    ------
    EspalierError
        There is no such file, or it is none.
    """

    def made(record: dict[str, Any]) -> BoardBuild:
        return record_of(BoardBuild, record)

    return saved(folder / FILE, lambda text: KIND.read(text, made))


def run_on_board(line: Line, build: BoardBuild, program: Program, codes: NDArray[np.int64]) -> list[Answer]:
    """Load a Program into a board and return what comes of each image of `codes` (images, maps, height, width).

    Raises
    ------
    EspalierError
        The board's array cannot run it, or the line says something else than it should.
    """
    board = Host(line, program, build.array, build.known)
    checked = program.check_codes(codes)
    with bar(f"{build.board} {program.name}", len(checked) + 1) as shown:
        board.load()
        shown.advance("loaded")
        answers = []
        for one in checked:
            answers.append(board.run(one))
            shown.advance("runs")
    return answers


def complaints(job: Job, answers: Sequence[Answer]) -> list[str]:
    """Return a line for each image whose codes or cycles are not those that the job expects."""
    lines = []
    for place, (answer, wanted) in enumerate(zip(answers, job.outputs, strict=True)):
        if differs := int((answer.codes != wanted).sum()):
            lines.append(f"image {place}: {differs} of {wanted.size} codes are not golden's")
        if answer.cycles - answer.stalls != job.cycles:
            took = answer.cycles - answer.stalls
            lines.append(f"image {place}: took {took:,} cycles without stalls, expected {job.cycles:,}")
    return lines
