"""Standard cells on a terminal: a table of 80 columns for each build, and the lines below."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from support.silicon import SRAM, made

from reports.report.silicon_tables import sentences_of, tables_of
from rtl.asic.timing import MISSING


def test_what_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Each build's clock and its path, what lists cost, and which tools it was."""
    assert sentences_of(made(monkeypatch, tmp_path)) == [
        "sparse: 250.0 MHz, 4.00 ns from a[0] to b",
        "dense: 250.0 MHz, 4.00 ns from a[0] to b",
        f"lists cost {71 / 46 - 1:.1%} more area of cells",
        "mapped by Yosys 1, sized for 200 MHz, timed by OpenSTA 1",
    ]


def test_without_timing(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Without OpenSTA there is no clock, and one line asks for the package."""
    assert sentences_of(made(monkeypatch, tmp_path, None))[1:] == [f"mapped by Yosys 1, sized for 200 MHz; {MISSING}"]


def test_memories(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """With a library of macros: their area instead of bits, a table of memories, and who says so; 80 columns."""
    found = made(monkeypatch, tmp_path, sram=SRAM)
    out = io.StringIO()
    for table in tables_of(found):
        Console(file=out, width=80).print(table)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines]
    assert ["16", "x", "64", "1", "1", "x", "8", "small", "800", "8", "16", "1.5"] in rows
    assert ["all", "71", "18", "3", "24,800", "24.835", "4.00"] in rows
    assert "sparse: memories take 24,800 um2 and leak 24.8 uW" in sentences_of(found)
    assert "macros: made up" in sentences_of(found)


def test_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """A table for each build, all in its last line, no wider than 80 columns with the numbers of a large array."""
    found = made(monkeypatch, tmp_path)
    large = [
        replace(row, area=8_765_432.1, gate_equivalents=2e6, flip_flops=54_321, macro_bits=9_000_000)
        for row in found.modules
    ]
    out = io.StringIO()
    for table in tables_of(replace(found, modules=large)):
        Console(file=out, width=80).print(table)
    lines = out.getvalue().splitlines()
    rows = [line.split() for line in lines if "8,765,432" in line]
    assert [row[0] for row in rows] == ["lanes", "drain", "shell", "all", "lanes", "shell", "all"]
    assert rows[1][1:] == ["8,765,432", "2,000,000", "54,321", "8,789.1", "0.012", "4.00"]
    assert [row[-1] for row in rows[:4]] == ["2.50", "4.00", "-", "4.00"]
    assert max(map(len, lines)) <= 80
