"""The map itself: what every reader of it relies on."""

from rtl.bus.registers import ADDRESS_BITS, DATA, MAP_BITS, REGISTERS, TAKE, Register, fields


def overlaps(register: Register) -> bool:
    """Return whether two fields of a register share a bit."""
    taken = [bit for field in register.fields for bit in range(field.lowest, field.lowest + field.bits)]
    return len(set(taken)) != len(taken)


def test_fields_lie_beside_each_other() -> None:
    """No two share a bit, none leaves the 32 bits that every bus has."""
    assert not any(map(overlaps, REGISTERS))
    assert all(field.lowest + field.bits <= MAP_BITS for _, _, field in fields())
    assert all(field.reset < 1 << field.bits for _, _, field in fields() if field.bits)


def test_an_overlap_is_seen() -> None:
    """Control: a field beside its own copy."""
    control = REGISTERS[1]
    assert overlaps(Register("TWICE", "", (*control.fields, control.fields[-1])))


def test_names_are_unique() -> None:
    """Registers have names of their own, and so have the ports of their fields."""
    assert len({register.name for register in REGISTERS}) == len(REGISTERS)
    ports = [register.port(field) for _, register, field in fields()]
    assert len(set(ports)) == len(ports)


def test_data_has_a_register_of_its_own() -> None:
    """What is as wide as the bus shares its register with nothing."""
    assert all(len(register.fields) == 1 for _, register, field in fields() if field.access in (DATA, TAKE))


def test_the_map_fits_its_space() -> None:
    """Also on a bus of 64 bits, on which a register takes 8 bytes."""
    assert len(REGISTERS) * 8 <= 1 << ADDRESS_BITS
