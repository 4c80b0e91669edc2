"""What leaves: the rows of the array, value by value, through a stream or a register."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.bus.registers import MAP_BITS


def result_bits(accumulator_bits: int) -> int:
    """Return the bits of a result in the stream: the fewest whole words of the map that hold any accumulator."""
    return -(-accumulator_bits // MAP_BITS) * MAP_BITS


class Results(wiring.Component):
    """One row, handed out value by value.

    Parameters
    ----------
    row : data.StructLayout
        {row, lanes, last} of the accelerator's `out`.
    bits : int
        Of a result.

    Ports
    -----
    row_valid, row_ready, row : the accelerator's stream
    takes : in, values are taken from here and not through the stream
    take : in, one is
    there, value : out, one is there
    tvalid, tready, tdata, tlast : AXI4-Stream out; whose value is offered is settled before it is, and stays
    first : out, the first result of an image has come
    done : out, the last one goes
    """

    def __init__(self, row: data.StructLayout, bits: int) -> None:
        self.bits = bits
        ports = {"row_valid": In(1), "row_ready": Out(1), "row": In(row), "takes": In(1), "take": In(1)}
        ports |= {"there": Out(1), "value": Out(bits), "first": Out(1), "done": Out(1)}
        super().__init__({**ports, "tvalid": Out(1), "tready": In(1), "tdata": Out(bits), "tlast": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Shift a row until all of its values that count have gone; then, or with the last one, take the next row."""
        m = Module()
        held, by_register, told = Signal.like(self.row), Signal(), Signal()
        left = held.lanes
        goes, ends, valid = Signal(), Signal(), Signal()
        m.d.comb += [
            valid.eq(left != 0),
            self.there.eq(valid & by_register),
            self.tvalid.eq(valid & ~by_register),
            self.value.eq(held.row[0]),
            self.tdata.eq(self.value),
            self.tlast.eq(held.last & (left == 1)),
            goes.eq(Mux(by_register, self.take & valid, valid & self.tready)),
            ends.eq(goes & (left == 1)),
            self.row_ready.eq(~valid | ends),
            self.done.eq(ends & held.last),
            self.first.eq(valid & ~told),
        ]
        with m.If(~valid):
            m.d.sync += by_register.eq(self.takes)
        with m.If(valid):
            m.d.sync += told.eq(~self.done)
        with m.If(self.row_ready):
            m.d.sync += [held.eq(self.row), left.eq(Mux(self.row_valid, self.row.lanes, 0))]
        with m.Elif(goes):
            m.d.sync += [here.eq(after) for here, after in zip(held.row, list(held.row)[1:], strict=False)]
            m.d.sync += left.eq(left - 1)
        return m
