"""Rows leave value by value, whoever waits: through the stream, or by a register."""

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import signed
from amaranth.lib import data
from amaranth.sim import Simulator

from rtl.bus.results import Results, result_bits

LANES, BITS, IMAGES = 4, 11, 12
ROW = data.StructLayout({"row": data.ArrayLayout(signed(BITS), LANES), "lanes": range(LANES + 1), "last": 1})
Row = tuple[list[int], bool]


def rows_of(rng: np.random.Generator) -> list[Row]:
    """Return the rows of some images, of different lengths."""
    lengths = [rng.integers(1, LANES + 1, rng.integers(1, 6)).tolist() for _ in range(IMAGES)]
    most = 1 << (BITS - 1)
    return [
        (rng.integers(-most, most, length).tolist(), index == len(image) - 1)
        for image in lengths
        for index, length in enumerate(image)
    ]


def streamed(by_register: bool, given: float, taken: float) -> tuple[list[Row], list[tuple[int, bool]], dict[str, int]]:
    """Return the rows that went in, the values that came out with TLAST, and what was counted."""
    rng = np.random.default_rng(int(100 * given + 10 * taken) + by_register)
    rows, out, counts = rows_of(rng), list[tuple[int, bool]](), {"first": 0, "done": 0, "broken": 0}
    dut = Results(ROW, result_bits(BITS))
    total = sum(len(row) for row, _ in rows)

    async def bench(ctx: Any) -> None:
        sent, valid, waits = 0, False, None
        ctx.set(dut.takes, by_register)
        await ctx.tick()
        while len(out) < total or sent < len(rows):
            valid = valid or (sent < len(rows) and rng.random() < given)
            ctx.set(dut.row_valid, valid)
            if valid:
                values, last = rows[sent]
                ctx.set(dut.row, {"row": dict(enumerate(values)), "lanes": len(values), "last": last})
            takes = rng.random() < taken
            ctx.set(dut.tready, takes)
            ctx.set(dut.take, takes and by_register)
            there = ctx.get(dut.there if by_register else dut.tvalid)
            shown = (ctx.get(dut.tdata), ctx.get(dut.tlast))
            counts["broken"] += waits is not None and (not there or shown != waits)
            counts["broken"] += ctx.get(dut.tvalid) if by_register else ctx.get(dut.there)
            waits = shown if there and not takes else None
            if there and takes:
                out.append((shown[0], bool(shown[1])))
            for name in ("first", "done"):
                counts[name] += ctx.get(getattr(dut, name))
            if valid and ctx.get(dut.row_ready):
                sent, valid = sent + 1, False
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return rows, out, counts


def wanted(rows: list[Row]) -> list[tuple[int, bool]]:
    """Return every value as a word of 32 bits; TLAST is with the last of an image."""
    values = [(value, last and index == len(row) - 1) for row, last in rows for index, value in enumerate(row)]
    return [(value & 0xFFFFFFFF, last) for value, last in values]


@pytest.mark.parametrize("by_register", [False, True], ids=["stream", "register"])
@pytest.mark.parametrize(("given", "taken"), [(1, 1), (0.3, 1), (1, 0.3), (0.5, 0.5)])
def test_no_value_is_lost(by_register: bool, given: float, taken: float) -> None:
    """Each comes once, in order, with its sign, stays while it waits, and each image begins and ends once."""
    rows, out, counts = streamed(by_register, given, taken)
    assert out == wanted(rows)
    assert counts == {"first": IMAGES, "done": IMAGES, "broken": 0}


def test_a_lost_value_is_seen() -> None:
    """Control: other rows, or one value less, compare as different."""
    rows, out, _ = streamed(False, 1, 1)
    assert out[:-1] != wanted(rows)
    assert out != wanted(rows[1:] + rows[:1])


def test_widths() -> None:
    """Whole words of 32 bits."""
    assert [result_bits(bits) for bits in (1, 32, 33, 61)] == [32, 32, 64, 64]
