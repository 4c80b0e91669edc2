"""The MAC array: how many lanes it has, and its memories word by word. Sizes the cost model and the RTL."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.errors import EspalierError
from accel.memory_words import Field, MemoryShape, address_bits, below, width_of
from accel.scales import check_multiplier_bits
from accel.signal import MULTIPLIER_BITS, PRODUCT_BITS

STRIDES = (1, 2)  # words between neighbouring pixels that no two pixel lanes find in one bank
TILE_CYCLES = 3  # between the last steps of two tiles, at least: what it takes to find where the next one begins
MULTIPLIER_WIDTH = 18  # bits of a hardware multiplier's operand
VECTOR_TAPS = 64  # words of a vector that one entry names at most: a fully connected layer reads it run by run
MOST_TAPS = 64  # of a kernel in one direction; padding is less
MOST_FORMATS = 8  # of output signals that one build of the hardware knows
FEATURES = ("split", "flat", "pool", "lines", "overlap", "prefetch", "combine", "share")  # that can be left out
FAR = 3  # `left` of an entry that has this many or more after it

DEPTHS: Mapping[str, str] = {  # which number of an array says how many words a memory has
    "signals": "signal_words",
    "weights": "weight_words",
    "entries": "list_entries",
    "taps": "taps",
    "constants": "constants",
    "layers": "layers",
    "tables": "table_words",
}


@dataclass(frozen=True)
class MacArray:
    """An array of `output_lanes` x `pixel_lanes` multiply-accumulators and the memories around it.

    In each cycle one weight for every output lane meets one signal for every pixel lane; one multiplier does the work
    of two output lanes where two weights and a signal have at most 18 bits together. A layer of one pixel would keep
    one pixel lane busy: `split` gives each of them a part of its sum, and every multiplier a weight of its own.

    Parameters
    ----------
    output_lanes, pixel_lanes : int
        Output maps, and neighbouring pixels of a row (a power of two), that are computed at the same time.
    weight_bits, signal_bits, accumulator_bits : int
        Word lengths; narrower layers are extended.
    signal_words : int
        Signals that the activation memory holds, over all its banks.
    weight_words : int
        Weight words, each one weight for every output lane.
    list_entries : int
        Index entries {base, offset, stride, count, left}; 0 for an array that runs dense layers alone.
    taps : int
        Tap table entries of all layers together.
    constants : int
        Output maps of all layers together: a bias and a multiplier each, and an offset where there are any.
    layers : int
        Of two images in turn, where `overlap` gives them places of their own: twice a Program's layers.
    split : bool
        Whether pixel lanes share the sum of a layer of one pixel (`accel.split`); its weights lie in as many banks.
    flat : bool
        Whether tiles pass the ends of rows (`accel.walk`), so that fewer of their lanes have no pixel.
    pool : bool
        Whether the drain does the work of max pools of 2 x 2 pixels (`accel.fusion`).
    lines : bool
        Whether output lanes can be rows of a depthwise convolution's maps (`accel.lines`).
    stream_words : int
        Words of each of the two buffers for streamed weights, the last of the weight memory; 0: it holds all.
    overlap : bool
        Whether the next image is loaded while one runs, into a place of its own (`accel.places`).
    prefetch : bool
        Whether what a layer begins with is fetched while the rows of the one before drain.
    combine : bool
        Whether a step may read two input maps, of which each output lane takes one (`accel.combined`).
    share : bool
        Whether two output lanes with narrow words share a multiplier, and the map that a step reads.
    multiplier_bits : int
        Of the constants by which accumulators are requantised.
    offset_bits : int
        Of those that are added to products; 0: none.
    ceiling, floor : bool
        Whether the drain has a highest, and a lowest, code for each layer, beside those of its format.
    table_words : int
        Codes of all tables of functions, of which each pixel lane has a copy in the drain; 0: it runs no table.

    Raises
    ------
    EspalierError
        A number is out of its range.

    Notes
    -----
    `accel.demand.array_for` makes the array that a Program needs; the depths here serve an array that many share.
    """

    output_lanes: int = 8
    pixel_lanes: int = 8
    weight_bits: int = 8
    signal_bits: int = 8
    accumulator_bits: int = 24
    signal_words: int = 1 << 14
    weight_words: int = 1 << 14
    list_entries: int = 1 << 12
    taps: int = 1 << 9
    constants: int = 1 << 10
    layers: int = 32
    split: bool = True
    flat: bool = True
    pool: bool = True
    lines: bool = True
    overlap: bool = True
    prefetch: bool = True
    combine: bool = True
    share: bool = True
    stream_words: int = 0
    multiplier_bits: int = MULTIPLIER_BITS
    offset_bits: int = 0
    ceiling: bool = False
    floor: bool = False
    table_words: int = 0

    def __post_init__(self) -> None:
        leasts = {"list_entries": 0, "stream_words": 0, "table_words": 0, "offset_bits": 0, "weight_bits": 2}
        leasts |= dict.fromkeys((*self.features, "ceiling", "floor"), 0)
        for field in fields(self):
            least = leasts.get(field.name, 1)
            if getattr(self, field.name) < least:
                raise EspalierError(f"{field.name} must be at least {least}, got {getattr(self, field.name)}")
        if self.pixel_lanes & (self.pixel_lanes - 1):
            raise EspalierError(f"pixel_lanes must be a power of two, got {self.pixel_lanes}")
        for name, bits in (("weight_bits", self.weight_bits), ("signal_bits", self.signal_bits)):
            if bits > 16:
                raise EspalierError(f"{name} must be at most 16, got {bits}")
        check_multiplier_bits(self.multiplier_bits)
        if self.offset_bits > self.multiplier_bits:
            raise EspalierError(f"offset_bits must be at most {self.multiplier_bits}, got {self.offset_bits}")
        if self.accumulator_bits <= self.signal_bits:
            raise EspalierError(
                "accumulator_bits must be above signal_bits, to hold any signal and its sign, "
                f"got {self.accumulator_bits} and {self.signal_bits}"
            )
        for name, banks in (("signal_words", self.banks), ("weight_words", self.weight_banks)):
            if getattr(self, name) % banks:
                raise EspalierError(f"{name} must be a multiple of {banks} banks, got {getattr(self, name)}")
        if self.stream_words % self.weight_banks or 2 * self.stream_words > self.weight_words:
            raise EspalierError(
                f"stream_words must be a multiple of {self.weight_banks} banks and at most half of {self.weight_words} "
                f"weight words, got {self.stream_words}"
            )

    @property
    def buffers(self) -> tuple[int, int]:
        """The first words of the two buffers for streamed weights."""
        return self.weight_words - 2 * self.stream_words, self.weight_words - self.stream_words

    @property
    def banks(self) -> int:
        """Banks of the activation memory: a row of pixels at stride 2 touches each at most once."""
        return banks_of(self.pixel_lanes)

    @property
    def bank_words(self) -> int:
        """Words of one bank."""
        return self.signal_words // self.banks

    @property
    def features(self) -> dict[str, bool]:
        """What can be left out of an array, and whether it is there."""
        return {name: getattr(self, name) for name in FEATURES}

    @property
    def pools(self) -> bool:
        """Whether the drain can pool: it compares pixels that lie side by side."""
        return self.pool and self.pixel_lanes > 1

    @property
    def flats(self) -> bool:
        """Whether the pixels of a tile may lie on two rows."""
        return self.flat and self.pixel_lanes > 1

    @property
    def gaps(self) -> bool:
        """Whether a step may read words on both sides of a gap."""
        return self.flats or self.half_lanes > 0 or self.combines

    @property
    def merges(self) -> bool:
        """Whether a tile may have half its pixels on each row of a pair, which the drain pools: 4 or more in all."""
        return self.flats and self.pools and self.pixel_lanes >= 4

    @property
    def splits(self) -> bool:
        """Whether a sum can be split: with one pixel lane there is nothing to share."""
        return self.split and self.pixel_lanes > 1

    @property
    def half_lanes(self) -> int:
        """Output lanes of each map where a step reads two; an even number, as two lanes may share a multiplier."""
        return self.output_lanes // 4 * 2 if self.lines else 0

    @property
    def combines(self) -> bool:
        """Whether a step may read two maps: lists name them, and lanes that share a multiplier take the same one."""
        return self.combine and self.list_entries > 0 and self.multiplier_rows > 1

    @property
    def weight_banks(self) -> int:
        """Banks of the weight memory: one for each pixel lane where sums can be split, which takes all at once."""
        return self.pixel_lanes if self.splits else 1

    def whole_rows(self, weights: int) -> int:
        """Return `weights` words rounded up to whole rows of the banks: every layer begins with the first bank."""
        return -(-weights // self.weight_banks) * self.weight_banks

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates that the array can do in a cycle."""
        return self.output_lanes * self.pixel_lanes

    @property
    def largest_weight(self) -> int:
        """The largest positive weight of a word."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def lowest_code(self) -> int:
        """The lowest signal that a multiplier can have: a signed one with a bit more than a word."""
        return -(1 << self.signal_bits)

    @property
    def weights_per_multiplier(self) -> int:
        """Output lanes that share a multiplier: the products of two narrow weights fit side by side."""
        return 2 if self.share and self.signal_bits + 2 * self.weight_bits <= MULTIPLIER_WIDTH else 1

    @property
    def multiplier_rows(self) -> int:
        """Rows of multipliers: output lanes, or pairs of them that share one."""
        return -(-self.output_lanes // self.weights_per_multiplier)

    @property
    def select_bits(self) -> int:
        """Bits beside a word of weights: which of two maps each row of multipliers takes."""
        return self.multiplier_rows if self.combines else 0

    @property
    def weight_word_bits(self) -> int:
        """Bits of a word of weights, one for each output lane, and of what lies beside them."""
        return self.output_lanes * self.weight_bits + self.select_bits

    @cached_property
    def entry_fields(self) -> Mapping[str, Field]:
        """An index entry: `count` taps of the map `base` words into the input, from `offset` in steps of `stride`.

        `left` more entries follow it in its list. A second map lies `other` whole turns of the banks further, and half
        a turn.
        """
        return {
            "base": below(self.signal_words),
            "offset": below(self.taps),
            "stride": below(self.taps + 1),
            "count": below(self.taps + 1),
            "left": below(FAR + 1),
            "other": below(self.bank_words if self.combines else 1),
        }

    @cached_property
    def tap_fields(self) -> Mapping[str, Field]:
        """A tap: how far it lies from the window's first one, and whether the codes there are signed."""
        return {
            "rows": below(MOST_TAPS),
            "columns": below(MOST_TAPS),
            "words": below(self.signal_words),
            "signed": Field(1),
        }

    @cached_property
    def constant_fields(self) -> Mapping[str, Field]:
        """The bias and the multiplier of one output map, and its offset where the array has any."""
        fields = {"bias": Field(self.accumulator_bits, signed=True), "multiplier": Field(self.multiplier_bits)}
        return fields | ({"offset": Field(self.offset_bits)} if self.offset_bits else {})

    @cached_property
    def layer_fields(self) -> Mapping[str, Field]:
        """Everything that the sequencer needs for one layer."""
        address, words, flag = below(self.signal_words), below(self.signal_words + 1), Field(1)
        pixels = below(2 * (self.signal_words + MOST_TAPS))
        step = Field(address_bits(self.signal_words) + 1, signed=True)
        tables = {
            "tabled": flag,  # the drain looks codes up
            "table": below(self.table_words),  # where the word of code 0 lies, modulo the bits of an address
            "table_signed": flag,  # what it finds has a sign
        }
        return {
            "single": flag,  # a tile is one output map, on row 0
            "maximum": flag,  # row 0 keeps the largest, and its codes pass unchanged
            "final": flag,  # the output goes to the output stream
            "raw": flag,  # ... as accumulators, not requantised
            "counter": flag,  # the entries are counted, not listed
            "shared": flag,  # all groups read the same list
            "split": below(1 + self.splits),  # a step reads neighbouring words, and a weight for each multiplier
            "double": flag,  # neighbouring pixels lie two words apart
            "pixels": below(self.pixel_lanes + 1),  # of a tile
            "advance": pixels,  # columns from one tile to the next
            "row_step": pixels,  # rows from one row of windows to the next
            "relu": flag,
            "highest": Field(self.signal_bits if self.ceiling else 0),  # code: what is above becomes it
            "lowest": Field(self.signal_bits if self.floor else 0, signed=self.floor),  # ... and what is below
            "form": below(MOST_FORMATS),  # which of the output formats that the hardware was made for
            "shift": below(PRODUCT_BITS),
            "list": below(max(self.list_entries, 1)),
            "weight": below(self.weight_words),
            "tap": below(self.taps),
            "constant": below(self.constants),
            "uniform": flag,  # ... of all output maps
            "input_map": words,  # from one input map to the next
            "maps_behind": address,  # input maps after the first, for the counter
            "taps": below(self.taps + 1),  # of each, for the counter
            "height": words,
            "width": words,
            "top": below(MOST_TAPS),
            "left": below(MOST_TAPS),
            "origin": step,  # the input's first word, minus top rows and left columns
            "pool": below(1 + self.pools),  # tiles come in pairs, of which the drain writes what is largest
            "flat": below(1 + self.flats),  # tiles pass the ends of rows
            "gap": step if self.gaps else below(1),  # words that are left out there, or between two maps
            "merge": below(1 + self.merges),  # where tiles end, one has half of its pixels on each row of the pair
            "pair_gap": step if self.merges else below(1),  # words that it leaves out between them
            "tiles": words,  # of one group
            "row_pixels": words,  # over which the tiles of a row go
            "words": below(self.pixel_lanes + 1),  # that a whole tile writes; the first of a pair none
            "last_words": below(self.pixel_lanes + 1),  # ... and the last one of a row
            "tile_turn": step,  # words from a tile to the next
            "pair_turn": step,  # ... where it is the second of a pair
            "row_turn": step,  # ... where it begins a row
            "group_turn": step,  # ... where it begins a group
            "combine": below(1 + self.combines),  # entries name two maps, of which each row of multipliers takes one
            "lines": below(1 + self.lines),  # output lanes are rows of a map, which share their constants
            "pair": below(1 + bool(self.half_lanes)),  # ... and half of them are rows of the next map
            "line_words": words if self.lines else Field(0),  # from one of its rows to the next
            "group": below(self.output_lanes + 1),  # output maps of a tile
            "rows": below(self.output_lanes + 1),  # output lanes that give something
            "last_rows": below(self.output_lanes + 1),  # ... in the last group
            "output": address,
            "output_map": words,
            "line_turn": words,  # from where a row's last tile is written to the next row's first
            "output_turn": below(self.signal_words * 2),  # from where a group's last tile is written to the next one's
            "outputs": below(max(self.constants, self.signal_words) + 1),
            "end": flag,  # the network's last layer
            "again": below(1 + self.overlap),  # the next image begins with the first word of layers, or with the next
            **(tables if self.table_words else {}),
        }

    @cached_property
    def memories(self) -> tuple[MemoryShape, ...]:
        """The memories that are built, in the order of `DEPTHS`; an array without lists has no entries.

        Each pixel lane has all tables, a copy in a bank of its own.
        Their bits are those of the arrays of registers in the generated Verilog. Registers of the pipeline and the two
        places for rows behind the core are no memories.
        """
        widths = {
            "signals": self.signal_bits,
            "weights": self.weight_word_bits,
            "entries": width_of(self.entry_fields),
            "taps": width_of(self.tap_fields),
            "constants": width_of(self.constant_fields),
            "layers": width_of(self.layer_fields),
        }
        shapes = [
            MemoryShape(name=name, words=getattr(self, DEPTHS[name]) // banks, width_bits=width, banks=banks)
            for name, width in widths.items()
            for banks in [{"signals": self.banks, "weights": self.weight_banks}.get(name, 1)]
        ]
        copies = {"words": self.table_words, "width_bits": self.signal_bits, "banks": self.pixel_lanes}
        shapes.append(MemoryShape(name="tables", **copies))
        return tuple(shape for shape in shapes if shape.words)

    @property
    def built_bits(self) -> int:
        """Bits of all memories."""
        return sum(memory.bits for memory in self.memories)


def tile_cycles(steps: ArrayLike, rows: ArrayLike) -> NDArray[np.int64]:
    """Return for each tile the cycles from the last step of the tile before to its own.

    Parameters
    ----------
    steps : int array (tiles,)
    rows : int array (tiles,) or int
        Of the tile before, which drain meanwhile.
    """
    return np.maximum(np.maximum(steps, rows), TILE_CYCLES)


def banks_of(pixel_lanes: int) -> int:
    """Return the banks of the activation memory of an array with so many pixel lanes."""
    return pixel_lanes * max(STRIDES)
