"""Boards: pins, clock and FPGA of those that come along, and what a constraint file must say."""

from pathlib import Path

import pytest

from accel.errors import EspalierError
from rtl.fpga.boards import Board, board_of, names, parse

RIGHT = """# OrangeCrab, LFE5U-25F-8MG285C
LOCATE COMP "clk" SITE "A9";
FREQUENCY PORT "clk" 48.0 MHz ;
LOCATE COMP "rst_n" SITE "V17"; LOCATE COMP "rx" SITE "N17"; # as a comment may follow
LOCATE COMP "rx" SITE "N17";
LOCATE COMP "tx" SITE "M18";
"""


def sites(board: Board) -> dict[str, str]:
    """Return where the pins of a board are."""
    lines = [line.split('"') for line in board.constraints.splitlines() if line.startswith("LOCATE")]
    return {words[1]: words[3] for words in lines}


def test_boards_that_come_along() -> None:
    """Pins, clocks and parts, as public board files of other projects have them."""
    assert names() == ["ecpix5", "ulx3s"]
    ulx3s, ecpix5 = board_of("ulx3s"), board_of("ecpix5")
    assert sites(ulx3s) == {"clk": "G2", "rst_n": "D6", "rx": "M1", "tx": "L4"}
    assert (ulx3s.part, ulx3s.clock_hertz) == ("LFE5U-85F-6BG381", 25e6)
    assert ulx3s.device == ("--85k", "--package", "CABGA381", "--speed", "6")
    assert sites(ecpix5) == {"clk": "K23", "rst_n": "AB1", "rx": "R26", "tx": "R24"}
    assert (ecpix5.part, ecpix5.clock_hertz) == ("LFE5UM5G-85F-8BG554", 100e6)
    assert ecpix5.device == ("--um5g-85k", "--package", "CABGA554", "--speed", "8")


def test_a_board_of_a_file(tmp_path: Path) -> None:
    """A file is called as its board, and its text is what nextpnr reads."""
    path = tmp_path / "crab.lpf"
    path.write_text(RIGHT)
    board = board_of(str(path))
    assert (board.name, board.part, board.clock_hertz) == ("crab", "LFE5U-25F-8MG285", 48e6)
    assert board.device == ("--25k", "--package", "CSFBGA285", "--speed", "8")
    assert board.constraints == RIGHT


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("LFE5U-25F-8MG285C", "iCE40", "names no FPGA: expected a comment with its part number, # LFE5U-85F-6BG381"),
        ("48.0", "0", 'has no clock: expected FREQUENCY PORT "clk" 25 MHZ;'),
        ("FREQUENCY", "#", 'has no clock: expected FREQUENCY PORT "clk" 25 MHZ;'),
        ('"tx"', '"ftdi_rxd"', 'has no site for tx: expected LOCATE COMP "tx" SITE "...";'),
        ('LOCATE COMP "rst_n"', "#", 'has no site for rst_n: expected LOCATE COMP "rst_n" SITE "...";'),
    ],
)
def test_what_a_file_lacks(old: str, new: str, line: str) -> None:
    """Each line says what is missing, and how it would look."""
    with pytest.raises(EspalierError) as raised:
        parse("crab.lpf", RIGHT.replace(old, new))
    assert str(raised.value) == f"crab.lpf: {line}"


def test_a_board_that_nobody_knows(tmp_path: Path) -> None:
    """The line names those that exist; a file that is not there is said so."""
    with pytest.raises(EspalierError) as raised:
        board_of("ulx4s")
    assert str(raised.value) == "--board ulx4s: expected ecpix5, ulx3s or a constraint file, NAME.lpf"
    with pytest.raises(EspalierError, match=r"cannot read .*none\.lpf: No such file"):
        board_of(str(tmp_path / "none.lpf"))
