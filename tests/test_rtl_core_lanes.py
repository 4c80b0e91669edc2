"""The multiply-accumulators, cycle by cycle: literal operands and sums."""

from typing import NamedTuple

import pytest
from amaranth.sim import Simulator

from accel.array import MacArray
from rtl.core.lanes import Lanes
from rtl.layout import Layout

ARRAY = MacArray(2, 2, weight_bits=4, signal_bits=4, accumulator_bits=8)  # two weights share a multiplier
LATENCY = 5  # from a tile's last operands to its first row


class Step(NamedTuple):
    """Operands of one cycle: a weight for each of two rows, a signal for each of two columns.

    Of split sums the second column has weights of its own, `others`.
    """

    weights: tuple[int, int]
    signals: tuple[int, int]
    counts: int = 0b11
    others: tuple[int, int] | None = None


def rows_of(maximum: bool, *tiles: list[Step | None], array: MacArray = ARRAY) -> list[tuple[int, list[int]]]:
    """Feed tiles, a step a cycle (None: a cycle without one); return (cycle, row) from `taken` on, both rows of each.

    The cycle is counted from the first step.
    """
    dut = Lanes(Layout(array))
    feed = [(step, index == len(tile) - 1) for tile in tiles for index, step in enumerate(tile)]
    seen, due = [], 0

    async def bench(ctx) -> None:
        nonlocal due
        ctx.set(dut.maximum, maximum)
        for cycle in range(len(feed) + LATENCY + array.output_lanes):
            step, last = feed[cycle] if cycle < len(feed) else (None, False)
            ctx.set(dut.step, int(step is not None))
            ctx.set(dut.last, int(last))
            if step:
                ctx.set(dut.weights, [step.weights, step.others or step.weights][: array.weight_banks])
                ctx.set(dut.signals, step.signals)
                ctx.set(dut.counts, step.counts)
            if ctx.get(dut.taken):
                due = array.output_lanes
            if due:
                seen.append((cycle, [ctx.get(dut.row[lane]) for lane in range(array.pixel_lanes)]))
                due -= 1
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def test_sums_of_products() -> None:
    """Each row's weight meets each column's signal; the first row is there five cycles after the last operands."""
    tile = [Step((2, -3), (5, -1)), Step((1, 4), (-6, 7))]
    # row 0: 2*5 + 1*-6, 2*-1 + 1*7; row 1: -3*5 + 4*-6, -3*-1 + 4*7
    assert rows_of(False, tile) == [(1 + LATENCY, [4, 5]), (2 + LATENCY, [-39, 31])]


def test_split_sums() -> None:
    """Each column has weights of its own, and a part of each row's sum."""
    tile = [Step((2, -3), (5, -1), others=(-8, 7)), Step((1, 4), (-6, 7), others=(3, -4), counts=0b01)]
    # row 0: 2*5 + 1*-6, -8*-1; row 1: -3*5 + 4*-6, 7*-1
    assert [row for _, row in rows_of(False, tile)] == [[4, 8], [-39, -7]]
    alike = [step._replace(others=None) for step in tile]
    assert [row for _, row in rows_of(False, alike)] != [[4, 8], [-39, -7]]  # negative control: shared


def test_extreme_operands() -> None:
    """The lowest weight times the lowest signed and the highest unsigned signal of four bits."""
    assert [row for _, row in rows_of(False, [Step((-8, 7), (-8, 15))])] == [[64, -120], [-56, 105]]


def test_a_cycle_without_a_step() -> None:
    """A cycle in which no step is issued adds nothing."""
    tile = [Step((1, 1), (3, 4)), None, None, Step((1, 2), (1, 1))]
    assert rows_of(False, tile) == [(3 + LATENCY, [4, 5]), (4 + LATENCY, [5, 6])]


