"""The accelerator: a network runs from one start to its last output with no help from outside.

    sequencer -> taps -> address, edges -> banks -> rotation -> lanes -> drain -> banks, or the output stream
                                   weights ----------------------^

Every memory is written through the `load` stream while the accelerator is idle. `start` begins at layer 0; the final
layer's rows leave through the `out` stream. When its receiver is not ready the whole accelerator stands still for that
cycle, so that cycles minus stalls are the same whatever the receiver does.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from accel.array import MacArray
from accel.fixedpoint import FixedFormat
from rtl.activations import READ_CYCLES, Activations
from rtl.drain import Drain
from rtl.lanes import Lanes
from rtl.layout import Layout, Target
from rtl.memory import delayed, loadable
from rtl.sequencer import Sequencer

FETCH_CYCLES = 4 + READ_CYCLES  # from a step to its operands
LANE_CYCLES = 4  # from a tile's last operands to its first row in the shadow


class Core(wiring.Component):
    """Everything that stands still when the output is not taken.

    Ports
    -----
    load, loaded : in, a word for a memory
    start : in
    busy : out
    out, out_lanes, out_last : out, a row of the final layer, while `out_valid`
    """

    def __init__(self, layout: Layout, formats: Sequence[FixedFormat]) -> None:
        self.layout = layout
        self.sequencer, self.activations = Sequencer(layout), Activations(layout)
        self.lanes, self.drain = Lanes(layout), Drain(layout, formats)
        super().__init__(
            {
                "load": In(1),
                "loaded": In(layout.load),
                "start": In(1),
                "busy": Out(1),
                "out": Out(self.drain.rows),
                "out_lanes": Out(layout.lane_count),
                "out_valid": Out(1),
                "out_last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the parts."""
        m = Module()
        m.submodules.sequencer = sequencer = self.sequencer
        m.submodules.activations, m.submodules.lanes, m.submodules.drain = self.activations, self.lanes, self.drain
        loaded = self.loaded
        m.d.comb += [
            sequencer.start.eq(self.start),
            sequencer.done.eq(self.drain.done),
            sequencer.load.eq(self.load),
            sequencer.loaded.eq(loaded),
            self.busy.eq(sequencer.busy),
            self.out.eq(self.drain.out),
            self.out_lanes.eq(self.drain.out_lanes),
            self.out_valid.eq(self.drain.out_valid),
            self.out_last.eq(self.drain.out_last),
        ]
        self._build_fetch(m)
        self._build_drain(m)
        return m

    def _build_fetch(self, m: Module) -> None:
        """From a step to operands at the lanes, eight cycles later.

        cycle 1   tap's place, window's word · 2 tap memory · 3 register · 4 word, row, column of lane 0
        cycle 5-8 activation memory; meanwhile which lanes lie inside the map
        """
        layout, sequencer, layer = self.layout, self.sequencer, self.sequencer.layer
        step = sequencer.step
        taps = loadable(m, layout.tap, layout.array.taps, Target.TAPS, self.load, self.loaded)
        window, place = Signal(layout.signed_address), Signal(layout.address)
        at_row, at_column = Signal(layout.position), Signal(layout.position)
        m.d.sync += [taps.addr.eq(layer.tap + step.tap), window.eq(step.base + sequencer.origin)]
        tap = delayed(m, taps.data, 1)
        row, column = delayed(m, sequencer.row, 3), delayed(m, sequencer.column, 3)
        m.d.sync += [place.eq(delayed(m, window, 2) + tap.words), at_row.eq(row + tap.rows)]
        m.d.sync += at_column.eq(column + tap.columns)
        m.d.comb += [self.activations.read_address.eq(place), self.activations.read_double.eq(layer.stride == 2)]
        counts = delayed(m, self._inside(m, at_row, at_column), READ_CYCLES - 3)
        is_signed = delayed(m, tap.signed, READ_CYCLES + 1)
        for lane in range(layout.array.pixel_lanes):
            bits = self.activations.read[lane]
            operand = Cat(bits, bits[-1] & is_signed).as_signed()
            m.d.comb += [self.lanes.signals[lane].eq(operand), self.lanes.counts[lane].eq(counts[lane])]
        self._build_weights(m)
        m.d.comb += [
            self.lanes.step.eq(delayed(m, sequencer.issue, FETCH_CYCLES)),
            self.lanes.first.eq(delayed(m, step.first, FETCH_CYCLES)),
            self.lanes.last.eq(delayed(m, step.last, FETCH_CYCLES)),
            self.lanes.maximum.eq(layer.maximum),
        ]

    def _inside(self, m: Module, at_row: Signal, at_column: Signal) -> Signal:
        """Return which lanes lie inside the map, three cycles later."""
        layout, layer = self.layout, self.sequencer.layer
        rows = self._within(m, delayed(m, at_row, 1), layer.height)
        inside = Signal(layout.array.pixel_lanes)
        for lane in range(layout.array.pixel_lanes):
            place = Signal(layout.position, name=f"column{lane}")
            m.d.sync += place.eq(at_column + Mux(layer.stride == 2, 2 * lane, lane))
            m.d.sync += inside[lane].eq((rows & self._within(m, place, layer.width)).all())
        return inside

    def _within(self, m: Module, place: Signal, size: Signal) -> Signal:
        """Return two bits that are both set, a cycle later, where `place` is 0 .. `size` - 1."""
        bounds = Signal(2)
        m.d.sync += bounds.eq(Cat(place >= 0, place < size))
        return bounds

    def _build_weights(self, m: Module) -> None:
        """Read the weights so that they meet their signals; one register before the memory, one behind it."""
        layout = self.layout
        weights = loadable(m, layout.weights, layout.array.weight_words, Target.WEIGHTS, self.load, self.loaded)
        m.d.comb += weights.addr.eq(delayed(m, self.sequencer.step.weight, FETCH_CYCLES - 2))
        m.d.comb += self.lanes.weights.eq(delayed(m, weights.data, 1))

    def _build_drain(self, m: Module) -> None:
        """Rows to the drain; the activation memory's write port to the drain, or to the loader while idle."""
        sequencer, drain, memory = self.sequencer, self.drain, self.activations
        loaded = self.loaded
        m.d.comb += [
            drain.begin.eq(self.lanes.taken),
            drain.row.eq(self.lanes.row),
            drain.tile.eq(delayed(m, sequencer.tile, FETCH_CYCLES + LANE_CYCLES)),
            drain.layer.eq(sequencer.layer),
            drain.load.eq(self.load),
            drain.loaded.eq(loaded),
        ]
        with m.If(sequencer.busy):
            m.d.comb += [memory.write_address.eq(drain.write_address), memory.write.eq(drain.write)]
            m.d.comb += memory.write_lanes.eq(drain.write_lanes)
        with m.Else():
            m.d.comb += [memory.write_address.eq(loaded.address), memory.write[0].eq(loaded.word)]
            m.d.comb += memory.write_lanes.eq(self.load & (loaded.target == Target.SIGNALS))


