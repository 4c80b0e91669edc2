"""The activation memory against a plain list of words."""

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator

from accel.array import MacArray
from rtl.core.activations import READ_CYCLES, Activations
from rtl.core.lanes import Lanes
from rtl.layout import Layout

WRITE_CYCLES = 4  # after which a word can be read; a layer's words are read much later
# 1, 2 and 4 pixel lanes; banks of 5, 4 and 3 words, the first and last of them no power of two
ARRAYS = [MacArray(1, lanes, signal_words=words) for lanes, words in ((1, 10), (2, 16), (4, 24))]
by_lanes = pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.pixel_lanes} lanes")


class Bench:
    """A memory in simulation and the list that it must equal."""

    def __init__(self, array: MacArray) -> None:
        self.array, self.dut = array, Activations(Layout(array))
        self.words = [0] * array.signal_words

    async def write(self, ctx, address: int, words: list[int]) -> None:
        """Write words side by side, to both."""
        beyond = [99] * (self.array.pixel_lanes - len(words))  # in lanes that must not be written
        ctx.set(self.dut.write_address, address)
        ctx.set(self.dut.write, words + beyond)
        ctx.set(self.dut.write_lanes, len(words))
        await ctx.tick()
        ctx.set(self.dut.write_lanes, 0)
        self.words[address : address + len(words)] = words

    async def read(self, ctx, address: int, stride: int, apart: int = 0) -> list[int]:
        """Return the lanes of one read."""
        ctx.set(self.dut.read_address, address)
        ctx.set(self.dut.read_double, int(stride == 2))
        self.split(ctx, address, self.array.pixel_lanes, apart, stride)
        await ctx.tick().repeat(READ_CYCLES)
        return [ctx.get(self.dut.read[lane]) for lane in range(self.array.pixel_lanes)]

    def split(self, ctx, address: int, before: int, gap: int, stride: int = 1) -> None:
        """Read; let all lanes but the first `before` read `gap` words further."""
        ctx.set(self.dut.reads, 1)
        ctx.set(self.dut.read_all, stride == 2 or gap != 0 or before < self.array.pixel_lanes)
        ctx.set(self.dut.read_before, before)
        ctx.set(self.dut.read_edge, (address + before) % self.array.banks)
        ctx.set(self.dut.other_address, (address + gap) % self.array.signal_words)

    async def check(self, ctx) -> None:
        """Read every address at both strides, where all lanes lie inside the memory."""
        await ctx.tick().repeat(WRITE_CYCLES)
        for stride in (1, 2):
            for address in range(len(self.words) - stride * (self.array.pixel_lanes - 1)):
                expected = self.words[address::stride][: self.array.pixel_lanes]
                assert await self.read(ctx, address, stride) == expected, (address, stride)

    def run(self, scenario) -> None:
        """Run the coroutine function `scenario`."""
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(scenario)
        simulator.run()


@by_lanes
def test_every_alignment(array: MacArray) -> None:
    """A row that is written at any address, over the edges of the banks, is read back from any, at stride 1 and 2."""
    bench, lanes = Bench(array), array.pixel_lanes

    async def scenario(ctx) -> None:
        for shift in range(min(lanes, 3)):
            for address in range(shift, array.signal_words - lanes + 1, lanes):
                await bench.write(ctx, address, [(7 * (address + lane) + shift) % 256 for lane in range(lanes)])
            await bench.check(ctx)

    bench.run(scenario)


@by_lanes
def test_partial_rows(array: MacArray) -> None:
    """Lanes beyond those that count are not written, whatever they hold; with none, nothing is."""
    bench, rng = Bench(array), np.random.default_rng(1)

    async def scenario(ctx) -> None:
        for _ in range(60):
            count = int(rng.integers(0, array.pixel_lanes + 1))
            address = int(rng.integers(0, array.signal_words - count + 1))
            await bench.write(ctx, address, rng.integers(0, 256, count).tolist())
        await bench.check(ctx)

    bench.run(scenario)


@by_lanes
@pytest.mark.parametrize("stride", [1, 2])
def test_a_read_every_cycle(array: MacArray, stride: int) -> None:
    """Reads of one stride follow each other without a gap, each at its own address, while other words are written."""
    bench, rng = Bench(array), np.random.default_rng(2)
    half, span = array.signal_words // 2, 2 * array.pixel_lanes - 1  # words that a read at stride 2 spans

    async def scenario(ctx) -> None:
        for address in range(half):
            await bench.write(ctx, address, [int(rng.integers(256))])
        due = []
        await ctx.tick().repeat(WRITE_CYCLES)
        ctx.set(bench.dut.read_double, int(stride == 2))
        for _ in range(40):
            address = int(rng.integers(0, max(half - span, 0) + 1))
            ctx.set(bench.dut.read_address, address)
            bench.split(ctx, address, array.pixel_lanes, 0, stride)
            due.append(bench.words[address::stride][: array.pixel_lanes])
            await bench.write(ctx, int(rng.integers(half, array.signal_words)), [int(rng.integers(256))])
            if len(due) == READ_CYCLES:
                assert [ctx.get(bench.dut.read[lane]) for lane in range(array.pixel_lanes)] == due.pop(0)

    bench.run(scenario)


