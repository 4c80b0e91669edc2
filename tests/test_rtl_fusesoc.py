"""A build is a core of FuseSoC: `fusesoc run` simulates it to a verdict, and lints it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.rtl_layers import SMALL, probe

from rtl.bus.build import wrap

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog"),
    pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Debian's package verilator"),
]


def fusesoc(folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    """Run a target of the core in `folder`, by the command that the core shows."""
    tool = shutil.which("fusesoc", path=str(Path(sys.executable).parent)) or "fusesoc"
    words = [tool, "--cores-root", ".", "run", "--target", target, "espalier"]
    environment = os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a wrapped build of two images."""
    for name, content in wrap([probe()], SMALL, "axi").items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_it_is_simulated(folder: Path) -> None:
    """The testbench runs in Icarus, and its verdict is FuseSoC's; with one expected bit wrong it is another one."""
    done = fusesoc(folder, "sim")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DONE images 2 rows 18 errors 0" in done.stdout + done.stderr
    first, *rest = (folder / "expected.hex").read_text().split()
    (folder / "expected.hex").write_text("\n".join([f"{int(first, 16) ^ 1:0{len(first)}x}", *rest, ""]))
    done = fusesoc(folder, "sim")
    assert done.returncode != 0
    assert "errors 1" in done.stdout + done.stderr


def test_it_is_clean(folder: Path) -> None:
    """Lint of the wrapper with the array says nothing; a wire that nothing drives is told."""
    assert fusesoc(folder, "lint").returncode == 0
    top = folder / "espalier_axi.v"
    top.write_text(top.read_text().replace("\nendmodule", "\n  wire open, used; assign used = open;\nendmodule", 1))
    done = fusesoc(folder, "lint")
    assert done.returncode != 0
    assert "UNDRIVEN" in done.stdout + done.stderr
