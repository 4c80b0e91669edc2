"""The accelerator: a network runs from one start to its last output with no help from outside.

    sequencer -> fetch: taps -> address, edges -> banks -> rotation -> lanes -> drain -> banks, or the output stream
                        weights -----------------------------------------^

Every memory is written through the `load` stream while the accelerator is idle; words of the next image, a row of them
a beat, while it runs too, whenever the drain does not write. `start` begins at layer 0; the final layer's rows leave
through the `out` stream, by way of two places. When both are full the whole core stands still, so that cycles minus
stalls are the same whatever the receiver does.
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from accel.array import MacArray
from accel.fixedpoint import FixedFormat
from rtl.core.activations import Activations
from rtl.core.buffer import Buffer, Flow, moving
from rtl.core.drain import Drain
from rtl.core.fetch import FETCH_CYCLES, Fetch
from rtl.core.lanes import LANE_CYCLES, Lanes
from rtl.core.memory import delayed
from rtl.core.sequencer import Sequencer
from rtl.core.tiles import tile_layout
from rtl.core.weights import Weights
from rtl.layout import Layout, Target


class Path(wiring.Component):
    """What a tile is, on its way beside the tile's operands.

    Ports
    -----
    tile : in, of the step that issues
    arrived : out, of the row that the lanes hand out
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__({"tile": In(tile_layout(layout)), "arrived": Out(tile_layout(layout))})

    def elaborate(self, platform: object) -> Module:
        """Delay the path as long as the operands."""
        m = Module()
        m.d.comb += self.arrived.eq(delayed(m, self.tile, FETCH_CYCLES + LANE_CYCLES))
        return m


