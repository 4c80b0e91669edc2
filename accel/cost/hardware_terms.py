"""What the hardware of an array grows with: bits of registers, sums, rotations, as terms of `accel.cost.predictor`.

The terms follow what `rtl.core` builds: an accumulator and its shadow in each lane, operands for each row of
multipliers and each pixel lane, banks of signals with rotations on both sides, a drain for each pixel lane, a word of
layers that the sequencer holds twice. A term is a number of one array, or a vector of many.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.array import DEPTHS, MULTIPLIER_WIDTH, MacArray, banks_of
from accel.memory_words import SHALLOW, SHALLOW_ONES

Numbers = NDArray[np.float64] | float
TABLE_WORDS, TABLE_BITS = 16, 4  # of the memory that an ECP5 makes of a slice's look-up tables
FLAGS = ("split", "flat", "pool", "lines", "overlap", "prefetch", "combine", "share", "ceiling", "floor")
BITS = ("weight_bits", "signal_bits", "accumulator_bits", "multiplier_bits", "offset_bits")


@dataclass(frozen=True, kw_only=True, eq=False)
class Sizes:
    """What the terms of an array are made of, or of many arrays: each number may be a vector.

    Parameters
    ----------
    output_lanes, pixel_lanes : int
    bits : mapping
        Of each of `BITS`.
    flags : mapping
        Whether each of `FLAGS` is there, as a `MacArray` has it.
    streams : bool
        Whether weights are streamed.
    words, widths : mapping
        Words of a bank, and bits of a word, of each memory of `DEPTHS`; 0 of one that is not there.
    """

    output_lanes: Any
    pixel_lanes: Any
    bits: Mapping[str, Any]
    flags: Mapping[str, Any]
    streams: Any
    words: Mapping[str, Any]
    widths: Mapping[str, Any]

    @classmethod
    def of(cls, array: MacArray) -> "Sizes":
        """Return the sizes of one array."""
        memories = {memory.name: memory for memory in array.memories}
        return cls(
            output_lanes=array.output_lanes,
            pixel_lanes=array.pixel_lanes,
            bits={name: getattr(array, name) for name in BITS},
            flags={name: getattr(array, name) for name in FLAGS},
            streams=array.stream_words > 0,
            words={name: memories[name].words if name in memories else 0 for name in DEPTHS},
            widths={name: memories[name].width_bits if name in memories else 0 for name in DEPTHS},
        )


def terms(sizes: Sizes) -> dict[str, Numbers]:
    """Return what the hardware grows with, by name."""
    outputs, pixels, banks = sizes.output_lanes, sizes.pixel_lanes, banks_of(sizes.pixel_lanes)
    weight, signal, total, factor, offset = (sizes.bits[name] for name in BITS)
    has = {name: np.asarray(flag, np.int64) for name, flag in sizes.flags.items()}
    several = np.asarray(pixels > 1, np.int64)
    splits, flats, pools = (has[name] * several for name in ("split", "flat", "pool"))
    shares = has["share"] * (signal + 2 * weight <= MULTIPLIER_WIDTH)  # two lanes have a multiplier
    rows = -(-outputs // (1 + shares))
    operand = weight + shares * (MULTIPLIER_WIDTH - weight)
    listed = np.asarray(sizes.words["entries"] > 0, np.int64)
    combines = has["combine"] * listed * (rows > 1)
    gaps = np.maximum.reduce(np.broadcast_arrays(flats, combines, has["lines"] * (outputs >= 4)))
    address = bit_length(sizes.words["signals"] * banks - 1)
    beyond = np.maximum(total - MULTIPLIER_WIDTH, 0)
    weight_banks = 1 + splits * (pixels - 1)
    widest = np.maximum.reduce(np.broadcast_arrays(*(sizes.widths[name] for name in DEPTHS), pixels * signal))
    return {
        "one": 1.0,
        "lanes": pixels * outputs,
        "layer_bits": sizes.widths["layers"],
        "loaded_bits": widest,
        "address_bits": address,
        "entry_bits": sizes.widths["entries"],
        "tile_bits": address + bit_length(sizes.words["constants"]) + bit_length(outputs) + bit_length(pixels),
        "constant_bits": sizes.widths["constants"],
        "turned_bits": (2 + flats) * banks * signal * bit_length(banks - 1),  # multiplexers of the rotations
        "bank_bits": (5 + flats) * banks * signal,  # registers before, within and behind them
        "bank_choice_bits": banks * bit_length(banks - 1),  # numbers of banks, of which each compares its own
        "bank_address_bits": banks * bit_length(sizes.words["signals"] - 1),
        "gap_address_bits": gaps * banks * bit_length(sizes.words["signals"] - 1),
        "table_memories": _table_memories(sizes, banks),
        "pixel_lanes": pixels,
        "pixel_bits": pixels * signal,
        "weight_row_bits": weight_banks * outputs * weight,
        "weight_operand_bits": weight_banks * rows * operand,
        "signal_operand_bits": pixels * rows * (signal + 1),
        "combined_bits": combines * pixels * rows * (signal + 1),
        "multiplied_bits": pixels * rows * operand * (signal + 1),
        "product_bits": pixels * outputs * (weight + signal),
        "lane_sum_bits": pixels * outputs * total,
        "first_row_bits": pixels * total,
        "split_sum_bits": splits * pixels * total,
        "scaled_bits": pixels * (total + factor),
        "scaled_low_bits": pixels * np.minimum(total, MULTIPLIER_WIDTH) * factor,
        "scaled_high_bits": pixels * beyond * factor,
        "offset_bits": pixels * offset,
        "bound_bits": (has["ceiling"] + has["floor"]) * pixels * signal,
        "pool_bits": pools * outputs * pixels // 2 * (signal + 1),
        "looked_up_bits": np.asarray(sizes.words["tables"] > 0, np.int64) * pixels * signal,
        "streamed_bits": np.asarray(sizes.streams, np.int64) * sizes.widths["weights"],
        "flat_lanes": flats * pixels,
        "flat_bits": flats * address,
        # of logic, one behind the other
        "output_levels": bit_length(outputs - 1),
        "pixel_levels": bit_length(pixels - 1),
        "sum_levels": np.log2(total),
        "scaled_levels": np.log2(total + factor),
        "largest_bits": np.maximum.reduce(  # of one memory: the more blocks share an address, the longer are its wires
            np.broadcast_arrays(*(sizes.words[name] * sizes.widths[name] for name in DEPTHS))
        ),
    }


def _table_memories(sizes: Sizes, banks: Any) -> Any:
    """Return the memories of `TABLE_WORDS` x `TABLE_BITS` in which an FPGA holds those that are shallow."""
    found: Any = 0
    for name, copies in zip(SHALLOW_ONES, (banks, sizes.pixel_lanes), strict=True):
        words = sizes.words[name]
        blocks = -(-words // TABLE_WORDS) * -(-sizes.widths[name] // TABLE_BITS) * copies
        found = found + np.where(words <= SHALLOW, blocks, 0)
    return found


def bit_length(number: Any) -> Any:
    """Return the bits of whole numbers below 2**53.

    >>> int(bit_length(0)), int(bit_length(1)), bit_length(np.array([7, 8])).tolist()
    (0, 1, [3, 4])
    """
    return np.frexp(number)[1]


def multipliers_of(array: MacArray) -> int:
    """Return the hardware multipliers of an array, of 18 x 18 bits: those of the lanes, and of each pixel lane's drain.

    The drain multiplies 18 bits of a sum by a constant, in two where that is wider. `espalier synth` counts as many: 72
    at 8x8 and 8 bits, 40 at 4-bit weights.
    """
    return (array.multiplier_rows + math.ceil(array.multiplier_bits / MULTIPLIER_WIDTH)) * array.pixel_lanes
