"""A reset in the middle of a run: registers of data keep what they hold, and the next run must not see it."""

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator
from programs import program, signal
from rtl_programs import ARRAY, images_of, mac

from accel.cost import total_cycles
from accel.network import INPUT, Window
from rtl import simulate
from rtl.accelerator import Accelerator
from rtl.assemble import assemble
from sim import golden

FIRST_PRODUCT = 16  # cycles from `start` until a reset finds operands in the lanes: 2 + 5 to the first step, 8, 1


@pytest.mark.parametrize("after", [1, 9, *range(16, 24), 40])
def test_a_reset_of_one_cycle(after: int) -> None:
    """A run that starts in the cycle behind it gives the same rows in the same time as if none had been before.

    Reset while steps are issued, the multipliers still hold products, which come in afterwards.
    """
    rng, reads = np.random.default_rng(1), signal(8, signed=False)
    made = program([mac(rng, "conv", INPUT, (5, 2, 9), reads, window=Window((3, 3)))], (2, 6, 6), reads)
    codes, image, reset = images_of(rng, made, 1), assemble(made, ARRAY), Signal()
    dut = Accelerator(ARRAY, image.formats)
    rows: list[int] = []
    leftovers: list[bool] = []

    async def pulse(ctx, wire: Signal) -> None:
        ctx.set(wire, 1)
        await ctx.tick()
        ctx.set(wire, 0)

    async def bench(ctx) -> None:
        words = simulate.load_words(image, dut.layout) + simulate.signal_words(codes[0], ARRAY)
        await simulate._load(ctx, dut, words)
        await ctx.tick().repeat(4)  # the last word is in its bank
        ctx.set(dut.out.ready, 1)
        await pulse(ctx, dut.start)
        await ctx.tick().repeat(after)
        await pulse(ctx, reset)
        assert not ctx.get(dut.busy)
        await pulse(ctx, dut.start)
        for _ in range(3):
            leftovers.extend(ctx.get(part.held.as_value()) != 0 for part in dut.core.lanes.accumulators)
            await ctx.tick()
        rows.extend(await simulate._collect(ctx, dut, 1, None))
        assert (ctx.get(dut.cycles), ctx.get(dut.stalls)) == (total_cycles(made, ARRAY), 0)

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    wanted = golden.run(made, codes)[made.output].reshape(-1)
    assert rows == [wanted[place] for row in simulate.output_rows(made, ARRAY) for place in row]
    assert any(leftovers) == (after >= FIRST_PRODUCT)  # the control: there was something to see