class Core(wiring.Component):
    """Everything that stands still while the output cannot take more.

    Ports
    -----
    load, loaded : in, a word for a memory
    moves : out
    goes : out, words of signals are taken: the core moves, and the drain does not write
    start : in
    busy : out
    ready : in, the receiver takes a row from the places behind the core
    out, out_lanes, out_last : out, a row of the final layer, while `out_valid`
    units : stream of streamed weights, if the array has them; hold : out, the core waits for them
    """

    def __init__(self, layout: Layout, formats: Sequence[FixedFormat]) -> None:
        self.sequencer, self.fetch, self.activations = Sequencer(layout), Fetch(layout), Activations(layout)
        self.lanes, self.path, self.drain = Lanes(layout), Path(layout), Drain(layout, formats)
        self.weights, self.streams = Weights(layout), bool(layout.array.stream_words)
        units = {"units": In(stream.Signature(layout.unit)), "hold": Out(1)} if self.streams else {}
        super().__init__(
            {
                "load": In(1),
                "loaded": In(layout.load),
                "moves": Out(1),
                "goes": Out(1),
                "start": In(1),
                "busy": Out(1),
                "ready": In(1),
                "out": Out(self.drain.rows),
                "out_lanes": Out(layout.lane_count),
                "out_valid": Out(1),
                "out_last": Out(1),
                **units,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the parts; each moves by a flow of its own, or its parts do."""
        m = Module()
        valid, ready, hold = self.drain.out_valid, self.ready, Signal()
        for name in ("sequencer", "fetch", "path"):
            moving(m, name, getattr(self, name), valid, ready, hold)
        moves = moving(m, "activations", self.activations, valid, ready, hold)
        m.d.comb += [self.moves.eq(moves), self.goes.eq(moves & ~self.drain.writes)]
        m.submodules.lanes, m.submodules.drain = self.lanes, self.drain
        m.d.comb += [self.lanes.valid.eq(valid), self.lanes.ready.eq(ready), self.drain.ready.eq(ready)]
        m.d.comb += [self.lanes.hold.eq(hold), self.drain.hold.eq(hold)]
        m.submodules.weights_flow, m.submodules.weights = flow, weights = Flow(), self.weights
        m.d.comb += [flow.valid.eq(valid), flow.ready.eq(ready), flow.hold.eq(hold), weights.moves.eq(flow.moves)]
        if self.streams:
            wiring.connect(m, wiring.flipped(self.units), weights.units)
            m.d.comb += [hold.eq(weights.hold), self.hold.eq(hold), weights.start.eq(self.start)]
            for name in ("late", "freed", "freed_buffer"):
                m.d.comb += getattr(weights, name).eq(getattr(self.sequencer, name))
        for part in (self.sequencer, self.fetch, self.drain, self.weights):
            m.d.comb += [part.load.eq(self.load), part.loaded.eq(self.loaded)]
        m.d.comb += [
            self.sequencer.start.eq(self.start),
            self.sequencer.done.eq(self.drain.done),
            self.busy.eq(self.sequencer.busy),
            self.out.eq(self.drain.out),
            self.out_lanes.eq(self.drain.out_lanes),
            self.out_valid.eq(self.drain.out_valid),
            self.out_last.eq(self.drain.out_last),
        ]
        self._connect_fetch(m)
        self._connect_drain(m)
        return m

    def _connect_fetch(self, m: Module) -> None:
        """Steps to the fetch, operands to the lanes."""
        fetch, lanes = self.fetch, self.lanes
        for name in ("issue", "step", "origin", "row", "column", "before", "layer"):
            m.d.comb += getattr(fetch, name).eq(getattr(self.sequencer, name))
        for name in ("last", "maximum", "weights", "takes", "signals", "others", "counts"):
            m.d.comb += getattr(lanes, name).eq(getattr(fetch, name))
        for name in ("reads", "read_address", "read_before", "read_edge", "read_double", "read_all", "other_address"):
            m.d.comb += getattr(self.activations, name).eq(getattr(fetch, name))
        m.d.comb += [
            lanes.fresh.eq(self.sequencer.fresh),
            lanes.step.eq(fetch.operands),
            fetch.both.eq(self.sequencer.tile.both),
            fetch.read.eq(self.activations.read),
            self.weights.row.eq(fetch.weight_row),
            self.weights.wanted.eq(fetch.weights_wanted),
            fetch.weights_read.eq(self.weights.read),
            fetch.other.eq(self.activations.other),
            lanes.pair.eq(fetch.read_pair),
        ]

    def _connect_drain(self, m: Module) -> None:
        """Rows to the drain; the activation memory's write port to the drain, or else to the loader."""
        sequencer, drain, memory = self.sequencer, self.drain, self.activations
        loaded = self.loaded
        m.d.comb += [
            self.path.tile.eq(sequencer.tile),
            drain.begin.eq(self.lanes.taken),
            drain.row.eq(self.lanes.row),
            drain.tile.eq(self.path.arrived),
            drain.layer.eq(sequencer.layer),
        ]
        with m.If(drain.writes):
            m.d.comb += [memory.write_address.eq(drain.write_address), memory.write.eq(drain.write)]
            m.d.comb += memory.write_lanes.eq(drain.write_lanes)
        with m.Else():
            row = self.load & (loaded.target == Target.SIGNALS)
            m.d.comb += [memory.write_address.eq(loaded.address), memory.write.as_value().eq(loaded.word)]
            m.d.comb += memory.write_lanes.eq(Mux(row, len(memory.write), 0))


class Accelerator(wiring.Component):
    """The core between its streams, with counters.

    Parameters
    ----------
    array : MacArray
    formats : sequence of FixedFormat
        Of the output signals that Programs may have; `Layer.form` names one of them by number.

    Ports
    -----
    load : stream of {target, address, word}, taken while idle; words of signals always, if the array has `overlap`
    start : in
    units : stream of {word, last}: weights of one group of output lanes after another; of arrays that stream alone
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
                **({"units": In(stream.Signature(layout.unit))} if array.stream_words else {}),
                "start": In(1),
                "busy": Out(1),
                "out": Out(stream.Signature(self.result)),
                "cycles": Out(32),
                "stalls": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Put two places behind the core, and count."""
        m = Module()
        core, buffer = self.core, Buffer(self.result)
        m.submodules.core, m.submodules.buffer = core, buffer
        m.d.comb += [
            self.busy.eq(core.busy | buffer.out.valid),
            core.start.eq(self.start & ~self.busy),
            core.ready.eq(self.out.ready),
            buffer.row.row.eq(core.out),
            buffer.row.lanes.eq(core.out_lanes),
            buffer.row.last.eq(core.out_last),
            buffer.valid.eq(core.out_valid),
            buffer.out.ready.eq(self.out.ready),
            self.out.valid.eq(buffer.out.valid),
            self.out.payload.eq(buffer.out.payload),
        ]
        self._build_load(m)
        if core.streams:
            wiring.connect(m, wiring.flipped(self.units), core.units)
            m.d.comb += buffer.hold.eq(core.hold)
        self._build_counters(m, buffer)
        return m

    def _build_load(self, m: Module) -> None:
        """A word waits in a register until it can go on, which it can in the next cycle unless an image runs."""
        core, image = self.core, self.load.payload.target == Target.SIGNALS
        load, loaded = Signal(reset_less=True), Signal(self.layout.load, reset_less=True)  # taken, reset or not
        goes = ~load | core.goes
        m.d.comb += [
            self.load.ready.eq(Mux(self.busy, image & goes, 1) if self.array.overlap else ~self.busy),
            core.load.eq(load),
            core.loaded.eq(loaded),
        ]
        with m.If(goes):
            m.d.sync += [load.eq(self.load.valid & self.load.ready), loaded.eq(self.load.payload)]

    def _build_counters(self, m: Module, buffer: Buffer) -> None:
        """A cycle is a stall if the core stands still, or has finished and its last row is not taken."""
        counting, finished, ends = Signal(), Signal(), Signal()
        m.d.comb += ends.eq(self.out.valid & self.out.ready & self.out.payload.last)
        with m.If(self.start & ~self.busy):
            m.d.sync += [self.cycles.eq(1), self.stalls.eq(0), counting.eq(1), finished.eq(0)]
        with m.Elif(counting):
            stalled = ~buffer.moves | (finished & ~ends)
            m.d.sync += [self.cycles.eq(self.cycles + 1), self.stalls.eq(self.stalls + stalled)]
            with m.If(buffer.valid & buffer.moves & buffer.row.last):
                m.d.sync += finished.eq(1)
            with m.If(ends):
                m.d.sync += counting.eq(0)
