"""What the study of MLPerf Tiny's networks found, as saved."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from accel.records import record_of
from reports.shared.schema import Kind
from reports.studies.mlperf_tiny.definition import BITS, LANES, NETWORKS, PATTERNS, SEED, TECHNOLOGY

KIND = Kind("espalier-mlperf-tiny-study", 2, "the results of the study of MLPerf Tiny's networks")


@dataclass(frozen=True, kw_only=True)
class Point:
    """A Program on the array of the study.

    Parameters
    ----------
    bits : int
        Of weights and signals; the image has 8.
    memory_bits : int
        Parameters, indices and live signals.
    cycles : int
        Of one image.
    useful : float
        The share of multiply slots, in all cycles of an image, in which a kept weight meets a signal.
    joules : float
        Of one image, by the technology of the study.
    """

    bits: int
    memory_bits: int
    cycles: int
    useful: float
    joules: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A version of a network.

    Parameters
    ----------
    network, pattern : str
    ratio : float or None
        Of each layer that has the pattern; None where the pattern says itself, or cannot be.
    weights, dense_weights, macs, dense_macs : int
        That are left, and that the dense network has, for one image.
    points : tuple of Point
        From few bits to many.
    problem : str
        Why there is no such version, if there is none.
    """

    network: str
    pattern: str
    ratio: float | None = None
    weights: int = 0
    dense_weights: int = 0
    macs: int = 0
    dense_macs: int = 0
    points: tuple[Point, ...] = field(default=())
    problem: str = ""

    def at(self, bits: int) -> Point:
        """Return the Program of so many bits."""
        return next(point for point in self.points if point.bits == bits)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One image of a Program in the simulator.

    Parameters
    ----------
    network, pattern : str
    bits : int
    rows : int
        Of outputs that were compared with the golden model's, bit for bit.
    cycles, expected_cycles : int
        That it took, and that the closed form says.
    errors : int
        Rows that differ, and images whose cycles do.
    """

    network: str
    pattern: str
    bits: int
    rows: int
    cycles: int
    expected_cycles: int
    errors: int


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a version of the autoencoder, with trained weights, misses of a recording.

    Parameters
    ----------
    pattern : str
    bits : int
        Of weights and signals; 0 where they are floats.
    loss : float
        Mean squared error of the windows, in dB squared.
    """

    pattern: str
    bits: int
    loss: float


@dataclass(frozen=True)
class Results:
    """The rows that are measured, the runs in Verilator, and the losses of a recording.

    Parameters
    ----------
    rows : tuple of Row
    runs : tuple of Run
    losses : tuple of Loss
    """

    rows: tuple[Row, ...] = ()
    runs: tuple[Run, ...] = ()
    losses: tuple[Loss, ...] = ()

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
        return KIND.written(
            head, rows=map(asdict, self.rows), runs=map(asdict, self.runs), losses=map(asdict, self.losses)
        )

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
        runs = tuple(record_of(Run, run) for run in record["runs"])
        return cls(rows, runs, tuple(record_of(Loss, loss) for loss in record["losses"]))
