"""The words that the hardware's memories hold, and what the host writes where."""

from enum import IntEnum

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from accel.array import TILE_CYCLES, MacArray
from accel.signal import MULTIPLIER_BITS, PRODUCT_BITS

MOST_TAPS = 64  # of a kernel in one direction; padding is less
MOST_FORMATS = 8  # of output signals that one build of the hardware knows
FAR = 3  # `left` of an entry that has this many or more behind it


class Target(IntEnum):
    """The memories that the loader writes, as the `target` of a loaded word."""

    SIGNALS = 0
    WEIGHTS = 1
    ENTRIES = 2
    TAPS = 3
    CONSTANTS = 4
    LAYERS = 5


class Layout:
    """The layouts of one array.

    Attributes
    ----------
    signal : one signal as it is stored
    weights : one weight for each output lane
    entry : {base, offset, stride, count, left}: `count` taps of the map at `base`, from `offset` in steps of `stride`;
        `left` more entries follow in the list, 3 meaning 3 or more
    tap : {rows, columns, words, signed}: how far a tap lies from the first, in rows, columns and memory words, and
        whether the codes there are signed
    constant : {bias, multiplier} of one output map
    layer : everything that the sequencer needs for one layer
    """

    def __init__(self, array: MacArray) -> None:
        self.array = array
        self.address = range(array.signal_words)
        self.signed_address = signed(_bits(array.signal_words) + 1)
        self.lane_count = range(array.pixel_lanes + 1)
        self.row_count = range(array.output_lanes + 1)
        self.wait = range(max(array.output_lanes, TILE_CYCLES))
        self.position = signed(_bits(2 * array.signal_words + MOST_TAPS) + 1)  # a row or column, padding included
        self.tap_index = range(2 * array.taps)
        self.constant_index = range(array.constants)
        self.list_index = range(max(array.list_entries, 1))
        self.accumulator = signed(array.accumulator_bits)
        self.signal = unsigned(array.signal_bits)
        self.operand = signed(array.signal_bits + 1)  # a signal with its sign, or with a zero for one
        self.weights = data.ArrayLayout(signed(array.weight_bits), array.output_lanes)
        self.entry = data.StructLayout(
            {
                "base": self.address,
                "offset": range(array.taps),
                "stride": range(array.taps + 1),
                "count": range(array.taps + 1),
                "left": range(FAR + 1),
            }
        )
        self.tap = data.StructLayout(
            {"rows": range(MOST_TAPS), "columns": range(MOST_TAPS), "words": self.address, "signed": 1}
        )
        self.constant = data.StructLayout({"bias": self.accumulator, "multiplier": unsigned(MULTIPLIER_BITS)})
        self.layer = self._layer()
        self.pixels = data.ArrayLayout(self.signal, array.pixel_lanes)
        self.load = data.StructLayout({"target": Target, "address": unsigned(24), "word": unsigned(self.load_bits)})

    @property
    def load_bits(self) -> int:
        """Bits of a loaded word: the widest word of any memory."""
        return max(Shape.cast(x).width for x in (self.weights, self.entry, self.tap, self.constant, self.layer))

    def _layer(self) -> data.StructLayout:
        a = self.array
        return data.StructLayout(
            {
                "single": 1,  # a tile is one output map, on row 0
                "maximum": 1,  # row 0 keeps the largest, and its codes pass unchanged
                "final": 1,  # the output goes to the output stream
                "raw": 1,  # ... as accumulators, not requantised
                "counter": 1,  # the entries are counted, not listed
                "shared": 1,  # all groups read the same list
                "stride": range(3),
                "relu": 1,
                "form": range(MOST_FORMATS),  # which of the output formats that the hardware was made for
                "shift": range(PRODUCT_BITS),
                "list": self.list_index,
                "weight": range(a.weight_words),
                "tap": range(a.taps),
                "constant": self.constant_index,
                "input": self.address,
                "input_map": range(a.signal_words + 1),  # words from one input map to the next
                "maps_behind": range(a.signal_words),  # input maps behind the first, for the counter
                "taps": range(a.taps + 1),  # taps of each, for the counter
                "height": range(a.signal_words + 1),
                "width": range(a.signal_words + 1),
                "top": range(MOST_TAPS),
                "left": range(MOST_TAPS),
                "origin": self.signed_address,  # of the first pixel: minus top rows and left columns
                "row_words": range(a.signal_words + 1),  # from one row of windows to the next
                "input_group": range(a.signal_words + 1),  # words by which a group's inputs lie behind the group before
                "tiles": range(a.signal_words + 1),  # of one group
                "output": self.address,
                "output_map": range(a.signal_words + 1),
                "output_group": range(a.signal_words * 2),  # words from one group of output maps to the next
                "output_height": range(a.signal_words + 1),
                "output_width": range(a.signal_words + 1),
                "outputs": range(a.constants + 1),
                "end": 1,  # the network's last layer
            }
        )


def _bits(values: int) -> int:
    return max(1, (values - 1).bit_length())
