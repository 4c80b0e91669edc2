"""What keeps a Program from an array or a technology: facts with their numbers, of which `reports` makes sentences."""

from dataclasses import dataclass
from enum import Enum


class Resource(Enum):
    """A resource of which there can be too little."""

    BLOCKS = "blocks"  # of memory, of one kind that the technology has
    MULTIPLIERS = "multipliers"
    MEMORY = "memory"  # bits of all blocks, where a limit was given
    LUTS = "look-up tables (predicted)"  # and these by `accel.cost.predictor`, where one was
    CELLS = "square micrometers of cells (predicted)"
    CLOCK = "MHz (predicted)"


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """More of a resource is needed than there is.

    Parameters
    ----------
    resource : Resource
    needed, available : int
        Blocks, multipliers, bits, tables, square micrometers; of a clock MHz.
    block : str
        The kind of block; of other resources nothing.
    """

    resource: Resource
    needed: int
    available: int
    block: str = ""
