"""The walk over tiles: along a row, rows of a map, groups of maps. Addresses advance by additions alone.

What follows a tile is worked out while it runs, in two cycles after it began, so that a tile of `TILE_CYCLES` or more
finds it ready:

    cycle 1   where the next tile, row and group would begin; whether the row, the map, the layer end here
    cycle 2   whether the group and the layer end with this tile
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.array import TILE_CYCLES
from rtl.layout import Layout


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


class Tiles(wiring.Component):
    """Where the tile that runs reads and writes.

    Ports
    -----
    prime : in, begin with the layer's first tile
    layer : in, the words of the layer
    turn : in, the tile's last step issues
    origin, row, column : out, of the first pixel's window: its word before the map's base is added, its place
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
                "tile": Out(tile_layout(layout)),
                "group_end": Out(1),
                "wait": Out(layout.wait),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the counters, then the places."""
        m = Module()
        self.row_end = Signal()
        self._build_counters(m)
        self._build_reads(m)
        self._build_writes(m)
        return m

    def _build_counters(self, m: Module) -> None:
        """Count pixels, rows and maps down; `group_end` and `tile.end` are known two cycles into a tile."""
        layer, tile = self.layer, self.tile
        pixels, rows, maps = (Signal.like(x) for x in (layer.output_width, layer.output_height, layer.outputs))
        depth = Mux(layer.single, 1, self.layout.array.output_lanes)
        map_end, groups_end = Signal(), Signal()
        next_pixels, next_rows, next_maps = Signal.like(pixels), Signal.like(rows), Signal.like(maps)
        m.d.sync += [
            self.row_end.eq(pixels <= layer.pixels),
            map_end.eq(rows == 1),
            groups_end.eq(maps <= depth),
            next_pixels.eq(pixels - layer.pixels),
            next_rows.eq(rows - 1),
            next_maps.eq(maps - depth),
            tile.rows.eq(Mux(maps < depth, maps, depth)),
            tile.pixels.eq(Mux(pixels <= layer.pixels, pixels, layer.pixels)),
            self.group_end.eq(self.row_end & map_end),
            tile.end.eq(self.row_end & map_end & groups_end),
            self.wait.eq(Mux(tile.rows < TILE_CYCLES, TILE_CYCLES, tile.rows) - 1),
        ]
        with m.If(self.prime):
            m.d.sync += [pixels.eq(layer.output_width), rows.eq(layer.output_height), maps.eq(layer.outputs)]
        with m.Elif(self.turn):
            m.d.sync += pixels.eq(Mux(self.row_end, layer.output_width, next_pixels))
            with m.If(self.row_end):
                m.d.sync += rows.eq(Mux(self.group_end, layer.output_height, next_rows))
            with m.If(self.group_end):
                m.d.sync += maps.eq(next_maps)

    def _build_reads(self, m: Module) -> None:
        """Advance the window by pixels, rows and groups; its row and column tell what lies in the padding."""
        layer, row_origin, map_origin = self.layer, Signal.like(self.origin), Signal.like(self.origin)
        steps = layer.advance, layer.row_words, layer.input_group
        self._walk(m, (self.origin, row_origin, map_origin), steps, layer.origin)
        next_row, next_column = Signal.like(self.row), Signal.like(self.column)
        m.d.sync += [next_row.eq(self.row + layer.row_step), next_column.eq(self.column + layer.advance)]
        with m.If(self.prime):
            m.d.sync += [self.row.eq(-layer.top), self.column.eq(-layer.left)]
        with m.Elif(self.turn):
            m.d.sync += self.column.eq(Mux(self.row_end, -layer.left, next_column))
            with m.If(self.row_end):
                m.d.sync += self.row.eq(Mux(self.group_end, -layer.top, next_row))

    def _build_writes(self, m: Module) -> None:
        """Advance the output's address, and the constants from group to group."""
        layer, tile, array = self.layer, self.tile, self.layout.array
        row_start, map_start = Signal(self.layout.address), Signal(self.layout.address)
        steps = layer.pixels, layer.output_width, layer.output_group
        self._walk(m, (tile.address, row_start, map_start), steps, layer.output)
        next_constant = Signal(self.layout.constant_index)
        m.d.sync += next_constant.eq(tile.constant + Mux(layer.single, 1, array.output_lanes))
        with m.If(self.prime):
            m.d.sync += tile.constant.eq(layer.constant)
        with m.Elif(self.turn & self.group_end):
            m.d.sync += tile.constant.eq(next_constant)

    def _walk(self, m: Module, places: tuple, steps: tuple, start: Signal) -> None:
        """Keep the places of a tile, its row and its group; each moves by its step, and takes those below it along."""
        by_tile, by_row, by_group = (Signal(place.shape()) for place in places)
        m.d.sync += [
            following.eq(place + step)
            for following, place, step in zip((by_tile, by_row, by_group), places, steps, strict=True)
        ]
        tile, row, group = places
        with m.If(self.prime):
            m.d.sync += [place.eq(start) for place in places]
        with m.Elif(self.turn):
            m.d.sync += tile.eq(Mux(self.group_end, by_group, Mux(self.row_end, by_row, by_tile)))
            with m.If(self.row_end):
                m.d.sync += row.eq(Mux(self.group_end, by_group, by_row))
            with m.If(self.group_end):
                m.d.sync += group.eq(by_group)
