"""Registers and masks into hard blocks: what yosys leaves before and behind multipliers, memories, adders of an ECP5.

A multiplier has registers of its own at its operands and its product, a block RAM at its output. Without them a wire to
the block, the block and the wire behind it share one cycle, which an array of 64 multipliers cannot meet at 100 MHz.
yosys maps to the blocks and leaves their registers unused. This moves registers in where no cycle and no value changes:

- every bit of both operands comes from registers that share clock and enable and have no reset: the block takes copies,
  and the registers stay for whoever else reads them;
- every bit of a product, or of a word that is read, goes to one register and nowhere else, and those likewise.

A bit of an adder has a look-up table in front of its carry, of which yosys uses two inputs. With a third at 0 the table
gives A, and so does what it generates, as if B were 0: where B is masked, by a look-up table of its own for each bit,
the mask goes there instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Bit = int | str  # a net's number, or a constant: "0", "1", "x"
Cell = dict[str, Any]

REGISTER, MULTIPLIER, MEMORY = "TRELLIS_FF", "MULT18X18D", "DP16KD"
TABLE, ADDER, SUM = "LUT4", "CCU2C", 0x96AA  # the table of a bit whose C is 0: A + B where D is 1, A where it is 0
OPERAND_BITS, PRODUCT_BITS, WORD_BITS = 18, 36, 18
PLAIN = {"REGSET": "RESET", "LSRMUX": "LSR", "CLKMUX": "CLK"}  # comes up as 0, rising edge


@dataclass(frozen=True)
class Control:
    """What a register obeys: the nets of its clock and its enable; the enable is "1" if it has none."""

    clock: Bit
    enable: Bit


class Netlist:
    """The cells of a module, and who drives and who reads each net.

    Parameters
    ----------
    module : dict
        A module of yosys's JSON; `pack` changes it in place.
    """

    def __init__(self, module: dict[str, Any]) -> None:
        self.cells: dict[str, Cell] = module["cells"]
        self.driver: dict[Bit, str] = {}
        self.readers: dict[Bit, list[str]] = {}  # a port of the module is a reader without a name
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                for bit in bits:
                    if cell["port_directions"][port] == "output":
                        self.driver[bit] = name
                    else:
                        self.readers.setdefault(bit, []).append(name)
        for port in module["ports"].values():
            if port["direction"] == "output":
                for bit in port["bits"]:
                    self.readers.setdefault(bit, []).append("")

    def pack(self) -> dict[str, int]:
        """Move registers and masks into blocks; return how many blocks have them now, by what they hold."""
        kinds = (MULTIPLIER, MEMORY, ADDER)
        blocks = {kind: [x for x in self.cells if self.cells[x]["type"] == kind] for kind in kinds}
        counts = {
            "operands": sum(self._take_operands(name) for name in blocks[MULTIPLIER]),
            "products": sum(self._take_product(name) for name in blocks[MULTIPLIER]),
            "words": sum(self._take_word(name) for name in blocks[MEMORY]),
            "masks": sum(self._take_mask(name, place) for name in blocks[ADDER] for place in "01"),
        }
        for name, cell in list(self.cells.items()):
            if cell["type"] == REGISTER and not self.readers.get(cell["connections"]["Q"][0]):
                del self.cells[name]
        return counts

    def _take_operands(self, name: str) -> bool:
        """Take both operands or none: nextpnr has no times for a multiplier that has a register at one of them."""
        cell = self.cells[name]
        operands = [[f"{side}{place}" for place in range(OPERAND_BITS)] for side in "AB"]
        controls = [self._control_before([_bit(cell, port) for port in ports]) for ports in operands]
        if None in controls:
            return False
        for number, (ports, control) in enumerate(zip(operands, controls, strict=True)):
            assert control  # for the type checker: seen above
            for port in ports:
                bit = _bit(cell, port)
                if bit != "0":
                    before = self.cells[self.driver[bit]]["connections"]["DI"][0]
                    self.readers[bit].remove(name)
                    self.readers.setdefault(before, []).append(name)
                    cell["connections"][port] = [before]
            _clock(cell, f"REG_INPUT{'AB'[number]}", number, control)
        return True

    def _control_before(self, bits: Sequence[Bit]) -> Control | None:
        """Return what the registers that drive `bits` obey; None if one differs or is none. A 0 needs none."""
        drivers = [self.driver.get(bit, "") for bit in bits if bit != "0"]
        return self._shared_control(drivers)

    def _take_product(self, name: str) -> bool:
        control = self._take_behind(name, [f"P{place}" for place in range(PRODUCT_BITS)])
        if control:
            _clock(self.cells[name], "REG_OUTPUT", 2, control)
        return control is not None

    def _take_word(self, name: str) -> bool:
        """Take the register behind port B, which reads; a word so wide that it needs port A too has both of theirs."""
        cell = self.cells[name]
        wide = any(self.readers.get(_bit(cell, f"DOA{place}")) for place in range(WORD_BITS))
        sides = "AB" if wide else "B"
        control = self._take_behind(name, [f"DO{side}{place}" for side in sides for place in range(WORD_BITS)])
        if control:
            for side in sides:
                cell["parameters"][f"REGMODE_{side}"] = "OUTREG"
                _connect(cell, f"OCE{side}", control.enable)
        return control is not None

    def _take_mask(self, name: str, place: str) -> bool:
        """Let a bit of an adder mask what it adds to the other, if a look-up table that nobody else reads does it."""
        cell = self.cells[name]
        held = _bit(cell, f"C{place}"), _bit(cell, f"D{place}")
        if int(cell["parameters"][f"INIT{place}"], 2) != SUM or held != ("0", "1"):
            return False
        for side, other in ("BA", "AB"):
            bit = _bit(cell, side + place)
            table = self.driver.get(bit, "")
            if table and len(self.readers[bit]) == 1 and (both := _both_inputs(self.cells[table])):
                unmasked = _bit(cell, other + place)
                for port, net in zip("ABD", (unmasked, *both), strict=True):
                    cell["connections"][port + place] = [net]
                for net in both:
                    self.readers[net].remove(table)
                    self.readers[net].append(name)
                del self.cells[table], self.driver[bit], self.readers[bit]
                return True
        return False

    def _take_behind(self, name: str, ports: Sequence[str]) -> Control | None:
        """Let the block drive what the registers behind `ports` drive; None, and no change, where that may not be."""
        cell = self.cells[name]
        bits = {port: bit for port in ports if self.readers.get(bit := _bit(cell, port))}
        if any(len(self.readers[bit]) > 1 for bit in bits.values()):
            return None
        registers = {port: self.readers[bit][0] for port, bit in bits.items()}
        control = self._shared_control(list(registers.values()))
        if control is None or any(self.cells[registers[port]]["connections"]["DI"] != [bits[port]] for port in bits):
            return None
        for port, register in registers.items():
            outer = self.cells[register]["connections"]
            cell["connections"][port], outer["Q"] = outer["Q"], [bits[port]]
            self.driver[_bit(cell, port)] = name
            self.readers[bits[port]] = []
        return control

    def _shared_control(self, names: Sequence[str]) -> Control | None:
        """Return what all of these registers obey; None if there are none, or one obeys something else or is none."""
        found = {_control(self.cells[name]) if name in self.cells else None for name in names}
        return found.pop() if len(found) == 1 else None


def _control(cell: Cell) -> Control | None:
    """Return what a register obeys that has no reset and comes up as 0; None for any other cell."""
    parameters, connections = cell["parameters"], cell["connections"]
    if cell["type"] != REGISTER or connections.get("LSR", ["0"]) != ["0"]:
        return None
    if any(parameters.get(name, value) != value for name, value in PLAIN.items()):
        return None
    match parameters.get("CEMUX", "1").strip():  # yosys writes a 1 that is a text as "1 "
        case "CE":
            return Control(connections["CLK"][0], connections["CE"][0])
        case "1":
            return Control(connections["CLK"][0], "1")
    return None


def _both_inputs(cell: Cell) -> list[Bit]:
    """Return the two nets that must both be 1 for a look-up table to give 1; nothing for any other cell."""
    bits = [_bit(cell, port) for port in "ABCD"] if cell["type"] == TABLE else []
    nets: list[Bit] = [bit for bit in bits if isinstance(bit, int)]
    if len(nets) != 2:
        return []
    fixed = sum(1 << place for place, bit in enumerate(bits) if bit == "1")
    one, other = (1 << bits.index(net) for net in nets)
    shown = [int(cell["parameters"]["INIT"], 2) >> fixed + place & 1 for place in (0, one, other, one + other)]
    return nets if shown == [0, 0, 0, 1] else []


def _clock(cell: Cell, register: str, number: int, control: Control) -> None:
    """Let a register of a multiplier obey `control`, by clock, enable and reset `number` of the block."""
    for kind, bit in (("CLK", control.clock), ("CE", control.enable), ("RST", "0")):
        cell["parameters"][f"{register}_{kind}"] = f"{kind}{number}"
        _connect(cell, f"{kind}{number}", bit)


def _connect(cell: Cell, port: str, bit: Bit) -> None:
    cell["connections"][port], cell["port_directions"][port] = [bit], "input"


def _bit(cell: Cell, port: str) -> Bit:
    bit: Bit = cell["connections"][port][0]
    return bit
