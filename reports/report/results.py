"""Results of a report: plain numbers with a versioned JSON form. Figures and pages are drawn from them alone.

Format history: 1, the first; 2, cycles and utilization on an array; 3, designs at every pair of word lengths (memory
blocks, where the cycles go, stalls, energy), which layers have their cycles in now, break-even densities, FFT, and the
technology, clock and DRAM that they are of; patterns that were left out, in files that have them; 4, error rates on
validation images, by which a point is recommended, the clock that the technology reaches, and a digest; the memories of
the generated hardware, entries, taps and layers instead of an index, and the bits of each layer in them; 5, what
becomes of the multiply slots of each layer; 7, what a point may err as it was asked, and how sure to be of it;
8, layers and memories of designs by the names of their columns, and the metric.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from accel.interchange.data.datasets import ERROR
from accel.interchange.zoo import DENSE
from accel.records import record_of
from reports.report import saved
from reports.report.designs import BreakEven, Design
from reports.report.points import Point
from reports.shared.frames import frame, html
from reports.shared.schema import Kind
from reports.shared.spreadsheet import csv_text
from reports.shared.words import on_data
from reports.workflow import recommend
from reports.workflow.answer_table import HEADS, answer_rows, sure
from reports.workflow.limits import Budget, Limit, parse_error
from reports.workflow.recommend import SMALL, Decision

if TYPE_CHECKING:
    from pandas import DataFrame

KIND = Kind("espalier-report", 8, "the results of an espalier report")


@dataclass(frozen=True)
class Choice:
    """A point with what decides whether it is recommended: a `reports.workflow.recommend.Candidate`.

    Memory blocks, cycles and energy are those of its design; where no array runs it, memory is what the Program stores.
    """

    point: Point
    error_rate: float
    memory_bits: int
    cycles: int = 0
    energy_pj: int = 0
    multipliers: int = 0
    short: bool = False

    @property
    def interval_cycles(self) -> int:
        """Cycles of one image: a report asks for no rate of images."""
        return self.cycles

    @property
    def area_um2(self) -> int:
        """Nothing: a report's designs share one array, and it says no areas."""
        return 0

    @classmethod
    def of(cls, point: Point, design: Design | None, sram_bits: int | None) -> "Choice":
        """Return the choice of a point with its design, or None; too little of the memory given is no shortage."""
        if design is None:
            return cls(point, point.validation_error_rate, point.memory_bits)
        picojoules = round(1e12 * design.joules) if design.joules else 0
        too_large = sram_bits is not None and design.memory_bits > sram_bits
        costs = design.memory_bits, design.cycles, picojoules, design.multipliers, not (design.fits or too_large)
        return cls(point, point.validation_error_rate, *costs)


