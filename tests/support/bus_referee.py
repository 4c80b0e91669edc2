"""cocotb around a wrapped build: other people's masters and streams, who wait at random, and the model of the map.

While images go in and results come out, registers are read and written at random. AXI is cocotbext-axi's; for
Wishbone, which neither it nor cocotb-bus has a master for, a small one here checks the rules of answers. `BUS`,
`TRANSACTIONS` and `RANDOM_SEED` in the environment choose; the folder holds program0.bin, images.bin and golden.bin.
"""

import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from rtl.bus.registers import MAP_BITS, REGISTERS
from support.bus_model import Model

BYTES = MAP_BITS // 8
PLACE = {register.name: place for place, register in enumerate(REGISTERS)}
QUIET = {"ID", "CONTROL", "INTERRUPT_ENABLE", "IMAGE_BEATS", "PLACE0", "PLACE1", "LOAD_ADDRESS"}  # images change none
DRAWN = {"INTERRUPT_ENABLE", "LOAD_ADDRESS", "ID", "CYCLES", "INTERRUPT_STATUS"}  # that may be written while images run
AUTO, WORST = 4, 200  # a bit of CONTROL; cycles that an answer may take


def pauses() -> Iterator[bool]:
    """Yield whether to wait, cycle by cycle, in stretches that are long or short."""
    while True:
        share = random.choice([0, 0.2, 0.5, 0.9])
        yield from (random.random() < share for _ in range(random.randint(1, 100)))


def words(name: str) -> list[int]:
    """Return the little-endian words of a file."""
    content = Path(name).read_bytes()
    return [int.from_bytes(content[at : at + BYTES], "little") for at in range(0, len(content), BYTES)]


class Axi:
    """cocotbext-axi's master; a wait of each channel is drawn."""

    def __init__(self, dut) -> None:  # type: ignore[no-untyped-def]
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, dut.aresetn, False)
        writes, reads = self.master.write_if, self.master.read_if
        for channel in (writes.aw_channel, writes.w_channel, writes.b_channel, reads.ar_channel, reads.r_channel):
            channel.set_pause_generator(pauses())

    async def write(self, place: int, data: int, first: int = 0, count: int = BYTES) -> bool:
        """Write `count` bytes of a register from the byte `first` on; return whether that was an error."""
        done = await self.master.write(place * BYTES + first, data.to_bytes(BYTES, "little")[first : first + count])
        return done.resp != 0

    async def read(self, place: int) -> tuple[int, bool]:
        """Return what is read, and whether that was an error."""
        done = await self.master.read(place * BYTES, BYTES)
        return int.from_bytes(done.data, "little"), done.resp != 0


class Wishbone:
    """A master of classic cycles: one answer to each, of one kind, and none where nobody asks (B4, chapter 3)."""

    def __init__(self, dut) -> None:  # type: ignore[no-untyped-def]
        self.dut, self.waits, self.asks = dut, pauses(), False
        for name in ("cyc_i", "stb_i", "we_i", "adr_i", "dat_i", "sel_i"):
            getattr(dut, name).value = 0

    async def _cycle(self) -> tuple[bool, bool, int]:
        await ReadOnly()
        dut = self.dut
        ack, err = bool(dut.ack_o.value), bool(dut.err_o.value)
        assert not (ack and err), "two answers"
        assert self.asks or not (ack or err), "an answer that nobody asked for"
        data = int(dut.dat_o.value) if ack else 0
        await RisingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        return ack, err, data

    async def _transfer(self, place: int, writes: bool, data: int, select: int) -> tuple[int, bool]:
        dut = self.dut
        while next(self.waits):
            await self._cycle()
        for name, value in {"we_i": writes, "adr_i": place, "dat_i": data, "sel_i": select, "cyc_i": 1}.items():
            getattr(dut, name).value = value
        while next(self.waits):  # a cycle may hold the bus before it asks
            await self._cycle()
        dut.stb_i.value = self.asks = True
        for _ in range(WORST):
            ack, err, found = await self._cycle()
            if ack or err:
                break
        else:
            raise AssertionError("no answer")
        dut.stb_i.value = self.asks = False
        dut.cyc_i.value = 0
        return found, err

    async def write(self, place: int, data: int, first: int = 0, count: int = BYTES) -> bool:
        """Write `count` bytes of a register from the byte `first` on; return whether that was an error."""
        return (await self._transfer(place, True, data, ((1 << count) - 1) << first))[1]

    async def read(self, place: int) -> tuple[int, bool]:
        """Return what is read, and whether that was an error."""
        return await self._transfer(place, False, 0, 0xF)


