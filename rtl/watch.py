"""Rows of words as they are written or leave, of an image whose simulation is watched.

`Watch` sees them in Amaranth's simulator. A testbench that is compiled with ``-DESPALIER_WATCH`` and runs with
``+watch=N`` says a line for each. It looks into the array's modules, which a netlist may not have any more: without the
definition it needs none of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from accel.array import MacArray
from rtl.core.accelerator import Accelerator
from rtl.counters import Counted

_ROW = re.compile(r"^(?:WROTE (\d+) (\d+) (\d+) (\d+)|LEFT (\d+) (\d+)) ([01xzXZ]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """Words side by side.

    Parameters
    ----------
    begun : int
        Layers of the image that had begun: 1 in the first.
    cycle : int
        What the port `cycles` shows in the cycle.
    address : int or None
        Of the first word in the memory of signals; None where the row leaves the chip.
    codes : tuple of int or None
        As numbers without a sign; None where a bit is unknown.
    """

    begun: int
    cycle: int
    address: int | None
    codes: tuple[int | None, ...]


def rows_of(said: str, array: MacArray) -> Iterator[Row]:
    """Yield the rows that a testbench of `array` told, in order."""
    for begun, cycle, address, lanes, late, then, bits in _ROW.findall(said):
        if address:
            codes = _codes(bits, array.signal_bits)
            yield Row(int(begun), int(cycle), int(address), codes[: int(lanes)])
        else:  # whether it is the last, the lanes that count, the row
            words = array.pixel_lanes * array.accumulator_bits
            codes, count = _codes(bits[-words:], array.accumulator_bits), bits[1:-words]
            yield Row(int(late), int(then), None, codes[: int(count, 2) if _known(count) else None])


class Watch:
    """Sees what an accelerator writes, a cycle after the other, if it is to be `watched` at all."""

    def __init__(self, dut: Accelerator | Counted, watched: bool) -> None:
        self.dut, self.watched, self.begun = dut, watched, 0
        self.core = (dut.hardware if isinstance(dut, Counted) else dut).core
        self.rows: list[Row] = []

    def see(self, ctx) -> None:  # type: ignore[no-untyped-def]  # Amaranth's context
        """Note what is written in this cycle, and what leaves."""
        if not self.watched:
            return
        drain, out, cycle = self.core.drain, self.dut.out, ctx.get(self.dut.cycles)
        if ctx.get(self.core.moves):
            self.begun += ctx.get(self.core.sequencer.fresh)
            if ctx.get(drain.writes):
                codes = ctx.get(drain.write)
                lanes = range(ctx.get(drain.write_lanes))
                self.rows.append(Row(self.begun, cycle, ctx.get(drain.write_address), tuple(codes[x] for x in lanes)))
        if ctx.get(out.valid) and ctx.get(out.ready):
            row, bits = ctx.get(out.payload), self.dut.array.accumulator_bits
            codes = tuple(row.row[lane] % (1 << bits) for lane in range(row.lanes))
            self.rows.append(Row(self.begun, cycle, None, codes))

    def taken(self) -> tuple[Row, ...]:
        """Return the rows of the image that has ended; the next one begins."""
        rows, self.rows, self.begun = tuple(self.rows), [], 0
        return rows


def _codes(bits: str, width: int) -> tuple[int | None, ...]:
    """Return the numbers of `width` bits that follow each other in a word, the lowest bits' first."""
    words = (bits[end - width : end] for end in range(len(bits), 0, -width))
    return tuple(int(word, 2) if _known(word) else None for word in words)


def _known(bits: str) -> bool:
    return not set(bits) - {"0", "1"}
