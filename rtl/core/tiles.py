"""The walk over tiles: along a row, rows of a map, groups of maps. Addresses advance by additions alone.

Where the drain pools, tiles come in pairs: the second has the columns of the first, a row of pixels below it.

What follows a tile is worked out while it runs, in two cycles after it began, so that a tile of `TILE_CYCLES` or more
finds it ready:

    cycle 1   whether the row, the group, the layer end here
    cycle 2   where the next tile begins, and what this one writes
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.array import TILE_CYCLES
from rtl.core.memory import delayed
from rtl.layout import Layout


def tile_layout(layout: Layout) -> data.StructLayout:
    """Return what travels with a tile: how many rows and words are written, where they go, the first row's constant."""
    return data.StructLayout(
        {
            "rows": layout.row_count,
            "words": layout.lane_count,
            "address": layout.address,
            "constant": layout.constant_index,
            "end": 1,  # the layer's last tile
            "both": layout.layer["merge"].shape,  # half its pixels lie on each row of a pair
        }
    )


class Tiles(wiring.Component):
    """Where the tile that runs reads and writes.

    Ports
    -----
    prime : in, begin with the layer's first tile
    layer : in, the words of the layer
    turn : in, the tile's last step issues
    origin, row, column : out, of the first pixel's window: its word before the map's base is added, its place
    before : out, pixels that lie before the end of a row, two cycles after the tile began: all, unless it passes one
    tile : out
    group_end : out, this tile is the last of its group
    wait : out, cycles between the last step of this tile and that of the next, less one
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        super().__init__(
            {
                "prime": In(1),
                "layer": In(layout.layer),
                "turn": In(1),
                "origin": Out(layout.signed_address),
                "row": Out(layout.position),
                "column": Out(layout.position),
                "before": Out(layout.lane_count),
                "tile": Out(tile_layout(layout)),
                "group_end": Out(1),
                "wait": Out(layout.wait),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the counters, then the places."""
        m = Module()
        self.row_end, self.first = Signal(), Signal()  # no pixels follow in the row; the first tile of a pair
        self.tail, self.both = Signal(), Signal()  # no pixels follow where tiles end; both tiles of a pair in one
        self._build_counters(m)
        self._build_reads(m)
        self._build_writes(m)
        return m

    def _build_counters(self, m: Module) -> None:
        """Count pixels of a row, tiles and maps down; `group_end` is known a cycle into a tile, `tile.end` two.

        Where tiles pass the ends of rows, the pixels of the next row are counted from there.
        """
        layer, tile = self.layer, self.tile
        pixels, tiles, maps = (Signal.like(x) for x in (layer.row_pixels, layer.tiles, layer.outputs))
        second, groups_end = Signal(), Signal()
        next_pixels, next_tiles, next_maps = Signal.like(pixels), Signal.like(tiles), Signal.like(maps)
        row_end, group_end = pixels <= layer.pixels, tiles == 1
        tail = Mux(layer.flat, group_end, row_end)
        both = layer.merge & tail & ~second
        m.d.sync += [self.tail.eq(tail), self.both.eq(both), self.first.eq(layer.pool & ~second & ~both)]
        lanes = self.layout.array.pixel_lanes
        # what steps read by must not change before what they began with has gone: all of it is as old as `row_end`
        before = Mux(layer.flat & self.row_end, delayed(m, pixels[: len(self.before)], 1), lanes)
        m.d.sync += [
            tile.both.eq(self.both),
            self.before.eq(Mux(self.both, lanes // 2, before)),
            self.row_end.eq(row_end),
            self.group_end.eq(group_end),
            groups_end.eq(maps <= layer.group),
            next_pixels.eq(pixels - layer.pixels + Mux(self.row_end, layer.row_pixels, 0)),
            next_tiles.eq(tiles - 1),
            next_maps.eq(maps - layer.group),
            tile.rows.eq(Mux(maps <= layer.group, layer.last_rows, layer.rows)),
            tile.end.eq(self.group_end & groups_end),
            self.wait.eq(Mux(tile.rows < TILE_CYCLES, TILE_CYCLES, tile.rows) - 1),
        ]
        with m.If(self.prime):
            m.d.sync += [pixels.eq(layer.row_pixels), tiles.eq(layer.tiles), maps.eq(layer.outputs), second.eq(0)]
        with m.Elif(self.turn):
            m.d.sync += [tiles.eq(Mux(self.group_end, layer.tiles, next_tiles)), second.eq(self.first)]
            with m.If(~self.first):
                m.d.sync += pixels.eq(Mux(self.tail, layer.row_pixels, next_pixels))
            with m.If(self.group_end):
                m.d.sync += maps.eq(next_maps)

    def _build_reads(self, m: Module) -> None:
        """Advance the window by pixels, rows and groups; its row and column tell what lies in the padding."""
        layer, along = self.layer, Mux(self.row_end, self.layer.row_turn, self.layer.tile_turn)
        step = Mux(self.group_end, layer.group_turn, Mux(self.first, layer.pair_turn, along))
        next_origin, next_row, next_column = Signal.like(self.origin), Signal.like(self.row), Signal.like(self.column)
        rises = layer.pool & ~self.first & ~self.row_end  # from the second tile of a pair to the first of the next
        stays = ~(layer.pool | self.row_end)
        up, down, twice = (Signal.like(self.row, name=f"row_{name}") for name in ("up", "down", "twice"))
        m.d.sync += [
            up.eq(self.row - layer.row_step),
            down.eq(self.row + layer.row_step),
            twice.eq(self.row + (layer.row_step << 1)),
        ]
        m.d.sync += [
            next_origin.eq(self.origin + step),
            next_row.eq(Mux(stays, self.row, Mux(rises, up, Mux(self.both, twice, down)))),
            next_column.eq(self.column + layer.advance - Mux(self.row_end, layer.row_pixels, 0)),
        ]
        with m.If(self.prime):
            m.d.sync += [self.origin.eq(layer.origin), self.row.eq(-layer.top), self.column.eq(-layer.left)]
        with m.Elif(self.turn):
            m.d.sync += [self.origin.eq(next_origin), self.row.eq(Mux(self.group_end, -layer.top, next_row))]
            with m.If(~self.first):
                m.d.sync += self.column.eq(Mux(self.tail, -layer.left, next_column))

    def _build_writes(self, m: Module) -> None:
        """Advance the output's address by what is written, and the constants from group to group."""
        layer, tile = self.layer, self.tile
        words = Mux(self.first, 0, Mux(self.tail, layer.last_words, layer.words))
        onward = Mux(self.first, 0, Mux(self.tail, layer.line_turn, layer.words))
        next_address, next_constant = Signal.like(tile.address), Signal.like(tile.constant)
        m.d.sync += [
            tile.words.eq(words),
            next_address.eq(tile.address + Mux(self.group_end, layer.output_turn, onward)),
            next_constant.eq(tile.constant + Mux(layer.uniform, 0, layer.group)),
        ]
        with m.If(self.prime):
            m.d.sync += [tile.address.eq(layer.output), tile.constant.eq(layer.constant)]
        with m.Elif(self.turn):
            m.d.sync += tile.address.eq(next_address)
            with m.If(self.group_end):
                m.d.sync += tile.constant.eq(next_constant)
