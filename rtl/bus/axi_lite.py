"""AXI4-Lite, a subordinate of one access at a time (Arm IHI 0022, chapter B1)."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.bus.bank import Access
from rtl.bus.registers import ADDRESS_BITS

SLVERR = 0b10
PREFIX = "s_axi_"


class AxiLite(wiring.Component):
    """Address and data of a write each wait in a register of their own, in whichever order they come.

    Parameters
    ----------
    bits : int
        32 or 64.

    Ports
    -----
    s_axi_... : the five channels; `awprot` and `arprot` mean nothing
    access : to the registers; in no cycle it depends on inputs of that cycle
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        ports = {"awvalid": In(1), "awready": Out(1), "awaddr": In(ADDRESS_BITS), "awprot": In(3)}
        ports |= {"wvalid": In(1), "wready": Out(1), "wdata": In(bits), "wstrb": In(bits // 8)}
        ports |= {"bvalid": Out(1), "bready": In(1), "bresp": Out(2)}
        ports |= {"arvalid": In(1), "arready": Out(1), "araddr": In(ADDRESS_BITS), "arprot": In(3)}
        ports |= {"rvalid": Out(1), "rready": In(1), "rdata": Out(bits), "rresp": Out(2)}
        super().__init__({f"{PREFIX}{name}": port for name, port in ports.items()} | {"access": Out(Access(bits))})

    def elaborate(self, platform: object) -> Module:
        """Do a write when both of its parts wait, else a read; each when the answer before it has been taken."""
        m = Module()
        access, low = self.access, exact_log2(self.bits // 8)
        addressed, given, asked = Signal(), Signal(), Signal()
        target, source = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        data, strobes = Signal(self.bits), Signal(self.bits // 8)
        m.d.comb += [
            self.s_axi_awready.eq(~addressed),
            self.s_axi_wready.eq(~given),
            self.s_axi_arready.eq(~asked),
            access.write.eq(addressed & given & ~self.s_axi_bvalid),
            access.read.eq(asked & ~access.write & ~self.s_axi_rvalid),
            access.place.eq(Mux(access.write, target, source) >> low),
            access.data.eq(data),
            access.bytes.eq(strobes),
        ]
        with m.If(~addressed):
            m.d.sync += [addressed.eq(self.s_axi_awvalid), target.eq(self.s_axi_awaddr)]
        with m.If(~given):
            m.d.sync += [given.eq(self.s_axi_wvalid), data.eq(self.s_axi_wdata), strobes.eq(self.s_axi_wstrb)]
        with m.If(~asked):
            m.d.sync += [asked.eq(self.s_axi_arvalid), source.eq(self.s_axi_araddr)]
        with m.If(access.write):
            m.d.sync += [addressed.eq(0), given.eq(0)]
        with m.If(access.read):
            m.d.sync += asked.eq(0)
        self._answer(m)
        return m

    def _answer(self, m: Module) -> None:
        """Hold each answer until it is taken."""
        access, status = self.access, Mux(self.access.error, SLVERR, 0)
        with m.If(access.write):
            m.d.sync += [self.s_axi_bvalid.eq(1), self.s_axi_bresp.eq(status)]
        with m.Elif(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(access.read):
            m.d.sync += [self.s_axi_rvalid.eq(1), self.s_axi_rdata.eq(access.answer), self.s_axi_rresp.eq(status)]
        with m.Elif(self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)
