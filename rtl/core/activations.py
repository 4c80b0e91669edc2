"""The activation memory: banks that deliver a row of pixels from any alignment, at stride 1 or 2, in one cycle.

Word a of the linear address space lies in bank a mod B at place a div B, with B = 2 x pixel lanes, so that pixel lanes
at stride 1 or 2 never meet in a bank. At stride 1 they leave half of the banks alone, so that words behind a gap are
read with them: those of the last lanes, or as many of another row, whose first one lies `pixel lanes` banks further.
Where nothing lies there, that half rests.
The write side rotates the other way. Reads and writes never concern the same tensor at the same time (the assembler
gives every layer's input and output places of their own), so that each bank needs one port for each.

    read     cycle 1 place in each bank · 2 the banks · 3 a register behind them · 4 rotated by multiples of 4; on the
             way out rotated by the rest and spread by the stride, without a register
    write    cycle 1 a register · 2 rotated by multiples of 4, place in each bank · 3 by the rest · 4 the banks
"""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from accel.memory_words import SHALLOW
from rtl.core.memory import delayed
from rtl.layout import Layout

READ_CYCLES = 4
COARSE = 2  # low bits of a turn that are left to the last multiplexers


class Activations(wiring.Component):
    """Banked memory.

    Ports
    -----
    reads : in, a row is read; the banks rest otherwise
    read_address : in, the word for lane 0
    read_double : in, 1 for stride 2; does not change while reads are under way
    other_address : in, the word for lane 0 if it were behind a gap: its bank is not before the first one behind it
    read_before, read_edge : in, the lanes before the gap, and the first bank behind those of their words
    read_all : in, of every bank; else of those alone that have words of lanes before the gap
    read, other : out, one word a lane, `READ_CYCLES` later; and as many behind, if these are read at stride 1
    write_address, write, write_lanes : in, words for lanes 0 .. write_lanes - 1, side by side from the address
    """

    def __init__(self, layout: Layout) -> None:
        self.layout, self.banks = layout, layout.array.banks
        super().__init__(
            {
                "reads": In(1),
                "read_address": In(layout.address),
                "read_double": In(1),
                "read_all": In(1),
                "other_address": In(layout.address),
                "read_before": In(layout.lane_count),
                "read_edge": In(layout.bank),
                "read": Out(layout.pixels),
                "other": Out(layout.pixels),
                "write_address": In(layout.address),
                "write": In(layout.pixels),
                "write_lanes": In(layout.lane_count),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the banks and the two rotations."""
        m = Module()
        word, depth = self.layout.signal, self.layout.array.bank_words
        low = (self.banks - 1).bit_length()
        reads, writes = [], []
        for index in range(self.banks):
            attrs = {"ram_style": "distributed" if depth <= SHALLOW else "block"}
            m.submodules[f"signals{index}"] = bank = Memory(shape=word, depth=depth, init=[], attrs=attrs)
            reads.append(bank.read_port())
            writes.append(bank.write_port())
        self._build_read(m, reads, low)
        self._build_write(m, writes, low)
        return m

    def _build_read(self, m: Module, reads: list, low: int) -> None:
        array, starts = self.layout.array, [self.read_address, self.other_address]
        turns, lanes = [start[:low] for start in starts], array.pixel_lanes
        wraps = self.read_edge < turns[0]
        places = [[start >> low, (start >> low) + 1] for start in starts]
        for index, port in enumerate(reads):
            place = Signal(port.addr.shape(), name=f"place{index}", reset_less=True)
            # banks below the start hold the words after the wrap, one place further on
            rows = [Mux(_beyond(turn, index), onward, row) for (row, onward), turn in zip(places, turns, strict=True)]
            # from the start, round to the edge
            before = _beyond(turns[0], index) ^ _beyond(self.read_edge, index) ^ wraps
            wanted = Signal(name=f"wanted{index}", reset_less=True)
            m.d.sync += place.eq(Mux(before, *rows) if array.gaps else rows[0])
            m.d.sync += wanted.eq(self.reads & (self.read_all | before))
            m.d.comb += [port.addr.eq(place), port.en.eq(wanted)]
        raw = Signal(self.banks * array.signal_bits, reset_less=True)
        m.d.sync += raw.eq(Cat(port.data for port in reads))
        words, before = self._turned(m, raw, turns[0], "words"), delayed(m, self.read_before, READ_CYCLES - 1)
        behind = self._turned(m, raw, turns[1], "behind") if array.flats else words
        for lane in range(lanes):
            choices = self._choices(m, lane, before, words, behind)
            m.d.comb += self.read[lane].eq(reduce(or_, choices))
            m.d.comb += self.other[lane].eq(words[lanes + lane])

    def _choices(self, m: Module, lane: int, before: Value, words: Any, behind: Any) -> list[Value]:
        """Return what a lane may read, all of it zero but one: which one is known a cycle ahead."""
        double, flats = self.read_double, self.layout.array.flats
        first = lane < before if flats else Const(1)
        choices = [(words[lane], first & ~double), (words[2 * lane], first & double)]
        choices += [(behind[lane], ~first)] if flats else []
        return [word & delayed(m, mine, 1).replicate(len(word)) for word, mine in choices]

    def _turned(self, m: Module, raw: Signal, turn: Value, name: str) -> Signal:
        """Return the words of all banks, that of the start first, a cycle later."""
        turn = delayed(m, turn, READ_CYCLES - 1)
        coarse = Signal(raw.shape(), name=f"{name}_coarse", reset_less=True)
        m.d.sync += coarse.eq(self._rotated(m, raw, turn[COARSE:], COARSE))
        turned = Signal(data.ArrayLayout(self.layout.signal, self.banks), name=name)
        m.d.comb += turned.as_value().eq(self._rotated(m, coarse, delayed(m, turn[:COARSE], 1)))
        return turned

    def _rotated(self, m: Module, words: Value, turn: Value, first: int = 0) -> Value:
        """Return words turned down by `turn` << `first`, bit by bit: a product with their width takes a multiplier."""
        for place, bit in enumerate(turn, first):
            before, words = words, Signal.like(words)
            m.d.comb += words.eq(Mux(bit, before.rotate_right(self.layout.array.signal_bits << place), before))
        return words

    def _build_write(self, m: Module, writes: list, low: int) -> None:
        words = Signal(self.banks * self.layout.array.signal_bits, reset_less=True)
        turned = Signal.like(words)
        finished = Signal(data.ArrayLayout(self.layout.signal, self.banks), reset_less=True)
        # nothing resets: a word that was taken is written, whatever comes after it
        start, lanes = delayed(m, self.write_address[:low], 1), delayed(m, self.write_lanes, 1)
        address = delayed(m, self.write_address >> low, 1)
        back = Signal(low, reset_less=True)  # turning up by the start is turning down by what it lacks of a whole turn
        m.d.sync += [words.eq(self.write.as_value()), back.eq(-self.write_address[:low])]
        m.d.sync += turned.eq(self._rotated(m, words, back[COARSE:], COARSE))
        m.d.sync += finished.as_value().eq(self._rotated(m, turned, delayed(m, back[:COARSE], 1)))
        for index, port in enumerate(writes):
            lane = Signal(low, name=f"lane{index}")
            place = Signal(port.addr.shape(), name=f"write_place{index}", reset_less=True)
            taken = Signal(name=f"taken{index}", reset_less=True)
            m.d.comb += lane.eq(index - start)  # the lane whose word this bank takes
            m.d.sync += [taken.eq(lane < lanes), place.eq(address + _beyond(start, index))]
            m.d.comb += [port.addr.eq(delayed(m, place, 1)), port.data.eq(finished[index])]
            m.d.comb += port.en.eq(delayed(m, taken, 1))


def _beyond(bank: Value, index: int) -> Value:
    """Return whether `bank` is greater than `index`; no comparison where no bank is."""
    return bank > index if index + 1 < 1 << len(bank) else Const(0)
