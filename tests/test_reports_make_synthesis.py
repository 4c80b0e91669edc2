"""The table of synthesis results: what was built is kept, and other hardware is built anew."""

import json
from pathlib import Path
from typing import Any

import pytest

from accel.array import MacArray
from reports import make_synthesis
from rtl.synthesis import Synthesis


def test_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each array has two rows; a second run builds only what the first did not, and a change of the RTL all of it."""
    built: list[MacArray] = []

    def fake(array: MacArray, folder: Path) -> dict[str, Any]:
        built.append(array)
        lut = 100 * array.output_lanes
        return {"sparse": Synthesis(lut + 10, 2, 3, 4, 101.5), "dense": Synthesis(lut, 1, 3, 2, 99.0)}

    monkeypatch.setattr(make_synthesis, "synthesize_both", fake)
    monkeypatch.setattr(make_synthesis, "ARRAYS", (MacArray(2, 2), MacArray(4, 2)))
    make_synthesis.make(tmp_path)
    assert [(x.output_lanes, x.pixel_lanes) for x in built] == [(2, 2), (4, 2)]
    table = (tmp_path / "README.md").read_text()
    assert "| 2x2 | 8 bits | sparse | 210 | 2 | 3 | 4 | 101.5 | +5.0% |" in table
    assert "| 4x2 | 8 bits | dense | 400 | 1 | 3 | 2 | 99.0 |  |" in table
    monkeypatch.setattr(make_synthesis, "ARRAYS", (MacArray(2, 2), MacArray(4, 2), MacArray(4, 4)))
    make_synthesis.make(tmp_path)
    assert len(built) == 3  # one more
    assert len(json.loads((tmp_path / "results.json").read_text())["builds"]) == 3
    monkeypatch.setattr(make_synthesis, "RTL", tmp_path)  # other sources: none
    make_synthesis.make(tmp_path)
    assert len(built) == 6
