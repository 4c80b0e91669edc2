"""What a study of word lengths found: plain numbers, versioned JSON, and what follows from them by stated rules.

Format history: 1, the first; 2, with a digest.
"""

from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

from accel.interchange.zoo import DENSE
from accel.records import record_of
from reports.shared.schema import Kind
from reports.studies.bitwidth.definition import ALLOCATION, L2, SENSITIVITY, UNIFORM, Target, Task

KIND = Kind("espalier-bitwidth-study", 2, "the results of a study of word lengths")


@dataclass(frozen=True)
class Point:
    """One task, measured.

    Parameters
    ----------
    task : Task
    values : dict
        ``rates`` by split, where ``judged`` is of the images that decide; ``memory_bits`` and ``parameter_bits``; of an
        allocation ``widths`` by group and ``budget_bits``.
    """

    task: Task
    values: dict[str, Any]

    @property
    def error_rate(self) -> float:
        """The error rate on the test images."""
        return float(self.values["rates"]["test"])


@dataclass(frozen=True)
class Results:
    """Everything that the figures and the page of a study show.

    Parameters
    ----------
    network, data : str
    definition : dict
        The Study.
    float_rates : dict of pattern to split to error rate
        Of the float networks.
    images : dict of split to int
    dense_bits : int
        The weights of the dense network in 32 bits.
    sparsities : dict of pattern to float
    points : tuple of Point
    """

    network: str
    data: str
    definition: dict[str, Any]
    float_rates: dict[str, dict[str, float]]
    images: dict[str, int]
    dense_bits: int
    sparsities: dict[str, float]
    points: tuple[Point, ...]

    @property
    def dense_rate(self) -> float:
        """The error rate of the dense float network on the test images."""
        return self.float_rates[DENSE]["test"]

    def uniform(self, pattern: str, method: str) -> dict[tuple[int, int], list[Point]]:
        """Return the points of uniform widths by these, all seeds together."""
        found: dict[tuple[int, int], list[Point]] = {}
        for point in self._of(UNIFORM, pattern):
            if point.task.method == method:
                found.setdefault((point.task.weight_bits, point.task.signal_bits), []).append(point)
        return found

    def sensitivities(self, pattern: str) -> dict[str, dict[int, float]]:
        """Return for each group its error rate by bits."""
        found: dict[str, dict[int, float]] = {}
        for point in self._of(SENSITIVITY, pattern):
            found.setdefault(point.task.group, {})[point.task.weight_bits] = point.values["rates"]["judged"]
        return found

    def allocations(self, pattern: str) -> list[tuple[Point, Point]]:
        """Return allocated widths with the uniform ones whose memory they had for a budget."""
        uniform = self.uniform(pattern, L2)
        return [(x, uniform[x.task.weight_bits, x.task.signal_bits][0]) for x in self._of(ALLOCATION, pattern)]

    def front(self) -> list[Point]:
        """Return the points of which none has less memory and no more test error, nor the other way round."""
        able = sorted(
            (p for p in self.points if "memory_bits" in p.values), key=lambda p: (p.values["memory_bits"], p.error_rate)
        )
        front: list[Point] = []
        for point in able:
            if not front or point.error_rate < front[-1].error_rate:
                front.append(point)
        return front

    def outcome(self, target: Target) -> tuple[float, float, float, float]:
        """Return the mean rise over the dense float network, the lowest, the highest, and how many times smaller."""
        points = self.uniform(target.pattern, target.method)[target.weight_bits, target.signal_bits]
        rises = [point.error_rate - self.dense_rate for point in points]
        smaller = fmean(self.dense_bits / point.values["parameter_bits"] for point in points)
        return fmean(rises), min(rises), max(rises), smaller

    def _of(self, kind: str, pattern: str) -> list[Point]:
        return [p for p in self.points if (p.task.kind, p.task.pattern) == (kind, pattern)]

    def to_json(self) -> str:
        """Return the results as versioned JSON, a point a line."""
        head = {x.name: getattr(self, x.name) for x in fields(self) if x.name != "points"}
        return KIND.written(head, points=map(asdict, self.points))

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return the results that `to_json` wrote; raises EspalierError if they are something else."""
        return KIND.read(text, lambda record: record_of(cls, record))
