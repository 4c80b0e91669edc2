"""What standard cells add up to: by module and in all, and in JSON."""

import json
from dataclasses import replace

import pytest
from support import tiny_cells
from support.silicon import ARRAY, FAST, KINDS, NETLIST, SLOW, SRAM, TIMING, TINY, made

from accel.errors import EspalierError
from reports.workflow import silicon
from reports.workflow.silicon import KIND, in_cells, rows_of


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


def test_memories_of_macros(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Areas and leakages of macros stand beside those of cells; each shape says what it is built of."""
    found = made(monkeypatch, tmp_path, sram=SRAM)
    built = {row.wrapper: row.built for row in found.macros}
    small, large = (built[shape.name] for shape in NETLIST.shapes)
    assert small is not None
    assert large is not None
    assert (small.macro, small.banks, small.columns) == ("small", 1, 8)
    whole, *_ = found.modules
    assert whole.macro_um2 == small.area_um2 + large.area_um2
    assert whole.macro_leakage_watts == pytest.approx(1e-6 * (small.leakage_uw + large.leakage_uw))
    assert {row.module: row.macro_um2 for row in found.modules[1:4]} == {
        "drain": large.area_um2,
        "shell": small.area_um2,
        "lanes": 0,
    }
    assert json.loads(found.to_json())["sram_source"] == SRAM.source
    assert {row.macro_um2 for row in made(monkeypatch, tmp_path).modules} == {None}


def test_a_memory_that_no_macro_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """It is refused before anything is mapped."""
    monkeypatch.setattr(silicon, "map_to_cells", lambda *arguments: pytest.fail("mapped"))
    large = {"dense": replace(ARRAY, signal_words=1 << 16)}
    with pytest.raises(EspalierError, match="no macro fits espalier_sram_"):
        in_cells(large, TINY, tmp_path, 200e6, sram=SRAM)  # type: ignore[arg-type]


def test_without_timing(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Without OpenSTA no path has a length."""
    found = made(monkeypatch, tmp_path, None)
    assert {row.slowest_path for row in found.modules} == {None}
    assert json.loads(found.to_json())["timing"] is None
