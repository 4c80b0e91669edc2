"""Builds lie wherever a user wants them, also in folders whose names have spaces."""

import shutil
from pathlib import Path

import pytest
from support.rtl_builds import write
from support.rtl_layers import SMALL, probe

from rtl import simulators


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["iverilog", "verilator"])
def test_spaces(tmp_path: Path, simulator: str) -> None:
    """A build in a folder with spaces in its name runs as any other, and stays there, to run again."""
    if shutil.which(simulator) is None:
        pytest.skip(f"needs Debian's package {simulator}")
    folder = tmp_path / "a folder of mine"
    folder.mkdir()
    build = write(folder, [probe()], SMALL, simulator)
    assert simulators.run(folder, simulator) == simulators.run(folder, simulator) == build.expected


@pytest.mark.parametrize("simulator", ["iverilog", "verilator"])
def test_not_optimized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: str) -> None:
    """Verilator alone is told to compile without optimisation, where that is asked for; before, nothing is built."""
    told: list[list[str]] = []
    monkeypatch.setattr(simulators.shutil, "which", lambda name: name)
    monkeypatch.setattr(simulators.children, "run", lambda words, folder: told.append(words) or Done())
    for optimized in (True, False):
        simulators.build(tmp_path, simulator, optimized=optimized)
    assert ["-MAKEFLAGS" in words for words in told] == [False, simulator == "verilator"]
    assert not simulators.is_built(tmp_path, simulator)


class Done:
    """A compiler that refused nothing."""

    returncode = 0
