"""The sequencer: layers, groups of output maps, tiles of pixels, index entries, taps; one step a cycle, no bubble.

    for layer:
        for group of output lanes:
            for row of output pixels:
                for tile of neighbouring pixels:                # rtl.core.tiles
                    for entry of the group's list:              # rtl.core.entries
                        for tap = offset, offset + stride, ... of `count` taps:
                            issue a step

A tile's last step waits until the rows of the tile before it have left the shadow: with D rows, D cycles after that
tile's last step, and `TILE_CYCLES` in any case. That is the only wait, so that the cycles of a layer are a closed form
of its tiles (`accel.cost.cycles`).
"""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.array import TILE_CYCLES
from rtl.core.entries import Entries
from rtl.core.memory import delayed, loadable
from rtl.core.tiles import Tiles, tile_layout
from rtl.layout import Layout, Target

HOLD_CYCLES = 3  # from a unit's first step to the last cycle in which the core may move without its words
FREE_CYCLES = 6  # from the cycle before a unit's first step until the unit before has been read


def step_layout(layout: Layout) -> data.StructLayout:
    """Return what one step asks for."""
    return data.StructLayout(
        {
            "last": 1,
            "tap": range(layout.array.taps),  # of the layer's
            "weight": range(layout.array.weight_words),
            "base": layout.address,  # of the map
            "other": layout.entry["other"].shape,  # how far from there the second one lies
        }
    )


