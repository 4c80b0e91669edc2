"""`espalier synth --liberty`: what it maps, says and writes, and what it refuses. The FPGA's is in its own tests."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import tiny_cells
from support.commandline import complaint, contents, espalier
from support.fpga_counts import counts
from support.silicon import SRAM, SRAM_TOML, made

from accel.array import MacArray
from reports.commands import synth
from reports.workflow.silicon import KIND
from rtl.asic.timing import TOOL

WORDS = ("--signal-words", 64, "--weight-words", 16, "--list-entries", 8, "--taps", 8, "--constants", 8, "--layers", 2)
OSU = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Return the file of a library."""
    path = tmp_path / "cells.lib"
    path.write_text(tiny_cells.liberty())
    return path


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    """A file of something else, or without flip-flops: one line, exit status 2, and no folder."""
    path, out = tmp_path / "cells.lib", tmp_path / "out"
    words = ("synth", "--array", "1x1", "--liberty", path, "--out", out, "--json", tmp_path / "out.json")
    for text, line in (
        ("some text", "is no Liberty file: expected library (NAME) { ... }"),
        (tiny_cells.liberty("DFF"), "has no flip-flop: expected a cell with a group ff (...) { ... }"),
        (tiny_cells.liberty("NAND2"), "has no NAND of two inputs, whose area gate equivalents are counted in"),
    ):
        path.write_text(text)
        assert complaint(*words) == f"{path}: {line}"
        assert set(contents(tmp_path)) == {"cells.lib"}


def test_options_that_mean_nothing(cells: Path) -> None:
    """What cells alone have, for an FPGA; a seed for cells; a clock that is none, and a figure of no known kind."""
    for words in (("--clock", "200MHz"), ("--sram-library", cells), ("--figure", cells.with_name("a.png"))):
        assert complaint("synth", *words) == f"{words[0]}: means something with --liberty alone"
    line = "--figure area.gif: expected a file that ends in .png or .svg"
    assert complaint("synth", "--liberty", cells, "--figure", "area.gif") == line
    assert complaint("synth", "--liberty", cells, "--seed", 5) == "--seed: nothing is placed with --liberty"
    assert complaint("synth", "--family", "gowin", "--seed", 5) == "--seed: nothing is placed with --family gowin"
    line = "--family: with --liberty it is built in standard cells, for no FPGA"
    assert complaint("synth", "--family", "gowin", "--liberty", cells) == line
    line = "--family altera: expected one of ecp5, xilinx-7, ultrascale+, gowin, ice40"
    assert complaint("synth", "--family", "altera") == line
    line = "--clock 5: expected a frequency above 0 such as 100MHz or 1.2GHz"
    assert complaint("synth", "--liberty", cells, "--clock", 5) == line


def test_macros_that_are_none(cells: Path, tmp_path: Path) -> None:
    """A library that is not TOML, or in which nothing fits: one line, and nothing is written."""
    path = tmp_path / "sram.toml"
    words = ("synth", "--liberty", cells, "--sram-library", path, "--signal-words", 1 << 20, "--out", tmp_path / "out")
    path.write_text("[[macro]")
    assert complaint(*words).startswith(f"{path}: is not TOML: ")
    path.write_text(SRAM_TOML)
    assert complaint(*words).startswith("no macro fits espalier_sram_")
    assert not list((tmp_path / "out").rglob("*.il"))


def test_what_is_told(monkeypatch: pytest.MonkeyPatch, cells: Path, tmp_path: Path) -> None:
    """Tables, numbers and the figure of two builds whose tools are not run."""
    found, places = made(monkeypatch, tmp_path, sram=SRAM), (tmp_path / "out.json", tmp_path / "area.svg")
    monkeypatch.setattr(synth, "in_cells", lambda *arguments: found)
    done = espalier("synth", "--liberty", cells, "--json", places[0], "--figure", places[1])
    assert (done.status, done.err) == (0, "")
    assert "memories take 24,800 um2" in done.out
    assert places[0].read_text() == found.to_json()
    assert "sparse, memories" in places[1].read_text()


