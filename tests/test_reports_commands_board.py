"""`espalier board` and `synth --board`: a bitstream's folder, a board that is right, one that is not, and bad input."""

from pathlib import Path

import pytest
from support.board_lines import Recorded, spoken
from support.commandline import complaint, contents, espalier
from support.small_programs import CONV, small

from accel.program import Program
from reports.commands import board
from reports.workflow import board as boards
from reports.workflow.board import read_build
from reports.workflow.hardware import codes_of
from rtl.fpga.synthesis import Synthesis

PROGRAM = small(CONV)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return the file of a Program."""
    path = tmp_path / "program.espalier"
    PROGRAM.save(path)
    return path


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, program: Path) -> Path:
    """Return the folder that `synth --board` leaves; its bitstream is nobody's."""
    folder = program.parent / "build"

    def build(*arguments: object) -> Synthesis:
        folder.mkdir()
        return Synthesis(1100, 900, 3, 4, 51.5)

    monkeypatch.setattr(boards.bitstream, "build", build)
    done = espalier("synth", program, "--array", "2x2", "--board", "ulx3s", "--out", folder)
    assert (done.status, done.err) == (0, "")
    first, last = done.out.splitlines()
    assert first.endswith("dense: 1,100 LUT, 900 FF, 3 DSP, 4 block RAM, 51.5 MHz")
    assert last == f"{folder}/espalier.bit: for ulx3s, LFE5U-85F-6BG381, 25 MHz, 115,200 baud"
    assert [path.name for path in folder.iterdir()] == ["board.json"]
    return folder


@pytest.mark.parametrize("flips", [0, 1])
def test_a_board(monkeypatch: pytest.MonkeyPatch, program: Path, built: Path, flips: int) -> None:
    """Outputs that are golden's: exit status 0; those of other images: 1, and a line for each that differs."""
    loaded, found = Program.load(program), read_build(built)
    codes = codes_of(str(program), loaded, 2, None, None)
    said = spoken(loaded, found, codes if not flips else codes[::-1])
    monkeypatch.setattr(board, "open_line", lambda port, baud: Recorded(said))
    done = espalier("board", program, "--build", built, "--port", "line", "--images", 2)
    assert done.status == flips
    assert ("of 8 codes are not golden's" in done.out) == bool(flips)
    assert "ulx3s: 2 images, 128 bits compared" in done.out
    assert "largest outputs: " in done.out


def test_bad_input(program: Path, tmp_path: Path) -> None:
    """A board that nobody knows, no folder, a family without bitstreams, a folder without a build: one line each."""
    line = "--board ulx4s: expected ecpix5, ulx3s or a constraint file, NAME.lpf"
    assert complaint("synth", program, "--board", "ulx4s", "--out", tmp_path / "out") == line
    assert complaint("synth", program, "--board", "ulx3s") == "--board: needs --out, the folder for espalier.bit"
    words = ("synth", program, "--board", "ulx3s", "--family", "gowin", "--out", tmp_path / "out")
    assert complaint(*words) == "--board: bitstreams are made for ecp5 alone"
    assert complaint("synth", program, "--baud", 9600) == "--baud: only a --board has a serial line"
    assert set(contents(tmp_path)) == {"program.espalier"}
    line = f"cannot read {tmp_path / 'board.json'}: No such file or directory"
    assert complaint("board", program, "--build", tmp_path, "--port", "/dev/null") == line
