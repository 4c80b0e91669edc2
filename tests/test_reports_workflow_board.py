"""What a build folder says of a bitstream, and what differs of what a board gave."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.board_lines import Recorded, spoken
from support.rtl_programs import images_of
from support.small_programs import CONV, small

from accel.demand import array_for
from accel.errors import EspalierError
from reports.workflow import board
from reports.workflow.board import FILE, build, complaints, read_build, run_on_board
from reports.workflow.hardware import job_of
from rtl.assemble import signal_formats
from rtl.fpga.boards import board_of
from rtl.fpga.synthesis import Synthesis

PROGRAM = small(CONV)
ARRAY = array_for(PROGRAM, 2, 2)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a build folder, whose bitstream nobody made."""
    found = Synthesis(1, 2, 3, 4, 50.0)
    monkeypatch.setattr(board.bitstream, "build", lambda *arguments: found)
    assert build(ARRAY, signal_formats(PROGRAM), board_of("ulx3s"), 9600, tmp_path, 2) == found
    return tmp_path


def test_a_build_is_read_again(built: Path) -> None:
    """Array and formats come back, so that a host knows the hardware's words; a changed file is refused."""
    found = read_build(built)
    assert (found.board, found.part, found.clock_hertz, found.baud) == ("ulx3s", "LFE5U-85F-6BG381", 25e6, 9600)
    assert found.array == ARRAY
    assert found.known == list(signal_formats(PROGRAM))
    path = built / FILE
    path.write_text(path.read_text().replace("9600", "9601"))
    with pytest.raises(EspalierError, match=r"board\.json"):
        read_build(built)
    path.unlink()
    with pytest.raises(EspalierError, match=r"cannot read .*board\.json: No such file"):
        read_build(built)


def test_what_differs(built: Path) -> None:
    """A board that is golden's leaves nothing to say; another code, or a cycle more, is a line each."""
    found, codes = read_build(built), images_of(np.random.default_rng(0), PROGRAM, 2)
    job = job_of(PROGRAM, ARRAY, codes)
    first, second = run_on_board(Recorded(spoken(PROGRAM, found, codes)), found, PROGRAM, codes)
    assert complaints(job, [first, second]) == []
    other = first.codes.copy()
    other[0, 0, 0] += 1
    late = replace(second, cycles=second.cycles + 1)
    assert complaints(job, [replace(first, codes=other), late]) == [
        "image 0: 1 of 8 codes are not golden's",
        f"image 1: took {job.cycles + 1:,} cycles without stalls, expected {job.cycles:,}",
    ]
