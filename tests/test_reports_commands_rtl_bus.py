"""`espalier rtl --bus`: a wrapped build beside the bare one, and what is refused."""

from pathlib import Path

import pytest
from support.commandline import complaint, contents, espalier
from support.programs import PIXEL, mac_layer, program

from accel.network import INPUT
from accel.window import Window


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a Program of one small layer."""
    path = tmp_path_factory.mktemp("saved") / "tiny.espalier"
    program([mac_layer("conv", INPUT, [[[1, -2, 3, 1]]], PIXEL, window=Window((2, 2)))], (1, 3, 3)).save(path)
    return path


def test_the_bare_build_stays_as_it_is(saved: Path, tmp_path: Path) -> None:
    """A bus adds files, and changes none: what verifies the array does so as before."""
    words = ("rtl", saved, "--array", "1x1", "--images", 1, "--out")
    assert espalier(*words, tmp_path / "bare").status == 0
    assert espalier(*words, tmp_path / "none", "--bus", "none").status == 0
    done = espalier(*words, tmp_path / "axi", "--bus", "axi", "--bus-bits", 64)
    assert done.status == 0
    bare, wrapped = contents(tmp_path / "bare"), contents(tmp_path / "axi")
    assert contents(tmp_path / "none") == bare
    added = {"espalier_axi.v", "espalier.c", "espalier.h", "espalier_registers.h", "registers.rdl", "registers.md"}
    assert set(wrapped) - set(bare) == added | {"registers.ipxact.xml", "program0.bin"}
    assert {name for name in bare if wrapped[name] != bare[name]} == {"espalier.core"}  # which knows the wrapper
    assert "  default regwidth = 64;" in (tmp_path / "axi" / "registers.rdl").read_text()


def test_without_peakrdl(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IP-XACT is left out, a line says what to install, and nothing else is another; a bare build has no map."""
    words = ("rtl", saved, "--array", "1x1", "--images", 1, "--out")
    told = espalier(*words, tmp_path / "with", "--bus", "axi").out.splitlines()
    monkeypatch.setattr("rtl.bus.ipxact.is_there", lambda: False)
    done = espalier(*words, tmp_path / "without", "--bus", "axi")
    assert done.status == 0
    line = 'registers.ipxact.xml is left out, for PeakRDL is not installed: pip install "espalier-hw[ipxact]"'
    assert (done.out.splitlines()[1:], told[1:]) == ([line], [])
    whole = contents(tmp_path / "with")
    del whole["registers.ipxact.xml"]
    assert contents(tmp_path / "without") == whole
    assert "IP-XACT" not in espalier(*words, tmp_path / "bare").out


def test_what_is_no_bus(saved: Path, tmp_path: Path) -> None:
    """One line that names those there are, and nothing is written."""
    words = ("rtl", saved, "--out", tmp_path / "build")
    assert complaint(*words, "--bus", "axis") == "unknown bus 'axis': did you mean 'axi'? (known: none, axi, wishbone)"
    assert complaint(*words, "--bus-bits", "wide") == "unknown bus-bits 'wide': (known: 32, 64)"
    assert contents(tmp_path) == {}
