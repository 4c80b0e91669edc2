"""The two places for rows behind the core, and the signal that tells its parts to move or to stand still.

Whether the core moves is known a cycle ahead, so that it comes from a register: the core moves unless both places will
be full. Each part of the core has a `Flow` of its own, all of which hold the same, because one register could not reach
all parts in one cycle.
"""

from amaranth.hdl import EnableInserter, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

PLACES = 2


class Flow(wiring.Component):
    """How many places are full.

    Ports
    -----
    valid : in, the core has a row
    ready : in, the receiver takes one
    hold : in, the core stands still in the next cycle, whatever the receiver does
    moves : out, the core moves, and its row with it
    filled : out
    """

    def __init__(self) -> None:
        places = {"moves": Out(1, init=1), "filled": Out(range(PLACES + 1))}
        super().__init__({"valid": In(1), "ready": In(1), "hold": In(1), **places})

    def elaborate(self, platform: object) -> Module:
        """Count the places that are full."""
        m = Module()
        following = Signal.like(self.filled)
        taken = self.ready & (self.filled != 0)
        m.d.comb += following.eq(self.filled + (self.valid & self.moves) - taken)
        m.d.sync += [self.filled.eq(following), self.moves.eq((following != PLACES) & ~self.hold)]
        return m


def moving(m: Module, name: str, part: wiring.Component, valid: Value, ready: Value, hold: Value) -> Signal:
    """Add `part` to `m`, with a flow of its own by which it moves: from `valid`, `ready`, `hold`, as `Flow` has them.

    Returns
    -------
    Signal
        `moves` of that flow.
    """
    m.submodules[f"{name}_flow"] = flow = Flow()
    m.submodules[name] = EnableInserter(flow.moves)(part)
    m.d.comb += [flow.valid.eq(valid), flow.ready.eq(ready), flow.hold.eq(hold)]
    return flow.moves


class Buffer(wiring.Component):
    """Rows in the order in which they came.

    Ports
    -----
    row, valid, hold : in, from the core
    moves : out, the row is taken in
    out : stream of rows
    """

    def __init__(self, shape: data.Layout) -> None:
        self.shape = shape
        out = {"moves": Out(1), "out": Out(stream.Signature(shape))}
        super().__init__({"row": In(shape), "valid": In(1), "hold": In(1), **out})

    def elaborate(self, platform: object) -> Module:
        """Fill the second place only while the first one stays full."""
        m = Module()
        m.submodules.flow = flow = Flow()
        head, tail = Signal(self.shape, reset_less=True), Signal(self.shape, reset_less=True)
        m.d.comb += [
            flow.valid.eq(self.valid),
            flow.ready.eq(self.out.ready),
            flow.hold.eq(self.hold),
            self.moves.eq(flow.moves),
            self.out.valid.eq(flow.filled != 0),
            self.out.payload.eq(head),
        ]
        with m.If(flow.moves):
            m.d.sync += tail.eq(self.row)
        with m.If((flow.filled == 0) | self.out.ready):
            m.d.sync += head.eq(Mux(flow.filled == PLACES, tail, self.row))
        return m
