"""What comes in: images, beat by beat, from a stream or from words of the bus, each to the place that is its turn."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.array import MacArray

BYTE = 8


def code_bits(array: MacArray) -> int:
    """Return the bits that a code takes in a beat: whole bytes, as memory has it."""
    return -(-array.signal_bits // BYTE) * BYTE


def beat_bits(array: MacArray) -> int:
    """Return the bits of a beat of an image: a code for each pixel lane."""
    return array.pixel_lanes * code_bits(array)


class Images(wiring.Component):
    """Counts the beats of images and the places that are free.

    Parameters
    ----------
    array : MacArray

    Ports
    -----
    beats, place0, place1 : in, of the register map
    tvalid, tready, tdata, tlast : AXI4-Stream in
    word, data : in, a beat from the bus, which has no TLAST; taken if `room` and `goes`
    offers, address, codes : out, to the load port
    goes : in, it takes a beat
    start : in, an image begins; ended : in, one has ended
    room : out, there is a place for another beat
    waiting : out, images that have come and have not begun
    early, late : out, an image was left out
    """

    def __init__(self, array: MacArray) -> None:
        self.array, self.places = array, 2 if array.overlap else 1
        bits = beat_bits(array)
        ports = {"beats": In(24), "place0": In(24), "place1": In(24), "goes": In(1), "start": In(1), "ended": In(1)}
        ports |= {"tvalid": In(1), "tready": Out(1), "tdata": In(bits), "tlast": In(1), "word": In(1), "data": In(bits)}
        ports |= {"offers": Out(1), "address": Out(24), "codes": Out(array.pixel_lanes * array.signal_bits)}
        super().__init__({**ports, "room": Out(1), "waiting": Out(2), "early": Out(1), "late": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Take a beat to its place, or leave it out until TLAST; an image counts when its last beat has come."""
        m = Module()
        index, offset, turn, dropping = Signal(24), Signal(24), Signal(), Signal()
        held = Signal(2)  # images that have a place: one that runs has
        taken, last, whole, complete = Signal(), Signal(), Signal(), Signal()
        stream = ~self.word & ~dropping
        m.d.comb += [
            self.room.eq((held < self.places) & (self.beats != 0)),
            self.offers.eq(self.room & (self.word | self.tvalid & stream)),
            self.address.eq(Mux(turn, self.place1, self.place0) + offset),
            self.codes.eq(self._codes(Mux(self.word, self.data, self.tdata))),
            self.tready.eq(dropping | self.room & self.goes & ~self.word),
            taken.eq(self.offers & self.goes),
            whole.eq(index == self.beats - 1),
            last.eq(Mux(self.word, whole, self.tlast)),
            complete.eq(taken & whole & last),
            self.early.eq(taken & ~whole & last),
            self.late.eq(taken & whole & ~last),
        ]
        m.d.sync += [
            held.eq(held + complete - self.ended),
            self.waiting.eq(self.waiting + complete - self.start),
            dropping.eq(Mux(dropping, ~(self.tvalid & self.tlast), self.late)),
        ]
        with m.If(taken):
            ends = whole | last
            m.d.sync += [index.eq(Mux(ends, 0, index + 1)), offset.eq(Mux(ends, 0, offset + self.array.pixel_lanes))]
        if self.places == 2:
            m.d.sync += turn.eq(turn ^ complete)
        return m

    def _codes(self, beat: Value) -> Value:
        """Return the codes of a beat side by side."""
        step, bits = code_bits(self.array), self.array.signal_bits
        return Cat(beat[lane * step : lane * step + bits] for lane in range(self.array.pixel_lanes))
