"""A reset in the middle of a run, which the next run must not see, and after a loaded word, which must not be lost."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator
from numpy.typing import NDArray
from support.programs import program, signal
from support.rtl_programs import ARRAY, images_of, mac
from test_rtl_stream import network

from accel.array import MacArray
from accel.cost import total_cycles
from accel.demand import array_for
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import ProgramLayer, TableLayer
from accel.window import Window
from rtl import simulate
from rtl.assemble import assemble
from rtl.core.accelerator import Accelerator
from rtl.layout import Layout, Target
from sim import golden

SERIAL = replace(ARRAY, overlap=False)  # every image lies in the same place
WRITE_CYCLES = 5  # from a loaded signal to its bank: 1 to the core, 4 in the activation memory
WRONG = {  # what is wrong with a word, by memory
    Target.SIGNALS: 1,
    Target.WEIGHTS: 1,
    Target.ENTRIES: 1,  # the base
    Target.TAPS: 1 << Layout(ARRAY).tap["words"].offset,
    Target.CONSTANTS: 1,  # the bias
    Target.LAYERS: 1,
    Target.TABLES: 1,
}
READS = signal(8, signed=False)
FIRST_PRODUCT = 16  # cycles from `start` until a reset finds operands in the lanes: 2 + 5 to the first step, 8, 1


async def pulse(ctx, wire: Signal) -> None:
    """Raise a wire for a cycle."""
    ctx.set(wire, 1)
    await ctx.tick()
    ctx.set(wire, 0)


async def collect(ctx, dut: Accelerator, source: simulate._Source | None = None) -> list[int]:
    """Return the words of all rows of an image, each taken as it comes; `out.ready` is high."""
    rows: list[int] = []
    while True:
        last = False
        if source:
            source.offer(ctx, dut)
        if ctx.get(dut.out.valid):
            row = ctx.get(dut.out.payload)
            rows += [row.row[lane] for lane in range(row.lanes)]
            last = bool(row.last)
        await ctx.tick()
        if last:
            return rows


def run(dut: Accelerator, reset: Signal, bench: Callable[[Any], Any]) -> None:
    """Simulate."""
    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def wanted(made: Program, codes: NDArray[np.int64], array: MacArray = ARRAY) -> list[int]:
    """Return golden's codes of one image in the order in which they leave."""
    output = golden.run(made, codes)[made.output].reshape(-1)
    return [int(output[place]) for row in simulate.output_rows(made, array) for place in row]


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 9, *range(16, 24), 40])
def test_a_reset_of_one_cycle(after: int) -> None:
    """A run that starts in the cycle after it gives the same rows in the same time as if none had been before.

    Reset while steps are issued, the multipliers still hold products, which come in afterwards.
    """
    rng, reads = np.random.default_rng(1), signal(8, signed=False)
    made = program([mac(rng, "conv", INPUT, (5, 2, 9), reads, window=Window((3, 3)))], (2, 6, 6), reads)
    codes, image, reset = images_of(rng, made, 1), assemble(made, ARRAY), Signal()
    dut = Accelerator(ARRAY, image.formats)
    rows: list[int] = []
    leftovers: list[bool] = []

    async def bench(ctx) -> None:
        words = simulate.load_words(image, dut.layout) + simulate.signal_words(codes[0], ARRAY)
        await simulate._load(ctx, dut, words)
        ctx.set(dut.out.ready, 1)
        await pulse(ctx, dut.start)
        offered = simulate.signal_words(255 - codes[0], ARRAY, image.places[1])  # the next image
        for _, place, word in offered[:after]:
            await simulate._load(ctx, dut, [(Target.SIGNALS, place, word)])
        await ctx.tick().repeat(max(1, after - len(offered)))
        await pulse(ctx, reset)
        assert not ctx.get(dut.busy)
        await pulse(ctx, dut.start)
        for _ in range(3):
            leftovers.extend(ctx.get(part.held.as_value()) != 0 for part in dut.core.lanes.accumulators)
            await ctx.tick()
        rows.extend(await collect(ctx, dut))
        assert (ctx.get(dut.cycles), ctx.get(dut.stalls)) == (total_cycles(made, ARRAY), 0)

    run(dut, reset, bench)
    assert rows == wanted(made, codes)
    assert any(leftovers) == (after >= FIRST_PRODUCT)  # the control: there was something to see


