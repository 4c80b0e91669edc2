"""What the study of MLPerf Tiny's networks found, as saved."""

from dataclasses import dataclass, replace
from typing import Any

from accel.records import record_of
from reports.shared.schema import Kind
from reports.studies.mlperf_tiny.definition import BITS, LANES, NETWORKS, PATTERNS, SEED, TECHNOLOGY
from reports.studies.mlperf_tiny.measure import Row
from reports.studies.mlperf_tiny.verify import Run

KIND = Kind("espalier-mlperf-tiny-study", 1, "the results of the study of MLPerf Tiny's networks")


@dataclass(frozen=True)
class Results:
    """The rows that are measured, and the runs in Verilator.

    Parameters
    ----------
    rows : tuple of Row
    runs : tuple of Run
    """

    rows: tuple[Row, ...] = ()
    runs: tuple[Run, ...] = ()

    def row(self, network: str, pattern: str) -> Row | None:
        """Return the row of a version, if it is measured."""
        return next((x for x in self.rows if (x.network, x.pattern) == (network, pattern)), None)

    def of(self, network: str) -> list[Row]:
        """Return the versions of a network that there can be."""
        rows = (self.row(network, pattern) for pattern in PATTERNS)
        return [row for row in rows if row is not None and not row.problem]

    def with_row(self, row: Row) -> "Results":
        """Return these results with one more row."""
        return replace(self, rows=(*self.rows, row))

    @property
    def missing(self) -> list[tuple[str, str]]:
        """The versions that are not measured yet."""
        return [(x, y) for x in NETWORKS for y in PATTERNS if self.row(x, y) is None]

    def to_json(self) -> str:
        """Return the results as JSON, a row a line."""
        head = {"array": "x".join(map(str, LANES)), "technology": TECHNOLOGY, "seed": SEED, "bits": list(BITS)}
        return KIND.written(head, rows=[x.record() for x in self.rows], runs=[x.record() for x in self.runs])

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return what `to_json` wrote.

        Raises
        ------
        EspalierError
            The text was changed, or is of another kind.
        """
        return KIND.read(text, cls._from)

    @classmethod
    def _from(cls, record: dict[str, Any]) -> "Results":
        rows = tuple(record_of(Row, row) for row in record["rows"])
        return cls(rows, tuple(record_of(Run, run) for run in record["runs"]))
