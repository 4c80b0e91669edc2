"""What FPGAs' counts add up to: all of a build, then its modules, with a clock only where something was placed."""

import json

import pytest
from support.fpga_counts import ARRAY, counts

from reports.workflow.fpga import KIND, placed
from rtl.fpga.synthesis import Synthesis


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first row of a build is the sum of the others, and nobody knows a clock."""
    found = counts(monkeypatch, "gowin")
    rows = [(row.build, row.module, row.lut, row.ff, row.dsp, row.block_ram, row.carry_bits) for row in found.modules]
    for place, build in enumerate(("sparse", "dense")):
        assert rows[3 * place : 3 * place + 3] == [
            (build, "all", 103, 7, 2, 4, 5),
            (build, "lanes", 100, 7, 2, 0, 5),
            (build, "shell", 3, 0, 0, 4, 0),
        ]
    assert {row.mhz for row in found.modules} == {None}
    assert (found.placed, found.device, found.block_ram_kbit, found.shortages()) == (False, None, 18, [])


def test_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of more tables than an iCE40 UP5K has is named, one of as many is not."""
    assert counts(monkeypatch, "ice40", 5277).shortages() == []
    sentence = "does not fit an iCE40 UP5K: takes 5,281 of 5,280 look-up tables"
    assert counts(monkeypatch, "ice40", 5278).shortages() == [f"sparse: {sentence}", f"dense: {sentence}"]


def test_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has its kind and version, and says that nothing was placed; of what was, it has the device and clock."""
    record = json.loads(counts(monkeypatch, "xilinx-7").to_json())
    assert [record[name] for name in ("format", "version", "family", "placed")] == [
        KIND.name,
        KIND.version,
        "xilinx-7",
        False,
    ]
    record = json.loads(placed(ARRAY, {"sparse": Synthesis(5, 4, 3, 2, 99.5)}).to_json())
    assert (record["placed"], record["device"]) == (True, "LFE5U-45F-6BG554")
    whole = {"build": "sparse", "module": "all", "lut": 5, "ff": 4, "dsp": 3, "block_ram": 2}
    assert record["modules"] == [whole | {"carry_bits": None, "mhz": 99.5}]
