"""A UART: bytes as a start bit, eight bits from the lowest, and a stop bit, each as many cycles long as it is told."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

FRAME_BITS = 10
SHORTEST = 4  # cycles of a bit: its middle is found to one cycle


class Receiver(wiring.Component):
    """From a line to bytes, which nothing can hold back.

    Ports
    -----
    line : in, 1 while idle
    data, valid : out, a byte in the cycle in which `valid` is 1; one without a stop bit is dropped
    """

    def __init__(self, bit_cycles: int) -> None:
        self.bit_cycles = bit_cycles
        super().__init__({"line": In(1, init=1), "data": Out(8), "valid": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Sample each bit in its middle, from the edge of the start bit on."""
        m = Module()
        line, bits = Signal(init=1), Signal(FRAME_BITS - 1)
        left, count = Signal(range(FRAME_BITS + 1)), Signal(range(self.bit_cycles))
        m.submodules.synchronizer = FFSynchronizer(self.line, line, init=1)
        m.d.comb += self.data.eq(bits[1:])
        m.d.sync += self.valid.eq(0)
        with m.If(left == 0), m.If(~line):
            m.d.sync += [left.eq(FRAME_BITS), count.eq(self.bit_cycles // 2 - 1)]
        with m.Elif(count != 0):
            m.d.sync += count.eq(count - 1)
        with m.Else():
            m.d.sync += [count.eq(self.bit_cycles - 1), left.eq(left - 1)]
            with m.If((left == FRAME_BITS) & line):  # no start bit, but noise
                m.d.sync += left.eq(0)
            with m.If(left == 1):
                m.d.sync += self.valid.eq(line)
            with m.Else():
                m.d.sync += bits.eq(Cat(bits[1:], line))
        return m


class Transmitter(wiring.Component):
    """From bytes to a line.

    Ports
    -----
    bytes : in, a stream
    line : out, 1 while idle
    """

    def __init__(self, bit_cycles: int) -> None:
        self.bit_cycles = bit_cycles
        super().__init__({"bytes": In(stream.Signature(8)), "line": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Shift a frame out."""
        m = Module()
        bits = Signal(FRAME_BITS, init=-1)
        left, count = Signal(range(FRAME_BITS + 1)), Signal(range(self.bit_cycles))
        m.d.comb += [self.line.eq(bits[0]), self.bytes.ready.eq(left == 0)]
        with m.If(left == 0), m.If(self.bytes.valid):
            frame = Cat(Const(0, 1), self.bytes.payload, Const(1, 1))
            m.d.sync += [bits.eq(frame), left.eq(FRAME_BITS), count.eq(self.bit_cycles - 1)]
        with m.Elif(count != 0):
            m.d.sync += count.eq(count - 1)
        with m.Else():
            m.d.sync += [bits.eq(Cat(bits[1:], Const(1, 1))), left.eq(left - 1), count.eq(self.bit_cycles - 1)]
        return m
