"""The register map in IP-XACT, read as its standard has it (IEEE 1685-2014)."""

from xml.etree import ElementTree

import pytest
from support.register_map import Fields, of_the_map

from rtl.bus.describe import systemrdl
from rtl.bus.ipxact import ipxact

SPACE = {"": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}


def number(parent: ElementTree.Element, path: str) -> int:
    """Return a number, decimal or as Verilog writes hexadecimal ones."""
    text = parent.findtext(path, "", SPACE)
    return int(text[2:], 16) if text.startswith("'h") else int(text)


def read(content: bytes) -> Fields:
    """Return all fields: register, offset, field, bits, access by software, reset."""
    (block,) = ElementTree.fromstring(content).iterfind("memoryMaps/memoryMap/addressBlock", SPACE)
    assert number(block, "baseAddress") == 0
    found: Fields = []
    for register in block.iterfind("register", SPACE):
        assert number(register, "size") == number(block, "width")
        for field in register.iterfind("field", SPACE):
            access = field.findtext("access", "", SPACE)
            found.append(
                (
                    register.findtext("name", "", SPACE),
                    number(register, "addressOffset"),
                    field.findtext("name", "", SPACE),
                    number(field, "bitOffset"),
                    number(field, "bitWidth"),
                    "read" in access,
                    "write" in access,
                    number(field, "resets/reset/value") if field.find("resets", SPACE) is not None else None,
                )
            )
    return found


@pytest.mark.parametrize("bits", [32, 64])
def test_it_is_the_map(bits: int) -> None:
    """Every field at its place, with its access and reset; the control: not the map of the other width."""
    found = read(ipxact(systemrdl("espalier_axi", bits)))
    assert found == of_the_map(bits)
    assert found != of_the_map(96 - bits)


@pytest.mark.parametrize(
    ("old", "new"), [("bitOffset>2<", "bitOffset>5<"), ("access>read-only<", "access>read-write<")]
)
def test_a_wrong_field_is_seen(old: str, new: str) -> None:
    """Control: one that lies elsewhere, and one whose access is another."""
    wrong = ipxact(systemrdl("espalier_axi", 32)).replace(old.encode(), new.encode(), 1)
    assert read(wrong) != of_the_map(32)


def test_what_it_is_called() -> None:
    """The component has the name of the wrapper's module and a version; the same map gives the same bytes."""
    content = ipxact(systemrdl("espalier_wishbone", 32))
    root = ElementTree.fromstring(content)
    names = [root.findtext(name, "", SPACE) for name in ("vendor", "library", "name", "version")]
    assert names == ["espalier-hw", "espalier", "espalier_wishbone", "0.1.0"]
    assert ipxact(systemrdl("espalier_wishbone", 32)) == content
