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
from amaranth.lib.memory import ReadPort
from amaranth.lib.wiring import In, Out

from accel.array import MacArray
from accel.fixedpoint import FixedFormat
from rtl.activations import Activations
from rtl.drain import Drain
from rtl.lanes import Lanes
from rtl.layout import Layout, Target
from rtl.memory import loadable
from rtl.sequencer import Sequencer

TO_SHADOW = 7  # cycles from a tile's last step to its first row in the shadow


class Core(wiring.Component):
    """Everything that stands still when the output is not taken.

    Ports
    -----
    load, loaded : in, a word for a memory
    start : in
    busy : out
    out, out_lanes, out_last : out, a row of the final layer; nothing while `out_lanes` is 0
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
            self.out_last.eq(self.drain.out_last),
        ]
        self._build_fetch(m)
        self._build_drain(m)
        return m

    def _build_fetch(self, m: Module) -> None:
        """From a step to operands at the lanes, four cycles later."""
        layout, step, layer = self.layout, self.sequencer.step, self.sequencer.layer
        taps = self._memory(m, "taps", layout.tap, layout.array.taps, Target.TAPS)
        weights = self._memory(m, "weights", layout.weights, layout.array.weight_words, Target.WEIGHTS)
        issue, first, last = (self._delayed(m, x, 4) for x in (self.sequencer.issue, step.first, step.last))
        word, row, column = (self._delayed(m, x, 1) for x in (step.word, step.row, step.column))
        address, at_row, at_column = Signal(layout.address), Signal(layout.position), Signal(layout.position)
        m.d.comb += [taps.addr.eq(step.tap), weights.addr.eq(self._delayed(m, step.weight, 3))]
        m.d.sync += [
            address.eq(word + taps.data.words),
            at_row.eq(row + taps.data.rows),
            at_column.eq(column + taps.data.columns),
        ]
        m.d.comb += [self.activations.read_address.eq(address), self.activations.read_double.eq(layer.stride == 2)]
        inside = Signal(layout.array.pixel_lanes)
        for lane in range(layout.array.pixel_lanes):
            place = at_column + Mux(layer.stride == 2, 2 * lane, lane)
            in_row = (at_row >= 0) & (at_row < layer.height)
            m.d.comb += inside[lane].eq(in_row & (place >= 0) & (place < layer.width))
        counts = self._delayed(m, inside, 2)
        m.d.comb += [
            self.lanes.step.eq(issue),
            self.lanes.first.eq(first),
            self.lanes.last.eq(last),
            self.lanes.kind.eq(layer.kind),
            self.lanes.weights.eq(weights.data),
            self.lanes.counts.eq(counts),
        ]
        for lane in range(layout.array.pixel_lanes):
            bits = self.activations.read[lane]
            operand = Cat(bits, bits[-1] & layer.signed).as_signed()
            m.d.comb += self.lanes.signals[lane].eq(Mux(counts[lane], operand, 0))

    def _build_drain(self, m: Module) -> None:
        """Rows to the drain; the activation memory's write port to the drain, or to the loader while idle."""
        sequencer, drain, memory = self.sequencer, self.drain, self.activations
        loaded = self.loaded
        m.d.comb += [
            drain.begin.eq(self.lanes.taken),
            drain.row.eq(self.lanes.row),
            drain.tile.eq(self._delayed(m, sequencer.tile, TO_SHADOW)),
            drain.layer.eq(sequencer.layer),
            drain.load.eq(self.load & (loaded.target == Target.CONSTANTS)),
            drain.loaded.eq(loaded),
        ]
        with m.If(sequencer.busy):
            m.d.comb += [memory.write_address.eq(drain.write_address), memory.write.eq(drain.write)]
            m.d.comb += memory.write_lanes.eq(drain.write_lanes)
        with m.Else():
            m.d.comb += [memory.write_address.eq(loaded.address), memory.write[0].eq(loaded.word)]
            m.d.comb += memory.write_lanes.eq(self.load & (loaded.target == Target.SIGNALS))

    def _delayed(self, m: Module, value: Signal, cycles: int) -> Signal:
        for _ in range(cycles):
            following = Signal(value.shape())
            m.d.sync += following.eq(value)
            value = following
        return value

    def _memory(self, m: Module, name: str, shape: data.Layout, depth: int, target: Target) -> ReadPort:
        enable = self.load & (self.loaded.target == target)
        return loadable(m, name, shape, depth, enable, self.loaded.address, self.loaded.word)


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
            core.load.eq(self.load.valid & ~core.busy),
            core.loaded.eq(self.load.payload),
            core.start.eq(self.start),
            self.busy.eq(core.busy),
            self.out.valid.eq(core.out_lanes != 0),
            self.out.payload.row.eq(core.out),
            self.out.payload.lanes.eq(core.out_lanes),
            self.out.payload.last.eq(core.out_last),
        ]
        counting = Signal()
        with m.If(self.start & ~core.busy):
            m.d.sync += [self.cycles.eq(1), self.stalls.eq(0), counting.eq(1)]
        with m.Elif(counting):
            m.d.sync += [self.cycles.eq(self.cycles + 1), self.stalls.eq(self.stalls + stalled)]
            with m.If(self.out.valid & self.out.ready & self.out.payload.last):
                m.d.sync += counting.eq(0)
        return m
