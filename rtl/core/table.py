"""A function of one signal, looked up: each pixel lane has all tables in a memory of its own.

    cycle 1   the code, and where its layer's table lies, name a word
    cycle 2   the word waits in the memory's own register

Tables lie one behind the other, a word for each code from the lowest on. A layer says where the word of its code 0 is,
modulo the bits of an address: the sum of that and a code wraps, so that codes with a sign need nothing more.
"""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.memory_words import SHALLOW
from rtl.core.memory import delayed, loadable
from rtl.layout import Layout, Target

TABLE_CYCLES = 2


class Table(wiring.Component):
    """The tables of one pixel lane.

    Ports
    -----
    reads, code : in, whether a code is there that is looked up, and the code
    layer : in, the layer's words
    load, loaded : in, a word for the tables
    found : out, what the layer's table has for the code, `TABLE_CYCLES` later
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        super().__init__(
            {
                "reads": In(1),
                "code": In(layout.operand),
                "layer": In(layout.layer),
                "load": In(1),
                "loaded": In(layout.load),
                "found": Out(layout.operand),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the memory."""
        m = Module()
        depth = self.layout.array.table_words
        style = "distributed" if depth <= SHALLOW else "block"
        read = loadable(m, self.layout.table, depth, Target.TABLES, self.load, self.loaded, style)
        word, signed = delayed(m, read.data.code, 1), delayed(m, self.layer.table_signed, 1)
        m.d.comb += [
            read.addr.eq(self.code + self.layer.table),
            read.en.eq(self.reads),
            self.found.eq(Cat(word, word[-1] & signed).as_signed()),
        ]
        return m
