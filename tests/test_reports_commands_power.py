"""`espalier power`: what it says and writes of gates that are not run, and what it refuses."""

import json
from pathlib import Path

import pytest
from support import tiny_cells
from support.commandline import complaint, contents, espalier
from support.power import job, made
from support.silicon import TWO_VOLTS

from reports.commands import power
from reports.workflow.power import KIND

ARRAY = ("--array", "2x1")


@pytest.fixture
def words(tmp_path: Path) -> tuple[object, ...]:
    """Return a right command line."""
    saved, cells = tmp_path / "small.espalier", tmp_path / "cells.lib"
    job()[1].program.save(saved)
    cells.write_text(TWO_VOLTS)
    return ("power", saved, "--liberty", cells, *ARRAY)


def test_what_is_told(monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], tmp_path: Path) -> None:
    """The table, the lines, and numbers of a kind of their own."""
    (tmp_path / "work").mkdir()
    found, file = made(monkeypatch, tmp_path / "work"), tmp_path / "power.json"
    monkeypatch.setattr(power, "measured", lambda *arguments: found)
    done = espalier(*words, "--json", file)
    assert done.status == 0
    assert "nJ of one image" in done.out
    assert f"{1e3 * found.watts():.3f} mW" in done.out
    record = json.loads(file.read_text())
    assert (record["format"], record["version"]) == (KIND.name, KIND.version)


def test_refused(words: tuple[object, ...], tmp_path: Path) -> None:
    """One line each, and nothing is left: no Liberty file, no flip-flops, no voltage, no simulator, no technology."""
    cells, before = tmp_path / "cells.lib", set(contents(tmp_path))
    for text, line in (
        ("some text", f"{cells}: is no Liberty file: expected library (NAME) {{ ... }}"),
        (tiny_cells.liberty("DFF"), f"{cells}: has no flip-flop: expected a cell with a group ff (...) {{ ... }}"),
        (tiny_cells.liberty(), "tiny has no default operating conditions, whose voltage power is counted at"),
    ):
        cells.write_text(text)
        assert complaint(*words) == line
    cells.write_text(TWO_VOLTS)
    assert complaint(*words, "--simulator", "nothing").startswith("unknown simulator 'nothing'")
    assert complaint(*words, "--technology", "nothing").startswith("unknown technology 'nothing'")
    assert complaint(*words, "--sram-library", cells).startswith(f"{cells}: is not TOML: ")
    assert complaint(*words, "--clock", "0MHz").startswith("--clock 0MHz: expected a frequency above 0")
    assert set(contents(tmp_path)) == before
