"""The memory of weights, which is written while the core stands still: it waits for words that have not come.

All weights may lie in it, or two buffers for those that are streamed (`MacArray.stream_words`). The words of a group of
output lanes are a unit: it comes as a whole, into the buffer that the group before the last has left, and every tile of
the group reads it again.

    the unit's first step issues       cycle b
    the core stands still from         cycle b + 4 until its last word is there, just before that step reads
    the buffer of the unit before      takes words from cycle b + 6 on, when that one's last step has read

Of the cycles C from one unit's first step to the next one's, and the L in which the next one's words come, the core
stands still for max(0, L + 3 - C): `accel.cost.stalls` has the closed form.
"""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.core.memory import delayed, loadable_banks
from rtl.layout import Layout, Target


class Weights(wiring.Component):
    """The banks, and what fills the buffers.

    Ports
    -----
    load, loaded : in, a word for the memory
    units : stream of {word, last}, of every group in the order in which they run; of arrays that stream alone
    start : in, words of the units are taken from now on
    late, freed, freed_buffer : in, from the sequencer: the buffer that is read from now on, or that is read no more
    moves : in, the core moves
    hold : out, the core must stand still in the next cycle: the unit is not there
    row : in, the row of the banks; wanted : in, the banks that are read
    read : out, what they have, a cycle later
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        banks = layout.array.weight_banks
        ports = {
            "load": In(1),
            "loaded": In(layout.load),
            "moves": In(1),
            "row": In(range(layout.array.weight_words // banks)),
            "wanted": In(banks),
            "read": Out(layout.weight_row),
        }
        if layout.array.stream_words:
            ports |= {
                "units": In(stream.Signature(layout.unit)),
                "start": In(1),
                "late": In(1),
                "freed": In(1),
                "freed_buffer": In(1),
                "hold": Out(1),
            }
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """Build the banks, and the buffers if there are any."""
        m = Module()
        layout, array = self.layout, self.layout.array
        # the host's words wait a cycle: the way to all banks is as long as the chip, and none is read so soon
        load, loaded = delayed(m, self.load, 1), delayed(m, self.loaded, 1)
        if array.stream_words:
            load, loaded = self._build_units(m, load, loaded)
        ports = loadable_banks(m, layout.weights, array.weight_words, array.weight_banks, Target.WEIGHTS, load, loaded)
        for index, port in enumerate(ports):
            m.d.comb += [port.addr.eq(self.row), port.en.eq(self.wanted[index] & self.moves)]
            m.d.comb += self.read[index].eq(port.data)
        return m

    def _build_units(self, m: Module, load: Signal, loaded: data.View) -> tuple[Signal, data.View]:
        """Fill the buffers in turn; return what is written, `loaded` by the host or from the stream.

        Words of another Program empty them: its first unit goes to the second buffer, while the first one counts as
        that of a unit before.
        """
        layout, array, units = self.layout, self.layout.array, self.units
        full, filling = Signal(2, init=0b01), Signal(init=1)
        opened, restarts = Signal(), Signal()
        place = Signal(range(array.weight_words), init=array.buffers[1])
        first = Array(array.buffers)
        m.d.comb += [
            units.ready.eq(opened & ~Mux(filling, full[1], full[0])),
            self.hold.eq(opened & ~Mux(self.late, full[1], full[0])),
            restarts.eq(self.load & ((self.loaded.target == Target.WEIGHTS) | (self.loaded.target == Target.LAYERS))),
        ]
        taken, written = Signal(), Signal(layout.load, reset_less=True)
        m.d.comb += taken.eq(units.valid & units.ready)
        m.d.sync += [written.address.eq(place), written.word.eq(units.payload.word.as_value())]
        with m.If(self.freed & self.moves):
            m.d.sync += full.bit_select(self.freed_buffer, 1).eq(0)
        with m.If(taken):
            m.d.sync += place.eq(place + 1)
            with m.If(units.payload.last):
                m.d.sync += [full.bit_select(filling, 1).eq(1), filling.eq(~filling), place.eq(first[~filling])]
        with m.If(restarts):
            m.d.sync += [full.eq(0b01), filling.eq(1), place.eq(first[1]), opened.eq(0)]
        with m.If(self.start):
            m.d.sync += opened.eq(1)
        streams, writes, word = Signal(), Signal(), Signal(layout.load)
        m.d.sync += streams.eq(taken)
        m.d.comb += [writes.eq(load | streams), word.eq(loaded)]
        with m.If(streams & ~(load & (loaded.target == Target.WEIGHTS))):
            m.d.comb += [word.eq(written), word.target.eq(Target.WEIGHTS)]
        return writes, word
