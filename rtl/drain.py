"""The way out of the array: bias, ReLU, requantisation, and back to the activation memory or out of the chip.

One row (the pixels of one output map) a cycle, while the array works on the next tile:

    cycle 1   row + bias, ReLU          the constants were fetched while the row was in the shadow
    cycle 2   times multiplier          accumulators of a raw final layer leave for the output stream here
    cycle 3   rounded shift
    cycle 4   overflow                  the word is written, or leaves for the output stream, at the end of this cycle

The formats of a Program's signals, with their rounding and overflow, are known when the hardware is made; a layer names
one of them by number. A max pool's codes pass unchanged.
"""

from collections.abc import Sequence

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.fixedpoint import FixedFormat, round_shift
from accel.signal import MULTIPLIER_BITS
from rtl.layout import Kind, Layout
from rtl.memory import loadable
from rtl.requantize import overflow


def tile_layout(layout: Layout) -> data.StructLayout:
    """Return what travels with a tile: how many rows and pixels count, where they go, and the first row's constant."""
    return data.StructLayout(
        {
            "rows": layout.row_count,
            "pixels": layout.lane_count,
            "address": layout.address,
            "constant": layout.constant_index,
            "end": 1,  # the layer's last tile
        }
    )


class Drain(wiring.Component):
    """Bias, ReLU and requantisation of one row a cycle.

    Ports
    -----
    begin, tile : in, row 0 of a tile is in the shadow, and what it is
    row : in, the row in the shadow
    layer : in, the layer's words
    load, loaded : in, a word for the constants
    write_address, write, write_lanes : out, to the activation memory
    out, out_lanes, out_last : out, accumulators or codes of the final layer
    done : out, the layer's last row is being written or has left
    """

    def __init__(self, layout: Layout, formats: Sequence[FixedFormat]) -> None:
        self.layout, self.formats = layout, list(formats)
        lanes = layout.array.pixel_lanes
        self.rows = data.ArrayLayout(layout.accumulator, lanes)
        super().__init__(
            {
                "begin": In(1),
                "tile": In(tile_layout(layout)),
                "row": In(self.rows),
                "layer": In(layout.layer),
                "load": In(1),
                "loaded": In(layout.load),
                "write_address": Out(layout.address),
                "write": Out(layout.pixels),
                "write_lanes": Out(layout.lane_count),
                "out": Out(self.rows),
                "out_lanes": Out(layout.lane_count),
                "out_last": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the row counter, the stages and the two ways out."""
        m = Module()
        lanes, address, last = self._build_rows(m)
        biased, multipliers = self._build_bias(m)
        rectified = self._build_products(m, biased, multipliers)
        codes = self._build_codes(m, rectified)
        # what travels beside the data: lanes[i] belongs to the stage that cycle i of the docstring fills
        for stage in range(4):
            m.d.sync += [lanes[stage + 1].eq(lanes[stage]), address[stage + 1].eq(address[stage])]
            m.d.sync += last[stage + 1].eq(last[stage])
        raw, final = self.layer.final & self.layer.raw, self.layer.final
        for lane in range(self.layout.array.pixel_lanes):
            m.d.comb += self.write[lane].eq(codes[lane])
            m.d.comb += self.out[lane].eq(Mux(raw, biased[lane], codes[lane]))
        m.d.comb += [
            self.write_address.eq(address[4]),
            self.write_lanes.eq(Mux(final, 0, lanes[4])),
            self.out_lanes.eq(Mux(raw, lanes[1], Mux(final, lanes[4], 0))),
            self.out_last.eq(Mux(raw, last[1], last[4])),
            self.done.eq(last[4]),
        ]
        return m

    def _build_rows(self, m: Module) -> tuple[list[Signal], list[Signal], list[Signal]]:
        """Count the rows of a tile; return lanes, address and end for the row in the shadow and four stages behind."""
        layout = self.layout
        left, pixels = Signal(layout.row_count), Signal(layout.lane_count)
        where, end = Signal(layout.address), Signal()
        lanes = [Signal(layout.lane_count, name=f"lanes{i}") for i in range(5)]
        address = [Signal(layout.address, name=f"address{i}") for i in range(5)]
        last = [Signal(name=f"last{i}") for i in range(5)]
        m.d.comb += [
            lanes[0].eq(Mux(self.begin, self.tile.pixels, Mux(left != 0, pixels, 0))),
            address[0].eq(Mux(self.begin, self.tile.address, where)),
            last[0].eq(Mux(self.begin, self.tile.end & (self.tile.rows == 1), end & (left == 1))),
        ]
        m.d.sync += where.eq(address[0] + self.layer.output_map)
        with m.If(self.begin):
            m.d.sync += [left.eq(self.tile.rows - 1), pixels.eq(self.tile.pixels), end.eq(self.tile.end)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return lanes, address, last

    def _build_bias(self, m: Module) -> tuple[data.View, Signal]:
        """Fetch each row's constants and add the bias; return the rectified row and its multiplier."""
        depth, loaded = self.layout.array.constants, self.loaded
        read = loadable(m, "constants", self.layout.constant, depth, self.load, loaded.address, loaded.word)
        following = Signal(self.layout.constant_index)
        m.d.comb += read.addr.eq(Mux(self.begin, self.tile.constant, following))
        m.d.sync += following.eq(read.addr + 1)
        row, biased, multiplier = Signal(self.rows), Signal(self.rows), Signal(unsigned(MULTIPLIER_BITS))
        m.d.sync += row.eq(self.row)
        for lane in range(self.layout.array.pixel_lanes):
            total = Signal(self.layout.accumulator, name=f"total{lane}")
            m.d.comb += total.eq(row[lane] + read.data.bias)
            m.d.comb += biased[lane].eq(Mux(self.layer.relu & (total < 0), 0, total))
        m.d.comb += multiplier.eq(read.data.multiplier)
        return biased, multiplier

    def _build_products(self, m: Module, biased: data.View, multiplier: Signal) -> list[Signal]:
        """Register the biased row and its multiplier, then their product."""
        products = []
        held, factor = Signal(self.rows), Signal(unsigned(MULTIPLIER_BITS))
        m.d.sync += [held.eq(biased), factor.eq(multiplier)]
        width = self.layout.array.accumulator_bits + MULTIPLIER_BITS
        for lane in range(self.layout.array.pixel_lanes):
            product = Signal(signed(width), name=f"product{lane}")
            m.d.sync += product.eq(held[lane] * factor)
            products.append(product)
        return products

    def _build_codes(self, m: Module, products: list[Signal]) -> list[Value]:
        """Round and resolve overflow by each format that the hardware knows; return the chosen codes."""
        codes = []
        for lane, product in enumerate(products):
            rounded = {}
            for mode in dict.fromkeys(form.rounding for form in self.formats):
                rounded[mode] = Signal(signed(len(product) + 1), name=f"rounded{lane}_{mode.name}")
                m.d.sync += rounded[mode].eq(round_shift(product, self.layer.shift, mode))
            kept = Signal(self.layout.operand, name=f"kept{lane}")  # a maximum is a code already
            m.d.sync += kept.eq(product)
            choices = []
            for index, form in enumerate(self.formats):
                code = Signal(self.layout.operand, name=f"code{lane}_{index}")
                m.d.comb += code.eq(overflow(rounded[form.rounding], form))
                choices.append(code)
            codes.append(Mux(self.layer.kind == Kind.MAX, kept, Array(choices)[self.layer.form]))
        return codes
