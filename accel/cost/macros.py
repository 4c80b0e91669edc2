"""Memories of a design as blocks that exist: how many of which, and what of them stays empty."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from accel.array import DEPTHS
from accel.cost.shortage import Resource, Shortage
from accel.cost.technology import Macro, Technology
from accel.errors import EspalierError
from accel.memory_words import SHALLOW, SHALLOW_ONES, MemoryShape

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Memory(MemoryShape):
    """A memory of the array, and what of it a Program uses.

    Parameters
    ----------
    payload_bits : int
        What the Program stores in it; the rest is filling: lanes that keep nothing, words that are extended.
    """

    payload_bits: int

    def __post_init__(self) -> None:
        if min(self.words, self.width_bits, self.banks) < 1 or not 0 <= self.payload_bits <= self.bits:
            raise EspalierError(
                f"memory {self.name}: {self.banks} banks of {self.words} words of {self.width_bits} bits do not hold "
                f"{self.payload_bits} bits"
            )


@dataclass(frozen=True, kw_only=True)
class PlacedMemory(Memory):
    """A memory made of `count` blocks of the kind `macro`, each set to `shape` (words, width)."""

    macro: str
    shape: tuple[int, int]
    count: int
    block_bits: int

    @property
    def macro_bits(self) -> int:
        """Bits of all blocks."""
        return self.count * self.block_bits

    @property
    def waste_bits(self) -> int:
        """Bits of the blocks that hold nothing of the Program."""
        return self.macro_bits - self.payload_bits


def blocks(macro: Macro, words: int, width_bits: int) -> tuple[int, tuple[int, int]]:
    """Return how many blocks hold `words` x `width_bits`, and to which shape they are set; the first of those that tie.

    All blocks of a memory have one shape: ceil(words / depth) x ceil(width / block width).
    """
    return _blocks(macro.shapes, words, width_bits)


@lru_cache(4096)  # an exploration asks for the same few memories again and again
def _blocks(shapes: tuple[tuple[int, int], ...], words: int, width_bits: int) -> tuple[int, tuple[int, int]]:
    counts = [(-(-words // depth) * -(-width_bits // width), (depth, width)) for depth, width in shapes]
    return min(counts, key=lambda choice: choice[0])


def place(memories: Sequence[Memory], technology: Technology) -> tuple[PlacedMemory, ...]:
    """Return the memories as blocks of `technology`, in the order given.

    The largest memory chooses first: the kind of block that takes the least room in all, their periphery included
    where areas are known (`Technology.block_size`), of those of which enough are left; where none is, of all of them,
    and the design does not fit (`shortages`).
    """
    left = [math.inf if macro.available is None else macro.available for macro in technology.macros]
    placed: dict[int, PlacedMemory] = {}
    for index in sorted(range(len(memories)), key=lambda i: -memories[i].bits):
        memory, choices = memories[index], []
        for kind, macro in enumerate(technology.macros):
            if macro.shallow and not memory.shallow:
                continue
            count, shape = blocks(macro, memory.words, memory.width_bits)
            count *= memory.banks
            choices.append((count > left[kind], count * technology.block_size(macro), count, kind, shape))
        _, _, count, kind, shape = min(choices)
        left[kind] -= count
        macro = technology.macros[kind]
        placed[index] = PlacedMemory(
            name=memory.name,
            words=memory.words,
            width_bits=memory.width_bits,
            banks=memory.banks,
            payload_bits=memory.payload_bits,
            macro=macro.name,
            shape=shape,
            count=count,
            block_bits=macro.bits,
        )
    return tuple(placed[index] for index in range(len(memories)))


def place_many(
    words: Integers, banks: Integers, width_bits: Integers, technology: Technology
) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Return what `place` does with the memories of many designs at once.

    Parameters
    ----------
    words, banks, width_bits : int array (memories, designs)
        Of each memory, in the order of `DEPTHS`; one without words is not there.
    technology : Technology

    Returns
    -------
    bits : int array (memories, designs)
        Of the blocks of each memory.
    blocks : int array (designs,)
        In all.
    fits : bool array (designs,)
        Whether there are enough blocks of each kind.
    """
    macros, designs = technology.macros, np.arange(words.shape[1])
    available = [np.inf if macro.available is None else macro.available for macro in macros]
    left = np.tile(np.array(available)[:, None], (1, len(designs)))
    counts = np.stack([_counts(macro.shapes, words, width_bits) * banks for macro in macros])
    shallow = (words <= SHALLOW) & np.array([name in SHALLOW_ONES for name in DEPTHS])[:, None]
    order = np.argsort(-(words * width_bits * banks), axis=0, kind="stable")
    bits, blocks = np.zeros_like(words), np.zeros(len(designs), np.int64)
    for memory in order:  # the largest of each design first
        choice = np.full(len(designs), -1)
        best = np.full((3, len(designs)), np.inf)
        for kind, macro in enumerate(macros):
            count = counts[kind, memory, designs]
            mine = np.stack([count > left[kind], count * technology.block_size(macro), count])
            better = _less(mine, best) & (shallow[memory, designs] | (not macro.shallow))
            choice, best = np.where(better, kind, choice), np.where(better, mine, best)
        taken = counts[choice, memory, designs]
        left[choice, designs] -= taken
        bits[memory, designs] = taken * np.array([macro.bits for macro in macros])[choice]
        blocks += taken
    return bits, blocks, np.all(left >= 0, axis=0)


def _counts(shapes: tuple[tuple[int, int], ...], words: Integers, width_bits: Integers) -> Integers:
    """Return the blocks of a bank, as `blocks` counts them."""
    found = [-(-words // depth) * -(-width_bits // width) for depth, width in shapes]
    return np.asarray(np.min(found, axis=0))


def _less(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return in which columns the first is less: by its first row, where that ties by the next, and so on."""
    less, equal = np.zeros(one.shape[1], bool), np.ones(one.shape[1], bool)
    for mine, its in zip(one, other, strict=True):
        less |= equal & (mine < its)
        equal &= mine == its
    return less


def shortages(placed: Sequence[PlacedMemory], technology: Technology) -> list[Shortage]:
    """Return each kind of block of which there are not enough."""
    found = []
    for macro in technology.macros:
        needed, available = sum(memory.count for memory in placed if memory.macro == macro.name), macro.available
        if available is not None and needed > available:
            found.append(Shortage(resource=Resource.BLOCKS, needed=needed, available=available, block=macro.name))
    return found
