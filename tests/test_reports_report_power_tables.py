"""Power on a terminal: a table of 80 columns whose lines are windows, and the lines below."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support.power import made

from accel.cost.accesses import IMAGE
from reports.report.power_tables import sentences_of, table_of
from reports.workflow.power import CLOCK, LEAKAGE, SRAM_LEAKAGE, Power


def lines_of(power: Power) -> list[str]:
    """Return the table as a terminal of 80 columns shows it."""
    out = io.StringIO()
    Console(file=out, width=80).print(table_of(power))
    return out.getvalue().splitlines()


def test_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line for each window; lanes and the clock take a watt each, 10 nJ a cycle at 100 MHz, and half leaks."""
    found = made(monkeypatch, tmp_path)
    rows = {tuple(line.split()[:-8]): line.split()[-8:] for line in lines_of(found) if line.split()}
    conv, leaks = found.windows[1].cycles, found.joules("conv", LEAKAGE) + found.joules("conv", SRAM_LEAKAGE)
    assert rows["conv",][:4] == [f"{10 * conv:,}", "0.000", "0.000", "0.000"]
    assert rows["conv",][5:7] == [f"{10 * conv:,}", f"{1e9 * leaks:,.0f}"]
    assert rows["all,", "mW"][0] == "1,000"
    assert rows["all,", "mW"][-1] == f"{1e3 * found.watts():,.0f}"
    assert max(map(len, lines_of(found))) <= 80


@pytest.mark.parametrize(("joules", "shown"), [(0.01234, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (1234.4, "1,234")])
def test_digits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, joules: float, shown: str) -> None:
    """Three digits of a number count, or all before the point."""
    found = made(monkeypatch, tmp_path)
    rows = [replace(row, joules=1e-9 * joules * (row.part == CLOCK)) for row in found.energies if row.window == IMAGE]
    (line,) = (line for line in lines_of(replace(found, energies=rows)) if line.split()[:1] == [IMAGE])
    assert line.split()[-3] == line.split()[-1] == shown


def test_what_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Power and energy, what was compared, each origin, what is not in it, and the tools."""
    found = made(monkeypatch, tmp_path)
    first, *rest = sentences_of(found)
    assert re.match(r"[\d.]+ mW, [\d.,]+ nJ an image: 2x1 at 100 MHz in cells of tiny, \d+ cycles, loading", first)
    assert rest[0] == "2 images in gates, 6 output rows compared with golden, 0 differences"
    assert "table: made up: memories, SRAM leakage" in rest
    assert rest[-1] == "Yosys 1, OpenSTA 2.0, iverilog"
