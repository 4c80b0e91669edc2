"""Bytes to words of an accelerator, and its output to bytes: `rtl.fpga.protocol` in hardware."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.core.accelerator import Accelerator
from rtl.fpga.protocol import (
    ACK,
    COMMAND,
    COUNTER_BYTES,
    CRC,
    CRC_BYTES,
    IDENTITY_BYTES,
    LONGEST,
    NAK,
    Command,
    check_width,
    number_bytes,
)


class Packets(wiring.Component):
    """From bytes to the numbers of packets.

    Ports
    -----
    data, valid : in, a byte, which is taken at once
    number : out, of the packet that came last
    came, right : out, a packet is whole, and its checksum right
    """

    def __init__(self, number_bits: int) -> None:
        super().__init__({"data": In(8), "valid": In(1), "number": Out(number_bits), "came": Out(1), "right": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Count the bytes of a packet, shift its number in, and check all of it."""
        m = Module()
        m.submodules.crc = crc = CRC.create()
        number = Signal(len(self.number), reset_less=True)
        left, checked = Signal(range(LONGEST + CRC_BYTES + 1)), Signal()
        m.d.comb += [crc.data.eq(self.data), crc.valid.eq(self.valid), crc.start.eq(left == 0)]
        m.d.comb += [self.number.eq(number), self.came.eq(checked), self.right.eq(crc.match_detected)]
        m.d.sync += checked.eq(self.valid & (left == 1))
        with m.If(self.valid & (left == 0)):
            m.d.sync += [number.eq(0), left.eq(Mux(self.data == 0, 0, self.data + CRC_BYTES))]
        with m.Elif(self.valid):
            m.d.sync += left.eq(left - 1)
            with m.If(left > CRC_BYTES):
                m.d.sync += number.eq(Cat(self.data, number))
        return m


class Sender(wiring.Component):
    """From numbers to bytes, the most significant first.

    Ports
    -----
    numbers : in, a stream of {number, count}: how many bytes of it are sent, from the highest on
    bytes : out, a stream
    """

    def __init__(self, most_bytes: int) -> None:
        numbers = data.StructLayout({"number": 8 * most_bytes, "count": range(most_bytes + 1)})
        super().__init__({"numbers": In(stream.Signature(numbers)), "bytes": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        """Shift a number out, a byte at a time."""
        m = Module()
        given = self.numbers.payload
        number, left = Signal.like(given.number, reset_less=True), Signal.like(given.count)
        m.d.comb += [
            self.numbers.ready.eq(left == 0),
            self.bytes.valid.eq(left != 0),
            self.bytes.payload.eq(number[-8:]),
        ]
        with m.If(self.numbers.ready & self.numbers.valid):
            m.d.sync += [number.eq(given.number), left.eq(given.count)]
        with m.Elif(self.bytes.ready & self.bytes.valid):
            m.d.sync += [number.eq(number << 8), left.eq(left - 1)]
        return m


class Loader(wiring.Component):
    """An accelerator that is loaded, started and heard by bytes.

    Parameters
    ----------
    accelerator : Accelerator
        Without streamed weights.
    identity : int
        What it answers to `Command.RESET`.

    Ports
    -----
    data, valid : in, a byte, which is taken at once; a line gives one every 40 cycles or fewer, 4 are enough. A packet
        that ends before the answer to the last one has begun is lost
    bytes : out, a stream of answers
    """

    def __init__(self, accelerator: Accelerator, identity: int) -> None:
        check_width(accelerator.layout)
        self.accelerator, self.identity = accelerator, identity
        self.row_bytes = number_bytes(Shape.cast(accelerator.result).width)
        self.packets = Packets(Shape.cast(accelerator.layout.load).width)
        self.sender = Sender(max(self.row_bytes, COUNTER_BYTES, 1 + IDENTITY_BYTES))
        super().__init__({"data": In(8), "valid": In(1), "bytes": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        """Do what packets say, and answer them, one after the other."""
        m = Module()
        inner, packets, sender, reset = self.accelerator, self.packets, self.sender, Signal()
        m.submodules.accelerator = ResetInserter(reset)(inner)
        m.submodules.packets, m.submodules.sender = packets, sender
        m.submodules.crc = crc = CRC.create()
        sent = self.bytes.valid & self.bytes.ready
        m.d.comb += [packets.data.eq(self.data), packets.valid.eq(self.valid), inner.load.payload.eq(packets.number)]
        m.d.comb += [crc.data.eq(self.bytes.payload), crc.valid.eq(sent)]
        wiring.connect(m, sender.bytes, wiring.flipped(self.bytes))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += crc.start.eq(1)
                with m.If(packets.came):
                    self._build_decision(m)
            with m.State("REFUSE"):
                self._send(m, Const(NAK), 1, "IDLE")
            with m.State("LOAD"):
                m.d.comb += inner.load.valid.eq(1)
                with m.If(inner.load.ready):
                    m.next = "LOADED"
            with m.State("LOADED"):
                self._send(m, Const(ACK), 1, "IDLE")
            with m.State("RESET"):
                m.d.comb += reset.eq(1)
                m.next = "IDENTITY"
            with m.State("IDENTITY"):
                said = Cat(Const(self.identity, 8 * IDENTITY_BYTES), Const(ACK, 8))
                self._send(m, said, 1 + IDENTITY_BYTES, "CHECKSUM")
            with m.State("START"), m.If(~inner.busy):
                m.d.comb += inner.start.eq(1)
                m.next = "STARTED"
            with m.State("STARTED"):
                self._send(m, Const(ACK), 1, "ROWS")
            with m.State("ROWS"):
                row = inner.out.payload
                m.d.comb += inner.out.ready.eq(sender.numbers.ready)
                with m.If(inner.out.valid):
                    self._send(m, row.as_value(), self.row_bytes, "ROWS")
                    with m.If(row.last & sender.numbers.ready):
                        m.next = "COUNTERS"
            with m.State("COUNTERS"):
                self._send(m, Cat(inner.stalls, inner.cycles), COUNTER_BYTES, "CHECKSUM")
            with m.State("CHECKSUM"):
                self._send(m, crc.crc, CRC_BYTES, "IDLE")
        return m

    def _build_decision(self, m: Module) -> None:
        """Go on with the packet that came."""
        packets, word = self.packets, self.accelerator.load.payload
        with m.If(~packets.right):
            m.next = "REFUSE"
        with m.Elif(word.target != COMMAND):
            m.next = "LOAD"
        with m.Elif(word.address == Command.RESET):
            m.next = "RESET"
        with m.Elif(word.address == Command.START):
            m.next = "START"
        with m.Else():
            m.next = "REFUSE"

    def _send(self, m: Module, number: Value, count: int, then: str) -> None:
        """Give the sender a number of `count` bytes; go on with another state when it takes it."""
        numbers = self.sender.numbers
        room = len(numbers.payload.number) - 8 * count
        wide = Cat(number, Const(0, max(0, 8 * count - len(number))))
        m.d.comb += [numbers.payload.number.eq(wide << room), numbers.payload.count.eq(count), numbers.valid.eq(1)]
        with m.If(numbers.ready):
            m.next = then
