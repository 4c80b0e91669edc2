"""Words of memories: of which fields they are, and how many there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

SHALLOW = 128  # words of a bank of signals or tables, at most, where look-up tables of an FPGA are its memory
SHALLOW_ONES = ("signals", "tables")


class Field(NamedTuple):
    """A part of a memory's word."""

    bits: int
    signed: bool = False


@dataclass(frozen=True, kw_only=True)
class MemoryShape:
    """A memory as it is built.

    Parameters
    ----------
    name : str
    words, width_bits : int
        Of one bank.
    banks : int
        That are read at the same time, at addresses of their own.
    """

    name: str
    words: int
    width_bits: int
    banks: int

    @property
    def bits(self) -> int:
        """Bits of all banks: words x width x banks."""
        return self.words * self.width_bits * self.banks

    @property
    def shallow(self) -> bool:
        """Whether an FPGA builds it from look-up tables: of signals or tables, whose many banks leave blocks empty."""
        return self.name in SHALLOW_ONES and self.words <= SHALLOW


def address_bits(words: int) -> int:
    """Return the bits of an address of one of `words` words, 1 at least.

    >>> address_bits(1), address_bits(8), address_bits(9)
    (1, 3, 4)
    """
    return max(1, (words - 1).bit_length())


def below(count: int) -> Field:
    """Return the field that holds any of the numbers 0 .. `count` - 1; none at all if there is only 0.

    >>> below(1).bits, below(8).bits, below(9).bits
    (0, 3, 4)
    """
    return Field((count - 1).bit_length())


def width_of(word: Mapping[str, Field]) -> int:
    """Return the bits of a word."""
    return sum(field.bits for field in word.values())
