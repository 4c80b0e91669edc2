"""Rounding and overflow in hardware against the Program's own arithmetic."""

import itertools

import numpy as np
import pytest
from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from accel.fixedpoint import FixedFormat, Overflow, Rounding, overflow_code, round_shift
from accel.signal import Requantize
from rtl.core.requantize import overflow

LATENCY = 2
ACCUMULATOR_BITS = 6
ACCUMULATORS = np.arange(-(1 << (ACCUMULATOR_BITS - 1)), 1 << (ACCUMULATOR_BITS - 1))


class Requantizer(wiring.Component):
    """One lane of requantisation, a cycle for the product and one for rounding and overflow.

    Parameters
    ----------
    accumulator_bits : int
        Signed.
    multiplier_bits : int
        Unsigned.
    shift : int
        At least 0.
    output : FixedFormat
        The integer codes that come out.
    relu : bool

    Ports
    -----
    enable, accumulator, multiplier : in
    code : out, signed or unsigned as `output` is
    """

    def __init__(
        self, accumulator_bits: int, multiplier_bits: int, shift: int, output: FixedFormat, relu: bool
    ) -> None:
        self.shift, self.output, self.relu = shift, output, relu
        self.product_bits = accumulator_bits + multiplier_bits
        super().__init__(
            {
                "enable": In(1),
                "accumulator": In(signed(accumulator_bits)),
                "multiplier": In(unsigned(multiplier_bits)),
                "code": Out(signed(output.width) if output.signed else unsigned(output.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the two stages."""
        m = Module()
        product = Signal(signed(self.product_bits))
        rounded = Signal(signed(self.product_bits + 1))  # one bit more: rounding carries
        rectified = Mux(self.accumulator < 0, 0, self.accumulator) if self.relu else self.accumulator
        m.d.comb += rounded.eq(round_shift(product, self.shift, self.output.rounding))
        with m.If(self.enable):
            m.d.sync += [
                product.eq(rectified * self.multiplier),
                self.code.eq(overflow(rounded, product >> self.shift, self.output)),
            ]
        return m


def simulate(shift: int, multiplier: int, output: FixedFormat, relu: bool) -> list[int]:
    """Return the codes that the hardware gives for every accumulator, one a cycle."""
    dut = Requantizer(ACCUMULATOR_BITS, 4, shift, output, relu)
    codes = []

    async def bench(ctx):
        ctx.set(dut.enable, 1)
        ctx.set(dut.multiplier, multiplier)
        for cycle in range(len(ACCUMULATORS) + LATENCY):
            ctx.set(dut.accumulator, int(ACCUMULATORS[min(cycle, len(ACCUMULATORS) - 1)]))
            if cycle >= LATENCY:
                codes.append(ctx.get(dut.code))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return codes


def expected(shift: int, multiplier: int, output: FixedFormat, relu: bool) -> list[int]:
    """Return what the Program says."""
    accumulators = np.maximum(ACCUMULATORS, 0) if relu else ACCUMULATORS
    return Requantize(np.array([multiplier]), shift).apply(accumulators.reshape(-1, 1), output).ravel().tolist()


def formats():
    """Yield formats of every overflow mode, signed and not, with and without saturated bits."""
    for mode, with_sign, saturated in itertools.product(Overflow, (True, False), (0, 1, 2, 4)):
        wraps = mode in (Overflow.WRAP, Overflow.WRAP_SM)
        if (saturated and not wraps) or (mode == Overflow.WRAP_SM and not with_sign):
            continue
        yield FixedFormat(4, 4, with_sign, Rounding.RND, mode, saturated)


@pytest.mark.parametrize("output", list(formats()), ids=str)
def test_every_overflow_mode(output):
    """Every accumulator gives the Program's code, in every overflow mode, also far outside the range."""
    assert simulate(1, 5, output, relu=False) == expected(1, 5, output, relu=False)


@pytest.mark.parametrize("rounding", Rounding, ids=lambda mode: mode.name)
@pytest.mark.parametrize("width", [1, 2, 4])
def test_the_bit_that_wrap_sm_reads_has_seen_no_carry(rounding, width):
    """Every accumulator, ties with a carry out of the code included; where nothing carries the modes agree."""
    output = FixedFormat(width, width, True, rounding, Overflow.WRAP_SM)
    codes = expected(2, 3, output, relu=False)
    assert simulate(2, 3, output, relu=False) == codes
    rounded = round_shift(ACCUMULATORS * 3, 2, rounding)
    late = overflow_code(rounded, rounded, width, True, Overflow.WRAP_SM, 0)
    assert (late.tolist() == codes) == (rounding == Rounding.TRN)  # the control


@pytest.mark.parametrize("rounding", Rounding, ids=lambda mode: mode.name)
@pytest.mark.parametrize("shift", [0, 1, 3])
@pytest.mark.parametrize("relu", [False, True])
def test_every_rounding_mode(rounding, shift, relu):
    """Every accumulator gives the Program's code, in every rounding mode, ties and signs included."""
    output = FixedFormat(5, 5, True, rounding, Overflow.SAT)
    assert simulate(shift, 3, output, relu) == expected(shift, 3, output, relu)


def test_the_comparison_notices_another_mode():
    """Hardware made for another rounding, shift or multiplier does not give the Program's codes."""
    output = FixedFormat(5, 5, True, Rounding.RND, Overflow.SAT)
    codes = expected(2, 3, output, relu=False)
    assert simulate(2, 3, output, relu=False) == codes
    assert simulate(2, 3, FixedFormat(5, 5, True, Rounding.RND_CONV, Overflow.SAT), relu=False) != codes
    assert simulate(3, 3, output, relu=False) != codes
    assert simulate(2, 5, output, relu=False) != codes


def test_stalls_while_not_enabled():
    """With enable low nothing moves."""
    dut = Requantizer(6, 4, 0, FixedFormat(8, 8), relu=False)
    seen = []

    async def bench(ctx):
        ctx.set(dut.multiplier, 1)
        ctx.set(dut.accumulator, 9)
        for enable in (1, 0, 0, 1, 1):
            ctx.set(dut.enable, enable)
            await ctx.tick()
            seen.append(ctx.get(dut.code))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [0, 0, 0, 9, 9]  # the product waits two cycles for enable, the code follows
