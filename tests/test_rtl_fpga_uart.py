"""A UART: what is sent is received, at any length of a bit and a clock that is a few per cent off, and noise is not."""

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from rtl.fpga.uart import FRAME_BITS, Receiver, Transmitter

MESSAGE = bytes([0x00, 0xFF, 0x55, 0xA3, 0x01, 0x80])


def frame(byte: int, stop: int = 1) -> list[int]:
    """Return the bits of a byte on the line."""
    return [0, *(byte >> place & 1 for place in range(8)), stop]


def received(bits: list[int], bit_cycles: int, line_cycles: float) -> bytes:
    """Return what a receiver makes of bits that last `line_cycles` each."""
    dut, seen = Receiver(bit_cycles), bytearray()

    async def bench(ctx):
        for cycle in range(round(len(bits) * line_cycles) + 3 * bit_cycles):
            place = int(cycle / line_cycles)
            ctx.set(dut.line, bits[place] if place < len(bits) else 1)
            await ctx.tick()
            if ctx.get(dut.valid):
                seen.append(ctx.get(dut.data))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return bytes(seen)


@pytest.mark.parametrize(("bit_cycles", "line_cycles"), [(4, 4), (5, 5), (25, 25), (25, 24.2), (25, 25.8)])
def test_frames_are_bytes(bit_cycles: int, line_cycles: float) -> None:
    """Bytes come one right behind the other; a line that is 3 % faster or slower than the receiver changes nothing."""
    assert received([bit for byte in MESSAGE for bit in frame(byte)], bit_cycles, line_cycles) == MESSAGE


def test_a_line_at_another_speed_is_noticed() -> None:
    """Negative control: bits a quarter longer than the receiver expects are other bytes."""
    assert received([bit for byte in MESSAGE for bit in frame(byte)], 8, 10) != MESSAGE


def test_noise_is_no_byte() -> None:
    """A start bit that is gone at its middle is none, and a byte whose stop bit is 0 is dropped."""
    assert received([1, *frame(0x42)], 8, 8) == b"\x42"
    assert received([*frame(0x42, stop=0), *[1] * FRAME_BITS, *frame(0x43)], 8, 8) == b"\x43"
    spike = [0, 1, *[1] * 40]  # of three cycles, as bits of three cycles
    assert received(spike, 8, 3) == b""


@pytest.mark.parametrize("bit_cycles", [4, 7])
def test_what_is_sent_is_received(bit_cycles: int) -> None:
    """A transmitter's line is idle at 1, its frames are those that a receiver of the same bits takes."""
    sender, receiver, seen = Transmitter(bit_cycles), Receiver(bit_cycles), bytearray()
    m = Module()
    m.submodules.sender, m.submodules.receiver = sender, receiver
    m.d.comb += receiver.line.eq(sender.line)

    async def give(ctx):
        assert ctx.get(sender.line) == 1
        for byte in MESSAGE:
            ctx.set(sender.bytes.payload, byte)
            ctx.set(sender.bytes.valid, 1)
            await ctx.tick().until(sender.bytes.ready)
        ctx.set(sender.bytes.valid, 0)
        await ctx.tick().repeat((FRAME_BITS + 2) * bit_cycles)

    async def take(ctx):
        async for *_, valid, byte in ctx.tick().sample(receiver.valid, receiver.data):
            if valid:
                seen.append(byte)

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(give)
    simulator.add_testbench(take, background=True)
    simulator.run()
    assert bytes(seen) == MESSAGE
