"""What a board's FPGA holds: an accelerator behind a serial line, a clock, a reset button."""

import hashlib
from collections.abc import Sequence

from amaranth.hdl import ClockDomain, ClockSignal, Module
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from accel.array import MacArray
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from rtl.core.accelerator import Accelerator
from rtl.fpga.loader import Loader
from rtl.fpga.protocol import IDENTITY_BYTES
from rtl.fpga.uart import SHORTEST, Receiver, Transmitter

PINS = ("clk", "rst_n", "rx", "tx")


class UartTop(wiring.Component):
    """An accelerator that is loaded and run over a serial line.

    Parameters
    ----------
    array : MacArray
        Without streamed weights.
    formats : sequence of FixedFormat
        Of the output signals that Programs may have.
    bit_cycles : int
        Cycles of a bit on the line.

    Ports
    -----
    clk, rst_n : in, the clock, and a button that is 0 while it is pressed
    rx, tx : in and out, the line
    """

    def __init__(self, array: MacArray, formats: Sequence[FixedFormat], bit_cycles: int) -> None:
        if array.stream_words:
            raise EspalierError("weights that are streamed do not come over a serial line: leave --stream out")
        self.bit_cycles = bit_cycles
        self.loader = Loader(Accelerator(array, formats), identity_of(array, formats))
        super().__init__({"clk": In(1), "rst_n": In(1), "rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Make the clock's domain, and put the line around the loader."""
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += ClockSignal().eq(self.clk)
        m.submodules.reset = ResetSynchronizer(~self.rst_n)
        m.submodules.receiver = receiver = Receiver(self.bit_cycles)
        m.submodules.transmitter = transmitter = Transmitter(self.bit_cycles)
        m.submodules.loader = loader = self.loader
        wiring.connect(m, loader.bytes, transmitter.bytes)
        m.d.comb += [
            receiver.line.eq(self.rx),
            loader.data.eq(receiver.data),
            loader.valid.eq(receiver.valid),
            self.tx.eq(transmitter.line),
        ]
        return m


def identity_of(array: MacArray, formats: Sequence[FixedFormat]) -> int:
    """Return the number by which a host knows what hardware it speaks to."""
    digest = hashlib.sha256(repr((array, [str(form) for form in formats])).encode()).digest()
    return int.from_bytes(digest[:IDENTITY_BYTES], "big")


def bit_cycles_of(clock_hertz: float, baud: int) -> int:
    """Return how many cycles of the clock a bit lasts.

    Raises
    ------
    EspalierError
        The clock is too slow, or no whole number of cycles comes within 2 % of a bit.
    """
    cycles = round(clock_hertz / baud)
    if cycles < SHORTEST:
        raise EspalierError(f"--baud {baud}: a bit takes {SHORTEST} cycles or more of {clock_hertz / 1e6:g} MHz")
    if abs(clock_hertz / baud / cycles - 1) > 0.02:
        near = round(clock_hertz / cycles)
        raise EspalierError(f"--baud {baud}: {clock_hertz / 1e6:g} MHz gives {near} at the nearest, over 2 % off")
    return cycles