class Accelerator(wiring.Component):
    """The core between its streams, with counters.

    Parameters
    ----------
    array : MacArray
    formats : sequence of FixedFormat
        Of the output signals that Programs may have; `Layer.form` names one of them by number.

    Ports
    -----
    load : stream of {target, address, word}, taken while idle
    start : in
    busy : out
    out : stream of {row, lanes, last}
    cycles, stalls : out, since `start` was taken, the cycle of the last row included
    """

    def __init__(self, array: MacArray, formats: Sequence[FixedFormat]) -> None:
        self.array, self.formats = array, tuple(formats)
        self.layout = layout = Layout(array)
        self.core = Core(layout, formats)
        self.result = data.StructLayout({"row": self.core.drain.rows, "lanes": layout.lane_count, "last": 1})
        super().__init__(
            {
                "load": In(stream.Signature(layout.load)),
                "start": In(1),
                "busy": Out(1),
                "out": Out(stream.Signature(self.result)),
                "cycles": Out(32),
                "stalls": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Freeze the core while the output waits, and count."""
        m = Module()
        core = self.core
        moves = Signal()
        m.submodules.core = EnableInserter(moves)(core)
        stalled = self.out.valid & ~self.out.ready
        m.d.comb += [
            moves.eq(~stalled),
            self.load.ready.eq(~core.busy),
            core.start.eq(self.start),
            self.busy.eq(core.busy),
            self.out.valid.eq(core.out_valid),
            self.out.payload.row.eq(core.out),
            self.out.payload.lanes.eq(core.out_lanes),
            self.out.payload.last.eq(core.out_last),
        ]
        m.d.sync += [core.load.eq(self.load.valid & ~core.busy), core.loaded.eq(self.load.payload)]
        counting = Signal()
        with m.If(self.start & ~core.busy):
            m.d.sync += [self.cycles.eq(1), self.stalls.eq(0), counting.eq(1)]
        with m.Elif(counting):
            m.d.sync += [self.cycles.eq(self.cycles + 1), self.stalls.eq(self.stalls + stalled)]
            with m.If(self.out.valid & self.out.ready & self.out.payload.last):
                m.d.sync += counting.eq(0)
        return m
