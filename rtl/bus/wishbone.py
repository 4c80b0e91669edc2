"""Wishbone B4, classic cycles (OpenCores, chapter 3), a subordinate that answers in the cycle after it was asked."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.bus.bank import Access
from rtl.bus.registers import ADDRESS_BITS


class Wishbone(wiring.Component):
    """Addresses name words of the bus, not bytes.

    Parameters
    ----------
    bits : int
        32 or 64.

    Ports
    -----
    cyc_i, stb_i, we_i, adr_i, dat_i, sel_i, dat_o, ack_o, err_o : the bus
    access : to the registers
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        address = ADDRESS_BITS - exact_log2(bits // 8)
        ports = {"cyc_i": In(1), "stb_i": In(1), "we_i": In(1), "adr_i": In(address), "sel_i": In(bits // 8)}
        ports |= {"dat_i": In(bits), "dat_o": Out(bits), "ack_o": Out(1), "err_o": Out(1)}
        super().__init__({**ports, "access": Out(Access(bits))})

    def elaborate(self, platform: object) -> Module:
        """Access in the first cycle of a transfer; answer in the second, in which the same transfer is still there."""
        m = Module()
        access, asked = self.access, self.cyc_i & self.stb_i & ~self.ack_o & ~self.err_o
        m.d.comb += [
            access.place.eq(self.adr_i),
            access.write.eq(asked & self.we_i),
            access.read.eq(asked & ~self.we_i),
            access.data.eq(self.dat_i),
            access.bytes.eq(self.sel_i),
        ]
        m.d.sync += [
            self.ack_o.eq(asked & ~access.error),
            self.err_o.eq(asked & access.error),
            self.dat_o.eq(access.answer),
        ]
        return m
