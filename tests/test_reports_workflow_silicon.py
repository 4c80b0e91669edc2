"""What standard cells add up to: by module and in all, in JSON, and as a table of 80 columns."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from support import tiny_cells

from accel.array import MacArray
from reports.workflow import silicon
from reports.workflow.silicon import KIND, Silicon, in_cells, rows_of, sentences_of, tables_of
from rtl.asic import liberty
from rtl.asic.macros import Shape
from rtl.asic.mapping import Netlist, Placed
from rtl.asic.timing import MISSING, SlowPath, Timing

TINY = liberty.parse(tiny_cells.liberty())
KINDS = {"shell": ["INV"], "lanes": ["DFF", "DFF", "NAND2"], "drain": ["DFF", "NOR2"]}
NETLIST = Netlist(
    yosys="Yosys 1",
    placed=[
        *(
            Placed(name=f"{module}.g{place}", module=module, kind=TINY.cells[kind])
            for module, kinds in KINDS.items()
            for place, kind in enumerate(kinds)
        ),
        Placed(name="drain.constants", module="drain", kind=Shape(1024, 40)),
        Placed(name="shell.words", module="shell", kind=Shape(16, 64)),
    ],
    called={},
    shapes=[Shape(16, 64), Shape(1024, 40)],
)
SLOW, FAST = (SlowPath(start="a[0]", end=end, nanoseconds=time) for end, time in (("b", 4.0), ("c", 2.5)))
TIMING = Timing(tool="OpenSTA 1", slowest=SLOW, modules={"drain": SLOW, "lanes": FAST})
ARRAY = MacArray(1, 1)


def made(monkeypatch: pytest.MonkeyPatch, tmp_path: object, timing: Timing | None = TIMING) -> Silicon:
    """Return the numbers of two builds, whose tools are not run; the dense one lacks the drain."""
    dense = [one for one in NETLIST.placed if one.module != "drain"]
    netlists = iter([NETLIST, replace(NETLIST, placed=dense)])
    monkeypatch.setattr(silicon, "map_to_cells", lambda *arguments: next(netlists))
    monkeypatch.setattr(silicon, "time_netlist", lambda *arguments: timing)
    return in_cells({"sparse": ARRAY, "dense": replace(ARRAY, list_entries=0)}, TINY, tmp_path, 200e6)  # type: ignore[arg-type]


def test_rows() -> None:
    """All, then the largest module first; areas and leakages are sums, gate equivalents areas over the NAND's."""
    whole, *modules = rows_of("sparse", NETLIST, TIMING, TINY)
    areas = {module: sum(tiny_cells.AREAS[kind] for kind in kinds) for module, kinds in KINDS.items()}
    assert {row.module: row.area for row in modules} == areas
    assert [row.module for row in modules] == ["lanes", "drain", "shell"]
    assert whole.area == sum(areas.values())
    assert whole.gate_equivalents == whole.area / tiny_cells.AREAS["NAND2"]
    assert whole.leakage_watts == pytest.approx(35.5e-9)  # three registers, NAND, NOR, inverter
    assert [(row.flip_flops, row.cells, row.macros, row.macro_bits) for row in (whole, *modules)] == [
        (3, 6, 2, 40 * 1024 + 1024),
        (2, 3, 0, 0),
        (1, 2, 1, 40 * 1024),
        (0, 1, 1, 1024),
    ]
    assert [row.slowest_path for row in (whole, *modules)] == [SLOW, FAST, SLOW, None]
    assert [row.mhz for row in (whole, *modules)] == [250, 400, 250, None]


def test_json(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """The file has its kind and version, who made it, and a row for every module and every shape of each build."""
    found = made(monkeypatch, tmp_path)
    record = json.loads(found.to_json())
    assert (record["format"], record["version"]) == (KIND.name, KIND.version)
    assert [record[name] for name in ("library", "yosys", "timing")] == ["tiny", "Yosys 1", "OpenSTA 1"]
    assert [(row["build"], row["module"]) for row in record["modules"]] == [
        *(("sparse", name) for name in ("all", "lanes", "drain", "shell")),
        *(("dense", name) for name in ("all", "lanes", "shell")),
    ]
    assert [(row["build"], row["wrapper"], row["count"]) for row in record["macros"]] == [
        ("sparse", "espalier_sram_16x64", 1),
        ("sparse", "espalier_sram_1024x40", 1),
        ("dense", "espalier_sram_16x64", 1),
        ("dense", "espalier_sram_1024x40", 0),
    ]
    assert record["modules"][0]["slowest_path"] == {"start": "a[0]", "end": "b", "nanoseconds": 4.0}


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
    found = made(monkeypatch, tmp_path, None)
    assert {row.slowest_path for row in found.modules} == {None}
    assert json.loads(found.to_json())["timing"] is None
    assert sentences_of(found)[1:] == [f"mapped by Yosys 1, sized for 200 MHz; {MISSING}"]


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
