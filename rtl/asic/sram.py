"""Memories of a chip, built of the macros that a user's memory compiler makes: a TOML file says which there are.

A memory is built of macros of one kind, side by side until a word is wide enough, in banks until there are enough
words. An access goes to the macros of one bank. The macros have one port that writes and one that reads, as
`rtl.asic.macros` has it. What chooses between banks is not in the numbers: a decoder, and a multiplexer of words.
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from accel.errors import EspalierError, reading
from accel.records import parse_toml, record_of, text_of
from rtl.asic.macros import Shape

MOST_BLOCKS = 256  # macros of one memory; of what would take more, nobody builds it
MOST = 1e12  # of any figure


@dataclass(frozen=True, kw_only=True)
class SramMacro:
    """A macro, as a table ``[[macro]]`` has it.

    Parameters
    ----------
    name : str
    depth, width : int
        Words, and bits of a word.
    area_um2 : float
    read_pj, write_pj : float
        Energy of one access to a word.
    leakage_uw : float
    access_ns : float
        From the clock's edge to the word that is read.
    setup_ns : float
        In which addresses, enables and data must be there before the edge.
    """

    name: str
    depth: int
    width: int
    area_um2: float
    read_pj: float
    write_pj: float
    leakage_uw: float
    access_ns: float
    setup_ns: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self)[1:]:
            value, least = getattr(self, field.name), 1 if field.type is int else 0
            if not least <= value <= MOST:  # which a NaN is not either
                raise EspalierError(f"macro {self.name}: {field.name} must be {least}..{MOST:g}, got {value:g}")


@dataclass(frozen=True)
class SramLibrary:
    """The macros of a file, and where its figures come from."""

    source: str
    macro: tuple[SramMacro, ...]

    def __post_init__(self) -> None:
        if not self.macro:
            raise EspalierError("has no [[macro]]: expected at least one")


@dataclass(frozen=True, kw_only=True)
class BuiltMemory:
    """A memory of `banks` x `columns` macros; its figures are those of all of them, an access's of one bank."""

    macro: str
    banks: int
    columns: int
    area_um2: float
    read_pj: float
    write_pj: float
    leakage_uw: float
    access_ns: float
    setup_ns: float

    @property
    def blocks(self) -> int:
        """How many macros it is built of."""
        return self.banks * self.columns


def read_sram(path: Path) -> SramLibrary:
    """Return the macros of a TOML file.

    Raises
    ------
    EspalierError
        The file cannot be read, is not TOML, or a field is missing, unknown, of another type or out of its range.
    """
    try:
        text = text_of(path)
    except OSError as error:
        raise EspalierError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    with reading(path):
        return record_of(SramLibrary, parse_toml(text))


def built_of(shape: Shape, library: SramLibrary) -> BuiltMemory:
    """Return the memory of the least area; of several, that of the fewest macros, then the first name.

    Raises
    ------
    EspalierError
        Of every macro it would take more than `MOST_BLOCKS`.
    """
    choices = [found for macro in library.macro if (found := _built(shape, macro)).blocks <= MOST_BLOCKS]
    if not choices:
        largest = max(library.macro, key=lambda macro: (macro.depth * macro.width, macro.name))
        raise EspalierError(
            f"no macro fits {shape.name}: of {largest.name}, {largest.depth} words of {largest.width} bits, it would "
            f"take {_built(shape, largest).blocks}, and {MOST_BLOCKS} are the most"
        )
    return min(choices, key=lambda choice: (choice.area_um2, choice.blocks, choice.macro))


def all_built(shapes: Iterable[Shape], library: SramLibrary | None) -> dict[Shape, BuiltMemory]:
    """Return the memory of each shape; none without a library."""
    return {shape: built_of(shape, library) for shape in shapes} if library else {}


def _built(shape: Shape, macro: SramMacro) -> BuiltMemory:
    banks, columns = math.ceil(shape.depth / macro.depth), math.ceil(shape.width / macro.width)
    return BuiltMemory(
        macro=macro.name,
        banks=banks,
        columns=columns,
        area_um2=banks * columns * macro.area_um2,
        read_pj=columns * macro.read_pj,
        write_pj=columns * macro.write_pj,
        leakage_uw=banks * columns * macro.leakage_uw,
        access_ns=macro.access_ns,
        setup_ns=macro.setup_ns,
    )
