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
