"""`espalier bench designs`: the same designs both ways, and what each way takes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.commandline import complaint, espalier

from accel.cost import Limits, load_technology
from accel.errors import EspalierError
from accel.interchange import zoo
from reports.bench import designs
from reports.bench.designs import Costing, at_once, check_equal, one_by_one

BITS, ARRAYS = ((3, 5), (8, 5)), ((2, 4), (3, 1))


def test_both_ways_give_the_same_designs() -> None:
    """Every number of every design; negative control: one bit of memory more is seen."""
    asked = zoo.load("digits"), BITS, ARRAYS, load_technology(), Limits()
    first, second = at_once(*asked), one_by_one(*asked)
    check_equal("digits", first, second)
    assert [x.count for x in first] == [2, 2]
    more = replace(first[1], memory_bits=first[1].memory_bits + np.array([0, 1]))
    with pytest.raises(EspalierError, match="digits: memory_bits of designs on arrays at once are others than one by"):
        check_equal("digits", [first[0], more], second)


def test_ratio_is_the_median_of_pairs() -> None:
    """2, 1 and 4 of pairs give 2."""
    assert Costing(network="x", designs=1, at_once=(1, 3, 2), one_by_one=(2, 3, 8)).ratio == 2


def test_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A row and a record for each network; one that is not known ends in a line that names those that are."""
    monkeypatch.setattr(designs, "ARRAYS", ARRAYS)
    monkeypatch.setattr(designs, "WEIGHT_BITS", (4, 8))
    monkeypatch.setattr(designs, "SIGNAL_BITS", (4, 8))
    done = espalier("bench", "designs", "lenet5", "--rounds", 2, "--json", tmp_path / "d.json")
    assert done.status == 0, done.err
    assert "one by one" in done.out
    (record,) = json.loads((tmp_path / "d.json").read_text())["costings"]
    assert record["designs"] == 8
    assert len(record["at_once"]) == len(record["one_by_one"]) == 2
    assert record["ratio"] > 0
    assert complaint("bench", "designs", "digits") == (
        "unknown network 'digits': costing is measured on lenet5, resnet8"
    )