def test_a_family_that_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Cells of an iCE40 are a table and a file; exit status 1, and a line, where no build fits, 0 where they do."""
    for lut, status in ((5277, 0), (5278, 1)):
        found = counts(monkeypatch, "ice40", lut)
        monkeypatch.setattr(synth, "in_family", lambda *arguments, found=found: found)
        done = espalier("synth", "--array", "1x1", "--family", "ice40", "--json", tmp_path / "out.json")
        assert (done.status, done.err) == (status, "")
        assert "sparse, cells of ice40, not placed" in done.out
        assert ("does not fit an iCE40 UP5K" in done.out) == bool(status)
        record = json.loads((tmp_path / "out.json").read_text())
        assert (record["format"], record["placed"], record["modules"][0]["lut"]) == ("espalier-fpga", False, lut + 3)


def test_a_folder_that_is_not_there(cells: Path, tmp_path: Path) -> None:
    """Numbers that could not be written are refused before the work."""
    line = complaint("synth", "--liberty", cells, "--json", tmp_path / "none" / "out.json")
    assert line == f"cannot write to {tmp_path / 'none' / 'out.json'}: No such file or directory"


def built(*words: object, file: Path) -> tuple[Any, dict[str, Any]]:
    """Return what the command did, and what it wrote to the file of numbers."""
    done = espalier("synth", *words, "--json", file)
    assert (done.status, done.err) == (0, "")
    return done, json.loads(file.read_text())


def check(done: Any, record: dict[str, Any], array: MacArray) -> None:
    """Raise AssertionError unless the numbers of one build add up, and the macros hold what the array's memories do."""
    assert (record["format"], record["version"]) == (KIND.name, KIND.version)
    whole, *modules = record["modules"]
    assert whole["module"] == "all"
    for name in ("cells", "flip_flops", "macros", "macro_bits"):
        assert whole[name] == sum(row[name] for row in modules)
    assert whole["area"] == pytest.approx(sum(row["area"] for row in modules))
    assert whole["macro_bits"] == sum(memory.bits for memory in array.memories)
    assert whole["macro_bits"] == sum(row["depth"] * row["width"] * row["count"] for row in record["macros"])
    assert {"lanes", "drain", "sequencer", "fetch", "weights", "activations"} < {row["module"] for row in modules}
    if shutil.which(TOOL):
        slowest = max(row["slowest_path"]["nanoseconds"] for row in modules)
        assert whole["slowest_path"]["nanoseconds"] >= slowest > 0
        assert f"{1e3 / whole['slowest_path']['nanoseconds']:.1f} MHz" in done.out
    else:
        assert whole["slowest_path"] is None
        assert "apt-get install opensta" in done.out


@pytest.mark.slow
def test_an_array(cells: Path, tmp_path: Path) -> None:
    """The smallest array in a library of five cells; the netlist and the memories' Verilog stay in the folder."""
    out = tmp_path / "out"
    words = ("--liberty", cells, "--array", "1x1", *WORDS, "--sparse-only", "--out", out)
    done, record = built(*words, file=tmp_path / "out.json")
    sizes = {"signal_words": 64, "weight_words": 16, "list_entries": 8, "taps": 8, "constants": 8, "layers": 2}
    array = MacArray(1, 1, **sizes)
    check(done, record, array)
    assert record["library"] == "tiny"
    assert {"netlist.v", "macros.v"} <= {path.name for path in (out / "sparse").iterdir()}


@pytest.mark.slow
@pytest.mark.skipif(not OSU.exists(), reason="needs Debian's package qflow-tech-osu018")
def test_an_array_in_cells_of_osu(tmp_path: Path) -> None:
    """An array without lists in 0.18 um: its smallest NAND is NAND2X1, of 24 square micrometres."""
    words = ("--array", "2x2", "--list-entries", 0, "--liberty", OSU, "--clock", "50MHz")
    done, record = built(*words, file=tmp_path / "out.json")
    check(done, record, MacArray(**record["array"]))
    assert [row["build"] for row in record["modules"] if row["module"] == "all"] == ["dense"]
    whole = record["modules"][0]
    assert whole["gate_equivalents"] == pytest.approx(whole["area"] / 24, abs=0.01)
