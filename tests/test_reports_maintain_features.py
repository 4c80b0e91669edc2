"""The table of the array's features: what they cost and save, and what is not built again."""

import functools
import json
from pathlib import Path

import pytest

from accel.array import MacArray
from accel.cost import total_cycles
from accel.demand import array_for
from accel.interchange import zoo
from accel.quantize import lower, ordered_for
from reports.maintain import features
from reports.shared.journal import results_of
from reports.workflow.sources import random_images


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[MacArray]:
    """Let the zoo have two versions, and an array take 10 look-up tables for each feature; return what is built."""
    arrays: list[MacArray] = []

    def count_cells(array: MacArray, folder: Path) -> dict[str, int]:
        arrays.append(array)
        return {"lut": 1000 + 10 * sum(array.features.values()), "ff": 1, "dsp": 2, "block_ram": 3}

    monkeypatch.setattr(features, "count_cells", count_cells)
    monkeypatch.setattr(features, "fingerprint", repr)
    monkeypatch.setattr(features.zoo, "names", lambda: ["digits"])
    monkeypatch.setattr(features.zoo, "patterns", lambda name: ["dense", "block-4"])
    return arrays


def test_the_tables(built: list[MacArray], tmp_path: Path) -> None:
    """Each feature is left out of one array, whose cells and cycles stand in its line; all of them are in the first."""
    features.make(tmp_path)
    names = list(MacArray().features)
    left_out = [[name for name, there in array.features.items() if not there] for array in built]
    assert left_out == [[], *([name] for name in names)]
    table = (tmp_path / "README.md").read_text()
    full = 1000 + 10 * len(names)
    assert f"| nothing | {full:,} |  |  |  |\n" in table
    assert all(f"| {name} | {full - 10:,} | 10 | " in table for name in names)
    pruned = zoo.load("digits", "block-4")
    program = lower(pruned, features.WIDTHS, random_images(pruned.network.input_shape, 1))
    row = results_of(tmp_path, "cycles")["digits block-4"]
    bare = array_for(program, 8, 8, **dict.fromkeys(names, False))
    assert row["none"]["cycles"] == total_cycles(program, bare)
    ordered = ordered_for(program, 8, split=True)
    assert row["all"]["cycles"] == total_cycles(ordered, array_for(ordered, 8, 8)) < row["none"]["cycles"]
    assert row["without"]["pool"]["cycles"] == total_cycles(ordered, array_for(ordered, 8, 8, pool=False))
    assert f"| digits | block-4 | {row['none']['cycles']:,} | {row['all']['cycles']:,} | " in table


@pytest.mark.slow
def test_what_is_built_stays(built: list[MacArray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run builds nothing, one of cycles alone neither; other hardware is built anew."""
    monkeypatch.setattr(features, "_counted", functools.cache(features._counted))
    features.make(tmp_path)
    count = len(built)
    features.make(tmp_path)
    monkeypatch.setattr(features, "fingerprint", lambda array: f"new {array}")
    features.make(tmp_path, builds=False)
    assert len(built) == count == len(json.loads((tmp_path / "results.json").read_text())["builds"])
    features.make(tmp_path)
    assert len(built) == 2 * count