class Sequencer(wiring.Component):
    """Reads layers and issues steps.

    Ports
    -----
    start : in, begin with layer 0; with the second place of images, with the words after the last layer's, in turn
    done : in, the layer's last row has been written or has left
    busy : out
    fresh : out, a layer begins
    issue, step : out, a step in this cycle
    origin, row, column, before, tile : out, of the step's tile, as in `rtl.core.tiles.Tiles`
    layer : out, the words of the layer that runs
    late, freed, freed_buffer : out, of streamed weights: the buffer that is read from now on, or no more
    load, loaded : in, a word for the layers or the entries
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.entries, self.tiles = Entries(layout), Tiles(layout)
        super().__init__(
            {
                "start": In(1),
                "done": In(1),
                "busy": Out(1),
                "fresh": Out(1),
                "issue": Out(1),
                "step": Out(step_layout(layout)),
                "origin": Out(layout.signed_address),
                "row": Out(layout.position),
                "column": Out(layout.position),
                "before": Out(layout.lane_count),
                "tile": Out(tile_layout(layout)),
                "layer": Out(layout.layer),
                "late": Out(1),
                "freed": Out(1),
                "freed_buffer": Out(1),
                "load": In(1),
                "loaded": In(layout.load),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the state machine around the walk over tiles and entries."""
        m = Module()
        m.submodules.entries, m.submodules.tiles = entries, tiles = self.entries, self.tiles
        self.prime, self.begin, self.run = Signal(), Signal(), Signal()  # the states that the walk knows
        self.going = Signal()  # a layer's entries are taken: it begins or runs
        self._build_states(m)
        turn = self._build_taps(m)
        m.d.comb += [
            self.fresh.eq(self.prime),
            entries.load.eq(self.load),
            entries.loaded.eq(self.loaded),
            tiles.prime.eq(self.prime),
            tiles.layer.eq(self.layer),
            tiles.turn.eq(turn),
            self.origin.eq(tiles.origin),
            self.row.eq(tiles.row),
            self.column.eq(tiles.column),
            self.before.eq(tiles.before),
            self.tile.eq(tiles.tile),
        ]
        return m

    def _build_states(self, m: Module) -> None:
        """Begin a layer: its words, its first entry, its first tile.

        What a layer needs first is fetched while the rows of the one before still drain: its words wait behind their
        memory, and its entries are decoded from there. Not so the words of the first layer, nor those of any on an
        array without `prefetch`.
        """
        depth, prefetch = self.layout.array.layers, self.layout.array.prefetch
        layers = loadable(m, self.layout.layer, depth, Target.LAYERS, self.load, self.loaded)
        number = Signal(range(depth))
        words = Signal(self.layout.layer, reset_less=True)
        ahead = delayed(m, layers.data, 1)  # the number is known early: the memory's own register has them
        following, ends = Signal(), Signal()  # the words change in the next cycle; the layer's last step has gone
        m.d.comb += [layers.addr.eq(number), self.layer.eq(words), self.busy.eq(1), self.entries.layer.eq(ahead)]
        m.d.comb += layers.en.eq(self.prime & ~self.layer.end)  # each layer's words are read once
        m.d.sync += ends.eq(self.tiles.turn & self.tiles.tile.end & prefetch & ~self.layer.end)
        m.d.comb += self.entries.prime.eq(ends)
        with m.If(following):
            m.d.sync += [words.eq(ahead), number.eq(number + 1)]
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.busy.eq(0)
                m.d.comb += layers.en.eq(self.start)
                with m.If(self.start):
                    m.next = "fetch"
            with m.State("fetch"):
                m.next = "setup"
            with m.State("setup"):
                m.d.comb += [following.eq(1), self.entries.prime.eq(1)]
                m.next = "prime"
            with m.State("prime"):
                m.d.comb += self.prime.eq(1)
                m.d.sync += self.going.eq(1)
                m.next = "begin"
            with m.State("begin"):
                m.d.comb += self.begin.eq(1)
                with m.If(self.entries.ready):
                    m.d.sync += self.run.eq(1)
                    m.next = "run"
            with m.State("run"), m.If(self.tiles.turn & self.tiles.tile.end):
                m.d.sync += [self.going.eq(0), self.run.eq(0)]
                m.next = "flush"
            with m.State("flush"), m.If(self.done):
                m.d.comb += following.eq(prefetch & ~self.layer.end)
                m.next = "prime" if prefetch else "fetch"
                with m.If(self.layer.end):
                    m.next = "idle"
                    with m.If(self.layer.again if self.layout.array.overlap else 1):
                        m.d.sync += number.eq(0)
        with m.If(self.load & (self.loaded.target == Target.LAYERS)):  # of another Program
            m.d.sync += number.eq(0)

    def _build_taps(self, m: Module) -> Signal:
        """Walk the taps of an entry and the weights of a tile; return whether a tile's last step issues."""
        step, entry = self.step, self.entries.entry
        stride, left = Signal.like(entry.stride), Signal.like(entry.count)
        ends, closes, waits = Signal(), Signal(), Signal()  # the entry's last step, the list's last entry, the shadow
        tile_end, turn = Signal(), Signal()
        m.d.comb += [
            tile_end.eq(ends & closes),
            self.issue.eq(self.run & ~(tile_end & waits) & (~ends | self.entries.ready)),
            turn.eq(self.run & self.entries.ready & tile_end & ~waits),
            self.entries.wants.eq(self.going & ends & ~(closes & waits)),
            step.last.eq(tile_end),
        ]
        with m.If(self.prime):  # the first entry is taken as if one before it ended, and no list
            m.d.sync += [ends.eq(1), closes.eq(0)]
        with m.If(self.issue):
            m.d.sync += [step.tap.eq(step.tap + stride), left.eq(left - 1), ends.eq(left == 2)]
        with m.If(self.entries.take):
            m.d.sync += [step.base.eq(entry.base), step.tap.eq(entry.offset), stride.eq(entry.stride)]
            m.d.sync += step.other.eq(entry.other)
            m.d.sync += [left.eq(entry.count), ends.eq(self.entries.lone), closes.eq(entry.left == 0)]
        self._build_weights(m, turn)
        self._build_wait(m, waits, turn)
        return turn

    def _build_weights(self, m: Module, turn: Signal) -> None:
        """Weights follow each other; a tile begins where its group does, and single maps share theirs.

        The last tile goes back too: the memory may end with its words, and what lies beyond must not be read.
        """
        step, layer, group = self.step, self.layer, Signal.like(self.step.weight)
        following, advance = Signal.like(group), Signal()
        m.d.comb += following.eq(step.weight + 1)
        m.d.comb += advance.eq(self.tiles.group_end & ~self.tiles.tile.end & ~layer.single)
        first, next_group = layer.weight, following
        if self.layout.array.stream_words:
            first = next_group = self._build_units(m, turn & advance)
        with m.If(self.prime):
            m.d.sync += [step.weight.eq(first), group.eq(first)]
        with m.Elif(self.issue):
            m.d.sync += step.weight.eq(following)
            with m.If(turn):
                m.d.sync += step.weight.eq(Mux(advance, next_group, group))
            with m.If(turn & advance):
                m.d.sync += group.eq(next_group)

    def _build_units(self, m: Module, advances: Value) -> Value:
        """Read the two buffers of streamed weights in turn; return where the next unit begins, or a single layer."""
        array, layer = self.layout.array, self.layer
        reading, begins = Signal(), Signal()  # the buffer of the unit that runs; the next one's first step follows
        places = [Mux(layer.split, place // array.weight_banks, place) for place in array.buffers]
        m.d.comb += begins.eq((self.begin & self.entries.ready & ~layer.single) | advances)
        with m.If(begins):
            m.d.sync += reading.eq(~reading)
        stages = [reading, *(Signal(name=f"reading{stage}") for stage in range(1, HOLD_CYCLES + 1))]
        m.d.sync += [later.eq(sooner) for sooner, later in pairwise(stages)]
        with m.If(self.load & ((self.loaded.target == Target.LAYERS) | (self.loaded.target == Target.WEIGHTS))):
            m.d.sync += [stage.eq(0) for stage in stages]  # as `Weights` begins again
        m.d.comb += [
            self.late.eq(stages[-1]),
            self.freed.eq(delayed(m, begins, FREE_CYCLES, resets=True)),
            self.freed_buffer.eq(delayed(m, reading, FREE_CYCLES)),
        ]
        return Mux(layer.single, layer.weight, Mux(reading, *places))

    def _build_wait(self, m: Module, waits: Signal, turn: Signal) -> None:
        left = Signal.like(self.tiles.wait)
        with m.If(self.begin):  # the walk over tiles has just begun too
            m.d.sync += [left.eq(TILE_CYCLES - 1), waits.eq(1)]
        with m.Elif(turn):
            m.d.sync += [left.eq(self.tiles.wait), waits.eq(1)]
        with m.Elif(waits):
            m.d.sync += [left.eq(left - 1), waits.eq(left > 1)]
