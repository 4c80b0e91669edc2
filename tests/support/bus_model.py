"""What a bus finds in the registers, as numbers: the tests' own reading of the map."""

from dataclasses import dataclass, field

from rtl.bus.registers import (
    CLEAR,
    COUNT,
    READ,
    REGISTERS,
    TAKE,
    WRITE,
    fields,
)


@dataclass
class Model:
    """Registers of a bus of `bits`.

    `given` is what the hardware says, by the name of a field's port: values of READ and TAKE.
    """

    bits: int
    given: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kept = {
            register.port(one): one.reset for _, register, one in fields() if one.access in (WRITE, COUNT, CLEAR)
        }

    def read(self, place: int) -> tuple[int, bool]:
        """Return what is read, and whether there is no such register."""
        found = 0
        for at, register, one in fields():
            if at == place:
                source = self.given if one.access in (READ, TAKE) else self.kept
                found |= source.get(register.port(one), one.reset) << one.lowest
        return found, place >= len(REGISTERS)

    def write(self, place: int, data: int, strobes: int) -> bool:
        """Take a write of the bytes that `strobes` names; return whether there is no such register."""
        mask = sum(0xFF << 8 * byte for byte in range(self.bits // 8) if strobes >> byte & 1)
        for at, register, one in fields():
            if at == place and register.port(one) in self.kept:
                port, ones = register.port(one), (1 << one.bits) - 1
                here, changes = data >> one.lowest & mask >> one.lowest & ones, mask >> one.lowest & ones
                old = self.kept[port]
                self.kept[port] = old & ~here if one.access is CLEAR else old & ~changes | here
        return place >= len(REGISTERS)

    def happens(self, port: str, counts: int = 1) -> None:
        """Set a field that the hardware sets, or count one up that it counts."""
        bits = next(one.bits for _, register, one in fields() if register.port(one) == port)
        clears = any(register.port(one) == port and one.access is CLEAR for _, register, one in fields())
        self.kept[port] = counts | self.kept[port] if clears else (self.kept[port] + counts) % (1 << bits)
