"""What is derived from the map says what the map says: to a compiler of SystemRDL, to a reader, to C."""

import re
from pathlib import Path

import pytest
from support.register_map import Fields, compiled, of_the_map
from systemrdl import RDLCompiler
from systemrdl.messages import RDLCompileError

from accel.array import MacArray
from rtl.bus.describe import header, markdown, systemrdl
from rtl.bus.registers import CLEAR, REGISTERS, fields
from rtl.layout import Target


def parsed(text: str, folder: Path) -> Fields:
    """Return the fields that PeakRDL's compiler finds in a text."""
    (folder / "map.rdl").write_text(text)
    compiler = RDLCompiler()
    compiler.compile_file(str(folder / "map.rdl"))
    return compiled(compiler)


@pytest.mark.parametrize("bits", [32, 64])
def test_systemrdl_is_the_map(bits: int, tmp_path: Path) -> None:
    """Every field at its place, with its access and reset."""
    assert parsed(systemrdl("espalier_axi", bits), tmp_path) == of_the_map(bits)


def test_a_wrong_map_is_seen(tmp_path: Path) -> None:
    """Control: a field elsewhere, and two in one place, which the compiler refuses."""
    text = systemrdl("espalier_axi", 32)
    assert parsed(text.replace("AUTO[2:2]", "AUTO[4:4]"), tmp_path) != of_the_map(32)
    with pytest.raises(RDLCompileError):
        parsed(text.replace("AUTO[2:2]", "AUTO[3:3]"), tmp_path)


def test_the_table() -> None:
    """A row for each field; a bar would end a cell."""
    rows = [line for line in markdown("espalier_axi", 64).splitlines() if line.startswith("| 0x")]
    assert len(rows) == len(list(fields()))
    assert all(row.count("|") == 8 for row in rows)
    assert rows[-1].startswith(f"| 0x{8 * (len(REGISTERS) - 1):02x} | `RESULT` | 63:0 | `VALUE` | r | ")


def test_the_header() -> None:
    """Offsets, masks and targets as C has them, and the words of bus and results."""
    text = header(MacArray(4, 2, signal_bits=9, accumulator_bits=40), 64)
    defined = {
        name: int(value.rstrip("u"), 0) for name, value in re.findall(r"^#define ESPALIER_(\w+) (\w+)$", text, re.M)
    }
    assert defined["BEAT_CODES"] == 2
    assert defined["CODE_BYTES"] == 2
    assert "typedef uint64_t espalier_word;\ntypedef int64_t espalier_result;" in text
    for place, register, field in fields():
        assert defined[register.name] == 8 * place
        if field.name != "VALUE":
            assert defined[f"{register.name}_{field.name}"] == ((1 << field.bits) - 1) << field.lowest
    assert all(defined[f"TARGET_{target.name}"] == target for target in Target)
    assert any(field.access is CLEAR for _, _, field in fields())
