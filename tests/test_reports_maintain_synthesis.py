"""The table of synthesis results: what was built is kept, and other hardware is built anew."""

import json
from pathlib import Path

import pytest

from accel.array import MacArray
from accel.errors import EspalierError
from reports.maintain import synthesis
from rtl.fpga.synthesis import Synthesis


def test_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each array has two rows; a second run builds only what the first did not, and a change of the hardware all."""
    built: list[MacArray] = []

    def fake(array: MacArray, folder: Path) -> Synthesis:
        built.append(array)
        lut = 100 * array.output_lanes
        return Synthesis(lut + 10, 2, 3, 4, 101.5) if array.list_entries else Synthesis(lut, 1, 3, 2, 99.0)

    monkeypatch.setattr(synthesis, "synthesize", fake)
    monkeypatch.setattr(synthesis, "fingerprint", repr)
    monkeypatch.setattr(synthesis, "ARRAYS", (MacArray(2, 2), MacArray(4, 2)))
    synthesis.make(tmp_path)
    assert {(x.output_lanes, x.pixel_lanes) for x in built} == {(2, 2), (4, 2)}
    assert len(built) == 4
    table = (tmp_path / "README.md").read_text().splitlines()[-4:]
    assert table[0] == "| 2x2 | 8 bits | sparse | 210 | 2 | 3 | 4 | 101.5 | +5.0% |"
    assert table[3] == "| 4x2 | 8 bits | dense | 400 | 1 | 3 | 2 | 99.0 |  |"
    monkeypatch.setattr(synthesis, "ARRAYS", (MacArray(2, 2), MacArray(4, 2), MacArray(4, 4)))
    synthesis.make(tmp_path)
    assert len(built) == 6  # two more
    assert len(json.loads((tmp_path / "results.json").read_text())["builds"]) == 6
    monkeypatch.setattr(synthesis, "fingerprint", lambda array: f"new {array}")
    synthesis.make(tmp_path)
    assert len(built) == 12


def test_a_stopped_run_keeps_what_it_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that fails ends the run; those before it are in the file, and the next run goes on after them."""
    built: list[int] = []

    def fake(array: MacArray, folder: Path) -> Synthesis:
        built.append(array.list_entries)
        if not array.list_entries and built.count(0) == 1:
            raise EspalierError("no room")
        return Synthesis(1, 2, 3, 4, 100.0)

    monkeypatch.setattr(synthesis, "synthesize", fake)
    monkeypatch.setattr(synthesis, "fingerprint", repr)
    monkeypatch.setattr(synthesis, "TOGETHER", 1)
    monkeypatch.setattr(synthesis, "ARRAYS", (MacArray(2, 2),))
    with pytest.raises(EspalierError, match="no room"):
        synthesis.make(tmp_path)
    assert list(json.loads((tmp_path / "results.json").read_text())["builds"]) == ["2x2, 8 bits, sparse"]
    synthesis.make(tmp_path)
    assert [bool(entries) for entries in built] == [True, False, False]
