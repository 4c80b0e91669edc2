"""Timing: the slowest path by OpenSTA is the one that the library's delays add up to, and the line without OpenSTA."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support import tiny_cells
from support.silicon import SRAM, Stages

from accel.errors import EspalierError
from rtl.asic import liberty, timing
from rtl.asic.mapping import SHELL, Netlist, map_to_cells
from rtl.asic.sram import built_of
from rtl.asic.timing import SlowPath, time_netlist

HERTZ = 200e6
TINY = liberty.parse(tiny_cells.liberty())
needs_opensta = pytest.mark.skipif(shutil.which(timing.TOOL) is None, reason="needs Debian's package opensta")


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Netlist]:
    """Return the folder and the netlist of the stages."""
    folder = tmp_path_factory.mktemp("stages")
    return folder, map_to_cells(Stages(), TINY, folder, HERTZ)


@needs_opensta
def test_a_path_of_one_gate(stages: tuple[Path, Netlist]) -> None:
    """From a register through an inverter to a register: out of the one, through the gate, and a set-up time."""
    folder, netlist = stages
    found = time_netlist(netlist, folder, HERTZ)
    assert found
    assert found.slowest == SlowPath(start="first", end="second", nanoseconds=2 * tiny_cells.DELAY + tiny_cells.SETUP)
    assert found.modules == {SHELL: found.slowest}
    assert found.tool.startswith("OpenSTA ")


@needs_opensta
def test_memories_are_ends(stages: tuple[Path, Netlist], tmp_path: Path) -> None:
    """Where registers want to be set up after the edge, a path to the memory's address is the slowest."""
    folder, netlist = stages
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (folder / "cells.lib").read_text().replace(f'values ("{tiny_cells.SETUP}")', 'values ("-1")')
    (tmp_path / "cells.lib").write_text(text)
    found = time_netlist(netlist, tmp_path, HERTZ)
    assert found
    assert found.slowest == SlowPath(start="second", end="words", nanoseconds=tiny_cells.DELAY)


@needs_opensta
def test_memories_take_their_times(stages: tuple[Path, Netlist], tmp_path: Path) -> None:
    """What a macro needs to give a word comes before the output, its set-up time after the register."""
    folder, netlist = stages
    for name in ("cells.lib", "netlist.v"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    built = built_of(netlist.shapes[0], SRAM)
    found = time_netlist(netlist, tmp_path, HERTZ, {netlist.shapes[0]: built})
    assert found
    assert (found.slowest.start, found.slowest.nanoseconds) == ("words", built.access_ns)
    slow = time_netlist(netlist, tmp_path, HERTZ, {netlist.shapes[0]: replace(built, access_ns=0, setup_ns=3)})
    assert slow
    assert slow.slowest == SlowPath(start="second", end="words", nanoseconds=tiny_cells.DELAY + 3)


@needs_opensta
def test_a_netlist_that_is_none(stages: tuple[Path, Netlist], tmp_path: Path) -> None:
    """OpenSTA ends with status 0 whatever happens: its first error is the line."""
    folder, netlist = stages
    (tmp_path / "cells.lib").write_bytes((folder / "cells.lib").read_bytes())
    (tmp_path / "netlist.v").write_text("module espalier(")
    with pytest.raises(EspalierError, match=r"OpenSTA failed: \w"):
        time_netlist(netlist, tmp_path, HERTZ)


def test_without_opensta(monkeypatch: pytest.MonkeyPatch, stages: tuple[Path, Netlist]) -> None:
    """There is no timing, and no error: the line that asks for the package is the command's."""
    monkeypatch.setattr(shutil, "which", lambda tool, path=None: None)
    assert time_netlist(stages[1], stages[0], HERTZ) is None
    assert "apt-get install opensta" in timing.MISSING
