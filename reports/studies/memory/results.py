"""What the study of memories found, as saved."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from accel.records import record_of
from reports.shared.schema import Kind
from reports.studies.memory.definition import VERSIONS

KIND = Kind("espalier-memory-study", 2, "the results of the study of memories")


@dataclass(frozen=True, kw_only=True)
class Point:
    """A version in a memory.

    Parameters
    ----------
    room_bits : int
    needs : str
        What hardware must run.
    dram_bits : int
        From and to DRAM for one image.
    ungrouped_dram_bits, apart_dram_bits : int
        The same where no layers run at once, and where nothing stays between layers either.
    resident_bits : int
        Of weights that stay.
    stall_cycles : int
    joules, dram_joules : float
        Of one image, estimated.
    area_mm2 : float
        Of lanes and memories, estimated.
    """

    room_bits: int
    needs: str
    dram_bits: int
    ungrouped_dram_bits: int
    apart_dram_bits: int
    resident_bits: int
    stall_cycles: int
    joules: float
    dram_joules: float
    area_mm2: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A version of a network.

    Parameters
    ----------
    network, pattern : str
    bits : int
        Of weights and signals.
    weights, dense_weights : int
    least_bits : int
        The smallest memory that works.
    whole_bits : int
        The memory blocks of the array that runs whole layers.
    cycles : int
        Of one image without stalls.
    borders_bits : int
        The image and the scores.
    points : tuple of Point
        By memory, ascending; the last is the first in which whole layers fit.
    """

    network: str
    pattern: str
    bits: int
    weights: int
    dense_weights: int
    least_bits: int
    whole_bits: int
    cycles: int
    borders_bits: int
    points: tuple[Point, ...]

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells versions apart."""
        return self.network, self.pattern, self.bits

    @property
    def best(self) -> Point:
        """The memory of the least energy times area, the smallest of those that tie."""
        return min(self.points, key=lambda point: point.joules * point.area_mm2)

    def at(self, room_bits: int) -> Point:
        """Return the point of a memory; of one larger than all of them the last."""
        return next((point for point in self.points if point.room_bits >= room_bits), self.points[-1])


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """A way in which the weights of one version come from DRAM.

    Parameters
    ----------
    way : str
        What travels: lane words, or words as they are stored, by the index that is stored with them.
    on_our_hardware : bool
    dram_bits, borders_bits : int
        From and to DRAM for one image, and of it the image and the scores.
    weight_bits, index_bits : int
        What the Program stores.
    list_bits : int
        Of the memory for lists of what is kept.
    memory_bits : int
        Of all memory blocks.
    cycles, stall_cycles : int
        Of one image.
    joules : float
        Of one image, estimated.
    """

    way: str
    on_our_hardware: bool
    dram_bits: int
    borders_bits: int
    weight_bits: int
    index_bits: int
    list_bits: int
    memory_bits: int
    cycles: int
    stall_cycles: int
    joules: float


@dataclass(frozen=True)
class Results:
    """The rows that are measured, and the ways in which weights are streamed."""

    rows: tuple[Row, ...] = ()
    streamed: tuple[Streamed, ...] = ()

    @property
    def missing(self) -> list[tuple[str, str, int]]:
        """The versions that are not measured yet."""
        known = {row.key for row in self.rows}
        return [version for version in VERSIONS if version not in known]

    def row(self, *key: str | int) -> Row:
        """Return the row of a version."""
        return next(row for row in self.rows if row.key == key)

    def with_row(self, row: Row) -> "Results":
        """Return these results with one more row, in the order of the versions."""
        rows = sorted((*self.rows, row), key=lambda x: VERSIONS.index(x.key))
        return replace(self, rows=tuple(rows))

    def to_json(self) -> str:
        """Return the text of results.json."""
        return KIND.written({}, rows=map(asdict, self.rows), streamed=map(asdict, self.streamed))

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return the results that `to_json` wrote; raises EspalierError if the text is something else."""
        return KIND.read(text, _made)


def _made(record: dict[str, Any]) -> Results:
    return record_of(Results, record)
