"""From a step to operands: taps, addresses, what lies inside the map, weights.

cycle 1      the tap's place, the window's word
cycle 2-3    tap memory, register; the row and the window's word behind the end of a row
cycle 4      word, row and column of lane 0; the word for lane 0 if it were behind the end of a row
cycle 5-8    activation memory; meanwhile which lanes lie inside the map; weight memory, register

Lanes behind the end of a row (`accel.walk`) read words that lie `gap` further than they would. Which lanes lie inside
the map is worked out for each of the two parts of a tile: from a first lane on, and below another.
"""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.core.activations import READ_CYCLES
from rtl.core.memory import delayed, loadable
from rtl.core.sequencer import step_layout
from rtl.layout import Layout, Target

FETCH_CYCLES = 4 + READ_CYCLES  # from a step to its operands


class Fetch(wiring.Component):
    """Turns steps into operands, `FETCH_CYCLES` later.

    Ports
    -----
    issue, step, origin, row, column, layer : in, from the sequencer
    before, both : in, from the sequencer two cycles later: lanes before the end of a row; both rows of a pair in a tile
    reads, read_address, read_double : out, to the activation memory; read : in, what it has `READ_CYCLES` later
    other_address, read_before, read_edge : out, to it too: the first word behind a gap, and where that begins
    read_all : out, to it too: words lie two apart, or behind a gap, or in a second map
    other, read_pair : in, words of the second of two maps; out, whether there is one
    operands, last, maximum, weights, signals, others, counts : out, to the lanes
    takes : out, beside the weights, the rows of multipliers that take the second of two maps
    weight_row, weights_wanted : out, to the memory of weights; weights_read : in, what it has a cycle later
    load, loaded : in, a word for the taps
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        lanes = layout.array.pixel_lanes
        super().__init__(
            {
                "issue": In(1),
                "step": In(step_layout(layout)),
                "origin": In(layout.signed_address),
                "row": In(layout.position),
                "column": In(layout.position),
                "before": In(layout.lane_count),
                "both": In(1),
                "layer": In(layout.layer),
                "reads": Out(1),
                "read_address": Out(layout.address),
                "read_before": Out(layout.lane_count),
                "read_edge": Out(layout.bank),
                "read_double": Out(1),
                "read_all": Out(1),
                "read": In(layout.pixels),
                "other_address": Out(layout.address),
                "read_pair": Out(layout.layer["pair"].shape),
                "other": In(layout.pixels),
                "operands": Out(1),
                "last": Out(1),
                "maximum": Out(1),
                "weights": Out(layout.lanes_row),
                "takes": Out(layout.array.select_bits),
                "signals": Out(data.ArrayLayout(layout.operand, lanes)),
                "others": Out(data.ArrayLayout(layout.operand, lanes)),
                "counts": Out(lanes),
                "weight_row": Out(range(layout.array.weight_words // layout.array.weight_banks)),
                "weights_wanted": Out(layout.array.weight_banks),
                "weights_read": In(layout.weight_row),
                "load": In(1),
                "loaded": In(layout.load),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the stages."""
        m = Module()
        layout, layer, step = self.layout, self.layer, self.step
        self.there = [self.issue]  # whether a step is there, of each stage: memories are read in steps alone
        for _ in range(FETCH_CYCLES):
            self.there.append(delayed(m, self.there[-1], 1, resets=True))
        taps = loadable(m, layout.tap, layout.array.taps, Target.TAPS, self.load, self.loaded)
        window, place = Signal(layout.signed_address, reset_less=True), Signal(layout.address, reset_less=True)
        at_row, at_column = (Signal(layout.position, name=f"at_{name}", reset_less=True) for name in ("row", "column"))
        tap_place = Signal(taps.addr.shape(), reset_less=True)
        m.d.sync += [tap_place.eq(layer.tap + step.tap), window.eq(step.base + self.origin)]
        m.d.comb += [taps.addr.eq(tap_place), taps.en.eq(self.there[1])]
        tap = delayed(m, taps.data, 1)
        m.d.sync += [
            place.eq(delayed(m, window, 2) + tap.words),
            at_row.eq(delayed(m, self.row, 3) + tap.rows),
            at_column.eq(delayed(m, self.column, 3) + tap.columns),
        ]
        before = self._build_gap(m, delayed(m, window, 1), tap.words)
        m.d.comb += self.read_pair.eq(layer.pair)
        m.d.comb += [
            self.reads.eq(self.there[FETCH_CYCLES - READ_CYCLES]),
            self.read_address.eq(place),
            self.read_double.eq(layer.double),
            self.operands.eq(self.there[-1]),
            self.last.eq(delayed(m, step.last, FETCH_CYCLES)),
            self.maximum.eq(layer.maximum),
        ]
        inside = self._inside(m, at_row, at_column)
        if layout.array.flats:
            inside = self._behind(m, tap.rows, inside, at_column, before)
        m.d.comb += self.counts.eq(delayed(m, inside, READ_CYCLES - 3))
        is_signed = delayed(m, tap.signed, READ_CYCLES + 1)
        for lane in range(layout.array.pixel_lanes):
            for bits, signal in ((self.read[lane], self.signals[lane]), (self.other[lane], self.others[lane])):
                m.d.comb += signal.eq(Cat(bits, bits[-1] & is_signed).as_signed())
        self._build_weights(m)
        return m

    def _build_gap(self, m: Module, window: Value, words: Value) -> Value:
        """Find the word of lane 0 if it were behind the gap, and the bank where that begins; return `read_before`.

        The second of two maps is read as if all lanes came before a gap. A tile of two rows, whose edges are found
        apart, has no words between them then: what is returned is of those.
        """
        array, layer, gap = self.layout.array, self.layer, Mux(self.both, self.layer.pair_gap, self.layer.gap)
        before, ahead = self.before, delayed(m, self.before, 1)
        reads = ahead
        if array.combines:
            apart = Cat(Const(array.pixel_lanes, exact_log2(array.banks)), delayed(m, self.step.other, 2))
            gap = Mux(layer.combine, apart, gap)
            before, reads = (Mux(layer.combine, array.pixel_lanes, lanes) for lanes in (before, ahead))
        other = Signal.like(window, name="other_window", reset_less=True)
        edge = Signal.like(self.read_edge)
        m.d.sync += [
            other.eq(window + gap),
            edge.eq(window[: len(edge)] + before),
            self.other_address.eq(other + words),
            self.read_edge.eq(edge + words[: len(edge)]),
            self.read_before.eq(reads),
            self.read_all.eq(layer.double | layer.combine | layer.pair | (ahead != array.pixel_lanes)),
        ]
        return delayed(m, ahead, 1) if array.combines else self.read_before

    def _behind(self, m: Module, rows: Value, inside: Value, at_column: Signal, before: Value) -> Value:
        """Return which lanes lie inside the map, also of those behind the end of a row."""
        layer, lanes = self.layer, self.layout.array.pixel_lanes
        row, width = Signal(self.layout.position, reset_less=True), Signal(self.layout.position, reset_less=True)
        at_row = Signal(self.layout.position, name="at_row_behind", reset_less=True)
        m.d.sync += [
            row.eq(delayed(m, self.row, 2) + (layer.row_step << (layer.pool & ~self.both))),
            width.eq(Mux(self.both, lanes // 2, layer.row_pixels)),
            at_row.eq(row + rows),
        ]
        others, before = self._inside(m, at_row, at_column, delayed(m, width, 1)), delayed(m, before, 3)
        return Cat(Mux(lane < before, inside[lane], others[lane]) for lane in range(lanes))

    def _inside(self, m: Module, at_row: Signal, at_column: Signal, passed: Value | int = 0) -> Signal:
        """Return which lanes lie inside the map, three cycles later; the column of lane 0 is less by `passed`."""
        layout, layer, lanes = self.layout, self.layer, self.layout.array.pixel_lanes
        rows = delayed(m, self._within(m, at_row, layer.height), 1)
        first, end = (Signal(layout.position, reset_less=True) for _ in range(2))  # inside are lanes first .. end - 1
        m.d.sync += [
            first.eq((passed - at_column + layer.double) >> layer.double),
            end.eq((layer.width + passed - at_column + layer.double) >> layer.double),
        ]
        inside = Signal(lanes, reset_less=True)
        bounds = [delayed(m, self._lane(bound), 1) for bound in (first, end)]
        for lane in range(lanes):
            m.d.sync += inside[lane].eq(rows.all() & (bounds[0] <= lane) & (lane < bounds[1]))
        return inside

    def _lane(self, bound: Signal) -> Value:
        """Return a lane, or the number of lanes for what is as much or more; 0 for what is negative."""
        lanes = self.layout.array.pixel_lanes
        low = exact_log2(lanes)
        return Mux(bound < 0, 0, Mux(bound[low:] != 0, lanes, bound[:low]))

    def _within(self, m: Module, place: Signal, size: Signal) -> Signal:
        """Return two bits that are both set, a cycle later, where `place` is 0 .. `size` - 1."""
        bounds = Signal(2, reset_less=True)
        m.d.sync += bounds.eq(Cat(place >= 0, place < size))
        return bounds

    def _build_weights(self, m: Module) -> None:
        """Read the weights so that they meet their signals; one register before the memory, one behind it.

        Weights of split sums are named by the row of the banks, others by the word: its own bank is read, and one more
        register later all lanes get what came from there. Where no step is there the weights are 0, so that nobody
        sees what a bank had when the power came.
        """
        banks = self.layout.array.weight_banks
        behind = 1 if banks > 1 else 0
        word, low = delayed(m, self.step.weight, FETCH_CYCLES - 3 - behind), exact_log2(banks)
        row = delayed(m, Mux(self.layer.split, word, word >> low)[: len(self.weight_row)], 1)
        named = self.there[FETCH_CYCLES - 3 - behind]
        own = delayed(m, Cat(named & (word[:low] == index) for index in range(banks)), 1)
        every = delayed(m, self.layer.split & named, 1)
        apart = delayed(m, self.layer.split & self.there[FETCH_CYCLES - 1], 1)
        m.d.comb += [self.weight_row.eq(row), self.weights_wanted.eq(Cat(every | mine for mine in own))]
        read, mine = [delayed(m, bank.as_value(), 1) for bank in self.weights_read], delayed(m, own, 2)
        chosen = reduce(or_, (bits & here.replicate(len(bits)) for bits, here in zip(read, mine, strict=True)))
        shared = delayed(m, chosen, behind)
        bits_of_lanes = Shape.cast(self.layout.lanes).width
        m.d.comb += self.takes.eq(shared[bits_of_lanes:])  # no word of a split sum has any
        for place, bits in enumerate(read):
            own_bits = delayed(m, bits[:bits_of_lanes], behind)
            chosen_bits = Mux(apart, own_bits, shared[:bits_of_lanes])
            m.d.comb += self.weights[place].as_value().eq(chosen_bits)
