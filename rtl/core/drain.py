"""The way out of the array: each row becomes codes and goes back to the activation memory, or out of the chip.

One row (the pixels of one output map) a cycle, while the array works on the next tile. `rtl.core.column` has what
happens to a pixel, cycle by cycle, `rtl.core.table` what to its code where the layer has a table, and `rtl.core.pool`
where its pool is done here; here its row is counted, and its constants and its address are found.
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.fixedpoint import FixedFormat
from rtl.core.buffer import moving
from rtl.core.column import CODES, RECTIFIED, Column
from rtl.core.memory import delayed, loadable
from rtl.core.pool import POOL_CYCLES, Pool
from rtl.core.table import TABLE_CYCLES, Table
from rtl.core.tiles import tile_layout
from rtl.layout import Layout, Target


class RowCounter(wiring.Component):
    """What belongs to the row in the shadow: its constants, its address, where it goes.

    Ports
    -----
    begin, tile, layer, load, loaded : in, as `Drain` has them
    constant : out, two cycles after the row
    code_begin : out, the codes of a tile's first row are there
    code_both : out, the codes that are there lie on both rows of a pair
    looks_up : out, codes are there that are looked up, of an array that has tables
    write_address, writes, write_lanes, out_lanes, out_valid, out_last, done : out, as `Drain` has them
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        super().__init__(
            {
                "begin": In(1),
                "tile": In(tile_layout(layout)),
                "layer": In(layout.layer),
                "load": In(1),
                "loaded": In(layout.load),
                "constant": Out(layout.constant),
                "code_begin": Out(1),
                "looks_up": Out(1 if layout.array.table_words else 0),
                "code_both": Out(1),
                "write_address": Out(layout.address),
                "writes": Out(1),
                "write_lanes": Out(layout.lane_count),
                "out_lanes": Out(layout.lane_count),
                "out_valid": Out(1),
                "out_last": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Count, and delay what is found until the row's codes are there."""
        m = Module()
        layout = self.layout
        self.there = Signal()  # a row is in the shadow
        read = loadable(m, layout.constant, layout.array.constants, Target.CONSTANTS, self.load, self.loaded)
        following = Signal(layout.constant_index, reset_less=True)
        m.d.comb += [read.addr.eq(Mux(self.begin, self.tile.constant, following)), read.en.eq(self.there)]
        m.d.comb += self.constant.eq(delayed(m, read.data, 1))
        both, now = Signal(layout.layer["merge"].shape), Signal(layout.layer["merge"].shape)
        m.d.comb += now.eq(Mux(self.begin, self.tile.both, both))
        m.d.sync += both.eq(now)
        m.d.comb += [self.code_begin.eq(self._coded(m, self.begin)), self.code_both.eq(self._coded(m, now))]
        if layout.array.table_words:
            m.d.comb += self.looks_up.eq(delayed(m, self.there, CODES, resets=True) & self.layer.tabled)
        lanes, address, last, map_end = self._build_rows(m)
        m.d.sync += following.eq(read.addr + (map_end & ~self.layer.uniform))
        final, raw = self.layer.final, self.layer.final & self.layer.raw
        raw_lanes, raw_last = delayed(m, lanes, RECTIFIED, resets=True), delayed(m, last, RECTIFIED, resets=True)
        # rows that have left as accumulators end there: the next image may run when their codes would come
        almost = delayed(m, Mux(raw, 0, lanes), CODES - 1, resets=True)
        code_lanes = delayed(m, almost, 1, resets=True)
        code_last = delayed(m, last & ~raw, CODES, resets=True)
        code_address = delayed(m, address, CODES)
        for chosen, cycles in self._stages():
            later = delayed(m, Mux(chosen, code_lanes, 0), cycles - 1, resets=True)
            almost = Mux(chosen, later, almost)
            code_lanes = Mux(chosen, delayed(m, later, 1, resets=True), code_lanes)
            code_last = Mux(chosen, delayed(m, code_last & chosen, cycles, resets=True), code_last)
            code_address = Mux(chosen, delayed(m, code_address, cycles), code_address)
        m.d.comb += [
            self.write_address.eq(code_address),
            self.write_lanes.eq(code_lanes),
            self.writes.eq(delayed(m, (almost != 0) & ~final, 1, resets=True)),
        ]
        out_lanes = Mux(raw, raw_lanes, Mux(final, code_lanes, 0))
        m.d.sync += [
            self.out_lanes.eq(out_lanes),
            self.out_valid.eq(out_lanes != 0),
            self.out_last.eq(Mux(raw, raw_last, code_last)),
            self.done.eq(Mux(raw, raw_last, code_last)),
        ]
        return m

    def _stages(self) -> list[tuple[Value, int]]:
        """Return what codes may pass on their way out: which layers' do, and in how many cycles."""
        array, layer = self.layout.array, self.layer
        tables = [(layer.tabled, TABLE_CYCLES)] if array.table_words else []
        return [*tables, *([(layer.pool, POOL_CYCLES)] if array.pools else [])]

    def _coded(self, m: Module, value: Value) -> Value:
        """Return what belongs to a row in the shadow when its codes are there that may be pooled."""
        coded = delayed(m, value, CODES)
        if not self.layout.array.table_words:
            return coded
        return Mux(self.layer.tabled, delayed(m, coded, TABLE_CYCLES), coded)

    def _build_rows(self, m: Module) -> tuple[Signal, Signal, Signal, Signal]:
        """Count the rows of a tile; return lanes, address and end of the row in the shadow, and whether a map ends."""
        layout = self.layout
        left, pixels = Signal(layout.row_count), Signal(layout.lane_count, reset_less=True)
        following, end = Signal(layout.address, reset_less=True), Signal(reset_less=True)
        lanes, address, last = Signal(layout.lane_count), Signal(layout.address), Signal()
        m.d.comb += [
            self.there.eq(self.begin | (left != 0)),
            lanes.eq(Mux(self.begin, self.tile.words, Mux(left != 0, pixels, 0))),
            address.eq(Mux(self.begin, self.tile.address, following)),
            last.eq(Mux(self.begin, self.tile.end & (self.tile.rows == 1), end & (left == 1))),
        ]
        map_end = self._map_end(m, left)
        m.d.sync += following.eq(address + Mux(map_end, self.layer.output_map, self.layer.line_words))
        with m.If(self.begin):
            m.d.sync += [left.eq(self.tile.rows - 1), pixels.eq(self.tile.words), end.eq(self.tile.end)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return lanes, address, last, map_end

    def _map_end(self, m: Module, left: Signal) -> Signal:
        """Return whether the row in the shadow is its map's last one in the tile: every row, unless they are lines."""
        map_end, last_left = Signal(init=1), self.layout.array.half_lanes + 1  # in the last row of the first map of two
        if self.layout.array.lines:
            m.d.comb += map_end.eq(~self.layer.lines | (self.layer.pair & ~self.begin & (left == last_left)))
        return map_end


class Drain(wiring.Component):
    """Bias, ReLU and requantisation of one row a cycle.

    Ports
    -----
    ready, hold : in, of the flow that the parts move by; its other side is `out_valid`
    begin, tile : in, row 0 of a tile is in the shadow, and what it is
    row : in, the row in the shadow
    layer : in, the layer's words
    load, loaded : in, a word for the constants
    write_address, write, write_lanes : out, to the activation memory, while `writes`
    out, out_lanes, out_valid, out_last : out, accumulators or codes of the final layer
    done : out, the layer's last row has left
    """

    def __init__(self, layout: Layout, formats: Sequence[FixedFormat]) -> None:
        self.counter = RowCounter(layout)
        lanes, others = layout.array.pixel_lanes, layout.array.pixel_lanes - 1 if layout.array.splits else 0
        self.columns = [Column(layout, formats, others if lane == 0 else 0) for lane in range(lanes)]
        self.tables = [Table(layout) for _ in self.columns if layout.array.table_words]
        self.pool = Pool(layout) if layout.array.pools else None
        self.rows = data.ArrayLayout(layout.accumulator, layout.array.pixel_lanes)
        super().__init__(
            {
                "ready": In(1),
                "hold": In(1),
                "begin": In(1),
                "tile": In(tile_layout(layout)),
                "row": In(self.rows),
                "layer": In(layout.layer),
                "load": In(1),
                "loaded": In(layout.load),
                "write_address": Out(layout.address),
                "write": Out(layout.pixels),
                "writes": Out(1),
                "write_lanes": Out(layout.lane_count),
                "out": Out(self.rows),
                "out_lanes": Out(layout.lane_count),
                "out_valid": Out(1),
                "out_last": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the counter and the columns, each of which moves by a flow of its own."""
        m = Module()
        moving(m, "counter", self.counter, self.out_valid, self.ready, self.hold)
        for name in ("begin", "tile", "layer", "load", "loaded"):
            m.d.comb += getattr(self.counter, name).eq(getattr(self, name))
        for name in ("write_address", "writes", "write_lanes", "out_lanes", "out_valid", "out_last", "done"):
            m.d.comb += getattr(self, name).eq(getattr(self.counter, name))
        self._build_pool(m)
        for part, other in zip(self.columns[0].others, list(self.row)[1:], strict=False):
            m.d.comb += part.eq(other)
        for lane, column in enumerate(self.columns):
            moving(m, f"column{lane}", column, self.out_valid, self.ready, self.hold)
            m.d.comb += [
                column.value.eq(self.row[lane]),
                column.constant.eq(self.counter.constant),
                column.layer.eq(self.layer),
            ]
        return m

    def _build_tables(self, m: Module) -> list[Value]:
        """Return the codes of all lanes, or what tables have for them."""
        codes: list[Value] = [column.code for column in self.columns]
        for lane, table in enumerate(self.tables):
            moving(m, f"table{lane}", table, self.out_valid, self.ready, self.hold)
            m.d.comb += [table.code.eq(codes[lane]), table.layer.eq(self.layer), table.reads.eq(self.counter.looks_up)]
            m.d.comb += [table.load.eq(self.load), table.loaded.eq(self.loaded)]
            codes[lane] = Mux(self.layer.tabled, table.found, codes[lane])
        return codes

    def _build_pool(self, m: Module) -> None:
        """Hand out codes, or what is largest of them in half as many lanes."""
        codes = self._build_tables(m)
        if self.pool:
            moving(m, "pool", self.pool, self.out_valid, self.ready, self.hold)
            m.d.comb += [self.pool.begin.eq(self.counter.code_begin), self.pool.both.eq(self.counter.code_both)]
            m.d.comb += [mine.eq(code) for mine, code in zip(self.pool.codes, codes, strict=True)]
            for lane, pooled in enumerate(self.pool.pooled):
                codes[lane] = Mux(self.layer.pool, pooled, codes[lane])
        m.d.comb += [mine.eq(code) for mine, code in zip(self.write, codes, strict=True)]
        m.d.comb += [column.written.eq(code) for column, code in zip(self.columns, codes, strict=True)]
        m.d.comb += [mine.eq(column.out) for mine, column in zip(self.out, self.columns, strict=True)]
