"""The host's side of a line: what it hears is checked, and what is wrong is said in a line."""

import sys

import numpy as np
import pytest
from support.board_lines import STALLS, Recorded, spoken
from support.programs import Codes
from support.rtl_programs import images_of
from support.small_programs import CONV, small

from accel.cost import total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.program import Program
from reports.workflow.board import BoardBuild
from rtl.assemble import signal_formats
from rtl.fpga.host import Board, open_line
from rtl.fpga.protocol import NAK
from sim import golden

PROGRAM = small(CONV)
BUILD = BoardBuild(
    board="ulx3s",
    part="LFE5U-85F-6BG381",
    clock_hertz=25e6,
    baud=115_200,
    array=array_for(PROGRAM, 2, 2),
    formats=[str(form) for form in signal_formats(PROGRAM)],
)


@pytest.fixture
def codes() -> Codes:
    """Two images."""
    return images_of(np.random.default_rng(0), PROGRAM, 2)


def board(said: bytes, program: Program = PROGRAM) -> Board:
    """Return the host's side of a line on which this comes."""
    return Board(Recorded(said), program, BUILD.array, BUILD.known)


def run(said: bytes, codes: Codes) -> list[Codes]:
    """Return what a host hears."""
    host = board(said)
    host.load()
    return [host.run(one).codes for one in codes]


def test_what_is_heard(codes: Codes) -> None:
    """Codes in the output's shape, cycles and stalls; a NAK of what was cut before the host came is passed over."""
    host = board(bytes([NAK]) + spoken(PROGRAM, BUILD, codes))
    host.load()
    for one, wanted in zip(codes, golden.run(PROGRAM, codes)[PROGRAM.output], strict=True):
        answer = host.run(one)
        np.testing.assert_array_equal(answer.codes, wanted)
        assert (answer.cycles - answer.stalls, answer.stalls) == (total_cycles(PROGRAM, BUILD.array), STALLS)


def test_what_is_wrong(codes: Codes) -> None:
    """Silence, other hardware, a refused word, a flipped bit of an answer: one line each."""
    said = bytearray(spoken(PROGRAM, BUILD, codes))
    with pytest.raises(EspalierError, match="the board fell silent: 0 of 1 bytes came; is its bitstream loaded"):
        run(b"", codes)
    with pytest.raises(EspalierError, match="the board fell silent: "):
        run(bytes(said[:-1]), codes)
    with pytest.raises(EspalierError, match="the board refused a command: it answered 0x41, expected 0x06"):
        run(b"A", codes)
    other = BoardBuild(**{**vars(BUILD), "array": array_for(PROGRAM, 2, 1)})
    with pytest.raises(EspalierError, match="the board's hardware was built for another array: load the bitstream"):
        run(spoken(PROGRAM, other, codes), codes)
    for place, line in (
        (7, "a word came damaged: the board refused packet 0"),
        (-1, "an answer of the board came damaged"),
    ):
        flipped = bytearray(said)
        flipped[place] ^= 1
        with pytest.raises(EspalierError, match=line):
            run(bytes(flipped), codes)


def test_a_port_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is none is named, and pyserial if it is not there."""
    with pytest.raises(EspalierError, match="cannot open /dev/no-such-port: "):
        open_line("/dev/no-such-port", 115_200)
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(EspalierError, match=r"a board needs pyserial: pip install 'espalier-hw\[board\]'"):
        open_line("loop://", 115_200)


def test_a_line_that_talks_to_itself(codes: Codes) -> None:
    """A plug that joins both wires is no board: the host hears its own zeros."""
    with (
        open_line("loop://", 115_200, 0.1) as line,
        pytest.raises(EspalierError, match="the board refused a command: it answered 0x00"),
    ):
        Board(line, PROGRAM, BUILD.array, BUILD.known).load()
