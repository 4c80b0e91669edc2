"""Memories of macros: which fit best, what they add up to, and which files are refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.silicon import SRAM, SRAM_TOML

from accel.errors import EspalierError
from rtl.asic.macros import Shape
from rtl.asic.sram import MOST_BLOCKS, SramLibrary, all_built, built_of, read_sram

ROOT = Path(__file__).parents[1]
SMALL, WIDE = SRAM.macro  # 16 x 8 of 100 um2, 64 x 16 of 500


def test_a_file(tmp_path: Path) -> None:
    """The macros are those of the file; a set-up time that is not there is none."""
    path = tmp_path / "sram.toml"
    path.write_text(SRAM_TOML)
    assert read_sram(path) == SRAM
    assert (SMALL.setup_ns, WIDE.setup_ns) == (0, 0.25)


def test_the_example() -> None:
    """The library that the documentation shows is one, and says where its figures come from."""
    found = read_sram(ROOT / "docs" / "sky130-sram.toml")
    assert [(macro.depth, macro.width) for macro in found.macro] == [(256, 32), (512, 32)]
    assert "VLSIDA" in found.source


@pytest.mark.parametrize(
    ("shape", "macro", "banks", "columns"),
    [
        (Shape(16, 8), "small", 1, 1),
        (Shape(17, 9), "small", 2, 2),  # 400 um2, where one of the wide ones takes 500
        (Shape(33, 16), "wide", 1, 1),  # of small ones six
        (Shape(64, 33), "wide", 1, 3),  # of small ones twenty
        (Shape(1, 40), "small", 1, 5),  # 500 um2; of wide ones three
    ],
)
def test_the_least_area(shape: Shape, macro: str, banks: int, columns: int) -> None:
    """Ceilings of depth over depth and of width over width, of the macro that takes the least area."""
    found = built_of(shape, SRAM)
    assert (found.macro, found.banks, found.columns, found.blocks) == (macro, banks, columns, banks * columns)


def test_figures() -> None:
    """Area and leakage are those of all macros, the energy that of one bank, times those of one."""
    found = built_of(Shape(130, 40), replace(SRAM, macro=(WIDE,)))
    assert (found.banks, found.columns) == (3, 3)
    assert (found.area_um2, found.leakage_uw) == (9 * 500, 9 * 0.5)
    assert (found.read_pj, found.write_pj) == (3 * 4, 3 * 5)
    assert (found.access_ns, found.setup_ns) == (2.5, 0.25)


def test_equal_areas() -> None:
    """Of equal areas the fewest macros, then the first name."""
    twice = replace(SMALL, name="twice", depth=32, area_um2=200)
    assert built_of(Shape(32, 8), SramLibrary("", (SMALL, twice))).macro == "twice"
    assert built_of(Shape(16, 8), SramLibrary("", (SMALL, replace(SMALL, name="another")))).macro == "another"


def test_nothing_fits() -> None:
    """A memory that would take too many macros is none; the line says of which, and how many."""
    most = Shape(16 * MOST_BLOCKS, 8)
    only = replace(SRAM, macro=(SMALL,))
    assert built_of(most, only).blocks == MOST_BLOCKS
    line = r"no macro fits espalier_sram_4097x8: of small, 16 words of 8 bits, it would take 257, and 256 are the most"
    with pytest.raises(EspalierError, match=line):
        built_of(Shape(most.depth + 1, 8), only)


def test_all() -> None:
    """Each shape has its memory; without a library there is none."""
    shapes = [Shape(16, 8), Shape(64, 16)]
    assert all_built(shapes, SRAM) == {shape: built_of(shape, SRAM) for shape in shapes}
    assert all_built(shapes, None) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[macro]", "is not TOML"),
        ('source = "none"\nmacro = []', r"has no \[\[macro\]\]: expected at least one"),
        ("", "missing required field source"),
        (SRAM_TOML.replace("read_pj = 1", ""), r"macro\[0\]: Object missing required field read_pj"),
        (SRAM_TOML.replace("area_um2 = 100", "area_um2 = -1"), "macro small: area_um2 must be 0..1e[+]12, got -1"),
        (SRAM_TOML.replace("depth = 16", "depth = 0"), "macro small: depth must be 1..1e[+]12, got 0"),
        (SRAM_TOML.replace("leakage_uw = 0.1", "leakage_uw = nan"), "macro small: leakage_uw must be 0..1e[+]12, got"),
        (SRAM_TOML.replace("width = 8", 'width = "8"'), r"macro\[0\].width: Expected int, got str"),
        (SRAM_TOML + "ports = 2\n", r"macro\[1\]: has no field ports; its fields are name, depth"),
    ],
)
def test_refused(text: str, line: str, tmp_path: Path) -> None:
    """What is not TOML, or has a field that is missing, negative, unknown or of another type: a line with the file."""
    path = tmp_path / "sram.toml"
    path.write_text(text)
    with pytest.raises(EspalierError, match=line) as error:
        read_sram(path)
    assert str(error.value).startswith(f"{path}: ")


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there."""
    with pytest.raises(EspalierError, match=r"cannot read .*none.toml: No such file"):
        read_sram(tmp_path / "none.toml")
