"""The register map as others read it: SystemRDL, a table, a C header. All of it comes from `rtl.bus.registers`."""

from accel.array import MacArray
from rtl.bus.images import code_bits
from rtl.bus.registers import (
    CLEAR,
    COUNT,
    DATA,
    PULSE,
    READ,
    REGISTERS,
    TAKE,
    WRITE,
    Access,
    Field,
    Register,
)
from rtl.bus.results import result_bits
from rtl.layout import Target

PROPERTIES: dict[Access, str] = {  # of SystemRDL 2.0
    READ: "sw = r; hw = w;",
    WRITE: "sw = rw; hw = r;",
    COUNT: "sw = rw; hw = rw;",
    PULSE: "sw = w; hw = r; singlepulse;",
    CLEAR: "sw = rw; hw = rw; onwrite = woclr;",
    DATA: "sw = w; hw = r;",
    TAKE: "sw = r; hw = w; onread = ruser;",
}
RESETS = (READ, WRITE, COUNT, PULSE, CLEAR)  # accesses of fields that a reset settles
SHORT: dict[Access, str] = {READ: "r", WRITE: "rw", COUNT: "rw", PULSE: "w", CLEAR: "rw1c", DATA: "w", TAKE: "r"}


def offset(register: Register, bits: int) -> int:
    """Return the first byte of a register on a bus of so many bits."""
    return REGISTERS.index(register) * bits // 8


def _width(field: Field, bits: int) -> int:
    return field.bits or bits


def systemrdl(name: str, bits: int) -> str:
    """Return the map in SystemRDL 2.0 (Accellera), as the address map `name`."""
    lines = [f"addrmap {name} {{", '  name = "Espalier";', f"  default regwidth = {bits};", ""]
    for register in REGISTERS:
        taken = any(field.access is TAKE for field in register.fields)  # what a read does is not the register's own
        lines += [
            f"  {'external ' * taken}reg {{",
            f'    name = "{register.name}";',
            f'    desc = "{_text(register.text)}.";',
        ]
        for field in register.fields:
            low, width = field.lowest, _width(field, bits)
            settled = f" = {width}'h{field.reset:x}" if field.access in RESETS else ""
            lines.append(f'    field {{ desc = "{_text(field.text)}"; {PROPERTIES[field.access]} }}')
            lines.append(f"      {field.name}[{low + width - 1}:{low}]{settled};")
        lines.append(f"  }} {register.name} @ 0x{offset(register, bits):x};")
    return "\n".join([*lines, "};", ""])


def _text(text: str) -> str:
    return text.replace("`", "'")


def markdown(name: str, bits: int) -> str:
    """Return the map as a table."""
    lines = [f"# Registers of {name}", ""]
    lines += [
        f"A word of {bits} bits each. Bytes that a write leaves out stay as they were, and are 0 where it is data."
    ]
    lines += ["What is not listed is an error of the bus.", ""]
    lines += [
        "| offset | register | bits | field | access | reset | meaning |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for register in REGISTERS:
        for field in register.fields:
            low, high = field.lowest, field.lowest + _width(field, bits) - 1
            place = str(low) if low == high else f"{high}:{low}"
            cells = (
                f"0x{offset(register, bits):02x}",
                f"`{register.name}`",
                place,
                f"`{field.name}`",
                SHORT[field.access],
            )
            settled = f"{field.reset:#x}" if field.access in RESETS else ""
            lines.append(f"| {' | '.join(cells)} | {settled} | {field.text} |")
    kinds = {SHORT[access]: access.value for access in (READ, WRITE, PULSE, CLEAR)}
    return "\n".join([*lines, "", *(f"- {short}: {value}" for short, value in kinds.items()), ""])


def header(array: MacArray, bits: int) -> str:
    """Return the map and what of the array a driver must know, in C."""
    result, defines = result_bits(array.accumulator_bits), dict[str, str]()
    defines |= {"BUS_BITS": str(bits), "BEAT_CODES": str(array.pixel_lanes), "CODE_BYTES": str(code_bits(array) // 8)}
    for register in REGISTERS:
        defines[register.name] = f"0x{offset(register, bits):02x}"
        for field in register.fields:
            if field.name == "VALUE":
                continue
            ones = (1 << field.bits) - 1
            defines[f"{register.name}_{field.name}"] = f"0x{ones << field.lowest:x}u"
            if field.bits > 1:
                defines[f"{register.name}_{field.name}_SHIFT"] = str(field.lowest)
    defines["IDENTITY"] = f"0x{REGISTERS[0].fields[0].reset:x}u"
    defines |= {f"TARGET_{target.name}": str(int(target)) for target in Target}
    lines = ["/* Where the registers of this build lie, and their fields as masks. Made by `espalier rtl`. */"]
    lines += ["#ifndef ESPALIER_REGISTERS_H", "#define ESPALIER_REGISTERS_H", "#include <stdint.h>", ""]
    lines += [f"typedef uint{bits}_t espalier_word;", f"typedef int{result}_t espalier_result;", ""]
    lines += [f"#define ESPALIER_{name} {value}" for name, value in defines.items()]
    return "\n".join([*lines, "", "#endif", ""])