def test_the_shadow_hands_out_while_the_next_tile_runs() -> None:
    """Tiles of two steps follow each other without a gap: rows of one leave while the next adds up."""
    tiles = [[Step((n, -n), (1, 2)), Step((1, 1), (1, 0))] for n in (1, 2, 3)]
    expected = [[1 + 1, 2], [-1 + 1, -2], [2 + 1, 4], [-2 + 1, -4], [3 + 1, 6], [-3 + 1, -6]]
    assert rows_of(False, *tiles) == list(enumerate(expected, 1 + LATENCY))


def test_a_pool_sums_by_weights_of_one() -> None:
    """An average pool adds up signals in row 0, whose weights are 1; row 1 rests."""
    seen = rows_of(False, [Step((1, 0), (5, -1)), Step((1, 0), (6, 2)), Step((1, 0), (4, -8))])
    assert seen == [(2 + LATENCY, [15, -7]), (3 + LATENCY, [0, 0])]


@pytest.mark.parametrize(("weight_bits", "signal_bits"), [(2, 2), (4, 8), (3, 11), (5, 7), (5, 8), (6, 6), (8, 8)])
def test_every_product_of_two_weights(weight_bits: int, signal_bits: int) -> None:
    """Lanes that share a multiplier give both products, for the extremes and what lies around zero.

    At 2 * weight bits + signal bits = 18 the lowest weight has no room beside a negative one: the assembler refuses it.
    """
    array = MacArray(3, 1, weight_bits=weight_bits, signal_bits=signal_bits)
    full = 2 * weight_bits + signal_bits == 18
    high, top = (1 << (weight_bits - 1)) - 1, (1 << signal_bits) - 1
    weights = sorted({-high, -1, 0, 1, high} | (set() if full else {-high - 1}))
    signals = sorted({-(top + 1) // 2, -1, 0, 1, top})
    operands = [((u, v, u), x) for u in weights for v in weights for x in signals]
    tiles = [[Step(words, (x,), 1), Step((0, 0, 0), (0,), 1), Step((0, 0, 0), (0,), 1)] for words, x in operands]
    seen = [row[0] for _, row in rows_of(False, *tiles, array=array)]
    assert seen == [weight * x for words, x in operands for weight in words]
    assert array.weights_per_multiplier == (1 if weight_bits == 8 else 2)


def largest_of(*tiles: list[Step | None]) -> list[list[int]]:
    """Return row 0 of each tile that keeps the largest: it says how far that lies above -16, the lowest of 5 bits."""
    return [[above - 16 for above in row] for _, row in rows_of(True, *tiles)[::2]]


def test_a_maximum_of_signed_codes() -> None:
    """A max pool keeps the largest, of negative codes too, and begins anew with each tile."""
    tiles = [[Step((1, 0), (-5, 2)), Step((1, 0), (-3, 1)), Step((1, 0), (-4, 3))], [Step((1, 1), (-7, -8))] * 2]
    assert largest_of(*tiles) == [[-3, 3], [-7, -8]]
    assert ARRAY.lowest_code == -16


def test_a_maximum_of_extreme_codes() -> None:
    """The highest unsigned code and the lowest signed one of four bits; the lowest of all if none counts."""
    assert largest_of([Step((1, 1), (-8, 15)), Step((1, 1), (-8, -8))]) == [[-8, 15]]
    assert largest_of([Step((1, 1), (-8, 15), 0b10), Step((1, 1), (-8, 15), 0)]) == [[-16, 15]]


def test_a_maximum_of_what_counts() -> None:
    """Lanes that lie in the padding carry 0 and never win, at the first step, in the middle and at the last."""
    tile = [
        Step((1, 1), (0, -6), 0b10),
        Step((1, 1), (-5, 0), 0b01),
        Step((1, 1), (-7, -4), 0b11),
        Step((1, 1), (0, 0), 0),
    ]
    assert largest_of(tile) == [[-5, -4]]
    everything = [step._replace(counts=0b11) for step in tile]
    assert largest_of(everything) == [[0, 0]]  # negative control: counted, the zeros win
