"""The activation memory: banks that deliver a row of pixels from any alignment, at stride 1 or 2, in one cycle.

Word a of the linear address space lies in bank a mod B at place a div B, with B = 2 x pixel lanes, so that pixel lanes
at stride 1 or 2 never meet in a bank. A read takes two cycles: one for the banks, one for the rotation into lanes. The
write side rotates the other way. Reads and writes never concern the same tensor at the same time (the assembler gives
every layer's input and output places of their own), so that each bank needs one port for each.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.layout import Layout

READ_CYCLES = 2


class Activations(wiring.Component):
    """Banked memory.

    Ports
    -----
    read_address : in, the word for lane 0
    read_double : in, 1 for stride 2
    read : out, one word a lane, `READ_CYCLES` later
    write_address, write, write_lanes : in, words for lanes 0 .. write_lanes - 1, side by side from the address
    """

    def __init__(self, layout: Layout) -> None:
        self.layout, self.banks = layout, layout.array.banks
        super().__init__(
            {
                "read_address": In(layout.address),
                "read_double": In(1),
                "read": Out(layout.pixels),
                "write_address": In(layout.address),
                "write": In(layout.pixels),
                "write_lanes": In(layout.lane_count),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the banks and the two rotations."""
        m = Module()
        word, depth = self.layout.signal, self.layout.array.bank_words
        low = (self.banks - 1).bit_length()
        reads, writes = [], []
        for index in range(self.banks):
            m.submodules[f"bank{index}"] = bank = Memory(shape=word, depth=depth, init=[])
            reads.append(bank.read_port())
            writes.append(bank.write_port())
        self._build_read(m, reads, low)
        self._build_write(m, writes, low)
        return m

    def _build_read(self, m: Module, reads: list, low: int) -> None:
        width = self.layout.array.signal_bits
        turn, double = Signal(low), Signal()
        for index, port in enumerate(reads):
            # banks below the start hold the words after the wrap, one place further on
            m.d.comb += port.addr.eq((self.read_address >> low) + (self.read_address[:low] > index))
        m.d.sync += [turn.eq(self.read_address[:low]), double.eq(self.read_double)]
        rotated = Signal(data.ArrayLayout(self.layout.signal, self.banks))
        raw = Cat(port.data for port in reads)
        m.d.comb += rotated.as_value().eq(Cat(raw, raw) >> (turn * width))
        for lane in range(self.layout.array.pixel_lanes):
            m.d.sync += self.read[lane].eq(Mux(double, rotated[2 * lane], rotated[lane]))

    def _build_write(self, m: Module, writes: list, low: int) -> None:
        width = self.layout.array.signal_bits
        lanes = Cat(self.write.as_value(), Signal(width * (self.banks - self.layout.array.pixel_lanes)))
        start = self.write_address[:low]
        turned = Signal(data.ArrayLayout(self.layout.signal, self.banks))
        m.d.comb += turned.as_value().eq((Cat(lanes, lanes) << (start * width))[len(lanes) :])
        for index, port in enumerate(writes):
            lane = Signal(low, name=f"lane{index}")  # the lane whose word this bank takes
            m.d.comb += [
                lane.eq(index - start),
                port.addr.eq((self.write_address >> low) + (start > index)),
                port.data.eq(turned[index]),
                port.en.eq(lane < self.write_lanes),
            ]
