"""The words that the hardware's memories hold (`accel.array` says of which parts), and what the host writes where."""

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data
from amaranth.utils import exact_log2

from accel.array import DEPTHS, MOST_TAPS, TILE_CYCLES, MacArray
from accel.memory_words import Field, address_bits


class Target(IntEnum):
    """The memories that the loader writes, as the `target` of a loaded word."""

    SIGNALS = 0
    WEIGHTS = 1
    ENTRIES = 2
    TAPS = 3
    CONSTANTS = 4
    LAYERS = 5
    TABLES = 6


class Layout:
    """The layouts of one array.

    Attributes
    ----------
    signal : one signal as it is stored
    weights : one weight for each output lane, and for each row of multipliers whether it takes the second of two maps
    lanes : the weights of such a word
    unit : one word of streamed weights, and whether it is the last of its group of output lanes
    weight_row, lanes_row : as many of them as the memory of weights has banks: one for each pixel lane, or for all
    table : a code that a table has for another one
    entry, tap, constant, layer : words of the other memories, of the parts that `MacArray` gives them
    address, list_index, constant_index, ... : shapes of what names a word
    """

    def __init__(self, array: MacArray) -> None:
        self.array = array
        self.signal = unsigned(array.signal_bits)
        self.table = data.StructLayout({"code": array.signal_bits})
        self.lanes = data.ArrayLayout(signed(array.weight_bits), array.output_lanes)
        self.weights = data.StructLayout({"lanes": self.lanes, "others": array.select_bits})
        self.unit = data.StructLayout({"word": self.weights, "last": 1})
        self.lanes_row = data.ArrayLayout(self.lanes, array.weight_banks)
        self.weight_row = data.ArrayLayout(self.weights, array.weight_banks)
        self.entry, self.tap = _struct(array.entry_fields), _struct(array.tap_fields)
        self.constant, self.layer = _struct(array.constant_fields), _struct(array.layer_fields)
        self.address, self.signed_address = self.layer["output"].shape, self.layer["origin"].shape
        self.list_index, self.constant_index = self.layer["list"].shape, self.layer["constant"].shape
        self.accumulator = self.constant["bias"].shape
        self.tap_index = range(2 * array.taps)
        self.bank = unsigned(max(1, exact_log2(array.banks)))
        self.lane_count = range(array.pixel_lanes + 1)
        self.row_count = range(array.output_lanes + 1)
        self.wait = range(max(array.output_lanes, TILE_CYCLES))
        self.position = signed(address_bits(2 * array.signal_words + MOST_TAPS) + 1)  # a row or column with padding
        self.operand = signed(array.signal_bits + 1)  # a signal with its sign, or with a zero for one
        self.pixels = data.ArrayLayout(self.signal, array.pixel_lanes)
        self.load = data.StructLayout({"target": Target, "address": unsigned(24), "word": unsigned(self.load_bits)})

    @property
    def words(self) -> Mapping[str, object]:
        """The shape of a word of each memory, by the memory's name."""
        shapes = self.signal, self.weights, self.entry, self.tap, self.constant, self.layer, self.table
        return dict(zip(DEPTHS, shapes, strict=True))

    def of_weights(self, word: Sequence[int]) -> dict[str, object]:
        """Return the parts of a word of weights as `rtl.assemble.Image` has it: the weights, and what lies beside."""
        lanes = self.array.output_lanes
        return {"lanes": tuple(word[:lanes]), "others": sum(word[lanes:])}

    @property
    def loaded(self) -> Mapping[str, object]:
        """The shape of what is loaded into each memory that is built, by its name: of signals a row of pixels."""
        built = {memory.name for memory in self.array.memories}
        words = {**self.words, "signals": data.StructLayout({"codes": self.pixels})}
        return {name: shape for name, shape in words.items() if name in built}

    @property
    def load_bits(self) -> int:
        """Bits of a loaded word: the widest word of any memory, or a row of pixels."""
        loaded = {**self.words, "signals": self.pixels}
        return max(Shape.cast(shape).width for shape in loaded.values())


def _struct(word: Mapping[str, Field]) -> data.StructLayout:
    return data.StructLayout({name: Shape(field.bits, field.signed) for name, field in word.items()})


def fields_of(shape: Any, name: str = "", offset: int = 0) -> list[dict[str, object]]:
    """Return name, offset, bits and sign of each part of a word, where `packer` puts it, but of those without bits.

    >>> pair = data.StructLayout({"low": 4, "pair": data.ArrayLayout(signed(2), 2)})
    >>> [(field["name"], field["offset"], field["bits"], field["signed"]) for field in fields_of(pair)]
    [('low', 0, 4, False), ('pair[0]', 4, 2, True), ('pair[1]', 6, 2, True)]
    """
    if isinstance(shape, data.Layout):
        dot = f"{name}." if name else ""
        parts = ((f"{name}[{key}]" if isinstance(key, int) else f"{dot}{key}", field) for key, field in shape)
        return [part for key, field in parts for part in fields_of(field.shape, key, offset + field.offset)]
    bits, is_signed = Shape.cast(shape).width, Shape.cast(shape).signed
    return [{"name": name, "offset": offset, "bits": bits, "signed": is_signed}] if bits else []


def packer(shape: Any) -> Callable[[Any], int]:
    """Return what makes a word of a layout's parts, as `shape.const` does, and a hundred times as fast.

    >>> packer(data.StructLayout({"low": 4, "pair": data.ArrayLayout(signed(2), 2)}))({"low": 3, "pair": (1, -1)})
    211
    """
    if not isinstance(shape, data.Layout):
        mask = (1 << Shape.cast(shape).width) - 1
        return lambda value: int(value) & mask
    parts = {key: (packer(field.shape), field.offset) for key, field in shape}

    def pack(value: Any) -> int:
        word = 0
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            bits, offset = parts[key]
            word |= bits(part) << offset
        return word

    return pack
