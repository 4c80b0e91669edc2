"""The index decoder: the entries of each group's list, read ahead from memory or counted, one a cycle.

A list is read again for each tile of its group, then the list of the next group follows it. Three stages lead to the
entry that the sequencer takes:

    stage 0   the place in the list, and the counter's base
    stage 1   what the memory read there, or the counter
    stage 2   the same in a register: `word`
    stage 3   `entry`, until it is taken; when `word` waits too, all stages stand still

Where a list ends is known from the `left` of the entry in stage 2 while stage 0 is two places further on: just in time
for lists of three entries or more. Of a shorter list it comes too late, and what was read beyond its end is dropped.
Hence a pass over a list takes max(entries, 3) cycles, and as many reads; a tile takes `accel.array.TILE_CYCLES` or
more, so that an entry is always there when the sequencer needs it. Groups are counted too: behind the last pass of the
last one nothing is read.
"""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.array import FAR
from rtl.core.memory import loadable
from rtl.layout import Layout, Target


class Entries(wiring.Component):
    """Walks the lists of a layer.

    Ports
    -----
    prime : in, begin with a layer's first list
    layer : in, the words of that layer, which are needed no longer than that
    wants : in, `entry` is taken if it is there
    take : out, `entry` is taken
    entry : out
    lone : out, `entry` has one tap
    ready : out, `entry` is there
    load, loaded : in, a word for the entries
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        super().__init__(
            {
                "prime": In(1),
                "layer": In(layout.layer),
                "wants": In(1),
                "take": Out(1),
                "entry": Out(layout.entry),
                "lone": Out(1),
                "ready": Out(1),
                "load": In(1),
                "loaded": In(layout.load),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the stages from the last to the first."""
        m = Module()
        self.moves, self.turns = Signal(), Signal()  # the stages move on; the next address begins a new pass
        self.lists = Signal()  # entries of the layer are still to be read
        self.word, self.here, self.heads = Signal(self.layout.entry), Signal(), Signal()
        self.listed = Signal(self.layout.entry, reset_less=True)
        self.place = Signal(self.layout.list_index, reset_less=True)
        names = ("counter", "shared", "tiles", "outputs", "group", "taps", "input_map", "maps_behind")
        self.kept = Signal(data.StructLayout({name: self.layout.layer[name].shape for name in names}), reset_less=True)
        with m.If(self.prime):
            m.d.sync += [self.kept[name].eq(self.layer[name]) for name in names]
        self._build_entry(m)
        head, base, behind = self._build_place(m)
        self._build_word(m, head, base, behind)
        return m

    def _build_entry(self, m: Module) -> None:
        m.d.comb += [self.moves.eq(~(self.ready & self.here) | self.wants), self.take.eq(self.ready & self.wants)]
        with m.If(self.here & self.moves):
            m.d.sync += [self.entry.eq(self.word), self.lone.eq(self.word.count == 1)]
        with m.If(self.prime):
            m.d.sync += self.ready.eq(0)
        with m.Else():
            m.d.sync += self.ready.eq(self.here | (self.ready & ~self.wants))

    def _build_word(self, m: Module, head: Value, base: Value, behind: Value) -> None:
        """Register what stage 1 has; drop what lies between the end of a list and the head of the next."""
        word = self.word
        heads, listed, present, drops = self.heads, self.listed, Signal(2), Signal()
        counted = Signal(word.shape(), reset_less=True)
        read = self._memory(m)
        m.d.comb += word.eq(Mux(self.kept.counter, counted, listed))
        with m.If(self.moves):
            m.d.sync += [heads.eq(head), listed.eq(read), counted.left.eq(behind)]
            m.d.sync += [counted.base.eq(base), counted.stride.eq(1), counted.count.eq(self.kept.taps)]
        with m.If(self.prime):
            m.d.sync += [present.eq(0), drops.eq(0)]
        with m.Elif(self.moves):
            m.d.sync += present.eq((present << 1) | 1)
            with m.If(self.here):
                m.d.sync += drops.eq(word.left == 0)
        m.d.comb += self.here.eq(present[1] & (heads | ~drops))
        m.d.comb += self.turns.eq(self.here & self._turns(word.left))

    def _turns(self, left: Value) -> Value:
        """Return whether the next address begins a new pass, if stage 2 has an entry with `left` after it."""
        return (left == 2) | (self.heads & ~left[1])

    def _memory(self, m: Module) -> data.View:
        """Return what was read at the place of stage 0; nothing if the array has no lists."""
        layout = self.layout
        if not layout.array.list_entries:
            return data.View(layout.entry, Signal(layout.entry.size))
        port = loadable(m, layout.entry, layout.array.list_entries, Target.ENTRIES, self.load, self.loaded)
        wanted = self.moves & self.lists & ~self.prime
        m.d.comb += [port.addr.eq(self.place), port.en.eq(wanted)]
        return port.data

    def _build_groups(self, m: Module, turned: Value, group_ends: Value) -> None:
        """Count groups; nothing is read where entries are counted, and behind the last group's last pass."""
        layer, kept, maps, last = self.layer, self.kept, Signal.like(self.layer.outputs), Signal()
        m.d.sync += last.eq(maps <= kept.group)  # known when the group's first pass turns, three cycles after it began
        with m.If(turned & group_ends):
            m.d.sync += maps.eq(maps - kept.group)
        with m.If(self.prime):
            m.d.sync += [maps.eq(layer.outputs), self.lists.eq(~layer.counter)]
        with m.Elif(self.moves & self.turns & group_ends & last):
            m.d.sync += self.lists.eq(0)

    def _build_place(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Walk the places of a list, or count; return stage 1: whether it is a list's head, its base and its `left`."""
        layer, kept = self.layer, self.kept
        left = self.listed.left  # where entries are counted nothing is read, from whatever place
        start, passes = Signal.like(self.place), Signal.like(layer.tiles)  # of the group: its list, tiles to come
        base, behind, head = Signal(self.layout.address, reset_less=True), Signal.like(layer.maps_behind), Signal()
        read_base, read_behind, read_head = Signal.like(base), Signal(range(FAR + 1), reset_less=True), Signal()
        onward = Signal.like(self.place)  # where a list has ended, the next group's begins
        last_pass = (passes == 1) & ~kept.shared
        turns, short = self.here & self._turns(left), self.here & self.heads & ~left[1]
        # behind lists of one or two entries it is not the next place; only the choice waits for the memory's word
        m.d.comb += onward.eq(Mux(short, Mux(left[0], self.place, self.place - 1), self.place + 1))
        turned = Signal()  # a cycle ago; what counts passes is not needed before the next turn, three cycles later
        m.d.sync += turned.eq(self.moves & self.turns & ~self.prime)
        self._build_groups(m, turned, passes == 1)
        with m.If(turned):
            m.d.sync += passes.eq(Mux(passes == 1, kept.tiles, passes - 1))
        with m.If(turned & last_pass):
            m.d.sync += start.eq(self.place)
        with m.If(self.prime):
            m.d.sync += [self.place.eq(layer.list), start.eq(layer.list), passes.eq(layer.tiles), head.eq(1)]
            m.d.sync += [base.eq(0), behind.eq(layer.maps_behind)]
        with m.Elif(self.moves):
            m.d.sync += [self.place.eq(Mux(turns & ~last_pass, start, onward)), head.eq(self.turns)]
            m.d.sync += [base.eq(base + kept.input_map), behind.eq(behind - 1)]
            m.d.sync += [read_head.eq(head), read_base.eq(base)]
            m.d.sync += read_behind.eq(Mux(behind < FAR, behind[:2], FAR))
            with m.If(self.turns):
                m.d.sync += [base.eq(0), behind.eq(kept.maps_behind)]
        return read_head, read_base, read_behind