@pytest.mark.slow
@pytest.mark.parametrize(("after", "again"), [(1, True), (11, True), (90, True), (30, False)])
def test_a_reset_in_the_middle_of_a_stream(after: int, again: bool, rng: np.random.Generator) -> None:
    """After it the stream of weights begins again with the first group, and the run gives golden's codes.

    Negative control: a source that goes on where it was gives others, if it had given anything.
    """
    of = network(rng)
    array = array_for(of, 4, 4, stream=True)
    codes, image, reset = images_of(rng, of, 1), assemble(of, array), Signal()
    dut, rows, given = Accelerator(array, image.formats), list[int](), list[int]()

    async def bench(ctx) -> None:
        await simulate._load(ctx, dut, simulate.load_words(image, dut.layout) + simulate.signal_words(codes[0], array))
        source = simulate._Source(image, dut.layout, Fraction(1))
        ctx.set(dut.out.ready, 1)
        await pulse(ctx, dut.start)
        for _ in range(after):
            source.offer(ctx, dut)
            await ctx.tick()
        source.offer(ctx, dut)  # and a word in the cycle of the reset
        given.append(source.given)
        await pulse(ctx, reset)
        ctx.set(dut.units.valid, 0)
        await pulse(ctx, dut.start)
        rows.extend(await collect(ctx, dut, simulate._Source(image, dut.layout, Fraction(1)) if again else source))
        assert ctx.get(dut.cycles) - ctx.get(dut.stalls) == total_cycles(of, array) or not again

    run(dut, reset, bench)
    assert given[0] > after // 40
    assert (rows == wanted(of, codes, array)) == again


def convolution() -> ProgramLayer:
    """Return a layer whose words lie in all memories but that of tables."""
    kept = np.ones((3, 5, 1), bool)  # of 4 steps, so that the last word of weights fills its row of banks
    kept[:, 0] = False  # so that the entries are listed
    rng = np.random.default_rng(1)
    return mac(rng, "conv", INPUT, kept.shape, READS, window=Window((1, 1)), pattern="irregular", kept=kept)


def looked_up() -> ProgramLayer:
    """Return a table for all codes of the image."""
    return TableLayer("table", (INPUT,), np.arange(256)[::-1] // 2, 0, READS)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [convolution(), looked_up()], ids=lambda layer: layer.name)
def test_a_loaded_word_outlives_a_reset(layer: ProgramLayer) -> None:
    """Whichever memory it is for, whether the reset comes with the word, or after it until it is where it belongs.

    Before each case the word's place holds another one, whose result is another: a word that is lost is noticed.
    """
    rng, made = np.random.default_rng(1), program([layer], (5, 1, 3), READS)
    array = replace(SERIAL, table_words=256 if isinstance(layer, TableLayer) else 0)
    codes, image, reset, quiet = images_of(rng, made, 1), assemble(made, array), Signal(), Signal()
    codes[..., -1] = READS.format.max_code  # whose word is the last of a table
    dut = Accelerator(array, image.formats)
    words = simulate.load_words(image, dut.layout) + simulate.signal_words(codes[0], array)
    targets = (Target.TABLES,) if isinstance(layer, TableLayer) else [x for x in WRONG if x != Target.TABLES]
    last = {target: [word for word in words if word[0] == target][-1] for target in targets}
    cases = [(target, after) for target in targets for after in range(WRITE_CYCLES + 2)]
    came: dict[tuple[Target, int], list[int]] = {}
    without: dict[Target, list[int]] = {}

    async def image_of(ctx) -> list[int]:
        await pulse(ctx, dut.start)
        rows = await collect(ctx, dut)
        assert not ctx.get(dut.busy)
        return rows

    async def bench(ctx) -> None:
        await simulate._load(ctx, dut, words)
        ctx.set(dut.out.ready, 1)
        for target, after in cases:
            *place, word = last[target]
            await simulate._load(ctx, dut, [(*place, word ^ WRONG[target])])
            if after == 0 and target != Target.LAYERS:  # a wrong word there may have no end
                without[target] = await image_of(ctx)
            ctx.set(reset, after == 0)
            await simulate._load(ctx, dut, [(*place, word)])
            ctx.set(reset, 0)
            for cycle in range(1, after + 1):
                await pulse(ctx, reset if cycle == after else quiet)
            came[target, after] = await image_of(ctx)

    run(dut, reset, bench)
    right = wanted(made, codes, array)
    assert came == dict.fromkeys(cases, right)
    assert all(rows != right for rows in without.values())  # the control
