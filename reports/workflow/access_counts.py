"""What counters beside the hardware say of its memories, and what the closed form says, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from accel.array import DEPTHS, MacArray
from accel.cost.accesses import Access, accesses_of
from accel.program import Program
from reports.shared.console import plain_table
from reports.shared.words import kib


@dataclass(frozen=True, kw_only=True)
class Row:
    """Accesses of a layer to a memory for one image.

    Parameters
    ----------
    program, layer, memory : str
        The layer "image" is what is written while an image is loaded.
    word_bits : int
    reads, writes : int
        Words by the closed form (`accel.cost.accesses`).
    counted_reads, counted_writes : int
        Words by the counters, for the image of number `image`.
    image : int
        The first one that differs, or the first of all.
    """

    program: str
    layer: str
    memory: str
    word_bits: int
    reads: int
    writes: int
    counted_reads: int
    counted_writes: int
    image: int

    @property
    def equal(self) -> bool:
        """Whether both say the same."""
        return (self.reads, self.writes) == (self.counted_reads, self.counted_writes)

    @property
    def bits(self) -> int:
        """Bits that are read and written, as they were counted."""
        return self.word_bits * (self.counted_reads + self.counted_writes)

    @property
    def complaint(self) -> str:
        """A line that says what differs."""
        counted = f"{self.counted_reads:,} reads and {self.counted_writes:,} writes of {self.memory}"
        return f"FAIL image {self.image} {self.layer}: {counted} counted, not {self.reads:,} and {self.writes:,}"


def rows_of(program: Program, array: MacArray, counts: Sequence[NDArray[np.int64]]) -> list[Row]:
    """Return a row for each layer and memory.

    Parameters
    ----------
    program : Program
    array : MacArray
    counts : sequence of int arrays (1 + layers, memories, 2)
        Of each image, as `rtl.counters.counts_of` has them.
    """
    found, names = [], list(DEPTHS)
    widths = {memory.name: memory.width_bits for memory in array.memories}
    for index, (layer, expected) in enumerate(accesses_of(program, array).items()):
        for memory, bits in widths.items():
            one = expected.get(memory, Access())
            said = [tuple(words[index, names.index(memory)].tolist()) for words in counts]
            image = next((place for place, words in enumerate(said) if words != (one.reads, one.writes)), 0)
            row = Row(
                program=program.name,
                layer=layer,
                memory=memory,
                word_bits=bits,
                reads=one.reads,
                writes=one.writes,
                counted_reads=said[image][0],
                counted_writes=said[image][1],
                image=image,
            )
            found.append(row)
    return found


def table_of(rows: Sequence[Row]) -> Table:
    """Return the accesses of one Program: a row for each layer, a column for each memory."""
    memories, layers = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("memory", "layer"))
    cells = {(row.layer, row.memory): row for row in rows}
    lines = [[layer, *(_cell(cells[layer, memory]) for memory in memories)] for layer in layers]
    bits = [sum(row.bits for row in rows if row.memory == memory) for memory in memories]
    lines.append(["all, KiB", *map(kib, bits)])
    table = plain_table(["layer", *memories], lines)
    table.title = f"{rows[0].program}: words read + written for one image"
    return table


def _cell(row: Row) -> str:
    words = _words(row.counted_reads, row.counted_writes)
    return words if row.equal else f"{words}, expected {_words(row.reads, row.writes)}"


def _words(reads: int, writes: int) -> str:
    return f"{reads:,}" + (f" + {writes:,}" if writes else "")
