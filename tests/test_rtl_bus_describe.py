"""What is derived from the map says what the map says: to a compiler of SystemRDL, to a reader, to C."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from peakrdl_ipxact import IPXACTExporter
from systemrdl import RDLCompiler
from systemrdl.messages import RDLCompileError

from accel.array import MacArray
from rtl.bus.describe import header, markdown, systemrdl
from rtl.bus.registers import CLEAR, DATA, PULSE, READ, REGISTERS, TAKE, fields
from rtl.layout import Target

Parsed = list[tuple[str, int, str, int, int, bool, bool, int | None]]


def parsed(text: str, folder: Path) -> Parsed:
    """Return the fields that PeakRDL's compiler finds: register, offset, field, bits, access by software, reset."""
    (folder / "map.rdl").write_text(text)
    compiler = RDLCompiler()
    compiler.compile_file(str(folder / "map.rdl"))
    top = compiler.elaborate().top
    return [
        (
            register.inst_name,
            register.absolute_address,
            field.inst_name,
            field.low,
            field.width,
            field.is_sw_readable,
            field.is_sw_writable,
            field.get_property("reset"),
        )
        for register in top.registers()
        for field in register.fields()
    ]


def of_the_map(bits: int) -> Parsed:
    """Return the same of the map itself."""
    return [
        (
            register.name,
            place * bits // 8,
            field.name,
            field.lowest,
            field.bits or bits,
            field.access not in (PULSE, DATA),
            field.access not in (READ, TAKE),
            None if field.access in (DATA, TAKE) else field.reset,
        )
        for place, register, field in fields()
    ]


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


def test_ip_xact(tmp_path: Path) -> None:
    """PeakRDL's exporter takes the map: every register with its offset, every field with its place and width."""
    (tmp_path / "map.rdl").write_text(systemrdl("espalier_axi", 32))
    compiler = RDLCompiler()
    compiler.compile_file(str(tmp_path / "map.rdl"))
    IPXACTExporter().export(compiler.elaborate(), str(tmp_path / "map.xml"))
    space = {"x": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}
    found = [
        (register.findtext("x:name", "", space), int(register.findtext("x:addressOffset", "", space)[2:], 16), *numbers)
        for register in ElementTree.parse(tmp_path / "map.xml").getroot().iterfind(".//x:register", space)
        for field in register.iterfind("x:field", space)
        for numbers in [[int(field.findtext(f"x:{name}", "", space)) for name in ("bitOffset", "bitWidth")]]
    ]
    assert found == [(name, offset, low, width) for name, offset, _, low, width, *_ in of_the_map(32)]
    assert found != [(name, offset, low, width) for name, offset, _, low, width, *_ in of_the_map(64)]


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
