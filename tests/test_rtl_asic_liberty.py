"""Reading Liberty: areas, leakage, which cell is what, and what is no library of use."""

import gzip
from pathlib import Path

import pytest
from support import tiny_cells

from accel.errors import EspalierError
from rtl.asic import liberty

TEXT = tiny_cells.liberty()


def gate(function: str, pins: str = "AB") -> liberty.Cell:
    """Return a gate of this function."""
    return liberty.Cell(
        name="gate", area=1, leakage_watts=0, inputs=tuple(pins), outputs={"Y": function}, register=False
    )


def test_a_library() -> None:
    """Cells have the areas, leakages and pins that the file says; the smallest NAND and buffer are found."""
    found = liberty.parse(TEXT)
    assert found.name == "tiny"
    assert {name: cell.area for name, cell in found.cells.items()} == tiny_cells.AREAS
    leakages = {name: cell.leakage_watts for name, cell in found.cells.items()}
    assert leakages == pytest.approx({name: value * 1e-9 for name, value in tiny_cells.LEAKAGES.items()})
    assert [name for name, cell in found.cells.items() if cell.register] == ["DFF"]
    assert (found.cells["NOR2"].inputs, found.cells["NOR2"].outputs) == (("A", "B"), {"Y": "(A + B)'"})
    assert found.nand2.name == "NAND2"
    assert found.buffer
    assert found.buffer.name == "BUF"


def test_the_smallest() -> None:
    """Of two NANDs the smaller counts, and one that takes no area counts as none."""
    larger = TEXT.replace("cell (NOR2) {\n    area : 5;", "cell (NAND2X2) {\n    area : 9;").replace(
        "(A + B)'", "!(A B)"
    )
    assert liberty.parse(larger).nand2.name == "NAND2"
    assert liberty.parse(larger.replace("area : 4;", "area : 0;")).nand2.name == "NAND2X2"


@pytest.mark.parametrize("function", ["!(A&B)", "(A B)'", "!A | !B", "(!A) + (!B)", "!(A*B)", "A' + B'", "1 ^ (A & B)"])
def test_a_nand(function: str) -> None:
    """A NAND is one however its function is written."""
    assert gate(function).table() == (1, 1, 1, 0)


@pytest.mark.parametrize(
    ("function", "table"),
    [
        ("A ^ B & A", (0, 1, 0, 0)),  # an XOR binds more than an AND
        ("A + B A'", (0, 1, 1, 1)),
        ("!A & B", (0, 0, 1, 0)),
        ("A & C", (2, 2, 2, 2)),
        ("", (2, 2, 2, 2)),
    ],
)
def test_other_gates(function: str, table: tuple[int, ...]) -> None:
    """Operators bind as the manual says, the first pin counts fastest; what is no function of the pins is no gate."""
    assert gate(function).table() == table


def test_no_gates() -> None:
    """A cell with a register, or with three inputs, is no gate of two."""
    assert gate("A&B&C", "ABC").table() == ()
    assert liberty.parse(TEXT).cells["DFF"].table() == ()


def test_leakage_by_states() -> None:
    """Without a leakage of its own a cell has the mean of its states, else the library's; the unit is the file's."""
    each = 'leakage_power () { value : 2; when : "A"; } leakage_power () { value : 4; }'
    states = TEXT.replace("cell_leakage_power : 1.0;", each)
    states = states.replace("cell_leakage_power : 1.5;", "").replace('"1nW"', '"10pW"')
    found = liberty.parse(states.replace("delay_model", "default_cell_leakage_power : 7; delay_model"))
    leakages = [found.cells[name].leakage_watts for name in ("INV", "BUF", "NAND2")]
    assert leakages == pytest.approx([3e-11, 7e-11, 2e-11])


def test_volts() -> None:
    """The voltage of the conditions that hold by default, of several; without such there is none."""
    others = 'operating_conditions ("slow") { voltage : 1.6; } operating_conditions("typ.1") {\n process : 1;\n voltage'
    text = TEXT.replace("library (tiny) {", f"library (tiny) {{ {others} : 1.80; }} ")
    assert liberty.parse(text + "").volts == 0
    default = 'library (tiny) { default_operating_conditions : "typ.1";'
    assert liberty.parse(text.replace("library (tiny) {", default)).volts == 1.8


def test_gzip(tmp_path: Path) -> None:
    """A gzipped file is the same library, whatever it is called."""
    (tmp_path / "cells").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / "cells.lib").write_text(TEXT)
    assert liberty.read(tmp_path / "cells") == liberty.read(tmp_path / "cells.lib")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "is no Liberty file: expected library (NAME) { ... }"),
        ("module library (a); endmodule", "is no Liberty file: expected library (NAME) { ... }"),
        (TEXT[: len(TEXT) // 2], "is no whole Liberty file: it ends within a group"),
        (TEXT + "}", "is no Liberty file: it closes more groups than it opens"),
        ("library (empty) { }", "is no whole Liberty file: it has no cell"),
        (tiny_cells.liberty("DFF"), "has no flip-flop: expected a cell with a group ff (...) { ... }"),
        (tiny_cells.liberty("NAND2"), "has no NAND of two inputs, whose area gate equivalents are counted in"),
        (TEXT.replace("area : 5", "area : five"), "cell NOR2: five is no number"),
        (TEXT.replace('"1nW"', '"1n"'), "leakage_power_unit 1n: expected one such as 1nW"),
    ],
)
def test_refused(text: str, line: str, tmp_path: Path) -> None:
    """What is no Liberty file, is cut short or lacks what is counted: one line that begins with the file's name."""
    path = tmp_path / "cells.lib"
    path.write_text(text)
    with pytest.raises(EspalierError) as error:
        liberty.read(path)
    assert str(error.value) == f"{path}: {line}"


def test_files_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that is not there, one whose gzip is cut, and one that unpacks to more than a library has."""
    with pytest.raises(EspalierError, match=r"cannot read .*missing: No such file"):
        liberty.read(tmp_path / "missing")
    packed = gzip.compress(TEXT.encode())
    (tmp_path / "cut").write_bytes(packed[:-20])
    with pytest.raises(EspalierError, match=r"cut: is a damaged gzip file"):
        liberty.read(tmp_path / "cut")
    (tmp_path / "large").write_bytes(packed)
    monkeypatch.setattr(liberty, "MOST_BYTES", len(TEXT) - 1)
    with pytest.raises(EspalierError, match=r"large: has more than \d+ bytes unpacked"):
        liberty.read(tmp_path / "large")