@pytest.mark.parametrize("apart", [4, 12, 20, -12])
def test_two_rows(apart: int) -> None:
    """Two rows of 4 words are read at once from any address, `apart` words of each other: 4 beyond whole turns of 8."""
    bench = Bench(MacArray(4, 4, signal_words=40))

    async def scenario(ctx) -> None:
        for address in range(0, 40, 4):
            await bench.write(ctx, address, [7 * (address + lane) % 256 for lane in range(4)])
        await ctx.tick().repeat(WRITE_CYCLES)
        for address in range(max(0, -apart), 37 - max(0, apart)):
            assert await bench.read(ctx, address, 1, apart) == bench.words[address : address + 4]
            other = [ctx.get(bench.dut.other[lane]) for lane in range(4)]
            assert other == bench.words[address + apart : address + apart + 4]
            assert other != bench.words[address : address + 4]  # negative control

    bench.run(scenario)


@pytest.mark.parametrize("array", [MacArray(1, 2, signal_words=16), MacArray(1, 4, signal_words=64)], ids=["2", "4"])
def test_two_pieces(array: MacArray) -> None:
    """Lanes behind the end of a row read as far behind as their banks are free, whatever whole turns lie between."""
    bench, lanes, banks = Bench(array), array.pixel_lanes, array.banks
    words = array.signal_words
    gaps = [gap for gap in range(words - 2 * lanes) if gap % banks + lanes <= banks]

    async def scenario(ctx) -> None:
        for address in range(words):
            await bench.write(ctx, address, [(37 * address) % 256])
        await ctx.tick().repeat(WRITE_CYCLES)
        due, rng = [], np.random.default_rng(3)
        for turn in range(80):
            before, gap = int(rng.integers(1, lanes + 1)), int(rng.choice(gaps))
            address = int(rng.integers(0, words - lanes - gap + 1))
            ctx.set(bench.dut.read_address, address)
            bench.split(ctx, address, before, gap)
            due.append([bench.words[address + lane + (gap if lane >= before else 0)] for lane in range(lanes)])
            await ctx.tick()
            if turn >= READ_CYCLES - 1:
                assert [ctx.get(bench.dut.read[lane]) for lane in range(lanes)] == due[turn + 1 - READ_CYCLES]

    bench.run(scenario)


@by_lanes
def test_banks_rest(array: MacArray) -> None:
    """Where no row is read the words stay what they were; of one row the other half of the banks keep theirs."""
    bench, lanes = Bench(array), array.pixel_lanes

    async def scenario(ctx) -> None:
        for address in range(0, 2 * lanes, lanes):
            await bench.write(ctx, address, [address + lane + 1 for lane in range(lanes)])
        await ctx.tick().repeat(WRITE_CYCLES)
        assert await bench.read(ctx, 0, 1, lanes) == bench.words[:lanes]  # both halves
        other = [ctx.get(bench.dut.other[lane]) for lane in range(lanes)]
        assert other == bench.words[lanes : 2 * lanes]
        ctx.set(bench.dut.reads, 0)
        for address in range(0, 2 * lanes, lanes):
            await bench.write(ctx, address, [99] * lanes)
        await ctx.tick().repeat(WRITE_CYCLES)
        await ctx.tick().repeat(READ_CYCLES)
        assert [ctx.get(bench.dut.read[lane]) for lane in range(lanes)] == list(range(1, lanes + 1))
        assert await bench.read(ctx, 0, 1) == [99] * lanes
        assert [ctx.get(bench.dut.other[lane]) for lane in range(lanes)] == other

    bench.run(scenario)


def test_an_address_below_zero() -> None:
    """From a place below 0, as left padding asks for, the lanes that lie in the memory are right: addresses wrap."""
    bench = Bench(MacArray(1, 4, signal_words=16))

    async def scenario(ctx) -> None:
        for address in range(16):
            await bench.write(ctx, address, [address + 1])
        await ctx.tick().repeat(WRITE_CYCLES)
        assert (await bench.read(ctx, 16 - 1, 1))[1:] == [1, 2, 3]
        assert (await bench.read(ctx, 16 - 3, 2))[2:] == [2, 4]

    bench.run(scenario)


@pytest.mark.parametrize("change", [0, 1])
def test_the_model_notices(change: int) -> None:
    """Negative control: a word that the list does not have is found."""
    bench = Bench(ARRAYS[1])

    async def scenario(ctx) -> None:
        await bench.write(ctx, 3, [5, 6])
        bench.words[4] += change
        await bench.check(ctx)

    if change:
        with pytest.raises(AssertionError):
            bench.run(scenario)
    else:
        bench.run(scenario)


def test_turning_takes_no_multiplier() -> None:
    """Words whose width is no power of two are turned by multiplexers: a chip has multipliers for lanes and drain."""
    layout = Layout(MacArray(1, 4, signal_bits=6))
    assert "cell $mul" not in rtlil.convert(Activations(layout), emit_src=False)
    assert "cell $mul" in rtlil.convert(Lanes(layout), emit_src=False)