@dataclass(frozen=True)
class Results:
    """Everything that a report shows.

    `float_dense_error_rate` is the error rate of the float network before pruning, or of the pruned one where there is
    no other, on test images, `float_dense_validation_error_rate` on validation images; `max_error` what a recommended
    point may err, in all or with a plus more than the latter, and `confidence` how sure to be of it.
    """

    network: str
    data: str
    test_images: int
    validation_images: int
    calibration_images: int
    float_dense_error_rate: float
    float_dense_validation_error_rate: float
    dense_parameter_bits: int  # weights before pruning as 32-bit words
    max_error: str
    retrained: bool  # whether the pruned versions were retrained (those of the zoo were)
    array: str  # output lanes x pixel lanes of the designs
    technology: str  # what their memories are made of, in words
    clock_hz: float
    highest_clock_hz: float | None  # at which the array is known to run; None: nobody has measured it
    dram_bytes_per_s: float | None
    sram_bits: int | None  # that the memory blocks may have
    not_on_array: str  # why there are no designs; empty if there are
    points: tuple[Point, ...]
    designs: tuple[Design, ...]
    break_even: tuple[BreakEven, ...]
    metric: str = ERROR  # what counts as an error: one of `reports.workflow.evaluate.METRICS`
    confidence: float | None = None  # None: the usual one, or none where the images are too few
    left_out: tuple[str, ...] = ()  # patterns that nobody named and that the network cannot have, each with the reason

    def __post_init__(self) -> None:
        object.__setattr__(self, "left_out", tuple(self.left_out))

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

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """The points with what decides, in the order of the points."""
        return tuple(
            Choice.of(p, self.design(p.pattern, p.weight_bits, p.signal_bits), self.sram_bits) for p in self.points
        )

    @property
    def most_errors(self) -> float:
        """The error rate on validation images that a recommended point may have, 0..1."""
        return parse_error(self.max_error, self.float_dense_validation_error_rate)

    @cached_property
    def decision(self) -> Decision[Choice]:
        """What is recommended of the points, and what follows: least memory, of those that none dominates."""
        return Decision(
            self.choices,
            Budget(self.most_errors, self.sram_bits, None, None, self.clock_hz),
            SMALL,
            self.float_dense_validation_error_rate,
            self.validation_images,
            self.confidence,
            reaches_hz=self.highest_clock_hz if self.designs else None,
        )

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What a recommended point has to meet."""
        return self.decision.limits

    @property
    def chosen(self) -> Choice | None:
        """The recommended point with what decided, or None if none meets the limits."""
        return self.decision.chosen

    @property
    def recommended(self) -> Point | None:
        """The point to build, or None if none meets the limits."""
        return self.chosen.point if self.chosen else None

    @property
    def nearest(self) -> Choice:
        """What comes nearest to the limits, for where nothing meets them."""
        return self.decision.nearest

    @cached_property
    def front(self) -> list[Choice]:
        """The points that no other beats in errors, memory and cycles at once; fewest errors first."""
        return recommend.front(choice for choice in self.choices if not choice.short)

    @property
    def shown_width(self) -> int:
        """The word length at which layers are shown: that of the recommended point, or the widest."""
        return self.recommended.weight_bits if self.recommended else self.widths[-1]

    @cached_property
    def _designs(self) -> Mapping[tuple[str, int, int, str], Design]:
        found = {}
        for design in self.designs:
            found[*design.key, design.weights] = design
            found.setdefault((*design.key, ""), design)
        return found

    def design(self, pattern: str, weight_bits: int, signal_bits: int, weights: str = "") -> Design | None:
        """Return the design of a Program, or None; the first made of it, or the one with such `weights`."""
        return self._designs.get((pattern, weight_bits, signal_bits, weights))

    def shown_designs(self, weights: str = "") -> list[Design]:
        """Return the designs at the width at which layers are shown, in the order of the patterns."""
        found = (self.design(pattern, self.shown_width, self.shown_width, weights) for pattern in self.patterns)
        return [design for design in found if design]

    @property
    def lanes(self) -> int:
        """Multiply-accumulates that the array could do in a cycle."""
        outputs, pixels = self.array.split("x")
        return int(outputs) * int(pixels)

    def to_json(self) -> str:
        """Return the results as versioned JSON, a point and a design a line."""
        lists = {
            "points": map(saved.point, self.points),
            "break_even": map(asdict, self.break_even),
            "designs": map(saved.design, self.designs),
        }
        return KIND.written({x.name: getattr(self, x.name) for x in fields(self) if x.name not in lists}, **lists)

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return the results that `to_json` wrote; raises EspalierError if they are something else."""
        return KIND.read(text, _results)

    def __repr__(self) -> str:
        best = self.recommended
        told = f"{best.pattern} at {best.weight_bits} bits" if best else "nothing fits"
        return f"<Results of a report on {self.network}, {self.data}: {len(self.points)} points; {told}>"

    def _repr_html_(self) -> str:
        rates = [(pattern, *(f"{100 * p.error_rate:.2f}" for p in self.of(pattern))) for pattern in self.patterns]
        heads = ("error rate in %", *(f"{width} bit" for width in self.widths))
        answer = [HEADS, *answer_rows(self.decision)]
        certain = [*filter(None, [sure(self.decision)])]
        return html(on_data(self.network, self.data), [repr(self)[1:-1], *certain], answer, [heads, *rates])

    def to_dataframe(self) -> "DataFrame":
        """Return one row a point, the columns of results.csv; needs pandas."""
        return frame(saved.totals(point) for point in self.points)

    def to_csv(self) -> str:
        """Return one line a point, without the layers."""
        return csv_text(saved.POINT, (saved.totals(point).values() for point in self.points))


def _results(record: dict[str, Any]) -> Results:
    results = record_of(Results, saved.nested(record))
    saved.check_totals(record["points"], results.points)
    return results
