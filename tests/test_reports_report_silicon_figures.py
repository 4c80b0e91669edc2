"""The figure of areas: a bar for cells and one for memories, stacked by module, equal to the rows."""

import math

import pytest
from support.silicon import SRAM, made

from reports.report.silicon_figures import area, drawn
from reports.workflow.silicon import Silicon


@pytest.fixture
def silicon(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Silicon:
    """Return two builds whose memories are known."""
    return made(monkeypatch, tmp_path, sram=SRAM)


def test_stacks(silicon: Silicon) -> None:
    """Bars of a build end at all of its area, of cells and of memories, and begin where the module before ends."""
    (axes,) = area(silicon).axes
    bars = [label.get_text() for label in axes.get_yticklabels()]
    assert bars == ["sparse, cells", "sparse, memories", "dense, cells", "dense, memories"]
    ends = [0.0] * len(bars)
    for container in axes.containers:
        for place, patch in enumerate(container):
            assert patch.get_x() == pytest.approx(ends[place])
            ends[place] += patch.get_width()
    wholes = [(whole.area, whole.macro_um2 or math.nan) for whole in silicon.whole()]
    assert ends == pytest.approx([size * 1e-6 for pair in wholes for size in pair])


def test_without_memories(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Without a library of macros there are bars of cells alone."""
    (axes,) = area(made(monkeypatch, tmp_path)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sparse, cells", "dense, cells"]


def test_files(silicon: Silicon) -> None:
    """Both kinds, and the same bytes from the same results."""
    assert drawn(silicon, "png").startswith(b"\x89PNG")
    assert b"<svg" in drawn(silicon, "svg")
    assert drawn(silicon, "svg") == drawn(silicon, "svg")
