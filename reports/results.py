"""Results of a report: plain numbers with a versioned JSON form. Figures and pages are drawn from them alone.

Format history: 1, the first; 2, cycles and utilization on an array.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from accel.cost import LayerCycles, ProgramCost
from accel.errors import EspalierError
from accel.interchange.zoo import DENSE

FORMAT = "espalier-report"
VERSION = 2


@dataclass(frozen=True)
class LayerRow:
    """One layer of a Program, as the per-layer table shows it."""

    name: str
    pattern: str
    dense_weights: int
    weights: int
    dense_macs: int
    macs: int
    weight_memory_bits: int
    index_memory_bits: int
    encoding: str
    encoding_reason: str
    bias_memory_bits: int
    requantize_memory_bits: int
    accumulator_bits: int
    cycles: int | None = None  # on the report's array, where that runs the Program
    utilization: float | None = None  # useful MACs / (lanes x cycles), 0..1


@dataclass(frozen=True)
class Point:
    """One Program: a network, a pattern and word lengths, with what was measured and what was counted."""

    network: str
    pattern: str
    sparsity: float
    weight_bits: int
    signal_bits: int
    error_rate: float  # of the bit-accurate engine on the test images, 0..1
    float_error_rate: float  # of the same pruned network in float
    macs: int
    dense_macs: int
    weight_memory_bits: int
    index_memory_bits: int
    bias_memory_bits: int
    requantize_memory_bits: int
    signal_memory_bits: int
    cycles: int | None  # of one image on the report's array, where that runs the Program
    layers: tuple[LayerRow, ...]

    @property
    def memory_bits(self) -> int:
        """On-chip memory in all: parameters and the peak of live signals."""
        parameters = self.weight_memory_bits + self.index_memory_bits + self.bias_memory_bits
        return parameters + self.requantize_memory_bits + self.signal_memory_bits


@dataclass(frozen=True)
class Results:
    """Everything that a report shows.

    `float_dense_error_rate` is the error rate of the float network before pruning, or of the pruned one where there is
    no other; `tolerance` the rise of the error rate over it that a recommended point may have.
    """

    network: str
    data: str
    test_images: int
    calibration_images: int
    float_dense_error_rate: float
    dense_parameter_bits: int  # weights before pruning as 32-bit words
    tolerance: float
    array: str  # output lanes x pixel lanes, on which cycles are counted
    retrained: bool  # whether the pruned versions were retrained (those of the zoo were)
    points: tuple[Point, ...]

    def of(self, pattern: str) -> list[Point]:
        """Return the points of one pattern, narrowest words first."""
        return sorted((p for p in self.points if p.pattern == pattern), key=lambda p: p.weight_bits)

    @property
    def patterns(self) -> list[str]:
        """The patterns, in the order in which they were measured."""
        return list(dict.fromkeys(p.pattern for p in self.points))

    @property
    def reference(self) -> str:
        """What the error rates are compared with, in words."""
        return "dense float network" if DENSE in self.patterns else "pruned float network"

    @property
    def widths(self) -> list[int]:
        """The word lengths, ascending."""
        return sorted({p.weight_bits for p in self.points})

    @property
    def recommended(self) -> Point | None:
        """The point with the least memory whose error rate stays within the tolerance of the dense float network."""
        good = [p for p in self.points if p.error_rate <= self.float_dense_error_rate + self.tolerance + 1e-12]
        return min(good, key=lambda p: (p.memory_bits, p.error_rate), default=None)

    def to_json(self) -> str:
        """Return the results as versioned JSON."""
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return the results that `to_json` wrote; raises EspalierError if they are something else."""
        try:
            record = json.loads(text)
            if record.pop("format") != FORMAT or record.pop("version") != VERSION:
                raise EspalierError(f"expected {FORMAT} version {VERSION}")
            points = [dict(point, layers=_rows(point["layers"])) for point in record.pop("points")]
            return cls(**record, points=tuple(Point(**point) for point in points))
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise EspalierError(f"not the results of an espalier report: {error}") from error

    def to_csv(self) -> str:
        """Return one line a point, without the layers."""
        names = [field.name for field in fields(Point) if field.name != "layers"]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([getattr(point, name) for name in names] for point in self.points)
        return text.getvalue()


def layer_rows(cost: ProgramCost, cycles: Sequence[LayerCycles] = ()) -> tuple[LayerRow, ...]:
    """Return the rows of the layers that hold weights or constants, or take cycles."""
    taken = {layer.name: layer for layer in cycles}
    rows = []
    for layer in cost.layers:
        if not layer.accumulator_bits and layer.name not in taken:
            continue
        c, on_array = layer.counts, taken.get(layer.name)
        rows.append(
            LayerRow(
                layer.name,
                layer.pattern,
                c.dense_weights,
                c.weights,
                c.dense_macs,
                c.macs,
                c.weight_memory_bits,
                c.index_memory_bits,
                layer.encoding,
                layer.encoding_reason,
                c.bias_memory_bits,
                c.requantize_memory_bits,
                layer.accumulator_bits,
                on_array.cycles if on_array else None,
                on_array.utilization if on_array else None,
            )
        )
    return tuple(rows)


def _rows(rows: Sequence[dict[str, Any]]) -> tuple[LayerRow, ...]:
    return tuple(LayerRow(**row) for row in rows)
