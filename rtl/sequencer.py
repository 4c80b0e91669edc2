"""The sequencer: layers, groups of output maps, tiles of pixels, index entries, taps; one step a cycle, no bubble.

    for layer:
        for group of output lanes:
            for row of output pixels:
                for tile of neighbouring pixels:
                    for entry of the group's list:          # {base, offset, stride, count, last}, stored or counted
                        for tap = offset, offset + stride, ... of `count` taps:
                            issue a step

Addresses advance by additions alone. A tile's last step waits until the rows of the tile before it have left the
shadow: with D rows, D cycles after that tile's last step. That is the only wait, so that the cycles of a layer are a
closed form of its tiles (`accel.cost.cycles`).
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import ReadPort
from amaranth.lib.wiring import In, Out

from rtl.drain import tile_layout
from rtl.layout import Kind, Layout, Target
from rtl.memory import loadable


def step_layout(layout: Layout) -> data.StructLayout:
    """Return what one step asks for."""
    return data.StructLayout(
        {
            "first": 1,
            "last": 1,
            "tap": range(layout.array.taps),
            "weight": range(layout.array.weight_words),
            "word": layout.signed_address,  # of lane 0's signal, before the tap is added
            "row": layout.position,  # of the window's first row and column; negative in the padding
            "column": layout.position,
        }
    )


class Sequencer(wiring.Component):
    """Reads layers and index entries, and issues steps.

    Ports
    -----
    start : in, begin with layer 0
    done : in, the last row of a layer has been written
    busy : out
    issue, step : out, a step in this cycle
    tile : out, what its tile is, valid with a tile's last step
    layer : out, the words of the layer that runs
    load, loaded : in, a word for the layers or the entries
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        super().__init__(
            {
                "start": In(1),
                "done": In(1),
                "busy": Out(1),
                "issue": Out(1),
                "step": Out(step_layout(layout)),
                "tile": Out(tile_layout(layout)),
                "layer": Out(layout.layer),
                "load": In(1),
                "loaded": In(layout.load),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the state machine around the walk over tiles and entries."""
        m = Module()
        self.primed, self.run = Signal(), Signal()  # the states that the walk knows
        self.tile_end, self.group_end, self.layer_end = Signal(), Signal(), Signal()
        self.origin, self.address = Signal(self.layout.signed_address), Signal(self.layout.address)  # of the tile
        layers = self._memory(m, "layers", self.layout.layer, self.layout.array.layers, Target.LAYERS)
        number = Signal(range(self.layout.array.layers))
        m.d.comb += [layers.addr.eq(number), self.busy.eq(1)]
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.busy.eq(0)
                m.d.sync += number.eq(0)
                with m.If(self.start):
                    m.next = "fetch"
            with m.State("fetch"):
                m.next = "setup"
            with m.State("setup"):
                m.d.sync += [self.layer.eq(layers.data), number.eq(number + 1)]
                m.next = "prime"
            with m.State("prime"):
                m.d.comb += self.primed.eq(1)
                m.next = "run"
            with m.State("run"):
                m.d.comb += self.run.eq(1)
                with m.If(self.issue & self.layer_end):
                    m.next = "flush"
            with m.State("flush"), m.If(self.done):
                m.next = "fetch"
                with m.If(self.layer.end):
                    m.next = "idle"
        entry, entry_end = self._build_entries(m)
        self._build_taps(m, entry, entry_end)
        self._build_tiles(m)
        return m

    def _build_entries(self, m: Module) -> tuple[data.View, Signal]:
        """Walk the entries of a group's list, read from memory a cycle ahead or counted; return the current one."""
        layer, layout = self.layer, self.layout
        entries = self._memory(m, "entries", layout.entry, layout.array.list_entries, Target.ENTRIES)
        entry, entry_end = Signal(layout.entry), Signal()
        place, group, following = (Signal(range(layout.array.list_entries), name=x) for x in ("place", "group", "next"))
        base, left = Signal(layout.address), Signal.like(layer.maps)  # of the counter
        first_base = Signal(layout.address)  # where the group's counter begins: a pool's moves on with the group
        with m.If(layer.counter):
            m.d.comb += [entry.base.eq(base), entry.offset.eq(0), entry.stride.eq(1), entry.count.eq(layer.taps)]
            m.d.comb += entry.last.eq(left == 1)
        with m.Else():
            m.d.comb += entry.eq(entries.data)
        m.d.comb += following.eq(place)
        with m.If(self.primed):
            m.d.comb += following.eq(layer.list)
            m.d.sync += [group.eq(layer.list), base.eq(layer.input), first_base.eq(layer.input), left.eq(layer.maps)]
        with m.Elif(self.issue & entry_end):
            m.d.comb += following.eq(place + 1)
            m.d.sync += [base.eq(base + layer.input_map), left.eq(left - 1)]
            with m.If(self.tile_end):
                advance = self.group_end & ~layer.shared
                m.d.comb += following.eq(Mux(advance, place + 1, group))
                with m.If(advance):
                    m.d.sync += group.eq(place + 1)
                pool_base = first_base + layer.input_map
                next_base = Mux(self.group_end & (layer.kind != Kind.MAC), pool_base, first_base)
                m.d.sync += [base.eq(next_base), first_base.eq(next_base), left.eq(layer.maps)]
        m.d.comb += entries.addr.eq(following)
        m.d.sync += place.eq(following)
        return entry, entry_end

    def _build_taps(self, m: Module, entry: data.View, entry_end: Signal) -> None:
        """Walk the taps of an entry and the weights of a tile; decide whether a step issues."""
        layer, layout, step = self.layer, self.layout, self.step
        done, following = Signal(range(layout.array.taps)), Signal(range(2 * layout.array.taps))
        tap, first, wait = Signal.like(following), Signal(), Signal(layout.row_count)
        weight, group = Signal(range(layout.array.weight_words)), Signal(range(layout.array.weight_words))
        m.d.comb += [
            tap.eq(Mux(done == 0, entry.offset, following)),
            entry_end.eq(done + 1 == entry.count),
            self.tile_end.eq(entry_end & entry.last),
            self.issue.eq(self.run & ~(self.tile_end & (wait != 0))),
            step.first.eq(first),
            step.last.eq(self.tile_end),
            step.tap.eq(layer.tap + tap),
            step.weight.eq(weight),
            step.word.eq(entry.base + self.origin),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(self.primed):
            m.d.sync += [done.eq(0), first.eq(1), wait.eq(0), weight.eq(layer.weight), group.eq(layer.weight)]
        with m.Elif(self.issue):
            m.d.sync += [done.eq(Mux(entry_end, 0, done + 1)), following.eq(tap + entry.stride)]
            m.d.sync += [first.eq(self.tile_end), weight.eq(weight + 1)]
            with m.If(self.tile_end):
                m.d.sync += wait.eq(self.tile.rows - 1)
                m.d.sync += weight.eq(Mux(self.group_end, weight + 1, group))
                with m.If(self.group_end):
                    m.d.sync += group.eq(weight + 1)

    def _build_tiles(self, m: Module) -> None:
        """Walk tiles along a row, rows of a map, groups of maps."""
        layer, layout, tile, lanes = self.layer, self.layout, self.tile, self.layout.array.pixel_lanes
        row_origin = Signal(layout.signed_address)
        row, column = Signal(layout.position), Signal(layout.position)
        pixels, rows_left = Signal.like(layer.output_width), Signal.like(layer.output_height)
        maps_left = Signal.like(layer.outputs)
        map_start, row_start, constant = Signal(layout.address), Signal(layout.address), Signal(layout.constant_index)
        row_end = Signal()
        depth = Mux(layer.kind == Kind.MAC, layout.array.output_lanes, 1)  # output maps of a group
        advance = Mux(layer.stride == 2, 2 * lanes, lanes)
        m.d.comb += [
            row_end.eq(pixels <= lanes),
            self.group_end.eq(row_end & (rows_left == 1)),
            self.layer_end.eq(self.tile_end & self.group_end & (maps_left <= depth)),
            self.step.row.eq(row),
            self.step.column.eq(column),
            tile.rows.eq(Mux(maps_left < depth, maps_left, depth)),
            tile.pixels.eq(Mux(row_end, pixels, lanes)),
            tile.address.eq(self.address),
            tile.constant.eq(constant),
            tile.end.eq(self.layer_end),
        ]
        with m.If(self.primed):
            m.d.sync += [self.origin.eq(layer.origin), row_origin.eq(layer.origin)]
            m.d.sync += [row.eq(-layer.top), column.eq(-layer.left)]
            m.d.sync += [pixels.eq(layer.output_width), rows_left.eq(layer.output_height), maps_left.eq(layer.outputs)]
            m.d.sync += [self.address.eq(layer.output), map_start.eq(layer.output), row_start.eq(layer.output)]
            m.d.sync += constant.eq(layer.constant)
        with m.Elif(self.issue & self.tile_end):
            m.d.sync += [pixels.eq(pixels - lanes), column.eq(column + advance), self.origin.eq(self.origin + advance)]
            m.d.sync += self.address.eq(self.address + lanes)
            with m.If(row_end):
                following = row_start + layer.output_width
                m.d.sync += [pixels.eq(layer.output_width), column.eq(-layer.left), rows_left.eq(rows_left - 1)]
                next_origin = row_origin + layer.row_words
                m.d.sync += [row.eq(row + layer.stride), row_origin.eq(next_origin), self.origin.eq(next_origin)]
                m.d.sync += [row_start.eq(following), self.address.eq(following)]
            with m.If(self.group_end):
                following = map_start + layer.output_group
                m.d.sync += [rows_left.eq(layer.output_height), maps_left.eq(maps_left - depth), row.eq(-layer.top)]
                m.d.sync += [row_origin.eq(layer.origin), self.origin.eq(layer.origin), constant.eq(constant + depth)]
                m.d.sync += [map_start.eq(following), row_start.eq(following), self.address.eq(following)]

    def _memory(self, m: Module, name: str, shape: data.Layout, depth: int, target: Target) -> ReadPort:
        enable = self.load & (self.loaded.target == target)
        return loadable(m, name, shape, depth, enable, self.loaded.address, self.loaded.word)
