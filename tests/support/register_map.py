"""Fields of a register map, as its compiler has them and as the map itself says."""

from systemrdl import RDLCompiler

from rtl.bus.registers import DATA, PULSE, READ, TAKE, fields

Fields = list[tuple[str, int, str, int, int, bool, bool, int | None]]


def compiled(compiler: RDLCompiler) -> Fields:
    """Return the fields a compiler has read: register, offset, field, bits, access by software, reset."""
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
        for register in compiler.elaborate().top.registers()
        for field in register.fields()
    ]


def of_the_map(bits: int) -> Fields:
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
