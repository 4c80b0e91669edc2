"""What a Program takes of an array of some lanes, whatever its word lengths: the part of a cost that walks layers.

`accel.cost.over_arrays` costs word lengths on many arrays at once from these. They are the same for all word lengths
of which lanes share a multiplier alike, and whose weights hold those of an addition in as many words (`kind_of`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from accel.array import DEPTHS
from accel.cost.accesses import load_accesses
from accel.cost.cycles import interval_cycles, start_cycles
from accel.cost.design import Limits
from accel.cost.estimate import image_load_cycles
from accel.cost.hardware_terms import BITS, FLAGS, multipliers_of
from accel.cost.invariants import Invariants
from accel.words import Words


class LayerFacts(NamedTuple):
    """What one layer does for one image: `accessed` are the words of each memory, by `DEPTHS`, read or written."""

    macs: int = 0
    output_words: int = 0
    cycles: int = 0
    accessed: tuple[int, ...] = (0,) * len(DEPTHS)


class MemoryFacts(NamedTuple):
    """A memory as `accel.memory_words.MemoryShape` has it, and the bits of a word that follow from each of `BITS`.

    Of an array of so many bits a word has the sum of `fixed` and each of them times its part in `parts`.
    """

    words: int = 0
    banks: int = 1
    fixed: int = 0
    parts: tuple[int, ...] = (0,) * len(BITS)


@dataclass(frozen=True, kw_only=True)
class ArrayFacts:
    """A Program on an array, apart from word lengths.

    Parameters
    ----------
    output_lanes, pixel_lanes, multipliers, cycles, interval_cycles : int
        As `accel.cost.design.Estimate` has them, all weights on the chip.
    memories : mapping of name to MemoryFacts
        Those that the array has.
    loaded : int
        Words of signals that are written as an image is loaded.
    layers : mapping of name to LayerFacts
        Those that take time, in running order.
    flags : sequence of bool
        Which of `accel.cost.hardware_terms.FLAGS` the array has.
    """

    output_lanes: int
    pixel_lanes: int
    multipliers: int
    cycles: int
    interval_cycles: int
    memories: Mapping[str, MemoryFacts]
    loaded: int
    layers: Mapping[str, LayerFacts]
    flags: Sequence[bool]


def facts_of(invariants: Invariants, words: Words, output_lanes: int, pixel_lanes: int, limits: Limits) -> ArrayFacts:
    """Return the facts of a Program on the array that is just large enough for it.

    Parameters
    ----------
    invariants : Invariants
    words : Words
        Any of the kind that the facts are for.
    output_lanes, pixel_lanes : int
    limits : Limits
        Whose DRAM images come from.
    """
    array = invariants.array(words, output_lanes, pixel_lanes)
    rows = invariants.timed(invariants.costs(words), array)
    layers = {
        x.name: LayerFacts(
            macs=x.macs,
            output_words=x.output_words,
            cycles=x.cycles,
            accessed=tuple(accesses[name].words for name in DEPTHS),
        )
        for (x, _), accesses in zip(rows, invariants.accesses(array), strict=True)
    }
    cycles = start_cycles(array) + sum(x.cycles for x in layers.values())
    load, written = image_load_cycles(invariants, array, limits), sum(x.rows for x, _ in rows[:-1])
    parts = {
        "signals": {"signal_bits": 1},
        "weights": {"weight_bits": output_lanes},
        "constants": {"accumulator_bits": 1, "multiplier_bits": 1, "offset_bits": 1},
        "layers": {"signal_bits": array.ceiling + array.floor},
        "tables": {"signal_bits": 1},
    }
    memories = {}
    for shape in array.memories:
        mine = tuple(parts.get(shape.name, {}).get(name, 0) for name in BITS)
        grown = sum(part * getattr(array, name) for part, name in zip(mine, BITS, strict=True))
        memories[shape.name] = MemoryFacts(shape.words, shape.banks, shape.width_bits - grown, mine)
    return ArrayFacts(
        output_lanes=output_lanes,
        pixel_lanes=pixel_lanes,
        multipliers=multipliers_of(array),
        cycles=cycles,
        interval_cycles=interval_cycles(cycles, load, written, array),
        memories={name: memories[name] for name in DEPTHS if name in memories},
        loaded=load_accesses(invariants.program, array)["signals"].words,
        layers=layers,
        flags=[getattr(array, name) for name in FLAGS],
    )