async def load(bus: Axi | Wishbone, model: Model, program: list[int]) -> int:
    """Load a program as the driver does; return how many results an image has."""
    _, beats, place0, place1, results, memories, *rest = program
    rest = rest[results:]
    orders = [("IMAGE_BEATS", beats), ("PLACE0", place0), ("PLACE1", place1)]
    for _ in range(memories):
        target, count, pieces, *rest = rest
        orders.append(("LOAD_ADDRESS", target << 24))
        orders += [("LOAD_DATA" if (at + 1) % pieces else "LOAD_COMMIT", rest[at]) for at in range(count * pieces)]
        rest = rest[count * pieces :]
    for name, word in [*orders, ("CONTROL", AUTO)]:
        assert not await bus.write(PLACE[name], word), f"{name} was refused"
        model.write(PLACE[name], word, 0xF)
        if name == "LOAD_COMMIT":
            model.happens("load_address_word")
    return results


async def transact(bus: Axi | Wishbone, model: Model, count: int) -> None:
    """Read and write registers at random; every answer is the model's."""
    for _ in range(count):
        place = random.randrange(len(REGISTERS) + 3)
        name = REGISTERS[place].name if place < len(REGISTERS) else None
        if random.random() < 0.5 and (name is None or name in DRAWN):
            data, first = random.getrandbits(MAP_BITS), random.randrange(BYTES)
            size = random.randint(1, BYTES - first)
            error = await bus.write(place, data, first, size)
            nowhere = model.write(place, data, ((1 << size) - 1) << first)
            assert error == nowhere, f"write of {name}: error {error}"
        else:
            found, error = await bus.read(place)
            wanted, nowhere = model.read(place)
            assert error == (nowhere or name == "RESULT"), f"read of {name}: error {error}"
            assert found == wanted or name not in QUIET, f"read of {name}: {found:#x}, not {wanted:#x}"


class Streams:
    """Images in and results out, by cocotbext-axi."""

    def __init__(self, dut, clock, reset, active) -> None:  # type: ignore[no-untyped-def]
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), clock, reset, bool(active))
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), clock, reset, bool(active))
        self.source.set_pause_generator(pauses())
        self.sink.set_pause_generator(pauses())
        self.images, self.golden, self.count = Path("images.bin").read_bytes(), words("golden.bin"), 0
        self.going = True

    async def run(self, beat: int, beats: int, results: int) -> None:
        """Send images while there are transactions, and at least one; compare each with golden."""
        size = len(self.images) * results // len(self.golden)
        while self.going or not self.count:
            turn = random.randrange(len(self.golden) // results)
            image = self.images[turn * size : (turn + 1) * size].ljust(beat * beats, b"\0")
            await self.source.send(AxiStreamFrame(image))
            frame = await with_timeout(self.sink.recv(), 100_000, "ns")
            came = [int.from_bytes(frame.tdata[at : at + BYTES], "little") for at in range(0, len(frame.tdata), BYTES)]
            assert came == self.golden[turn * results : (turn + 1) * results], f"image {self.count}: {came}"
            self.count += 1


@cocotb.test()
async def registers_and_streams(dut) -> None:  # type: ignore[no-untyped-def]
    """All answers of the bus and all results are right, whoever waits."""
    axi, transactions = os.environ["BUS"] == "axi", int(os.environ["TRANSACTIONS"])
    clock, reset, active = (dut.aclk, dut.aresetn, 0) if axi else (dut.clk_i, dut.rst_i, 1)
    logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)  # a line for each transaction takes its time
    bus: Axi | Wishbone = Axi(dut) if axi else Wishbone(dut)
    streams, model = Streams(dut, clock, reset, active), Model(MAP_BITS)
    cocotb.start_soon(Clock(clock, 10, units="ns").start())
    reset.value = active
    for _ in range(3):
        await FallingEdge(clock)
    reset.value = 1 - active
    await FallingEdge(clock)
    program = words("program0.bin")
    results = await load(bus, model, program)
    running = cocotb.start_soon(streams.run(len(dut.s_axis_tdata) // 8, program[1], results))
    await transact(bus, model, transactions)
    streams.going = False
    await with_timeout(running, 200_000, "ns")
    assert await bus.read(PLACE["IMAGES"]) == (streams.count, False)
    assert (await bus.read(PLACE["STATUS"]))[0] >> 8 & 3 == 0, "a TLAST that was right is told"
    cocotb.log.info(f"DONE transactions {transactions} images {streams.count}")
